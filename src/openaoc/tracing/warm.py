"""Stage tracing: compiles every kernel once, so that the first trace does not wait for it.

Run as `python -m openaoc.tracing.warm` when an environment is set up; answers nothing.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from openaoc.ledger.arrays import EXIT
from openaoc.ledger.bulk import build_arrays
from openaoc.tracing.engine import trace_cases
from openaoc.tracing.model import Claim, HoldEvent, HoldKind, Rule


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


if __name__ == "__main__":
    sys.stdout.write(f"kernels ready in {warm():.1f} s\n")
