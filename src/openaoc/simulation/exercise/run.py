"""Simulation, exercises: two centres in an exercise live one scenario; what comes out, as a sheet.

The same scenario, plan and figures give the same sheet each time.
"""

from __future__ import annotations

from typing import Final

from openaoc.channels.keys import is_of_exercise
from openaoc.simulation.exercise.arm import ExerciseArm
from openaoc.simulation.exercise.model import ExercisePlan, ExerciseSheet
from openaoc.simulation.exercise.sheet import sheet_of
from openaoc.simulation.parameters import Parameters
from openaoc.simulation.trial.life import DAY_S
from openaoc.simulation.trial.pair_model import CountryFigures
from openaoc.simulation.trial.pair_run import OpenLinked, Pair, lived, two_centres
from openaoc.simulation.trial.pair_scenario import PairScenario
from openaoc.simulation.trial.scenario import figure
from openaoc.simulation.trial.stage import Stage

MINUTE_S: Final = 60.0


def planned(parameters: Parameters, plan: ExercisePlan) -> Parameters:
    """The figures as the plan changes them."""
    until_s = min(plan.lived_days * DAY_S, parameters.trial.until_s.value)
    changed = figure(
        parameters,
        "trial",
        days=plan.days,
        until_s=until_s,
        settled_s=plan.lived_days * DAY_S,
    )
    if plan.officer_minutes is None:
        return changed
    return figure(changed, "people", officer_mean_s=plan.officer_minutes * MINUTE_S)


def hold_exercise(
    parameters: Parameters,
    scenario: PairScenario,
    plan: ExercisePlan,
    *,
    stage: Stage,
    open_linked: OpenLinked,
) -> ExerciseSheet:
    """Live it and write the sheet."""
    pair = Pair(planned(parameters, plan), scenario, seed=plan.seed)
    return hold_pair(pair, scenario, plan, stage=stage, open_linked=open_linked)


def hold_pair(
    pair: Pair,
    scenario: PairScenario,
    plan: ExercisePlan,
    *,
    stage: Stage,
    open_linked: OpenLinked,
) -> ExerciseSheet:
    """The sheet of one pair of countries, as they are."""
    with two_centres(
        pair, stage=stage, open_linked=open_linked, arm_of=ExerciseArm, exercise=True
    ) as border:
        for arm in border.sides:
            kids = [key.kid for key in arm.centre.channels.jwks().keys]
            assert all(map(is_of_exercise, kids)), "what an exercise signs is marked"
        figures: list[CountryFigures] = lived(pair, border, exchange=plan.exchange)
        seen = [
            arm.seen(one)
            for arm, one in zip(border.sides, figures, strict=True)
            if isinstance(arm, ExerciseArm)
        ]
        return sheet_of(
            seen,
            plan,
            scenario=scenario.name,
            says=scenario.says,
            figures=pair.digest(),
            currency=border.sides[0].life.population.currency,
        )
