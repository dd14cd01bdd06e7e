"""When older days leave memory by themselves, and when that is tried again."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from openaoc.kernel.clock import to_us
from openaoc.kernel.settings import Settings
from openaoc.ledger.model import DiskRefused
from openaoc.ledger.room import AGAIN_AFTER, DAY, Room
from tests.ledger.worlds import NOW

WAIT_SECONDS_MAX = 60.0


class Cutting:
    """A ledger's cuts, as often as asked; they fail as long as the disk is full."""

    def __init__(self, *, days: int, rows_max: int = 1_000) -> None:
        self.asked: list[int] = []
        self.full = False
        times = to_us(NOW - DAY) + np.arange(rows_max, dtype=np.int64)
        store: Any = SimpleNamespace(
            rows_max=rows_max, applied=100, hot_from_us=0, facts=SimpleNamespace(time_us=times)
        )
        self.store = store
        self.room = Room(store, settings=Settings(ledger_hot_days=days), cut=self.cut)

    def cut(self, before_us: int) -> int:
        self.asked.append(before_us)
        if self.full:
            raise DiskRefused("no space left on device")
        return 0

    def look(self, after: timedelta = timedelta(0)) -> int:
        """How often a cut was asked for so far, once what begins at that moment has ended."""
        self.room.look(NOW + after)
        assert self.room._busy.acquire(timeout=WAIT_SECONDS_MAX)
        self.room._busy.release()
        return len(self.asked)


@pytest.mark.parametrize("because", ["days", "rows"])
def test_a_cut_that_failed_is_tried_again_soon_and_not_at_once(because: str) -> None:
    one = Cutting(days=3 if because == "days" else 0)
    if because == "rows":
        one.store.applied = one.store.rows_max
    one.full = True
    assert one.look() == 1
    assert one.look(AGAIN_AFTER - timedelta(seconds=1)) == 1, "batches come by the thousand"
    assert one.look(AGAIN_AFTER) == 2
    one.full = False
    assert one.look(AGAIN_AFTER * 2) == 3
    assert len(set(one.asked)) == 1


def test_days_are_cut_once_each() -> None:
    one = Cutting(days=3)
    assert one.look() == 1
    assert one.look(timedelta(hours=1)) == 1
    assert one.look(DAY) == 2
    assert one.asked[1] - one.asked[0] == DAY // timedelta(microseconds=1)
