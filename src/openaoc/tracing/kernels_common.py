"""Stage tracing, hot loops that both kernels use: heap, table, marks, what a transfer carries.

Numbers in, numbers out. Plain functions: compiled.py compiles them where that pays.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from openaoc.ledger.arrays import EXIT, LedgerArrays
from openaoc.tracing.model import CHARGED, INFERRED, POOLED
from openaoc.tracing.scratch import (
    F_ACCOUNT,
    F_AMOUNT,
    F_CASE,
    F_HELD,
    F_LAYER,
    F_MARKS,
    F_RECEIVED,
    FOUND,
    FREED,
    H_ITEM,
    H_ROW,
    H_START,
    H_TIME,
    HEAP,
    ITEMS,
    P_CASE,
    P_END,
    P_START,
    R_AMOUNT,
    R_CASE,
    R_EXIT,
    R_ROW,
    RECORDS,
    T_AMOUNT,
    T_HELD,
    T_KEY,
    T_LAYER,
    T_MARKS,
    T_RECEIVED,
    USED,
    Scratch,
)

LOSS: Final = 0
OVERLAP: Final = 1
DROPPED: Final = 2
RESTITUTED: Final = 3
EXITED: Final = 4
SUM: Final = 5
DROP: Final = 6
TOUCHED: Final = 7
TOTALS: Final = 8
"""Rows of `totals`, one column per case; the last three are working memory, zero between
transfers.
"""
SPREAD: Final = np.int64(-7046029254386353131)
"""2⁶⁴ divided by the golden ratio, odd, as a signed number: spreads neighbouring keys."""
NEVER: Final = np.int64(2**63 - 1)


def heap_push(s: Scratch, time: int, row: int, start: int, item: int) -> None:
    """Add an entry; the caller has made room."""
    at = s.counts[HEAP]
    s.counts[HEAP] = at + 1
    while at > 0:
        up = (at - 1) >> 1
        if s.heap[up, H_TIME] < time or (
            s.heap[up, H_TIME] == time
            and (
                s.heap[up, H_ROW] < row
                or (s.heap[up, H_ROW] == row and s.heap[up, H_START] <= start)
            )
        ):
            break
        s.heap[at, H_TIME] = s.heap[up, H_TIME]
        s.heap[at, H_ROW] = s.heap[up, H_ROW]
        s.heap[at, H_START] = s.heap[up, H_START]
        s.heap[at, H_ITEM] = s.heap[up, H_ITEM]
        at = up
    s.heap[at, H_TIME] = time
    s.heap[at, H_ROW] = row
    s.heap[at, H_START] = start
    s.heap[at, H_ITEM] = item


def heap_before(s: Scratch, one: int, other: int) -> bool:
    """Whether one entry comes before another."""
    if s.heap[one, H_TIME] != s.heap[other, H_TIME]:
        return bool(s.heap[one, H_TIME] < s.heap[other, H_TIME])
    if s.heap[one, H_ROW] != s.heap[other, H_ROW]:
        return bool(s.heap[one, H_ROW] < s.heap[other, H_ROW])
    return bool(s.heap[one, H_START] < s.heap[other, H_START])


def heap_pop(s: Scratch) -> int:
    """Remove the first entry and return its item."""
    first = s.heap[0, H_ITEM]
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
        s.heap[at, H_TIME] = s.heap[down, H_TIME]
        s.heap[at, H_ROW] = s.heap[down, H_ROW]
        s.heap[at, H_START] = s.heap[down, H_START]
        s.heap[at, H_ITEM] = s.heap[down, H_ITEM]
        at = down
    s.heap[at, H_TIME] = s.heap[last, H_TIME]
    s.heap[at, H_ROW] = s.heap[last, H_ROW]
    s.heap[at, H_START] = s.heap[last, H_START]
    s.heap[at, H_ITEM] = s.heap[last, H_ITEM]
    return int(first)


def new_item(s: Scratch) -> int:
    """A free item's number, or -1 when scratch must grow."""
    if s.counts[FREED] > 0:
        s.counts[FREED] -= 1
        return int(s.free[s.counts[FREED]])
    if s.counts[ITEMS] >= len(s.free):
        return -1
    s.counts[ITEMS] += 1
    return int(s.counts[ITEMS] - 1)


def free_item(s: Scratch, item: int) -> None:
    """Give an item back."""
    s.free[s.counts[FREED]] = item
    s.counts[FREED] += 1


def clear(s: Scratch) -> None:
    """Forget the last trace."""
    for i in range(s.counts[USED]):
        s.table[s.used[i], T_KEY] = -1
    s.counts[:] = 0


def table_slot(s: Scratch, key: int) -> int:
    """The slot of account * cases + case, made if it is not there; -1 when scratch must grow."""
    mask = len(s.table) - 1
    slot = ((key * SPREAD) >> 20) & mask
    while s.table[slot, T_KEY] != key:
        if s.table[slot, T_KEY] == -1:
            if s.counts[USED] >= len(s.used):
                return -1
            s.used[s.counts[USED]] = slot
            s.counts[USED] += 1
            s.table[slot, T_KEY] = key
            s.table[slot, T_LAYER] = 0
            s.table[slot, T_AMOUNT] = 0
            s.table[slot, T_RECEIVED] = NEVER
            s.table[slot, T_HELD] = 0
            s.table[slot, T_MARKS] = 0
            return int(slot)
        slot = (slot + 1) & mask
    return int(slot)


def settle(s: Scratch, key: int, amount: int, arrived: int) -> bool:
    """Count money as located; False when scratch must grow."""
    slot = table_slot(s, key)
    if slot < 0:
        return False
    s.table[slot, T_AMOUNT] += amount
    s.table[slot, T_RECEIVED] = min(s.table[slot, T_RECEIVED], arrived)
    return True


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


def emit(s: Scratch, count: int, start: int, end: int, case: int) -> int:
    """Append a piece to the others, joined with the last where they touch; -1: grow."""
    if count > 0 and s.others[count - 1, P_END] == start and s.others[count - 1, P_CASE] == case:
        s.others[count - 1, P_END] = end
        return count
    if count >= len(s.others):
        return -1
    s.others[count, P_START] = start
    s.others[count, P_END] = end
    s.others[count, P_CASE] = case
    return count + 1


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
            if done < pieces and s.pieces[done, P_START] == at:
                at = s.pieces[done, P_END]
                count = emit(s, count, s.pieces[done, P_START], at, s.pieces[done, P_CASE])
                done += 1
                continue
            gap = s.pieces[done, P_START] if done < pieces else amount
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
            s.table[slot, T_MARKS] |= CHARGED
    while done < pieces and count >= 0:
        count = emit(
            s, count, s.pieces[done, P_START], s.pieces[done, P_END], s.pieces[done, P_CASE]
        )
        done += 1
    return count


def add_up(s: Scratch, pieces: int, totals: NDArray[np.int64]) -> int:
    """Sum the others by case into totals; returns how many cases, listed as touched."""
    touched = 0
    for i in range(pieces):
        case = s.others[i, P_CASE]
        if totals[SUM, case] == 0:
            totals[TOUCHED, touched] = case
            touched += 1
        totals[SUM, case] += s.others[i, P_END] - s.others[i, P_START]
    return touched


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
    leaves = ledger.flags[row] & EXIT
    if s.counts[RECORDS] + touched > len(s.records):
        return -1
    dropping = False
    for i in range(touched):
        case = totals[TOUCHED, i]
        total = totals[SUM, case]
        totals[SUM, case] = 0
        totals[DROP, case] = 0
        s.records[s.counts[RECORDS], R_ROW] = row
        s.records[s.counts[RECORDS], R_CASE] = case
        s.records[s.counts[RECORDS], R_AMOUNT] = total
        s.records[s.counts[RECORDS], R_EXIT] = leaves
        s.counts[RECORDS] += 1
        if leaves:
            totals[EXITED, case] += total
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
        if totals[DROP, s.others[i, P_CASE]] == 0:
            s.others[kept, P_START] = s.others[i, P_START]
            s.others[kept, P_END] = s.others[i, P_END]
            s.others[kept, P_CASE] = s.others[i, P_CASE]
            kept += 1
    return kept


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
        layer = s.table[slot, T_LAYER] + 1
    slot = table_slot(s, ledger.creditor[row] * cases + case)
    if slot < 0:
        return False
    if s.table[slot, T_LAYER] == 0 or layer < s.table[slot, T_LAYER]:
        s.table[slot, T_LAYER] = layer
    return True


def export(s: Scratch, width: int, hubs: NDArray[np.int64]) -> None:
    """List each account and case with money located or held, or inferred under a hold."""
    count = 0
    for i in range(s.counts[USED]):
        slot = s.used[i]
        marks = s.table[slot, T_MARKS]
        if s.table[slot, T_AMOUNT] > 0 or s.table[slot, T_HELD] > 0 or marks & INFERRED:
            account = s.table[slot, T_KEY] // width
            if contains(hubs, account):
                marks |= POOLED
            s.found[count, F_ACCOUNT] = account
            s.found[count, F_AMOUNT] = s.table[slot, T_AMOUNT]
            s.found[count, F_LAYER] = s.table[slot, T_LAYER]
            s.found[count, F_RECEIVED] = s.table[slot, T_RECEIVED]
            s.found[count, F_MARKS] = marks
            s.found[count, F_HELD] = s.table[slot, T_HELD]
            s.found[count, F_CASE] = s.table[slot, T_KEY] - account * width
            count += 1
    s.counts[FOUND] = count


def next_row(s: Scratch, ledger: LedgerArrays, claim_row: NDArray[np.int64], claim: int) -> int:
    """The next transfer in ledger order: of the heap, or the next claim's."""
    if claim >= len(claim_row):
        return int(s.heap[0, H_ROW])
    origin = claim_row[claim]
    if s.counts[HEAP] == 0:
        return int(origin)
    time = ledger.time_us[origin]
    if time < s.heap[0, H_TIME] or (time == s.heap[0, H_TIME] and origin < s.heap[0, H_ROW]):
        return int(origin)
    return int(s.heap[0, H_ROW])
