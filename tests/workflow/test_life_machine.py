"""Cases, holds, answers, contests and restitutions in one life: what always holds, holds.

A hypothesis state machine: one rule for each act, every invariant after each. That it gets anywhere
is a test of its own: lives from fixed seeds must bring about every act and every end. What is
checked where: docs/internals/life.md.
"""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from openaoc.kernel.clock import ManualClock
from openaoc.kernel.ids import ids_drawn_from
from openaoc.storage.database import connect_database
from openaoc.storage.journal import JournalService, Sequencer
from openaoc.storage.keyring import Keyring
from tests.appeals.contests import tell_history
from tests.conftest import START
from tests.restitution.test_machine import MULES
from tests.workflow.centre import BANKS, Centre
from tests.workflow.whole_life import WholeLife

Owner = Callable[[], dict[str, str]]
LIVES_MAX = 6
LONG_LIVES_MAX = 24
STEPS = 110
SPENT_MINOR = 7_900_500
"""The shop has 8,000,000 left from its trade: it keeps a little less than a living."""
ENDS = frozenset(
    {
        "appeals.appeal.moot",
        "appeals.appeal.taken",
        "appeals.blind.judged",
        "cases.case.closed",
        "cases.complaint.noted",
        "holds.order.applied",
        "holds.order.applied_in_part",
        "holds.order.converted",
        "holds.order.drafted",
        "holds.order.expired",
        "holds.order.extended",
        "holds.order.part_released",
        "holds.order.printed",
        "holds.order.refused",
        "holds.order.released",
        "holds.order.withdrawn",
        "restitution.restitution.paid",
        "safety.breaker.closed",
        "safety.breaker.opened",
        "safety.undo.done",
    }
)
"""What the journal must say was done in the lives from fixed seeds, all of them together."""
DEEP = frozenset(
    {
        "appeals.appeal.filed",
        "appeals.appeal.proposed",
        "appeals.appeal.refused",
        "appeals.appeal.upheld",
        "appeals.compensation.recorded",
        "cases.case.dropped",
        "holds.notice.told",
        "holds.order.approved",
        "holds.order.confirmed",
        "holds.order.lowered",
        "holds.order.restituted",
        "holds.suspicion.converted",
        "holds.suspicion.expired",
        "holds.suspicion.extended",
        "holds.suspicion.released",
        "safety.undo.dropped",
    }
)
"""What is rarer: more lives have to bring it about."""


@contextmanager
def life(make_owner: Owner, folder: Path, *, seed: int = 0) -> Iterator[WholeLife]:
    """A centre that is live for all banks, with a shop that trades; every hold is drawn.

    Ids are drawn from the seed too: what is chosen among them is the same again.
    """
    clock = ManualClock(START)
    database = connect_database(make_owner(), keys=Keyring(folder / "keys"), clock=clock)
    centre = Centre(database, folder, clock)
    try:
        draws = random.Random(seed)  # noqa: S311 - a replayable example
        with ids_drawn_from(random.Random(seed).randbytes):  # noqa: S311 - the same
            centre.go_live(*BANKS)
            tell_history(centre, MULES[1])
            centre.pay(MULES[1], "BBL:800", SPENT_MINOR, ago=timedelta(hours=1))
            yield WholeLife(centre, draws)
        Sequencer(database).place()
        assert JournalService(database).verify().ok, "the journal as a whole"
    finally:
        centre.close()
        database.close()


@pytest.fixture(autouse=True)
def _every_hold_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A life has too few holds for two in a hundred."""
    monkeypatch.setattr("openaoc.appeals.blind.is_drawn", lambda _order, seed: bool(seed))


def machine_of(make_owner: Owner) -> type[RuleBasedStateMachine]:
    """The state machine: a rule for each act of a life, whose choices hypothesis makes."""

    class Lives(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.folder = tempfile.TemporaryDirectory(prefix="openaoc-life-")
            self.opened = life(make_owner, Path(self.folder.name))
            self.life = self.opened.__enter__()

        def teardown(self) -> None:
            self.opened.__exit__(None, None, None)
            self.folder.cleanup()

    def rule_of(name: str) -> Callable[[Lives, random.Random], None]:
        def act(self: Lives, choice: random.Random) -> None:
            self.life.choice = choice
            changed = self.life.do(getattr(self.life, name))
            event(f"{name}: {'done' if changed else 'nothing to do, or refused'}")

        act.__name__ = name
        return rule(choice=st.randoms(use_true_random=False))(act)

    return type("AllLives", (Lives,), {f"do_{name}": rule_of(name) for name in ACTS})


ACTS = (
    "report",
    "report_only",
    "false_report",
    "confirm",
    "partner_report",
    "report_again",
    "move_on",
    "tell_late",
    "answer",
    "answer_again",
    "refuse_order",
    "telephone",
    "own_word",
    "contest",
    "take",
    "decide_contest",
    "second_word",
    "explain",
    "judge_blind",
    "confirm_indicator",
    "quiet_case",
    "delay_notice",
    "agree_delay",
    "end_delay",
    "to_shadow",
    "to_live",
    "approve",
    "withdraw",
    "release",
    "complain",
    "extend",
    "convert",
    "suspect",
    "end_suspicion",
    "open_breaker",
    "close_breaker",
    "propose_undo",
    "decide_undo",
    "end_case",
    "reopen",
    "propose",
    "publish",
    "object",
    "decide",
    "pay",
    "end",
    "hour",
    "wait",
    "restart",
)
"""Every act, by name: each has to succeed in the lives from fixed seeds."""


def run(make_owner: Owner, *, examples: int, steps: int) -> None:
    run_state_machine_as_test(
        machine_of(make_owner),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def check_lives(
    make_owner: Owner, folder: Path, *, journalled: frozenset[str], lives_max: int
) -> None:
    """Lives from fixed seeds, until all was seen; whatever no life brings about is named."""
    done: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    for seed in range(lives_max):
        with life(make_owner, folder / str(seed), seed=seed) as one:
            assert set(ACTS) == {act.__name__ for act in one.acts()}
            for _ in range(STEPS):
                one.step()
            done += one.done
            seen += one.facts.actions
        if all(done[name] for name in ACTS) and seen.keys() >= journalled:
            break
    assert not [name for name in ACTS if not done[name]], f"never succeeded; did {done}"
    assert not sorted(journalled - seen.keys()), f"never reached; reached {seen}"


def test_the_machine_checks_what_always_holds(make_owner: Owner) -> None:
    run(make_owner, examples=2, steps=20)


def test_every_act_succeeds_and_all_holds_after_each(make_owner: Owner, tmp_path: Path) -> None:
    check_lives(make_owner, tmp_path, journalled=ENDS, lives_max=LIVES_MAX)


@pytest.mark.long
def test_the_machine_for_long_checks_what_always_holds(make_owner: Owner) -> None:
    run(make_owner, examples=60, steps=60)


@pytest.mark.long
def test_every_deep_state_is_reached(make_owner: Owner, tmp_path: Path) -> None:
    check_lives(make_owner, tmp_path, journalled=ENDS | DEEP, lives_max=LONG_LIVES_MAX)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 112))
def test_long_lives(make_owner: Owner, tmp_path: Path, seed: int) -> None:
    with life(make_owner, tmp_path, seed=seed) as one:
        for _ in range(3 * STEPS):
            one.step()
        assert one.done
