"""Simulation, trials: what a trial of two countries says, as wire types."""

from __future__ import annotations

import msgspec

from openaoc.simulation.trial.model import ArmFigures


class CrossFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What went to and fro, of one country. Amounts in minor units.

    crossed, arrived: stolen money that left for next door, and that came from there. held_there:
    of what was asked about, the most that was held next door at one time, request by request.
    cases_here: opened on the neighbour's word. warned: accounts of which payers' banks here warn;
    warned_innocent: of them, accounts of this country whose holder is no mule.
    """

    crossed_minor: int
    arrived_minor: int
    requests: int = 0
    answered: int = 0
    asked_minor: int = 0
    held_there_minor: int = 0
    cases_here: int = 0
    warned: int = 0
    warned_innocent: int = 0


class CountryFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One country in one arm."""

    country: str
    figures: ArmFigures
    cross: CrossFigures


class PairTrial(msgspec.Struct, frozen=True, kw_only=True):
    """Two countries, one scenario and seed, in three lives; both countries of each.

    exchange: two centres that work together. alone: the same two without. telephone: banks that
    call each other, across the border too.
    """

    scenario: str
    says: str
    figures: str
    """Digest of every figure the trial rests on."""
    seed: int
    heeding: float
    exchange: list[CountryFigures]
    alone: list[CountryFigures]
    telephone: list[CountryFigures]
