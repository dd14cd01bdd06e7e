"""Exchange, TAXII 2.1: feeds and receipts in PostgreSQL. SQL only; private."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from openaoc.exchange.stix.model import Lost
from openaoc.exchange.taxii.model import CollectionKind, Feed, Receipt
from openaoc.exchange.taxii.store import collections
from openaoc.storage.tables import metadata, moment

feeds: Final = sa.Table(
    "taxii_feeds",
    metadata,
    sa.Column("collection", sa.Text, primary_key=True),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("remote", sa.Text, nullable=False),
    sa.Column("username", sa.Text, nullable=False),
    sa.Column("secret", sa.LargeBinary, nullable=False),
    sa.Column("publish", sa.Boolean, nullable=False),
    sa.Column("every_s", sa.Integer, nullable=False),
    sa.Column("added_after", moment),
    sa.Column("next_at", moment, nullable=False),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("last_error", sa.Text),
)
receipts: Final = sa.Table(
    "taxii_receipts",
    metadata,
    sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("collection", sa.Text, nullable=False),
    sa.Column("partner", sa.Text, nullable=False),
    sa.Column("at", moment, nullable=False),
    sa.Column("objects", sa.Integer, nullable=False),
    sa.Column("kept", sa.Integer, nullable=False),
    sa.Column("lost", sa.Integer, nullable=False),
    sa.Column("report", sa.Text, nullable=False),
)
_REPORT: Final = msgspec.json.Decoder(tuple[Lost, ...])


def add_feed(connection: Connection, one: Feed) -> None:
    """Insert it."""
    connection.execute(sa.insert(feeds).values(**msgspec.structs.asdict(one)))


def update_feed(connection: Connection, one: Feed) -> None:
    """Write all of it."""
    values = msgspec.structs.asdict(one)
    del values["collection"]
    statement = sa.update(feeds).where(feeds.c.collection == one.collection).values(**values)
    connection.execute(statement)


def delete_feed(connection: Connection, collection: str) -> bool:
    """Whether there was one."""
    statement = sa.delete(feeds).where(feeds.c.collection == collection)
    return connection.execute(statement).rowcount > 0


def find_feed(connection: Connection, collection: str, *, lock: bool = False) -> Feed | None:
    """One, locked for this transaction when asked."""
    statement = sa.select(feeds).where(feeds.c.collection == collection)
    row = connection.execute(statement.with_for_update() if lock else statement).one_or_none()
    return None if row is None else _feed(row)


def list_feeds(connection: Connection) -> list[Feed]:
    """All, by when they are due."""
    rows = connection.execute(sa.select(feeds).order_by(feeds.c.next_at, feeds.c.collection))
    return [_feed(row) for row in rows]


def due_feeds(connection: Connection, *, now: datetime, limit: int) -> list[Feed]:
    """Those whose time has come."""
    statement = (
        sa.select(feeds).where(feeds.c.next_at <= now).order_by(feeds.c.next_at).limit(limit)
    )
    return [_feed(row) for row in connection.execute(statement)]


def _feed(row: sa.Row[Any]) -> Feed:
    named = row._mapping  # noqa: SLF001 - SQLAlchemy's documented way to a row's names
    return msgspec.convert({str(name): value for name, value in named.items()}, Feed)


def add_receipt(connection: Connection, one: Receipt) -> None:
    """Insert it; its sequence is given here."""
    values = msgspec.structs.asdict(one)
    del values["sequence"], values["released"]
    values["report"] = msgspec.json.encode(one.report).decode("utf-8").replace("\\u0000", "")
    connection.execute(sa.insert(receipts).values(**values))


def list_receipts(
    connection: Connection, *, partner: str | None, after: int, limit: int
) -> list[Receipt]:
    """Those after a sequence, in order."""
    statement = (
        sa.select(receipts, (collections.c.kind == CollectionKind.RELEASED.value).label("released"))
        .select_from(receipts.join(collections, collections.c.id == receipts.c.collection))
        .where(receipts.c.sequence > after)
        .order_by(receipts.c.sequence)
        .limit(limit)
    )
    if partner is not None:
        statement = statement.where(receipts.c.partner == partner)
    return [_receipt(row) for row in connection.execute(statement)]


def _receipt(row: sa.Row[Any]) -> Receipt:
    found = row._mapping  # noqa: SLF001 - SQLAlchemy's documented way to a row's names
    named = {str(name): value for name, value in found.items()}
    named["report"] = _REPORT.decode(named["report"])
    return Receipt(**named)
