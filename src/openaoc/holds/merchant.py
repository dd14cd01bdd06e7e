"""Holds: whether the holder looks like honest commerce.

Pure; errs towards innocence, because a wrong "innocent" costs an amount and a wrong "mule" costs
a person. Returns its reasons; never decides that anybody is guilty.
"""

from __future__ import annotations

from typing import Final

import msgspec

PAYERS_MIN: Final = 12
"""Different payers before the money came; a mule serves several victims over days, not dozens."""
DAYS_MIN: Final = 5
"""Days with incoming payments before the money came."""
TOP_PAYER_SHARE_MAX: Final = 0.5
REPEAT_OUT_MIN: Final = 2
"""Outgoing payments to creditors paid before: suppliers and wages, not an emptying."""
EMPTIED_SHARE_MAX: Final = 0.5
"""Share of inflows followed within minutes by an outflow of about their size."""
STEADY_SHARE_MAX: Final = 0.6
"""No single day may carry more than this share of the incoming payments."""


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    """What an account did before the money came, in numbers."""

    payers: int
    inflows: int
    days: int
    top_payer_share: float
    top_day_share: float
    repeat_outflows: int
    emptied_share: float


NO_TRADE: Final = Trade(
    payers=0,
    inflows=0,
    days=0,
    top_payer_share=1.0,
    top_day_share=1.0,
    repeat_outflows=0,
    emptied_share=0.0,
)


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Likely innocent or not, with the reasons for and against."""

    likely_innocent: bool
    why: tuple[str, ...]


def judge(trade: Trade) -> Verdict:
    """Likely innocent: many unrelated payers, steady trade before, and no emptying.

    Wages or goods going out (repeated creditors) may stand in for a longer history.
    """
    many = trade.payers >= PAYERS_MIN and trade.top_payer_share <= TOP_PAYER_SHARE_MAX
    steady = trade.days >= DAYS_MIN and trade.top_day_share <= STEADY_SHARE_MAX
    spends = trade.repeat_outflows >= REPEAT_OUT_MIN
    emptied = trade.emptied_share > EMPTIED_SHARE_MAX
    why = (
        f"{trade.payers} different payers before the money came",
        f"incoming payments on {trade.days} days before",
        f"{trade.repeat_outflows} payments to creditors paid before (wages, goods)",
        f"{trade.emptied_share:.0%} of inflows passed on within minutes",
    )
    innocent = many and not emptied and (steady or (spends and trade.days > 1))
    return Verdict(likely_innocent=innocent, why=why)
