"""Channels: when is the next attempt? Exponential backoff with full jitter.

Full jitter after M. Brooker, "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015): the
delay is uniform between nothing and the bound, so that retries of many centres spread out.
"""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Final

from openaoc.channels.model import BACKOFF_FIRST, BACKOFF_MAX

_DOUBLINGS_MAX: Final = 32


def backoff_bound(failures: int) -> timedelta:
    """The longest delay after so many failures in a row (≥ 1): doubles up to BACKOFF_MAX."""
    assert failures >= 1, "nothing has failed"
    doublings = min(failures - 1, _DOUBLINGS_MAX)
    bound: timedelta = BACKOFF_FIRST * (1 << doublings)
    return min(bound, BACKOFF_MAX)


def backoff(failures: int, *, random: Random) -> timedelta:
    """The delay before the next attempt."""
    return backoff_bound(failures) * random.random()
