"""The control socket: who asks is answered before the end, who says nothing keeps nobody out."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest

from openaoc.cli import standby as cli
from openaoc.continuity import control, fencing
from openaoc.continuity import standby as following
from openaoc.continuity.control import CALLERS_MAX, ControlServer, call
from openaoc.continuity.fencing import Promoted
from openaoc.continuity.standby_model import Following, StandbyStatus
from openaoc.kernel.errors import Unavailable

WAIT_S = 60.0
Result = TypeVar("Result")


class Said(msgspec.Struct, frozen=True):
    word: str


@contextlib.contextmanager
def serving(data: Path, verb: Callable[[], Said]) -> Iterator[ControlServer]:
    server = ControlServer(data, {"say": lambda _, __: verb()})
    server.start()
    try:
        yield server
    finally:
        server.stop()


def said(data: Path) -> str:
    return msgspec.json.decode(call(data, "say"), type=Said).word


def test_whoever_asked_is_answered_after_the_stop(tmp_path: Path) -> None:
    asked, go = threading.Event(), threading.Event()

    def slowly() -> Said:
        asked.set()
        assert go.wait(WAIT_S)
        return Said("done")

    with ThreadPoolExecutor(1) as pool, serving(tmp_path, slowly) as server:
        answer = pool.submit(said, tmp_path)
        assert asked.wait(WAIT_S)
        server.stop()
        assert not server.finish(0.0), "somebody waits for an answer"
        go.set()
        assert server.finish(WAIT_S)
        assert answer.result(WAIT_S) == "done"
        assert server.finish(0.0)


def test_who_asks_nothing_keeps_nobody_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "SILENCE_SECONDS_MAX", 0.2)
    with serving(tmp_path, lambda: Said("heard")), contextlib.ExitStack() as silent:
        for _ in range(CALLERS_MAX):
            silent.enter_context(control._connected(tmp_path))
        assert heard_of(lambda: said(tmp_path)) == "heard"


def heard_of(ask: Callable[[], Result]) -> Result:
    """The answer, asked for until there is one: it may not listen yet, or have no place."""
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until:
        with contextlib.suppress(Unavailable):
            return ask()
        time.sleep(0.02)
    raise AssertionError("nobody answers")


class Idle:
    """A standby that follows nobody."""

    def __init__(self, *_: object, **__: object) -> None:
        self.stopped = False

    def start(self) -> None:
        return

    def stop(self) -> None:
        self.stopped = True

    def status(self) -> StandbyStatus:
        return StandbyStatus(
            primary="nobody:1",
            epoch=1,
            position=0,
            state="waiting",
            heard_s=100.0,
            database=False,
            ledger=False,
            keys=False,
        )


@pytest.mark.parametrize("told_to_end", [False, True])
def test_a_promoted_standby_goes_on_as_the_centre_unless_it_is_told_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, told_to_end: bool
) -> None:
    """Told in the middle of the promotion: it is finished and answered, and nothing goes on."""

    def take_over(*_: object, **__: object) -> Promoted:
        if told_to_end:
            os.kill(os.getpid(), signal.SIGTERM)
        return Promoted(epoch=2, position=0, former="nobody:1")

    def promote() -> Promoted:
        answer = heard_of(lambda: call(tmp_path, "standby-promote"))
        return msgspec.json.decode(answer, type=Promoted)

    class Here:
        data_path = tmp_path

    monkeypatch.setattr(following, "Standby", Idle)
    monkeypatch.setattr(fencing, "take_over", take_over)
    settings: Any = Here()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(promote)
        goes_on = cli._follow(settings, Following(primary="nobody:1", epoch=1), as_json=True)
        assert goes_on is not told_to_end
        assert answer.result(WAIT_S).epoch == 2
