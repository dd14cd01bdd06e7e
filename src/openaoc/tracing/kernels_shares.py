"""Stage tracing, hot loops over one account's balance and the cases' shares of it: pro-rata.

Numbers in, numbers out; knows one account at a time.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from openaoc.tracing.kernels_common import RESTITUTED
from openaoc.tracing.kernels_lots import link_after, new_lot
from openaoc.tracing.scratch import NONE, Books, Scratch

_WIDE: Final = np.int64(2**63 - 1)


@njit(cache=True, nogil=True)
def share_of(part: int, amount: int, whole: int) -> int:
    """floor(part * amount / whole) without losing a digit.

    For 0 ≤ part ≤ whole, 0 ≤ amount, 0 < whole < 2⁶². Where the product does not fit into 63 bits
    it is built bit by bit, keeping quotient and remainder: doubling a remainder below `whole`
    stays below 2⁶³.
    """
    if part == 0 or amount == 0:
        return 0
    if part <= _WIDE // amount:
        return int(part * amount // whole)
    quotient = np.int64(0)
    rest = np.int64(0)
    for bit in range(62, -1, -1):
        quotient <<= 1
        rest <<= 1
        if rest >= whole:
            rest -= whole
            quotient += 1
        if (amount >> bit) & 1:
            rest += part
            if rest >= whole:
                rest -= whole
                quotient += 1
    return int(quotient)


@njit(cache=True, nogil=True)
def find_share(s: Scratch, b: Books, slot: int, case: int) -> int:
    """The lot that is the case's share, made if it is not there; -1 when memory must grow."""
    before = NONE
    lot = b.head[slot]
    while lot != NONE and b.lot_case[lot] < case:
        before = lot
        lot = b.lot_next[lot]
    if lot != NONE and b.lot_case[lot] == case:
        return int(lot)
    fresh = new_lot(s, b, 0, case, 0)
    if fresh != NONE:
        link_after(b, slot, before, fresh)
    return fresh


@njit(cache=True, nogil=True)
def raise_share(s: Scratch, b: Books, slot: int, case: int, amount: int, time: int) -> bool:
    """Add to a share; one that was zero rises now. False when memory must grow."""
    lot = find_share(s, b, slot, case)
    if lot == NONE:
        return False
    if b.lot_amount[lot] == 0:
        b.lot_arrived[lot] = time
    b.lot_amount[lot] += amount
    b.taint[slot] += amount
    return True


@njit(cache=True, nogil=True)
def take_shares(s: Scratch, b: Books, slot: int, amount: int) -> tuple[int, int]:
    """Take each case's part of an outflow. (tainted pieces or -1: grow, missing).

    All shares when the outflow is not below the balance; else, by case order with running sums P,
    floor(Pₖ·x/B) less floor(Pₖ₋₁·x/B).
    """
    balance = b.balance[slot]
    count = 0
    at = below = floor_below = np.int64(0)
    lot = b.head[slot]
    while lot != NONE:
        share = b.lot_amount[lot]
        if amount >= balance:
            part = share
        else:
            below += share
            floor_above = np.int64(share_of(below, amount, balance))
            part = floor_above - floor_below
            floor_below = floor_above
        if part > 0:
            if count >= len(s.piece_start):
                return -1, 0
            s.piece_start[count] = at
            s.piece_end[count] = at + part
            s.piece_case[count] = b.lot_case[lot]
            count += 1
            at += part
            b.lot_amount[lot] -= part
        lot = b.lot_next[lot]
    b.taint[slot] -= at
    b.balance[slot] = max(balance - amount, 0)
    return count, max(amount - balance, 0)


@njit(cache=True, nogil=True)
def hold_share(s: Scratch, b: Books, slot: int, case: int, amount: int) -> int:
    """Move money of a case from balance and share to held. Found, or -1: grow."""
    lot = find_share(s, b, slot, case)
    if lot == NONE:
        return -1
    found = min(amount, b.lot_amount[lot])
    b.lot_amount[lot] -= found
    b.lot_kept[lot] += found
    b.balance[slot] -= found
    b.taint[slot] -= found
    b.held[slot] += found
    return int(found)


@njit(cache=True, nogil=True)
def release_share(s: Scratch, b: Books, slot: int, case: int, amount: int, time: int) -> bool:
    """Move held money back to balance and share; False when memory must grow."""
    lot = find_share(s, b, slot, case)
    if lot == NONE:
        return False
    back = min(amount, b.lot_kept[lot])
    if back > 0:
        b.lot_kept[lot] -= back
        b.balance[slot] += back
        b.held[slot] -= back
        return bool(raise_share(s, b, slot, case, back, time))
    return True


@njit(cache=True, nogil=True)
def restitute_share(
    s: Scratch, b: Books, slot: int, case: int, amount: int, totals: NDArray[np.int64]
) -> bool:
    """Take held money out of the ledger; False when memory must grow."""
    lot = find_share(s, b, slot, case)
    if lot == NONE:
        return False
    out = min(amount, b.lot_kept[lot])
    b.lot_kept[lot] -= out
    b.held[slot] -= out
    totals[RESTITUTED, case] += out
    return True
