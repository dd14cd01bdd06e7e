"""Stage ledger: cold days that are too old go, whole segments at a time.

Answers what each account had when its first kept transfer was booked, so that later lines stay
right. Says how much expired, never what.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Final, Protocol

import msgspec
import numpy as np
import pyarrow as pa
import structlog
from numpy.typing import NDArray

from openaoc.ledger import openings
from openaoc.ledger.archive import Moves
from openaoc.ledger.batches import Batches
from openaoc.ledger.cold import ColdStore
from openaoc.ledger.cold_format import Segment
from openaoc.ledger.days import Days
from openaoc.ledger.hot import HotLog
from openaoc.ledger.kernels_cold import balances
from openaoc.ledger.model import Expired
from openaoc.ledger.tickets import read_table, write_table

BASES_SCHEMA: Final = pa.schema(
    [
        ("bank", pa.string()),
        ("account", pa.string()),
        ("currency", pa.string()),
        ("opening_minor", pa.int64()),
        ("bare_minor", pa.int64()),
    ]
)
ACCOUNTS_TOGETHER: Final = 20_000

_log = structlog.get_logger(__name__)


class Writer(Protocol):
    """What is needed of the one writer."""

    def alone(self) -> AbstractContextManager[None]:
        """No cut and no snapshot is under way meanwhile."""
        ...

    def quiet(self) -> AbstractContextManager[None]:
        """No batch is half done meanwhile. Raises LedgerStopped."""
        ...

    def log_expired(self, head: bytes, payload: bytes) -> int:
        """Durable when it returns; its position. While quiet."""
        ...


class Expiry:
    """Lets cold days of one hot log expire."""

    def __init__(
        self,
        hot: HotLog,
        cold: ColdStore,
        days: Days,
        batches: Batches,
        *,
        writing: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._hot, self._cold, self._days, self._batches = hot, cold, days, batches
        self._writing = writing

    def expire(self, before_us: int, writer: Writer, *, told_before_us: int) -> Expired | None:
        """Let the oldest segments go in which all was booked and told before; what went, if any.

        Killed at any moment it is done whole or not at all. Raises DiskRefused, LedgerStopped,
        TooLarge; then nothing has changed.
        """
        with writer.alone():
            segments = self._cold.expiring(before_us, told_before_us=told_before_us)
            if not segments:
                return None
            try:
                expired = self._expire(segments, writer)
            finally:
                self._days.rebased = None
        _log.info("ledger.expired", segments=len(segments), transfers=expired.transfers)
        return expired

    def _expire(self, segments: Sequence[Segment], writer: Writer) -> Expired:
        end_us = max(segment.last_us for segment in segments) + 1
        table = self._cold.accounts_in(segments)
        with writer.quiet():
            self._days.rebased = set()
            accounts = openings.number_accounts(self._hot, table)
        amounts, bare = self._bases(accounts, end_us, writer)
        with writer.quiet():
            self._mend(accounts, amounts, bare, end_us)
            expired = _summary(segments, end_us, accounts.size)
            columns = [*table.columns, pa.array(amounts), pa.array(bare)]
            payload = write_table(pa.table(columns, schema=BASES_SCHEMA))
            position = writer.log_expired(msgspec.msgpack.encode(expired), payload)
            expired = msgspec.structs.replace(expired, position=position)
            self._carry_out(expired, accounts, amounts, bare)
        return expired

    def replay(self, head: bytes, payload: bytes, *, position: int) -> None:
        """Do again what the log says was done."""
        expired = msgspec.msgpack.decode(head, type=Expired)
        table = read_table(payload)
        accounts = openings.number_accounts(self._hot, table)
        amounts, bare = (
            table[name].combine_chunks().to_numpy(zero_copy_only=False)
            for name in ("opening_minor", "bare_minor")
        )
        self._carry_out(
            msgspec.structs.replace(expired, position=position), accounts, amounts, bare
        )

    def _bases(
        self, accounts: NDArray[np.int32], end_us: int, writer: Writer
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Each account's balance at `end_us`, and what of it was seen to come in."""
        amounts, bare = np.zeros(accounts.size, np.int64), np.zeros(accounts.size, np.int64)
        for start in range(0, accounts.size, ACCOUNTS_TOGETHER):
            part = slice(start, start + ACCOUNTS_TOGETHER)
            moves = self._days.archive.before(accounts[part].tolist(), end_us - 1)
            with writer.quiet():
                moves = self._days.archive.current(moves, accounts[part].tolist(), end_us - 1)
                amounts[part], bare[part] = self._ends(accounts[part], moves)
        return amounts, bare

    def _mend(
        self,
        accounts: NDArray[np.int32],
        amounts: NDArray[np.int64],
        bare: NDArray[np.int64],
        end_us: int,
    ) -> None:
        """What was told of older days since the first look."""
        rebased = self._days.rebased or set()
        told = np.fromiter(rebased, np.int64, len(rebased))
        places = np.flatnonzero(np.isin(accounts, told))
        for start in range(0, places.size, ACCOUNTS_TOGETHER):
            part = places[start : start + ACCOUNTS_TOGETHER]
            some, archive = accounts[part], self._days.archive
            moves = archive.before(some.tolist(), end_us - 1)
            moves = archive.current(moves, some.tolist(), end_us - 1)
            amounts[part], bare[part] = self._ends(some, moves)

    def _ends(
        self, accounts: NDArray[np.int32], moves: Moves
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        store, order = self._hot.store, np.argsort(accounts)
        wanted = accounts[order].astype(np.int64)
        moves = moves.take(np.lexsort((moves.sequence, moves.time_us)))

        def places(side: NDArray[np.int32]) -> NDArray[np.int64]:
            at = np.minimum(np.searchsorted(wanted, side), wanted.size - 1)
            inside = (wanted[at] == side) & (moves.time_us >= store.opened_from[wanted[at]])
            found: NDArray[np.int64] = np.where(inside, at, -1)
            return found

        amounts, bare = store.opened_minor[wanted].copy(), store.opened_bare[wanted].copy()
        payers, payees = places(moves.debtor), places(moves.creditor)
        balances(payers, payees, moves.amount, moves.flags, amounts, bare)
        found = np.empty((2, accounts.size), np.int64)
        found[0, order], found[1, order] = amounts, bare
        return found[0], found[1]

    def _carry_out(
        self,
        expired: Expired,
        accounts: NDArray[np.int32],
        amounts: NDArray[np.int64],
        bare: NDArray[np.int64],
    ) -> None:
        """Lines begin at the bases, then the segments go. May be done again."""
        store = self._hot.store
        earlier = store.opened_from[accounts] < expired.before_us
        accounts, amounts, bare = accounts[earlier], amounts[earlier], bare[earlier]
        with self._writing():
            store.opened_from[accounts] = expired.before_us
            store.opened_minor[accounts], store.opened_bare[accounts] = amounts, bare
            store.expired_us = max(store.expired_us, expired.before_us)
            store.expired_segments = max(store.expired_segments, expired.segments)
            self._days.archive.forget()
        self._batches.expired[expired.position] = expired
        self._cold.drop(expired.segments)


def _summary(segments: Sequence[Segment], end_us: int, accounts: int) -> Expired:
    return Expired(
        position=0,
        before_us=end_us,
        segments=max(segment.number for segment in segments),
        transfers=sum(segment.transfers for segment in segments if not segment.amends),
        accounts=accounts,
        first_us=min(segment.first_us for segment in segments),
    )
