"""Matching: many evaluations at once, on a bounded pool of threads.

The group's arithmetic is libsodium's and runs without the interpreter's lock, so threads use every
processor they are given; what they may take from the rest of the centre is THREADS_MAX.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from openaoc.exchange.matching import oprf

THREADS_MAX: Final = 4
CHUNK: Final = 512
In = TypeVar("In")
Out = TypeVar("Out")


class Pool:
    """One per centre; its threads live as long as it does."""

    def __init__(self, *, threads: int | None = None) -> None:
        """`threads`: at most so many, and at most one per processor."""
        count = min(threads or THREADS_MAX, os.cpu_count() or 1)
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="match")

    def close(self) -> None:
        """End after the work at hand."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def evaluate(self, key: bytes, items: Sequence[bytes]) -> list[bytes]:
        """The outputs of inputs under a key that is ours."""
        return self._map(lambda item: oprf.evaluate(key, item), items)

    def evaluate_blinded(self, key: bytes, elements: Sequence[bytes]) -> list[bytes]:
        """The answers to blinded elements. Raises BadElement if one of them is none."""
        return self._map(lambda element: oprf.evaluate_blinded(key, element), elements)

    def blind(self, items: Sequence[bytes]) -> list[oprf.Blinded]:
        """The inputs, each behind a scalar of its own."""
        return self._map(oprf.blind, items)

    def finalize(self, asked: Sequence[tuple[bytes, oprf.Blinded, bytes]]) -> list[bytes]:
        """The outputs of (input, blinded, answer). Raises BadElement."""
        return self._map(lambda one: oprf.finalize(one[0], undo=one[1].undo, answer=one[2]), asked)

    def _map(self, call: Callable[[In], Out], items: Sequence[In]) -> list[Out]:
        chunks = [items[start : start + CHUNK] for start in range(0, len(items), CHUNK)]
        if len(chunks) <= 1:
            return [call(item) for item in items]
        parts = self._threads.map(lambda chunk: [call(item) for item in chunk], chunks)
        return [result for part in parts for result in part]
