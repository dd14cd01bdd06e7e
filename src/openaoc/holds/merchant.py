"""Holds: whether the holder looks like honest commerce.

Pure; errs towards innocence, because a wrong "innocent" costs an amount and a wrong "mule" costs
a person. Returns its reasons; never decides that anybody is guilty.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import msgspec

PAYERS_MIN: Final = 12
"""Different payers before the money came; a mule serves several victims over days, not dozens."""
DAYS_MIN: Final = 5
"""Different days with transfers before the money came."""
REPEAT_OUT_MIN: Final = 2
"""Outgoing payments to payees paid before: suppliers and wages, not an emptying."""
EMPTIED_WITHIN: Final = timedelta(minutes=15)
"""An account whose money usually goes on faster than this passes it through."""
PASSED_ON_SHARE_MIN: Final = 0.9


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    """What an account did before the money came, in numbers."""

    inflows: int
    payers: int
    days: int
    outflows: int
    payees: int
    inflow_minor: int
    outflow_minor: int
    dwell_median: timedelta | None = None
    """The median time from an inflow to the next outflow; None where nothing went out."""


NO_TRADE: Final = Trade(
    inflows=0, payers=0, days=0, outflows=0, payees=0, inflow_minor=0, outflow_minor=0
)


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Likely innocent or not, with the figures it rests on."""

    likely_innocent: bool
    why: tuple[str, ...]


def judge(trade: Trade) -> Verdict:
    """Likely innocent: many unrelated payers, steady trade before, and no passing through.

    Wages or goods going out (payees paid before) stand in for a longer history.
    """
    many = trade.payers >= PAYERS_MIN
    steady = trade.days >= DAYS_MIN
    repeats = max(trade.outflows - trade.payees, 0)
    spends = repeats >= REPEAT_OUT_MIN and trade.days > 1
    passing = passes_through(trade)
    why = [
        f"{trade.payers} different payers before the money came",
        f"transfers on {trade.days} days before",
        f"{repeats} payments to payees paid before (wages, goods)",
    ]
    if passing:
        why.append("its money usually goes on within minutes")
    return Verdict(likely_innocent=many and (steady or spends) and not passing, why=tuple(why))


def passes_through(trade: Trade) -> bool:
    """Whether nearly all that comes goes on within minutes, as through a mule's account."""
    fast = trade.dwell_median is not None and trade.dwell_median <= EMPTIED_WITHIN
    passed_on = trade.outflow_minor >= PASSED_ON_SHARE_MIN * trade.inflow_minor
    return fast and passed_on
