"""Simulation, trials: two countries, one scenario and seed, in three lives of both."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

import msgspec

from openaoc.channels.transport import Transport
from openaoc.kernel.clock import ManualClock
from openaoc.kernel.ids import ids_drawn_from
from openaoc.kernel.settings import Settings
from openaoc.simulation.countries import TwoCountries, two_countries
from openaoc.simulation.neighbour import Neighbour
from openaoc.simulation.parameters import Parameters
from openaoc.simulation.trial.actors import OpenCentre
from openaoc.simulation.trial.border import Border
from openaoc.simulation.trial.calls import CallingArm
from openaoc.simulation.trial.life import BORN, Life, nation_of, people_of
from openaoc.simulation.trial.linked import LinkedArm, Wire
from openaoc.simulation.trial.model import ArmFigures
from openaoc.simulation.trial.pair_model import CountryFigures, CrossFigures, PairTrial
from openaoc.simulation.trial.pair_scenario import PairScenario
from openaoc.simulation.trial.scenario import Scenario
from openaoc.simulation.trial.stage import Stage

OpenLinked = Callable[[Settings, ManualClock, Transport], AbstractContextManager[OpenCentre]]


class Pair:
    """Two countries of one scenario and seed, to be lived as often as there are arms."""

    def __init__(self, parameters: Parameters, scenario: PairScenario, *, seed: int) -> None:
        self.countries: TwoCountries = scenario.change_pair(two_countries())
        changed = scenario.change(parameters)
        self.scenario = Scenario(
            name=scenario.name,
            says=scenario.says,
            change=lambda figures: figures,
            heeding=self.countries.warning.heeds_share.value,
        )
        self.seed = seed
        self._figures = {
            code: self.countries.parameters(code, of=changed) for code in self.countries.codes
        }

    def digest(self) -> str:
        """Which figures a trial rests on."""
        what = [nation_of(one, self.scenario) for one in self._figures.values()]
        return hashlib.sha256(msgspec.json.encode([*what, self.countries])).hexdigest()[:16]

    def life(self, country: str) -> Life:
        """One country's nation, not lived yet."""
        return Life(
            self._figures[country],
            self.scenario,
            seed=self.countries.seed(country, self.seed),
            neighbour=self._neighbour(self.countries.other(country)),
        )

    def _neighbour(self, country: str) -> Neighbour:
        nation = nation_of(self._figures[country], self.scenario)
        people = people_of(nation, seed=self.countries.seed(country, self.seed))
        return self.countries.neighbour(country, people)


def run_pair(
    parameters: Parameters,
    scenario: PairScenario,
    *,
    seed: int,
    stage: Stage,
    open_linked: OpenLinked,
) -> PairTrial:
    """Every arm of one scenario and seed; the same each time."""
    pair = Pair(parameters, scenario, seed=seed)
    return PairTrial(
        scenario=scenario.name,
        says=scenario.says,
        figures=pair.digest(),
        seed=seed,
        heeding=pair.scenario.heeding,
        exchange=with_centres(pair, stage=stage, open_linked=open_linked, exchange=True),
        alone=with_centres(pair, stage=stage, open_linked=open_linked, exchange=False),
        telephone=by_telephone(pair),
    )


def by_telephone(pair: Pair) -> list[CountryFigures]:
    """Neither country has a centre."""
    codes = pair.countries.codes
    arms = [
        CallingArm(
            pair.life(code),
            pair.scenario,
            seed=pair.countries.seed(code, pair.seed),
            pair=pair.countries,
        )
        for code in codes
    ]
    border = Border(arms, countries=codes, seed=pair.seed)
    for arm in arms:
        arm.border = border
        arm.begin()
    figures = border.run()
    return [
        _country(
            code,
            one,
            CrossFigures(
                crossed_minor=arm.life.truth.crossed_minor,
                arrived_minor=arm.life.truth.arrived_minor,
            ),
        )
        for code, one, arm in zip(codes, figures, arms, strict=True)
    ]


def with_centres(
    pair: Pair, *, stage: Stage, open_linked: OpenLinked, exchange: bool
) -> list[CountryFigures]:
    """Both countries have a centre."""
    with two_centres(pair, stage=stage, open_linked=open_linked) as border:
        return lived(pair, border, exchange=exchange)


def lived(pair: Pair, border: Border[LinkedArm], *, exchange: bool) -> list[CountryFigures]:
    """Live both until the end, with or without an agreement; the figures of each."""
    source = random.Random(pair.seed)  # noqa: S311 - a simulation's ids
    with ids_drawn_from(source.randbytes):
        for arm in border.sides:
            arm.begin()
        if exchange:
            for arm in border.sides:
                arm.exchange()
        figures = border.run()
        return [
            _country(arm.country, one, arm.cross_figures())
            for arm, one in zip(border.sides, figures, strict=True)
        ]


@contextmanager
def two_centres(
    pair: Pair,
    *,
    stage: Stage,
    open_linked: OpenLinked,
    arm_of: type[LinkedArm] = LinkedArm,
    exercise: bool = False,
) -> Iterator[Border[LinkedArm]]:
    """Two centres side by side, each on a database of its own, with nothing lived or agreed on.

    Whoever lives it decides what the centres agree on, and how far they live. `exercise`: what
    they sign is marked as an exercise's.
    """
    with ExitStack() as stack:
        arms, wires = [], []
        for code in pair.countries.codes:
            clock, wire = ManualClock(BORN), Wire()
            fresh = stack.enter_context(
                stage.fresh(rule=pair.scenario.rule, name=code, seed=pair.seed)
            )
            settings = msgspec.structs.replace(fresh, centre=f"{code}-AOC", exercise=exercise)
            centre = stack.enter_context(open_linked(settings, clock, wire))
            arms.append(
                arm_of(
                    pair.life(code),
                    pair.scenario,
                    seed=pair.countries.seed(code, pair.seed),
                    centre=centre,
                    clock=clock,
                    pair=pair.countries,
                    country=code,
                )
            )
            wires.append(wire)
        border = Border(arms, countries=pair.countries.codes, seed=pair.seed)
        for arm, wire in zip(arms, wires, strict=True):
            arm.border = border
            wire.other = border.other(arm)
        yield border


def _country(country: str, figures: ArmFigures, cross: CrossFigures) -> CountryFigures:
    return CountryFigures(country=country, figures=figures, cross=cross)
