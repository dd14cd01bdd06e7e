"""Simulation, trials: what a trial says, as wire types. Definitions stand in docs/outcome.md."""

from __future__ import annotations

import msgspec


class LayerTimes(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds from the report to the order being sent and applied, in one layer (from 1).

    wave: `at once` for orders that went out by themselves with the report, `confirmed` for those
    that waited until it was believed, `followed` for those that a later movement caused (seconds
    from the order); `hop by hop` and `telephone` for all of those arms.
    """

    wave: str
    layer: int
    orders: int
    sent_p50_s: float | None
    sent_p90_s: float | None
    applied_p50_s: float | None
    applied_p90_s: float | None


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """Holds that ended: by whom, how many times money was given back, after how many hours."""

    by: str
    count: int
    hours_p50: float | None
    hours_p90: float | None
    stolen_minor: int
    """Of what was given back, how much was stolen money."""


class Clean(msgspec.Struct, frozen=True, kw_only=True):
    """Clean money that was blocked, for one reason."""

    reason: str
    blocked_minor: int
    """At the moment it was blocked."""
    baht_hours: float


class ArmFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One arm of a trial. Amounts in minor units.

    attempted = stolen + averted + unpaid. held: stolen money brought under a hold, less what
    slipped or was corrected; standing: of it, under a hold or a court's measure at the end.
    """

    attempted_minor: int
    stolen_minor: int
    averted_minor: int
    unpaid_minor: int
    held_minor: int
    standing_minor: int
    returned_minor: int
    """Stolen money that came back to victims."""
    returned_clean_minor: int
    """What victims were paid beyond that, out of money that was not stolen."""
    blocked_minor: int
    """All that was blocked, stolen or clean, each time at the moment of blocking."""
    stolen_baht_hours: float
    clean: list[Clean]
    reports: int
    false_reports: int
    innocents: int
    """Innocent holders of whose accounts anything was blocked."""
    innocents_clean: int
    """Those of whose own money something was blocked."""
    innocents_felt: int
    """Those of whose own money 1,000 baht or more were blocked at one time."""
    innocents_per_1000: float
    innocent_baht_hours: float
    innocent_baht_hours_per_1000: float
    orders: int
    ended: list[Ended]
    times: list[LayerTimes]


class TrialFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Every arm of one scenario and seed.

    hop_by_hop: a centre without a feed. Where the scenario has no feed, `centre` is the same.
    """

    scenario: str
    says: str
    figures: str
    """Digest of every figure and change the trial rests on."""
    seed: int
    accounts: int
    scams: int
    days: float
    at_rest_share: float
    coverage: float
    heeding: float
    resuming: float
    rule: str
    feed: bool
    centre: ArmFigures
    hop_by_hop: ArmFigures
    telephone: ArmFigures
