"""Walks the whole journal and names the first thing that is not as it was written.

Finds what somebody with every right in the database changed: rows, leaves, nodes and heads are
checked against each other and against signatures whose key is not in the database. A log cut off
at its end, heads included, shows only against a head that a witness kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
import psycopg
import sqlalchemy as sa

from openaoc.kernel.clock import format_time
from openaoc.storage import merkle
from openaoc.storage.journal_heads import Head
from openaoc.storage.journal_keys import KeySet
from openaoc.storage.journal_rows import JournalRow
from openaoc.storage.journal_store import as_head
from openaoc.storage.tables import (
    journal_heads,
    journal_leaves,
    journal_nodes,
    journal_rows,
    journal_waiting,
)

CHUNK: Final = 2_000
"""Leaves checked at a time; what the walk holds in memory."""


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """The first thing found wrong: in which leaf and row, where it is one, and what."""

    leaf: int | None = None
    row: int | None = None
    reason: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the walk found.

    `root` (hexadecimal) is computed from the rows; `waiting` rows are committed and have no place
    yet.
    """

    ok: bool
    size: int
    root: str
    heads: int
    waiting: int
    fault: Fault | None = None


class _Found(Exception):
    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        super().__init__(fault.reason)


def verify_journal(
    connection: sa.Connection, *, keys: KeySet, witnessed: Sequence[Head] = ()
) -> Verdict:
    """Check every row, leaf, node and head, and that the log extends each witnessed head."""
    walk = _Walk(connection, keys, witnessed)
    fault = None
    try:
        walk.run()
    except _Found as found:
        fault = found.fault
    except (sa.exc.DataError, psycopg.DataError):
        fault = Fault(leaf=walk.size, reason="from here on something is no moment of our calendar")
    waiting = connection.execute(sa.select(sa.func.count(journal_waiting.c.row_id))).scalar_one()
    return Verdict(
        ok=fault is None,
        size=walk.size,
        root=walk.root().hex(),
        heads=walk.heads,
        waiting=int(waiting),
        fault=fault,
    )


class _Walk:
    """The tree as it grows over the rows, held as its peaks."""

    def __init__(self, connection: sa.Connection, keys: KeySet, witnessed: Sequence[Head]) -> None:
        self._connection = connection
        self._keys = keys
        self._witnessed = sorted(witnessed, key=lambda head: head.size)
        self._peaks: dict[tuple[int, int], bytes] = {}
        self.size = 0
        self.heads = 0

    def root(self) -> bytes:
        """Of everything walked so far."""
        return merkle.root(self.size, lambda *place: self._peaks[place])

    def run(self) -> None:
        """From the first leaf to the last, then what lies outside of the log."""
        for rows in self._chunks():
            first = self.size
            stored = self._stored_nodes(first, first + len(rows))
            heads = self._heads_between(first, first + len(rows))
            for row in rows:
                self._row(row, stored)
                for head in heads.get(self.size, ()):
                    self._head(head)
            if stored:
                level, position = min(stored)
                raise _Found(Fault(reason=f"a node {level}/{position} that no rows make"))
        self._outside()

    def _chunks(self) -> Iterator[Sequence[sa.Row[*tuple[object, ...]]]]:
        query = (
            sa.select(journal_leaves.c.leaf, journal_leaves.c.row_id, journal_rows)
            .outerjoin_from(
                journal_leaves, journal_rows, journal_leaves.c.row_id == journal_rows.c.id
            )
            .order_by(journal_leaves.c.leaf)
            .limit(CHUNK)
        )
        while True:
            rows = self._connection.execute(query.where(journal_leaves.c.leaf >= self.size)).all()
            if not rows:
                return
            yield rows

    def _stored_nodes(self, first: int, end: int) -> dict[tuple[int, int], bytes]:
        """The stored nodes whose last leaf is one of first … end-1."""
        held: dict[tuple[int, int], bytes] = {}
        columns = journal_nodes.c
        for level in range(end.bit_length()):
            rows = self._connection.execute(
                sa.select(journal_nodes).where(
                    columns.level == level,
                    columns.position >= first >> level,
                    columns.position < end >> level,
                )
            )
            held.update({(row.level, row.position): bytes(row.hash) for row in rows})
        return held

    def _heads_between(self, first: int, end: int) -> dict[int, list[Head]]:
        rows = self._connection.execute(
            sa.select(journal_heads).where(
                journal_heads.c.size > first, journal_heads.c.size <= end
            )
        )
        found: dict[int, list[Head]] = {}
        for head in (*map(as_head, rows), *self._witnessed):
            if first < head.size <= end:
                found.setdefault(head.size, []).append(head)
        return found

    def _row(self, row: sa.Row[*tuple[object, ...]], stored: dict[tuple[int, int], bytes]) -> None:
        leaf = self.size
        if row.leaf != leaf:
            raise _Found(Fault(leaf=leaf, reason="the leaf is missing"))
        if row.body is None:
            raise _Found(Fault(leaf=leaf, row=row.row_id, reason="the row was deleted"))
        reason = _disagreement(row)
        if reason:
            raise _Found(Fault(leaf=leaf, row=row.row_id, reason=reason))
        content = merkle.leaf_hash(row.body.encode("utf-8"))
        for node in merkle.append(leaf, [content], lambda *place: self._peaks[place]):
            place = (node.level, node.position)
            held = stored.pop(place, None)
            if held != node.hash:
                what = "the row was changed" if node.level == 0 else f"node {place} was changed"
                reason = what if held is not None else f"node {place} is missing"
                raise _Found(Fault(leaf=leaf, row=row.row_id, reason=reason))
            self._peaks[place] = node.hash
        self.size += 1
        keep = merkle.peaks(self.size)
        self._peaks = {place: self._peaks[place] for place in keep}

    def _head(self, head: Head) -> None:
        self.heads += 1
        if not self._keys.verify(head):
            raise _Found(
                Fault(leaf=self.size - 1, reason=f"head of size {head.size}: bad signature")
            )
        if head.root_hash != self.root():
            raise _Found(
                Fault(leaf=self.size - 1, reason=f"head of size {head.size} signs other rows")
            )

    def _outside(self) -> None:
        """Rows that never got a place and do not wait for one, heads and nodes beyond the end."""
        orphan = self._connection.execute(
            sa.select(journal_rows.c.id)
            .outerjoin_from(
                journal_rows, journal_leaves, journal_leaves.c.row_id == journal_rows.c.id
            )
            .outerjoin(journal_waiting, journal_waiting.c.row_id == journal_rows.c.id)
            .where(journal_leaves.c.leaf.is_(None), journal_waiting.c.row_id.is_(None))
            .order_by(journal_rows.c.id)
            .limit(1)
        ).scalar_one_or_none()
        if orphan is not None:
            raise _Found(Fault(row=orphan, reason="the row has no leaf and waits for none"))
        nodes = self._connection.execute(sa.select(sa.func.count()).select_from(journal_nodes))
        whole = sum(self.size >> level for level in range(self.size.bit_length()))
        if nodes.scalar_one() != whole:
            raise _Found(Fault(leaf=self.size, reason="there are nodes that no rows make"))
        newest = self._connection.execute(sa.select(sa.func.max(journal_heads.c.size))).scalar_one()
        signed = newest or 0
        if signed < self.size:
            raise _Found(Fault(leaf=signed, reason="no head signs this leaf"))
        largest = max([signed, *(head.size for head in self._witnessed)])
        if largest > self.size:
            raise _Found(
                Fault(leaf=self.size, reason=f"a signed head knows {largest} leaves: cut off")
            )


def _disagreement(row: sa.Row[*tuple[object, ...]]) -> str:
    """What the columns for search say otherwise than the body; empty when nothing."""
    try:
        body = msgspec.json.decode(row.body, type=JournalRow)
    except msgspec.DecodeError:
        return "the row is not what a journal writes"
    said = (body.at, body.who, body.action, body.subject)
    if (format_time(row.at), row.who, row.action, row.subject) != said:
        return "a column does not say what the row says"
    return ""
