"""Workflow: verbs that the clock wakes: one thread, each verb at its own pace, none in parallel.

What is due stands in the domain tables; a beat that fails is repeated at the next one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import structlog

log = structlog.get_logger("openaoc.workflow")

TICK_SECONDS: Final = 0.25
STOP_SECONDS_MAX: Final = 30.0


class Beat(msgspec.Struct, frozen=True, kw_only=True):
    """A verb and how often it is called, in seconds of the machine's time."""

    name: str
    every_s: float
    call: Callable[[], object]


class Ticker:
    """Calls beats until stopped."""

    def __init__(self, beats: Sequence[Beat]) -> None:
        self._beats = tuple(beats)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin; the first round of every beat is at once."""
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name="ticker", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Finish the beat under way and end."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(STOP_SECONDS_MAX)
            self._thread = None

    def _run(self) -> None:
        due = dict.fromkeys(range(len(self._beats)), 0.0)
        while not self._stopping.is_set():
            for place, beat in enumerate(self._beats):
                if time.monotonic() < due[place] or self._stopping.is_set():
                    continue
                try:
                    beat.call()
                except Exception:
                    log.exception("beat_failed", beat=beat.name)
                due[place] = time.monotonic() + beat.every_s
            self._stopping.wait(TICK_SECONDS)
