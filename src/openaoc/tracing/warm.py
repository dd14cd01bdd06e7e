"""Stage tracing: compiles every kernel once, so that the first trace does not wait for it.

Run as `python -m openaoc.tracing.warm` when an environment is set up; answers nothing.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from openaoc.kernel.clock import to_us
from openaoc.ledger.arrays import EXIT
from openaoc.ledger.bulk import build_arrays
from openaoc.ledger.warm import small_ledger
from openaoc.tracing.engine import trace_cases
from openaoc.tracing.model import Claim, HoldEvent, HoldKind, Rule
from openaoc.tracing.service import CaseClaim, CaseHold, Tracing


def warm() -> float:
    """Compile, or load what is compiled; seconds it took."""
    start = time.perf_counter()
    arrays = build_arrays(
        time_us=np.arange(3),
        debtor=np.array([0, 1, 2], np.int32),
        creditor=np.array([1, 2, -1], np.int32),
        amount=np.array([3, 2, 1]),
        flags=np.array([0, 0, EXIT], np.uint8),
        channel=np.array([0, 0, 1], np.uint8),
        opening=np.zeros(3, np.int64),
        compiled=True,
    )
    hold = HoldEvent(kind=HoldKind.HOLD, at_us=2, case=0, account=1, amount_minor=1)
    for rule in Rule:
        trace_cases(arrays, [Claim(0)], rule=rule)
        trace_cases(arrays, [Claim(0)], rule=rule, holds=[hold])
    return time.perf_counter() - start


def warm_centre() -> float:
    """As `warm`, for traces in a centre's ledger, whose arrays have types of their own."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, small_ledger(Path(folder)) as ledger:
        tracing = Tracing(ledger, archive=ledger.archive)
        row = ledger.find(reported_by="A", transfer_id="T1")
        account = ledger.account_index("B", "2", "THB")
        assert row is not None, "what was just told is found"
        assert account is not None, "its creditor is known"
        booked_at = ledger.transfer(row).booked_at
        hold = CaseHold(
            order="O",
            kind=HoldKind.HOLD,
            at_us=to_us(booked_at),
            account=account,
            amount_minor=1,
            sequence=1,
        )
        for holds in ((), (hold,)):
            tracing.register("C", [CaseClaim(row=row, filed=1)], holds)
            look = tracing.look("C")
            tracing.doubt(look, account)
            for rule in Rule:
                tracing.trace("C", rule=rule)
    return time.perf_counter() - start


if __name__ == "__main__":
    sys.stdout.write(f"kernels ready in {warm() + warm_centre():.1f} s\n")
