"""Work that goes on after the answer: one worker in this process, started by the commit itself.

Runs each job at least once, two of one key never at the same time. Knows no job's content.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import msgspec
import procrastinate
import sqlalchemy as sa
import structlog
from procrastinate import JobContext, PsycopgConnector, RetryStrategy

from openaoc.kernel.errors import OpenAOCError
from openaoc.storage.claim import Claim
from openaoc.storage.database import Database
from openaoc.storage.jobs_table import QUEUE, Job
from openaoc.storage.roles import connection_string

Payload = Mapping[str, str | int | bool]
Task = Callable[[str, Payload], None]
"""Called with the job's key and payload, in a thread; what it raises is retried."""

CONCURRENCY_DEFAULT: Final = 16
POLLING_S: Final = 0.2
"""Commits notify at once. Asking as well finds retries, and what arrived just as a job of its key
ended: its notification came while it could not start.
"""
ROUNDS_MAX: Final = 1_000
"""How often one run does what arrived meanwhile, before other keys get the thread."""
RETRIES_MAX: Final = 5
RETRY_WAIT_S: Final = 2
"""Short, because newer jobs of the key wait behind the one retried. Long waits belong into the
stages' own tables, against the passed clock."""
RESTART_PAUSE_S: Final = 1.0
STOP_SECONDS_MAX: Final = 30.0
POOL_SIZE: Final = 4
FAILED_KEPT_DAYS: Final = 7
LOCK_NUMBER: Final = 0x0A0C_0B5

_LOG = structlog.get_logger(__name__)


class JobFacts(msgspec.Struct, frozen=True, kw_only=True):
    """How much waits, runs and was given up."""

    waiting: int
    running: int
    failed: int


class JobWorker:
    """Takes jobs from the queue as soon as they are committed and runs them in threads."""

    def __init__(
        self,
        database: Database,
        tasks: Mapping[str, Task],
        *,
        concurrency: int = CONCURRENCY_DEFAULT,
    ) -> None:
        self._database = database
        self._tasks = dict(tasks)
        self._concurrency = concurrency
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._current: asyncio.Task[None] | None = None
        self._claim = Claim(database.application, number=LOCK_NUMBER)

    def start(self) -> None:
        """Begin. Raises Conflict when another process works on this database's jobs."""
        assert self._thread is None, "started twice"
        self._claim.take()
        self._take_back()
        self._thread = threading.Thread(target=self._keep, name="jobs", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Let running jobs end, take no new ones. Safe to call twice."""
        self._stopping.set()
        loop, current = self._loop, self._current
        if loop is not None and current is not None:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(current.cancel)
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(STOP_SECONDS_MAX)
        self._claim.release()

    def facts(self) -> JobFacts:
        """The queue as it is now."""
        with self._database.engine.connect() as connection:
            rows = connection.execute(
                sa.text("SELECT status::text, count(*) FROM procrastinate_jobs GROUP BY status")
            ).all()
        counts = {str(status): int(number) for status, number in rows}
        return JobFacts(
            waiting=counts.get("todo", 0),
            running=counts.get("doing", 0),
            failed=counts.get("failed", 0),
        )

    def _resume(self) -> None:
        """After a fault: the lock went with its connection, so it is asked for again."""
        self._claim.take()
        self._take_back()

    def _take_back(self) -> None:
        """What a killed process was doing is to do again; nobody else can be doing it."""
        with self._database.engine.begin() as connection:
            taken = connection.execute(
                sa.text(
                    "SELECT procrastinate_retry_job_v2(id, now(), NULL, NULL, NULL)"
                    " FROM procrastinate_jobs WHERE status = 'doing'"
                )
            )
            count = len(taken.all())
            connection.execute(
                sa.text(
                    "DELETE FROM procrastinate_jobs j WHERE status = 'failed' AND NOT EXISTS"
                    " (SELECT 1 FROM procrastinate_events e WHERE e.job_id = j.id"
                    " AND e.at > now() - make_interval(days => :days))"
                ),
                {"days": FAILED_KEPT_DAYS},
            )
        if count:
            _LOG.warning("storage.jobs.taken_back", count=count)

    def _keep(self) -> None:
        """The worker's life: run, and after a fault of the database run again."""
        first = True
        while not self._stopping.is_set():
            try:
                if not first:
                    self._resume()
                first = False
                with asyncio.Runner() as runner:
                    runner.run(self._run())
            except asyncio.CancelledError:
                return
            except Exception:  # noqa: BLE001 - the worker outlives every fault
                _LOG.exception("storage.jobs.interrupted")
            self._stopping.wait(RESTART_PAUSE_S)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        executor = concurrent.futures.ThreadPoolExecutor(self._concurrency, "job")
        loop.set_default_executor(executor)
        self._loop, self._current = loop, asyncio.current_task()
        if self._stopping.is_set():
            return
        app = self._app()
        async with app.open_async():
            await app.run_worker_async(
                queues=[QUEUE],
                concurrency=self._concurrency,
                fetch_job_polling_interval=POLLING_S,
                listen_notify=True,
                delete_jobs="successful",
                install_signal_handlers=False,
                shutdown_graceful_timeout=STOP_SECONDS_MAX / 2,
            )

    def _app(self) -> procrastinate.App:
        connector = PsycopgConnector(
            conninfo=connection_string(self._database.application),
            min_size=1,
            max_size=POOL_SIZE,
        )
        app = procrastinate.App(connector=connector)
        retry = RetryStrategy(max_attempts=RETRIES_MAX, wait=RETRY_WAIT_S)
        for name, task in self._tasks.items():
            app.task(name=name, pass_context=True, retry=retry)(self._runner(name, task))
        return app

    def _runner(self, name: str, task: Task) -> Callable[[JobContext, str, Payload], None]:
        def run(context: JobContext, key: str, payload: Payload) -> None:
            job = Job(name=name, key=key, payload=dict(payload))
            self._fold(context.job.id, job)
            try:
                for left in range(ROUNDS_MAX, 0, -1):
                    task(key, payload)
                    last = left == 1 or self._stopping.is_set()
                    if last or not self._fold(context.job.id, job):
                        return
            except OpenAOCError as error:
                _LOG.warning("storage.jobs.failed", job=name, key=key, error=error.code)
                raise

        return run

    def _fold(self, job_id: int | None, job: Job) -> int:
        """Drop waiting jobs that say the same; how many.

        Their changes are committed, so a run of the task that begins after this sees them.
        """
        with self._database.engine.begin() as connection:
            dropped = connection.execute(
                _FOLD,
                {
                    "id": job_id,
                    "lock": job.lock,
                    "args": msgspec.json.encode({"key": job.key, "payload": job.payload}).decode(),
                },
            )
            return dropped.rowcount


_FOLD: Final = sa.text(
    "DELETE FROM procrastinate_jobs WHERE lock = :lock AND status = 'todo' AND id <> :id"
    " AND args = CAST(:args AS jsonb) AND (scheduled_at IS NULL OR scheduled_at <= now())"
)


@contextlib.contextmanager
def running(worker: JobWorker) -> Iterator[JobWorker]:
    """The worker for the time of a block."""
    worker.start()
    try:
        yield worker
    finally:
        worker.stop()
