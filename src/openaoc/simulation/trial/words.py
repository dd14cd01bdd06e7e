"""Simulation, trials: how the page writes shares, amounts, times and tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from openaoc.simulation.trial.measures import Spread

MINUTE_S: Final = 60.0
HOUR_S: Final = 3_600.0
MILLION: Final = 1e6
WHOLE_PERCENT_FROM: Final = 0.1
"""A share below this is shown with one digit."""


def percent(share: float) -> str:
    """A share for reading; one digit below ten."""
    digits = 0 if share >= WHOLE_PERCENT_FROM or share == 0 else 1
    return f"{100 * share:.{digits}f} %"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def whole(value: float) -> str:
    """A count for reading."""
    return f"{value:,.0f}"


def spread(found: Spread, show: Callable[[float], str]) -> str:
    """All seeds together; then the median of single seeds, the least and the most."""
    if found.least == found.most:
        return f"**{show(found.pooled)}**"
    rest = f"{show(found.median)} ({show(found.least)} to {show(found.most)})"
    return f"**{show(found.pooled)}** · {rest}"


def millions(value: float) -> str:
    """Large numbers in millions."""
    return f"{value / MILLION:,.0f} m" if value >= 10 * MILLION else f"{value / MILLION:,.1f} m"


def duration(seconds: float | None) -> str:
    """Seconds, minutes or hours, whichever reads best."""
    if seconds is None:
        return "-"
    if seconds < 2 * MINUTE_S:
        return f"{seconds:.1f} s"
    if seconds < 2 * HOUR_S:
        return f"{seconds / MINUTE_S:.0f} min"
    return f"{seconds / HOUR_S:.1f} h"
