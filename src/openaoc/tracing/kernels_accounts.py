"""Stage tracing, hot loops that bring accounts into a replay and keep up with their clean money.

Numbers in, numbers out; knows one account at a time.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from openaoc.ledger.arrays import LedgerArrays
from openaoc.tracing.kernels_common import contains, free_item, heap_push, new_item
from openaoc.tracing.kernels_lots import append_lot
from openaoc.tracing.kernels_shares import share_of
from openaoc.tracing.scratch import (
    A_ACCOUNT,
    A_BALANCE,
    A_HAS_HOLDS,
    A_HEAD,
    A_HELD,
    A_HUB,
    A_NEXT_IN,
    A_NEXT_OUT,
    A_TAIL,
    A_TAINT,
    FIFO,
    L_AMOUNT,
    L_CASE,
    L_NEXT,
    LOTS_FREED,
    NONE,
    PRO_RATA,
    STEPS,
    T_LAYER,
    Books,
    Scratch,
)


def first_after(
    ledger: LedgerArrays, pool: NDArray[np.int32], begin: int, length: int, row: int
) -> int:
    """The first place in an account's slice of a pool that is not before a row."""
    time = ledger.time_us[row]
    low, high = begin, begin + length
    while low < high:
        middle = (low + high) >> 1
        other = pool[middle]
        other_time = ledger.time_us[other]
        if other_time < time or (other_time == time and other < row):
            low = middle + 1
        else:
            high = middle
    return int(low)


def activate(
    s: Scratch, b: Books, ledger: LedgerArrays, row: int, place: int, hub: int, has_holds: int
) -> int:
    """Begin to replay the creditor of a row, just before it; its slot, or -1: grow.

    `place` is the account's entry in the table: its layer keeps the slot plus one.
    """
    slot = new_item(s)
    if slot < 0:
        return NONE
    account = ledger.creditor[row]
    s.table[place, T_LAYER] = slot + 1
    b.accounts[slot, A_ACCOUNT] = account
    b.accounts[slot, A_HEAD] = NONE
    b.accounts[slot, A_TAIL] = NONE
    b.accounts[slot, A_TAINT] = 0
    b.accounts[slot, A_HELD] = 0
    b.accounts[slot, A_BALANCE] = 0
    b.accounts[slot, A_HUB] = hub
    b.accounts[slot, A_HAS_HOLDS] = has_holds
    b.accounts[slot, A_NEXT_IN] = first_after(
        ledger, ledger.in_rows, ledger.in_off[account], ledger.in_len[account], row
    )
    b.accounts[slot, A_NEXT_OUT] = first_after(
        ledger, ledger.out_rows, ledger.out_off[account], ledger.out_len[account], row
    )
    return slot


def balance_before(
    s: Scratch,
    ledger: LedgerArrays,
    b: Books,
    slot: int,
    row: int,
    unknown: int,
    paying: NDArray[np.int64],
) -> int:
    """The known balance of an account just before an inflow.

    The inflow's start less the end of the last outflow before it. Only where the line does not
    tell (its opening counts as unknown, or it paid restitutions) is the balance added up, from what
    it was where the arrays begin.
    """
    account = b.accounts[slot, A_ACCOUNT]
    opening = max(ledger.base_in[account] - ledger.base_out[account], 0)
    out, end = ledger.out_off[account], b.accounts[slot, A_NEXT_OUT]
    if (unknown == 0 or opening == ledger.bare[account]) and (
        b.accounts[slot, A_HAS_HOLDS] == 0 or len(paying) == 0
    ):
        last_end = ledger.base_out[account]
        if end > out:
            last = ledger.out_rows[end - 1]
            last_end = ledger.out_starts[end - 1] + ledger.amount[last]
        return int(ledger.in_start[row] - last_end)
    balance = ledger.bare[account] if unknown else opening
    place = ledger.in_off[account]
    while place < b.accounts[slot, A_NEXT_IN] or out < end:
        s.counts[STEPS] += 1
        inflow_first = out >= end
        if not inflow_first and place < b.accounts[slot, A_NEXT_IN]:
            one, other = ledger.in_rows[place], ledger.out_rows[out]
            time, other_time = ledger.time_us[one], ledger.time_us[other]
            inflow_first = time < other_time or (time == other_time and one < other)
        if inflow_first:
            balance += ledger.amount[ledger.in_rows[place]]
            place += 1
            continue
        if not contains(paying, ledger.out_rows[out]):
            balance = max(balance - ledger.amount[ledger.out_rows[out]], 0)
        out += 1
    return int(balance)


def catch_up(
    s: Scratch, b: Books, ledger: LedgerArrays, slot: int, time: int, row: int, shares: int
) -> bool:
    """Add the clean inflows before (time, row); False when memory must grow.

    All of them are clean: what carries a case's money is delivered when its own turn comes.
    """
    account = b.accounts[slot, A_ACCOUNT]
    end = ledger.in_off[account] + ledger.in_len[account]
    clean = np.int64(0)
    while b.accounts[slot, A_NEXT_IN] < end:
        inflow = ledger.in_rows[b.accounts[slot, A_NEXT_IN]]
        inflow_time = ledger.time_us[inflow]
        if inflow_time > time or (inflow_time == time and inflow >= row):
            break
        clean += ledger.amount[inflow]
        b.accounts[slot, A_NEXT_IN] += 1
        s.counts[STEPS] += 1
    b.accounts[slot, A_BALANCE] += clean
    if shares:
        return True
    return bool(append_lot(s, b, slot, int(clean), NONE, 0))


def idle(
    s: Scratch,
    b: Books,
    ledger: LedgerArrays,
    slot: int,
    rule: int,
    at_us: int,
    stop_time: int,
    stop_row: int,
) -> int:
    """Pass over the account's outflows before (stop_time, stop_row) that carry clean money only.

    They come out of one clean lot at the end of the queue that the rule takes from, or are too
    small to carry a minor unit of the shares. Returns how many; stops before the first that needs
    a closer look. Most of a busy account's life is this loop.
    """
    accounts, lots = b.accounts, b.lots
    times, amounts = ledger.time_us, ledger.amount
    out_rows, in_rows = ledger.out_rows, ledger.in_rows
    account = accounts[slot, A_ACCOUNT]
    out, inflow = accounts[slot, A_NEXT_OUT], accounts[slot, A_NEXT_IN]
    out_end = ledger.out_off[account] + ledger.out_len[account]
    in_end = ledger.in_off[account] + ledger.in_len[account]
    shares = rule == PRO_RATA
    lot = accounts[slot, A_HEAD] if rule == FIFO else accounts[slot, A_TAIL]
    balance, taint = accounts[slot, A_BALANCE], accounts[slot, A_TAINT]
    tail = accounts[slot, A_TAIL]
    grows = not shares and tail != NONE and lots[tail, L_CASE] == NONE
    ready = lot != NONE and lots[lot, L_CASE] == NONE
    passed = 0
    while out < out_end and (shares or ready):
        row = out_rows[out]
        time = times[row]
        if time > at_us or time > stop_time or (time == stop_time and row >= stop_row):
            break
        while (shares or grows) and inflow < in_end:
            clean = in_rows[inflow]
            if times[clean] > time or (times[clean] == time and clean > row):
                break
            if shares:
                balance += amounts[clean]
            else:
                lots[tail, L_AMOUNT] += amounts[clean]
            inflow += 1
            passed += 1
        amount = amounts[row]
        if shares:
            if amount >= balance or share_of(taint, amount, balance) > 0:
                break
            balance -= amount
        else:
            if amount >= lots[lot, L_AMOUNT]:
                break
            lots[lot, L_AMOUNT] -= amount
        out += 1
        passed += 1
    count = out - accounts[slot, A_NEXT_OUT]
    accounts[slot, A_NEXT_OUT] = out
    accounts[slot, A_NEXT_IN] = inflow
    accounts[slot, A_BALANCE] = balance
    s.counts[STEPS] += passed
    return int(count)


def wait(s: Scratch, b: Books, ledger: LedgerArrays, slot: int, at_us: int) -> None:
    """Put the account's next outflow by `at_us` into the heap, if there is one."""
    account = b.accounts[slot, A_ACCOUNT]
    place = b.accounts[slot, A_NEXT_OUT]
    if place < ledger.out_off[account] + ledger.out_len[account]:
        row = ledger.out_rows[place]
        if ledger.time_us[row] <= at_us:
            heap_push(s, ledger.time_us[row], row, 0, slot)


def deactivate(s: Scratch, b: Books, slot: int, place: int) -> None:
    """Stop replaying an account that has none of any case's money; `place`: its table entry."""
    lot = b.accounts[slot, A_HEAD]
    while lot != NONE:
        b.free[s.counts[LOTS_FREED]] = lot
        s.counts[LOTS_FREED] += 1
        lot = b.lots[lot, L_NEXT]
    b.accounts[slot, A_ACCOUNT] = NONE
    s.table[place, T_LAYER] = 0
    free_item(s, slot)
