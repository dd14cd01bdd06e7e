"""Simulation, trials: one scenario and one seed, both arms."""

from __future__ import annotations

import hashlib

import msgspec

from openaoc.kernel.clock import ManualClock
from openaoc.simulation.parameters import Parameters
from openaoc.simulation.trial.centre import CentreArm, OpenWith
from openaoc.simulation.trial.life import BORN, Life, nation_of
from openaoc.simulation.trial.model import ArmFigures, TrialFigures
from openaoc.simulation.trial.scenario import Scenario
from openaoc.simulation.trial.stage import Stage
from openaoc.simulation.trial.telephone import TelephoneArm


def run_trial(
    parameters: Parameters, scenario: Scenario, *, seed: int, stage: Stage, open_with: OpenWith
) -> TrialFigures:
    """Both arms of one scenario and seed; the same each time."""
    telephone_life = Life(parameters, scenario, seed=seed)
    telephone = TelephoneArm(telephone_life, scenario, seed=seed).run()
    nation = telephone_life.parameters
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
        rule=scenario.rule,
        centre=_with_centre(parameters, scenario, seed=seed, stage=stage, open_with=open_with),
        telephone=telephone,
    )


def digest_of(parameters: Parameters, scenario: Scenario) -> str:
    """Which figures a trial rests on: two trials of one digest and seed are the same."""
    changes = (scenario.coverage, scenario.load, scenario.crypto_delay_s, scenario.heeding)
    text = msgspec.json.encode((nation_of(parameters, scenario), changes, scenario.rule))
    return hashlib.sha256(text).hexdigest()[:16]


def _with_centre(
    parameters: Parameters, scenario: Scenario, *, seed: int, stage: Stage, open_with: OpenWith
) -> ArmFigures:
    clock = ManualClock(BORN)
    life = Life(parameters, scenario, seed=seed)
    with stage.fresh(rule=scenario.rule) as settings, open_with(settings, clock) as centre:
        return CentreArm(life, scenario, seed=seed, centre=centre, clock=clock).run()
