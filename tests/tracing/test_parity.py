"""The kernels and the plain reference agree to the minor unit, whatever is asked."""

from __future__ import annotations

import pytest

from openaoc.tracing import engine, reference
from openaoc.tracing.model import Rule
from tests.tracing.ledgers import random_asked


def _agree(seed: int) -> None:
    asked = random_asked(seed)
    for rule in Rule:
        for unknown in (False, True):
            plain = asked.trace(reference.trace_cases, rule, openings_unknown=unknown)
            fast = asked.trace(engine.trace_cases, rule, openings_unknown=unknown)
            assert fast == plain, f"seed {seed}, {rule}, openings unknown: {unknown}"


def test_kernels_agree_with_the_reference() -> None:
    for seed in range(1_500):
        _agree(seed)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_kernels_agree_with_the_reference_on_many_ledgers() -> None:
    for seed in range(100_000, 140_000):
        _agree(seed)


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
