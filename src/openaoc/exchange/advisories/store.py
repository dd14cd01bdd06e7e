"""Advisories: theirs and ours, deliveries and members of sectors, in PostgreSQL.

SQL only; private to the package.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection

from openaoc.exchange.advisories.model import Advisory, Delivery, ReceivedAdvisory, State
from openaoc.kernel.paging import Asked
from openaoc.storage import pages
from openaoc.storage.tables import metadata, moment

advisories: Final = sa.Table(
    "advisories",
    metadata,
    sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("id", sa.Text, nullable=False, unique=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("changed_at", moment, nullable=False),
    sa.Column("valid_until", moment),
    sa.Column("body", sa.Text, nullable=False),
)
"""`valid_until`: of what was published; NULL while nothing was."""
deliveries: Final = sa.Table(
    "advisory_deliveries",
    metadata,
    sa.Column("advisory", sa.Text, primary_key=True),
    sa.Column("partner", sa.Text, primary_key=True),
    sa.Column("due_at", moment),
    sa.Column("body", sa.Text, nullable=False),
)
received: Final = sa.Table(
    "advisories_received",
    metadata,
    sa.Column("partner", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("received_at", moment, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
)
members: Final = sa.Table(
    "partner_sectors",
    metadata,
    sa.Column("partner", sa.Text, primary_key=True),
    sa.Column("sector", sa.Text, primary_key=True),
)
_ADVISORY: Final = msgspec.json.Decoder(Advisory)
_DELIVERY: Final = msgspec.json.Decoder(Delivery)
_RECEIVED: Final = msgspec.json.Decoder(ReceivedAdvisory)


def _text(one: msgspec.Struct) -> str:
    return msgspec.json.encode(one).decode("utf-8")


def put(connection: Connection, one: Advisory) -> None:
    """An advisory, as it is now."""
    values = {
        "state": one.state.value,
        "changed_at": one.changed_at,
        "valid_until": None if one.content is None else one.content.valid_until,
        "body": _text(one),
    }
    connection.execute(
        insert(advisories)
        .values(id=one.id, **values)
        .on_conflict_do_update(index_elements=["id"], set_=values)
    )


def find(connection: Connection, advisory_id: str, *, lock: bool = False) -> Advisory | None:
    """The one with this id."""
    query = sa.select(advisories.c.body).where(advisories.c.id == advisory_id)
    body = connection.execute(query.with_for_update() if lock else query).scalar_one_or_none()
    return None if body is None else _ADVISORY.decode(body)


def newest(connection: Connection, *, below: int | None, limit: int) -> list[tuple[int, Advisory]]:
    """The newest first, each with its number; `below`: only older ones."""
    column = advisories.c
    query = sa.select(column.sequence, column.body).order_by(column.sequence.desc()).limit(limit)
    if below is not None:
        query = query.where(column.sequence < below)
    return [(row.sequence, _ADVISORY.decode(row.body)) for row in connection.execute(query)]


def last_changed(connection: Connection, *, limit: int) -> list[Advisory]:
    """Of those that were published once, the last changed first."""
    column = advisories.c
    query = sa.select(column.body).where(column.valid_until.is_not(None))
    query = query.order_by(column.changed_at.desc(), column.id).limit(limit)
    return [_ADVISORY.decode(row.body) for row in connection.execute(query)]


def over(connection: Connection, *, now: datetime, limit: int) -> list[Advisory]:
    """Published ones whose time is over, the longest over first."""
    column = advisories.c
    query = sa.select(column.body).where(
        column.state == State.PUBLISHED.value, column.valid_until <= now
    )
    query = query.order_by(column.valid_until, column.id).limit(limit)
    return [_ADVISORY.decode(row.body) for row in connection.execute(query)]


# Who has them.


def put_delivery(connection: Connection, one: Delivery, *, due_at: datetime | None) -> None:
    """What a receiver has, and when the clock asks for it next."""
    values = {"due_at": due_at, "body": _text(one)}
    connection.execute(
        insert(deliveries)
        .values(advisory=one.advisory, partner=one.partner, **values)
        .on_conflict_do_update(index_elements=["advisory", "partner"], set_=values)
    )


def deliveries_of(
    connection: Connection, advisory_id: str, *, lock: bool = False
) -> list[Delivery]:
    """Every receiver's, by partner."""
    query = (
        sa.select(deliveries.c.body)
        .where(deliveries.c.advisory == advisory_id)
        .order_by(deliveries.c.partner)
    )
    found = connection.execute(query.with_for_update() if lock else query)
    return [_DELIVERY.decode(row.body) for row in found]


def delivery(
    connection: Connection, advisory_id: str, partner: str, *, lock: bool = False
) -> Delivery | None:
    """One receiver's."""
    query = sa.select(deliveries.c.body).where(
        deliveries.c.advisory == advisory_id, deliveries.c.partner == partner
    )
    body = connection.execute(query.with_for_update() if lock else query).scalar_one_or_none()
    return None if body is None else _DELIVERY.decode(body)


def to_partner(connection: Connection, partner: str, *, limit: int) -> list[Delivery]:
    """What one receiver has, the newest advisory first."""
    query = (
        sa.select(deliveries.c.body)
        .where(deliveries.c.partner == partner)
        .order_by(sa.text("body::json->>'released_at' DESC NULLS LAST"))
        .limit(limit)
    )
    return [_DELIVERY.decode(row.body) for row in connection.execute(query)]


def due(connection: Connection, *, now: datetime, limit: int) -> list[Delivery]:
    """Those the clock asks for, locked; what somebody works on waits for the next look."""
    query = (
        sa.select(deliveries.c.body)
        .where(deliveries.c.due_at <= now)
        .order_by(deliveries.c.due_at, deliveries.c.advisory, deliveries.c.partner)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [_DELIVERY.decode(row.body) for row in connection.execute(query)]


# Members of sectors.


def members_of(connection: Connection) -> list[tuple[str, str]]:
    """Partner and sector of everybody a person made a member."""
    query = sa.select(members).order_by(members.c.sector, members.c.partner)
    return [(row.partner, row.sector) for row in connection.execute(query)]


def set_member(connection: Connection, *, partner: str, sector: str, member: bool) -> None:
    """Whether the partner belongs to the sector."""
    if member:
        connection.execute(
            insert(members).values(partner=partner, sector=sector).on_conflict_do_nothing()
        )
        return
    connection.execute(
        sa.delete(members).where(members.c.partner == partner, members.c.sector == sector)
    )


# Partners' advisories to us.


def put_received(connection: Connection, one: ReceivedAdvisory) -> None:
    """A partner's advisory, as it is now."""
    body = _text(one)
    connection.execute(
        insert(received)
        .values(partner=one.partner, id=one.id, received_at=one.received_at, body=body)
        .on_conflict_do_update(index_elements=["partner", "id"], set_={"body": body})
    )


def find_received(
    connection: Connection, partner: str, advisory_id: str, *, lock: bool = False
) -> ReceivedAdvisory | None:
    """The partner's advisory with this id."""
    query = sa.select(received.c.body).where(
        received.c.partner == partner, received.c.id == advisory_id
    )
    body = connection.execute(query.with_for_update() if lock else query).scalar_one_or_none()
    return None if body is None else _RECEIVED.decode(body)


def newest_received(connection: Connection, asked: Asked) -> list[ReceivedAdvisory]:
    """Partners' advisories, the newest first: a page, and one more where there are more."""
    column = received.c
    query = pages.newest(
        sa.select(column.body),
        at=column.received_at,
        name=column.id + "/" + column.partner,
        asked=asked,
    )
    return [_RECEIVED.decode(row.body) for row in connection.execute(query)]
