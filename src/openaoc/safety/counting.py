"""Safety: how many orders went out within the last hour, by scope. In memory; no clock of its own.

Exact to the minute over what was added. Bounded: a scope that has been still for an hour is
forgotten.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime
from typing import Final

from openaoc.kernel.clock import to_us

WINDOW_MINUTES: Final = 60
SCOPES_MAX: Final = 100_000
_MINUTE_US: Final = 60_000_000


class HourCounts:
    """Counts by scope in buckets of one minute. Used under its owner's lock."""

    def __init__(self) -> None:
        self._buckets: dict[str, deque[list[int]]] = {}
        self._totals: dict[str, int] = {}

    def count(self, scope: str, *, now: datetime) -> int:
        """What was added for the scope within the last hour."""
        buckets = self._buckets.get(scope)
        if buckets is None:
            return 0
        oldest = to_us(now) // _MINUTE_US - WINDOW_MINUTES
        while buckets and buckets[0][0] <= oldest:
            self._totals[scope] -= buckets.popleft()[1]
        if not buckets:
            self.forget(scope)
            return 0
        return self._totals[scope]

    def add(self, scope: str, amount: int, *, at: datetime) -> None:
        """Add to the scope's present minute; at the limit of scopes the stillest is forgotten."""
        minute = to_us(at) // _MINUTE_US
        buckets = self._buckets.pop(scope, None) or deque()
        if buckets and buckets[-1][0] >= minute:
            buckets[-1][1] += amount
        else:
            buckets.append([minute, amount])
        self._buckets[scope] = buckets
        self._totals[scope] = self._totals.get(scope, 0) + amount
        while len(self._buckets) > SCOPES_MAX:
            self.forget(next(iter(self._buckets)))

    def forget(self, scope: str) -> None:
        """Begin anew with this scope."""
        self._buckets.pop(scope, None)
        self._totals.pop(scope, None)

    def clear(self) -> None:
        """Begin anew with all."""
        self._buckets.clear()
        self._totals.clear()
