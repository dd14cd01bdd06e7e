"""Stage tracing, hot loops that both kernels use: heap, table, marks, what a transfer carries.

Numbers in, numbers out. After a change here clear the numba caches of the kernels that call it.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from openaoc.ledger.arrays import EXIT, LedgerArrays
from openaoc.tracing.scratch import (
    CHARGED,
    FREED,
    HEAP,
    INFERRED,
    ITEMS,
    LOCATED,
    RECORDS,
    USED,
    Scratch,
)

LOSS: Final = 0
OVERLAP: Final = 1
DROPPED: Final = 2
RESTITUTED: Final = 3
SUM: Final = 4
DROP: Final = 5
TOUCHED: Final = 6
TOTALS: Final = 7
"""Rows of `totals`, one column per case; the last three are working memory, zero between
transfers.
"""
SPREAD: Final = np.int64(-7046029254386353131)
"""2⁶⁴ divided by the golden ratio, odd, as a signed number: spreads neighbouring keys."""
NEVER: Final = np.int64(2**63 - 1)


@njit(cache=True, nogil=True)
def heap_push(s: Scratch, time: int, row: int, start: int, item: int) -> None:
    """Add an entry; the caller has made room."""
    at = s.counts[HEAP]
    s.counts[HEAP] = at + 1
    while at > 0:
        up = (at - 1) >> 1
        if s.heap_time[up] < time or (
            s.heap_time[up] == time
            and (s.heap_row[up] < row or (s.heap_row[up] == row and s.heap_start[up] <= start))
        ):
            break
        s.heap_time[at] = s.heap_time[up]
        s.heap_row[at] = s.heap_row[up]
        s.heap_start[at] = s.heap_start[up]
        s.heap_item[at] = s.heap_item[up]
        at = up
    s.heap_time[at] = time
    s.heap_row[at] = row
    s.heap_start[at] = start
    s.heap_item[at] = item


@njit(cache=True, nogil=True)
def heap_before(s: Scratch, one: int, other: int) -> bool:
    """Whether one entry comes before another."""
    if s.heap_time[one] != s.heap_time[other]:
        return bool(s.heap_time[one] < s.heap_time[other])
    if s.heap_row[one] != s.heap_row[other]:
        return bool(s.heap_row[one] < s.heap_row[other])
    return bool(s.heap_start[one] < s.heap_start[other])


@njit(cache=True, nogil=True)
def heap_pop(s: Scratch) -> int:
    """Remove the first entry and return its item."""
    first = s.heap_item[0]
    last = s.counts[HEAP] - 1
    s.counts[HEAP] = last
    at = 0
    while True:
        down = 2 * at + 1
        if down >= last:
            break
        if down + 1 < last and heap_before(s, down + 1, down):
            down += 1
        if heap_before(s, last, down):
            break
        s.heap_time[at] = s.heap_time[down]
        s.heap_row[at] = s.heap_row[down]
        s.heap_start[at] = s.heap_start[down]
        s.heap_item[at] = s.heap_item[down]
        at = down
    s.heap_time[at] = s.heap_time[last]
    s.heap_row[at] = s.heap_row[last]
    s.heap_start[at] = s.heap_start[last]
    s.heap_item[at] = s.heap_item[last]
    return int(first)


@njit(cache=True, nogil=True)
def new_item(s: Scratch) -> int:
    """A free item's number, or -1 when scratch must grow."""
    if s.counts[FREED] > 0:
        s.counts[FREED] -= 1
        return int(s.item_free[s.counts[FREED]])
    if s.counts[ITEMS] >= len(s.item_free):
        return -1
    s.counts[ITEMS] += 1
    return int(s.counts[ITEMS] - 1)


@njit(cache=True, nogil=True)
def free_item(s: Scratch, item: int) -> None:
    """Give an item back."""
    s.item_free[s.counts[FREED]] = item
    s.counts[FREED] += 1


@njit(cache=True, nogil=True)
def clear(s: Scratch) -> None:
    """Forget the last trace."""
    for i in range(s.counts[USED]):
        s.table_key[s.table_used[i]] = -1
    s.counts[:] = 0


@njit(cache=True, nogil=True)
def table_slot(s: Scratch, key: int) -> int:
    """The slot of account * cases + case, made if it is not there; -1 when scratch must grow."""
    mask = len(s.table_key) - 1
    slot = ((key * SPREAD) >> 20) & mask
    while s.table_key[slot] != key:
        if s.table_key[slot] == -1:
            if s.counts[USED] >= len(s.table_used):
                return -1
            s.table_used[s.counts[USED]] = slot
            s.counts[USED] += 1
            s.table_key[slot] = key
            s.table_layer[slot] = 0
            s.table_amount[slot] = 0
            s.table_received[slot] = NEVER
            s.table_held[slot] = 0
            s.table_marks[slot] = 0
            return int(slot)
        slot = (slot + 1) & mask
    return int(slot)


@njit(cache=True, nogil=True)
def settle(s: Scratch, key: int, amount: int, arrived: int) -> bool:
    """Count money as located; False when scratch must grow."""
    slot = table_slot(s, key)
    if slot < 0:
        return False
    s.table_amount[slot] += amount
    s.table_received[slot] = min(s.table_received[slot], arrived)
    return True


@njit(cache=True, nogil=True)
def contains(ordered: NDArray[np.int64], value: int) -> bool:
    """Whether a sorted array has the value."""
    low, high = 0, len(ordered)
    while low < high:
        middle = (low + high) >> 1
        if ordered[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low < len(ordered) and ordered[low] == value


@njit(cache=True, nogil=True)
def emit(s: Scratch, count: int, start: int, end: int, case: int) -> int:
    """Append a piece to the others, joined with the last where they touch; -1: grow."""
    if count > 0 and s.other_end[count - 1] == start and s.other_case[count - 1] == case:
        s.other_end[count - 1] = end
        return count
    if count >= len(s.other_end):
        return -1
    s.other_start[count] = start
    s.other_end[count] = end
    s.other_case[count] = case
    return count + 1


@njit(cache=True, nogil=True)
def mark(
    s: Scratch,
    pieces: int,
    amount: int,
    debtor: int,
    cases: int,
    claim_amount: NDArray[np.int64],
    claim_case: NDArray[np.int64],
    first: int,
    end: int,
    totals: NDArray[np.int64],
) -> int:
    """Let claims [first, end) mark clean money of a transfer, oldest first, as filed.

    Reads the tainted pieces by offset, writes them with the new ones to the others. Returns how
    many, or -1 when scratch must grow.
    """
    at = done = count = 0
    for claim in range(first, end):
        left = claim_amount[claim]
        case = claim_case[claim]
        while left > 0 and at < amount and count >= 0:
            if done < pieces and s.piece_start[done] == at:
                at = s.piece_end[done]
                count = emit(s, count, s.piece_start[done], at, s.piece_case[done])
                done += 1
                continue
            gap = s.piece_start[done] if done < pieces else amount
            part = min(left, gap - at)
            count = emit(s, count, at, at + part, case)
            at += part
            left -= part
        if count < 0:
            return -1
        totals[OVERLAP, case] += left
        totals[LOSS, case] += claim_amount[claim] - left
        if left < claim_amount[claim]:
            slot = table_slot(s, debtor * cases + case)
            if slot < 0:
                return -1
            s.table_marks[slot] |= np.uint8(CHARGED)
    while done < pieces and count >= 0:
        count = emit(s, count, s.piece_start[done], s.piece_end[done], s.piece_case[done])
        done += 1
    return count


@njit(cache=True, nogil=True)
def add_up(s: Scratch, pieces: int, totals: NDArray[np.int64]) -> int:
    """Sum the others by case into totals; returns how many cases, listed as touched."""
    touched = 0
    for i in range(pieces):
        case = s.other_case[i]
        if totals[SUM, case] == 0:
            totals[TOUCHED, touched] = case
            touched += 1
        totals[SUM, case] += s.other_end[i] - s.other_start[i]
    return touched


@njit(cache=True, nogil=True)
def carry(
    s: Scratch,
    ledger: LedgerArrays,
    row: int,
    pieces: int,
    cases: int,
    claim_case: NDArray[np.int64],
    first: int,
    end: int,
    dust: int,
    totals: NDArray[np.int64],
) -> int:
    """Record what a transfer carries of each case, set layers, drop dust.

    Works on the others and returns how many of them are left to follow, or -1: grow.
    """
    touched = add_up(s, pieces, totals)
    if s.counts[RECORDS] + touched > len(s.record_row):
        return -1
    dropping = False
    for i in range(touched):
        case = totals[TOUCHED, i]
        total = totals[SUM, case]
        totals[SUM, case] = 0
        totals[DROP, case] = 0
        s.record_row[s.counts[RECORDS]] = row
        s.record_case[s.counts[RECORDS]] = case
        s.record_amount[s.counts[RECORDS]] = total
        s.counts[RECORDS] += 1
        if ledger.flags[row] & EXIT:
            continue
        if total < dust:
            totals[DROPPED, case] += total
            totals[DROP, case] = 1
            dropping = True
        elif not _set_layer(s, ledger, row, case, cases, claim_case, first, end):
            return -1
    if not dropping:
        return pieces
    kept = 0
    for i in range(pieces):
        if totals[DROP, s.other_case[i]] == 0:
            s.other_start[kept] = s.other_start[i]
            s.other_end[kept] = s.other_end[i]
            s.other_case[kept] = s.other_case[i]
            kept += 1
    return kept


@njit(cache=True, nogil=True)
def _set_layer(
    s: Scratch,
    ledger: LedgerArrays,
    row: int,
    case: int,
    cases: int,
    claim_case: NDArray[np.int64],
    first: int,
    end: int,
) -> bool:
    """Give the creditor its layer for the case; False when scratch must grow."""
    layer = 1
    origin = False
    for claim in range(first, end):
        origin = origin or claim_case[claim] == case
    if not origin:
        slot = table_slot(s, ledger.debtor[row] * cases + case)
        if slot < 0:
            return False
        layer = s.table_layer[slot] + 1
    slot = table_slot(s, ledger.creditor[row] * cases + case)
    if slot < 0:
        return False
    if s.table_layer[slot] == 0 or layer < s.table_layer[slot]:
        s.table_layer[slot] = layer
    return True


@njit(cache=True, nogil=True)
def export(s: Scratch, width: int) -> None:
    """List what is located or held: case, account, amount, layer, received, marks, held."""
    count = 0
    for i in range(s.counts[USED]):
        slot = s.table_used[i]
        inferred = s.table_marks[slot] & INFERRED
        if s.table_amount[slot] > 0 or s.table_held[slot] > 0 or inferred:
            s.located[count, 0] = s.table_key[slot] % width
            s.located[count, 1] = s.table_key[slot] // width
            s.located[count, 2] = s.table_amount[slot]
            s.located[count, 3] = s.table_layer[slot]
            s.located[count, 4] = s.table_received[slot]
            s.located[count, 5] = s.table_marks[slot]
            s.located[count, 6] = s.table_held[slot]
            count += 1
    s.counts[LOCATED] = count


@njit(cache=True, nogil=True)
def next_row(s: Scratch, ledger: LedgerArrays, claim_row: NDArray[np.int64], claim: int) -> int:
    """The next transfer in ledger order: of the heap, or the next claim's."""
    if claim >= len(claim_row):
        return int(s.heap_row[0])
    origin = claim_row[claim]
    if s.counts[HEAP] == 0:
        return int(origin)
    time = ledger.time_us[origin]
    if time < s.heap_time[0] or (time == s.heap_time[0] and origin < s.heap_row[0]):
        return int(origin)
    return int(s.heap_row[0])
