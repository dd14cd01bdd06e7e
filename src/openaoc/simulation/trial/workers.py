"""Simulation, trials: where they are run: one after another here, or several at a time.

Each worker is a process with a stage of its own. What a trial says does not depend on where, or
in which order, it is run.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

import msgspec

from openaoc.kernel.errors import BadInput, OpenAOCError

if TYPE_CHECKING:
    from openaoc.simulation.trial.stage import Stage

WORKERS_MAX: Final = 16
"""Each needs a processor and some 800 MB."""
STOP_SECONDS: Final = 60.0
"""A worker that was told to end and has not after so long is killed."""

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")
Stages = Callable[[], "AbstractContextManager[Stage]"]
"""Puts a stage up in whatever process it is called."""


class TrialFailed(OpenAOCError):
    """A trial failed."""


class Work(Protocol[T_co]):
    """Trials by their place; it can be sent to another process."""

    def says(self, place: int) -> str:
        """Which trial that is."""
        ...

    def run(self, place: int, *, stage: Stage) -> T_co:
        """Live it."""
        ...


class Runner(Protocol):
    """Whoever runs trials."""

    def run(self, work: Work[T], places: Sequence[int]) -> Iterator[tuple[int, T]]:
        """Each place with its trial, as they come to an end. Raises what a trial raises."""
        ...


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker says of a trial that failed: why in a line, and where in the code."""

    why: str
    trace: str


@contextlib.contextmanager
def runner(workers: int, *, stages: Stages) -> Iterator[Runner]:
    """So many workers; one is this process. At the end, however it comes, nothing of them is left.

    Raises BadInput for more than WORKERS_MAX.
    """
    if not 0 < workers <= WORKERS_MAX:
        raise BadInput(f"between 1 and {WORKERS_MAX}", where="workers")
    if workers == 1:
        with stages() as made:
            yield _Here(made)
        return
    several = _Several(workers, stages)
    try:
        yield several
    finally:
        several.stop()


class _Here:
    """This process, one trial after another."""

    def __init__(self, made: Stage) -> None:
        self._stage = made

    def run(self, work: Work[T], places: Sequence[int]) -> Iterator[tuple[int, T]]:
        for place in places:
            yield place, work.run(place, stage=self._stage)


class _Several:
    """Processes that are given one place at a time; started when there is something to give."""

    def __init__(self, count: int, stages: Stages) -> None:
        self._count = count
        self._stages = stages
        self._workers: dict[Connection, BaseProcess] = {}

    def run(self, work: Work[T], places: Sequence[int]) -> Iterator[tuple[int, T]]:
        """Raises TrialFailed when a trial fails, or a worker ends by itself."""
        while len(self._workers) < min(self._count, len(places)):
            self._start()
        waiting = iter(places)
        at_work: dict[Connection, int] = {}

        def give(line: Connection) -> None:
            if (place := next(waiting, None)) is not None:
                line.send((work, place))
                at_work[line] = place

        for line in self._workers:
            give(line)
        while at_work:
            ready = wait(list(at_work))
            for line in [one for one in at_work if one in ready]:
                place = at_work.pop(line)
                trial = self._told(line, work, place)
                give(line)
                yield place, trial

    def _told(self, line: Connection, work: Work[T], place: int) -> T:
        says = work.says(place)
        try:
            answer = line.recv()
        except (EOFError, ConnectionResetError):
            worker = self._workers[line]
            worker.join()
            why = f"its worker ended by itself with {worker.exitcode}"
            raise TrialFailed(why, where=says) from None
        if isinstance(answer, Failed):
            failed = TrialFailed(answer.why, where=says)
            failed.add_note(answer.trace)
            raise failed
        trial: T = answer
        return trial

    def _start(self) -> None:
        ours, theirs = multiprocessing.Pipe()
        # Spawned: a fork would share threads' locks and connections. Ctrl-C is ours alone, from
        # its first moment on: what a process starts with blocked signals keeps them blocked.
        fresh = multiprocessing.get_context("spawn")
        worker = fresh.Process(target=_work, args=(theirs, self._stages), name="trials")
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            worker.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            theirs.close()
        self._workers[ours] = worker

    def stop(self) -> None:
        """End every worker, its trial as well, and wait until its stage is gone."""
        for worker in self._workers.values():
            worker.terminate()
        for line, worker in self._workers.items():
            worker.join(STOP_SECONDS)
            worker.kill()
            worker.join()
            line.close()
        self._workers.clear()


def _work(line: Connection, stages: Stages) -> None:
    """A worker's life: trials until nobody is there to ask, or it is told to end."""
    signal.signal(signal.SIGTERM, _end)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with contextlib.suppress(EOFError, BrokenPipeError):
        try:
            with stages() as made:
                while True:
                    work, place = line.recv()
                    line.send(work.run(place, stage=made))
        except (EOFError, BrokenPipeError):
            raise
        except Exception as error:  # noqa: BLE001 - told to whoever asked, who raises it
            why = str(error) if isinstance(error, OpenAOCError) else repr(error)
            line.send(Failed(why=why, trace=traceback.format_exc()))


def _end_with_parent() -> None:
    """Whoever asked was killed: nobody waits for this trial."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "a worker has one"
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


def _end(number: int, frame: FrameType | None) -> None:
    """Leave as by an exception, so that the stage is taken away."""
    del number, frame
    sys.exit(1)
