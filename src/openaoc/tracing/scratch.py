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
HELD: Final = 9
ACTIVE: Final = 10
INFERRED: Final = 11
COUNTS: Final = 12
"""Places in `counts`."""


class Scratch(NamedTuple):
    """Working memory of one trace; arrays of one group have one length.

    Heap entries in (time, row, start) order point to items. Items are a case's money on an
    account's line ([start, end), `item_pos` the next outflow's place in the pool) or, in a replay,
    active accounts. The table finds (account, case): layer, located amount, earliest arrival,
    whether an origin was charged to it. Records are what each transfer carried.
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
    table_charged: NDArray[np.uint8]
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
        table_charged=np.empty(2 * size, np.uint8),
        table_used=np.empty(size, wide),
        record_row=np.empty(size, wide),
        record_case=np.empty(size, narrow),
        record_amount=np.empty(size, wide),
        located=np.empty((size, 6), wide),
    )


class Lent:
    """A set on loan: `scratch` is replaced by a larger one when it grows."""

    def __init__(self, scratch: Scratch) -> None:
        self.scratch = scratch

    def grow(self) -> None:
        """Four times as large; what was in it is lost."""
        self.scratch = make_scratch(4 * len(self.scratch.item_free))


class _Kept(threading.local):
    """Each thread's own sets that are not on loan."""

    def __init__(self) -> None:
        self.free: list[Scratch] = []


_kept = _Kept()


@contextmanager
def borrowed() -> Iterator[Lent]:
    """This thread's set, or a new one."""
    lent = Lent(_kept.free.pop() if _kept.free else make_scratch(SMALL))
    try:
        yield lent
    finally:
        if len(lent.scratch.item_free) <= KEPT_MAX and not _kept.free:
            _kept.free.append(lent.scratch)
