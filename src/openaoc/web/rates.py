"""Web: how often may somebody unknown ask? Token buckets by name and client address, in memory.

Bounded: the least recently seen address is forgotten first.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import msgspec

from openaoc.kernel.errors import Busy

ADDRESSES_MAX: Final = 50_000
_SECONDS_PER_MINUTE: Final = 60.0


class RateLimited(Busy):
    """Too many requests from here; try again later."""


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """A named limit: so many a minute on average, `burst` at once."""

    name: str
    per_minute: int
    burst: int


CASES_FOLLOWED: Final = Rate(name="cases followed", per_minute=30, burst=30)
"""A victim looks now and then; a case's secret of 80 bits cannot be guessed at this rate."""
CONTESTS: Final = Rate(name="contests of holds", per_minute=10, burst=10)
"""Nobody contests ten holds a minute from one address, and no code can be guessed at it."""
ORDER_CHECKS: Final = Rate(name="checks of orders", per_minute=30, burst=30)
"""A bank's desk checks what was read to it; a code of 40 bits cannot be guessed at this rate."""


class RateLimits:
    """The buckets. One instance per application; thread-safe."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._buckets: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()

    def take(self, rate: Rate, address: str) -> None:
        """Count one request. Raises RateLimited when the address has used up the rate."""
        if not self._spent(rate, address, 1.0):
            raise _limited(rate)

    def check(self, rate: Rate, address: str) -> None:
        """Count nothing. Raises RateLimited when the address has used up the rate."""
        if not self._spent(rate, address, 0.0):
            raise _limited(rate)

    def charge(self, rate: Rate, address: str, times: int) -> None:
        """Count what was answered already; more than was left is waited for before the next."""
        self._spent(rate, address, float(times), owing=True)

    def _spent(self, rate: Rate, address: str, count: float, *, owing: bool = False) -> bool:
        """Whether one more was left; `count` of them are spent then, or anyway when owing."""
        now, key = self._monotonic(), (rate.name, address)
        with self._lock:
            tokens, seen = self._buckets.pop(key, (float(rate.burst), now))
            tokens += (now - seen) * rate.per_minute / _SECONDS_PER_MINUTE
            tokens = min(tokens, float(rate.burst))
            allowed = tokens >= 1.0
            self._buckets[key] = (tokens - count if allowed or owing else tokens, now)
            while len(self._buckets) > ADDRESSES_MAX:
                self._buckets.popitem(last=False)
        return allowed


def _limited(rate: Rate) -> RateLimited:
    return RateLimited(f"at most {rate.per_minute} a minute: {rate.name}")
