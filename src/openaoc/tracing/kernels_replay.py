"""Stage tracing, hot loop of lifo, pro-rata and every rule with holds: replays reached accounts.

An account is replayed from the first tainted money that reaches it until it has none. Numbers in,
numbers out.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from openaoc.ledger.arrays import EXIT, LedgerArrays
from openaoc.tracing.kernels_accounts import (
    activate,
    balance_before,
    catch_up,
    deactivate,
    idle,
    wait,
)
from openaoc.tracing.kernels_common import (
    NEVER,
    carry,
    clear,
    contains,
    export,
    heap_pop,
    mark,
    next_row,
    settle,
    table_slot,
)
from openaoc.tracing.kernels_lots import (
    append_lot,
    hold_lots,
    release_lots,
    restitute_lots,
    take_newest,
    take_oldest,
)
from openaoc.tracing.kernels_memory import books_at, ledger_at, scratch_at, uncounted
from openaoc.tracing.kernels_shares import (
    hold_share,
    raise_share,
    release_share,
    restitute_share,
    take_shares,
)
from openaoc.tracing.model import INFERRED
from openaoc.tracing.scratch import (
    A_ACCOUNT,
    A_BALANCE,
    A_HAS_HOLDS,
    A_HEAD,
    A_HELD,
    A_HUB,
    A_NEXT_IN,
    A_NEXT_OUT,
    A_TAINT,
    DONE,
    FIFO,
    GROW,
    H_ROW,
    H_TIME,
    HEAP,
    ITEMS,
    L_AMOUNT,
    L_ARRIVED,
    L_CASE,
    L_HELD,
    L_KEPT,
    L_NEXT,
    LIFO,
    LIMIT,
    LIMIT_ACCOUNTS,
    LIMIT_LOTS,
    LIMIT_TRANSFERS,
    LOTS,
    LOTS_FREED,
    NONE,
    P_CASE,
    P_END,
    P_START,
    PRO_RATA,
    RECORDS,
    STEPS,
    T_HELD,
    T_LAYER,
    T_MARKS,
    USED,
    WHOLE,
    Books,
    Scratch,
)

HOLD: Final = 0
RELEASE: Final = 1
RESTITUTION: Final = 2

STEPS_PER_TRANSFER: Final = 16
"""A replay may look at this many transfers for each tainted one the limit allows."""


class Task(NamedTuple):
    """What a replay is asked, as numbers; see `engine.trace_cases`.

    Claims in ledger order, as filed; events (kind, account, case, amount) in order of action with
    room for each one's excess; `hubs`, `held` and `paying` sorted. `settings`: rule, cases, at_us,
    dust, openings unknown, and the three limits: transfers, accounts, lots.
    """

    claim_row: NDArray[np.int64]
    claim_amount: NDArray[np.int64]
    claim_case: NDArray[np.int64]
    event_time: NDArray[np.int64]
    event_kind: NDArray[np.int64]
    event_account: NDArray[np.int64]
    event_case: NDArray[np.int64]
    event_amount: NDArray[np.int64]
    event_excess: NDArray[np.int64]
    hubs: NDArray[np.int64]
    held: NDArray[np.int64]
    paying: NDArray[np.int64]
    settings: NDArray[np.int64]


RULE: Final = 0
CASES: Final = 1
AT_US: Final = 2
DUST: Final = 3
OPENINGS_UNKNOWN: Final = 4
TRANSFERS_MAX: Final = 5
ACCOUNTS_MAX: Final = 6
LOTS_MAX: Final = 7
"""Places in `Task.settings`."""


def take(s: Scratch, b: Books, task: Task, slot: int, amount: int) -> int:
    """Take an outflow by the rule; returns tainted pieces, or -1: grow."""
    rule = task.settings[RULE]
    if rule == FIFO:
        pieces, missing = take_oldest(s, b, slot, amount)
    elif rule == LIFO:
        pieces, missing = take_newest(s, b, slot, amount)
    else:
        pieces, missing = take_shares(s, b, slot, amount)
    if missing > 0 and b.accounts[slot, A_HELD] > 0:
        width = task.settings[CASES] + 1
        lot = b.accounts[slot, A_HEAD]
        while lot != NONE:
            if b.lots[lot, L_HELD] == 1 or b.lots[lot, L_KEPT] > 0:
                place = table_slot(s, b.accounts[slot, A_ACCOUNT] * width + b.lots[lot, L_CASE])
                if place < 0:
                    return -1
                s.table[place, T_MARKS] |= INFERRED
            lot = b.lots[lot, L_NEXT]
    return int(pieces)


def outflow(s: Scratch, b: Books, ledger: LedgerArrays, task: Task, row: int, slot: int) -> int:
    """Take a transfer's lots from its active debtor; pieces, or -1: grow."""
    shares = task.settings[RULE] == PRO_RATA
    if not catch_up(s, b, ledger, slot, ledger.time_us[row], row, shares):
        return -1
    pieces = 0
    if len(task.paying) == 0 or not contains(task.paying, row):
        pieces = take(s, b, task, slot, ledger.amount[row])
        if pieces < 0:
            return -1
    if (
        b.accounts[slot, A_TAINT] == 0
        and b.accounts[slot, A_HELD] == 0
        and b.accounts[slot, A_HAS_HOLDS] == 0
    ):
        width = task.settings[CASES] + 1
        place = table_slot(s, b.accounts[slot, A_ACCOUNT] * width + width - 1)
        deactivate(s, b, slot, place)
    else:
        b.accounts[slot, A_NEXT_OUT] += 1
        wait(s, b, ledger, slot, task.settings[AT_US])
    return pieces


def reach(s: Scratch, b: Books, ledger: LedgerArrays, task: Task, row: int) -> int:
    """The creditor's slot, made active if it is not, its clean money before the row added.

    -1: grow.
    """
    account = ledger.creditor[row]
    width = task.settings[CASES] + 1
    shares = task.settings[RULE] == PRO_RATA
    place = table_slot(s, account * width + width - 1)
    if place < 0:
        return NONE
    slot = s.table[place, T_LAYER] - 1
    if slot < 0:
        hub = contains(task.hubs, account)
        has_holds = len(task.held) > 0 and contains(task.held, account)
        slot = activate(s, b, ledger, row, place, hub, has_holds)
        if slot < 0 or hub:
            return int(slot)
        unknown = task.settings[OPENINGS_UNKNOWN]
        balance = balance_before(s, ledger, b, slot, row, unknown, task.paying)
        b.accounts[slot, A_BALANCE] = balance
        if not shares and not append_lot(s, b, slot, balance, NONE, 0):
            return NONE
        wait(s, b, ledger, slot, task.settings[AT_US])
    if b.accounts[slot, A_HUB] == 0:
        if not catch_up(s, b, ledger, slot, ledger.time_us[row], row, shares):
            return NONE
        b.accounts[slot, A_NEXT_IN] += 1
        b.accounts[slot, A_BALANCE] += ledger.amount[row]
    return int(slot)


def deliver(s: Scratch, b: Books, ledger: LedgerArrays, task: Task, row: int, pieces: int) -> bool:
    """Add what a transfer carries to its creditor; False when memory must grow."""
    time = ledger.time_us[row]
    shares = task.settings[RULE] == PRO_RATA
    slot = reach(s, b, ledger, task, row)
    if slot < 0:
        return False
    clean_too = not shares and b.accounts[slot, A_HUB] == 0
    at = 0
    for i in range(pieces):
        start, end = s.others[i, P_START], s.others[i, P_END]
        if shares:
            grown = not raise_share(s, b, slot, s.others[i, P_CASE], end - start, time)
        else:
            grown = clean_too and not append_lot(s, b, slot, start - at, NONE, 0)
            grown = grown or not append_lot(s, b, slot, end - start, s.others[i, P_CASE], time)
        if grown:
            return False
        at = end
    return not clean_too or bool(append_lot(s, b, slot, ledger.amount[row] - at, NONE, 0))


def act_on_share(
    s: Scratch, b: Books, task: Task, event: int, slot: int, totals: NDArray[np.int64]
) -> bool:
    """A hold event under pro-rata; False when memory must grow."""
    case, amount = task.event_case[event], task.event_amount[event]
    if task.event_kind[event] == HOLD:
        found = hold_share(s, b, slot, case, amount)
        task.event_excess[event] = amount - found
        return bool(found >= 0)
    if task.event_kind[event] == RELEASE:
        return bool(release_share(s, b, slot, case, amount, task.event_time[event]))
    return bool(restitute_share(s, b, slot, case, amount, totals))


def act_on_lots(
    s: Scratch, b: Books, task: Task, event: int, slot: int, totals: NDArray[np.int64]
) -> bool:
    """A hold event under fifo or lifo; False when memory must grow."""
    case, amount = task.event_case[event], task.event_amount[event]
    if task.event_kind[event] == HOLD:
        found = hold_lots(s, b, slot, case, amount)
        task.event_excess[event] = amount - found
        return bool(found >= 0)
    if task.event_kind[event] == RELEASE:
        return bool(release_lots(s, b, slot, case, amount))
    restitute_lots(s, b, slot, case, amount, totals)
    return True


def act(s: Scratch, b: Books, task: Task, event: int, totals: NDArray[np.int64]) -> bool:
    """Let a hold, release or restitution act; False when memory must grow."""
    width = task.settings[CASES] + 1
    place = table_slot(s, task.event_account[event] * width + width - 1)
    if place < 0:
        return False
    slot = s.table[place, T_LAYER] - 1
    if slot < 0:
        if task.event_kind[event] == HOLD:
            task.event_excess[event] = task.event_amount[event]
        return True
    if task.settings[RULE] == PRO_RATA:
        return bool(act_on_share(s, b, task, event, slot, totals))
    return bool(act_on_lots(s, b, task, event, slot, totals))


def close(s: Scratch, b: Books, width: int) -> bool:
    """Settle everything that stands on active accounts; False when memory must grow."""
    for slot in range(s.counts[ITEMS]):
        if b.accounts[slot, A_ACCOUNT] < 0:
            continue
        lot = b.accounts[slot, A_HEAD]
        while lot != NONE:
            case = b.lots[lot, L_CASE]
            kept = b.lots[lot, L_KEPT]
            amount = b.lots[lot, L_AMOUNT]
            if b.lots[lot, L_HELD] == 1:
                kept, amount = amount, kept
            if case != NONE and (amount > 0 or kept > 0):
                key = b.accounts[slot, A_ACCOUNT] * width + case
                arrived = b.lots[lot, L_ARRIVED]
                if amount > 0 and not settle(s, key, amount, arrived):
                    return False
                place = table_slot(s, key)
                if place < 0:
                    return False
                s.table[place, T_HELD] += kept
            lot = b.lots[lot, L_NEXT]
    return True


def check_limits(s: Scratch, task: Task) -> None:
    """Name the first limit that was passed, and stop following."""
    transfers_max = task.settings[TRANSFERS_MAX]
    steps_max = STEPS_PER_TRANSFER * transfers_max
    if s.counts[LIMIT] != WHOLE:
        return
    if s.counts[RECORDS] > transfers_max or s.counts[STEPS] > steps_max:
        s.counts[LIMIT] = LIMIT_TRANSFERS
    elif s.counts[USED] > task.settings[ACCOUNTS_MAX]:
        s.counts[LIMIT] = LIMIT_ACCOUNTS
    elif s.counts[LOTS] - s.counts[LOTS_FREED] > task.settings[LOTS_MAX]:
        s.counts[LIMIT] = LIMIT_LOTS
    if s.counts[LIMIT] != WHOLE:
        s.counts[HEAP] = 0


def pass_over(
    s: Scratch, b: Books, ledger: LedgerArrays, task: Task, slot: int, claim: int, event: int
) -> bool:
    """Pass over the account's clean outflows that come before anything else happens."""
    if len(task.paying) > 0 and b.accounts[slot, A_HAS_HOLDS] == 1:
        return False
    time = row = NEVER
    if s.counts[HEAP] > 0:
        time, row = s.heap[0, H_TIME], s.heap[0, H_ROW]
    if claim < len(task.claim_row):
        origin = task.claim_row[claim]
        if ledger.time_us[origin] < time or (ledger.time_us[origin] == time and origin < row):
            time, row = ledger.time_us[origin], origin
    if event < len(task.event_time) and task.event_time[event] < time:
        time, row = task.event_time[event], NEVER
    rule, at_us = task.settings[RULE], task.settings[AT_US]
    if idle(s, b, ledger, slot, rule, at_us, int(time), int(row)) == 0:
        return False
    wait(s, b, ledger, slot, at_us)
    return True


def transfer(
    s: Scratch,
    b: Books,
    ledger: LedgerArrays,
    task: Task,
    row: int,
    first: int,
    end: int,
    event: int,
    totals: NDArray[np.int64],
) -> bool:
    """Move one transfer's lots, marked by claims [first, end); False when memory must grow.

    `event` is the next hold event: nothing after it may be passed over.
    """
    width = task.settings[CASES] + 1
    pieces = 0
    s.counts[STEPS] += 1
    if s.counts[HEAP] > 0 and s.heap[0, H_ROW] == row:
        slot = heap_pop(s)
        if first == end and pass_over(s, b, ledger, task, slot, end, event):
            return True
        pieces = outflow(s, b, ledger, task, row, slot)
    if pieces < 0 or (pieces == 0 and first == end):
        return bool(pieces == 0)
    amount, debtor = ledger.amount[row], ledger.debtor[row]
    pieces = mark(
        s, pieces, amount, debtor, width, task.claim_amount, task.claim_case, first, end, totals
    )
    if pieces >= 0:
        dust = task.settings[DUST]
        pieces = carry(s, ledger, row, pieces, width, task.claim_case, first, end, dust, totals)
    if pieces <= 0 or ledger.flags[row] & EXIT:
        return bool(pieces >= 0)
    if s.counts[LIMIT] == WHOLE:
        return bool(deliver(s, b, ledger, task, row, pieces))
    for i in range(pieces):
        key = ledger.creditor[row] * width + s.others[i, P_CASE]
        if not settle(s, key, s.others[i, P_END] - s.others[i, P_START], ledger.time_us[row]):
            return False
    return True


def replay(
    arrays: LedgerArrays, task: Task, scratch: Scratch, books: Books, totals: NDArray[np.int64]
) -> int:
    """Trace all cases at once; returns DONE or GROW. Fills `totals`, scratch and the excesses.

    Compiled code takes notes for the ledger, scratch and books.
    """
    ledger, s, b = ledger_at(arrays), scratch_at(scratch), books_at(books)
    task = uncounted(task)
    clear(s)
    claim = event = 0
    claims, events = len(task.claim_row), len(task.event_time)
    while True:
        busy = s.counts[HEAP] > 0 or claim < claims
        row = next_row(s, ledger, task.claim_row, claim) if busy else 0
        waiting = event < events and s.counts[LIMIT] == WHOLE
        if waiting and (not busy or task.event_time[event] < ledger.time_us[row]):
            if not act(s, b, task, event, totals):
                return GROW
            event += 1
            continue
        if not busy:
            break
        first = claim
        while claim < claims and task.claim_row[claim] == row:
            claim += 1
        if not transfer(s, b, ledger, task, row, first, claim, event, totals):
            return GROW
        check_limits(s, task)
    width = task.settings[CASES] + 1
    if not close(s, b, width):
        return GROW
    export(s, width, task.hubs)
    return DONE
