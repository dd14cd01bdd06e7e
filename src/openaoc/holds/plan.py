"""Holds: from where the money is to which orders go out, go back, and in which order.

Pure. Never asks for more than is tainted, nor for what is returned, pooled, held or ordered.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import msgspec

from openaoc.holds.doubt import Doubt

HORIZON: Final = timedelta(minutes=10)
"""How long an institution takes to act where nothing better is known."""
HALF_LIFE_FIRST: Final = timedelta(minutes=3)
"""Half of the money leaves the first account within this time (published for Thailand)."""
HALF_LIFE_LATER: Final = timedelta(minutes=6)
EXIT_SPEED: Final = 2.0
"""An account that was seen to send money out of the ledger is taken to move twice as fast."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """One account of one case: what rests there and what is asked for already."""

    bank: str
    account: str
    currency: str
    located_minor: int
    """Free money of the case here, as the trace sees it now; what is held is not in it."""
    layer: int
    received_at: datetime
    active_minor: int = 0
    """Drafted and waiting of this case's orders here; what is held is not in it."""
    short_minor: int = 0
    """What the institution said is not there, or a hold that ended gave free: not asked for
    again while it lies there.
    """
    hub: bool = False
    returned: bool = False
    exits_seen: bool = False
    half_life: timedelta | None = None
    """From the account's own past, where there is one."""


class PlannedOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order to write: the amount asked for in addition to what is active."""

    place: Place
    amount_minor: int
    chance: float
    doubt: Doubt


class PlannedCut(msgspec.Struct, frozen=True, kw_only=True):
    """Unanswered orders on a place go down by this much: the money has left."""

    bank: str
    account: str
    excess_minor: int


def chance_to_move(place: Place, *, now: datetime) -> float:
    """The chance that the money moves before the institution acts, from 0 to 1.

    Exponential with a half-life from the account's own past, else by layer; what has rested for
    long is taken to rest on (its age is then its half-life).
    """
    base = place.half_life or (HALF_LIFE_FIRST if place.layer <= 1 else HALF_LIFE_LATER)
    age = max(now - place.received_at, timedelta(0))
    half = max(base, age) / (EXIT_SPEED if place.exits_seen else 1.0)
    return float(1.0 - 2.0 ** -(HORIZON / half))


def plan_place(place: Place, doubt: Doubt, *, now: datetime) -> PlannedOrder | PlannedCut | None:
    """One order per account and institution, or what has to be given back, or nothing.

    A doubt never takes back by itself what was ordered before it; money that has left does.
    """
    allowed = 0 if place.hub or place.returned else place.located_minor
    if place.active_minor > allowed:
        excess = place.active_minor - allowed
        return PlannedCut(bank=place.bank, account=place.account, excess_minor=excess)
    wanted = min(allowed, doubt.amount_minor) - place.active_minor - place.short_minor
    if wanted <= 0:
        return None
    return PlannedOrder(
        place=place, amount_minor=wanted, chance=chance_to_move(place, now=now), doubt=doubt
    )


def ranked(orders: list[PlannedOrder]) -> list[PlannedOrder]:
    """By what is lost by waiting, most first; then by bank and account, so that it is stable."""
    return sorted(orders, key=lambda o: (-o.amount_minor * o.chance, o.place.bank, o.place.account))


def explained_shortfall(*, located_minor: int, active_minor: int, short_minor: int) -> int:
    """What of a shortfall still stands: money the trace has seen leave is no longer missing."""
    return max(min(short_minor, located_minor - active_minor), 0)
