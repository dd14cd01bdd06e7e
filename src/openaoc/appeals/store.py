"""Appeals: contests and compensation in PostgreSQL. SQL only; private to the stage."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Connection

from openaoc.appeals.model import OPEN, AppealState, CompensationView
from openaoc.appeals.record import AppealRecord
from openaoc.holds.model import ENDED
from openaoc.storage.tables import metadata, moment

appeals: Final = sa.Table(
    "appeals",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), unique=True),
    sa.Column("order_id", sa.Text, nullable=False),
    sa.Column("case_id", sa.Text, nullable=False),
    sa.Column("institution", sa.Text, nullable=False),
    sa.Column("currency", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("language", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("filed_at", moment, nullable=False),
    sa.Column("answer_by", moment, nullable=False),
    sa.Column("last_at", moment, nullable=False),
    sa.Column("held_minor", sa.BigInteger, nullable=False),
    sa.Column("statements", sa.Integer, nullable=False),
    sa.Column("evidence", postgresql.JSONB),
    sa.Column("taken_by", sa.Text),
    sa.Column("proposal", postgresql.JSONB),
    sa.Column("proposed_by", sa.Text),
    sa.Column("persons_needed", sa.Integer, nullable=False),
    sa.Column("decided_by", sa.Text),
    sa.Column("decided_at", moment),
    sa.Column("released_minor", sa.BigInteger, nullable=False),
    sa.Column("escalated_at", moment),
    sa.Column("overdue_at", moment),
    sa.Column("late_reason", sa.Text),
)

statements: Final = sa.Table(
    "appeal_statements",
    metadata,
    sa.Column("appeal_id", sa.Text, primary_key=True),
    sa.Column("no", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", moment, nullable=False),
)

compensations: Final = sa.Table(
    "compensations",
    metadata,
    sa.Column("appeal_id", sa.Text, primary_key=True),
    sa.Column("order_id", sa.Text, nullable=False),
    sa.Column("case_id", sa.Text, nullable=False),
    sa.Column("institution", sa.Text, nullable=False),
    sa.Column("currency", sa.Text, nullable=False),
    sa.Column("wrongful_minor", sa.BigInteger, nullable=False),
    sa.Column("held_from", moment, nullable=False),
    sa.Column("held_until", moment, nullable=False),
    sa.Column("minor_hours", sa.BigInteger, nullable=False),
    sa.Column("cause", sa.Text, nullable=False),
    sa.Column("rule", sa.Text, nullable=False),
    sa.Column("reporter", sa.Text, nullable=False),
    sa.Column("issued_by", postgresql.JSONB, nullable=False),
    sa.Column("at", moment, nullable=False),
)

_OPEN: Final = sorted(state.value for state in OPEN)


def _row(appeal: AppealRecord) -> dict[str, object]:
    values = msgspec.structs.asdict(appeal)
    values["state"] = appeal.state.value
    for name in ("evidence", "proposal"):
        found = values[name]
        values[name] = sa.null() if found is None else msgspec.to_builtins(found)
    del values["sequence"]
    return values


def _appeal(row: sa.Row[tuple[object, ...]]) -> AppealRecord:
    named = row._mapping  # noqa: SLF001 - SQLAlchemy's documented way to a row's names
    return msgspec.convert({str(name): value for name, value in named.items()}, AppealRecord)


def add(connection: Connection, appeal: AppealRecord) -> None:
    """Insert a contest."""
    connection.execute(sa.insert(appeals).values(_row(appeal)))


def save(connection: Connection, appeal: AppealRecord) -> None:
    """Write what changed of a contest."""
    values = _row(appeal)
    del values["id"]
    connection.execute(sa.update(appeals).where(appeals.c.id == appeal.id).values(values))


def get(connection: Connection, appeal_id: str, *, lock: bool = False) -> AppealRecord | None:
    """One contest, locked for this transaction when asked."""
    statement = sa.select(appeals).where(appeals.c.id == appeal_id)
    if lock:
        statement = statement.with_for_update()
    row = connection.execute(statement).first()
    return None if row is None else _appeal(row)


def of_order(connection: Connection, order_id: str, *, lock: bool = False) -> list[AppealRecord]:
    """All contests of an order, the newest first."""
    statement = (
        sa.select(appeals).where(appeals.c.order_id == order_id).order_by(appeals.c.sequence.desc())
    )
    if lock:
        statement = statement.with_for_update()
    return [_appeal(row) for row in connection.execute(statement)]


def page(
    connection: Connection, *, state: AppealState | None, after: int | None, limit: int
) -> list[AppealRecord]:
    """Contests in order of filing, after a place in the list; without a state the open ones."""
    statement = sa.select(appeals).order_by(appeals.c.sequence).limit(limit)
    wanted = _OPEN if state is None else [state.value]
    statement = statement.where(appeals.c.state.in_(wanted))
    if after is not None:
        statement = statement.where(appeals.c.sequence > after)
    return [_appeal(row) for row in connection.execute(statement)]


def late(connection: Connection, *, now: datetime, limit: int) -> list[AppealRecord]:
    """Open contests past their promised answer and not yet escalated, locked."""
    return _due(connection, appeals.c.answer_by, appeals.c.escalated_at, now=now, limit=limit)


def overdue(connection: Connection, *, now: datetime, limit: int) -> list[AppealRecord]:
    """Open contests past their latest answer and not yet marked so, locked."""
    return _due(connection, appeals.c.last_at, appeals.c.overdue_at, now=now, limit=limit)


def of_ended(connection: Connection, *, limit: int) -> list[AppealRecord]:
    """Open contests whose hold has ended, locked; those that somebody works on are left out."""
    orders = sa.table("hold_orders", sa.column("id", sa.Text), sa.column("state", sa.Text))
    statement = (
        sa.select(appeals)
        .join(orders, orders.c.id == appeals.c.order_id)
        .where(appeals.c.state.in_(_OPEN), orders.c.state.in_([one.value for one in ENDED]))
        .order_by(appeals.c.sequence)
        .limit(limit)
        .with_for_update(of=appeals, skip_locked=True)
    )
    return [_appeal(row) for row in connection.execute(statement)]


def any_overdue(connection: Connection, *, now: datetime) -> bool:
    """Whether `overdue` would find one; locks nothing."""
    found = sa.select(appeals.c.id).where(
        appeals.c.state.in_(_OPEN), appeals.c.last_at <= now, appeals.c.overdue_at.is_(None)
    )
    return connection.execute(found.limit(1)).first() is not None


def _due(
    connection: Connection,
    clock: sa.Column[datetime],
    mark: sa.Column[datetime],
    *,
    now: datetime,
    limit: int,
) -> list[AppealRecord]:
    statement = (
        sa.select(appeals)
        .where(appeals.c.state.in_(_OPEN), clock <= now, mark.is_(None))
        .order_by(clock)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [_appeal(row) for row in connection.execute(statement)]


def add_statement(connection: Connection, *, appeal_id: str, no: int, at: datetime) -> None:
    """Note that a statement was sealed."""
    connection.execute(sa.insert(statements).values(appeal_id=appeal_id, no=no, at=at))


def add_compensation(connection: Connection, record: CompensationView) -> None:
    """Insert a compensation record."""
    values = msgspec.structs.asdict(record)
    for name in ("appeal", "order", "case"):
        values[f"{name}_id"] = values.pop(name)
    connection.execute(sa.insert(compensations).values(values))


def newest_compensations(connection: Connection, *, limit: int) -> Sequence[CompensationView]:
    """The newest compensation records."""
    statement = sa.select(compensations).order_by(compensations.c.at.desc()).limit(limit)
    found = []
    for row in connection.execute(statement):
        values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's documented way to a row's names
        for name in ("appeal", "order", "case"):
            values[name] = values.pop(f"{name}_id")
        found.append(CompensationView(**values))
    return found
