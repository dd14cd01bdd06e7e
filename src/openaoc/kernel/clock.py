"""Time: aware UTC everywhere, microseconds inside the ledger.

A clock is passed in, never read from the air.
"""

from __future__ import annotations

import re
import threading
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
