"""Random bytes fetched ahead are given out once."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

from openaoc.kernel.randomness import FETCHED_BYTES, random_bytes


def test_no_bytes_are_given_twice_to_threads() -> None:
    def draw(_: int) -> list[bytes]:
        return [random_bytes(16) for _ in range(2_000)]

    with ThreadPoolExecutor(8) as pool:
        drawn = [one for many in pool.map(draw, range(8)) for one in many]
    assert len(set(drawn)) == len(drawn) == 16_000
    assert {len(one) for one in drawn} == {16}


def test_more_than_a_stock_and_nothing_at_all() -> None:
    assert len(random_bytes(FETCHED_BYTES + 1)) == FETCHED_BYTES + 1
    assert random_bytes(0) == b""


def test_a_forked_child_draws_its_own() -> None:
    random_bytes(16)
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writable, random_bytes(16))
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(readable, 16) != random_bytes(16)
    os.close(readable)
    os.close(writable)
