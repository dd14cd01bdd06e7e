"""Channels: which institution is served when? A bounded pool, one run per institution at a time.

The outbox table alone says what is due: a wake-up after a commit only saves the wait for the next
sweep, and after a crash the sweep finds everything.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import structlog

from openaoc.kernel.errors import OpenAOCError
from openaoc.storage.outage import Outage

log = structlog.get_logger("openaoc.channels")

DELIVERY_THREADS: Final = 24
REST_SECONDS: Final = 0.2
"""Between two runs for one institution: what is enqueued meanwhile goes out together."""
RESTS_PER_RUN: Final = 4.0
"""It rests so many times longer than a run took: a busy centre sends fewer and larger batches."""
REST_SECONDS_MAX: Final = 1.0
SWEEP_SECONDS: Final = 0.5
STOP_SECONDS_MAX: Final = 20.0


class Dispatcher:
    """Runs `deliver(institution)` when woken and `sweep()` regularly.

    `deliver` returns whether there may be more at once; `sweep` returns the institutions that
    have something due.
    """

    def __init__(self, *, deliver: Callable[[str], bool], sweep: Callable[[], list[str]]) -> None:
        self._deliver = deliver
        self._sweep = sweep
        self._lock = threading.Lock()
        self._running: set[str] = set()
        self._again: set[str] = set()
        self._stopping = threading.Event()
        self._pool: ThreadPoolExecutor | None = None
        self._sweeper: threading.Thread | None = None
        self._outage = Outage("channels.dispatcher")

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop: a run sends what it has begun, and no more."""
        return self._stopping.is_set()

    def start(self) -> None:
        """Begin to serve."""
        self._stopping.clear()
        self._pool = ThreadPoolExecutor(DELIVERY_THREADS, thread_name_prefix="deliver")
        self._sweeper = threading.Thread(target=self._sweep_on, name="deliver-sweep", daemon=True)
        self._sweeper.start()

    def stop(self) -> None:
        """Finish the runs under way and stop; what is not sent stays in the outbox."""
        self._stopping.set()
        if self._sweeper is not None:
            self._sweeper.join(STOP_SECONDS_MAX)
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
        with self._lock:
            self._pool = None
            self._running.clear()
            self._again.clear()

    def wake(self, institution: str) -> None:
        """Something is due for the institution. Never waits and never fails."""
        with self._lock:
            if self._pool is None or self._stopping.is_set():
                return
            if institution in self._running:
                self._again.add(institution)
                return
            self._running.add(institution)
            pool = self._pool
        try:
            pool.submit(self._serve, institution)
        except RuntimeError:
            with self._lock:
                self._running.discard(institution)
            log.info("wake_while_stopping", institution=institution)

    def _serve(self, institution: str) -> None:
        """Run until nothing is due and nobody woke us meanwhile."""
        more = True
        while more and not self._stopping.is_set():
            with self._lock:
                self._again.discard(institution)
            began = time.monotonic()
            try:
                more = self._deliver(institution)
            except Exception as error:
                if not self._outage.went(error):
                    log.exception("delivery_failed", institution=institution, error=_named(error))
                more = False
            with self._lock:
                if not more and institution not in self._again:
                    self._running.discard(institution)
                    return
                more = True
            rest = RESTS_PER_RUN * (time.monotonic() - began)
            self._stopping.wait(min(max(rest, REST_SECONDS), REST_SECONDS_MAX))
        with self._lock:
            self._running.discard(institution)

    def _sweep_on(self) -> None:
        while not self._stopping.wait(SWEEP_SECONDS):
            try:
                for institution in self._sweep():
                    self.wake(institution)
            except Exception as error:
                if not self._outage.went(error):
                    log.exception("sweep_failed", error=_named(error))
            else:
                self._outage.back()


def _named(error: Exception) -> str:
    """What may be logged of an error: our own text, of others only the kind."""
    return str(error)[:200] if isinstance(error, OpenAOCError) else type(error).__name__
