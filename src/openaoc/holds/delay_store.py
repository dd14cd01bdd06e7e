"""Holds: delays of notices and who waits to be told, in PostgreSQL. SQL only; private."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Connection

from openaoc.holds.delay_model import DelayState, NoticeDelay
from openaoc.holds.model import ENDED
from openaoc.holds.record import OrderRecord
from openaoc.holds.store import orders
from openaoc.storage.tables import metadata, moment

delays: Final = sa.Table(
    "notice_delays",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), unique=True),
    sa.Column("case_id", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("until", moment, nullable=False),
    sa.Column("authority", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("proposed_by", sa.Text, nullable=False),
    sa.Column("proposed_at", moment, nullable=False),
    sa.Column("agreed_by", sa.Text),
    sa.Column("agreed_at", moment),
    sa.Column("ended_by", sa.Text),
    sa.Column("ended_at", moment),
    sa.Column("end_reason", sa.Text),
)
withheld: Final = sa.Table(
    "withheld_notices",
    metadata,
    sa.Column("order_id", sa.Text, primary_key=True),
    sa.Column("institution", sa.Text, nullable=False),
    sa.Column("delay_id", sa.Text, nullable=False),
    sa.Column("until", moment, nullable=False),
    sa.Column("told_at", moment),
)
_CHANGING: Final = (
    "state",
    "agreed_by",
    "agreed_at",
    "ended_by",
    "ended_at",
    "end_reason",
)
_WAITING: Final = (
    sa.select(sa.func.count())
    .select_from(withheld)
    .where(withheld.c.delay_id == delays.c.id, withheld.c.told_at.is_(None))
    .scalar_subquery()
)
_READ: Final = sa.select(delays, _WAITING.label("waiting"))
_OVER: Final = sorted(state.value for state in ENDED)
_IN_FORCE: Final = sa.text(
    "SELECT case_id, id, until FROM notice_delays"
    " WHERE state = 'in_force' AND until > :now AND case_id = ANY(:cases)"
)
"""Asked whenever orders are sent: its partial index is nearly always empty."""


def add(connection: Connection, one: NoticeDelay) -> None:
    """Insert a proposal."""
    connection.execute(
        sa.insert(delays).values(
            id=one.id,
            case_id=one.case,
            state=one.state.value,
            until=one.until,
            authority=one.authority,
            reason=one.reason,
            proposed_by=one.proposed_by,
            proposed_at=one.proposed_at,
        )
    )


def save(connection: Connection, one: NoticeDelay) -> None:
    """Write what may change of it."""
    values = {name: getattr(one, name) for name in _CHANGING}
    connection.execute(sa.update(delays).where(delays.c.id == one.id).values(**values))


def get(connection: Connection, delay_id: str) -> NoticeDelay | None:
    """One, locked."""
    statement = _READ.where(delays.c.id == delay_id).with_for_update(of=delays)
    row = connection.execute(statement).one_or_none()
    return None if row is None else _delay(row)


def of_case(connection: Connection, case_id: str, *, limit: int) -> list[NoticeDelay]:
    """A case's delays, newest first."""
    statement = _READ.where(delays.c.case_id == case_id).order_by(delays.c.sequence.desc())
    return [_delay(row) for row in connection.execute(statement.limit(limit))]


def over(connection: Connection, *, now: datetime, limit: int) -> list[NoticeDelay]:
    """Delays whose time is over and that have not ended yet, locked."""
    statement = (
        _READ.where(delays.c.state != DelayState.ENDED.value, delays.c.until <= now)
        .order_by(delays.c.until)
        .limit(limit)
        .with_for_update(of=delays, skip_locked=True)
    )
    return [_delay(row) for row in connection.execute(statement)]


class Later(msgspec.Struct, frozen=True, kw_only=True):
    """A delay under which orders go out: its id, and when their holders are told at the latest."""

    id: str
    until: datetime


def in_force(connection: Connection, case_ids: Sequence[str], *, now: datetime) -> dict[str, Later]:
    """By case: the delay under which its new orders go out."""
    found = connection.execute(_IN_FORCE, {"now": now, "cases": list(case_ids)})
    return {row.case_id: Later(id=row.id, until=row.until) for row in found}


def withhold(connection: Connection, waiting: Sequence[tuple[OrderRecord, Later]]) -> None:
    """The holders of these orders are to be told later."""
    if waiting:
        rows = [
            {
                "order_id": order.id,
                "institution": order.institution,
                "delay_id": later.id,
                "until": later.until,
            }
            for order, later in waiting
        ]
        connection.execute(postgresql.insert(withheld).values(rows).on_conflict_do_nothing())


def waiting(connection: Connection, order_ids: Sequence[str]) -> dict[str, datetime]:
    """Those of these orders whose holders are not told yet, and when they are at the latest.

    Also for an institution: it must not tell them, and reads nothing of the delay itself.
    """
    statement = sa.select(withheld.c.order_id, withheld.c.until).where(
        withheld.c.order_id.in_(order_ids), withheld.c.told_at.is_(None)
    )
    return {row.order_id: row.until for row in connection.execute(statement)}


def due(connection: Connection, *, limit: int) -> list[str]:
    """Orders whose holders are to be told now, longest waiting first.

    Their delay has ended, or their hold has; or they look like honest commerce by now.
    """
    statement = (
        sa.select(withheld.c.order_id)
        .join(delays, delays.c.id == withheld.c.delay_id)
        .join(orders, orders.c.id == withheld.c.order_id)
        .where(
            withheld.c.told_at.is_(None),
            sa.or_(
                delays.c.state == DelayState.ENDED.value,
                orders.c.state.in_(_OVER),
                orders.c.likely_innocent,
            ),
        )
        .order_by(delays.c.sequence, orders.c.sequence)
        .limit(limit)
        .with_for_update(of=withheld, skip_locked=True)
    )
    return [str(row.order_id) for row in connection.execute(statement)]


def told(connection: Connection, order_ids: Sequence[str], *, at: datetime) -> None:
    """These holders are told, or nothing was held from them."""
    if order_ids:
        statement = sa.update(withheld).where(withheld.c.order_id.in_(order_ids))
        connection.execute(statement.values(told_at=at))


def _delay(row: sa.Row[tuple[object, ...]]) -> NoticeDelay:
    named = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's documented way to a row's names
    del named["sequence"]
    named["case"] = named.pop("case_id")
    named["state"] = DelayState(str(named["state"]))
    return NoticeDelay(**named)
