"""Workflow: the payer's institution is asked for a payment, and tells it where no feed does.

An institution's word counts for payments of its own accounts alone, and only under its own key.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol

import msgspec

from openaoc.cases.service import Cases
from openaoc.channels.model import NewMessage
from openaoc.holds.book import Outbox
from openaoc.holds.model import OnwardTransfer
from openaoc.holds.onward import check_onward
from openaoc.holds.standing import Standing
from openaoc.kernel.actor import Actor, Role
from openaoc.kernel.clock import format_time
from openaoc.kernel.errors import Refused
from openaoc.ledger.model import IngestReceipt
from openaoc.ledger.table import TransferRow, TransferTable, transfers_from_rows
from openaoc.parties.model import UnknownInstitution
from openaoc.parties.service import Parties
from openaoc.reports.model import Payment, Report
from openaoc.reports.service import PaymentRow, Reports
from openaoc.storage.unit_of_work import Transaction
from openaoc.workflow.onward import LedgerTaking
from openaoc.workflow.pacing import Asked, Pace
from openaoc.workflow.pursuit import Pursuit

PAYMENT_CONFIRM: Final = "payment.confirm"
ANSWER_WITHIN: Final = timedelta(hours=2)
"""How soon the payer's institution is asked to answer; the money is on its way meanwhile."""


class Questions(Outbox, Asked, Protocol):
    """Where questions go, and what of them went before; `channels.service.Channels` is one."""


class AskedPayment(msgspec.Struct, frozen=True, kw_only=True):
    """One payment as the victim told it."""

    booked_at: datetime
    debtor_account: str
    creditor_bank: str
    creditor_account: str
    amount_minor: int
    currency: str
    transfer_id: str | None


class ConfirmationRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What the payer's institution is asked: whether these payments are as we were told.

    It answers at `POST /v1/cases/{case}/confirmation`, with the transfers where it tells no feed.
    """

    case: str
    institution: str
    payments: list[AskedPayment]
    issued_at: datetime
    answer_by: datetime


class Confirming:
    """Asks for and takes confirmations. One instance per centre."""

    def __init__(
        self,
        *,
        cases: Cases,
        reports: Reports,
        parties: Parties,
        pursuit: Pursuit,
        outbox: Questions,
        ledger: LedgerTaking,
        corrected: Callable[[], None],
        per_hour: int,
    ) -> None:
        """`per_hour`: how many questions one institution is asked in an hour."""
        self._cases = cases
        self._reports = reports
        self._parties = parties
        self._pursuit = pursuit
        self._outbox = outbox
        self._pace = Pace(outbox, kind=PAYMENT_CONFIRM, within=ANSWER_WITHIN, per_hour=per_hour)
        self._ledger = ledger
        self._corrected = corrected

    def ask(self, tx: Transaction, case_id: str) -> int:
        """Ask the payers' institutions of a case that waits for a person; how many were asked.

        Institutions in shadow, unknown ones, and payments confirmed already are left out. One that
        was asked as often as it may be within the hour is asked later, which is journalled.
        """
        reports = self._reports.of_case(tx, case_id)
        by_bank: dict[str, list[PaymentRow]] = {}
        for payment in self._reports.payments_of(tx, [report.id for report in reports]):
            if payment.confirmed_by is None:
                by_bank.setdefault(payment.debtor_bank, []).append(payment)
        messages = [
            self._question(tx, case_id, bank, payments)
            for bank, payments in sorted(by_bank.items())
            if self._takes_messages(tx, bank)
        ]
        if messages:
            self._outbox.enqueue_many(tx, messages)
        return len(messages)

    def _question(
        self, tx: Transaction, case_id: str, bank: str, payments: Sequence[PaymentRow]
    ) -> NewMessage:
        at = self._pace.next_at(tx, bank)
        if at > tx.now:
            tx.journal(
                action="workflow.question.put_off",
                subject=case_id,
                reason=f"{bank} has as many questions as it takes in an hour",
                authority=f"asked at {format_time(at)}",
            )
        until = at + ANSWER_WITHIN
        return NewMessage(
            institution=bank,
            kind=PAYMENT_CONFIRM,
            subject=case_id,
            body=ConfirmationRequest(
                case=case_id,
                institution=bank,
                payments=[_asked(payment) for payment in payments],
                issued_at=at,
                answer_by=until,
            ),
            answer_by=until,
            not_before=at,
        )

    def _takes_messages(self, tx: Transaction, bank: str) -> bool:
        try:
            self._parties.institution(tx, bank)
        except UnknownInstitution:
            return False
        return self._pursuit.mode_at(tx, bank) == "live"

    def confirm(
        self, case_id: str, *, actor: Actor, transfers: Sequence[OnwardTransfer] = ()
    ) -> Standing:
        """The payer's institution confirms its customers' payments, and may tell them with it.

        Raises Refused, NotFound and WrongCaseTransition as Pursuit.confirm does; BadInput for a
        payment of another institution's account.
        """
        if transfers:
            if not actor.has(Role.MACHINE) or actor.institution is None:
                raise Refused("only the payer's institution confirms, under its own key")
            self._tell(check_onward(transfers, institution=actor.institution), actor.institution)
        return self._pursuit.confirm(case_id, actor=actor)

    def tell_own(self, report: Report, *, sender: Actor) -> int:
        """Where no feed tells: the ledger learns an institution's own payments from its report.

        How many it learnt. Payments the ledger has, or that fit one it has, are left alone, and so
        is one without an id: told again under another it would count twice.
        """
        if not sender.has(Role.MACHINE) or sender.institution is None:
            return 0
        rows = [
            _row(payment, institution=sender.institution)
            for payment in report.payments
            if payment.debtor_bank == sender.institution and self._unknown(payment)
        ]
        if rows:
            self._tell(rows, sender.institution)
        return len(rows)

    def _unknown(self, payment: Payment) -> bool:
        told_by_other = payment.reported_by not in (None, payment.debtor_bank)
        if payment.transfer_id is None or told_by_other:
            return False
        known = self._reports.row_of(
            reported_by=payment.debtor_bank, transfer_id=payment.transfer_id
        )
        return known is None and self._reports.match(payment).candidates == 0

    def _tell(self, rows: Sequence[TransferRow], institution: str) -> IngestReceipt:
        table: TransferTable = transfers_from_rows(list(rows))
        receipt = self._ledger.ingest(table, live=True, told_by=institution)
        if receipt.corrected:
            self._corrected()
        return receipt


def _asked(payment: PaymentRow) -> AskedPayment:
    return AskedPayment(
        booked_at=payment.booked_at,
        debtor_account=payment.debtor_account,
        creditor_bank=payment.creditor_bank,
        creditor_account=payment.creditor_account,
        amount_minor=payment.amount_minor,
        currency=payment.currency,
        transfer_id=payment.transfer_id,
    )


def _row(payment: Payment, *, institution: str) -> TransferRow:
    assert payment.transfer_id is not None, "checked before"
    return TransferRow(
        transfer_id=payment.transfer_id,
        reported_by=institution,
        booked_at=format_time(payment.booked_at),
        debtor_bank=payment.debtor_bank,
        debtor_account=payment.debtor_account,
        creditor_bank=payment.creditor_bank,
        creditor_account=payment.creditor_account,
        amount_minor=payment.amount_minor,
        currency=payment.currency,
    )
