"""Ledger, hot loops of the bulk build: every account's line from transfers in one pass.

Numbers in, numbers out; the caller has checked the columns. Holds no names.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from openaoc.kernel.money import AMOUNT_MINOR_MAX
from openaoc.ledger.arrays import EXIT, SELF

LINE_END_MAX: Final = AMOUNT_MINOR_MAX
"""No line may end past this; positions and their sums then stay inside 64 bits."""


@njit(cache=True, nogil=True)
def lay_lines(
    order: NDArray[np.int64],
    debtor: NDArray[np.int32],
    creditor: NDArray[np.int32],
    amount: NDArray[np.int64],
    flags: NDArray[np.uint8],
    opening: NDArray[np.int64],
    out_off: NDArray[np.int64],
    in_off: NDArray[np.int64],
    out_start: NDArray[np.int64],
    in_start: NDArray[np.int64],
    out_rows: NDArray[np.int32],
    out_starts: NDArray[np.int64],
    in_rows: NDArray[np.int32],
) -> int:
    """Lay every transfer on its two lines, in ledger order.

    `order` is the rows in ledger order (empty: as they stand). Returns -1, or the row whose line
    would end past LINE_END_MAX.
    """
    accounts = len(opening)
    in_end = opening.copy()
    out_end = np.zeros(accounts, np.int64)
    out_next = out_off.copy()
    in_next = in_off.copy()
    for place in range(len(debtor)):
        row = order[place] if len(order) else place
        out_start[row] = -1
        in_start[row] = -1
        if flags[row] & SELF:
            continue
        payer = debtor[row]
        start = out_end[payer]
        if amount[row] > LINE_END_MAX - start:
            return row
        out_start[row] = start
        out_end[payer] = start + amount[row]
        out_rows[out_next[payer]] = row
        out_starts[out_next[payer]] = start
        out_next[payer] += 1
        if flags[row] & EXIT:
            continue
        payee = creditor[row]
        start = max(in_end[payee], out_end[payee])
        if amount[row] > LINE_END_MAX - start:
            return row
        in_start[row] = start
        in_end[payee] = start + amount[row]
        in_rows[in_next[payee]] = row
        in_next[payee] += 1
    return -1
