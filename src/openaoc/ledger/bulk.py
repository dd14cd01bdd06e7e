"""Ledger: builds the arrays of a whole ledger at once, from columns of transfers.

For files, benchmarks and tests; the centre's own ledger grows row by row. Keeps no names.
"""

from __future__ import annotations

from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from openaoc.kernel.errors import BadInput, TooLarge
from openaoc.kernel.money import AMOUNT_MINOR_MAX
from openaoc.ledger.arrays import EXIT, SELF, LedgerArrays

ROWS_MAX: Final = 2**31 - 1
"""Rows are numbered in 32 bits."""
T = TypeVar("T", bound=np.generic)


def build_arrays(
    *,
    time_us: NDArray[np.int64],
    debtor: NDArray[np.int32],
    creditor: NDArray[np.int32],
    amount: NDArray[np.int64],
    flags: NDArray[np.uint8],
    channel: NDArray[np.uint8],
    opening: NDArray[np.int64],
) -> LedgerArrays:
    """The ledger of these transfers, rows in arrival order, at any times.

    One entry per transfer but `opening`: one per account, ≥ 0 minor units. What `flags` says
    (EXIT, SELF) is taken as it is; an exit's creditor becomes -1. Raises BadInput for a number out
    of range and TooLarge for a line that would end at 2⁶² or more.
    """
    from openaoc.ledger.kernels_bulk import count_sides, lay_lines

    rows, accounts = len(time_us), len(opening)
    if rows > ROWS_MAX or accounts > ROWS_MAX:
        raise TooLarge(f"{max(rows, accounts)} rows are more than {ROWS_MAX}")
    times = _column(time_us, np.int64, rows)
    payers = _column(debtor, np.int32, rows)
    amounts = _column(amount, np.int64, rows)
    marks = _column(flags, np.uint8, rows)
    payees = np.where(marks & EXIT, np.int32(-1), _column(creditor, np.int32, rows))
    opens = _column(opening, np.int64, accounts)
    _check(payers, payees, amounts, marks, opens)
    out_len, in_len = np.zeros(accounts, np.int32), np.zeros(accounts, np.int32)
    count_sides(payers, payees, marks, out_len, in_len)
    out_off, in_off = _offsets(out_len), _offsets(in_len)
    arrays = LedgerArrays(
        time_us=times,
        debtor=payers,
        creditor=payees,
        amount=amounts,
        flags=marks,
        channel=_column(channel, np.uint8, rows),
        out_start=np.empty(rows, np.int64),
        in_start=np.empty(rows, np.int64),
        base_in=opens,
        base_out=np.zeros(accounts, np.int64),
        out_off=out_off,
        out_len=out_len,
        in_off=in_off,
        in_len=in_len,
        out_rows=np.empty(int(out_len.sum(dtype=np.int64)), np.int32),
        out_starts=np.empty(int(out_len.sum(dtype=np.int64)), np.int64),
        in_rows=np.empty(int(in_len.sum(dtype=np.int64)), np.int32),
    )
    sorted_already = bool(np.all(times[1:] >= times[:-1]))
    order = np.empty(0, np.int64) if sorted_already else np.argsort(times, kind="stable")
    stopped = lay_lines(
        order,
        arrays.debtor,
        arrays.creditor,
        arrays.amount,
        arrays.flags,
        arrays.base_in,
        arrays.out_off,
        arrays.in_off,
        arrays.out_start,
        arrays.in_start,
        arrays.out_rows,
        arrays.out_starts,
        arrays.in_rows,
    )
    if stopped >= 0:
        raise TooLarge("an account's running total passes 2^62 minor units", where=f"row {stopped}")
    return arrays


def _column(values: NDArray[T], kind: type[T], length: int) -> NDArray[T]:
    """The values as a writable, contiguous array of the kind, as the kernels are compiled for."""
    assert len(values) == length, "columns of different lengths"
    return np.require(values, dtype=kind, requirements=["C", "W", "A"])


def _offsets(lengths: NDArray[np.int32]) -> NDArray[np.int64]:
    """Where each account's slice of a pool starts."""
    ends = np.cumsum(lengths, dtype=np.int64)
    return ends - lengths


def _check(
    payers: NDArray[np.int32],
    payees: NDArray[np.int32],
    amounts: NDArray[np.int64],
    flags: NDArray[np.uint8],
    opening: NDArray[np.int64],
) -> None:
    """Refuse what the kernels must not see."""
    _first_bad((payers < 0) | (payers >= len(opening)), "no such debtor")
    unnamed = (payees < 0) & ~((flags & EXIT) > 0)
    _first_bad(unnamed | (payees >= len(opening)), "no such creditor")
    _first_bad(
        ((flags & SELF) == 0) & ((flags & EXIT) == 0) & (payers == payees), "not marked SELF"
    )
    _first_bad((amounts < 0) | (amounts > AMOUNT_MINOR_MAX), "amount is out of range")
    _first_bad((opening < 0) | (opening > AMOUNT_MINOR_MAX), "opening balance is out of range")


def _first_bad(bad: NDArray[np.bool_], reason: str) -> None:
    if bad.any():
        raise BadInput(reason, where=f"row {int(np.argmax(bad))}")
