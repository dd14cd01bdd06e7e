"""Workflow: the victim's complaint to the police, drafted so that nobody has to tell it again.

Opens the reporter's identity for the reporter, who has the case's secret, and for staff who give a
reason; each look is in the journal. Keeps no draft.
"""

from __future__ import annotations

from typing import Final

import msgspec

from openaoc.cases.service import Cases
from openaoc.holds.legal import rulebook
from openaoc.holds.model import Words
from openaoc.kernel.errors import BadInput
from openaoc.parties.permissions import Permission, require
from openaoc.reports.model import Reporter
from openaoc.reports.service import ReportRow, Reports
from openaoc.storage.unit_of_work import Transaction
from openaoc.storage.vault import NotSealed, Shredded, Vault
from openaoc.workflow.complaint_text import Told, as_page, as_text

REASON_CHARACTERS_MIN: Final = 3
REASON_CHARACTERS_MAX: Final = 1_000
OWN_REASON: Final = "the reporter drafts a complaint"


class ComplaintDraft(msgspec.Struct, frozen=True, kw_only=True):
    """The draft in Thai and English as text, and both as one page of HTML to print.

    `identified`: whether it names the reporter; otherwise blank lines stand in its place.
    """

    case: str
    text: Words
    html: str
    identified: bool


class Complaints:
    """Drafts of complaints. One instance per centre."""

    def __init__(self, *, reports: Reports, cases: Cases, vault: Vault, jurisdiction: str) -> None:
        self._reports = reports
        self._cases = cases
        self._vault = vault
        self._book = rulebook(jurisdiction)

    def draft(
        self, tx: Transaction, case_id: str, *, secret: str | None = None, reason: str = ""
    ) -> ComplaintDraft:
        """The draft from the report that opened the case.

        With the case's secret for its reporter; else for staff who may see identities, with a
        reason. Raises NoSuchCase, also for a wrong secret, NotPermitted, BadInput.
        """
        if secret is None:
            require(tx.actor, Permission.IDENTITY_READ)
            require(tx.actor, Permission.REPORT_READ)
            if not REASON_CHARACTERS_MIN <= len(reason.strip()) <= REASON_CHARACTERS_MAX:
                raise BadInput("say why this complaint is drafted", where="reason")
        view = self._cases.show(tx, case_id, secret=secret)
        why = OWN_REASON if secret is not None else reason.strip()
        report = self._reports.of_case(tx, case_id)[0]
        who = self._who(tx, report, reason=why)
        today = tx.now.date()
        rule = self._book.named(self._book.default, on=today)
        after = self._book.named(rule.extends_to or rule.id, on=today)
        told = Told(
            case=view,
            report=report,
            payments=self._reports.payments_of(tx, [report.id]),
            indicators=self._reports.indicators_of(tx, report.id),
            who=who,
            basis=after.legal_basis,
            now=tx.now,
            utc_offset_hours=self._book.utc_offset_hours,
        )
        tx.journal(action="cases.complaint.drafted", subject=case_id, reason=why)
        return ComplaintDraft(
            case=case_id,
            text=Words(th=as_text(told, "th"), en=as_text(told, "en")),
            html=as_page(told),
            identified=who is not None,
        )

    def _who(self, tx: Transaction, report: ReportRow, *, reason: str) -> Reporter | None:
        if not report.has_identity:
            return None
        try:
            sealed = self._vault.open(tx, report.id, reason=reason)
        except (NotSealed, Shredded):
            return None  # erased on request: the complainant fills it in
        return msgspec.json.decode(sealed, type=Reporter)
