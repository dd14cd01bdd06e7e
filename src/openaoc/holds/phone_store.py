"""Holds: answers given by voice, in PostgreSQL. SQL only; private to the stage."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from openaoc.storage.tables import metadata, moment

answers: Final = sa.Table(
    "hold_phone_answers",
    metadata,
    sa.Column("order_id", sa.Text, primary_key=True),
    sa.Column("institution", sa.Text, nullable=False),
    sa.Column("agent", sa.Text, nullable=False),
    sa.Column("spoken_at", moment, nullable=False),
    sa.Column("typed_at", moment, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("applied_minor", sa.BigInteger, nullable=False),
    sa.Column("confirmed_at", moment),
)


class PhoneRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `hold_phone_answers`; `confirmed_at`: when the system's own answer came."""

    order_id: str
    institution: str
    agent: str
    spoken_at: datetime
    typed_at: datetime
    outcome: str
    applied_minor: int
    confirmed_at: datetime | None


def add(connection: Connection, row: PhoneRow) -> None:
    """Insert an answer given by voice."""
    connection.execute(sa.insert(answers).values(msgspec.structs.asdict(row)))


def unconfirmed(connection: Connection, order_ids: Sequence[str]) -> set[str]:
    """Which of these orders were answered by voice alone so far."""
    if not order_ids:
        return set()
    statement = sa.select(answers.c.order_id).where(
        answers.c.order_id.in_(list(order_ids)), answers.c.confirmed_at.is_(None)
    )
    return {str(row.order_id) for row in connection.execute(statement)}


def confirm(connection: Connection, order_ids: Sequence[str], *, at: datetime) -> None:
    """The systems' own answers to these orders came: one statement."""
    if order_ids:
        statement = sa.update(answers).where(answers.c.order_id.in_(list(order_ids)))
        connection.execute(statement.values(confirmed_at=at))
