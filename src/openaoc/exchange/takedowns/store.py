"""Take-downs: requests we made and received, in PostgreSQL. SQL only; private to the package."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection

from openaoc.exchange.takedowns.model import ReceivedTakedown, State, Takedown
from openaoc.kernel.paging import Asked
from openaoc.storage import pages
from openaoc.storage.tables import metadata, moment

takedowns: Final = sa.Table(
    "takedowns",
    metadata,
    sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("id", sa.Text, nullable=False, unique=True),
    sa.Column("partner", sa.Text, nullable=False),
    sa.Column("indicator", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("due_at", moment),
    sa.Column("body", sa.Text, nullable=False),
)
"""`due_at`: when the clock asks for it next. `body` is the whole, as JSON."""
received: Final = sa.Table(
    "takedowns_received",
    metadata,
    sa.Column("partner", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("received_at", moment, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
)
_ONE: Final = msgspec.json.Decoder(Takedown)
_RECEIVED: Final = msgspec.json.Decoder(ReceivedTakedown)


def _text(one: msgspec.Struct) -> str:
    return msgspec.json.encode(one).decode("utf-8")


def add(connection: Connection, one: Takedown) -> None:
    """A new draft."""
    connection.execute(
        sa.insert(takedowns).values(
            id=one.id,
            partner=one.partner,
            indicator=one.indicator,
            state=one.state.value,
            body=_text(one),
        )
    )


def save(connection: Connection, one: Takedown, *, due_at: datetime | None) -> None:
    """As it is now, and when the clock asks for it next."""
    connection.execute(
        sa.update(takedowns)
        .where(takedowns.c.id == one.id)
        .values(state=one.state.value, due_at=due_at, body=_text(one))
    )


def find(connection: Connection, takedown_id: str, *, lock: bool = False) -> Takedown | None:
    """The one with this id."""
    query = sa.select(takedowns.c.body).where(takedowns.c.id == takedown_id)
    body = connection.execute(query.with_for_update() if lock else query).scalar_one_or_none()
    return None if body is None else _ONE.decode(body)


def page(
    connection: Connection,
    *,
    partner: str | None,
    states: Collection[State] | None,
    before: str | None,
    limit: int,
) -> list[Takedown]:
    """The newest first; `before`: only older ones than the one with this id."""
    query = sa.select(takedowns.c.body)
    if partner is not None:
        query = query.where(takedowns.c.partner == partner)
    if states is not None:
        query = query.where(takedowns.c.state.in_([one.value for one in states]))
    if before is not None:
        other = takedowns.alias()
        there = sa.select(other.c.sequence).where(other.c.id == before).scalar_subquery()
        query = query.where(takedowns.c.sequence < there)
    query = query.order_by(takedowns.c.sequence.desc()).limit(limit)
    return [_ONE.decode(row.body) for row in connection.execute(query)]


def of_partner(connection: Connection, partner: str, *, limit: int) -> list[Takedown]:
    """All that this partner was ever to be asked, the newest first."""
    return page(connection, partner=partner, states=None, before=None, limit=limit)


def of_indicator(connection: Connection, indicator: str, *, limit: int) -> list[Takedown]:
    """Those about an indicator, locked."""
    query = (
        sa.select(takedowns.c.body)
        .where(takedowns.c.indicator == indicator)
        .order_by(takedowns.c.sequence)
        .limit(limit)
        .with_for_update()
    )
    return [_ONE.decode(row.body) for row in connection.execute(query)]


def due(connection: Connection, *, now: datetime, limit: int) -> list[Takedown]:
    """Those the clock asks for, locked; what somebody works on waits for the next look."""
    query = (
        sa.select(takedowns.c.body)
        .where(takedowns.c.due_at <= now)
        .order_by(takedowns.c.due_at, takedowns.c.sequence)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [_ONE.decode(row.body) for row in connection.execute(query)]


# Partners' requests to us.


def put_received(connection: Connection, one: ReceivedTakedown) -> None:
    """A partner's request, as it is now."""
    values = {"state": one.state.value, "body": _text(one)}
    statement = insert(received).values(
        partner=one.partner, id=one.id, received_at=one.received_at, **values
    )
    connection.execute(
        statement.on_conflict_do_update(index_elements=["partner", "id"], set_=values)
    )


def find_received(
    connection: Connection, partner: str, takedown_id: str, *, lock: bool = False
) -> ReceivedTakedown | None:
    """The partner's request with this id."""
    query = sa.select(received.c.body).where(
        received.c.partner == partner, received.c.id == takedown_id
    )
    body = connection.execute(query.with_for_update() if lock else query).scalar_one_or_none()
    return None if body is None else _RECEIVED.decode(body)


def newest_received(connection: Connection, asked: Asked) -> Sequence[ReceivedTakedown]:
    """Partners' requests, the newest first: a page, and one more where there are more."""
    column = received.c
    query = pages.newest(
        sa.select(column.body),
        at=column.received_at,
        name=column.id + "/" + column.partner,
        asked=asked,
    )
    return [_RECEIVED.decode(row.body) for row in connection.execute(query)]
