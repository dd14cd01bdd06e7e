"""Stage tracing: accounts with so many counterparties that they may be pooled ones.

Only proposes: a shop has thousands of payers too. Whether one is pooled, a person says.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from openaoc.ledger.arrays import LedgerArrays

COUNTERPARTIES_MIN: Final = 2_000
LOOKED_AT_MAX: Final = 5_000
"""The busiest accounts are looked at, and no more."""
TRANSFERS_MAX: Final = 200_000
"""Of one account, the newest of each direction."""


class Crowd(NamedTuple):
    """An account number, and how many different accounts pay it or are paid by it."""

    account: int
    counterparties: int


def crowds(
    reading: Callable[[], AbstractContextManager[LedgerArrays]],
    *,
    counterparties_min: int = COUNTERPARTIES_MIN,
    looked_at_max: int = LOOKED_AT_MAX,
) -> list[Crowd]:
    """Accounts with at least so many counterparties, the most first, then by number.

    One account to a reading, so that transfers come in between.
    """
    with reading() as arrays:
        busy = arrays.in_len.astype(np.int64) + arrays.out_len
        likely = np.flatnonzero(busy >= counterparties_min)
        likely = likely[np.argsort(-busy[likely], kind="stable")][:looked_at_max]
    found = []
    for account in likely.tolist():
        with reading() as arrays:
            count = _counterparties(arrays, account)
        if count >= counterparties_min:
            found.append(Crowd(account, count))
    return sorted(found, key=lambda crowd: (-crowd.counterparties, crowd.account))


def _counterparties(arrays: LedgerArrays, account: int) -> int:
    payers = arrays.debtor[_newest(arrays.in_rows, arrays.in_off, arrays.in_len, account)]
    payees = arrays.creditor[_newest(arrays.out_rows, arrays.out_off, arrays.out_len, account)]
    return len(np.union1d(payers, payees[payees >= 0]))


def _newest(
    pool: NDArray[np.int32], offsets: NDArray[np.int64], lengths: NDArray[np.int32], account: int
) -> NDArray[np.int32]:
    end = int(offsets[account]) + int(lengths[account])
    return pool[max(int(offsets[account]), end - TRANSFERS_MAX) : end]
