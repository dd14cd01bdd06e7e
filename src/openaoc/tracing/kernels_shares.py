"""Stage tracing, hot loops over one account's balance and the cases' shares of it: pro-rata.

Numbers in, numbers out; knows one account at a time.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from openaoc.tracing.kernels_common import RESTITUTED
from openaoc.tracing.kernels_lots import link_after, new_lot
from openaoc.tracing.scratch import (
    A_BALANCE,
    A_HEAD,
    A_HELD,
    A_TAINT,
    L_AMOUNT,
    L_ARRIVED,
    L_CASE,
    L_KEPT,
    L_NEXT,
    NONE,
    P_CASE,
    P_END,
    P_START,
    Books,
    Scratch,
)

_WIDE: Final = np.int64(2**63 - 1)


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


def find_share(s: Scratch, b: Books, slot: int, case: int) -> int:
    """The lot that is the case's share, made if it is not there; -1 when memory must grow."""
    before = NONE
    lot = b.accounts[slot, A_HEAD]
    while lot != NONE and b.lots[lot, L_CASE] < case:
        before = lot
        lot = b.lots[lot, L_NEXT]
    if lot != NONE and b.lots[lot, L_CASE] == case:
        return int(lot)
    fresh = new_lot(s, b, 0, case, 0)
    if fresh != NONE:
        link_after(b, slot, before, fresh)
    return fresh


def raise_share(s: Scratch, b: Books, slot: int, case: int, amount: int, time: int) -> bool:
    """Add to a share; one that was zero rises now. False when memory must grow."""
    lot = find_share(s, b, slot, case)
    if lot == NONE:
        return False
    if b.lots[lot, L_AMOUNT] == 0:
        b.lots[lot, L_ARRIVED] = time
    b.lots[lot, L_AMOUNT] += amount
    b.accounts[slot, A_TAINT] += amount
    return True


def take_shares(s: Scratch, b: Books, slot: int, amount: int) -> tuple[int, int]:
    """Take each case's part of an outflow. (tainted pieces or -1: grow, missing).

    All shares when the outflow is not below the balance; else, by case order with running sums P,
    floor(Pₖ·x/B) less floor(Pₖ₋₁·x/B).
    """
    balance = b.accounts[slot, A_BALANCE]
    count = 0
    at = below = floor_below = np.int64(0)
    lot = b.accounts[slot, A_HEAD]
    while lot != NONE:
        share = b.lots[lot, L_AMOUNT]
        if amount >= balance:
            part = share
        else:
            below += share
            floor_above = np.int64(share_of(below, amount, balance))
            part = floor_above - floor_below
            floor_below = floor_above
        if part > 0:
            if count >= len(s.pieces):
                return -1, 0
            s.pieces[count, P_START] = at
            s.pieces[count, P_END] = at + part
            s.pieces[count, P_CASE] = b.lots[lot, L_CASE]
            count += 1
            at += part
            b.lots[lot, L_AMOUNT] -= part
        lot = b.lots[lot, L_NEXT]
    b.accounts[slot, A_TAINT] -= at
    b.accounts[slot, A_BALANCE] = max(balance - amount, 0)
    return count, max(amount - balance, 0)


def hold_share(s: Scratch, b: Books, slot: int, case: int, amount: int) -> int:
    """Move money of a case from balance and share to held. Found, or -1: grow."""
    lot = find_share(s, b, slot, case)
    if lot == NONE:
        return -1
    found = min(amount, b.lots[lot, L_AMOUNT])
    b.lots[lot, L_AMOUNT] -= found
    b.lots[lot, L_KEPT] += found
    b.accounts[slot, A_BALANCE] -= found
    b.accounts[slot, A_TAINT] -= found
    b.accounts[slot, A_HELD] += found
    return int(found)


def release_share(s: Scratch, b: Books, slot: int, case: int, amount: int, time: int) -> bool:
    """Move held money back to balance and share; False when memory must grow."""
    lot = find_share(s, b, slot, case)
    if lot == NONE:
        return False
    back = min(amount, b.lots[lot, L_KEPT])
    if back > 0:
        b.lots[lot, L_KEPT] -= back
        b.accounts[slot, A_BALANCE] += back
        b.accounts[slot, A_HELD] -= back
        return bool(raise_share(s, b, slot, case, back, time))
    return True


def restitute_share(
    s: Scratch, b: Books, slot: int, case: int, amount: int, totals: NDArray[np.int64]
) -> bool:
    """Take held money out of the ledger; False when memory must grow."""
    lot = find_share(s, b, slot, case)
    if lot == NONE:
        return False
    out = min(amount, b.lots[lot, L_KEPT])
    b.lots[lot, L_KEPT] -= out
    b.accounts[slot, A_HELD] -= out
    totals[RESTITUTED, case] += out
    return True
