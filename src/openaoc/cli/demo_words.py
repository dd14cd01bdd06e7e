"""CLI: how the demonstration writes amounts and times."""

from __future__ import annotations

from typing import Final

from openaoc.kernel.money import exponents
from openaoc.statistics.model import Spread

MILLION: Final = 1_000_000


def money(amount_minor: int, currency: str = "THB") -> str:
    """Millions with two decimals from a million on, else whole units."""
    units = amount_minor // 10 ** exponents().get(currency, 2)
    return f"{units / MILLION:,.2f} m" if abs(units) >= MILLION else f"{units:,}"


def seconds(spread: Spread | None) -> str:
    """`p50 0.41 s, p95 3.2 s`, or a dash."""
    if spread is None:
        return "-"
    return f"p50 {spread.p50_s:.2f} s  p95 {spread.p95_s:.2f} s"
