"""The thread that looks again: at once, when woken, through faults, quiet without a database."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

from openaoc.storage.errors import DatabaseDown
from openaoc.storage.outage import Outage
from openaoc.storage.ticker import Ticker

WAIT_S = 60.0


def until(question: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        if question():
            return True
        time.sleep(0.02)
    return False


def test_it_calls_at_once_and_when_woken_and_outlives_faults() -> None:
    calls: list[int] = []

    def call() -> None:
        calls.append(len(calls))
        raise ValueError

    ticker = Ticker("test", call, every_s=3600)
    ticker.start()
    assert until(lambda: len(calls) == 1)
    ticker.wake()
    assert until(lambda: len(calls) == 2)
    ticker.stop()


def test_a_stop_in_the_moment_before_a_call_is_not_lost() -> None:
    ticker = Ticker("test", lambda: None, every_s=3600)

    class Stopped(threading.Event):
        """Its owner is told to stop just before it forgets that it was woken."""

        def clear(self) -> None:
            ticker._stopping.set()
            self.set()
            super().clear()

    ticker._wanted = Stopped()
    ticker.start()
    ticker._thread.join(WAIT_S)
    assert not ticker._thread.is_alive()


def test_a_database_that_is_away_is_told_once_and_its_return_once() -> None:
    answers = [DatabaseDown(), DatabaseDown(), DatabaseDown(), None, None, DatabaseDown(), None]
    calls: list[int] = []

    def call() -> None:
        calls.append(len(calls))
        error = answers[len(calls) - 1] if len(calls) <= len(answers) else None
        if error is not None:
            raise error

    with structlog.testing.capture_logs() as logs:
        ticker = Ticker("test", call, every_s=0.001)
        ticker.start()
        assert until(lambda: len(calls) > len(answers))
        ticker.stop()
    away, back = "storage.database.away", "storage.database.back"
    assert [entry["event"] for entry in logs] == [away, back, away, back]
    assert all(entry["work"] == "test" and "exc_info" not in entry for entry in logs)


def test_another_fault_is_not_taken_for_the_databases_absence() -> None:
    with structlog.testing.capture_logs() as logs:
        outage = Outage("test")
        assert not outage.went(ValueError("else"))
        outage.back()
    assert logs == []
