"""Holds: whether the ledger knows an account's money well enough to be certain.

Pure, over the ledger's arrays. History is missing where the account has spent money the ledger
never saw come in: then nobody knows how much of it was there before.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from openaoc.ledger.arrays import LedgerArrays

INFLOWS_LOOKED_AT_MAX: Final = 2_000
"""The newest inflows of the account; what was missing long before them has left since."""


def history_missing(arrays: LedgerArrays, account: int) -> bool:
    """Whether money was inferred on the account's line: a gap between one inflow and the next.

    An inflow starts at max(in_end, out_end): where it starts past the end of the one before, or
    the last outflow ends past the last inflow, the account spent what the ledger had not seen.
    """
    offset, count = int(arrays.in_off[account]), int(arrays.in_len[account])
    first = max(count - INFLOWS_LOOKED_AT_MAX, 0)
    rows = arrays.in_rows[offset + first : offset + count]
    starts = arrays.in_start[rows]
    ends = starts + arrays.amount[rows]
    in_end = int(ends[-1]) if rows.size else int(arrays.base_in[account])
    if rows.size:
        if first == 0 and int(starts[0]) > int(arrays.base_in[account]):
            return True
        if bool(np.any(starts[1:] > ends[:-1])):
            return True
    outs = int(arrays.out_len[account])
    if not outs:
        return int(arrays.base_out[account]) > in_end
    last = int(arrays.out_off[account]) + outs - 1
    return int(arrays.out_starts[last] + arrays.amount[arrays.out_rows[last]]) > in_end
