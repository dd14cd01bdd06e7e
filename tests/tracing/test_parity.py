"""The kernels and the plain reference agree to the minor unit, whatever is asked."""

from __future__ import annotations

import subprocess
import sys
from functools import partial

import pytest

from openaoc.tracing import engine, reference
from openaoc.tracing.model import Rule
from tests.tracing.ledgers import random_asked


def agree(seed: int, *, interpret_max: int = 0) -> bool:
    """One random ledger, all rules."""
    asked = random_asked(seed)
    for rule in Rule:
        for unknown in (False, True):
            plain = asked.trace(reference.trace_cases, rule, openings_unknown=unknown)
            fast = asked.trace(
                partial(engine.trace_cases, interpret_max=interpret_max),
                rule,
                openings_unknown=unknown,
            )
            if fast != plain:
                return False
    return True


def test_kernels_agree_with_the_reference() -> None:
    for seed in range(1_500):
        assert agree(seed), f"seed {seed}"


def test_the_interpreted_kernels_agree_as_well() -> None:
    """In a process of its own: this one may have compiled them already."""
    program = (
        "from openaoc.tracing import compiled\n"
        "from tests.tracing.test_parity import agree\n"
        "for seed in range(300): assert agree(seed, interpret_max=10**9), seed\n"
        "assert not compiled.is_compiled()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_kernels_agree_with_the_reference_on_many_ledgers() -> None:
    for seed in range(100_000, 140_000):
        assert agree(seed), f"seed {seed}"


def test_random_ledgers_reach_every_corner() -> None:
    """The generator would be worth little if it made nothing of these."""
    seen = dict.fromkeys(
        ["held", "restituted", "inferred", "overlap", "returned", "hub", "dropped", "excess"], 0
    )
    for seed in range(600):
        for trace in random_asked(seed).trace(reference.trace_cases, Rule.FIFO):
            seen["held"] += bool(trace.held)
            seen["restituted"] += trace.restituted_minor > 0
            seen["inferred"] += bool(trace.inferred_under_hold)
            seen["overlap"] += trace.overlap_minor > 0
            seen["returned"] += any(item.returned for item in trace.located)
            seen["hub"] += any(item.hub for item in trace.located)
            seen["dropped"] += trace.dropped_minor > 0
            seen["excess"] += bool(trace.excess)
    assert min(seen.values()) > 3, seen
