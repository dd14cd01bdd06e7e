"""Simulation, trials: from single trials to shares with their spread.

Pure. A share of all seeds together weighs every baht alike; the spread is over seeds.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import NamedTuple

from openaoc.simulation.trial.model import ArmFigures, LayerTimes, TrialFigures


class Shares(NamedTuple):
    """A share over several seeds."""

    pooled: float
    median: float
    least: float
    most: float
    each: tuple[float, ...]


class OfScenario(NamedTuple):
    """One scenario and arm over all seeds."""

    seeds: int
    cases: int
    held: Shares
    averted: Shares
    returned: Shares
    own: Shares
    """Mules' own money that was blocked, over the loss attempted."""
    innocents_felt: float
    """Per 1,000 cases."""
    innocents: float
    innocent_baht_hours: float
    """Per 1,000 cases."""
    orders: float
    """Per case."""


def arms(trials: Sequence[TrialFigures], name: str, arm: str) -> list[ArmFigures]:
    """One arm of every trial of a scenario, by seed."""
    own = sorted((t for t in trials if t.scenario == name), key=lambda t: t.seed)
    return [trial.centre if arm == "centre" else trial.telephone for trial in own]


def shares(figures: Sequence[ArmFigures], amount: Callable[[ArmFigures], int]) -> Shares:
    """An amount over the loss attempted."""
    each = tuple(amount(one) / one.attempted_minor for one in figures)
    attempted = sum(one.attempted_minor for one in figures)
    return Shares(
        pooled=sum(amount(one) for one in figures) / attempted,
        median=statistics.median(each),
        least=min(each),
        most=max(each),
        each=each,
    )


def of_scenario(trials: Sequence[TrialFigures], name: str, arm: str) -> OfScenario:
    """What one scenario comes to in one arm."""
    figures = arms(trials, name, arm)
    cases = sum(one.reports for one in figures)
    per_1000 = 1_000 / max(cases, 1)
    return OfScenario(
        seeds=len(figures),
        cases=cases,
        held=shares(figures, lambda one: one.held_minor),
        averted=shares(figures, lambda one: one.averted_minor),
        returned=shares(figures, lambda one: one.returned_minor),
        own=shares(figures, lambda one: blocked_for(one, "own")),
        innocents_felt=sum(one.innocents_felt for one in figures) * per_1000,
        innocents=sum(one.innocents for one in figures) * per_1000,
        innocent_baht_hours=sum(one.innocent_baht_hours for one in figures) * per_1000,
        orders=sum(one.orders for one in figures) / max(cases, 1),
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
