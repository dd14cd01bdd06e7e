"""How a job enters the queue: procrastinate's own function on the caller's connection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import sqlalchemy as sa

QUEUE: Final = "openaoc"


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A name known to the worker, the key that keeps its runs apart, and small facts."""

    name: str
    key: str
    payload: dict[str, str | int | bool] = {}

    @property
    def lock(self) -> str:
        """What two runs of the same job and key share: never both at once."""
        return f"{self.name}:{self.key}"


_DEFER: Final = sa.text(
    "SELECT procrastinate_defer_jobs_v1(array_agg("
    "ROW(CAST(:queue AS varchar), j.name, 0, j.lock, NULL, j.args::jsonb, NULL)"
    "::procrastinate_job_to_defer_v1))"
    " FROM unnest(CAST(:names AS text[]), CAST(:locks AS text[]), CAST(:args AS text[]))"
    " AS j(name, lock, args)"
)


def insert(connection: sa.Connection, jobs: Sequence[Job]) -> None:
    """Queue the jobs in this transaction.

    No queueing lock: with one, a change that finds a waiting job skips its own, and when that job
    starts before the change commits, nobody works it off. Here each change queues its own job and
    the worker folds those that wait into one run.
    """
    args = [msgspec.json.encode({"key": j.key, "payload": j.payload}).decode() for j in jobs]
    connection.execute(
        _DEFER,
        {
            "queue": QUEUE,
            "names": [job.name for job in jobs],
            "locks": [job.lock for job in jobs],
            "args": args,
        },
    )
