"""CLI: until told to end: the signals that end a command that serves, as an event to wait for."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


@contextlib.contextmanager
def told_to_end(*more: signal.Signals) -> Iterator[threading.Event]:
    """Set once SIGTERM, Ctrl-C or one of `more` comes; what handled them before does so afterwards.

    Enter it before saying that the command serves: who reads that may end it at once.
    """
    ended = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        del number, frame
        ended.set()

    numbers = (signal.SIGTERM, signal.SIGINT, *more)
    before = {number: signal.signal(number, on_signal) for number in numbers}
    try:
        yield ended
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
