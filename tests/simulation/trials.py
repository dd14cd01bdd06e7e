"""A trial small enough for a test, and both of its arms at hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from openaoc.bootstrap import build_centre
from openaoc.kernel.clock import ManualClock
from openaoc.simulation.parameters import Parameters, load_parameters
from openaoc.simulation.trial.centre import CentreArm
from openaoc.simulation.trial.hop import HopArm
from openaoc.simulation.trial.life import BORN, Life
from openaoc.simulation.trial.run import CENTRE, run_trial
from openaoc.simulation.trial.scenario import Scenario, figure, scenario_named
from openaoc.simulation.trial.stage import Stage, stage
from openaoc.simulation.trial.telephone import TelephoneArm

SEED = 3
BASE = scenario_named("base")


def small(parameters: Parameters | None = None) -> Parameters:
    """Some hours of scams in a village, lived for a day, and settled in sixty.

    All victims complain and courts take every hold over, so that there is something to return.
    """
    settled = figure(
        parameters or load_parameters(), "people", complaint_share=1.0, authority_share=1.0
    )
    return figure(
        settled,
        "trial",
        accounts=2_500,
        a_day=10.0,
        days=0.3,
        until_s=86_400.0,
        past_transfers=4_000,
        transfers_a_day=1_500,
    )


def told_soon(parameters: Parameters) -> Parameters:
    """Every victim notices after ten minutes, so that a short trial has something to show."""
    return figure(parameters, "notice", shares=[1.0], medians_s=[600.0], sigma_log=0.0)


def telephone(scenario: Scenario = BASE, *, seed: int = SEED) -> TelephoneArm:
    """The arm without a centre, not lived yet."""
    life = Life(told_soon(small()), scenario, seed=seed)
    return TelephoneArm(life, scenario, seed=seed)


@contextmanager
def with_centre(
    made: Stage,
    scenario: Scenario = BASE,
    *,
    seed: int = SEED,
    arm: type[CentreArm] = CentreArm,
    parameters: Parameters | None = None,
) -> Iterator[CentreArm]:
    """The arm with a centre, not lived yet."""
    clock = ManualClock(BORN)
    life = Life(told_soon(parameters or small()), scenario, seed=seed)
    with (
        made.fresh(
            rule=scenario.rule, name=CENTRE, seed=seed, hop_by_hop=arm is HopArm
        ) as settings,
        build_centre(settings, clock=clock).opened() as centre,
    ):
        yield arm(life, scenario, seed=seed, centre=centre, clock=clock)


def trial_json() -> bytes:
    """One whole small trial on a stage of its own, as JSON."""
    import msgspec

    with stage() as made:
        trial = run_trial(
            figure(told_soon(small()), "trial", days=0.2),
            BASE,
            seed=SEED,
            stage=made,
            open_with=lambda settings, clock: build_centre(settings, clock=clock).opened(),
        )
    return msgspec.json.encode(trial)
