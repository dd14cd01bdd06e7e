"""Simulation, trials: one scenario and one seed, every arm."""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

from openaoc.kernel.clock import ManualClock
from openaoc.simulation.parameters import Parameters
from openaoc.simulation.trial.actors import OpenWith
from openaoc.simulation.trial.centre import CentreArm
from openaoc.simulation.trial.hop import HopArm
from openaoc.simulation.trial.life import BORN, Life, nation_of
from openaoc.simulation.trial.model import ArmFigures, TrialFigures
from openaoc.simulation.trial.scenario import Scenario
from openaoc.simulation.trial.stage import Stage
from openaoc.simulation.trial.telephone import TelephoneArm

CENTRE: Final = "centre"
"""Its name in all scenarios: with the same seed it draws the same."""


def run_trial(
    parameters: Parameters, scenario: Scenario, *, seed: int, stage: Stage, open_with: OpenWith
) -> TrialFigures:
    """Every arm of one scenario and seed; the same each time."""
    telephone_life = Life(parameters, scenario, seed=seed)
    telephone = TelephoneArm(telephone_life, scenario, seed=seed).run()
    nation = telephone_life.parameters

    def with_centre(arm: type[CentreArm], *, hop_by_hop: bool) -> ArmFigures:
        clock = ManualClock(BORN)
        life = Life(parameters, scenario, seed=seed)
        with (
            stage.fresh(
                rule=scenario.rule, name=CENTRE, seed=seed, hop_by_hop=hop_by_hop
            ) as settings,
            open_with(settings, clock) as centre,
        ):
            return arm(life, scenario, seed=seed, centre=centre, clock=clock).run()

    hop_by_hop = with_centre(HopArm, hop_by_hop=True)
    return TrialFigures(
        scenario=scenario.name,
        says=scenario.says,
        figures=digest_of(parameters, scenario),
        seed=seed,
        accounts=nation.trial.accounts.value,
        scams=telephone_life.scams.count,
        days=nation.trial.days.value,
        at_rest_share=nation.layers.at_rest_share.value,
        coverage=scenario.coverage,
        heeding=scenario.heeding,
        resuming=scenario.resuming,
        rule=scenario.rule,
        feed=scenario.feed,
        centre=with_centre(CentreArm, hop_by_hop=False) if scenario.feed else hop_by_hop,
        hop_by_hop=hop_by_hop,
        telephone=telephone,
    )


def without_feed(trial: TrialFigures, scenario: Scenario, *, digest: str) -> TrialFigures:
    """The trial as it is when nobody feeds: its arm hop by hop has none in any case."""
    assert not scenario.feed, "it is another trial"
    return msgspec.structs.replace(
        trial,
        scenario=scenario.name,
        says=scenario.says,
        figures=digest,
        feed=False,
        centre=trial.hop_by_hop,
    )


def digest_of(parameters: Parameters, scenario: Scenario) -> str:
    """Which figures a trial rests on: two trials of one digest and seed are the same."""
    changes = (scenario.coverage, scenario.load, scenario.crypto_delay_s)
    people = (scenario.heeding, scenario.resuming)
    what = (nation_of(parameters, scenario), changes, people, scenario.rule, scenario.feed)
    return hashlib.sha256(msgspec.json.encode(what)).hexdigest()[:16]
