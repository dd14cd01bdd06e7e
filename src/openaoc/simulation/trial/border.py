"""Simulation, trials: the border between two arms: money that crosses, and who is next door."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

from openaoc.simulation.crossings import crossed
from openaoc.simulation.neighbour import arrives_after_s
from openaoc.simulation.trial.arm import Arm
from openaoc.simulation.trial.life import Life
from openaoc.simulation.trial.model import ArmFigures
from openaoc.simulation.world import Tick


class Side(Protocol):
    """An arm that has a neighbour."""

    country: str
    life: Life


One = TypeVar("One", bound=Arm)


class Border(Generic[One]):
    """Two arms of one trial, side by side."""

    def __init__(self, sides: Sequence[One], *, countries: Sequence[str], seed: int) -> None:
        one, other = sides
        self.sides = (one, other)
        self._country = dict(zip(map(id, sides), countries, strict=True))
        self._seed = seed
        for side in sides:
            side.life.world.next_door = self.other(side).life.world.fresh_for

    def other(self, side: One) -> One:
        """The one next door."""
        one, other = self.sides
        return other if side is one else one

    def carry(self, side: One, tick: Tick) -> None:
        """What left one side arrives at the other, some time later."""
        life, world = side.life, self.other(side).life.world
        assert life.neighbour is not None, "money crosses to a neighbour"
        country = self._country[id(side)]
        for move, arrival in crossed(tick, life.population, country=country):
            after_s = arrives_after_s(life.neighbour, arrival.number, seed=self._seed)
            world.arrive(arrival, at_s=move.at_s + after_s)

    def run(self) -> list[ArmFigures]:
        """Both live until the end, moment by moment side by side; the measures of each."""
        until_s = min(side.life.parameters.trial.settled_s.value for side in self.sides)
        while (when_s := min(side.next_s() for side in self.sides)) <= until_s:
            for side in self.sides:
                side.wait(when_s)
            for side in self.sides:
                if side.next_s() <= when_s:
                    side.step(when_s)
        return [side.end() for side in self.sides]
