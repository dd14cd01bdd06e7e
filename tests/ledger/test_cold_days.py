"""A ledger whose older days are cold tells the same as one that keeps everything in memory."""

from __future__ import annotations

import tempfile
from pathlib import Path
from random import Random

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.ledger.twins import Twins, stream
from tests.ledger.worlds import START_US

# Without shrinking: a smaller seed is not a smaller story.
NO_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)


def live_through(seed: int, count: int) -> bool:
    """Tell both ledgers the same; cut one of them now and then. True when they told the same."""
    draw = Random(seed)  # noqa: S311 - repeatable, not secret
    told = stream(draw, count)
    names = [(str(row["reported_by"]), str(row["transfer_id"])) for row in told]
    latest = max(int(str(row["booked_at"])) for row in told)
    with tempfile.TemporaryDirectory() as folder:
        twins = Twins(Path(folder))
        try:
            while told:
                size = draw.randint(1, 12)
                twins.ingest(told[:size])
                told = told[size:]
                what = draw.random()
                if what < 0.4:
                    twins.cut(draw, draw.randint(START_US, latest + 2))
                elif what < 0.5:
                    twins.restart()
                elif what < 0.53:
                    twins.split.snapshot()
                elif what < 0.6:
                    twins.open_lines(draw, draw.randrange(latest - START_US + 1))
                if draw.random() < 0.3:
                    twins.compare(names)
                    twins.candidates(draw)
            twins.compare(names)
            twins.restart()
            twins.compare(names)
            twins.candidates(draw)
        finally:
            twins.close()
    return True


@settings(max_examples=15, deadline=None, phases=NO_SHRINKING)
@given(st.integers(0, 2**32), st.integers(1, 30))
def test_any_cuts_of_any_story(seed: int, count: int) -> None:
    assert live_through(seed, count)


@pytest.mark.long
@pytest.mark.parametrize("block", range(8))
def test_hundreds_of_stories(block: int) -> None:
    """Some two seconds each: every transfer is asked for again and again where it may be cold."""
    for seed in range(40 * block, 40 * block + 40):
        assert live_through(seed, 1 + seed % 40)
