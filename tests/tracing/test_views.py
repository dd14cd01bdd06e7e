"""Compiled code sees through a note what the interpreter sees in the arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from openaoc.ledger.arrays import LedgerArrays
from openaoc.ledger.bulk import build_arrays
from openaoc.ledger.store import Store
from openaoc.tracing.engine import trace_cases
from openaoc.tracing.model import Claim, Rule


def ledger(rows: int) -> LedgerArrays:
    return build_arrays(
        time_us=np.arange(rows),
        debtor=np.arange(rows, dtype=np.int32),
        creditor=np.arange(1, rows + 1, dtype=np.int32),
        amount=np.full(rows, 10),
        flags=np.zeros(rows, np.uint8),
        channel=np.zeros(rows, np.uint8),
        opening=np.zeros(rows + 1, np.int64),
    )


def test_a_running_ledger_has_the_types_of_a_built_one(tmp_path: Path) -> None:
    store = Store(tmp_path, rows_max=100, accounts_max=100, seed=1)
    built = ledger(3)
    assert [array.dtype for array in store.view()] == [array.dtype for array in built]


def test_another_ledger_is_not_taken_for_the_last() -> None:
    one = ledger(3)
    other = one._replace(amount=np.full(3, 4))
    for arrays, amount in ((one, 10), (other, 4), (one, 10)):
        (trace,) = trace_cases(arrays, [Claim(0)], rule=Rule.FIFO)
        assert trace.loss_minor == amount
