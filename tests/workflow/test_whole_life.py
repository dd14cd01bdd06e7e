"""Cases, holds, answers, contests and restitutions in one random life: what always holds, holds."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import hypothesis.strategies as st
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings

from openaoc.appeals.model import OPEN, AppealState, AppealView
from openaoc.holds.model import ENDED, HOLDING, WAITING, OrderState
from openaoc.kernel.actor import CITIZEN, SYSTEM
from openaoc.kernel.clock import ManualClock
from openaoc.kernel.ids import random_text
from openaoc.storage.database import connect_database
from openaoc.storage.keyring import Keyring
from tests.appeals.contests import (
    OTHER,
    REVIEWER,
    SECOND,
    SUPERVISOR,
    code_of,
    contest,
    decide,
    refuse,
    second,
    take,
    tell_history,
    uphold,
)
from tests.conftest import START
from tests.restitution.test_machine import MULES, VICTIMS, Life
from tests.workflow.centre import BANKS, Centre
from tests.workflow.invariants import all_orders, check_messages

STEPS = 40


class WholeLife(Life):
    """Holders contest, reviewers decide, the clock ends holds, while money is given back."""

    def acts(self) -> dict[Callable[[], None], int]:
        return super().acts() | {
            self.false_report: 1,
            self.answer: 3,
            self.contest: 4,
            self.review: 4,
            self.second_word: 3,
            self.approve: 1,
            self.withdraw: 1,
            self.hour: 2,
        }

    def false_report(self) -> None:
        """A citizen's word alone: it holds nothing before a person agrees."""
        origin = self.centre.pay(VICTIMS[0], MULES[0], self.choice.randint(1, 500))
        self.cases.append(self.centre.file(origin, sender=CITIZEN, reporter=None).case)

    def answer(self) -> None:
        if waiting := [o for o in all_orders(self.centre) if o.state in WAITING]:
            order = self.choice.choice(waiting)
            applied = self.choice.choice([order.amount_minor, 0, order.amount_minor // 3])
            self.centre.answer(order.id, order.institution, applied)

    def contest(self) -> None:
        if told := sorted({notice.order for notice in self.centre.outbox.notices()}):
            order = self.choice.choice(told)
            contest(self.centre, order, code=code_of(self.centre, order))

    def review(self) -> None:
        if found := self.open_contests():
            appeal, who = self.choice.choice(found).appeal, self.choice.choice([REVIEWER, OTHER])
            take(self.centre, appeal, who)
            part = uphold(outcome="uphold_in_part", release_minor=self.choice.randint(1, 500))
            decide(self.centre, appeal, self.choice.choice([uphold(), part, refuse()]), who)

    def second_word(self) -> None:
        if found := self.open_contests():
            agree = self.choice.random() < 0.7
            second(self.centre, self.choice.choice(found).appeal, agree=agree, who=SUPERVISOR)

    def approve(self) -> None:
        if drafted := [o for o in all_orders(self.centre) if o.state is OrderState.DRAFTED]:
            with self.centre.database.uow.begin(SECOND) as tx:
                self.centre.matter.holds.approve(tx, self.choice.choice(drafted).id)

    def withdraw(self) -> None:
        if waiting := [o for o in all_orders(self.centre) if o.state in WAITING]:
            with self.centre.database.uow.begin(SUPERVISOR) as tx:
                self.centre.matter.holds.withdraw(tx, self.choice.choice(waiting).id, "a look")

    def hour(self) -> None:
        self.centre.clock.advance(timedelta(hours=self.choice.choice([1, 5])))

    def open_contests(self) -> list[AppealView]:
        return [one for one in self.contests() if one.state in OPEN]

    def contests(self) -> list[AppealView]:
        found: list[AppealView] = []
        with self.centre.database.uow.read(SUPERVISOR) as tx:
            for state in AppealState:
                found += self.centre.matter.appeals.list(tx, state=state, limit=200).appeals
        return found

    def check(self) -> None:
        super().check()
        check_messages(self.centre)
        orders = {order.id: order for order in all_orders(self.centre)}
        for one in self.contests():
            if one.state in OPEN:
                assert orders[one.order].state not in ENDED, "nothing is left to contest"
        for order in orders.values():
            assert order.reason.th
            assert order.reason.en
            assert order.rule, "every hold names its rule (design of holds: no hold without an end)"
            if order.state in HOLDING:
                assert order.standing == "automatic" or order.approvals, "somebody answers for it"
        with self.centre.database.uow.read(SYSTEM) as tx:
            changed = tx.connection.execute(
                sa.text(
                    "select count(*) from hold_orders o where not exists"
                    " (select 1 from journal_rows j where j.subject = o.id)"
                )
            ).scalar_one()
        assert changed == 0, "an order that is not in the journal"


def live_through(
    make_owner: Callable[[], dict[str, str]], folder: Path, *, seed: int, steps: int
) -> int:
    """One life from its seed; how many cases it had."""
    clock = ManualClock(START)
    database = connect_database(make_owner(), keys=Keyring(folder / "keys"), clock=clock)
    centre = Centre(database, folder, clock)
    try:
        centre.go_live(*BANKS)
        tell_history(centre, MULES[1])
        life = WholeLife(centre, random.Random(seed))  # noqa: S311 - a replayable example
        for _ in range(steps):
            life.step()
        return len(life.cases)
    finally:
        centre.close()
        database.close()


@settings(
    max_examples=3,
    phases=[Phase.explicit, Phase.generate],
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(seed=st.integers(0, 2**32))
def test_what_always_holds_holds_after_every_step(
    make_owner: Callable[[], dict[str, str]], tmp_path: Path, seed: int
) -> None:
    assert live_through(make_owner, tmp_path / random_text(8), seed=seed, steps=STEPS)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(60))
def test_long_lives(make_owner: Callable[[], dict[str, str]], tmp_path: Path, seed: int) -> None:
    assert live_through(make_owner, tmp_path, seed=seed, steps=4 * STEPS)
