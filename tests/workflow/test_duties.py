"""Every duty gets its turn: however long a round takes, and whatever fails before it."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
import structlog

from openaoc.kernel.errors import Corrupt
from openaoc.storage.errors import DatabaseDown
from openaoc.workflow.duties import UNHURRIED_ROUNDS, UNHURRIED_SECONDS_MAX, Duties, Duty


@pytest.mark.parametrize("round_s", [0.5, 1.0, 7.0, 40.0, 90.0])
def test_unhurried_duties_wait_for_so_many_rounds_or_so_long(round_s: float) -> None:
    nobody = cast("Any", None)
    duties = Duties(uow=nobody, holds=nobody, pursuit=nobody, ledger_journal=nobody)
    began = [number * round_s for number in range(200)]
    looked = [at for at in began if duties.looks_at_all(at)]
    assert looked[0] == 0
    gaps = [later - at for at, later in itertools.pairwise(looked)]
    longest = min(UNHURRIED_ROUNDS * round_s, UNHURRIED_SECONDS_MAX + round_s)
    assert gaps
    assert max(gaps) <= longest
    assert min(gaps) >= min(UNHURRIED_ROUNDS * round_s, UNHURRIED_SECONDS_MAX)


def test_whoever_asks_for_all_gets_the_next_round_and_no_more() -> None:
    nobody = cast("Any", None)
    duties = Duties(uow=nobody, holds=nobody, pursuit=nobody, ledger_journal=nobody)
    assert [duties.looks_at_all(at) for at in (1.0, 2.0)] == [True, False]
    duties.wake_all()
    assert [duties.looks_at_all(at) for at in (3.0, 4.0)] == [True, False]


EACH = ("pursue", "expire", "escalate", "retrace", "journal", "other")


def scripted(done: list[str], faults: dict[str, Exception]) -> Duties:
    """Duties that say what they do and fail as told."""

    def act(name: str) -> Callable[..., int]:
        def call(*_: object) -> int:
            done.append(name)
            if name in faults:
                raise faults[name]
            return 0

        return call

    def begin(*_: object, **__: object) -> contextlib.nullcontext[None]:
        return contextlib.nullcontext()

    return Duties(
        uow=cast("Any", SimpleNamespace(begin=begin)),
        holds=cast("Any", SimpleNamespace(expire_due=act("expire"), escalate_due=act("escalate"))),
        pursuit=cast("Any", SimpleNamespace(pursue=act("pursue"), retrace_due=act("retrace"))),
        ledger_journal=cast("Any", SimpleNamespace(reconcile=act("journal"))),
        unhurried=[Duty(call=act("other"), full=1)],
    )


@pytest.mark.parametrize("bad", EACH)
def test_a_duty_that_fails_keeps_no_other_from_its_turn(bad: str) -> None:
    done: list[str] = []
    duties = scripted(done, {bad: Corrupt("a case that cannot be planned")})
    with pytest.raises(Corrupt):
        duties.run_due()
    assert tuple(done) == EACH


def test_of_several_that_fail_none_is_hidden() -> None:
    done: list[str] = []
    duties = scripted(done, {"pursue": Corrupt("one"), "retrace": Corrupt("another")})
    with structlog.testing.capture_logs() as logs, pytest.raises(Corrupt, match="one"):
        duties.run_due()
    assert tuple(done) == EACH
    assert [entry["event"] for entry in logs] == ["workflow.duties.failed_too"]


def test_without_a_database_a_round_ends_at_once() -> None:
    done: list[str] = []
    with pytest.raises(DatabaseDown):
        scripted(done, {"expire": DatabaseDown()}).run_due()
    assert done == ["pursue", "expire"]
