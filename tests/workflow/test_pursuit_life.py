"""The whole pursuit against a replay from scratch: after every step, to the minor unit."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from openaoc.kernel.clock import ManualClock
from openaoc.kernel.ids import random_text
from openaoc.storage.database import connect_database
from openaoc.storage.keyring import Keyring
from tests.conftest import START
from tests.workflow.centre import BANKS, Centre
from tests.workflow.pursuit_life import PursuitLife

STEPS = 40


def live_through(
    make_owner: Callable[[], dict[str, str]], folder: Path, *, seed: int, steps: int
) -> PursuitLife:
    """One life from its seed."""
    clock = ManualClock(START)
    database = connect_database(make_owner(), keys=Keyring(folder / "keys"), clock=clock)
    centre = Centre(database, folder, clock)
    try:
        centre.go_live(*BANKS)
        life = PursuitLife(centre, random.Random(seed))  # noqa: S311 - a replayable example
        for _ in range(steps):
            try:
                life.step()
            except BaseException as error:
                error.add_note(f"seed {seed}, after {' '.join(life.done)}")
                raise
        return life
    finally:
        centre.close()
        database.close()


@settings(
    max_examples=4,
    phases=[Phase.explicit, Phase.generate],
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(seed=st.integers(0, 2**32))
def test_every_belief_is_what_a_replay_says_after_every_step(
    make_owner: Callable[[], dict[str, str]], tmp_path: Path, seed: int
) -> None:
    assert live_through(make_owner, tmp_path / random_text(8), seed=seed, steps=STEPS).facts.known


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100))
def test_long_lives(make_owner: Callable[[], dict[str, str]], tmp_path: Path, seed: int) -> None:
    assert live_through(make_owner, tmp_path, seed=seed, steps=4 * STEPS).facts.known
