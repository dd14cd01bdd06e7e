"""Stage tracing: the memory the kernels work in, one set per thread, reused from trace to trace.

Grows when a kernel says so; never proportional to the ledger.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final, NamedTuple, Self

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
FOUND: Final = 5
LIMIT: Final = 6
PIECES: Final = 7
STEPS: Final = 8
LOTS: Final = 9
LOTS_FREED: Final = 10
COUNTS: Final = 11
"""Places in `counts`."""

FIFO: Final = 0
LIFO: Final = 1
PRO_RATA: Final = 2
"""The rules as the kernels know them."""

NONE: Final = -1
"""No lot, no case (clean), no slot."""


H_TIME: Final = 0
H_ROW: Final = 1
H_START: Final = 2
H_ITEM: Final = 3
HEAP_COLUMNS: Final = 4

I_START: Final = 0
I_END: Final = 1
I_POS: Final = 2
I_ARRIVED: Final = 3
I_CASE: Final = 4
I_AHEAD: Final = 5
ITEM_COLUMNS: Final = 6

P_START: Final = 0
P_END: Final = 1
P_CASE: Final = 2
PIECE_COLUMNS: Final = 3

T_KEY: Final = 0
T_LAYER: Final = 1
T_AMOUNT: Final = 2
T_RECEIVED: Final = 3
T_HELD: Final = 4
T_MARKS: Final = 5
TABLE_COLUMNS: Final = 6

R_ROW: Final = 0
R_AMOUNT: Final = 1
R_EXIT: Final = 2
R_CASE: Final = 3
RECORD_COLUMNS: Final = 4

A_ACCOUNT: Final = 0
A_NEXT_OUT: Final = 1
A_NEXT_IN: Final = 2
A_HEAD: Final = 3
A_TAIL: Final = 4
A_TAINT: Final = 5
A_HELD: Final = 6
A_BALANCE: Final = 7
A_HUB: Final = 8
A_HAS_HOLDS: Final = 9
ACCOUNT_COLUMNS: Final = 10

L_AMOUNT: Final = 0
L_KEPT: Final = 1
L_ARRIVED: Final = 2
L_CASE: Final = 3
L_HELD: Final = 4
L_NEXT: Final = 5
L_PREV: Final = 6
LOT_COLUMNS: Final = 7

F_ACCOUNT: Final = 0
F_AMOUNT: Final = 1
F_LAYER: Final = 2
F_RECEIVED: Final = 3
F_MARKS: Final = 4
F_HELD: Final = 5
F_CASE: Final = 6
FOUND_COLUMNS: Final = 7
"""Columns of the arrays below. Records and what is found begin as in `model.CaseTrace`."""


class Scratch(NamedTuple):
    """Working memory of one trace: rows of 64-bit numbers.

    Heap entries in (time, row, start) order point to items. Items are a case's money on an
    account's line ([start, end), `I_POS` the next outflow's place in the pool) or, in a replay,
    active accounts; `free` lists those given back. Pieces are what a transfer carries by offset,
    before (pieces) and after (others) its claims. The table finds account * width + case: layer,
    located and held amount, earliest arrival, marks; `used` lists its taken slots. Records are
    what each transfer carried; `found` what is on each account in the end.
    """

    counts: NDArray[np.int64]
    heap: NDArray[np.int64]
    items: NDArray[np.int64]
    free: NDArray[np.int64]
    pieces: NDArray[np.int64]
    others: NDArray[np.int64]
    table: NDArray[np.int64]
    used: NDArray[np.int64]
    records: NDArray[np.int64]
    found: NDArray[np.int64]


SCRATCH_COLUMNS: Final = (
    0,
    HEAP_COLUMNS,
    ITEM_COLUMNS,
    0,
    PIECE_COLUMNS,
    PIECE_COLUMNS,
    TABLE_COLUMNS,
    0,
    RECORD_COLUMNS,
    FOUND_COLUMNS,
)
"""Numbers in a row of each array of Scratch; 0: the array has one dimension."""
BOOKS_COLUMNS: Final = (ACCOUNT_COLUMNS, LOT_COLUMNS, 0)
"""The same of Books."""


def make_scratch(size: int) -> Scratch:
    """A set with `size` (a power of two) rows in each array, twice as many in the table."""
    rows = [size] * len(SCRATCH_COLUMNS)
    rows[0], rows[Scratch._fields.index("table")] = COUNTS, 2 * size
    made = Scratch(*map(_array, rows, SCRATCH_COLUMNS))
    made.counts[:] = 0
    made.table[:, T_KEY] = NONE
    return made


def _array(rows: int, columns: int) -> NDArray[np.int64]:
    return np.empty((rows, columns) if columns else rows, np.int64)


class Books(NamedTuple):
    """Further memory of a replay: what the active accounts hold.

    Per active account: its number (-1: slot not in use), the next places in the two pools, first
    and last lot, free tainted and held sums, free known balance (pro-rata), whether it is a hub
    and whether it has hold events. Lots are linked in order of arrival (pro-rata: one per case, by
    case; `L_KEPT` is its held sum); a clean lot's case is -1; `free` lists those given back.
    """

    accounts: NDArray[np.int64]
    lots: NDArray[np.int64]
    free: NDArray[np.int64]


def make_books(size: int) -> Books:
    """Room for `size` active accounts and `size` lots."""
    return Books(*(_array(size, columns) for columns in BOOKS_COLUMNS))


Given = Callable[[tuple[NDArray[Any], ...]], object]
"""What the kernels take for a tuple of arrays: see `compiled.Kernels`."""


class Lent:
    """A set on loan: both parts are replaced by larger ones when it grows."""

    def __init__(self, scratch: Scratch) -> None:
        self.scratch = scratch
        self._books: Books | None = None
        self._given: tuple[Given, object] | None = None

    @property
    def books(self) -> Books:
        """The part that only replays need, as large as the scratch."""
        size = len(self.scratch.free)
        if self._books is None or len(self._books.accounts) != size:
            self._books = make_books(size)
        return self._books

    def scratch_as(self, given: Given) -> object:
        """The scratch as the kernels take it."""
        if self._given is None or self._given[0] is not given:
            self._given = given, given(self.scratch)
        return self._given[1]

    def grow(self) -> None:
        """Four times as large; what was in it is lost."""
        self.scratch, self._given = make_scratch(4 * len(self.scratch.free)), None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if len(self.scratch.free) <= KEPT_MAX and not _kept.free:
            _kept.free.append(self)


class _Kept(threading.local):
    """Each thread's own sets that are not on loan."""

    def __init__(self) -> None:
        self.free: list[Lent] = []


_kept = _Kept()


def borrowed() -> Lent:
    """This thread's set, or a new one; it is given back at the end of a `with`."""
    return _kept.free.pop() if _kept.free else Lent(make_scratch(SMALL))
