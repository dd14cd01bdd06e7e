"""The bulk build of a ledger: lines, order of arrival, refusals, sizes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from openaoc.kernel.errors import BadInput, TooLarge
from openaoc.ledger.arrays import EXIT, SELF, LedgerArrays
from openaoc.ledger.bulk import build_arrays
from openaoc.tracing.engine import trace_cases
from openaoc.tracing.model import Claim, Rule
from tests.tracing.ledgers import Pay, random_columns, small


def _plain_lines(arrays: LedgerArrays) -> tuple[list[int], list[int]]:
    """The two starts of each row, by the definition."""
    order = sorted(range(len(arrays.time_us)), key=lambda row: (arrays.time_us[row], row))
    ends = {a: [int(end), 0] for a, end in enumerate(arrays.base_in)}
    outs, ins = [-1] * len(order), [-1] * len(order)
    for row in order:
        if arrays.flags[row] & SELF:
            continue
        amount = int(arrays.amount[row])
        payer = ends[int(arrays.debtor[row])]
        outs[row] = payer[1]
        payer[1] += amount
        if not arrays.flags[row] & EXIT:
            payee = ends[int(arrays.creditor[row])]
            ins[row] = max(payee)
            payee[0] = ins[row] + amount
    return outs, ins


@pytest.mark.parametrize("seed", range(200))
def test_lines_are_as_defined(seed: int) -> None:
    columns = random_columns(np.random.default_rng(seed))
    arrays = build_arrays(**columns)
    other = build_arrays(**columns, compiled=True)
    for name in LedgerArrays._fields:
        assert np.array_equal(getattr(arrays, name), getattr(other, name)), name
    outs, ins = _plain_lines(arrays)
    assert arrays.out_start.tolist() == outs
    assert arrays.in_start.tolist() == ins
    for account in range(len(arrays.base_in)):
        begin, count = arrays.out_off[account], arrays.out_len[account]
        rows = arrays.out_rows[begin : begin + count]
        assert arrays.out_starts[begin : begin + count].tolist() == [outs[row] for row in rows]
        keys = [(arrays.time_us[row], row) for row in rows]
        assert keys == sorted(keys)
        assert set(arrays.debtor[rows]) <= {account}
        begin, count = arrays.in_off[account], arrays.in_len[account]
        rows = arrays.in_rows[begin : begin + count]
        assert set(arrays.creditor[rows]) <= {account}
        assert [ins[row] for row in rows] == sorted(ins[row] for row in rows)


def _columns(amounts: list[int], **changed: np.ndarray) -> dict[str, Any]:
    rows = len(amounts)
    columns: dict[str, Any] = {
        "time_us": np.arange(rows),
        "debtor": np.zeros(rows, np.int32),
        "creditor": np.ones(rows, np.int32),
        "amount": np.array(amounts, np.int64),
        "flags": np.zeros(rows, np.uint8),
        "channel": np.zeros(rows, np.uint8),
        "opening": np.zeros(2, np.int64),
    }
    return columns | changed


def test_a_line_may_not_pass_two_to_the_62() -> None:
    at_the_limit = build_arrays(**_columns([2**61, 2**61 - 1]))
    assert int(at_the_limit.in_start[1]) == 2**61
    with pytest.raises(TooLarge, match="row 1"):
        build_arrays(**_columns([2**61, 2**61]))
    with pytest.raises(TooLarge, match="row 0"):
        build_arrays(**_columns([2], opening=np.array([0, 2**62 - 2])))


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"amount": np.array([-1])}, "amount"),
        ({"amount": np.array([2**62])}, "amount"),
        ({"debtor": np.array([2], np.int32)}, "debtor"),
        ({"creditor": np.array([2], np.int32)}, "creditor"),
        ({"creditor": np.array([-1], np.int32)}, "creditor"),
        ({"creditor": np.array([0], np.int32)}, "SELF"),
        ({"opening": np.array([-1, 0])}, "opening"),
    ],
)
def test_what_is_out_of_range_is_refused(changed: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        build_arrays(**_columns([5], **changed))


def test_an_exit_has_no_creditor_in_the_arrays() -> None:
    arrays = small([Pay(1, "a", "b", 5, exit=True)]).arrays
    assert arrays.creditor.tolist() == [-1]
    assert arrays.in_start.tolist() == [-1]


@pytest.mark.parametrize("rule", list(Rule))
def test_a_million_transfers_through_one_account(rule: Rule) -> None:
    """One account, half in, half out, every inflow lost: the sum holds and nothing is cut."""
    half = 500_000
    rng = np.random.default_rng(1)
    other = rng.integers(1, 10_000, 2 * half).astype(np.int32)
    inward = np.arange(2 * half) % 2 == 0
    arrays = build_arrays(
        time_us=np.arange(2 * half),
        debtor=np.where(inward, other, 0).astype(np.int32),
        creditor=np.where(inward, 0, other).astype(np.int32),
        amount=np.where(inward, 1_000, rng.integers(1, 1_000, 2 * half)),
        flags=np.where(inward, 0, EXIT).astype(np.uint8),
        channel=np.where(inward, 0, 1).astype(np.uint8),
        opening=np.zeros(10_000, np.int64),
    )
    claims = [Claim(row) for row in range(0, 10_000, 2)]
    (trace,) = trace_cases(arrays, claims, rule=rule)
    assert trace.truncated is None
    assert trace.loss_minor == trace.accounted_minor() == 5_000_000
