"""Reports: their rows in PostgreSQL. SQL only; private to the stage."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from openaoc.storage.recordset import inserting, rows_of
from openaoc.storage.tables import metadata, moment
from openaoc.storage.unit_of_work import Transaction

reports: Final = sa.Table(
    "reports",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("case_id", sa.Text, nullable=False),
    sa.Column("sender", sa.Text, nullable=False),
    sa.Column("sender_institution", sa.Text),
    sa.Column("own_key", sa.Boolean, nullable=False),
    sa.Column("source_ref", sa.Text),
    sa.Column("idempotency_key", sa.Text),
    sa.Column("digest", sa.LargeBinary, nullable=False),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("reported_at", moment, nullable=False),
    sa.Column("received_at", moment, nullable=False),
    sa.Column("language", sa.Text, nullable=False),
    sa.Column("narrative", sa.Text, nullable=False),
    sa.Column("scam_type", sa.Text),
    sa.Column("proof_kind", sa.Text, nullable=False),
    sa.Column("bank_case_id", sa.Text),
    sa.Column("has_identity", sa.Boolean, nullable=False),
    sa.Column("receipt", sa.LargeBinary, nullable=False),
)
"""`receipt` is the answer given, without its secret."""

payments: Final = sa.Table(
    "report_payments",
    metadata,
    sa.Column("report_id", sa.Text, primary_key=True),
    sa.Column("no", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("transfer_id", sa.Text),
    sa.Column("reported_by", sa.Text),
    sa.Column("booked_at", moment, nullable=False),
    sa.Column("debtor_bank", sa.Text, nullable=False),
    sa.Column("debtor_account", sa.Text, nullable=False),
    sa.Column("creditor_bank", sa.Text, nullable=False),
    sa.Column("creditor_account", sa.Text, nullable=False),
    sa.Column("amount_minor", sa.BigInteger, nullable=False),
    sa.Column("currency", sa.Text, nullable=False),
    sa.Column("matched_by", sa.Text),
    sa.Column("matched_id", sa.Text),
    sa.Column("candidates", sa.Integer, nullable=False),
    sa.Column("confirmed_by", sa.Text),
    sa.Column("confirmed_at", moment),
    sa.Column("control_proven_at", moment),
)

indicators: Final = sa.Table(
    "report_indicators",
    metadata,
    sa.Column("report_id", sa.Text, primary_key=True),
    sa.Column("no", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("value", sa.Text, nullable=False),
)


class ReportRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `reports`."""

    id: str
    case_id: str
    sender: str
    sender_institution: str | None
    own_key: bool
    """Sent by an institution's system under its own key."""
    source_ref: str | None
    idempotency_key: str | None
    digest: bytes
    channel: str
    reported_at: datetime
    received_at: datetime
    language: str
    narrative: str
    scam_type: str | None
    proof_kind: str
    bank_case_id: str | None
    has_identity: bool
    receipt: bytes


class PaymentRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `report_payments`."""

    report_id: str
    no: int
    transfer_id: str | None
    reported_by: str | None
    booked_at: datetime
    debtor_bank: str
    debtor_account: str
    creditor_bank: str
    creditor_account: str
    amount_minor: int
    currency: str
    matched_by: str | None
    matched_id: str | None
    candidates: int
    confirmed_by: str | None = None
    confirmed_at: datetime | None = None
    control_proven_at: datetime | None = None
    """When whoever reported proved to control the paying account."""


class IndicatorRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `report_indicators`."""

    report_id: str
    no: int
    kind: str
    value: str


class Earlier(msgspec.Struct, frozen=True, kw_only=True):
    """A report that was filed before under the same reference or key."""

    sender: str
    source_ref: str | None
    idempotency_key: str | None
    digest: bytes
    case_id: str
    receipt: bytes


def earlier(
    connection: Connection, *, refs: Sequence[tuple[str, str]], keys: Sequence[tuple[str, str]]
) -> list[Earlier]:
    """Reports under these (sender, source_ref) or (sender, idempotency_key) pairs."""
    found: list[Earlier] = []
    for column, pairs in ((reports.c.source_ref, refs), (reports.c.idempotency_key, keys)):
        if not pairs:
            continue
        statement = sa.select(
            reports.c.sender,
            reports.c.source_ref,
            reports.c.idempotency_key,
            reports.c.digest,
            reports.c.case_id,
            reports.c.receipt,
        ).where(sa.tuple_(reports.c.sender, column).in_(list(pairs)))
        found += [
            Earlier(
                sender=row.sender,
                source_ref=row.source_ref,
                idempotency_key=row.idempotency_key,
                digest=bytes(row.digest),
                case_id=row.case_id,
                receipt=bytes(row.receipt),
            )
            for row in connection.execute(statement)
        ]
    return found


def add(
    tx: Transaction,
    *,
    filed: Sequence[ReportRow],
    paid: Sequence[PaymentRow],
    named: Sequence[IndicatorRow],
) -> None:
    """Insert reports with their payments and indicators, before the commit."""
    for statement, rows in ((_ADD, filed), (_ADD_PAYMENTS, paid), (_ADD_INDICATORS, named)):
        if rows:
            tx.write(statement, rows_of(rows))


_ADD: Final = inserting(reports, [c.name for c in reports.columns])
_ADD_PAYMENTS: Final = inserting(payments, [c.name for c in payments.columns])
_ADD_INDICATORS: Final = inserting(indicators, [c.name for c in indicators.columns])


def of_case(connection: Connection, case_id: str) -> list[ReportRow]:
    """The reports of one case, oldest first."""
    statement = (
        sa.select(reports)
        .where(reports.c.case_id == case_id)
        .order_by(reports.c.received_at, reports.c.id)
    )
    return [_report(row) for row in connection.execute(statement)]


def payments_of(connection: Connection, report_ids: Sequence[str]) -> list[PaymentRow]:
    """The payments of these reports, by report and number."""
    statement = (
        sa.select(payments)
        .where(payments.c.report_id.in_(list(report_ids)))
        .order_by(payments.c.report_id, payments.c.no)
    )
    rows = connection.execute(statement)
    return [
        PaymentRow(**row._mapping)  # noqa: SLF001 - SQLAlchemy's documented way to a row's names
        for row in rows
    ]


def indicators_of(connection: Connection, report_ids: Sequence[str]) -> list[IndicatorRow]:
    """The indicators of these reports, by report and number."""
    statement = (
        sa.select(indicators)
        .where(indicators.c.report_id.in_(list(report_ids)))
        .order_by(indicators.c.report_id, indicators.c.no)
    )
    rows = connection.execute(statement)
    return [
        IndicatorRow(**row._mapping)  # noqa: SLF001 - SQLAlchemy's documented way to a row's names
        for row in rows
    ]


def by_ids(connection: Connection, report_ids: Sequence[str]) -> list[ReportRow]:
    """These reports, in the order in which they came."""
    statement = (
        sa.select(reports)
        .where(reports.c.id.in_(list(report_ids)))
        .order_by(reports.c.received_at, reports.c.id)
    )
    return [_report(row) for row in connection.execute(statement)]


def of_cases(connection: Connection, case_ids: Sequence[str]) -> list[ReportRow]:
    """The reports of these cases."""
    statement = sa.select(reports).where(reports.c.case_id.in_(list(case_ids)))
    return [_report(row) for row in connection.execute(statement)]


def unmatched(connection: Connection, case_ids: Sequence[str]) -> list[tuple[str, PaymentRow]]:
    """(case, payment) of these cases' payments that no transfer was found for."""
    statement = (
        sa.select(reports.c.case_id, *payments.c)
        .join(payments, payments.c.report_id == reports.c.id)
        .where(
            reports.c.case_id == sa.any_(sa.bindparam("ids", type_=sa.ARRAY(sa.Text))),
            payments.c.matched_id.is_(None),
        )
        .order_by(reports.c.case_id, payments.c.report_id, payments.c.no)
    )
    found = []
    for row in connection.execute(statement, {"ids": list(case_ids)}):
        values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's documented way to a row's names
        case_id = values.pop("case_id")
        found.append((case_id, PaymentRow(**values)))
    return found


def confirm(
    connection: Connection, *, report_id: str, no: int, institution: str, at: datetime
) -> bool:
    """Note that the payer's institution confirmed a payment; False when it was before."""
    statement = (
        sa.update(payments)
        .where(payments.c.report_id == report_id, payments.c.no == no)
        .where(payments.c.confirmed_by.is_(None))
        .values(confirmed_by=institution, confirmed_at=at)
    )
    return connection.execute(statement).rowcount == 1


def set_match(
    connection: Connection, *, report_id: str, no: int, matched_by: str, matched_id: str
) -> None:
    """A person, or a later transfer, said which transfer the payment is."""
    connection.execute(
        sa.update(payments)
        .where(payments.c.report_id == report_id, payments.c.no == no)
        .values(matched_by=matched_by, matched_id=matched_id, candidates=1)
    )


def filed(connection: Connection, report_ids: Sequence[str]) -> set[str]:
    """Which of these reports there are."""
    statement = sa.select(reports.c.id).where(reports.c.id.in_(list(report_ids)))
    return {row[0] for row in connection.execute(statement)}


def count_of(connection: Connection, case_id: str) -> int:
    """How many reports a case has."""
    statement = sa.select(sa.func.count()).where(reports.c.case_id == case_id)
    return int(connection.execute(statement).scalar_one())


def _report(row: sa.Row[tuple[object, ...]]) -> ReportRow:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's documented way to a row's names
    for name in ("digest", "receipt"):
        values[name] = bytes(values[name])
    return ReportRow(**values)
