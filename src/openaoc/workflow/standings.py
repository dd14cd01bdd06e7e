"""Workflow: standing as facts come in: a payment found later, a payer's institution that confirms.

Decides nothing itself: holds/standing.py does. Used only while the matter is held.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from openaoc.cases.model import UNDER_WORK, ClaimRecord, WrongCaseTransition
from openaoc.cases.service import Cases
from openaoc.holds.legal import rulebook
from openaoc.holds.standing import PaymentFacts, Standing, decide
from openaoc.kernel.actor import Actor, Role
from openaoc.kernel.errors import NotFound, Refused
from openaoc.reports.model import Channel, Payment
from openaoc.reports.service import PaymentRow, ReportRow, Reports
from openaoc.storage.unit_of_work import Transaction
from openaoc.tracing.service import CaseClaim
from openaoc.workflow.registry import Registry

LOOK_AGAIN_FOR: Final = timedelta(days=1)
"""A payment not found in the ledger is looked for again for so long: banks answer late."""


class Standings:
    """Finds late payments and decides standing anew."""

    def __init__(
        self, *, reports: Reports, cases: Cases, registry: Registry, jurisdiction: str
    ) -> None:
        self._reports = reports
        self._cases = cases
        self._registry = registry
        self._rules = rulebook(jurisdiction)

    def seeking(self, tx: Transaction, case_ids: Sequence[str]) -> set[str]:
        """Those of these cases with a payment that is not found in the ledger yet."""
        return {case_id for case_id, _ in self._reports.unmatched(tx, case_ids)}

    def rematch(
        self, tx: Transaction, case_ids: Sequence[str], *, however_old: bool = False
    ) -> list[str]:
        """Look again for payments that were not in the ledger; the cases that gained a claim.

        In cases of the last day, and in any case when somebody has just told a payment of it.
        """
        fresh = [
            row.id
            for row in self._cases.rows(tx, case_ids)
            if however_old or tx.now - row.opened_at <= LOOK_AGAIN_FOR
        ]
        gained: dict[str, list[CaseClaim]] = {}
        for case_id, row in self._reports.unmatched(tx, fresh):
            match = self._reports.match(payment_of(row))
            if match.row is None:
                continue
            reporter, transfer_id = self._reports.named(match.row)
            self._reports.set_match(tx, report_id=row.report_id, no=row.no, row=match.row)
            record = ClaimRecord(
                reported_by=reporter, transfer_id=transfer_id, amount_minor=row.amount_minor
            )
            filed = self._cases.add_claim(tx, case_id, record)
            claim = CaseClaim(row=match.row, amount_minor=row.amount_minor, filed=filed)
            gained.setdefault(case_id, []).append(claim)
        for case_id, claims in gained.items():
            if case_id in self._registry:
                self._registry.file(case_id, claims)
                self.decide_again(tx, case_id)
            elif self.decide_again(tx, case_id).automatic:
                self._registry.file(case_id, self._registry.claims_of(tx, case_id))
        return sorted(gained)

    def confirm(self, tx: Transaction, case_id: str, *, actor: Actor) -> Standing:
        """The payer's institution confirms, under its own key, its customers' payments of a case.

        Raises NotFound when the case has no payment from that institution, WrongCaseTransition
        when the case has ended: nothing may be ordered for it any more.
        """
        if not actor.has(Role.MACHINE) or actor.institution is None:
            raise Refused("only the payer's institution confirms, under its own key")
        reports = self._reports.of_case(tx, case_id)
        own = [
            p
            for p in self._reports.payments_of(tx, [r.id for r in reports])
            if p.debtor_bank == actor.institution
        ]
        if not own:
            raise NotFound("no payment of yours in this case")
        state = self._cases.row(tx, case_id).state
        if state not in UNDER_WORK:
            raise WrongCaseTransition(f"a case that is {state} takes no confirmation")
        for payment in own:
            self._reports.confirm(
                tx, report_id=payment.report_id, no=payment.no, institution=actor.institution
            )
        return self.decide_again(tx, case_id)

    def decide_again(self, tx: Transaction, case_id: str) -> Standing:
        """The case's standing from all that is known of its payments now, saved with the case."""
        reports = self._reports.of_case(tx, case_id)
        payments = self._reports.payments_of(tx, [r.id for r in reports])
        stopped_why = self._cases.row(tx, case_id).stopped_why
        standing = self.of(reports, payments, on_rule=tx, stopped_why=stopped_why)
        self._cases.set_standing(
            tx,
            case_id,
            automatic=standing.automatic,
            approvals=standing.approvals_needed,
            why=standing.why,
        )
        return standing

    def of(
        self,
        reports: Sequence[ReportRow],
        payments: Sequence[PaymentRow],
        *,
        on_rule: Transaction,
        stopped_why: str | None = None,
    ) -> Standing:
        """Standing of a case by its reports' channels and keys, over all its payments."""
        channels = {Channel(report.channel) for report in reports}
        rule = self._rules.named(self._rules.default, on=on_rule.now.date())
        return decide(
            channel=Channel.PARTNER if Channel.PARTNER in channels else min(channels),
            own_key_of=paying_key(reports),
            payments=[facts_of(payment) for payment in payments],
            four_eyes=rule.four_eyes,
            stopped_why=stopped_why,
        )


def paying_key(reports: Sequence[ReportRow]) -> str | None:
    """The institution under whose own key all of the case's reports came; None when not all did.

    A report that joins a case lends it no standing that it has not itself.
    """
    keys = {report.sender_institution if report.own_key else None for report in reports}
    return keys.pop() if len(keys) == 1 else None


def facts_of(payment: PaymentRow) -> PaymentFacts:
    """What standing needs of a kept payment."""
    return PaymentFacts(
        debtor_bank=payment.debtor_bank,
        in_ledger=payment.matched_id is not None,
        candidates=payment.candidates,
        confirmed_by=payment.confirmed_by,
        control_proven=payment.control_proven_at is not None,
    )


def payment_of(row: PaymentRow) -> Payment:
    """The payment as it was reported."""
    return Payment(
        transfer_id=row.transfer_id,
        reported_by=row.reported_by,
        booked_at=row.booked_at,
        debtor_bank=row.debtor_bank,
        debtor_account=row.debtor_account,
        creditor_bank=row.creditor_bank,
        creditor_account=row.creditor_account,
        amount_minor=row.amount_minor,
        currency=row.currency,
    )
