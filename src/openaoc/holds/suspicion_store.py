"""Suspicion: its rows in PostgreSQL. SQL only; private."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Connection

from openaoc.holds.suspicion_model import CASES_SHOWN_MAX, STILL, Suspicion
from openaoc.storage.tables import metadata, moment

suspicions: Final = sa.Table(
    "hold_suspicions",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), unique=True),
    sa.Column("institution", sa.Text, nullable=False),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("currency", sa.Text, nullable=False),
    sa.Column("amount_minor", sa.BigInteger, nullable=False),
    sa.Column("grounds", sa.Text, nullable=False),
    sa.Column("bank_case_id", sa.Text),
    sa.Column("rule", sa.Text, nullable=False),
    sa.Column("rule_version", sa.Integer, nullable=False),
    sa.Column("legal_basis", postgresql.JSONB, nullable=False),
    sa.Column("held_at", moment, nullable=False),
    sa.Column("told_at", moment, nullable=False),
    sa.Column("told_by", sa.Text, nullable=False),
    sa.Column("ends_at", moment, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("authority", sa.Text),
    sa.Column("ended_at", moment),
    sa.Column("end_reason", sa.Text),
)
_STILL: Final = sorted(state.value for state in STILL)
_CHANGING: Final = ("ends_at", "state", "authority", "ended_at", "end_reason")


def add(connection: Connection, one: Suspicion) -> None:
    """Insert one."""
    values = msgspec.structs.asdict(one)
    values["legal_basis"] = msgspec.to_builtins(one.legal_basis)
    del values["sequence"], values["cases"]
    connection.execute(sa.insert(suspicions).values(**values))


def save(connection: Connection, one: Suspicion) -> None:
    """Write what may change of it."""
    values = {name: getattr(one, name) for name in _CHANGING}
    connection.execute(sa.update(suspicions).where(suspicions.c.id == one.id).values(**values))


def get(connection: Connection, suspicion_id: str, *, lock: bool) -> Suspicion | None:
    """One, locked for this transaction when asked."""
    statement = sa.select(suspicions).where(suspicions.c.id == suspicion_id)
    row = connection.execute(statement.with_for_update() if lock else statement).one_or_none()
    return None if row is None else _read(row)


def page(
    connection: Connection, *, institution: str | None, before: int | None, limit: int
) -> list[Suspicion]:
    """Newest first, before a place in the list."""
    statement = sa.select(suspicions).order_by(suspicions.c.sequence.desc()).limit(limit)
    if institution is not None:
        statement = statement.where(suspicions.c.institution == institution)
    if before is not None:
        statement = statement.where(suspicions.c.sequence < before)
    return [_read(row) for row in connection.execute(statement)]


def ending(connection: Connection, *, now: datetime, limit: int) -> list[Suspicion]:
    """Those still held whose end has come, locked; others' are left out."""
    statement = (
        sa.select(suspicions)
        .where(suspicions.c.ends_at <= now, suspicions.c.state.in_(_STILL))
        .order_by(suspicions.c.ends_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [_read(row) for row in connection.execute(statement)]


def cases_on(connection: Connection, places: Sequence[Suspicion]) -> dict[str, list[str]]:
    """By suspicion: the cases with an order on its account, by number; bounded."""
    statement = sa.text(
        "SELECT s.id, array(SELECT DISTINCT o.case_id FROM hold_orders o"
        " WHERE (o.institution, o.account, o.currency) = (s.institution, s.account, s.currency)"
        " ORDER BY 1 LIMIT :most) AS cases"
        " FROM hold_suspicions s WHERE s.id = ANY(:ids)"
    )
    rows = connection.execute(
        statement, {"ids": [one.id for one in places], "most": CASES_SHOWN_MAX}
    )
    return {row.id: list(row.cases) for row in rows}


def _read(row: sa.Row[tuple[object, ...]]) -> Suspicion:
    named = row._mapping  # noqa: SLF001 - SQLAlchemy's documented way to a row's names
    return msgspec.convert({str(name): value for name, value in named.items()}, Suspicion)
