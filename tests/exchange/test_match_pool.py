"""Evaluations of a whole set end with the centre: nobody who stops it waits for a minute's work."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from openaoc.exchange.matching import pool as pools
from openaoc.exchange.matching.pool import CHUNK, Pool
from openaoc.kernel.errors import Busy

WAIT_S = 60.0


def test_a_set_that_is_being_made_ends_with_the_chunk_at_hand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pools, "MANY", 0)
    monkeypatch.setattr(pools, "ProcessPoolExecutor", lambda *_, **__: ThreadPoolExecutor(1))
    begun, go = threading.Event(), threading.Event()
    made: list[int] = []

    def make(chunk: Sequence[bytes]) -> list[bytes]:
        made.append(len(chunk))
        begun.set()
        assert go.wait(WAIT_S)
        return list(chunk)

    pool = Pool()
    with ThreadPoolExecutor(1) as other:
        making = other.submit(pool._map, make, [b"one"] * (20 * CHUNK))
        assert begun.wait(WAIT_S)
        pool.close()
        go.set()
        with pytest.raises(Busy):
            making.result(WAIT_S)
    assert made == [CHUNK]
    with pytest.raises(Busy):
        pool._map(make, [b"one"] * (2 * CHUNK))


@pytest.mark.parametrize("many", [0, 100 * CHUNK])
def test_what_fails_by_itself_is_told_as_it_is(monkeypatch: pytest.MonkeyPatch, many: int) -> None:
    monkeypatch.setattr(pools, "MANY", many)
    monkeypatch.setattr(pools, "ProcessPoolExecutor", lambda *_, **__: ThreadPoolExecutor(1))

    def fail(_: Sequence[bytes]) -> list[bytes]:
        raise RuntimeError("its own")

    pool = Pool()
    with pytest.raises(RuntimeError, match="its own"):
        pool._map(fail, [b"one"] * (2 * CHUNK))
    pool.close()
