"""Stage ledger: when older days leave memory: after a number of days, or when memory gets short.

Answers from which moment on days stay hot; begins the cut beside the running ledger.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import structlog

from openaoc.kernel.clock import to_us
from openaoc.kernel.errors import OpenAOCError
from openaoc.kernel.settings import Settings
from openaoc.ledger.store import Store

FULL_SHARE: Final = 0.8
"""With so many of `ledger_rows_max` in memory the older ones leave …"""
KEPT_SHARE: Final = 0.5
"""… until this share is left."""
DAY: Final = timedelta(days=1)
SAMPLE_ROWS: Final = 1_000_000
AGAIN_AFTER: Final = timedelta(minutes=1)
"""A cut that failed, for want of disk for instance, is tried again after this at soonest."""

_log = structlog.get_logger(__name__)


class Room:
    """Keeps room in one hot ledger."""

    def __init__(self, store: Store, *, settings: Settings, cut: Callable[[int], int]) -> None:
        self._store, self._cut = store, cut
        self._days = settings.ledger_hot_days
        self._busy = threading.Lock()
        self._last: int | None = None
        """The last cut that was made: a day without rows to leave is not cut again and again."""
        self._failed_at: datetime | None = None

    def look(self, now: datetime) -> None:
        """Begin a cut in the background when one is due. Cheap: asked after every batch."""
        if self._failed_at is not None and now < self._failed_at + AGAIN_AFTER:
            return
        before_us = self.due(now)
        if before_us is None or not self._busy.acquire(blocking=False):
            return
        try:
            name, args = "ledger-cut", (before_us, now)
            threading.Thread(target=self._run, args=args, name=name, daemon=True).start()
        except BaseException:
            self._busy.release()
            raise

    def due(self, now: datetime) -> int | None:
        """From which moment on (µs) days stay, when something has to leave; else None."""
        store = self._store
        if store.applied > FULL_SHARE * store.rows_max:
            before_us = self._older_part()
            if before_us > store.hot_from_us:
                return before_us
        if self._days <= 0:
            return None
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        before_us = to_us(midnight - self._days * DAY)
        return before_us if before_us > max(store.hot_from_us, self._last or 0) else None

    def _older_part(self) -> int:
        """The booking time that KEPT_SHARE of `ledger_rows_max` are not older than."""
        store = self._store
        times = store.facts.time_us[: store.applied]
        times = times[:: max(1, times.size // SAMPLE_ROWS)]
        leave = 1 - KEPT_SHARE * store.rows_max / store.applied
        return int(np.quantile(times, leave, method="lower")) + 1

    def _run(self, before_us: int, now: datetime) -> None:
        self._failed_at = now
        try:
            self._cut(before_us)
            self._last, self._failed_at = before_us, None
        except OpenAOCError as error:
            _log.error("ledger.cut.failed", reason=str(error))
        finally:
            self._busy.release()
