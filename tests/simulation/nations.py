"""A small nation to test with, and its parts."""

from __future__ import annotations

from pathlib import Path

import msgspec

from openaoc.kernel.clock import Clock
from openaoc.simulation.books import Books
from openaoc.simulation.nation import Nation
from openaoc.simulation.parameters import Marked, Parameters, load_parameters
from openaoc.simulation.population import Population, make_population
from openaoc.simulation.scams import Scams
from openaoc.simulation.truth import Truth
from openaoc.simulation.world import World

ACCOUNTS = 4_000
SEED = 7


def stamp(simulated_s: float) -> int:
    """One simulated second is one second on the wall."""
    return int(simulated_s * 1e6)


def small(**changes: float) -> Parameters:
    """The shipped parameters with a short history and few transfers; `changes` are of nation."""
    parameters = load_parameters()
    values = {
        "history_s": 86_400.0,
        "history_transfers": 8_000,
        "past_transfers": 5_000,
        "transfers_per_second": 100.0,
    }
    values.update(changes)
    replaced = {
        name: Marked(value=type(getattr(parameters.nation, name).value)(value), mark="size")
        for name, value in values.items()
    }
    nation = msgspec.structs.replace(parameters.nation, **replaced)
    return msgspec.structs.replace(parameters, nation=nation)


def people(seed: int = SEED) -> Population:
    """The small nation's accounts."""
    return make_population(load_parameters(), accounts=ACCOUNTS, seed=seed)


def world(seed: int = SEED) -> World:
    """A world at its birth."""
    population = people(seed)
    scams = Scams(load_parameters(), population, seed=seed)
    books, truth = Books(population.opening_minor), Truth(population.size)
    return World(population, scams, books, truth, seed=seed)


def open_nation(folder: Path, clock: Clock, *, seed: int = SEED, speed: float = 60.0) -> Nation:
    """The small nation, founded or opened again."""
    return Nation(small(), folder=folder, accounts=ACCOUNTS, seed=seed, speed=speed, clock=clock)
