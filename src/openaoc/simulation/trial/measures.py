"""Simulation, trials: from single trials to shares with their spread.

Pure. A share of all seeds together weighs every baht alike; the spread is over seeds.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeVar

from openaoc.simulation.trial.model import ArmFigures, LayerTimes, TrialFigures

T = TypeVar("T")


class Spread(NamedTuple):
    """One figure divided by another over several seeds: all together, and seed by seed."""

    pooled: float
    median: float
    least: float
    most: float
    each: tuple[float, ...]


class OfScenario(NamedTuple):
    """One scenario and arm over all seeds; held, averted, returned over the loss attempted."""

    seeds: int
    cases: int
    held: Spread
    averted: Spread
    returned: Spread
    returned_clean: Spread
    """What victims were paid out of money that was not stolen."""
    standing: Spread
    """Stolen money that is still under a court's measure at the end."""
    innocents: Spread
    """Per 1,000 cases, as the next two."""
    innocents_felt: Spread
    innocent_baht_hours: Spread
    orders: Spread
    """Per case."""


ARMS: Final = {
    "centre": "centre",
    "hop by hop": "hop_by_hop",
    "telephone": "telephone",
}
"""What each arm is called, and its name among a trial's figures."""


def arms(trials: Sequence[TrialFigures], name: str, arm: str) -> list[ArmFigures]:
    """One arm of every trial of a scenario, by seed."""
    own = sorted((t for t in trials if t.scenario == name), key=lambda t: t.seed)
    found: list[ArmFigures] = [getattr(trial, ARMS[arm]) for trial in own]
    return found


def ratio(figures: Sequence[T], above: Callable[[T], float], below: Callable[[T], float]) -> Spread:
    """One figure over another; all seeds together weigh every baht, or every case, alike."""
    each = tuple(above(one) / max(below(one), 1) for one in figures)
    return Spread(
        pooled=sum(map(above, figures)) / max(sum(map(below, figures)), 1),
        median=statistics.median(each),
        least=min(each),
        most=max(each),
        each=each,
    )


def of_scenario(trials: Sequence[TrialFigures], name: str, arm: str) -> OfScenario:
    """What one scenario comes to in one arm."""
    figures = arms(trials, name, arm)

    def of_loss(amount: Callable[[ArmFigures], float]) -> Spread:
        return ratio(figures, amount, lambda one: one.attempted_minor)

    def of_cases(count: Callable[[ArmFigures], float], per: float) -> Spread:
        return ratio(figures, lambda one: per * count(one), lambda one: one.reports)

    return OfScenario(
        seeds=len(figures),
        cases=sum(one.reports for one in figures),
        held=of_loss(lambda one: one.held_minor),
        averted=of_loss(lambda one: one.averted_minor),
        returned=of_loss(lambda one: one.returned_minor),
        returned_clean=of_loss(lambda one: one.returned_clean_minor),
        standing=of_loss(lambda one: one.standing_minor),
        innocents=of_cases(lambda one: one.innocents, 1_000.0),
        innocents_felt=of_cases(lambda one: one.innocents_felt, 1_000.0),
        innocent_baht_hours=of_cases(lambda one: one.innocent_baht_hours, 1_000.0),
        orders=of_cases(lambda one: one.orders, 1.0),
    )


def blocked_for(one: ArmFigures, reason: str) -> int:
    """Clean money blocked for one reason, in minor units."""
    return sum(item.blocked_minor for item in one.clean if item.reason == reason)


def hours_for(one: ArmFigures, reason: str) -> float:
    """Baht-hours of clean money for one reason; of stolen money for `stolen`."""
    if reason == "stolen":
        return one.stolen_baht_hours
    return sum(item.baht_hours for item in one.clean if item.reason == reason)


def times_of(figures: Sequence[ArmFigures], wave: str, layer: int) -> list[LayerTimes]:
    """Every seed's times of one wave and layer."""
    return [
        times
        for one in figures
        for times in one.times
        if (times.wave, times.layer) == (wave, layer)
    ]


def middle(values: Sequence[float | None]) -> float | None:
    """The median of what is known; None of nothing."""
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None
