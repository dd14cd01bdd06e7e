"""The journal as a Merkle log: places committed rows, signs heads, proves, and shows rows.

Answers: is this row in, does this head extend that one. Checking everything is journal_verify's.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec
import sqlalchemy as sa
import structlog

from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.clock import Clock
from openaoc.kernel.errors import BadInput, Corrupt, NotFound, OpenAOCError
from openaoc.kernel.limits import PAGE_MAX
from openaoc.storage import merkle
from openaoc.storage.database import Database
from openaoc.storage.errors import translated
from openaoc.storage.journal_heads import Head, sign_head
from openaoc.storage.journal_keys import KeySet, Succession
from openaoc.storage.journal_store import (
    find_head,
    insert_head,
    insert_leaves,
    insert_nodes,
    load_nodes,
    log_size,
    node_lookup,
    take_waiting,
)
from openaoc.storage.journal_verify import Verdict, verify_journal
from openaoc.storage.tables import journal_leaves, journal_rows, journal_waiting
from openaoc.storage.ticker import Ticker
from openaoc.storage.unit_of_work import Transaction

LOCK_NUMBER: Final = 0x0A0C_106
"""The advisory lock under which leaves get their places: one sequencer at a time."""
BATCH_MAX: Final = 2_000
BATCHES_PER_CALL_MAX: Final = 50
EVERY_S: Final = 0.5
REST_S: Final = 0.25
"""At most four heads a second, however many changes."""

_LOG = structlog.get_logger(__name__)


__all__ = (
    "Consistency",
    "Head",
    "Inclusion",
    "JournalService",
    "PlacedRow",
    "Sequencer",
    "UnknownLeaf",
    "Verdict",
)


class UnknownLeaf(NotFound):
    """The journal has no such leaf or head."""


class Inclusion(msgspec.Struct, frozen=True, kw_only=True):
    """That the leaf is in the tree of the first `size` leaves; hashes in hexadecimal."""

    leaf: int
    size: int
    leaf_hash: str
    path: list[str]


class Consistency(msgspec.Struct, frozen=True, kw_only=True):
    """That the tree of `new` leaves extends the tree of `old`; hashes in hexadecimal."""

    old: int
    new: int
    path: list[str]


class PlacedRow(msgspec.Struct, frozen=True, kw_only=True):
    """A placed row: its leaf and the JSON text whose bytes are the leaf's content."""

    leaf: int
    body: str


class Sequencer:
    """Gives each committed row its place in the log, in a thread of its own."""

    def __init__(self, database: Database) -> None:
        self._engine = database.engine
        self._clock: Clock = database.clock
        self._keys = database.journal_keys
        self._ticker = Ticker("journal", self.place, every_s=EVERY_S, rest_s=REST_S)
        database.uow.on_journal(self._ticker.wake)

    def start(self) -> None:
        """Begin; rows committed while nobody placed them come first."""
        self._ticker.start()

    def stop(self) -> None:
        """End after the batch at hand, then place what is still waiting."""
        self._ticker.stop()
        try:
            self.place()
        except OpenAOCError as error:
            _LOG.warning("storage.journal.left_waiting", error=error.code)

    def place(self) -> int:
        """Place everything that is committed now; how many rows.

        Raises Corrupt, and places nothing, when the log in the database is not the one that was
        signed last.
        """
        placed = 0
        for _ in range(BATCHES_PER_CALL_MAX):
            batch = self._place_batch()
            placed += batch
            if batch < BATCH_MAX:
                break
        return placed

    def _place_batch(self) -> int:
        with translated(), self._engine.begin() as connection:
            got = connection.execute(
                sa.text("SELECT pg_try_advisory_xact_lock(:n)"), {"n": LOCK_NUMBER}
            ).scalar_one()
            if not got:
                return 0
            waiting = take_waiting(connection, limit=BATCH_MAX)
            if not waiting:
                return 0
            size = log_size(connection)
            lookup = load_nodes(connection, merkle.peaks(size))
            self._check(connection, size, merkle.root(size, lookup))
            hashes = [merkle.leaf_hash(row.body.encode("utf-8")) for row in waiting]
            nodes = merkle.append(size, hashes, lookup)
            insert_leaves(connection, [row.id for row in waiting], first=size)
            insert_nodes(connection, nodes)
            known = {(node.level, node.position): node.hash for node in nodes}
            grown = size + len(waiting)
            root = merkle.root(grown, lambda *at: known[at] if at in known else lookup(*at))
            head = sign_head(self._keys.signer(), size=grown, root_hash=root, at=self._clock.now())
            insert_head(connection, head)
            return len(waiting)

    @staticmethod
    def _check(connection: sa.Connection, size: int, root: bytes) -> None:
        last = find_head(connection, size=None)
        if (last.size, last.root_hash) != (size, root) if last else size != 0:
            raise Corrupt("the log is not the one that was signed last", where="journal")


class JournalService:
    """What witnesses and readers ask. Whether an actor may read rows is checked by the caller."""

    def __init__(self, database: Database) -> None:
        self._uow = database.uow
        self._engine = database.engine
        self._keys = database.journal_keys

    def keys(self) -> KeySet:
        """The public keys that check the heads' signatures."""
        return self._keys.public()

    def successions(self) -> list[Succession]:
        """Every replacement of the signing key, oldest first."""
        return self._keys.successions()

    def rotate_key(self, tx: Transaction) -> Succession:
        """Sign heads with a fresh key from now on; the old key's word for it is journalled.

        Raises TryAgain while a head is being signed for too long.
        """
        with translated(), self._engine.begin() as connection:
            lock = sa.text("SELECT pg_advisory_xact_lock(:n)")
            connection.execute(lock, {"n": LOCK_NUMBER})
            done = self._keys.rotate(size=log_size(connection), now=tx.now)
        tx.journal(action="storage.journal.key_rotated", subject="journal", after=done)
        return done

    def head(self, *, size: int | None = None) -> Head:
        """The newest signed head, or the one of that size. Raises UnknownLeaf for none."""
        with self._uow.read(SYSTEM) as tx:
            found = find_head(tx.connection, size=size)
        if found is None:
            raise UnknownLeaf("no head yet" if size is None else f"no head of size {size}")
        return found

    def inclusion_proof(self, leaf: int, *, size: int | None = None) -> Inclusion:
        """That a leaf is in the log of `size` leaves (default: all placed). Raises UnknownLeaf."""
        with self._uow.read(SYSTEM) as tx:
            placed = log_size(tx.connection)
            within = placed if size is None else size
            if not 0 <= leaf < within <= placed:
                raise UnknownLeaf(f"no leaf {leaf} in a log of {within}")
            lookup = node_lookup(tx.connection)
            path = merkle.inclusion_proof(leaf, within, lookup)
            return Inclusion(
                leaf=leaf, size=within, leaf_hash=lookup(0, leaf).hex(), path=_hex(path)
            )

    def consistency_proof(self, old: int, new: int) -> Consistency:
        """That the log of `new` leaves extends the log of `old`. Raises UnknownLeaf, BadInput."""
        if not 0 <= old <= new:
            raise BadInput("the old size is not above the new one")
        with self._uow.read(SYSTEM) as tx:
            if new > log_size(tx.connection):
                raise UnknownLeaf(f"no log of {new} leaves yet")
            path = merkle.consistency_proof(old, new, node_lookup(tx.connection))
        return Consistency(old=old, new=new, path=_hex(path))

    def rows(self, *, after: int = -1, limit: int = PAGE_MAX) -> list[PlacedRow]:
        """Placed rows in the log's order after a leaf, a page at a time."""
        query = (
            sa.select(journal_leaves.c.leaf, journal_rows.c.body)
            .join_from(journal_leaves, journal_rows, journal_leaves.c.row_id == journal_rows.c.id)
            .where(journal_leaves.c.leaf > after)
            .order_by(journal_leaves.c.leaf)
            .limit(min(max(limit, 1), PAGE_MAX))
        )
        with self._uow.read(SYSTEM) as tx:
            found = tx.connection.execute(query).all()
        return [PlacedRow(leaf=row.leaf, body=row.body) for row in found]

    def waiting(self) -> tuple[int, datetime | None]:
        """How many committed rows have no leaf yet, and the time of the oldest."""
        query = sa.select(sa.func.count(), sa.func.min(journal_rows.c.at)).join_from(
            journal_waiting, journal_rows, journal_waiting.c.row_id == journal_rows.c.id
        )
        with self._uow.read(SYSTEM) as tx:
            count, oldest = tx.connection.execute(query).one()
        return int(count), oldest

    def verify(self, *, witnessed: Sequence[Head] = ()) -> Verdict:
        """Walk the whole log; see journal_verify."""
        with self._uow.read(SYSTEM) as tx:
            return verify_journal(tx.connection, keys=self.keys(), witnessed=witnessed)


def _hex(path: Sequence[bytes]) -> list[str]:
    return [step.hex() for step in path]
