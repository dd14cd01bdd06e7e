"""Matching: many evaluations at once: few on threads, a whole set on processes of its own.

A set takes a minute of every processor: in processes that yield to everything else, the centre
goes on as if nothing happened. Both are bounded.
"""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import (
    CancelledError,
    Executor,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)
from typing import Final, TypeVar

from openaoc.exchange.matching import oprf
from openaoc.kernel.errors import Busy

WORKERS_MAX: Final = 4
CHUNK: Final = 512
MANY: Final = 20_000
"""From so many on, processes are worth their start."""
NICE: Final = 10
In = TypeVar("In")
Out = TypeVar("Out")


class Pool:
    """One per centre; its threads live as long as it does, its processes for one piece of work."""

    def __init__(self, *, workers: int | None = None, nice: int = NICE) -> None:
        """`workers`: at most so many, and at most one per processor; `nice`: of its processes."""
        self._nice = nice
        self._workers = min(workers or WORKERS_MAX, os.cpu_count() or 1)
        self._threads = ThreadPoolExecutor(self._workers, thread_name_prefix="match")
        self._lock = threading.Lock()
        self._processes: set[Executor] = set()
        self._closed = False

    def close(self) -> None:
        """End after the chunks at hand: whoever waits for more than these gets Busy."""
        with self._lock:
            self._closed = True
            for processes in self._processes:
                processes.shutdown(wait=False, cancel_futures=True)
        self._threads.shutdown(wait=True, cancel_futures=True)

    def evaluate(self, key: bytes, items: Sequence[bytes]) -> list[bytes]:
        """The outputs of inputs under a key that is ours."""
        return self._map(functools.partial(_evaluate, key), items)

    def evaluate_blinded(self, key: bytes, elements: Sequence[bytes]) -> list[bytes]:
        """The answers to blinded elements. Raises BadElement if one of them is none."""
        return self._map(functools.partial(_evaluate_blinded, key), elements)

    def blind(self, items: Sequence[bytes]) -> list[oprf.Blinded]:
        """The inputs, each behind a scalar of its own."""
        return self._map(_blind, items)

    def finalize(self, asked: Sequence[tuple[bytes, oprf.Blinded, bytes]]) -> list[bytes]:
        """The outputs of (input, blinded, answer). Raises BadElement."""
        return self._map(_finalize, asked)

    def _map(self, call: Callable[[Sequence[In]], list[Out]], items: Sequence[In]) -> list[Out]:
        if len(items) <= CHUNK:
            return call(items)
        try:
            if len(items) < MANY:
                return _spread(self._threads, call, items)
            fresh = multiprocessing.get_context("spawn")
            with (
                ProcessPoolExecutor(
                    self._workers, mp_context=fresh, initializer=os.nice, initargs=(self._nice,)
                ) as processes,
                self._known(processes),
            ):
                return _spread(processes, call, items)
        except (CancelledError, RuntimeError) as error:  # RuntimeError: it takes no more
            if not self._closed:
                raise
            raise Busy("the centre is ending") from error

    @contextlib.contextmanager
    def _known(self, processes: Executor) -> Iterator[None]:
        """Within, they end with us."""
        with self._lock:
            if self._closed:
                raise Busy("the centre is ending")
            self._processes.add(processes)
        try:
            yield
        finally:
            with self._lock:
                self._processes.discard(processes)


def _spread(
    workers: Executor, call: Callable[[Sequence[In]], list[Out]], items: Sequence[In]
) -> list[Out]:
    chunks = [items[start : start + CHUNK] for start in range(0, len(items), CHUNK)]
    return [result for part in workers.map(call, chunks) for result in part]


def _evaluate(key: bytes, items: Sequence[bytes]) -> list[bytes]:
    return [oprf.evaluate(key, item) for item in items]


def _evaluate_blinded(key: bytes, elements: Sequence[bytes]) -> list[bytes]:
    return [oprf.evaluate_blinded(key, element) for element in elements]


def _blind(items: Sequence[bytes]) -> list[oprf.Blinded]:
    return [oprf.blind(item) for item in items]


def _finalize(asked: Sequence[tuple[bytes, oprf.Blinded, bytes]]) -> list[bytes]:
    return [
        oprf.finalize(item, undo=blinded.undo, answer=answer) for item, blinded, answer in asked
    ]
