"""A centre that another took over from is fenced for good, one whose standby is gone goes on."""

from __future__ import annotations

import concurrent.futures
import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from openaoc.continuity.primary import StandbyLine
from openaoc.continuity.standby_model import FollowState

WAIT_S = 60.0


def test_a_look_under_way_leads_nobody_back_from_being_fenced() -> None:
    """It saw that the standby was away for long, and carries that out after the fencing."""
    line = object.__new__(StandbyLine)
    line._changed = threading.Condition()
    line._state, line._heard = FollowState.WAITING, None
    line._become(FollowState.FENCED)
    line._become(FollowState.ALONE)
    assert line._state is FollowState.FENCED
    assert not line.may_send()


class Slow:
    """A server whose look at the standby takes as long as somebody else's word."""

    def __init__(self) -> None:
        self.looked, self.go_on = threading.Event(), threading.Event()

    @contextlib.contextmanager
    def superuser(self) -> Iterator[Slow]:
        yield self

    def execute(self, query: object, _: object = None) -> Slow:
        if "pg_stat_replication" in str(query):
            self.looked.set()
            assert self.go_on.wait(WAIT_S)
        return self

    def fetchone(self) -> None:
        """Nobody follows."""


def test_a_standby_that_is_forgotten_during_a_look_stays_forgotten(tmp_path: Path) -> None:
    """Waited for ever otherwise: the look saw it go, and carries that out after the word."""
    line = object.__new__(StandbyLine)
    line._changed, line._deciding = threading.Condition(), threading.Lock()
    line._state = line._before_joining = FollowState.IN_SYNC
    line._heard, line._gone_since, line._joined_at = None, 0.0, "0/0"
    line._acked = line._durable = 0
    line._follower = None
    server: Any = Slow()
    others: Any = SimpleNamespace(data_path=tmp_path, here=False, retain=lambda _: None)
    line._server, line._settings, line._keys, line._ledger = server, others, others, others
    with ThreadPoolExecutor(2) as pool:
        look = pool.submit(line._look_alone)
        assert server.looked.wait(WAIT_S)
        told = pool.submit(line.forget)
        concurrent.futures.wait([told], timeout=0.2)  # a word that does not wait is given by now
        server.go_on.set()
        look.result(WAIT_S)
        assert told.result(WAIT_S).state == FollowState.NONE
    assert line._state is FollowState.NONE
