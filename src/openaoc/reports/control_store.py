"""Reports: checks of account control in PostgreSQL. SQL only; private to the stage."""

from __future__ import annotations

from datetime import datetime
from typing import Final, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from openaoc.reports.store import payments, reports
from openaoc.storage.tables import metadata, moment

checks: Final = sa.Table(
    "control_checks",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("case_id", sa.Text, nullable=False),
    sa.Column("bank", sa.Text, nullable=False),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("asked_by", sa.Text, nullable=False),
    sa.Column("asked_at", moment, nullable=False),
    sa.Column("ends_at", moment, nullable=False),
    sa.Column("wrong", sa.Integer, nullable=False),
    sa.Column("proven_at", moment),
)


class CheckRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `control_checks`. `wrong`: how many wrong codes were tried."""

    id: str
    case_id: str
    bank: str
    account: str
    asked_by: str
    asked_at: datetime
    ends_at: datetime
    wrong: int = 0
    proven_at: datetime | None = None


class Counts(NamedTuple):
    """Checks asked since some moment: of the account, of the case, by the sender."""

    account: int
    case: int
    sender: int


def add(connection: Connection, check: CheckRow) -> None:
    """Insert a check."""
    connection.execute(sa.insert(checks).values(**msgspec.structs.asdict(check)))


def save(connection: Connection, check: CheckRow) -> None:
    """Write what may change of a check."""
    connection.execute(
        sa.update(checks)
        .where(checks.c.id == check.id)
        .values(wrong=check.wrong, proven_at=check.proven_at)
    )


def standing(
    connection: Connection, *, case_id: str, now: datetime, lock: bool = False
) -> list[CheckRow]:
    """The case's checks whose time is not over, oldest first; locked when asked."""
    query = (
        sa.select(checks)
        .where(checks.c.case_id == case_id, checks.c.ends_at > now)
        .order_by(checks.c.asked_at, checks.c.id)
    )
    rows = connection.execute(query.with_for_update() if lock else query)
    return [
        CheckRow(**row._mapping)  # noqa: SLF001 - SQLAlchemy's documented way to a row's names
        for row in rows
    ]


def counts(
    connection: Connection, *, case_id: str, bank: str, account: str, by: str, since: datetime
) -> Counts:
    """How many checks were asked since that moment; each by its own index."""

    def number(*conditions: sa.ColumnElement[bool]) -> int:
        query = sa.select(sa.func.count()).where(checks.c.asked_at > since, *conditions)
        return int(connection.execute(query).scalar_one())

    return Counts(
        account=number(checks.c.bank == bank, checks.c.account == account),
        case=number(checks.c.case_id == case_id),
        sender=number(checks.c.asked_by == by),
    )


def proofs(connection: Connection, *, bank: str, account: str, since: datetime) -> int:
    """How many cases the account's holder proved since that moment."""
    query = sa.select(sa.func.count(sa.distinct(checks.c.case_id))).where(
        checks.c.bank == bank, checks.c.account == account, checks.c.proven_at > since
    )
    return int(connection.execute(query).scalar_one())


def mark_payments(connection: Connection, check: CheckRow, *, at: datetime) -> None:
    """The case's payments from the check's account are proven."""
    of_case = sa.select(reports.c.id).where(reports.c.case_id == check.case_id)
    connection.execute(
        sa.update(payments)
        .where(payments.c.report_id.in_(of_case))
        .where(payments.c.debtor_bank == check.bank, payments.c.debtor_account == check.account)
        .where(payments.c.control_proven_at.is_(None))
        .values(control_proven_at=at)
    )
