"""Reports: the stage's verbs: normalise, find repeats, match to the ledger, keep.

Works in the caller's transaction. Never decides what follows from a report.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import groupby
from typing import Final, Protocol

import msgspec

from openaoc.kernel.actor import CITIZEN, Actor
from openaoc.kernel.clock import to_us
from openaoc.kernel.errors import BadInput, TooLarge
from openaoc.kernel.events import Event
from openaoc.kernel.identifiers.bank_account import normalise_account, normalise_bank
from openaoc.kernel.identifiers.kinds import Kind, UnknownKind, kind_named, normalise
from openaoc.kernel.money import check_currency
from openaoc.ledger.model import AccountName, Transfer
from openaoc.reports import store
from openaoc.reports.matching import (
    WINDOW,
    Candidate,
    Match,
    match_by_parties,
    match_exact,
)
from openaoc.reports.model import (
    IDEMPOTENCY_KEY_CHARACTERS_MAX,
    Indicator,
    MixedCurrencies,
    Payment,
    RepeatedDifferently,
    Report,
    ReportReceipt,
)
from openaoc.reports.store import Earlier, IndicatorRow, PaymentRow, ReportRow
from openaoc.storage.journal_rows import JournalEntry
from openaoc.storage.unit_of_work import Transaction

__all__ = ["Earlier", "IndicatorRow", "PaymentRow", "ReportMark", "ReportRow", "Reports"]


PERSONS_PER_REPORT_MAX: Final = 10
"""Each pseudonym takes some 50 ms to make."""
UNREADABLE: Final = "unreadable"
FILED: Final = "reports.report.filed"
"""The event of each report that is kept."""


class LedgerFinder(Protocol):
    """What matching needs of the ledger; `ledger.service.Ledger` is one."""

    def find(self, *, reported_by: str, transfer_id: str) -> int | None:
        """The row of a transfer, by reporter and id."""
        ...

    def transfer(self, row: int) -> Transfer:
        """The transfer in a row."""
        ...

    def account_index(self, bank: str, account: str, currency: str, /) -> int | None:
        """The number of an account."""
        ...

    def candidates(
        self, *, debtor: int, creditor: int, amount_minor: int, around_us: int, window_us: int
    ) -> Sequence[int]:
        """Rows between two accounts of this amount, within a window on either side of a time."""
        ...


class ReportMark(msgspec.Struct, frozen=True, kw_only=True):
    """A report in the journal: its digest, never its words."""

    case: str
    channel: str
    digest: str
    payments: int
    matched: int
    indicators: int
    identity_sealed: bool

    @classmethod
    def of(cls, report: Filed) -> ReportMark:
        """The mark of this report."""
        return cls(
            case=report.row.case_id,
            channel=report.row.channel,
            digest=report.row.digest.hex(),
            payments=len(report.payments),
            matched=sum(p.matched_id is not None for p in report.payments),
            indicators=len(report.indicators),
            identity_sealed=report.row.has_identity,
        )


class Filed(msgspec.Struct, frozen=True, kw_only=True):
    """A report ready to be kept."""

    row: ReportRow
    payments: list[PaymentRow]
    indicators: list[IndicatorRow]
    authority: str


class Reports:
    """The verbs of reports. One instance per centre."""

    def __init__(self, ledger: LedgerFinder) -> None:
        self._ledger = ledger

    def match(self, payment: Payment) -> Match:
        """Which transfer a normalised payment is; nothing for parties the ledger does not know."""
        if payment.transfer_id is not None:
            by_id = match_exact(self._by_id(payment), amount_minor=payment.amount_minor)
            if by_id.row is not None:
                return by_id
        debtor, creditor = (
            self._ledger.account_index(bank, account, payment.currency)
            for bank, account in (
                (payment.debtor_bank, payment.debtor_account),
                (payment.creditor_bank, payment.creditor_account),
            )
        )
        if debtor is None or creditor is None:
            return Match(row=None, candidates=0)
        rows = self._ledger.candidates(
            debtor=debtor,
            creditor=creditor,
            amount_minor=payment.amount_minor,
            around_us=to_us(payment.booked_at),
            window_us=int(WINDOW.total_seconds() * 1_000_000),
        )
        found = [self._candidate(row, payment) for row in rows]
        return match_by_parties(
            [c for c in found if c is not None],
            amount_minor=payment.amount_minor,
            booked_at=payment.booked_at,
        )

    def named(self, row: int) -> tuple[str, str]:
        """(reporter, id) of a transfer: how it is kept, because rows move."""
        transfer = self._ledger.transfer(row)
        return transfer.reported_by, transfer.transfer_id

    def row_of(self, *, reported_by: str, transfer_id: str) -> int | None:
        """The row of a transfer now."""
        return self._ledger.find(reported_by=reported_by, transfer_id=transfer_id)

    def earlier(
        self, tx: Transaction, *, refs: Sequence[tuple[str, str]], keys: Sequence[tuple[str, str]]
    ) -> list[Earlier]:
        """Reports that were filed before under one of these references or keys."""
        return store.earlier(tx.connection, refs=refs, keys=keys)

    def keep(self, tx: Transaction, filed: Sequence[Filed]) -> None:
        """Add reports with payments and indicators, and a journal row each."""
        store.add(
            tx,
            filed=[f.row for f in filed],
            paid=[p for f in filed for p in f.payments],
            named=[i for f in filed for i in f.indicators],
        )
        tx.journal_many(
            [
                JournalEntry(
                    action=FILED,
                    subject=report.row.id,
                    after=ReportMark.of(report),
                    authority=report.authority,
                )
                for report in filed
            ]
        )
        for report in filed:
            tx.emit(Event(name=FILED, subject=report.row.id, at=tx.now))

    def of_case(self, tx: Transaction, case_id: str) -> list[ReportRow]:
        """A case's reports, oldest first."""
        return store.of_case(tx.connection, case_id)

    def payments_of(self, tx: Transaction, report_ids: Sequence[str]) -> list[PaymentRow]:
        """The payments of these reports."""
        return store.payments_of(tx.connection, report_ids)

    def indicators_of(self, tx: Transaction, report_id: str) -> list[IndicatorRow]:
        """What a report names the deceivers by."""
        return store.indicators_of(tx.connection, [report_id])

    def whole(
        self, tx: Transaction, report_ids: Sequence[str]
    ) -> list[tuple[ReportRow, list[PaymentRow], list[IndicatorRow]]]:
        """These reports with their payments and indicators."""
        paid = groupby(store.payments_of(tx.connection, report_ids), lambda p: p.report_id)
        named = groupby(store.indicators_of(tx.connection, report_ids), lambda i: i.report_id)
        payments = {report: list(rows) for report, rows in paid}
        indicators = {report: list(rows) for report, rows in named}
        return [
            (row, payments.get(row.id, []), indicators.get(row.id, []))
            for row in store.by_ids(tx.connection, report_ids)
        ]

    def payers_bank(self, tx: Transaction, report_id: str) -> str:
        """The institution the report's first payment was made from."""
        return self.payments_of(tx, [report_id])[0].debtor_bank

    def of_cases(self, tx: Transaction, case_ids: Sequence[str]) -> list[ReportRow]:
        """The reports of these cases."""
        return store.of_cases(tx.connection, case_ids)

    def unmatched(self, tx: Transaction, case_ids: Sequence[str]) -> list[tuple[str, PaymentRow]]:
        """(case, payment) of these cases' payments that no transfer was found for."""
        return store.unmatched(tx.connection, case_ids) if case_ids else []

    def filed(self, tx: Transaction, report_ids: Sequence[str]) -> set[str]:
        """Which of these reports there are."""
        return store.filed(tx.connection, report_ids) if report_ids else set()

    def count(self, tx: Transaction, case_id: str) -> int:
        """How many reports a case has."""
        return store.count_of(tx.connection, case_id)

    def confirm(self, tx: Transaction, *, report_id: str, no: int, institution: str) -> bool:
        """Note that the payer's institution confirmed a payment; False when it was before."""
        return store.confirm(
            tx.connection, report_id=report_id, no=no, institution=institution, at=tx.now
        )

    def set_match(self, tx: Transaction, *, report_id: str, no: int, row: int) -> None:
        """Note which transfer a payment is."""
        reporter, transfer_id = self.named(row)
        store.set_match(
            tx.connection,
            report_id=report_id,
            no=no,
            matched_by=reporter,
            matched_id=transfer_id,
        )

    def _by_id(self, payment: Payment) -> Candidate | None:
        assert payment.transfer_id is not None, "the caller asked"
        for reporter in dict.fromkeys(
            (payment.reported_by or payment.debtor_bank, payment.debtor_bank, payment.creditor_bank)
        ):
            row = self._ledger.find(reported_by=reporter, transfer_id=payment.transfer_id)
            if row is not None:
                return self._candidate(row, payment)
        return None

    def _candidate(self, row: int, payment: Payment) -> Candidate | None:
        transfer = self._ledger.transfer(row)
        debtor = AccountName(
            bank=payment.debtor_bank, account=payment.debtor_account, currency=payment.currency
        )
        creditor = transfer.creditor
        same_creditor = creditor is None or (creditor.bank, creditor.account) == (
            payment.creditor_bank,
            payment.creditor_account,
        )
        if creditor == transfer.debtor:
            return None  # from an account to itself: changes nothing and cannot be an origin
        return Candidate(
            row=row,
            booked_at=transfer.booked_at,
            amount_minor=transfer.amount_minor,
            same_parties=transfer.debtor == debtor and same_creditor,
        )


def normalised(report: Report) -> Report:
    """The report with banks, accounts and currencies as the ledger writes them.

    Raises BadInput with the JSON path, MixedCurrencies.
    """
    payments = [_normal(p, where=f"$.payments[{i}]") for i, p in enumerate(report.payments)]
    if len({p.currency for p in payments}) > 1:
        raise MixedCurrencies("one report, one currency", where="$.payments")
    for text, where in ((report.narrative, "$.narrative"), (report.scam_type or "", "$.scam_type")):
        if "\x00" in text:
            raise BadInput("a NUL character", where=where)
    for i, indicator in enumerate(report.indicators):
        if "\x00" in indicator.kind + indicator.value:
            raise BadInput("a NUL character", where=f"$.indicators[{i}]")
    persons = sum(_names_a_person(one) for one in report.indicators)
    if persons > PERSONS_PER_REPORT_MAX:
        raise BadInput(f"at most {PERSONS_PER_REPORT_MAX} persons", where="$.indicators")
    for text, where in (
        (report.source_ref or "", "$.source_ref"),
        (report.language, "$.language"),
        (report.proof.bank_case_id or "", "$.proof.bank_case_id"),
    ):
        if not text.isprintable():
            raise BadInput("a control character", where=where)
    named = [_without_document(one) for one in report.indicators]
    return msgspec.structs.replace(report, payments=payments, indicators=named)


def _names_a_person(one: Indicator) -> bool:
    try:
        return kind_named(one.kind) is Kind.PERSON
    except UnknownKind:
        return False


def _without_document(one: Indicator) -> Indicator:
    """A person's pseudonym in place of the document, and nothing of what cannot be read."""
    if not _names_a_person(one):
        return one
    try:
        value = normalise(Kind.PERSON, one.value)
    except BadInput:
        value = UNREADABLE
    return Indicator(kind=Kind.PERSON.value, value=value)


def _normal(payment: Payment, *, where: str) -> Payment:
    reporter = payment.reported_by
    if payment.transfer_id is not None and not payment.transfer_id.isprintable():
        raise BadInput("a control character", where=f"{where}.transfer_id")
    return msgspec.structs.replace(
        payment,
        debtor_bank=normalise_bank(payment.debtor_bank, where=f"{where}.debtor_bank"),
        debtor_account=normalise_account(payment.debtor_account, where=f"{where}.debtor_account"),
        creditor_bank=normalise_bank(payment.creditor_bank, where=f"{where}.creditor_bank"),
        creditor_account=normalise_account(
            payment.creditor_account, where=f"{where}.creditor_account"
        ),
        currency=check_currency(payment.currency, where=f"{where}.currency"),
        reported_by=None
        if reporter is None
        else normalise_bank(reporter, where=f"{where}.reported_by"),
    )


def digest_of(report: Report) -> bytes:
    """What tells one body from another, for the same idempotency key."""
    return hashlib.sha256(msgspec.json.encode(report)).digest()


def check_key(key: str) -> str | None:
    """The idempotency key, None for an empty one. Raises BadInput, TooLarge."""
    if len(key) > IDEMPOTENCY_KEY_CHARACTERS_MAX:
        raise TooLarge(f"at most {IDEMPOTENCY_KEY_CHARACTERS_MAX}", where="Idempotency-Key")
    if not key.isprintable():
        raise BadInput("a control character", where="Idempotency-Key")
    return key or None


def source_of(report: Report, sender: Actor) -> str | None:
    """The reference under which the sender files the report once.

    Unsigned citizens share one name, so a reference of theirs says nothing.
    """
    return None if sender.id == CITIZEN.id else report.source_ref


def same_report(found: Earlier, *, key: str | None, digest: bytes) -> Earlier:
    """The earlier report. Raises RepeatedDifferently for its key with another body."""
    if key is not None and found.idempotency_key == key and found.digest != digest:
        raise RepeatedDifferently("this Idempotency-Key came before with another body")
    return found


def decode_receipt(data: bytes, *, secret: str) -> ReportReceipt:
    """The receipt given before, with the case's secret again."""
    receipt = msgspec.json.decode(data, type=ReportReceipt)
    return msgspec.structs.replace(receipt, secret=secret)
