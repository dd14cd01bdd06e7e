"""The database is away: said once when it goes and once when it is back, not at every look.

For threads that look again anyway. Never hides another fault: those are for the caller to log.
"""

from __future__ import annotations

import threading

import structlog

from openaoc.storage.errors import DatabaseDown

_LOG = structlog.get_logger(__name__)


class Outage:
    """What one thread, or several that do the same work, know of the database's absence."""

    def __init__(self, work: str) -> None:
        """`work` names in the log what stands still meanwhile."""
        self._work = work
        self._away = False
        self._lock = threading.Lock()

    def went(self, error: Exception) -> bool:
        """Whether the error is the database's absence; logged at the first since `back`."""
        if not isinstance(error, DatabaseDown):
            return False
        with self._lock:
            first, self._away = not self._away, True
        if first:
            _LOG.warning("storage.database.away", work=self._work)
        return True

    def back(self) -> None:
        """The work went well; logged when the database had been away."""
        if not self._away:
            return
        with self._lock:
            ended, self._away = self._away, False
        if ended:
            _LOG.warning("storage.database.back", work=self._work)
