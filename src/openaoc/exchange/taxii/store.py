"""Exchange, TAXII 2.1: collections and their rows in PostgreSQL. SQL only; private.

A row is one version of one object, its bytes as they are sent. Rows of a collection are ordered by
the moment they were added, which no two of them share: the writer holds the collection's lock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from openaoc.exchange.taxii.model import (
    PAGE_BYTES_MAX,
    Collection,
    CollectionKind,
    ManifestRecord,
    Page,
    taxii_time,
    version_text,
)
from openaoc.exchange.taxii.query import Query
from openaoc.kernel.clock import MICROSECOND
from openaoc.storage.tables import metadata, moment

collections: Final = sa.Table(
    "taxii_collections",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("partner", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("profile", sa.Text, nullable=False),
    sa.Column("agreement", sa.Text),
    sa.Column("last_added", moment, nullable=False),
    sa.Column("cursor", sa.BigInteger, nullable=False),
    sa.Column("swept_at", moment),
    sa.Column("handed", moment, nullable=False),
    sa.Column("posted_on", moment, nullable=False),
    sa.Column("posted", sa.BigInteger, nullable=False),
)
objects: Final = sa.Table(
    "taxii_objects",
    metadata,
    sa.Column("collection", sa.Text, primary_key=True),
    sa.Column("added", moment, primary_key=True),
    sa.Column("partner", sa.Text, nullable=False),
    sa.Column("object_id", sa.Text, nullable=False),
    sa.Column("version", moment, nullable=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("first", sa.Boolean, nullable=False),
    sa.Column("last", sa.Boolean, nullable=False),
    sa.Column("origin", sa.Text),
    sa.Column("release", sa.BigInteger),
    sa.Column("body", sa.LargeBinary, nullable=False),
)
statuses: Final = sa.Table(
    "taxii_statuses",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("partner", sa.Text, nullable=False),
    sa.Column("at", moment, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
)


class NewRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row to add. `origin` and `release`: the released object it was written from."""

    object_id: str
    version: datetime
    type: str
    body: bytes
    origin: str | None = None
    release: int | None = None


# Collections


def add_collection(connection: Connection, one: Collection) -> None:
    """Insert it. Raises Conflict when the partner has one of this kind."""
    connection.execute(sa.insert(collections).values(**msgspec.structs.asdict(one)))


def find_collection(
    connection: Connection, collection_id: str, *, lock: bool = False
) -> Collection | None:
    """One, locked for this transaction when asked."""
    statement = sa.select(collections).where(collections.c.id == collection_id)
    row = connection.execute(statement.with_for_update() if lock else statement).one_or_none()
    return None if row is None else _collection(row)


def list_collections(
    connection: Connection,
    *,
    partner: str | None = None,
    kinds: Sequence[CollectionKind] = tuple(CollectionKind),
) -> list[Collection]:
    """Those of a partner, or all; by partner and kind."""
    statement = (
        sa.select(collections)
        .where(collections.c.kind.in_([kind.value for kind in kinds]))
        .order_by(collections.c.partner, collections.c.kind.desc(), collections.c.id)
    )
    if partner is not None:
        statement = statement.where(collections.c.partner == partner)
    return [_collection(row) for row in connection.execute(statement)]


def update_collection(connection: Connection, one: Collection, *fields: str) -> None:
    """Write these fields of it."""
    values = {name: getattr(one, name) for name in fields}
    connection.execute(sa.update(collections).where(collections.c.id == one.id).values(**values))


def _collection(row: sa.Row[Any]) -> Collection:
    named = row._mapping  # noqa: SLF001 - SQLAlchemy's documented way to a row's names
    return msgspec.convert({str(name): value for name, value in named.items()}, Collection)


# Writing

_INSERT: Final = """
INSERT INTO taxii_objects
    (collection, added, partner, object_id, version, type, first, last, origin, release, body)
SELECT %(collection)s, %(start)s + n * interval '1 microsecond', %(partner)s, i, v, t,
    true, true, nullif(o, ''), nullif(r, 0), b
FROM unnest(%(ids)b::text[], %(versions)b::timestamptz[], %(types)b::text[], %(origins)b::text[],
    %(releases)b::bigint[], %(bodies)b::bytea[]) WITH ORDINALITY AS new(i, v, t, o, r, b, n)
ON CONFLICT (collection, object_id, version) DO NOTHING
"""
_KNOWN: Final = """
SELECT DISTINCT object_id FROM taxii_objects
WHERE collection = %(collection)s AND object_id = ANY(%(ids)b::text[])
"""
_ENDS: Final = """
UPDATE taxii_objects o SET first = (o.version = e.oldest), last = (o.version = e.newest)
FROM (SELECT object_id, min(version) AS oldest, max(version) AS newest FROM taxii_objects
    WHERE collection = %(collection)s AND object_id = ANY(%(ids)b::text[]) GROUP BY object_id) e
WHERE o.collection = %(collection)s AND o.object_id = e.object_id
    AND (o.first, o.last) IS DISTINCT FROM (o.version = e.oldest, o.version = e.newest)
"""


def _driver(connection: Connection) -> Any:
    """Psycopg's own connection: arrays go and bytes come in binary, which is three times faster."""
    return connection.connection.driver_connection


def add_rows(
    connection: Connection, collection: Collection, rows: Sequence[NewRow], *, now: datetime
) -> tuple[int, datetime]:
    """Add the versions that are not there yet; how many, and the collection's new `last_added`.

    The collection is locked by the caller, so moments rise in the order of commits.
    """
    if not rows:
        return 0, collection.last_added
    start = max(collection.last_added, now)
    ids = [row.object_id for row in rows]
    driver = _driver(connection)
    known = driver.execute(_KNOWN, {"collection": collection.id, "ids": ids}).fetchall()
    values = {
        "collection": collection.id,
        "partner": collection.partner,
        "start": start,
        "ids": ids,
        "versions": [row.version for row in rows],
        "types": [row.type for row in rows],
        "origins": [row.origin or "" for row in rows],
        "releases": [row.release or 0 for row in rows],
        "bodies": [row.body for row in rows],
    }
    added = driver.execute(_INSERT, values).rowcount
    again = {row[0] for row in known} | _twice(ids)
    if again:
        driver.execute(_ENDS, {"collection": collection.id, "ids": sorted(again)})
    return added, start + len(rows) * MICROSECOND


def _twice(ids: Sequence[str]) -> set[str]:
    counts = Counter(ids)
    return {one for one, count in counts.items() if count > 1}


def newest(
    connection: Connection, collection_id: str, ids: Sequence[str]
) -> dict[str, tuple[datetime, bytes]]:
    """By object: its last version and the bytes of it."""
    rows = connection.execute(
        sa.select(objects.c.object_id, objects.c.version, objects.c.body).where(
            objects.c.collection == collection_id, objects.c.object_id.in_(ids), objects.c.last
        )
    )
    return {row.object_id: (row.version, bytes(row.body)) for row in rows}


def delete_versions(
    connection: Connection, collection_id: str, object_id: str, query: Query
) -> list[bytes]:
    """Delete the versions asked for; the bytes of those that were the last."""
    asked = msgspec.structs.replace(query, ids=(object_id,))
    where, values = _where(collection_id, asked)
    driver = _driver(connection)
    gone = driver.execute(_DELETE.format(where=where), values).fetchall()
    if gone:
        driver.execute(_ENDS, {"collection": collection_id, "ids": [object_id]})
    return [bytes(body) for last, body in gone if last]


_FORGET: Final = """
DELETE FROM taxii_objects WHERE collection = %(collection)s AND added = ANY(ARRAY(
    SELECT added FROM taxii_objects WHERE collection = %(collection)s AND added <= %(until)s
    ORDER BY added LIMIT %(limit)s)) RETURNING object_id
"""


def forget(connection: Connection, collection_id: str, *, until: datetime, limit: int) -> int:
    """Delete the oldest rows that were added by then; how many."""
    driver = _driver(connection)
    asked = {"collection": collection_id, "until": until, "limit": limit}
    gone = [row[0] for row in driver.execute(_FORGET, asked).fetchall()]
    if gone:
        driver.execute(_ENDS, {"collection": collection_id, "ids": sorted(set(gone))})
    return len(gone)


def last_after(
    connection: Connection, collection_id: str, *, after: datetime, limit: int
) -> list[tuple[str, datetime]]:
    """Each object once, by when its last version was added."""
    rows = connection.execute(
        sa.select(objects.c.object_id, objects.c.added)
        .where(objects.c.collection == collection_id, objects.c.added > after, objects.c.last)
        .order_by(objects.c.added)
        .limit(limit)
    )
    return [(row.object_id, row.added) for row in rows]


def take_out(connection: Connection, collection_id: str, ids: Sequence[str]) -> list[bytes]:
    """Delete every version of these objects; the bytes of their last."""
    statement = (
        sa.delete(objects)
        .where(objects.c.collection == collection_id, objects.c.object_id.in_(ids))
        .returning(objects.c.last, objects.c.body)
    )
    return [bytes(row.body) for row in connection.execute(statement) if row.last]


def delete_origins(connection: Connection, collection_id: str, origins: Sequence[str]) -> None:
    """Delete all that was written from these released objects."""
    connection.execute(
        sa.delete(objects).where(
            objects.c.collection == collection_id, objects.c.origin.in_(origins)
        )
    )


def delete_written(connection: Connection, collection_id: str) -> None:
    """Delete all of it, to be written anew."""
    connection.execute(sa.delete(objects).where(objects.c.collection == collection_id))


def releases_of(
    connection: Connection, collection_id: str, origins: Sequence[str]
) -> dict[str, int]:
    """By released object: the release its rows were written from."""
    rows = connection.execute(
        sa.select(objects.c.origin, sa.func.max(objects.c.release).label("release"))
        .where(objects.c.collection == collection_id, objects.c.origin.in_(origins))
        .group_by(objects.c.origin)
    )
    return {row.origin: row.release for row in rows}


_SWEEP: Final = sa.text(
    "DELETE FROM taxii_objects o WHERE o.collection = :collection AND o.origin IS NOT NULL"
    " AND NOT EXISTS (SELECT FROM exchange_releases r WHERE r.place = o.release"
    " AND r.partner = o.partner AND r.ended_as IS NULL AND r.confirmed = :agreement)"
)


def sweep(connection: Connection, collection_id: str, *, agreement: str) -> int:
    """Delete rows of releases that ended or that this agreement does not confirm; how many."""
    values = {"collection": collection_id, "agreement": agreement}
    return connection.execute(_SWEEP, values).rowcount


# Reading


def _where(collection_id: str, query: Query) -> tuple[str, dict[str, Any]]:
    """Which rows are asked for, as the driver takes it, and the values in it."""
    parts = ["collection = %(collection)s"]
    if query.after is not None:
        parts.append("added > %(after)s")
    if query.ids is not None:
        parts.append("object_id = ANY(%(ids)s::text[])")
    if query.types is not None:
        parts.append("type = ANY(%(types)s::text[])")
    if query.nothing:
        parts.append("false")
    if not query.all:
        asked = {"last": query.last, "first": query.first,
                 "version = ANY(%(versions)s::timestamptz[])": bool(query.versions)}  # fmt: skip
        parts.append(f"({' OR '.join(part for part, wanted in asked.items() if wanted)})")
    values = {
        "collection": collection_id,
        "after": query.after,
        "ids": list(query.ids or ()),
        "types": list(query.types or ()),
        "versions": list(query.versions),
        "limit": query.limit,
        "bytes": PAGE_BYTES_MAX,
    }
    return " AND ".join(parts), values


_PAGE: Final = """
WITH found AS (
    SELECT added, body FROM taxii_objects WHERE {where} ORDER BY added LIMIT %(limit)s + 1
), placed AS (
    SELECT added, body, row_number() OVER (ORDER BY added) <= %(limit)s
        AND (sum(length(body)) OVER (ORDER BY added) <= %(bytes)s
            OR row_number() OVER (ORDER BY added) = 1) AS kept
    FROM found
)
SELECT count(*), count(*) FILTER (WHERE kept), min(added) FILTER (WHERE kept),
    max(added) FILTER (WHERE kept), string_agg(body, ',' ORDER BY added) FILTER (WHERE kept)
FROM placed
"""
_DELETE: Final = "DELETE FROM taxii_objects WHERE {where} RETURNING last, body"
_RECORDS: Final = """
SELECT object_id, added, version FROM taxii_objects WHERE {where} ORDER BY added
LIMIT %(limit)s + 1
"""


def read_page(connection: Connection, collection_id: str, query: Query) -> tuple[Page, bool]:
    """The objects of a page, comma-separated as they are sent, and whether there are more.

    PostgreSQL puts the bytes together: an object costs what copying it costs.
    """
    where, values = _where(collection_id, query)
    with _driver(connection).cursor(binary=True) as cursor:
        # Binary: bytes come as they are, not as twice as many letters.
        row = cursor.execute(_PAGE.format(where=where), values).fetchone()
    count, taken, first, last, body = row
    return Page(body=body or b"", first=first, last=last), taken < count


def read_manifest(
    connection: Connection, collection_id: str, query: Query
) -> tuple[list[ManifestRecord], Page, bool]:
    """The records of a page, when its first and last were added, and whether there are more."""
    where, values = _where(collection_id, query)
    rows = _driver(connection).execute(_RECORDS.format(where=where), values).fetchall()
    shown = rows[: query.limit]
    records = [
        ManifestRecord(id=number, date_added=taxii_time(added), version=version_text(version))
        for number, added, version in shown
    ]
    ends = Page(
        body=b"",
        first=shown[0][1] if shown else None,
        last=shown[-1][1] if shown else None,
    )
    return records, ends, len(rows) > len(shown)


def has_object(connection: Connection, collection_id: str, object_id: str) -> bool:
    """Whether any version of it is there."""
    found = sa.select(sa.literal(1)).where(
        objects.c.collection == collection_id, objects.c.object_id == object_id
    )
    return connection.execute(found.limit(1)).first() is not None


def waiting(
    connection: Connection, collection: Collection, *, limit: int
) -> list[tuple[datetime, bytes]]:
    """What was not handed on yet, in order."""
    rows = connection.execute(
        sa.select(objects.c.added, objects.c.body)
        .where(objects.c.collection == collection.id, objects.c.added > collection.handed)
        .order_by(objects.c.added)
        .limit(limit)
    )
    return [(row.added, bytes(row.body)) for row in rows]


# Statuses


def add_status(
    connection: Connection, *, status_id: str, partner: str, at: datetime, body: bytes
) -> None:
    """Keep what became of a request."""
    connection.execute(sa.insert(statuses).values(id=status_id, partner=partner, at=at, body=body))


def find_status(connection: Connection, *, status_id: str, partner: str) -> bytes | None:
    """The status as it was answered."""
    found = sa.select(statuses.c.body).where(
        statuses.c.id == status_id, statuses.c.partner == partner
    )
    body = connection.execute(found).scalar_one_or_none()
    return None if body is None else bytes(body)


def delete_statuses(connection: Connection, *, before: datetime) -> int:
    """Forget those that are older; how many."""
    return connection.execute(sa.delete(statuses).where(statuses.c.at < before)).rowcount
