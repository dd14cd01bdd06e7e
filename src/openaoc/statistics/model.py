"""Statistics: the measures the centre publishes about itself, as wire types.

Counts, amounts and times only: no person, no account, no case can be found from them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from openaoc.appeals.model import BlindFigures, ContestFigures
from openaoc.safety.model import BreakerFigures


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds over `count` events; p50 and p95 are nearest-rank percentiles."""

    count: int
    p50_s: float
    p95_s: float


class InstitutionFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How one institution answers: orders issued to it, answered by it, and how fast."""

    code: str
    name: str
    live: bool
    orders: int
    answered: int
    held_minor: int
    answer: Spread | None = None
    """Order issued → answer received, over the window."""


class LiveFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The centre at one moment. Amounts are minor units of `currency`, over all its cases.

    loss = located + exited, as each case's latest trace has it: located is what was found on
    accounts, the held part included; exited is what had left, with the little that no trace
    accounts for. held is what institutions hold now.
    """

    at: datetime
    mode: Literal["live", "shadow"]
    """Shadow: orders are computed and shown, not sent."""
    currency: str
    window_hours: int
    """The times below are of the last so many hours, of orders that went out by themselves."""
    reports: int = 0
    reports_last_hour: int = 0
    cases: int = 0
    orders: int = 0
    orders_by_state: dict[str, int] = {}
    report_to_first_applied: Spread | None = None
    """Report received → the first institution says that it holds."""
    report_to_last_applied: Spread | None = None
    """Report received → the last institution says so, of the orders issued with the report."""
    order_to_answer: Spread | None = None
    """Order issued → answer received, over all institutions."""
    loss_minor: int = 0
    located_minor: int = 0
    held_minor: int = 0
    exited_minor: int = 0
    institutions: list[InstitutionFigures] = []
    contests: ContestFigures = ContestFigures()
    """Holders' contests, over the last `review_days`."""
    blind: BlindFigures = BlindFigures()
    """The rate of wrong holds among uncontested ones, over the last `review_days`."""
    review_days: int = 30
    breakers: BreakerFigures = BreakerFigures()
    """What keeps orders from going out by themselves now."""
