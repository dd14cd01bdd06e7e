"""Ledger: builds the arrays of a whole ledger at once, from columns of transfers.

For files, benchmarks and tests; the centre's own ledger grows row by row. Keeps no names.
"""

from __future__ import annotations

from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from openaoc.kernel.errors import BadInput, TooLarge
from openaoc.kernel.money import AMOUNT_MINOR_MAX
from openaoc.ledger.arrays import EXIT, SELF, LedgerArrays, account_columns, account_records

ROWS_MAX: Final = 2**31 - 1
"""Rows are numbered in 32 bits."""
VECTOR_ROWS_MAX: Final = 1_000_000
"""Up to here sorting all at once is done before a compiled loop is even loaded."""
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
    line_from: NDArray[np.int64] | None = None,
    compiled: bool | None = None,
) -> LedgerArrays:
    """The ledger of these transfers, rows in arrival order, at any times.

    One entry per transfer but `opening`: one per account, ≥ 0 minor units. What `flags` says
    (EXIT, SELF) is taken as it is; an exit's creditor becomes -1. `compiled` says whether to lay
    the lines in a compiled loop; by default for more than VECTOR_ROWS_MAX rows. `line_from`: by
    account, the time (µs) before which transfers stand outside its line (then nothing is compiled,
    and no line may end at 2⁶² or more). Raises BadInput for
    a number out of range and TooLarge for a line that would end at 2⁶² or more.
    """
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
    paying, paid = (marks & SELF) == 0, (marks & (SELF | EXIT)) == 0
    if line_from is not None:
        paying, paid = paying & (times >= line_from[payers]), paid & (times >= line_from[payees])
    out_len = np.bincount(payers[paying], minlength=accounts).astype(np.int32)
    in_len = np.bincount(payees[paid], minlength=accounts).astype(np.int32)
    account = account_columns(account_records(accounts))
    account.base_in[:] = opens
    account.out_len[:], account.in_len[:] = out_len, in_len
    account.out_off[:], account.in_off[:] = _offsets(out_len), _offsets(in_len)
    arrays = LedgerArrays(
        time_us=times,
        debtor=payers,
        creditor=payees,
        amount=amounts,
        flags=marks,
        channel=_column(channel, np.uint8, rows),
        out_start=np.full(rows, -1, np.int64),
        in_start=np.full(rows, -1, np.int64),
        base_in=account.base_in,
        base_out=np.zeros(accounts, np.int64),
        out_off=account.out_off,
        out_len=account.out_len,
        in_off=account.in_off,
        in_len=account.in_len,
        out_rows=np.empty(int(paying.sum()), np.int32),
        out_starts=np.empty(int(paying.sum()), np.int64),
        in_rows=np.empty(int(paid.sum()), np.int32),
        bare=np.zeros(accounts, np.int64),
        unseen=np.zeros(accounts, np.int64),
    )
    sorted_already = bool(np.all(times[1:] >= times[:-1]))
    order = np.arange(rows) if sorted_already else np.argsort(times, kind="stable")
    if compiled is None:
        compiled = rows > VECTOR_ROWS_MAX
    if line_from is None and (compiled or _may_overflow(arrays)):
        _lay_compiled(arrays, order)
    else:
        _lay_vectors(arrays, order, paying=paying, paid=paid)
    return arrays


def _may_overflow(arrays: LedgerArrays) -> bool:
    """Whether a line might come near 2⁶²: then they are laid step by step, with checks."""
    line = arrays.base_in.astype(np.float64)
    kept = (arrays.flags & SELF) == 0
    amounts = arrays.amount.astype(np.float64)
    line += np.bincount(arrays.debtor[kept], weights=amounts[kept], minlength=len(line))
    kept &= (arrays.flags & EXIT) == 0
    line += np.bincount(arrays.creditor[kept], weights=amounts[kept], minlength=len(line))
    return bool(line.max(initial=0.0) > AMOUNT_MINOR_MAX / 2)


def _lay_compiled(arrays: LedgerArrays, order: NDArray[np.int64]) -> None:
    """Row by row in ledger order."""
    from openaoc.ledger.kernels_bulk import lay_lines

    stopped = lay_lines(
        order,
        arrays.debtor,
        arrays.creditor,
        arrays.amount,
        arrays.flags,
        arrays.base_in.copy(),
        arrays.out_off.copy(),
        arrays.in_off.copy(),
        arrays.out_start,
        arrays.in_start,
        arrays.out_rows,
        arrays.out_starts,
        arrays.in_rows,
    )
    if stopped >= 0:
        raise TooLarge("an account's running total passes 2^62 minor units", where=f"row {stopped}")


def _lay_vectors(
    arrays: LedgerArrays,
    order: NDArray[np.int64],
    *,
    paying: NDArray[np.bool_],
    paid: NDArray[np.bool_],
) -> None:
    """All accounts at once; `paying` and `paid` say which rows stand on a line on each side.

    An outflow starts at the sum of those before it. An inflow starts at the greater of in_end and
    out_end; unrolled, with M the sum of the inflows before it and o_i the out_end before inflow i:
    M + max(opening, the running maximum of o_i - M_i).
    """
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    kept = order[paying[order]]
    outs = kept[np.argsort(arrays.debtor[kept], kind="stable")]
    starts = _sums_before(arrays.amount[outs], arrays.out_off, arrays.out_len)
    arrays.out_rows[:], arrays.out_starts[:], arrays.out_start[outs] = outs, starts, starts
    kept = order[paid[order]]
    ins = kept[np.argsort(arrays.creditor[kept], kind="stable")]
    arrays.in_rows[:] = ins
    if not len(ins):
        return
    account = arrays.creditor[ins].astype(np.int64)
    wide = len(order)
    out_keys = arrays.debtor[outs].astype(np.int64) * wide + rank[outs]
    after = np.searchsorted(out_keys, account * wide + rank[ins])
    first = arrays.out_off[account]
    out_end = np.zeros(len(ins), np.int64)
    some = after > first
    last = after[some] - 1
    out_end[some] = starts[last] + arrays.amount[outs[last]]
    before = _sums_before(arrays.amount[ins], arrays.in_off, arrays.in_len)
    highest = _running_max(out_end - before, account)
    arrays.in_start[ins] = before + np.maximum(arrays.base_in[account], highest)


def _sums_before(
    amounts: NDArray[np.int64], offset: NDArray[np.int64], length: NDArray[np.int32]
) -> NDArray[np.int64]:
    """For each entry the sum of the entries before it in its slice.

    The running sum over all slices may wrap round; differences inside a slice do not.
    """
    before = np.cumsum(amounts) - amounts
    used = length > 0
    return before - np.repeat(before[offset[used]], length[used])


def _running_max(values: NDArray[np.int64], group: NDArray[np.int64]) -> NDArray[np.int64]:
    """The greatest value so far in each group; groups ascend.

    Over the values' ranks, so that one number can hold group and rank.
    """
    ordered, place = np.unique(values, return_inverse=True)
    highest = np.maximum.accumulate(group * len(ordered) + place)
    return ordered[highest - group * len(ordered)]


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
