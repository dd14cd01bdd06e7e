"""Stage tracing, hot loop of fifo without holds: walks intervals of account lines forward.

Replays nothing: money on a line goes out with the outflows that cover its positions. Numbers in,
numbers out.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from openaoc.ledger.arrays import EXIT, LedgerArrays
from openaoc.tracing.kernels_common import (
    carry,
    clear,
    contains,
    export,
    free_item,
    heap_pop,
    heap_push,
    mark,
    new_item,
    next_row,
    settle,
)
from openaoc.tracing.kernels_memory import ledger_at, scratch_at, soon, uncounted
from openaoc.tracing.scratch import (
    DONE,
    FREED,
    GROW,
    H_ITEM,
    H_ROW,
    HEAP,
    HELD_REACHED,
    I_AHEAD,
    I_ARRIVED,
    I_CASE,
    I_END,
    I_POS,
    I_START,
    ITEMS,
    LIMIT,
    LIMIT_ACCOUNTS,
    LIMIT_LOTS,
    LIMIT_TRANSFERS,
    P_CASE,
    P_END,
    P_START,
    RECORDS,
    USED,
    WHOLE,
    Scratch,
)

KNOWN: Final = 2
"""An item's `I_AHEAD` when both the account and the list its money goes to are asked for."""
AHEAD: Final = 4
"""So many of the transfers that wait are looked at in each turn."""


def first_outflow(ledger: LedgerArrays, account: int, position: int) -> int:
    """The pool place of the outflow that covers a position of the line; -1: none does yet."""
    begin = ledger.out_off[account]
    low, high = begin, begin + ledger.out_len[account]
    soon(ledger.out_rows, (low + high) >> 1)
    end = high
    while low < high:
        middle = (low + high) >> 1
        if ledger.out_starts[middle] <= position:
            low = middle + 1
        else:
            high = middle
    place = low - 1
    if place < begin:
        return -1
    if low == end and ledger.out_starts[place] + ledger.amount[ledger.out_rows[place]] <= position:
        return -1
    return int(place)


def fetch_row(ledger: LedgerArrays, row: int) -> None:
    """Begin to load what `follow` will read of a transfer."""
    soon(ledger.time_us, row)
    soon(ledger.out_start, row)
    soon(ledger.amount, row)
    soon(ledger.debtor, row)
    soon(ledger.creditor, row)
    soon(ledger.flags, row)
    soon(ledger.in_start, row)


def wait(s: Scratch, ledger: LedgerArrays, item: int, account: int, cases: int, at_us: int) -> bool:
    """Let an item wait for its next outflow, or settle where none comes by `at_us`.

    False when scratch must grow.
    """
    place = s.items[item, I_POS]
    if 0 <= place < ledger.out_off[account] + ledger.out_len[account]:
        row = ledger.out_rows[place]
        fetch_row(ledger, row)
        if place + 1 < ledger.out_off[account] + ledger.out_len[account]:
            fetch_row(ledger, ledger.out_rows[place + 1])
        time = ledger.time_us[row]
        if time <= at_us:
            s.items[item, I_AHEAD] = 0
            heap_push(s, time, row, s.items[item, I_START], item)
            return True
    return settle_item(s, item, account, cases)


def look_ahead(s: Scratch, ledger: LedgerArrays) -> None:
    """Begin to load where the money of the next transfers will go.

    A step further for each of them at each turn, so that nothing waits: first the creditor's
    account, then its list of outflows.
    """
    for k in range(1, min(s.counts[HEAP], AHEAD)):
        item = s.heap[k, H_ITEM]
        account = ledger.creditor[s.heap[k, H_ROW]]
        if account < 0 or s.items[item, I_AHEAD] == KNOWN:
            continue
        s.items[item, I_AHEAD] += 1
        if s.items[item, I_AHEAD] == 1:
            soon(ledger.out_off, account)
            continue
        middle = ledger.out_off[account] + (ledger.out_len[account] >> 1)
        soon(ledger.out_starts, middle)
        soon(ledger.out_rows, middle)


def settle_item(s: Scratch, item: int, account: int, cases: int) -> bool:
    """Count an item as located where it is and give it back; False when scratch must grow."""
    free_item(s, item)
    return settle(
        s,
        account * cases + s.items[item, I_CASE],
        s.items[item, I_END] - s.items[item, I_START],
        s.items[item, I_ARRIVED],
    )


def gather(
    s: Scratch, ledger: LedgerArrays, row: int, cases: int, at_us: int, is_origin: int
) -> int:
    """Take what the transfer carries out of the heap, as pieces by offset; -1: grow.

    What goes on waiting is put back. After a limit was reached it settles, all of it unless
    `is_origin` (the number of claims) says that the transfer is an origin.
    """
    start = ledger.out_start[row]
    end = start + ledger.amount[row]
    account = ledger.debtor[row]
    count = 0
    while s.counts[HEAP] > 0 and s.heap[0, H_ROW] == row:
        item = heap_pop(s)
        if s.counts[LIMIT] != WHOLE and is_origin == 0:
            if not settle_item(s, item, account, cases):
                return -1
            continue
        covered = min(s.items[item, I_END], end)
        if covered > s.items[item, I_START]:
            if count >= len(s.pieces):
                return -1
            s.pieces[count, P_START] = s.items[item, I_START] - start
            s.pieces[count, P_END] = covered - start
            s.pieces[count, P_CASE] = s.items[item, I_CASE]
            count += 1
        if s.items[item, I_END] <= end:
            free_item(s, item)
            continue
        s.items[item, I_START] = end
        s.items[item, I_POS] += 1
        if s.counts[LIMIT] != WHOLE:
            s.items[item, I_POS] = -1
        if not wait(s, ledger, item, account, cases, at_us):
            return -1
    return count


def arrive(
    s: Scratch,
    ledger: LedgerArrays,
    row: int,
    pieces: int,
    cases: int,
    at_us: int,
    hubs: NDArray[np.int64],
) -> bool:
    """Put the others on the creditor's line; False when scratch must grow."""
    account = ledger.creditor[row]
    base = ledger.in_start[row]
    time = ledger.time_us[row]
    stays = s.counts[LIMIT] != WHOLE or contains(hubs, account)
    for i in range(pieces):
        if stays:
            amount = s.others[i, P_END] - s.others[i, P_START]
            if not settle(s, account * cases + s.others[i, P_CASE], amount, time):
                return False
            continue
        item = new_item(s)
        if item < 0:
            return False
        s.items[item, I_START] = base + s.others[i, P_START]
        s.items[item, I_END] = base + s.others[i, P_END]
        s.items[item, I_CASE] = s.others[i, P_CASE]
        s.items[item, I_ARRIVED] = time
        s.items[item, I_POS] = first_outflow(ledger, account, s.items[item, I_START])
        if not wait(s, ledger, item, account, cases, at_us):
            return False
    return True


def check_limits(s: Scratch, transfers_max: int, accounts_max: int, lots_max: int) -> None:
    """Name the first limit that was passed."""
    if s.counts[LIMIT] != WHOLE:
        return
    if s.counts[RECORDS] > transfers_max:
        s.counts[LIMIT] = LIMIT_TRANSFERS
    elif s.counts[USED] > accounts_max:
        s.counts[LIMIT] = LIMIT_ACCOUNTS
    elif s.counts[ITEMS] - s.counts[FREED] > lots_max:
        s.counts[LIMIT] = LIMIT_LOTS


def follow(
    ledger: LedgerArrays,
    s: Scratch,
    claims: NDArray[np.int64],
    hubs: NDArray[np.int64],
    held: NDArray[np.int64],
    totals: NDArray[np.int64],
    at_us: int,
    dust: int,
    transfers_max: int,
    accounts_max: int,
    lots_max: int,
) -> int:
    """Trace all cases at once by fifo: see `walk`."""
    claim_row, claim_amount, claim_case = claims[:, 0], claims[:, 1], claims[:, 2]
    cases = totals.shape[1]
    clear(s)
    claim = 0
    while s.counts[HEAP] > 0 or claim < len(claim_row):
        row = next_row(s, ledger, claim_row, claim)
        first = claim
        while claim < len(claim_row) and claim_row[claim] == row:
            claim += 1
        account = ledger.creditor[row]
        if account >= 0:
            soon(ledger.out_off, account)
        look_ahead(s, ledger)
        pieces = gather(s, ledger, row, cases, at_us, claim - first)
        if pieces < 0:
            return GROW
        amount, debtor = ledger.amount[row], ledger.debtor[row]
        pieces = mark(
            s, pieces, amount, debtor, cases, claim_amount, claim_case, first, claim, totals
        )
        if pieces < 0:
            return GROW
        pieces = carry(s, ledger, row, pieces, cases, claim_case, first, claim, dust, totals)
        if pieces < 0:
            return GROW
        if pieces > 0 and not ledger.flags[row] & EXIT:
            if len(held) > 0 and contains(held, ledger.creditor[row]):
                return HELD_REACHED
            if not arrive(s, ledger, row, pieces, cases, at_us, hubs):
                return GROW
        check_limits(s, transfers_max, accounts_max, lots_max)
    export(s, cases, hubs)
    return DONE


def walk(
    ledger: LedgerArrays,
    scratch: Scratch,
    claims: NDArray[np.int64],
    hubs: NDArray[np.int64],
    held: NDArray[np.int64],
    totals: NDArray[np.int64],
    at_us: int,
    dust: int,
    transfers_max: int,
    accounts_max: int,
    lots_max: int,
) -> int:
    """Trace all cases at once by fifo; returns DONE, GROW or HELD_REACHED.

    `claims`: one row each (row, amount, case), in ledger order of their transfers, on one transfer
    as filed. `hubs` and `held` (accounts with hold events) are sorted. Fills `totals` (zeros,
    TOTALS by cases) and scratch. Compiled code takes notes for the ledger and for scratch.
    """
    s = scratch_at(scratch)
    claims, hubs, held, totals = uncounted((claims, hubs, held, totals))
    return follow(
        ledger_at(ledger),
        s,
        claims,
        hubs,
        held,
        totals,
        at_us,
        dust,
        transfers_max,
        accounts_max,
        lots_max,
    )
