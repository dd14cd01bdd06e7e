"""Simulation, exercises: follows every movement of stolen money with its layer. Decides nothing."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Final

import numpy as np

from openaoc.simulation.books import Books
from openaoc.simulation.crossings import crossed
from openaoc.simulation.exercise.model import Movement, Origin, Way
from openaoc.simulation.feed import arrival_id, transfer_id
from openaoc.simulation.neighbour import NUMBERS_FROM, is_abroad, scam_there
from openaoc.simulation.population import Population
from openaoc.simulation.scams import Scam, Step
from openaoc.simulation.trial.tally import HELD, Cause, Tally
from openaoc.simulation.truth import Truth
from openaoc.simulation.world import VICTIM, Move, Tick

NOBODY: Final = -1
"""In place of an account of this country."""
SCAMS_KEPT: Final = 4_096
StepsOf = Callable[[int, int], list[Step]]


class Watch:
    """One country's movements, in the order in which they happened."""

    def __init__(
        self,
        population: Population,
        *,
        country: str,
        next_door: str,
        scam: Callable[[int], Scam],
        steps: StepsOf,
    ) -> None:
        """`steps`: of a scam's payment; `scam`: one of this country's own."""
        self.movements: list[Movement] = []
        self.crossed: dict[str, int] = {}
        """By reference of a payment that crossed: the layer in which it comes there."""
        self._population = population
        self._country = country
        self._next_door = next_door
        self._is_false = functools.lru_cache(maxsize=SCAMS_KEPT)(lambda n: scam(n).false)
        self._steps = steps
        self._layers: dict[tuple[int, int, int], int] = {}
        self._numbers: dict[int, int] = {}

    def layer_there(self, number: int) -> int:
        """The layer in which this money, known by its number, comes next door."""
        return self._numbers[number]

    def saw(self, tick: Tick, *, across: Callable[[int], int]) -> None:
        """Note what moved; `across`: the layer in which money from next door comes here."""
        arrived = {arrival.number: arrival for _, arrival in tick.arrived}
        for move in tick.moves:
            if not move.amount_minor:
                continue
            if move.scam in arrived and move.step == VICTIM:
                creditor = arrived[move.scam].creditor
                name = arrival_id(move.scam)
                self._note(move, across(move.scam) - 1, NOBODY, creditor, Way.ON, name)
            elif move.scam >= NUMBERS_FROM or not self._is_false(move.scam):
                self._moved(tick, move)
        for move, arrival in crossed(tick, self._population, country=self._country):
            layer = self._layers[move.scam, move.payment, move.step]
            self._numbers[arrival.number] = self.crossed[arrival.reference] = layer

    def _moved(self, tick: Tick, move: Move) -> None:
        row = move.transfer - tick.first_transfer
        debtor, creditor = int(tick.rows.debtor[row]), int(tick.rows.creditor[row])
        layer, way = 0, Way.ON
        if move.step != VICTIM:
            step = self._steps(move.scam, move.payment)[move.step]
            layer = self._layers[move.scam, move.payment, step.parent]
            way = Way.GONE if step.gone else Way.ON
        if is_abroad(creditor):
            way, creditor = Way.CROSSED, NOBODY
        elif creditor < 0:
            way = Way.GONE
        self._note(move, layer, debtor, creditor, way, transfer_id(move.transfer))

    def _note(
        self, move: Move, layer: int, debtor: int, creditor: int, way: Way, transfer: str
    ) -> None:
        self._layers[move.scam, move.payment, move.step] = layer + 1
        self.movements.append(
            Movement(
                origin=self._origin(move.scam),
                layer=layer,
                at_s=move.at_s,
                amount_minor=move.amount_minor,
                debtor=debtor,
                creditor=creditor,
                way=way,
                transfer_id=transfer,
            )
        )

    def _origin(self, scam: int) -> Origin:
        if scam >= NUMBERS_FROM:
            return self._next_door, scam_there(scam)
        return self._country, scam


class AccountTally(Tally):
    """As every trial's, and by account what counts as held."""

    def __init__(self, population: Population, books: Books, truth: Truth) -> None:
        super().__init__(population, books, truth)
        self.held_minor = np.zeros(population.size, np.int64)
        self._before = np.zeros(population.size, np.int64)

    def note(self, cause: Cause) -> int:
        """As every trial's; the changes of accounts add up to what it counts."""
        now = np.minimum(self._books.blocked, self._truth.scam)
        if cause in HELD:
            self.held_minor += now - self._before
        self._before = now
        return super().note(cause)
