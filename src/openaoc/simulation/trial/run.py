"""Simulation, trials: one scenario and one seed, both arms."""

from __future__ import annotations

import structlog

from openaoc.kernel.clock import ManualClock
from openaoc.simulation.parameters import Parameters
from openaoc.simulation.trial.centre import CentreArm, OpenWith
from openaoc.simulation.trial.life import BORN, Life
from openaoc.simulation.trial.model import ArmFigures, TrialFigures
from openaoc.simulation.trial.scenario import Scenario
from openaoc.simulation.trial.stage import Stage
from openaoc.simulation.trial.telephone import TelephoneArm

_LOG = structlog.get_logger(__name__)


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
        seed=seed,
        accounts=nation.trial.accounts.value,
        scams=telephone_life.scams.count,
        days=nation.trial.days.value,
        at_rest_share=nation.layers.at_rest_share.value,
        coverage=scenario.coverage,
        heeding=scenario.heeding,
        centre=_with_centre(parameters, scenario, seed=seed, stage=stage, open_with=open_with),
        telephone=telephone,
    )


def _with_centre(
    parameters: Parameters, scenario: Scenario, *, seed: int, stage: Stage, open_with: OpenWith
) -> ArmFigures:
    clock = ManualClock(BORN)
    life = Life(parameters, scenario, seed=seed)
    with stage.fresh() as settings, open_with(settings, clock) as centre:
        return CentreArm(life, scenario, seed=seed, centre=centre, clock=clock).run()
