"""Cases, holds, answers, contests and restitutions in one life: what always holds, holds.

A hypothesis state machine: one rule for each act, every invariant after each. That it gets anywhere
is a test of its own: lives from fixed seeds must bring about every act and every deep state.
"""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from tests.workflow.life_facts import actions
from tests.workflow.whole_life import WholeLife

Owner = Callable[[], dict[str, str]]
pytestmark = pytest.mark.long
LIVES_MAX = 12
STEPS = 150
DEEP = frozenset(
    {
        "appeals.appeal.filed",
        "appeals.appeal.moot",
        "appeals.appeal.proposed",
        "appeals.appeal.refused",
        "appeals.appeal.taken",
        "appeals.appeal.upheld",
        "appeals.blind.judged",
        "appeals.compensation.recorded",
        "cases.case.closed",
        "cases.case.dropped",
        "cases.complaint.noted",
        "holds.order.applied",
        "holds.order.applied_in_part",
        "holds.order.approved",
        "holds.order.confirmed",
        "holds.order.converted",
        "holds.order.drafted",
        "holds.order.expired",
        "holds.order.extended",
        "holds.order.lowered",
        "holds.order.part_released",
        "holds.order.printed",
        "holds.order.refused",
        "holds.order.released",
        "holds.order.restituted",
        "holds.order.withdrawn",
        "holds.suspicion.converted",
        "holds.suspicion.expired",
        "holds.suspicion.extended",
        "holds.suspicion.released",
        "restitution.restitution.paid",
        "safety.breaker.closed",
        "safety.breaker.opened",
        "safety.undo.done",
        "safety.undo.dropped",
    }
)
"""What the journal must say was done in the lives from fixed seeds, all of them together."""


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
    "report_again",
    "move_on",
    "answer",
    "refuse_order",
    "telephone",
    "own_word",
    "contest",
    "take",
    "decide_contest",
    "second_word",
    "explain",
    "judge_blind",
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


def test_the_machine_checks_what_always_holds(make_owner: Owner) -> None:
    run(make_owner, examples=2, steps=25)


def test_the_machine_for_long_checks_what_always_holds(make_owner: Owner) -> None:
    run(make_owner, examples=60, steps=60)


def test_every_act_succeeds_and_every_deep_state_is_reached(
    make_owner: Owner, tmp_path: Path
) -> None:
    """Lives from fixed seeds, until all was seen; whatever no life brings about is named."""
    done: Counter[str] = Counter()
    journalled: Counter[str] = Counter()
    for seed in range(LIVES_MAX):
        with life(make_owner, tmp_path / str(seed), seed=seed) as one:
            assert set(ACTS) == {act.__name__ for act in one.acts()}
            for _ in range(STEPS):
                one.step()
            done += one.done
            journalled += actions(one.centre)
        if all(done[name] for name in ACTS) and journalled.keys() >= DEEP:
            break
    assert not [name for name in ACTS if not done[name]], f"never succeeded; did {done}"
    assert not sorted(DEEP - journalled.keys()), f"never reached; reached {journalled}"


def test_a_life_from_a_seed_checks_what_always_holds(make_owner: Owner, tmp_path: Path) -> None:
    with life(make_owner, tmp_path, seed=7) as one:
        for _ in range(40):
            one.step()
        assert sum(one.done.values()) > 30
        assert len([name for name in ACTS if one.done[name]]) >= 12


@pytest.mark.parametrize("seed", range(100, 160))
def test_long_lives(make_owner: Owner, tmp_path: Path, seed: int) -> None:
    with life(make_owner, tmp_path, seed=seed) as one:
        for _ in range(2 * STEPS):
            one.step()
        assert one.done
