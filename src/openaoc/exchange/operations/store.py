"""Joint operations in PostgreSQL. SQL only; private to the stage."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection

from openaoc.exchange.operations.model import (
    ENTRIES_MAX,
    OPERATIONS_MAX,
    Entry,
    Member,
    MemberState,
    Operation,
    OperationState,
)
from openaoc.kernel.paging import Place
from openaoc.storage import pages
from openaoc.storage.tables import metadata, moment

operations: Final = sa.Table(
    "operations",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("opened_at", moment, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("offer", sa.Text),
)
members: Final = sa.Table(
    "operation_members",
    metadata,
    sa.Column("operation", sa.Text, primary_key=True),
    sa.Column("partner", sa.Text, primary_key=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("heard_at", moment),
    sa.Column("last_error", sa.Text),
)
entries: Final = sa.Table(
    "operation_entries",
    metadata,
    sa.Column("operation", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("origin", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("message", sa.Text),
)


def add(connection: Connection, one: Operation) -> None:
    """A new one."""
    connection.execute(sa.insert(operations).values(**_values(one)))


def save(connection: Connection, one: Operation) -> None:
    """It has changed."""
    connection.execute(
        sa.update(operations).where(operations.c.id == one.id).values(**_values(one))
    )


def _values(one: Operation) -> dict[str, object]:
    body = msgspec.json.encode(one).decode("utf-8")
    return {"id": one.id, "state": one.state.value, "opened_at": one.opened_at, "body": body}


def find(connection: Connection, operation_id: str, *, lock: bool = False) -> Operation | None:
    """One."""
    query = sa.select(operations.c.body).where(operations.c.id == operation_id)
    found = connection.execute(query.with_for_update() if lock else query).scalar_one_or_none()
    return None if found is None else msgspec.json.decode(found, type=Operation)


def keep_offer(connection: Connection, operation_id: str, offer: bytes) -> None:
    """As the lead offered it to us, with the lead's proof."""
    connection.execute(
        sa.update(operations)
        .where(operations.c.id == operation_id)
        .values(offer=offer.decode("utf-8"))
    )


def offer_of(connection: Connection, operation_id: str) -> bytes | None:
    """As the lead offered it to us; None where we lead."""
    query = sa.select(operations.c.offer).where(operations.c.id == operation_id)
    found = connection.execute(query).scalar_one_or_none()
    return None if found is None else str(found).encode("utf-8")


def newest(connection: Connection, place: Place | None) -> list[Operation]:
    """All after the place, newest first."""
    column = operations.c
    query = pages.older(sa.select(column.body), at=column.opened_at, name=column.id, place=place)
    rows = connection.execute(query.limit(OPERATIONS_MAX))
    return [msgspec.json.decode(row.body, type=Operation) for row in rows]


def count(connection: Connection) -> int:
    """How many there are."""
    return int(connection.execute(sa.select(sa.func.count()).select_from(operations)).scalar_one())


def to_tell(connection: Connection) -> list[tuple[str, str]]:
    """Operation and partner of what is said to others: all that was offered or accepted."""
    silent = (OperationState.DRAFTED.value, OperationState.INVITED.value)
    query = (
        sa.select(members.c.operation, members.c.partner)
        .join(operations, operations.c.id == members.c.operation)
        .where(operations.c.state.not_in(silent), members.c.state != MemberState.GONE.value)
        .order_by(members.c.operation, members.c.partner)
    )
    return [(row.operation, row.partner) for row in connection.execute(query)]


def set_member(
    connection: Connection,
    operation_id: str,
    partner: str,
    *,
    state: MemberState,
    heard_at: datetime | None = None,
) -> None:
    """How the other stands, and that it spoke."""
    values = {"state": state.value, "heard_at": heard_at, "last_error": None}
    connection.execute(
        insert(members)
        .values(operation=operation_id, partner=partner, **values)
        .on_conflict_do_update(index_elements=["operation", "partner"], set_=values)
    )


def failed(connection: Connection, operation_id: str, partner: str, *, error: str) -> None:
    """The other did not take a word."""
    connection.execute(
        sa.update(members)
        .where(members.c.operation == operation_id, members.c.partner == partner)
        .values(last_error=error)
    )


def members_of(connection: Connection, operation_id: str) -> list[Member]:
    """By code."""
    query = sa.select(members).where(members.c.operation == operation_id)
    return [
        Member(
            partner=row.partner,
            state=MemberState(row.state),
            heard_at=row.heard_at,
            last_error=row.last_error,
        )
        for row in connection.execute(query.order_by(members.c.partner))
    ]


def add_entry(
    connection: Connection, operation_id: str, one: Entry, *, message: bytes | None
) -> bool:
    """Keep an entry once; whether it is new. `message`: as its origin sent it, if another's.

    Another's that was taken back has no message, and may come again.
    """
    values = {
        "body": msgspec.json.encode(one).decode("utf-8"),
        "message": None if message is None else message.decode("utf-8"),
    }
    fresh = insert(entries).values(operation=operation_id, id=one.id, origin=one.origin, **values)
    added = connection.execute(
        fresh.on_conflict_do_update(
            index_elements=["operation", "id"],
            set_=values,
            where=sa.and_(
                entries.c.origin == one.origin,
                entries.c.message.is_(None),
                fresh.excluded.message.is_not(None),
            ),
        )
    )
    return added.rowcount > 0


def take_back(connection: Connection, operation_id: str, one: Entry) -> None:
    """Another's entry says no more than that it was taken back."""
    connection.execute(
        sa.update(entries)
        .where(entries.c.operation == operation_id, entries.c.id == one.id)
        .values(body=msgspec.json.encode(one).decode("utf-8"), message=None)
    )


def save_entry(connection: Connection, operation_id: str, one: Entry) -> None:
    """Whether it is kept back has changed."""
    connection.execute(
        sa.update(entries)
        .where(entries.c.operation == operation_id, entries.c.id == one.id)
        .values(body=msgspec.json.encode(one).decode("utf-8"))
    )


def entries_of(connection: Connection, operation_id: str) -> list[tuple[Entry, bytes | None]]:
    """All, with what their origin sent, where another did."""
    query = sa.select(entries.c.body, entries.c.message).where(entries.c.operation == operation_id)
    return [
        (
            msgspec.json.decode(row.body, type=Entry),
            None if row.message is None else str(row.message).encode("utf-8"),
        )
        for row in connection.execute(query.limit(2 * ENTRIES_MAX))
    ]
