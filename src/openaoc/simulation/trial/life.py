"""Simulation, trials: the nation of one arm, lived event by event on a simulated clock.

The same seed and scenario give the same people, victims, payments and plans, whatever an arm does.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Final

import numpy as np

from openaoc.kernel.clock import to_us
from openaoc.simulation.background import CRYPTO
from openaoc.simulation.books import Books
from openaoc.simulation.neighbour import Neighbour
from openaoc.simulation.parameters import Parameters
from openaoc.simulation.population import Population, make_population
from openaoc.simulation.scams import Scam, Scams, Step
from openaoc.simulation.trial.scenario import Scenario, figure
from openaoc.simulation.truth import Truth
from openaoc.simulation.world import Tick, World

BORN: Final = datetime(2026, 1, 19, tzinfo=UTC)
"""The first moment of every trial: a Monday, seven in the morning in Bangkok."""
BORN_US: Final = to_us(BORN)
DAY_S: Final = 86_400.0
PAST_STRETCHES: Final = 10
MOMENT_US: Final = 1_000
"""Ordinary life of one stretch is booked within so many microseconds of its beginning."""


def stamp(simulated_s: float) -> int:
    """Simulated seconds since the first moment, in microseconds since 1970."""
    return BORN_US + int(simulated_s * 1e6)


def nation_of(parameters: Parameters, scenario: Scenario) -> Parameters:
    """The figures of the trial's nation: its own size, and what the scenario changes."""
    changed = scenario.change(parameters)
    size = changed.trial
    changed = figure(changed, "cases", a_day=size.a_day.value)
    return figure(
        changed,
        "mules",
        gangs=size.gangs.value,
        rings=size.rings.value,
        account_share=size.mule_share.value,
    )


def people_of(nation: Parameters, *, seed: int) -> Population:
    """The people of a trial's nation."""
    return make_population(nation, accounts=nation.trial.accounts.value, seed=seed)


class TrialScams(Scams):
    """The scams of a trial: so many, false claims by banks among them, coins delayed."""

    def __init__(
        self,
        parameters: Parameters,
        population: Population,
        scenario: Scenario,
        *,
        seed: int,
        neighbour: Neighbour | None = None,
    ) -> None:
        super().__init__(parameters, population, seed=seed, neighbour=neighbour)
        size = parameters.trial
        self.count = round(size.a_day.value * size.days.value)
        self._delay_s = scenario.crypto_delay_s
        self._believed = parameters.people.false_by_bank_share.value
        self._arrival_seed = seed
        rng = np.random.default_rng([seed, 20])
        self._starts = np.sort(rng.random(self.count)) * size.days.value * DAY_S

    def starts_at(self, number: int) -> float:
        """When the scam's first payment is made; never, past the last one."""
        return float(self._starts[number]) if number < self.count else math.inf

    def scam(self, number: int) -> Scam:
        """Scam number `number`; some false claims go by way of a bank that believes them."""
        scam = super().scam(number)
        if not scam.false:
            return scam
        rng = np.random.default_rng([self._arrival_seed, 21, number])
        return scam._replace(by_bank=bool(rng.random() < self._believed))

    def steps(self, scam: Scam, payment: int) -> list[Step]:
        """As the nation's, with every exit to a coin delayed as the scenario says."""
        steps = super().steps(scam, payment)
        if not self._delay_s:
            return steps
        return [
            step._replace(wait_s=step.wait_s + self._delay_s)
            if step.gone and step.channel == CRYPTO
            else step
            for step in steps
        ]


class Life:
    """Books, truth and world of one arm."""

    def __init__(
        self,
        parameters: Parameters,
        scenario: Scenario,
        *,
        seed: int,
        neighbour: Neighbour | None = None,
    ) -> None:
        self.parameters = nation_of(parameters, scenario)
        self.neighbour = neighbour
        size = self.parameters.trial
        self.population = people_of(self.parameters, seed=seed)
        self.scams = TrialScams(
            self.parameters, self.population, scenario, seed=seed, neighbour=neighbour
        )
        self.books = Books(self.population.opening_minor)
        self.truth = Truth(self.population.size)
        self.world = World(self.population, self.scams, self.books, self.truth, seed=seed)
        self._stretch_s = size.stretch_s.value
        self._stretches = 0
        self._owed = 0.0

    @property
    def past_us(self) -> int:
        """When the ordinary past begins."""
        return BORN_US - int(self.parameters.nation.past_days.value * DAY_S * 1e6)

    def attempted_minor(self) -> int:
        """What the scammers would get of all victims of the trial with nobody in their way."""
        scams = (self.scams.scam(number) for number in range(self.scams.count))
        return sum(p.amount_minor for scam in scams if not scam.false for p in scam.payments)

    def live_past(self) -> list[Tick]:
        """The ordinary days before the first scam."""
        length_us = (BORN_US - self.past_us) // PAST_STRETCHES
        count = self.parameters.trial.past_transfers.value // PAST_STRETCHES
        starts = (self.past_us + place * length_us for place in range(PAST_STRETCHES))
        return [
            self.world.live_past(count=count, from_us=start, to_us=start + length_us)
            for start in starts
        ]

    def next_s(self) -> float:
        """When the next thing happens by itself."""
        return min(self.world.next_s(), self._ordinary_s())

    def _ordinary_s(self) -> float:
        """When the next stretch of ordinary life comes; at the end of the trial's days, never."""
        next_s = self._stretches * self._stretch_s
        return next_s if next_s <= self.parameters.trial.until_s.value else math.inf

    def live(self, to_s: float) -> Tick:
        """What happens at this moment, which is `next_s`, or before it: nothing."""
        if to_s < self._ordinary_s():
            return self.world.live_scams(to_s=to_s, stamp=stamp)
        self._stretches += 1
        self._owed += self.parameters.trial.transfers_a_day.value * self._stretch_s / DAY_S
        count = int(self._owed)
        self._owed -= count
        at_us = stamp(to_s)
        return self.world.live_ordinary(count=count, from_us=at_us, to_us=at_us + MOMENT_US)

    def pay_back(
        self, *, debtor: int, creditor: int, amount_minor: int, at_s: float
    ) -> tuple[Tick, int]:
        """A bank pays a victim back; how much of it was stolen money."""
        return self.world.pay_back(
            debtor=debtor, creditor=creditor, amount_minor=amount_minor, at_s=at_s, stamp=stamp
        )

    def take_out(self, *, account: int, amount_minor: int, at_s: float) -> Tick:
        """The scammers take what has come free of their money."""
        return self.world.take_out(
            account=account, amount_minor=amount_minor, at_s=at_s, stamp=stamp
        )
