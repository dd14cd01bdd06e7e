"""At a limit a trace says so by name, and its sum still holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from openaoc.ledger.arrays import SELF, LedgerArrays
from openaoc.ledger.bulk import build_arrays
from openaoc.tracing import scratch
from openaoc.tracing.engine import trace_cases
from openaoc.tracing.kernels_shares import share_of
from openaoc.tracing.model import CaseTrace, Claim, Rule, TraceLimits
from openaoc.tracing.reference import trace_cases as plain_cases


def _busy(seed: int, *, rows: int, accounts: int) -> LedgerArrays:
    rng = np.random.default_rng(seed)
    debtor = rng.integers(0, accounts, rows).astype(np.int32)
    creditor = rng.integers(0, accounts, rows).astype(np.int32)
    return build_arrays(
        time_us=np.arange(rows),
        debtor=debtor,
        creditor=creditor,
        amount=rng.integers(1, 1_000, rows),
        flags=np.where(debtor == creditor, SELF, 0).astype(np.uint8),
        channel=np.zeros(rows, np.uint8),
        opening=np.zeros(accounts, np.int64),
    )


def _claims(arrays: LedgerArrays, count: int) -> list[Claim]:
    rows = np.flatnonzero((arrays.flags & SELF) == 0)
    return [Claim(row, None, number % 3) for number, row in enumerate(rows[:: len(rows) // count])]


@pytest.mark.parametrize("rule", list(Rule))
@pytest.mark.parametrize(
    ("limits", "name"),
    [
        (TraceLimits(transfers_max=50), "transfers"),
        (TraceLimits(accounts_max=20), "accounts"),
        (TraceLimits(lots_max=15), "lots"),
    ],
)
def test_a_limit_is_named_and_the_sum_holds(rule: Rule, limits: TraceLimits, name: str) -> None:
    arrays = _busy(1, rows=3_000, accounts=60)
    claims = _claims(arrays, 30)
    traces = trace_cases(arrays, claims, rule=rule, limits=limits)
    whole = trace_cases(arrays, claims, rule=rule)
    for trace, full in zip(traces, whole, strict=True):
        assert trace.truncated == name
        assert full.truncated is None
        assert trace.loss_minor == trace.accounted_minor()
        assert trace.loss_minor >= full.loss_minor > 0


@pytest.mark.parametrize("rule", list(Rule))
def test_working_memory_grows_until_it_is_enough(rule: Rule) -> None:
    """Many more lots than scratch begins with, and the same answer as the reference."""
    arrays = _busy(2, rows=12_000, accounts=900)
    claims = _claims(arrays, 1_500)
    fast = trace_cases(arrays, claims, rule=rule)
    assert sum(len(trace.transfers) for trace in fast) > scratch.SMALL
    assert fast == plain_cases(arrays, claims, rule=rule)


def test_traces_of_one_thread_do_not_see_each_other() -> None:
    arrays = _busy(3, rows=500, accounts=20)
    claims = _claims(arrays, 20)
    first: dict[int, list[CaseTrace]] = {}
    for number, claim in enumerate(claims):
        first[number] = trace_cases(arrays, [Claim(claim.row)], rule=Rule.FIFO)
    trace_cases(arrays, claims, rule=Rule.LIFO)
    for number, claim in enumerate(claims):
        assert trace_cases(arrays, [Claim(claim.row)], rule=Rule.FIFO) == first[number]


def test_shares_are_exact_up_to_62_bits() -> None:
    rng = np.random.default_rng(4)
    for _ in range(2_000):
        whole = int(rng.integers(1, 2**62))
        part, amount = int(rng.integers(0, whole + 1)), int(rng.integers(0, 2**62))
        wide: list[Any] = [np.int64(number) for number in (part, amount, whole)]
        assert share_of(*wide) == part * amount // whole
