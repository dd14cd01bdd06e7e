"""Who is inside the hot log: many readers or the one writer, by turns.

Answers when each may enter. A reader waits for one slice of the writer at most; a writer waits
for the readers that are inside, and lets new ones by unless it has waited long.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

PATIENCE_SECONDS: Final = 0.25
"""A writer lets new readers pass it for so long."""
PAUSE_SECONDS: Final = 0.02
"""Then new readers wait for so long at most: short ones leave, one long trace holds up nobody
but the writer."""


class Gate:
    """A lock of two kinds in which neither side starves."""

    def __init__(self) -> None:
        self._change = threading.Condition(threading.Lock())
        self._readers = 0
        self._waiting = 0
        self._admitted = 0
        """Readers that waited through the writer's last slice and go before its next."""
        self._writing = False
        self._wanted = False
        """A writer waits and nobody it must let go first does: the last reader hands over."""
        self._paused = False

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Inside, no writer is."""
        with self._change:
            if self._writing or self._paused:
                self._waiting += 1
                try:
                    while self._writing or (self._paused and not self._admitted):
                        self._change.wait()
                finally:
                    self._waiting -= 1
                    self._admitted = max(self._admitted - 1, 0)
            self._readers += 1
        try:
            yield
        finally:
            with self._change:
                self._readers -= 1
                if not self._readers:
                    if self._wanted and not self._admitted:
                        # Else a reader that comes back at once would always be first.
                        self._writing = True
                    self._change.notify_all()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Inside, nobody else is. One writer at a time calls this."""
        with self._change:
            self._wanted = True
            self._wait_for_readers()
            self._wanted = False
            self._writing = True
        try:
            yield
        finally:
            with self._change:
                self._writing = False
                self._admitted = self._waiting
                self._change.notify_all()

    def _wait_for_readers(self) -> None:
        patient_until = time.monotonic() + PATIENCE_SECONDS
        while not self._writing and (self._readers or self._admitted):
            left = patient_until - time.monotonic()
            if left > 0:
                self._change.wait(left)
                continue
            self._paused = True
            self._change.wait(PAUSE_SECONDS)
            # Whoever was admitted and never came in does not count for ever.
            self._admitted = min(self._admitted, self._waiting)
            if not self._writing and (self._readers or self._admitted):
                self._paused = False
                self._change.notify_all()
                patient_until = time.monotonic() + PATIENCE_SECONDS
        self._paused = False
