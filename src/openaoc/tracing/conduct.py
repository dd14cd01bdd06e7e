"""Stage tracing: how an account behaved before the money came, from its own transfers alone.

For ranking holds and for the likely-innocent test, which holds/ makes; never judges.
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from openaoc.ledger.arrays import EXIT, LedgerArrays

CONDUCT_TRANSFERS_MAX: Final = 2_000
"""The newest transfers of each direction that are looked at."""


DAY_US: Final = 86_400_000_000


class Conduct(msgspec.Struct, frozen=True, kw_only=True):
    """Figures over the newest `CONDUCT_TRANSFERS_MAX` transfers of each direction before a moment.

    `payers`: different debtors. `days_active`: different UTC days with a transfer.
    `first_seen_us`: the earliest transfer looked at, None without any. `dwell_median_us`: the
    median time from an outflow's newest earlier inflow to the outflow, None without one.
    """

    inflows: int
    outflows: int
    payers: int
    payees: int
    inflow_minor: int
    outflow_minor: int
    exits: int
    days_active: int
    first_seen_us: int | None
    dwell_median_us: int | None


def conduct(arrays: LedgerArrays, account: int, *, before_us: int) -> Conduct:
    """The account's figures from transfers booked before `before_us`."""
    ins = rows_of(arrays, account, before_us, inwards=True)
    outs = rows_of(arrays, account, before_us, inwards=False)
    in_times, out_times = arrays.time_us[ins], arrays.time_us[outs]
    place = np.searchsorted(in_times, out_times, side="right") - 1
    known = place >= 0
    dwells = sorted((out_times[known] - in_times[place[known]]).tolist())
    # Sets of a few numbers: numpy's own sorting costs many times what it sorts here.
    times = [*in_times.tolist(), *out_times.tolist()]
    payees = {payee for payee in arrays.creditor[outs].tolist() if payee >= 0}
    return Conduct(
        inflows=len(ins),
        outflows=len(outs),
        payers=len(set(arrays.debtor[ins].tolist())),
        payees=len(payees),
        inflow_minor=sum(arrays.amount[ins].tolist()),
        outflow_minor=sum(arrays.amount[outs].tolist()),
        exits=int(np.count_nonzero(arrays.flags[outs] & EXIT)),
        days_active=len({moment // DAY_US for moment in times}),
        first_seen_us=min(times, default=None),
        dwell_median_us=_median(dwells) if dwells else None,
    )


def known_balance(arrays: LedgerArrays, account: int, *, before_us: int) -> int:
    """What the ledger saw come to the account and not leave it before a moment, in minor units."""
    in_end, out_end = int(arrays.base_in[account]), int(arrays.base_out[account])
    if len(ins := rows_of(arrays, account, before_us, inwards=True)):
        in_end = int(arrays.in_start[ins[-1]] + arrays.amount[ins[-1]])
    if len(outs := rows_of(arrays, account, before_us, inwards=False)):
        out_end = int(arrays.out_start[outs[-1]] + arrays.amount[outs[-1]])
    return max(0, in_end - out_end)


def _median(ordered: list[int]) -> int:
    """The middle one, or the mean of the two in the middle, rounded down."""
    middle, odd = divmod(len(ordered), 2)
    return ordered[middle] if odd else (ordered[middle - 1] + ordered[middle]) // 2


def rows_of(
    arrays: LedgerArrays, account: int, before_us: int, *, inwards: bool
) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    """The account's newest CONDUCT_TRANSFERS_MAX rows of one direction before a moment."""
    pool = arrays.in_rows if inwards else arrays.out_rows
    offsets = arrays.in_off if inwards else arrays.out_off
    lengths = arrays.in_len if inwards else arrays.out_len
    start = int(offsets[account])
    rows = pool[start : start + int(lengths[account])]
    low, high = 0, len(rows)
    while low < high:
        middle = (low + high) // 2
        if arrays.time_us[rows[middle]] < before_us:
            low = middle + 1
        else:
            high = middle
    return rows[max(0, low - CONDUCT_TRANSFERS_MAX) : low]
