"""Time: aware UTC everywhere, microseconds inside the ledger.

A clock is passed in, never read from the air.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

from openaoc.kernel.errors import BadInput

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
_RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ](?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?"
    r"([Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)?",
    re.ASCII,
)

CLOCK_STEP_MAX = timedelta(minutes=5)
"""The machine's clock may be set by so much without a doubt."""


def _elapsed_s() -> float:
    """Seconds that nobody can set; a machine's sleep counts where the system tells of it."""
    number = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(number)


class Clock(Protocol):
    """Tells the time; the simulator and the tests bring their own."""

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        return datetime.now(UTC)


class SteadyClock:
    """The machine's clock, as long as it can be believed.

    Compared with the time since the start, which nobody sets: a small step back makes time stand
    still until the clock has caught up, a small step forward is followed. A large step either way
    is not: holds would end early, or never. Time then goes on by itself, `step` says so, and the
    machine's clock is believed again when it comes back, or after a restart.
    """

    def __init__(
        self,
        *,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
        elapsed_s: Callable[[], float] = _elapsed_s,
    ) -> None:
        self._wall, self._elapsed_s = wall, elapsed_s
        self._lock = threading.Lock()
        self._anchor, self._anchor_s = wall(), elapsed_s()
        self._latest = self._anchor
        self.step = timedelta(0)
        """How far the machine's clock is from the one kept here; zero while it is believed."""

    def now(self) -> datetime:
        """The present moment, aware, in UTC; never before one that was given earlier."""
        with self._lock:
            wall, elapsed = self._wall(), self._elapsed_s()
            expected = self._anchor + timedelta(seconds=elapsed - self._anchor_s)
            if abs(wall - expected) <= CLOCK_STEP_MAX:
                self._anchor, self._anchor_s, self.step = wall, elapsed, timedelta(0)
                moment = wall
            else:
                self.step = wall - expected
                moment = expected
            self._latest = max(self._latest, moment)
            return self._latest

    def not_before(self, moment: datetime) -> None:
        """What is on disk already knows this moment: a clock that is behind it is not believed."""
        with self._lock:
            if moment > self._latest:
                self._anchor, self._anchor_s, self._latest = moment, self._elapsed_s(), moment


class ManualClock:
    """A clock that moves only when told to: tests and simulations."""

    def __init__(self, start: datetime) -> None:
        self._now = start.astimezone(UTC)
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """The moment the clock was last set to."""
        with self._lock:
            return self._now

    def advance(self, step: timedelta) -> datetime:
        """Move forward by `step` and return the new moment."""
        with self._lock:
            self._now += step
            return self._now


def to_us(moment: datetime) -> int:
    """Microseconds since 1970-01-01T00:00:00Z; `moment` must be aware."""
    assert moment.tzinfo is not None, "naive time inside the program"
    return (moment - EPOCH) // MICROSECOND


def from_us(us: int) -> datetime:
    """The aware UTC moment of `us` microseconds since the epoch."""
    return EPOCH + timedelta(microseconds=us)


def format_time(moment: datetime) -> str:
    """RFC 3339 in UTC with `Z`, with microseconds only where there are any."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def parse_time(text: str, *, where: str = "", assume_utc: bool = False) -> datetime:
    """An aware UTC moment from RFC 3339 text; digits past the microsecond are cut.

    Raises BadInput for anything else, and for a time without a zone unless `assume_utc`.
    """
    match = _RFC3339.fullmatch(text.strip())
    if match is None:
        raise BadInput(f"{text[:40]!r} is not an RFC 3339 time", where=where)
    if match.group(2) is None and not assume_utc:
        raise BadInput(f"{text[:40]!r} has no time zone", where=where)
    try:
        moment = datetime.fromisoformat(text.strip().upper().replace(" ", "T"))
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise BadInput(f"{text[:40]!r} is not a time: {error}", where=where) from error
