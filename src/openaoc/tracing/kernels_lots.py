"""Stage tracing, hot loops over one account's queue of lots, oldest first: fifo and lifo.

Numbers in, numbers out; knows one account at a time.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from openaoc.tracing.kernels_common import RESTITUTED
from openaoc.tracing.scratch import LOTS, LOTS_FREED, NONE, Books, Scratch


@njit(cache=True, nogil=True)
def new_lot(s: Scratch, b: Books, amount: int, case: int, arrived: int) -> int:
    """A free lot that stands in no queue yet; -1 when memory must grow."""
    if s.counts[LOTS_FREED] > 0:
        s.counts[LOTS_FREED] -= 1
        lot = np.int64(b.lot_free[s.counts[LOTS_FREED]])
    elif s.counts[LOTS] < len(b.lot_free):
        lot = s.counts[LOTS]
        s.counts[LOTS] += 1
    else:
        return NONE
    b.lot_amount[lot] = amount
    b.lot_case[lot] = case
    b.lot_arrived[lot] = arrived
    b.lot_held[lot] = 0
    b.lot_kept[lot] = 0
    b.lot_next[lot] = NONE
    b.lot_prev[lot] = NONE
    return int(lot)


@njit(cache=True, nogil=True)
def link_after(b: Books, slot: int, before: int, lot: int) -> None:
    """Put a lot into the queue after another; `before` -1 puts it first."""
    after = b.head[slot] if before == NONE else b.lot_next[before]
    b.lot_prev[lot] = before
    b.lot_next[lot] = after
    if before == NONE:
        b.head[slot] = lot
    else:
        b.lot_next[before] = lot
    if after == NONE:
        b.tail[slot] = lot
    else:
        b.lot_prev[after] = lot


@njit(cache=True, nogil=True)
def unlink(s: Scratch, b: Books, slot: int, lot: int) -> None:
    """Take a lot out of the queue and give it back."""
    before, after = b.lot_prev[lot], b.lot_next[lot]
    if before == NONE:
        b.head[slot] = after
    else:
        b.lot_next[before] = after
    if after == NONE:
        b.tail[slot] = before
    else:
        b.lot_prev[after] = before
    b.lot_free[s.counts[LOTS_FREED]] = lot
    s.counts[LOTS_FREED] += 1


@njit(cache=True, nogil=True)
def append_lot(s: Scratch, b: Books, slot: int, amount: int, case: int, arrived: int) -> bool:
    """Add a lot as the newest; clean money joins clean money. False when memory must grow."""
    if amount == 0:
        return True
    tail = b.tail[slot]
    if case == NONE and tail != NONE and b.lot_case[tail] == NONE:
        b.lot_amount[tail] += amount
        return True
    lot = new_lot(s, b, amount, case, arrived)
    if lot == NONE:
        return False
    link_after(b, slot, tail, lot)
    if case != NONE:
        b.taint[slot] += amount
    return True


@njit(cache=True, nogil=True)
def _take_from(s: Scratch, b: Books, slot: int, lot: int, part: int) -> None:
    """Lessen a free lot, and remove it when nothing is left."""
    if b.lot_case[lot] != NONE:
        b.taint[slot] -= part
    b.lot_amount[lot] -= part
    if b.lot_amount[lot] == 0:
        unlink(s, b, slot, lot)


@njit(cache=True, nogil=True)
def take_oldest(s: Scratch, b: Books, slot: int, amount: int) -> tuple[int, int]:
    """Fifo: take free lots from the front. (tainted pieces or -1: grow, missing)."""
    count = taken = 0
    lot = b.head[slot]
    while lot != NONE and taken < amount:
        after = b.lot_next[lot]
        if b.lot_held[lot] == 0:
            part = min(b.lot_amount[lot], amount - taken)
            if b.lot_case[lot] != NONE:
                if count >= len(s.piece_start):
                    return -1, 0
                s.piece_start[count] = taken
                s.piece_end[count] = taken + part
                s.piece_case[count] = b.lot_case[lot]
                count += 1
            taken += part
            _take_from(s, b, slot, lot, part)
        lot = after
    return count, amount - taken


@njit(cache=True, nogil=True)
def take_newest(s: Scratch, b: Books, slot: int, amount: int) -> tuple[int, int]:
    """Lifo: take free lots from the back. (tainted pieces or -1: grow, missing).

    What is taken travels oldest first, so the pieces are turned round at the end.
    """
    count = taken = 0
    lot = b.tail[slot]
    while lot != NONE and taken < amount:
        before = b.lot_prev[lot]
        if b.lot_held[lot] == 0:
            part = min(b.lot_amount[lot], amount - taken)
            if b.lot_case[lot] != NONE:
                if count >= len(s.piece_start):
                    return -1, 0
                s.piece_start[count] = taken + part
                s.piece_end[count] = taken
                s.piece_case[count] = b.lot_case[lot]
                count += 1
            taken += part
            _take_from(s, b, slot, lot, part)
        lot = before
    low, high = 0, count - 1
    while low <= high:
        start, end, case = s.piece_start[low], s.piece_end[low], s.piece_case[low]
        s.piece_start[low] = taken - s.piece_start[high]
        s.piece_end[low] = taken - s.piece_end[high]
        s.piece_case[low] = s.piece_case[high]
        s.piece_start[high] = taken - start
        s.piece_end[high] = taken - end
        s.piece_case[high] = case
        low += 1
        high -= 1
    return count, amount - taken


@njit(cache=True, nogil=True)
def hold_lots(s: Scratch, b: Books, slot: int, case: int, amount: int) -> int:
    """Keep the oldest free lots of a case; of a split lot the older part. Found, or -1: grow."""
    found = 0
    lot = b.head[slot]
    while lot != NONE and found < amount:
        after = b.lot_next[lot]
        if b.lot_case[lot] == case and b.lot_held[lot] == 0:
            part = min(b.lot_amount[lot], amount - found)
            if part < b.lot_amount[lot]:
                rest = new_lot(s, b, b.lot_amount[lot] - part, case, b.lot_arrived[lot])
                if rest == NONE:
                    return -1
                link_after(b, slot, lot, rest)
                b.lot_amount[lot] = part
            b.lot_held[lot] = 1
            found += part
        lot = after
    b.taint[slot] -= found
    b.held[slot] += found
    return int(found)


@njit(cache=True, nogil=True)
def release_lots(s: Scratch, b: Books, slot: int, case: int, amount: int) -> bool:
    """Free the newest held lots of a case where they stand; False when memory must grow."""
    left = amount
    lot = b.tail[slot]
    while lot != NONE and left > 0:
        before = b.lot_prev[lot]
        if b.lot_case[lot] == case and b.lot_held[lot] == 1:
            part = min(b.lot_amount[lot], left)
            if part < b.lot_amount[lot]:
                newer = new_lot(s, b, part, case, b.lot_arrived[lot])
                if newer == NONE:
                    return False
                link_after(b, slot, lot, newer)
                b.lot_amount[lot] -= part
            else:
                b.lot_held[lot] = 0
            left -= part
        lot = before
    b.taint[slot] += amount - left
    b.held[slot] -= amount - left
    return True


@njit(cache=True, nogil=True)
def restitute_lots(
    s: Scratch, b: Books, slot: int, case: int, amount: int, totals: NDArray[np.int64]
) -> None:
    """Take the oldest held lots of a case out of the ledger."""
    left = amount
    lot = b.head[slot]
    while lot != NONE and left > 0:
        after = b.lot_next[lot]
        if b.lot_case[lot] == case and b.lot_held[lot] == 1:
            part = min(b.lot_amount[lot], left)
            left -= part
            b.lot_amount[lot] -= part
            if b.lot_amount[lot] == 0:
                unlink(s, b, slot, lot)
        lot = after
    b.held[slot] -= amount - left
    totals[RESTITUTED, case] += amount - left
