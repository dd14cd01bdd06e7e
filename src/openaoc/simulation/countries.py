"""Simulation: two countries side by side: what they have with each other, and each one's figures.

Reads two_countries.toml beside the nation's own figures; decides nothing.
"""

from __future__ import annotations

import tomllib
from importlib import resources
from typing import Final

import msgspec

from openaoc.kernel.errors import BadInput
from openaoc.simulation.neighbour import Neighbour
from openaoc.simulation.parameters import (
    SHARES_TOLERANCE,
    Marked,
    Parameters,
    SimulatedInstitution,
    load_parameters,
)
from openaoc.simulation.population import Population

FILE: Final = "two_countries.toml"
SEED_APART: Final = 1_000_003
"""The other country's people follow from another seed."""


class Crossing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much crosses, and how fast."""

    victims_share: Marked[float]
    arrives_mean_s: Marked[float]


class Warned(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a payer's bank does with what centres release to it."""

    heeds_share: Marked[float]
    reads_s: Marked[float]


class Calls(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """By telephone from bank to bank across the border."""

    abroad_s: Marked[list[float]]
    out_of_reach_share: Marked[float]


class Lively(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much ordinary life each nation of a demonstration has."""

    past_transfers: Marked[int]
    history_transfers: Marked[int]
    transfers_per_second: Marked[float]


class TwoCountries(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What two countries have with each other. `institutions`: the other one's."""

    home: str
    abroad: str
    crossing: Crossing
    warning: Warned
    telephone: Calls
    demo: Lively
    institutions: list[SimulatedInstitution]

    @property
    def codes(self) -> tuple[str, str]:
        """Both countries."""
        return self.home, self.abroad

    def parameters(self, country: str, *, of: Parameters | None = None) -> Parameters:
        """The nation's figures of one of them. Raises BadInput for a third."""
        figures = of or load_parameters()
        if country == self.home:
            return figures
        if country != self.abroad:
            raise BadInput(f"{self.home} or {self.abroad}", where="country")
        return msgspec.structs.replace(figures, institutions=self.institutions)

    def for_demo(self, country: str) -> Parameters:
        """As `parameters`, with as much ordinary life as two nations on one machine bear."""
        figures = self.parameters(country)
        nation = msgspec.structs.replace(
            figures.nation,
            past_transfers=self.demo.past_transfers,
            history_transfers=self.demo.history_transfers,
            transfers_per_second=self.demo.transfers_per_second,
        )
        return msgspec.structs.replace(figures, nation=nation)

    def other(self, country: str) -> str:
        """The country next door."""
        return self.abroad if country == self.home else self.home

    def seed(self, country: str, seed: int) -> int:
        """The seed of one of them."""
        return seed if country == self.home else seed + SEED_APART

    def neighbour(self, country: str, population: Population) -> Neighbour:
        """This country with these people, as the other one sees it."""
        return Neighbour(
            country=country,
            population=population,
            victims_share=self.crossing.victims_share.value,
            arrives_mean_s=self.crossing.arrives_mean_s.value,
        )


def two_countries() -> TwoCountries:
    """The figures that are shipped. Raises BadInput for shares that do not add up to one."""
    text = resources.files("openaoc.simulation").joinpath(FILE).read_text("utf-8")
    try:
        found = msgspec.convert(tomllib.loads(text), TwoCountries)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise BadInput(str(error), where=FILE) from error
    if abs(sum(one.share for one in found.institutions) - 1) > SHARES_TOLERANCE:
        raise BadInput("the shares of institutions do not add up to 1", where=FILE)
    return found
