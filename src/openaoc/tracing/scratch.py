"""Stage tracing: the memory the kernels work in, one set per thread, reused from trace to trace.

Grows when a kernel says so; never proportional to the ledger.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

SMALL: Final = 1 << 12
"""Entries to begin with: half a megabyte, enough for nearly every case."""
KEPT_MAX: Final = 1 << 17
"""A larger set is given back after its trace."""

DONE: Final = 0
GROW: Final = 1
HELD_REACHED: Final = 2
"""What a kernel returns: finished; needs larger scratch; met an account with hold events."""

WHOLE: Final = 0
LIMIT_TRANSFERS: Final = 1
LIMIT_ACCOUNTS: Final = 2
LIMIT_LOTS: Final = 3
LIMIT_NAMES: Final = (None, "transfers", "accounts", "lots")
"""The limit a trace reached, by the number in counts[LIMIT]."""

USED: Final = 0
HEAP: Final = 1
ITEMS: Final = 2
FREED: Final = 3
RECORDS: Final = 4
LOCATED: Final = 5
LIMIT: Final = 6
PIECES: Final = 7
STEPS: Final = 8
LOTS: Final = 9
LOTS_FREED: Final = 10
COUNTS: Final = 11
"""Places in `counts`."""

CHARGED: Final = 1
INFERRED: Final = 2
"""Marks of an account and case: an origin was charged to it; it sent money unseen under a hold."""

NONE: Final = -1
"""No lot, no case (clean), no slot."""


class Scratch(NamedTuple):
    """Working memory of one trace; arrays of one group have one length.

    Heap entries in (time, row, start) order point to items. Items are a case's money on an
    account's line ([start, end), `item_pos` the next outflow's place in the pool) or, in a replay,
    active accounts. The table finds (account, case): layer, located and held amount, earliest
    arrival, marks. Records are what each transfer carried.
    """

    counts: NDArray[np.int64]
    heap_time: NDArray[np.int64]
    heap_row: NDArray[np.int64]
    heap_start: NDArray[np.int64]
    heap_item: NDArray[np.int32]
    item_start: NDArray[np.int64]
    item_end: NDArray[np.int64]
    item_pos: NDArray[np.int64]
    item_arrived: NDArray[np.int64]
    item_case: NDArray[np.int32]
    item_free: NDArray[np.int32]
    piece_start: NDArray[np.int64]
    piece_end: NDArray[np.int64]
    piece_case: NDArray[np.int32]
    piece_arrived: NDArray[np.int64]
    other_start: NDArray[np.int64]
    other_end: NDArray[np.int64]
    other_case: NDArray[np.int32]
    table_key: NDArray[np.int64]
    table_layer: NDArray[np.int32]
    table_amount: NDArray[np.int64]
    table_received: NDArray[np.int64]
    table_held: NDArray[np.int64]
    table_marks: NDArray[np.uint8]
    table_used: NDArray[np.int64]
    record_row: NDArray[np.int64]
    record_case: NDArray[np.int32]
    record_amount: NDArray[np.int64]
    located: NDArray[np.int64]


def make_scratch(size: int) -> Scratch:
    """A set with `size` entries (a power of two) in each group."""
    wide, narrow = np.int64, np.int32
    return Scratch(
        counts=np.zeros(COUNTS, wide),
        heap_time=np.empty(size, wide),
        heap_row=np.empty(size, wide),
        heap_start=np.empty(size, wide),
        heap_item=np.empty(size, narrow),
        item_start=np.empty(size, wide),
        item_end=np.empty(size, wide),
        item_pos=np.empty(size, wide),
        item_arrived=np.empty(size, wide),
        item_case=np.empty(size, narrow),
        item_free=np.empty(size, narrow),
        piece_start=np.empty(size, wide),
        piece_end=np.empty(size, wide),
        piece_case=np.empty(size, narrow),
        piece_arrived=np.empty(size, wide),
        other_start=np.empty(size, wide),
        other_end=np.empty(size, wide),
        other_case=np.empty(size, narrow),
        table_key=np.full(2 * size, -1, wide),
        table_layer=np.empty(2 * size, narrow),
        table_amount=np.empty(2 * size, wide),
        table_received=np.empty(2 * size, wide),
        table_held=np.empty(2 * size, wide),
        table_marks=np.empty(2 * size, np.uint8),
        table_used=np.empty(size, wide),
        record_row=np.empty(size, wide),
        record_case=np.empty(size, narrow),
        record_amount=np.empty(size, wide),
        located=np.empty((size, 7), wide),
    )


class Books(NamedTuple):
    """Further memory of a replay: what the active accounts hold.

    Per active account: its number (-1: slot not in use), the next places in the two pools, first
    and last lot, free tainted and held sums, free known balance (pro-rata), whether it is a hub
    and whether it has hold events. Lots are linked in order of arrival (pro-rata: one per case, by
    case; `lot_kept` is its held sum); a clean lot's case is -1.
    """

    account: NDArray[np.int64]
    next_out: NDArray[np.int64]
    next_in: NDArray[np.int64]
    head: NDArray[np.int32]
    tail: NDArray[np.int32]
    taint: NDArray[np.int64]
    held: NDArray[np.int64]
    balance: NDArray[np.int64]
    hub: NDArray[np.uint8]
    has_holds: NDArray[np.uint8]
    lot_amount: NDArray[np.int64]
    lot_kept: NDArray[np.int64]
    lot_arrived: NDArray[np.int64]
    lot_case: NDArray[np.int32]
    lot_held: NDArray[np.uint8]
    lot_next: NDArray[np.int32]
    lot_prev: NDArray[np.int32]
    lot_free: NDArray[np.int32]


def make_books(size: int) -> Books:
    """Room for `size` active accounts and `size` lots."""
    wide, narrow, flag = np.int64, np.int32, np.uint8
    return Books(
        account=np.empty(size, wide),
        next_out=np.empty(size, wide),
        next_in=np.empty(size, wide),
        head=np.empty(size, narrow),
        tail=np.empty(size, narrow),
        taint=np.empty(size, wide),
        held=np.empty(size, wide),
        balance=np.empty(size, wide),
        hub=np.empty(size, flag),
        has_holds=np.empty(size, flag),
        lot_amount=np.empty(size, wide),
        lot_kept=np.empty(size, wide),
        lot_arrived=np.empty(size, wide),
        lot_case=np.empty(size, narrow),
        lot_held=np.empty(size, flag),
        lot_next=np.empty(size, narrow),
        lot_prev=np.empty(size, narrow),
        lot_free=np.empty(size, narrow),
    )


class Lent:
    """A set on loan: both parts are replaced by larger ones when it grows."""

    def __init__(self, scratch: Scratch) -> None:
        self.scratch = scratch
        self._books: Books | None = None

    @property
    def books(self) -> Books:
        """The part that only replays need, as large as the scratch."""
        size = len(self.scratch.item_free)
        if self._books is None or len(self._books.account) != size:
            self._books = make_books(size)
        return self._books

    def grow(self) -> None:
        """Four times as large; what was in it is lost."""
        self.scratch = make_scratch(4 * len(self.scratch.item_free))


class _Kept(threading.local):
    """Each thread's own sets that are not on loan."""

    def __init__(self) -> None:
        self.free: list[Lent] = []


_kept = _Kept()


@contextmanager
def borrowed() -> Iterator[Lent]:
    """This thread's set, or a new one."""
    lent = _kept.free.pop() if _kept.free else Lent(make_scratch(SMALL))
    try:
        yield lent
    finally:
        if len(lent.scratch.item_free) <= KEPT_MAX and not _kept.free:
            _kept.free.append(lent)
