"""Continuity: time does not go back over a restart, and a clock that was set away is told of.

Sets no clock. What is on disk knows the newest moment there was; a start is not before it.
"""

from __future__ import annotations

from typing import Final

import structlog

from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.clock import Clock, SteadyClock, format_time
from openaoc.storage.centre_state import keep_moment, latest_moment
from openaoc.storage.ticker import Ticker
from openaoc.storage.unit_of_work import UnitOfWork

EVERY_S: Final = 20.0
_LOG = structlog.get_logger(__name__)


class TimeKeeper:
    """Keeps the newest moment in the database; one instance per centre."""

    def __init__(self, *, uow: UnitOfWork, clock: Clock) -> None:
        self._uow, self._clock = uow, clock
        self._told = False
        self._ticker = Ticker("timekeeper", self.keep, every_s=EVERY_S)

    def begin(self) -> None:
        """Before anything is dated: not before what is on disk."""
        with self._uow.read(SYSTEM, purpose="look at the newest moment") as tx:
            latest = latest_moment(tx.connection)
        if latest is not None and isinstance(self._clock, SteadyClock):
            if latest > self._clock.now():
                _LOG.error("continuity.clock.behind", newest=format_time(latest))
            self._clock.not_before(latest)

    def start(self) -> None:
        """Begin to keep it."""
        self._ticker.start()

    def stop(self) -> None:
        """End after the one at hand."""
        self._ticker.stop()

    def keep(self) -> None:
        """Keep the moment, and say when the clock was set away or came back."""
        with self._uow.begin(SYSTEM, purpose="keep the newest moment") as tx:
            keep_moment(tx)
        off = self.off_s()
        if bool(off) != self._told:
            self._told = bool(off)
            if off:
                _LOG.error("continuity.clock.set_away", seconds=off)
            else:
                _LOG.info("continuity.clock.back")

    def off_s(self) -> int:
        """Seconds by which the machine's clock is away from the one that counts; mostly 0."""
        return int(self._clock.step.total_seconds()) if isinstance(self._clock, SteadyClock) else 0
