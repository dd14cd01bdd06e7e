"""Jobs: visible with the commit, once per key at a time, kept through crashes."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.errors import Conflict
from openaoc.storage.database import Database
from openaoc.storage.jobs import JobWorker, Payload, running
from openaoc.storage.ticker import Ticker
from openaoc.storage.unit_of_work import UnitOfWork

WAIT_S = 20.0


def until(question: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        if question():
            return True
        time.sleep(0.02)
    return False


class Recorder:
    """Notes what it was called with; can be held and can fail."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Payload]] = []
        self.free = threading.Event()
        self.free.set()
        self.failures = 0
        self.at_once: dict[str, int] = {}
        self.most_at_once = 0
        self._lock = threading.Lock()

    def __call__(self, key: str, payload: Payload) -> None:
        with self._lock:
            self.calls.append((key, dict(payload)))
            self.at_once[key] = self.at_once.get(key, 0) + 1
            self.most_at_once = max(self.most_at_once, self.at_once[key])
        try:
            assert self.free.wait(WAIT_S)
            if self.failures:
                self.failures -= 1
                raise RuntimeError("told to fail")
        finally:
            with self._lock:
                self.at_once[key] -= 1


def put(uow: UnitOfWork, *keys: str) -> None:
    with uow.begin(SYSTEM) as tx:
        for key in keys:
            tx.defer(job="test.send", key=key)


def jobs_left(database: Database) -> int:
    with database.engine.connect() as connection:
        return int(
            connection.execute(sa.text("SELECT count(*) FROM procrastinate_jobs")).scalar_one()
        )


def test_a_committed_job_runs_and_a_rolled_back_one_does_not(
    database: Database, uow: UnitOfWork
) -> None:
    send = Recorder()
    with running(JobWorker(database, {"test.send": send})):
        with contextlib.suppress(ZeroDivisionError), uow.begin(SYSTEM) as tx:
            tx.defer(job="test.send", key="LOST")
            raise ZeroDivisionError
        with uow.begin(SYSTEM) as tx:
            tx.defer(job="test.send", key="KEPT", payload={"n": 1})
        assert until(lambda: len(send.calls) > 0 and jobs_left(database) == 0)
    assert send.calls == [("KEPT", {"n": 1})]


def test_waiting_jobs_of_a_key_are_one_run_and_never_two_at_once(
    database: Database, uow: UnitOfWork
) -> None:
    send = Recorder()
    send.free.clear()
    with running(JobWorker(database, {"test.send": send})) as worker:
        put(uow, "A")
        assert until(lambda: len(send.calls) == 1)
        for _ in range(20):
            put(uow, "A", "B")
        assert until(lambda: any(key == "B" for key, _ in send.calls))
        assert worker.facts().waiting > 0
        send.free.set()
        assert until(lambda: jobs_left(database) == 0)
    keys = [key for key, _ in send.calls]
    assert keys.count("A") == 2, "twenty waiting jobs are one run"
    assert 1 <= keys.count("B") <= 20
    assert send.most_at_once == 1


def test_a_failed_job_is_tried_again(database: Database, uow: UnitOfWork) -> None:
    send = Recorder()
    send.failures = 1
    with running(JobWorker(database, {"test.send": send})):
        put(uow, "A")
        assert until(lambda: len(send.calls) == 2 and jobs_left(database) == 0)


def test_what_a_killed_worker_was_doing_is_done_again(database: Database, uow: UnitOfWork) -> None:
    put(uow, "A")
    with database.engine.begin() as connection:
        fetch = "SELECT id FROM procrastinate_fetch_job_v2(NULL, NULL)"
        assert connection.execute(sa.text(fetch)).scalar_one() is not None
    send = Recorder()
    with running(JobWorker(database, {"test.send": send})):
        assert until(lambda: len(send.calls) == 1 and jobs_left(database) == 0)


def test_two_centres_cannot_work_on_one_database(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openaoc.storage.claim.WAIT_SECONDS_MAX", 0.2)
    with running(JobWorker(database, {})):
        second = JobWorker(database, {})
        with pytest.raises(Conflict):
            second.start()


def test_the_worker_survives_the_loss_of_every_connection(
    database: Database, uow: UnitOfWork
) -> None:
    send = Recorder()
    with running(JobWorker(database, {"test.send": send})):
        put(uow, "A")
        assert until(lambda: len(send.calls) == 1)
        with database.engine.begin() as connection:
            connection.execute(
                sa.text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            )
        put(uow, "B")
        assert until(lambda: ("B", {}) in send.calls)


def test_a_ticker_calls_at_once_and_when_woken_and_outlives_faults() -> None:
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
