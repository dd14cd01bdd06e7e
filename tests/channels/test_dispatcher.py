"""The dispatcher without a database: it goes on looking, and says so once."""

from __future__ import annotations

import threading

import pytest
import structlog

from openaoc.channels.dispatcher import Dispatcher
from openaoc.storage.errors import DatabaseDown

WAIT_S = 60.0
TOLD = ["storage.database.away", "storage.database.back"]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openaoc.channels.dispatcher.SWEEP_SECONDS", 0.001)


def test_sweeps_without_a_database_are_told_once() -> None:
    sweeps: list[int] = []
    done = threading.Event()

    def sweep() -> list[str]:
        sweeps.append(len(sweeps))
        if len(sweeps) <= 3:
            raise DatabaseDown
        return ["KBANK"] if len(sweeps) > 4 else []

    def deliver(_: str) -> bool:
        done.set()
        return False

    dispatcher = Dispatcher(deliver=deliver, sweep=sweep)
    with structlog.testing.capture_logs() as logs:
        dispatcher.start()
        assert done.wait(WAIT_S)
        dispatcher.stop()
    assert [entry["event"] for entry in logs] == TOLD


def test_a_delivery_that_met_no_database_is_made_later_without_a_call_path() -> None:
    tries: list[str] = []
    swept_after = threading.Event()

    def sweep() -> list[str]:
        if len(tries) >= 2:
            swept_after.set()
        return ["KBANK"] if len(tries) < 2 else []

    def deliver(institution: str) -> bool:
        tries.append(institution)
        if len(tries) == 1:
            raise DatabaseDown
        return False

    dispatcher = Dispatcher(deliver=deliver, sweep=sweep)
    with structlog.testing.capture_logs() as logs:
        dispatcher.start()
        assert swept_after.wait(WAIT_S)
        dispatcher.stop()
    assert tries[:2] == ["KBANK", "KBANK"], "and once more if it was woken as it began"
    assert [entry["event"] for entry in logs] == TOLD
