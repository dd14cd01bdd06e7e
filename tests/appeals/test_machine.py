"""Contests and holds in any order: what must hold after every step."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from openaoc.appeals.model import DECIDED, OPEN, AppealState, AppealView
from openaoc.holds.model import ENDED, HOLDING, OrderState
from openaoc.holds.record import OrderRecord
from openaoc.kernel.actor import SYSTEM, Actor
from openaoc.kernel.clock import ManualClock
from openaoc.kernel.errors import OpenAOCError
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
from tests.workflow.centre import BANKS, Centre
from tests.workflow.invariants import all_orders
from tests.workflow.invariants import check as amount_only

Owner = Callable[[], dict[str, str]]
NTH = st.integers(0, 999)
"""Which of what there is then. Not drawn from it: how much that is may differ from run to run by
ids and their order, and hypothesis takes a story told again with another choice for a fault.
"""


class Contests(RuleBasedStateMachine):
    """Holds on a shop and on strangers; holders, reviewers, institutions and the clock act."""

    make_owner: Owner

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="openaoc-machine-")
        path = Path(self.folder.name)
        self.clock = ManualClock(START)
        self.database = connect_database(
            type(self).make_owner(), keys=Keyring(path / "keys"), clock=self.clock
        )
        self.centre = Centre(self.database, path, self.clock)
        self.centre.go_live(*BANKS)
        self.accounts = 0

    def teardown(self) -> None:
        self.centre.close()
        self.database.close()
        self.folder.cleanup()

    @initialize()
    def a_shop(self) -> None:
        tell_history(self.centre, "SCB:2")

    @rule(amount=st.integers(200_000, 9_000_000), shop=st.booleans(), share=st.integers(0, 100))
    def a_hold(self, amount: int, share: int, *, shop: bool) -> None:
        self.accounts += 1
        account = "SCB:2" if shop else f"SCB:90{self.accounts}"
        origin = self.centre.pay("KBANK:1", account, amount, ago=timedelta(minutes=5))
        for line in self.centre.file(origin).orders:
            if line.state == "issued" and share:
                self.centre.answer(line.order, "SCB", max(line.amount_minor * share // 100, 1))

    @rule(nth=NTH)
    def a_contest(self, nth: int) -> None:
        known = [o.id for o in self.orders() if o.mode == "live"]
        if known:
            order = known[nth % len(known)]
            self.tried(
                "contest", lambda: contest(self.centre, order, code=code_of(self.centre, order))
            )

    @rule(nth=NTH, who=st.sampled_from([REVIEWER, OTHER, SUPERVISOR]))
    def a_review(self, nth: int, who: Actor) -> None:
        found = self.some(nth)
        if found is not None:
            self.tried("take", lambda: take(self.centre, found.appeal, who))

    @rule(
        nth=NTH,
        who=st.sampled_from([REVIEWER, OTHER, SUPERVISOR]),
        outcome=st.sampled_from(["uphold", "uphold_in_part", "refuse"]),
        part=st.integers(1, 9_000_000),
    )
    def a_decision(self, who: Actor, outcome: str, *, nth: int, part: int) -> None:
        found = self.some(nth)
        if found is None:
            return
        decision = {
            "uphold": uphold(),
            "uphold_in_part": uphold(outcome="uphold_in_part", release_minor=part),
            "refuse": refuse(),
        }[outcome]
        self.tried("decide", lambda: decide(self.centre, found.appeal, decision, who))

    @rule(nth=NTH, who=st.sampled_from([SUPERVISOR, SECOND]), agree=st.booleans())
    def a_second_word(self, nth: int, who: Actor, *, agree: bool) -> None:
        found = self.some(nth)
        if found is not None:
            self.tried("second", lambda: second(self.centre, found.appeal, agree=agree, who=who))

    @rule(nth=NTH, whole=st.booleans())
    def a_release(self, nth: int, *, whole: bool) -> None:
        holding = [o for o in self.orders() if o.state in HOLDING]
        if holding:
            order = holding[nth % len(holding)]
            amount = None if whole else max(order.held_minor // 2, 1)
            with self.database.uow.begin(SUPERVISOR) as tx:
                self.centre.matter.holds.release(tx, order.id, "a test's", amount_minor=amount)

    @precondition(lambda self: self.accounts)
    @rule(hours=st.sampled_from([1, 5, 26, 80]))
    def time_passes(self, hours: int) -> None:
        self.clock.advance(timedelta(hours=hours))
        self.centre.matter.duties.run_due()

    @invariant()
    def amounts_and_money(self) -> None:
        amount_only(self.centre)

    @invariant()
    def contests_follow_their_holds(self) -> None:
        orders = {o.id: o for o in self.orders()}
        released: dict[str, int] = {}
        open_on: set[str] = set()
        for appeal in self.appeals():
            order = orders[appeal.order]
            if appeal.state in OPEN:
                assert order.state not in ENDED, "nothing is left to contest"
                assert order.id not in open_on, "one contest at a time"
                open_on.add(order.id)
            if appeal.state is AppealState.UPHELD:
                assert order.state in (OrderState.RELEASED, OrderState.WITHDRAWN)
            if appeal.state is AppealState.REFUSED:
                assert appeal.released_minor == 0
            if appeal.state in DECIDED:
                self.decided_by_enough(appeal)
            released[order.id] = released.get(order.id, 0) + appeal.released_minor
        for order_id, amount in released.items():
            assert amount <= orders[order_id].ceiling_minor, "more given back than was held"

    @invariant()
    def wrongful_holds_are_on_record(self) -> None:
        with self.database.uow.read(SUPERVISOR) as tx:
            records = self.centre.matter.appeals.compensations(tx).compensations
        wrong = {r.appeal: r.wrongful_minor for r in records}
        for appeal in self.appeals():
            if appeal.appeal in wrong:
                assert wrong[appeal.appeal] == appeal.released_minor > 0
            elif appeal.state is AppealState.UPHELD_IN_PART:
                raise AssertionError("given back in part and not on record")

    def decided_by_enough(self, appeal: AppealView) -> None:
        assert appeal.proposal is not None
        if appeal.decided_by == SYSTEM.id:
            assert appeal.evidence is not None
            assert appeal.evidence.likely_innocent
            return
        if appeal.persons_needed == 2:
            assert appeal.decided_by != appeal.proposed_by
        assert appeal.evidence is not None
        if appeal.state is not AppealState.REFUSED and appeal.evidence.likely_mule:
            assert appeal.persons_needed == 2
        if appeal.released_minor > self.centre.matter.appeals.rules.alone_minor:
            assert appeal.persons_needed == 2

    def orders(self) -> list[OrderRecord]:
        return all_orders(self.centre)

    def appeals(self) -> list[AppealView]:
        found: list[AppealView] = []
        with self.database.uow.read(SUPERVISOR) as tx:
            for state in AppealState:
                found += self.centre.matter.appeals.list(tx, state=state, limit=200).appeals
        return found

    def some(self, nth: int) -> AppealView | None:
        known = self.appeals()
        return known[nth % len(known)] if known else None

    @staticmethod
    def tried(name: str, act: Callable[[], object]) -> None:
        """A refusal is an answer too: it must change nothing, which the invariants see.

        How often each is done shows in hypothesis' statistics; that lives get anywhere is a test
        of its own (tests/workflow/test_whole_life.py).
        """
        try:
            act()
        except OpenAOCError as refusal:
            event(f"{name}: refused, {type(refusal).__name__}")
        else:
            event(f"{name}: done")


def run(make_owner: Owner, *, examples: int, steps: int) -> None:
    machine = type("ContestsHere", (Contests,), {"make_owner": staticmethod(make_owner)})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_contests_and_holds_check_their_invariants(make_owner: Owner) -> None:
    run(make_owner, examples=6, steps=14)


@pytest.mark.long
def test_contests_and_holds_for_long_check_their_invariants(make_owner: Owner) -> None:
    run(make_owner, examples=120, steps=30)
