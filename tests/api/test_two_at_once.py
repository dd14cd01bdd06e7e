"""API: of two changes that lock each other one goes on, and the other after it, unnoticed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from openaoc.api.decisions import ATTEMPTS_MAX, Deciding, act, creation
from openaoc.kernel.actor import SYSTEM
from openaoc.storage.database import Database
from openaoc.storage.errors import TryAgain
from openaoc.storage.journal import JournalService, Sequencer


class Done(msgspec.Struct, frozen=True):
    tries: int


class Meeting:
    """A verb that meets another change at its first attempts, after it has written."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.tries = 0

    def done(self, on: Deciding) -> Done:
        self.tries += 1
        on.tx.journal(action="test.done", subject=f"try {self.tries}")
        if self.tries <= self.times:
            raise TryAgain("another change came between")
        return Done(self.tries)

    def deciding(self) -> Any:
        @act("/v1/tests", on=None, words="Done", purpose="test", summary="Do it")
        def decide(on: Deciding) -> Done:
            return self.done(on)

        return decide.fn

    def making(self) -> Any:
        @creation("/v1/tests", words="Made", purpose="test", summary="Make one")
        def make(on: Deciding, data: Done) -> Done:
            assert data.tries == 0
            return self.done(on)

        return make.fn


def request_to(database: Database) -> Any:
    state = SimpleNamespace(centre=SimpleNamespace(uow=database.uow))
    return SimpleNamespace(
        app=SimpleNamespace(state=state), user=SYSTEM, url=SimpleNamespace(path="/v1/tests")
    )


def subjects(database: Database) -> list[str]:
    Sequencer(database).place()
    rows = JournalService(database).rows()
    return [msgspec.json.decode(row.body)["subject"] for row in rows]


def test_a_decision_that_meets_another_is_carried_out_after_it(database: Database) -> None:
    handle = Meeting(1).deciding()
    assert handle(request=request_to(database)) == Done(2)
    assert subjects(database) == ["try 2"]


def test_a_creation_that_meets_another_makes_one_thing(database: Database) -> None:
    handle = Meeting(1).making()
    asked: dict[str, Any] = {"data": Done(0), "idempotency_key": "once"}
    made = handle(request=request_to(database), **asked)
    again = handle(request=request_to(database), **asked)
    assert (made.content, again.content) == (Done(2), Done(2))
    assert subjects(database) == ["try 2"]


def test_whoever_meets_others_again_and_again_is_told(database: Database) -> None:
    meeting = Meeting(10)
    handle = meeting.deciding()
    with pytest.raises(TryAgain):
        handle(request=request_to(database))
    assert meeting.tries == ATTEMPTS_MAX
    assert subjects(database) == []
