"""The SQL of the journal's log: leaves, nodes, heads. Private to the journal's modules."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Final, NamedTuple

import sqlalchemy as sa

from openaoc.kernel.clock import format_time, parse_time
from openaoc.kernel.errors import Corrupt
from openaoc.storage.journal_heads import Head
from openaoc.storage.merkle import Lookup, Node
from openaoc.storage.tables import (
    journal_heads,
    journal_leaves,
    journal_nodes,
    journal_rows,
    journal_waiting,
)


class Waiting(NamedTuple):
    """A committed row without a leaf."""

    id: int
    body: str


def log_size(connection: sa.Connection) -> int:
    """How many leaves there are: one more than the last one's number."""
    last = connection.execute(sa.select(sa.func.max(journal_leaves.c.leaf))).scalar_one()
    return 0 if last is None else int(last) + 1


def take_waiting(connection: sa.Connection, *, limit: int) -> list[Waiting]:
    """Rows to place now, oldest first, no longer waiting if this transaction commits.

    Raises Corrupt when a row that waits was deleted.
    """
    ids = connection.execute(
        sa.select(journal_waiting.c.row_id).order_by(journal_waiting.c.row_id).limit(limit)
    ).scalars()
    wanted = [int(one) for one in ids]
    if not wanted:
        return []
    rows = connection.execute(
        sa.select(journal_rows.c.id, journal_rows.c.body)
        .where(journal_rows.c.id.in_(wanted))
        .order_by(journal_rows.c.id)
    ).all()
    if len(rows) != len(wanted):
        raise Corrupt("a row was deleted before it got its place", where="journal")
    connection.execute(sa.delete(journal_waiting).where(journal_waiting.c.row_id.in_(wanted)))
    return [Waiting(row.id, row.body) for row in rows]


_INSERT_LEAVES: Final = sa.text(
    "INSERT INTO journal_leaves (leaf, row_id)"
    " SELECT :first + n - 1, id FROM unnest(CAST(:ids AS bigint[])) WITH ORDINALITY AS t(id, n)"
)
_INSERT_NODES: Final = sa.text(
    "INSERT INTO journal_nodes (level, position, hash) SELECT * FROM unnest("
    "CAST(:levels AS smallint[]), CAST(:positions AS bigint[]), CAST(:hashes AS bytea[]))"
)


def insert_leaves(connection: sa.Connection, row_ids: Sequence[int], *, first: int) -> None:
    """Leaves from number `first` on, for the rows in this order."""
    connection.execute(_INSERT_LEAVES, {"first": first, "ids": list(row_ids)})


def insert_nodes(connection: sa.Connection, nodes: Sequence[Node]) -> None:
    """The hashes of subtrees that became complete."""
    connection.execute(
        _INSERT_NODES,
        {
            "levels": [node.level for node in nodes],
            "positions": [node.position for node in nodes],
            "hashes": [node.hash for node in nodes],
        },
    )


def insert_head(connection: sa.Connection, head: Head) -> None:
    """A signed head."""
    connection.execute(
        sa.insert(journal_heads).values(
            size=head.size,
            root=head.root_hash,
            at=parse_time(head.at),
            key_id=head.key_id,
            signature=base64.b64decode(head.signature),
        )
    )


def as_head(row: sa.Row[*tuple[object, ...]]) -> Head:
    """A stored head as others see it."""
    return Head(
        size=row.size,
        root=bytes(row.root).hex(),
        at=format_time(row.at),
        key_id=row.key_id,
        signature=base64.b64encode(bytes(row.signature)).decode("ascii"),
    )


def find_head(connection: sa.Connection, *, size: int | None) -> Head | None:
    """The head of that size; without one, the newest."""
    query = sa.select(journal_heads)
    if size is not None:
        query = query.where(journal_heads.c.size == size)
    row = connection.execute(query.order_by(journal_heads.c.size.desc()).limit(1)).first()
    return None if row is None else as_head(row)


def load_nodes(connection: sa.Connection, places: Sequence[tuple[int, int]]) -> Lookup:
    """A lookup over these places, read at once. It raises Corrupt for one that is missing."""
    held: dict[tuple[int, int], bytes] = {}
    if places:
        pair = sa.tuple_(journal_nodes.c.level, journal_nodes.c.position)
        for row in connection.execute(sa.select(journal_nodes).where(pair.in_(list(places)))):
            held[row.level, row.position] = bytes(row.hash)

    def lookup(level: int, position: int) -> bytes:
        try:
            return held[level, position]
        except KeyError as error:
            raise Corrupt(f"node {level}/{position} is missing", where="journal") from error

    return lookup


def node_lookup(connection: sa.Connection) -> Lookup:
    """A lookup that asks the database for each node: for proofs, which need a few dozen."""
    query = sa.select(journal_nodes.c.hash)

    def lookup(level: int, position: int) -> bytes:
        found = connection.execute(
            query.where(journal_nodes.c.level == level, journal_nodes.c.position == position)
        ).scalar_one_or_none()
        if found is None:
            raise Corrupt(f"node {level}/{position} is missing", where="journal")
        return bytes(found)

    return lookup
