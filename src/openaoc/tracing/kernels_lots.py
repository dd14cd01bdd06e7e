"""Stage tracing, hot loops over one account's queue of lots, oldest first: fifo and lifo.

Numbers in, numbers out; knows one account at a time.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from openaoc.tracing.kernels_common import RESTITUTED
from openaoc.tracing.scratch import (
    A_HEAD,
    A_HELD,
    A_TAIL,
    A_TAINT,
    L_AMOUNT,
    L_ARRIVED,
    L_CASE,
    L_HELD,
    L_KEPT,
    L_NEXT,
    L_PREV,
    LOTS,
    LOTS_FREED,
    NONE,
    P_CASE,
    P_END,
    P_START,
    Books,
    Scratch,
)


def new_lot(s: Scratch, b: Books, amount: int, case: int, arrived: int) -> int:
    """A free lot that stands in no queue yet; -1 when memory must grow."""
    if s.counts[LOTS_FREED] > 0:
        s.counts[LOTS_FREED] -= 1
        lot = np.int64(b.free[s.counts[LOTS_FREED]])
    elif s.counts[LOTS] < len(b.free):
        lot = s.counts[LOTS]
        s.counts[LOTS] += 1
    else:
        return NONE
    b.lots[lot, L_AMOUNT] = amount
    b.lots[lot, L_CASE] = case
    b.lots[lot, L_ARRIVED] = arrived
    b.lots[lot, L_HELD] = 0
    b.lots[lot, L_KEPT] = 0
    b.lots[lot, L_NEXT] = NONE
    b.lots[lot, L_PREV] = NONE
    return int(lot)


def link_after(b: Books, slot: int, before: int, lot: int) -> None:
    """Put a lot into the queue after another; `before` -1 puts it first."""
    after = b.accounts[slot, A_HEAD] if before == NONE else b.lots[before, L_NEXT]
    b.lots[lot, L_PREV] = before
    b.lots[lot, L_NEXT] = after
    if before == NONE:
        b.accounts[slot, A_HEAD] = lot
    else:
        b.lots[before, L_NEXT] = lot
    if after == NONE:
        b.accounts[slot, A_TAIL] = lot
    else:
        b.lots[after, L_PREV] = lot


def unlink(s: Scratch, b: Books, slot: int, lot: int) -> None:
    """Take a lot out of the queue and give it back."""
    before, after = b.lots[lot, L_PREV], b.lots[lot, L_NEXT]
    if before == NONE:
        b.accounts[slot, A_HEAD] = after
    else:
        b.lots[before, L_NEXT] = after
    if after == NONE:
        b.accounts[slot, A_TAIL] = before
    else:
        b.lots[after, L_PREV] = before
    b.free[s.counts[LOTS_FREED]] = lot
    s.counts[LOTS_FREED] += 1


def append_lot(s: Scratch, b: Books, slot: int, amount: int, case: int, arrived: int) -> bool:
    """Add a lot as the newest; clean money joins clean money. False when memory must grow."""
    if amount == 0:
        return True
    tail = b.accounts[slot, A_TAIL]
    if case == NONE and tail != NONE and b.lots[tail, L_CASE] == NONE:
        b.lots[tail, L_AMOUNT] += amount
        return True
    lot = new_lot(s, b, amount, case, arrived)
    if lot == NONE:
        return False
    link_after(b, slot, tail, lot)
    if case != NONE:
        b.accounts[slot, A_TAINT] += amount
    return True


def _take_from(s: Scratch, b: Books, slot: int, lot: int, part: int) -> None:
    """Lessen a free lot, and remove it when nothing is left."""
    if b.lots[lot, L_CASE] != NONE:
        b.accounts[slot, A_TAINT] -= part
    b.lots[lot, L_AMOUNT] -= part
    if b.lots[lot, L_AMOUNT] == 0:
        unlink(s, b, slot, lot)


def take_oldest(s: Scratch, b: Books, slot: int, amount: int) -> tuple[int, int]:
    """Fifo: take free lots from the front. (tainted pieces or -1: grow, missing)."""
    count = taken = 0
    lot = b.accounts[slot, A_HEAD]
    while lot != NONE and taken < amount:
        after = b.lots[lot, L_NEXT]
        if b.lots[lot, L_HELD] == 0:
            part = min(b.lots[lot, L_AMOUNT], amount - taken)
            if b.lots[lot, L_CASE] != NONE:
                if count >= len(s.pieces):
                    return -1, 0
                s.pieces[count, P_START] = taken
                s.pieces[count, P_END] = taken + part
                s.pieces[count, P_CASE] = b.lots[lot, L_CASE]
                count += 1
            taken += part
            _take_from(s, b, slot, lot, part)
        lot = after
    return count, amount - taken


def take_newest(s: Scratch, b: Books, slot: int, amount: int) -> tuple[int, int]:
    """Lifo: take free lots from the back. (tainted pieces or -1: grow, missing).

    What is taken travels oldest first, so the pieces are turned round at the end.
    """
    count = taken = 0
    lot = b.accounts[slot, A_TAIL]
    while lot != NONE and taken < amount:
        before = b.lots[lot, L_PREV]
        if b.lots[lot, L_HELD] == 0:
            part = min(b.lots[lot, L_AMOUNT], amount - taken)
            if b.lots[lot, L_CASE] != NONE:
                if count >= len(s.pieces):
                    return -1, 0
                s.pieces[count, P_START] = taken + part
                s.pieces[count, P_END] = taken
                s.pieces[count, P_CASE] = b.lots[lot, L_CASE]
                count += 1
            taken += part
            _take_from(s, b, slot, lot, part)
        lot = before
    low, high = 0, count - 1
    while low <= high:
        start, end, case = s.pieces[low, P_START], s.pieces[low, P_END], s.pieces[low, P_CASE]
        s.pieces[low, P_START] = taken - s.pieces[high, P_START]
        s.pieces[low, P_END] = taken - s.pieces[high, P_END]
        s.pieces[low, P_CASE] = s.pieces[high, P_CASE]
        s.pieces[high, P_START] = taken - start
        s.pieces[high, P_END] = taken - end
        s.pieces[high, P_CASE] = case
        low += 1
        high -= 1
    return count, amount - taken


def hold_lots(s: Scratch, b: Books, slot: int, case: int, amount: int) -> int:
    """Keep the oldest free lots of a case; of a split lot the older part. Found, or -1: grow."""
    found = 0
    lot = b.accounts[slot, A_HEAD]
    while lot != NONE and found < amount:
        after = b.lots[lot, L_NEXT]
        if b.lots[lot, L_CASE] == case and b.lots[lot, L_HELD] == 0:
            part = min(b.lots[lot, L_AMOUNT], amount - found)
            if part < b.lots[lot, L_AMOUNT]:
                rest = new_lot(s, b, b.lots[lot, L_AMOUNT] - part, case, b.lots[lot, L_ARRIVED])
                if rest == NONE:
                    return -1
                link_after(b, slot, lot, rest)
                b.lots[lot, L_AMOUNT] = part
            b.lots[lot, L_HELD] = 1
            found += part
        lot = after
    b.accounts[slot, A_TAINT] -= found
    b.accounts[slot, A_HELD] += found
    return int(found)


def release_lots(s: Scratch, b: Books, slot: int, case: int, amount: int) -> bool:
    """Free the newest held lots of a case where they stand; False when memory must grow."""
    left = amount
    lot = b.accounts[slot, A_TAIL]
    while lot != NONE and left > 0:
        before = b.lots[lot, L_PREV]
        if b.lots[lot, L_CASE] == case and b.lots[lot, L_HELD] == 1:
            part = min(b.lots[lot, L_AMOUNT], left)
            if part < b.lots[lot, L_AMOUNT]:
                newer = new_lot(s, b, part, case, b.lots[lot, L_ARRIVED])
                if newer == NONE:
                    return False
                link_after(b, slot, lot, newer)
                b.lots[lot, L_AMOUNT] -= part
            else:
                b.lots[lot, L_HELD] = 0
            left -= part
        lot = before
    b.accounts[slot, A_TAINT] += amount - left
    b.accounts[slot, A_HELD] -= amount - left
    return True


def restitute_lots(
    s: Scratch, b: Books, slot: int, case: int, amount: int, totals: NDArray[np.int64]
) -> None:
    """Take the oldest held lots of a case out of the ledger."""
    left = amount
    lot = b.accounts[slot, A_HEAD]
    while lot != NONE and left > 0:
        after = b.lots[lot, L_NEXT]
        if b.lots[lot, L_CASE] == case and b.lots[lot, L_HELD] == 1:
            part = min(b.lots[lot, L_AMOUNT], left)
            left -= part
            b.lots[lot, L_AMOUNT] -= part
            if b.lots[lot, L_AMOUNT] == 0:
                unlink(s, b, slot, lot)
        lot = after
    b.accounts[slot, A_HELD] -= amount - left
    totals[RESTITUTED, case] += amount - left
