"""Hot loops that change what stands on account lines: corrections and dated opening balances.

Rare beside appends. They hold no locks: the caller lets no reader in while one runs.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from openaoc.ledger.arrays import EXIT, SELF
from openaoc.ledger.kernels_lines import (
    Dirty,
    Lines,
    mend,
    note_late,
    outside,
    place,
    push_in,
    push_out,
    repair,
)


@njit(cache=True, nogil=True)
def take_off(lines: Lines, row: int) -> None:
    """Take a row off both its accounts' lists; their positions are repaired by the caller."""
    if lines.flags[row] & SELF:
        return
    when = lines.time_us[row]
    debtor = int(lines.debtor[row])
    length, offset = int(lines.out_len[debtor]), lines.out_off[debtor]
    at = place(lines.out_rows, lines.time_us, offset, length, when, row)
    if at < length and lines.out_rows[offset + at] == row:
        for k in range(at, length - 1):
            lines.out_rows[offset + k] = lines.out_rows[offset + k + 1]
        lines.out_len[debtor] = np.int32(length - 1)
    if lines.flags[row] & EXIT:
        return
    creditor = int(lines.creditor[row])
    length, offset = int(lines.in_len[creditor]), lines.in_off[creditor]
    at = place(lines.in_rows, lines.time_us, offset, length, when, row)
    if at < length and lines.in_rows[offset + at] == row:
        for k in range(at, length - 1):
            lines.in_rows[offset + k] = lines.in_rows[offset + k + 1]
        lines.in_len[creditor] = np.int32(length - 1)


@njit(cache=True, nogil=True)
def put_back(lines: Lines, row: int, dirty: Dirty) -> int:
    """Put a corrected row on its accounts' lists at its place; rows repaired."""
    lines.out_start[row] = -1
    lines.in_start[row] = -1
    if lines.flags[row] & SELF:
        return 0
    waiting = 0
    when = lines.time_us[row]
    debtor = int(lines.debtor[row])
    if not outside(lines.line_from, debtor, when):
        waiting = note_late(lines, dirty, waiting, debtor, row)
        push_out(lines, debtor, row, 0)
    if not lines.flags[row] & EXIT:
        creditor = int(lines.creditor[row])
        if not outside(lines.line_from, creditor, when):
            waiting = note_late(lines, dirty, waiting, creditor, row)
            push_in(lines, creditor, row)
    return mend(lines, dirty, waiting)


@njit(cache=True, nogil=True)
def amend_row(
    lines: Lines,
    row: int,
    time_us: int,
    debtor: int,
    creditor: int,
    amount: int,
    flags: np.uint8,
    channel: np.uint8,
    dirty: Dirty,
) -> int:
    """Give a row other content at its own arrival number; rows repaired (up to four accounts)."""
    was_us, was_flags = lines.time_us[row], lines.flags[row]
    was_debtor, was_creditor = int(lines.debtor[row]), int(lines.creditor[row])
    take_off(lines, row)
    lines.time_us[row] = time_us
    lines.debtor[row] = np.int32(debtor)
    lines.creditor[row] = np.int32(creditor)
    lines.amount[row] = amount
    lines.flags[row] = flags
    lines.channel[row] = channel
    steps = 0
    if not was_flags & SELF:
        steps += repair(lines, was_debtor, was_us, row)
        if not was_flags & EXIT:
            steps += repair(lines, was_creditor, was_us, row)
    return steps + put_back(lines, row, dirty)


@njit(cache=True, nogil=True)
def reline(
    lines: Lines,
    account: int,
    opening: int,
    from_us: int,
    outs: NDArray[np.int32],
    ins: NDArray[np.int32],
) -> None:
    """Start an account's line anew at a dated opening balance.

    outs and ins are all rows that name the account on a line, in ledger order; those before
    from_us come to stand outside.
    """
    lines.base_in[account] = opening
    lines.base_out[account] = 0
    lines.line_from[account] = from_us
    lines.out_len[account] = 0
    lines.in_len[account] = 0
    for k in range(outs.size):
        row = int(outs[k])
        lines.out_start[row] = -1
        if lines.time_us[row] >= from_us:
            push_out(lines, account, row, 0)
    for k in range(ins.size):
        row = int(ins[k])
        lines.in_start[row] = -1
        if lines.time_us[row] >= from_us:
            push_in(lines, account, row)
    repair(lines, account, -(2**63), -1)


@njit(cache=True, nogil=True)
def open_lines(
    lines: Lines,
    accounts: NDArray[np.int32],
    openings: NDArray[np.int64],
    from_us: int,
    start: int,
    stop: int,
) -> None:
    """Give accounts[start:stop], which had no dated opening yet, theirs."""
    for k in range(start, stop):
        account = int(accounts[k])
        outs = lines.out_rows[lines.out_off[account] :][: lines.out_len[account]].copy()
        ins = lines.in_rows[lines.in_off[account] :][: lines.in_len[account]].copy()
        reline(lines, account, openings[k], from_us, outs, ins)
