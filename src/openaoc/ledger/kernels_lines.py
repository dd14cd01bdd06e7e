"""Hot loops over account lines: append, late rows, repair and corrections (tracing.md).

They keep every account's rows in ledger order and every row's two starts. They hold no names and
no locks: the caller lets no reader in while one runs.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from openaoc.ledger.arrays import EXIT, SELF
from openaoc.ledger.kernels_memory import soon, uncounted

NEVER: Final = 2**63 - 1
"""last_us of an account that waits for its repair: every further row of it is late."""
CLASSES: Final = 64
AHEAD: Final = 32
"""Rows whose accounts are asked for together before they are worked on: waits overlap."""
OUT_END: Final = 0
IN_END: Final = 1
"""Places in `Lines.pool_end`: the unused rest of a pool starts there."""


class Lines(NamedTuple):
    """The hot ledger's numbers, at their full reserved size (see LedgerArrays for the meaning).

    Beyond LedgerArrays, per account: in_end, out_end (ends of its line now), last_us (time of its
    newest row), line_from (µs: rows before it stand outside the line; 0: none do). Blocks of a
    pool hold 1, 2, 3, 4, 6, 8, 12, 16, … rows; free_out and free_in start the lists of free
    blocks per size (0: none, else offset + 1), linked through the blocks themselves.
    """

    time_us: NDArray[np.int64]
    debtor: NDArray[np.int32]
    creditor: NDArray[np.int32]
    amount: NDArray[np.int64]
    flags: NDArray[np.uint8]
    channel: NDArray[np.uint8]
    out_start: NDArray[np.int64]
    in_start: NDArray[np.int64]
    base_in: NDArray[np.int64]
    base_out: NDArray[np.int64]
    in_end: NDArray[np.int64]
    out_end: NDArray[np.int64]
    last_us: NDArray[np.int64]
    line_from: NDArray[np.int64]
    out_off: NDArray[np.int64]
    out_len: NDArray[np.int32]
    in_off: NDArray[np.int64]
    in_len: NDArray[np.int32]
    out_rows: NDArray[np.int32]
    out_starts: NDArray[np.int64]
    in_rows: NDArray[np.int32]
    free_out: NDArray[np.int64]
    free_in: NDArray[np.int64]
    pool_end: NDArray[np.int64]


class Dirty(NamedTuple):
    """Accounts that wait for repair: from which (time, row) on, how far their lists are sorted."""

    account: NDArray[np.int32]
    time_us: NDArray[np.int64]
    row: NDArray[np.int32]
    out_sorted: NDArray[np.int32]
    in_sorted: NDArray[np.int32]


@njit(cache=True, nogil=True)
def size_class(length: int) -> int:
    """The smallest class whose blocks hold `length` rows."""
    if length <= 1:
        return 0
    k = 0
    while (1 << k) < length:
        k += 1
    if k >= 2 and 3 * (1 << (k - 2)) >= length:  # noqa: PLR2004 - 3, 6, 12, …
        return 2 * (k - 1)
    return 2 * k - 1


@njit(cache=True, nogil=True)
def class_rows(size: int) -> int:
    """Rows that a block of the class holds."""
    if size == 0:
        return 1
    if size & 1:
        return 1 << ((size + 1) >> 1)
    return 3 * (1 << ((size >> 1) - 1))


@njit(cache=True, nogil=True, inline="always")
def block_full(length: int) -> bool:
    """Whether a list of this length fills its block: 0, 2^k or 3·2^k."""
    lowest = length & -length
    return length in (lowest, 3 * lowest)


@njit(cache=True, nogil=True)
def _take_block(
    rows: NDArray[np.int32],
    free: NDArray[np.int64],
    pool_end: NDArray[np.int64],
    which: int,
    size: int,
) -> int:
    """A block of the class: a freed one, else from the pool's end."""
    head = int(free[size])
    if head:
        free[size] = int(rows[head - 1])
        return head - 1
    start = int(pool_end[which])
    pool_end[which] = start + class_rows(size)
    return start


@njit(cache=True, nogil=True)
def _move_out(
    rows: NDArray[np.int32],
    starts: NDArray[np.int64],
    free: NDArray[np.int64],
    pool_end: NDArray[np.int64],
    offset: int,
    length: int,
) -> int:
    """Move a debtor's full block to one of the next size; its new place."""
    fresh = _take_block(rows, free, pool_end, OUT_END, size_class(length + 1))
    for i in range(length):
        rows[fresh + i] = rows[offset + i]
        starts[fresh + i] = starts[offset + i]
    if length:
        old = size_class(length)
        rows[offset] = np.int32(free[old])
        free[old] = offset + 1
    return fresh


@njit(cache=True, nogil=True)
def _move_in(
    rows: NDArray[np.int32],
    free: NDArray[np.int64],
    pool_end: NDArray[np.int64],
    offset: int,
    length: int,
) -> int:
    """Move a creditor's full block to one of the next size; its new place."""
    fresh = _take_block(rows, free, pool_end, IN_END, size_class(length + 1))
    for i in range(length):
        rows[fresh + i] = rows[offset + i]
    if length:
        old = size_class(length)
        rows[offset] = np.int32(free[old])
        free[old] = offset + 1
    return fresh


@njit(cache=True, nogil=True)
def room_out(
    offs: NDArray[np.int64],
    lens: NDArray[np.int32],
    rows: NDArray[np.int32],
    starts: NDArray[np.int64],
    free: NDArray[np.int64],
    pool_end: NDArray[np.int64],
    account: int,
) -> int:
    """The place for one more row at the end of a debtor's list, which counts it already."""
    length = int(lens[account])
    if block_full(length):
        offs[account] = _move_out(rows, starts, free, pool_end, int(offs[account]), length)
    lens[account] = np.int32(length + 1)
    return int(offs[account]) + length


@njit(cache=True, nogil=True)
def room_in(
    offs: NDArray[np.int64],
    lens: NDArray[np.int32],
    rows: NDArray[np.int32],
    free: NDArray[np.int64],
    pool_end: NDArray[np.int64],
    account: int,
) -> int:
    """The place for one more row at the end of a creditor's list, which counts it already."""
    length = int(lens[account])
    if block_full(length):
        offs[account] = _move_in(rows, free, pool_end, int(offs[account]), length)
    lens[account] = np.int32(length + 1)
    return int(offs[account]) + length


@njit(cache=True, nogil=True)
def push_out(lines: Lines, account: int, row: int, start: int) -> None:
    """Append a row to the debtor's list."""
    at = room_out(
        lines.out_off, lines.out_len, lines.out_rows, lines.out_starts, lines.free_out,
        lines.pool_end, account,
    )  # fmt: skip
    lines.out_rows[at] = np.int32(row)
    lines.out_starts[at] = start


@njit(cache=True, nogil=True)
def push_in(lines: Lines, account: int, row: int) -> None:
    """Append a row to the creditor's list."""
    at = room_in(lines.in_off, lines.in_len, lines.in_rows, lines.free_in, lines.pool_end, account)
    lines.in_rows[at] = np.int32(row)


@njit(cache=True, nogil=True, inline="always")
def _precedes(time_us: NDArray[np.int64], row: int, at_us: int, at_row: int) -> bool:
    """Whether the row stands before (at_us, at_row) in ledger order."""
    own = time_us[row]
    return own < at_us or (own == at_us and row < at_row)


@njit(cache=True, nogil=True)
def place(
    rows: NDArray[np.int32],
    time_us: NDArray[np.int64],
    offset: int,
    length: int,
    at_us: int,
    at_row: int,
) -> int:
    """How many of a sorted list's rows stand before (at_us, at_row)."""
    low, high = 0, length
    while low < high:
        middle = (low + high) >> 1
        if _precedes(time_us, int(rows[offset + middle]), at_us, at_row):
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True, nogil=True)
def _merge_tail(
    rows: NDArray[np.int32],
    time_us: NDArray[np.int64],
    offset: int,
    ordered: int,
    length: int,
) -> None:
    """Merge the tail of a list, itself in ledger order, into its sorted head, from the back."""
    tail = rows[offset + ordered : offset + length].copy()
    write, head, last = length - 1, ordered - 1, tail.size - 1
    while last >= 0 and head >= 0:
        row = int(tail[last])
        if _precedes(time_us, int(rows[offset + head]), time_us[row], row):
            rows[offset + write] = tail[last]
            last -= 1
        else:
            rows[offset + write] = rows[offset + head]
            head -= 1
        write -= 1
    while last >= 0:
        rows[offset + write] = tail[last]
        last -= 1
        write -= 1


@njit(cache=True, nogil=True)
def repair(lines: Lines, account: int, at_us: int, at_row: int) -> int:
    """Set the account's positions anew from (at_us, at_row) on; how many rows that were.

    Both lists must be in ledger order. Earlier positions are right and stay.
    """
    outs, ins = int(lines.out_len[account]), int(lines.in_len[account])
    out_off, in_off = lines.out_off[account], lines.in_off[account]
    o = place(lines.out_rows, lines.time_us, out_off, outs, at_us, at_row)
    i = place(lines.in_rows, lines.time_us, in_off, ins, at_us, at_row)
    out_end, in_end = lines.base_out[account], lines.base_in[account]
    if o:
        before = lines.out_rows[out_off + o - 1]
        out_end = lines.out_starts[out_off + o - 1] + lines.amount[before]
    if i:
        before = lines.in_rows[in_off + i - 1]
        in_end = lines.in_start[before] + lines.amount[before]
    steps = outs - o + ins - i
    while o < outs or i < ins:
        takes_out = i >= ins
        if o < outs and i < ins:
            other = int(lines.in_rows[in_off + i])
            takes_out = _precedes(
                lines.time_us, int(lines.out_rows[out_off + o]), lines.time_us[other], other
            )
        if takes_out:
            row = lines.out_rows[out_off + o]
            lines.out_start[row] = out_end
            lines.out_starts[out_off + o] = out_end
            out_end += lines.amount[row]
            o += 1
        else:
            row = lines.in_rows[in_off + i]
            in_end = max(in_end, out_end)
            lines.in_start[row] = in_end
            in_end += lines.amount[row]
            i += 1
    lines.out_end[account] = out_end
    lines.in_end[account] = in_end
    newest = -(2**63)
    if outs:
        newest = lines.time_us[lines.out_rows[out_off + outs - 1]]
    if ins:
        newest = max(newest, lines.time_us[lines.in_rows[in_off + ins - 1]])
    lines.last_us[account] = newest
    return steps


@njit(cache=True, nogil=True)
def note_late(lines: Lines, dirty: Dirty, waiting: int, account: int, row: int) -> int:
    """Note that the account needs repair from this row on; how many accounts wait now."""
    if lines.last_us[account] == NEVER:
        return waiting
    lines.last_us[account] = NEVER
    dirty.account[waiting] = np.int32(account)
    dirty.time_us[waiting] = lines.time_us[row]
    dirty.row[waiting] = np.int32(row)
    dirty.out_sorted[waiting] = lines.out_len[account]
    dirty.in_sorted[waiting] = lines.in_len[account]
    return waiting + 1


@njit(cache=True, nogil=True)
def mend(lines: Lines, dirty: Dirty, waiting: int) -> int:
    """Bring the late rows of the waiting accounts to their places; how many rows were touched."""
    steps = 0
    for k in range(waiting):
        account = int(dirty.account[k])
        outs, ins = int(lines.out_len[account]), int(lines.in_len[account])
        if outs > dirty.out_sorted[k]:
            offset = lines.out_off[account]
            # out_starts behind the first late row are set by the repair
            _merge_tail(lines.out_rows, lines.time_us, offset, int(dirty.out_sorted[k]), outs)
        if ins > dirty.in_sorted[k]:
            offset = lines.in_off[account]
            _merge_tail(lines.in_rows, lines.time_us, offset, int(dirty.in_sorted[k]), ins)
        steps += repair(lines, account, dirty.time_us[k], int(dirty.row[k]))
    return steps


@njit(cache=True, nogil=True, inline="always")
def outside(line_from: NDArray[np.int64], account: int, when: int) -> bool:
    """Whether the time is before the account's opening balance."""
    return bool(line_from[account] != 0 and when < line_from[account])


@njit(cache=True, nogil=True, inline="always")
def _fetch(lines: Lines, rows: NDArray[np.int32], at: int, stop: int) -> None:
    """Ask for the two lines of a row further on, and for their lists' ends of one less far."""
    far, near = at + 2 * AHEAD, at + AHEAD
    if far < stop:
        soon(lines.out_end, lines.debtor[rows[far]])
        soon(lines.out_end, max(lines.creditor[rows[far]], 0))
    if near < stop:
        debtor, creditor = lines.debtor[rows[near]], max(lines.creditor[rows[near]], 0)
        end = lines.out_off[debtor] + lines.out_len[debtor]
        soon(lines.out_rows, end)
        soon(lines.out_starts, end)
        soon(lines.in_rows, lines.in_off[creditor] + lines.in_len[creditor])


@njit(cache=True, nogil=True)
def apply_rows(lines: Lines, rows: NDArray[np.int32], start: int, stop: int, dirty: Dirty) -> int:
    """Put rows[start:stop], in ledger order, on their accounts' lines; rows repaired.

    A row not older than everything its account has is appended in constant time; the accounts of
    the others are repaired once, at the end. `dirty` has room for 2·(stop - start) accounts.
    """
    lines, dirty = uncounted(lines), uncounted(dirty)
    time_us, amounts, all_flags = lines.time_us, lines.amount, lines.flags
    debtors, creditors, line_from = lines.debtor, lines.creditor, lines.line_from
    in_end, out_end, last_us = lines.in_end, lines.out_end, lines.last_us
    out_off, out_len, in_off, in_len = lines.out_off, lines.out_len, lines.in_off, lines.in_len
    out_rows, out_starts, in_rows = lines.out_rows, lines.out_starts, lines.in_rows
    out_start, in_start = lines.out_start, lines.in_start
    free_out, free_in, pool_end = lines.free_out, lines.free_in, lines.pool_end
    waiting = 0
    for k in range(start, stop):
        _fetch(lines, rows, k, stop)
        row = int(rows[k])
        flags = all_flags[row]
        if flags & SELF:
            continue
        when, amount = time_us[row], amounts[row]
        debtor = int(debtors[row])
        if not outside(line_from, debtor, when):
            begin = 0
            if when >= last_us[debtor]:
                begin = out_end[debtor]
                out_start[row] = begin
                out_end[debtor] = begin + amount
                last_us[debtor] = when
            else:
                waiting = note_late(lines, dirty, waiting, debtor, row)
            at = room_out(out_off, out_len, out_rows, out_starts, free_out, pool_end, debtor)
            out_rows[at] = np.int32(row)
            out_starts[at] = begin
        if flags & EXIT:
            continue
        creditor = int(creditors[row])
        if not outside(line_from, creditor, when):
            if when >= last_us[creditor]:
                begin = max(in_end[creditor], out_end[creditor])
                in_start[row] = begin
                in_end[creditor] = begin + amount
                last_us[creditor] = when
            else:
                waiting = note_late(lines, dirty, waiting, creditor, row)
            at = room_in(in_off, in_len, in_rows, free_in, pool_end, creditor)
            in_rows[at] = np.int32(row)
    return mend(lines, dirty, waiting)
