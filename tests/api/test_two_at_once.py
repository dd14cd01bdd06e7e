"""API: of two changes that lock each other one goes on, and the other after it, unnoticed."""

from __future__ import annotations

import ast
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from openaoc.api.again import ATTEMPTS_MAX
from openaoc.api.decisions import Deciding, act, creation
from openaoc.kernel.actor import SYSTEM
from openaoc.storage.database import Database
from openaoc.storage.errors import TryAgain
from openaoc.storage.journal import JournalService, Sequencer
from tests.style.sources import package_sources


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


def own_changes(function: ast.FunctionDef) -> bool:
    """Whether a transaction that writes is opened in it, not in a function within."""
    nodes: list[ast.AST] = list(function.body)
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Attribute) and node.attr == "begin":
            return True
        if not isinstance(node, ast.FunctionDef):
            nodes += ast.iter_child_nodes(node)
    return False


def test_every_route_that_changes_something_is_carried_out_after_another() -> None:
    """By `again`; an envelope of a partner's is tried more often."""
    alone = {
        f"{source.path.rpartition('/')[2]}: {function.name}"
        for source in package_sources()
        if source.path.startswith("src/openaoc/api/")
        for function in ast.walk(source.tree)
        if isinstance(function, ast.FunctionDef) and own_changes(function)
        if not any(isinstance(by, ast.Name) and by.id == "again" for by in function.decorator_list)
    }
    assert alone == {
        "cases.py: confirm",  # its signature is used up; what follows is tried again
        "restitution.py: confirm",  # the same
        "status.py: rotate_signing_key",  # a key is replaced at once
        "witnesses.py: rotate",  # the same
        "taxii.py: once",  # by `retrying`
    }
