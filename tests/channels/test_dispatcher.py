"""The dispatcher without a database: it goes on looking, and says so once."""

from __future__ import annotations

import threading

import pytest
import structlog

from openaoc.channels.dispatcher import Dispatcher
from openaoc.storage.errors import DatabaseDown

WAIT_S = 20.0


def test_a_database_that_is_away_delays_and_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openaoc.channels.dispatcher.SWEEP_SECONDS", 0.001)
    sweeps: list[int] = []
    delivered: list[str] = []
    done = threading.Event()

    def sweep() -> list[str]:
        sweeps.append(len(sweeps))
        if len(sweeps) <= 3:
            raise DatabaseDown
        return ["KBANK"]

    def deliver(institution: str) -> bool:
        delivered.append(institution)
        if len(delivered) == 1:
            raise DatabaseDown
        done.set()
        return False

    dispatcher = Dispatcher(deliver=deliver, sweep=sweep)
    with structlog.testing.capture_logs() as logs:
        dispatcher.start()
        assert done.wait(WAIT_S)
        dispatcher.stop()
    away, back = "storage.database.away", "storage.database.back"
    assert [entry["event"] for entry in logs][:4] == [away, back, away, back]
    assert len(logs) == 4
