"""A random life of restitutions: never more than held, never twice, money conserved."""

from __future__ import annotations

import contextlib
import random
from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import hypothesis.strategies as st
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings

from openaoc.holds.model import HOLDING, WAITING
from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.clock import ManualClock
from openaoc.kernel.errors import OpenAOCError
from openaoc.kernel.ids import random_text
from openaoc.restitution.model import (
    OPEN_TO_OBJECTION,
    LineState,
    ObjectionState,
    Restitution,
    RestitutionState,
)
from openaoc.restitution.shares import share
from openaoc.storage.database import connect_database
from openaoc.storage.keyring import Keyring
from tests.conftest import START
from tests.restitution.world import (
    confirm,
    decide,
    hold_long,
    made,
    object_to,
    objection,
    propose,
    publish,
)
from tests.workflow.centre import AGENT, BANKS, INVESTIGATOR, SECOND, SUPERVISOR, Centre
from tests.workflow.invariants import all_orders, check, settle

VICTIMS = ("KBANK:1", "KBANK:2", "BBL:1")
MULES = ("SCB:1", "SCB:2", "WALLET:1")


class Life:
    """Steps of a small world of victims, mules, judges and paying banks."""

    def __init__(self, centre: Centre, choice: random.Random) -> None:
        self.centre, self.choice = centre, choice
        self.cases: list[str] = []
        self.paid = 0

    def report(self) -> None:
        victim, mule = self.choice.choice(VICTIMS), self.choice.choice(MULES)
        ago = timedelta(seconds=self.choice.choice([5, 60]))
        origin = self.centre.pay(victim, mule, self.choice.randint(1, 1_000), ago=ago)
        if self.choice.random() < 0.5:
            away = self.choice.choice([m for m in MULES if m != mule])
            self.centre.pay(mule, away, self.choice.randint(1, 700), ago=timedelta(seconds=1))
        receipt = self.centre.file(origin, reporter=None)
        self.cases.append(receipt.case)
        for order in all_orders(self.centre):
            if order.state in WAITING:
                applied = self.choice.choice([order.amount_minor, order.amount_minor // 2])
                self.centre.answer(order.id, order.institution, applied)
        settle(self.centre)
        hold_long(self.centre, receipt.case)

    def all(self) -> list[Restitution]:
        with self.centre.database.uow.read(SUPERVISOR) as tx:
            return self.centre.matter.returning.restitutions.list(tx, limit=200).restitutions

    def one(self, *states: RestitutionState) -> Restitution | None:
        found = [one for one in self.all() if one.state in states]
        return self.choice.choice(found) if found else None

    def propose(self) -> None:
        if self.cases:
            propose(self.centre, self.choice.choice(self.cases))

    def publish(self) -> None:
        if one := self.one(RestitutionState.PROPOSED):
            publish(self.centre, one.id)

    def object(self) -> None:
        if one := self.one(*OPEN_TO_OBJECTION):
            line = self.choice.choice(one.lines)
            amount = self.choice.randint(1, max(line.amount_minor, 1))
            kind = self.choice.choice(["holder", "claimant"])
            new = objection(line.order, amount_minor=amount, kind=kind)
            object_to(self.centre, one.id, new, actor=AGENT)

    def decide(self) -> None:
        one = self.one(RestitutionState.OBJECTED)
        for said in one.objections if one else ():
            if one and said.state is not ObjectionState.DECIDED:
                upheld = self.choice.randint(0, said.claimed_minor)
                decide(self.centre, one.id, said.no, upheld)
                decide(self.centre, one.id, said.no, upheld, actor=SECOND)

    def pay(self) -> None:
        """The bank pays, some of it at times, tells the ledger before or after, or repeats."""
        one = self.one(RestitutionState.PAYABLE, RestitutionState.PAID)
        if one is None:
            return
        line = self.choice.choice(one.lines)
        amount = self.choice.choice([line.amount_minor, max(line.amount_minor // 2, 1)])
        self.paid += 1
        name = line.paid_id or f"back-{self.paid}"
        payment = made(self.centre, amount, transfer=name)
        debtor = f"{line.institution}:{line.account}"
        creditor = f"{line.payee_bank}:{line.payee_account}"
        fresh = line.state is LineState.OPEN and line.held_minor >= amount > 0
        first = self.choice.random() < 0.5
        if fresh and first:
            self.centre.pay(debtor, creditor, amount, name=name, ago=timedelta(0))
        confirm(self.centre, one.id, line.no, payment, bank=line.institution)
        if fresh and not first:
            self.centre.pay(debtor, creditor, amount, name=name, ago=timedelta(0))

    def release(self) -> None:
        holding = [o for o in all_orders(self.centre) if o.state in HOLDING]
        if holding:
            order = self.choice.choice(holding)
            with self.centre.database.uow.begin(INVESTIGATOR) as tx:
                self.centre.matter.holds.release(
                    tx, order.id, "a reason", amount_minor=self.choice.randint(1, order.held_minor)
                )

    def end(self) -> None:
        if self.choice.random() < 0.3 and (one := self.one(*RestitutionState)):
            with self.centre.database.uow.begin(SUPERVISOR) as tx:
                self.centre.matter.returning.restitutions.end(tx, one.id, reason="no ground")

    def wait(self) -> None:
        self.centre.clock.advance(timedelta(days=self.choice.choice([1, 16, 31])))

    def restart(self) -> None:
        if self.choice.random() < 0.3:
            self.centre.matter = self.centre.build()

    def acts(self) -> dict[Callable[[], None], int]:
        """What may happen next, and how often."""
        return {
            self.report: 4,
            self.propose: 5,
            self.publish: 5,
            self.object: 2,
            self.decide: 4,
            self.pay: 6,
            self.release: 1,
            self.end: 1,
            self.wait: 4,
            self.restart: 1,
        }

    def step(self) -> None:
        weights = self.acts()
        [act] = self.choice.choices(list(weights), weights=list(weights.values()))
        with contextlib.suppress(OpenAOCError):  # refused, whatever the reason: nothing changed
            act()
        settle(self.centre)
        check(self.centre)
        self.check()

    def check(self) -> None:
        """Nothing paid beyond a hold, a line or a loss; every trace says what was paid."""
        paid: dict[str, int] = defaultdict(int)
        of_case: dict[str, int] = defaultdict(int)
        transfers = []
        for one in self.all():
            assert (one.state is RestitutionState.PAID) <= (one.paid_minor > 0)
            for line in one.lines:
                assert 0 <= line.paid_minor <= line.amount_minor <= line.proposed_minor
                paid[line.order] += line.paid_minor
                of_case[one.case] += line.paid_minor
                if line.paid_id is not None:
                    transfers.append((line.paid_by, line.paid_id))
        assert len(transfers) == len(set(transfers)), "a transfer paid twice"
        for order in all_orders(self.centre):
            assert paid[order.id] + order.held_minor <= order.applied_minor, "more than was held"
        with self.centre.database.uow.read(SYSTEM) as tx:
            told = tx.connection.execute(
                sa.text(
                    "select case_id, sum(amount_minor) from hold_events"
                    " where kind = 'restitution' group by case_id"
                )
            ).all()
        assert {case: int(amount) for case, amount in told} == {
            case: amount for case, amount in of_case.items() if amount
        }
        for case in self.centre.tracing.registered():
            numbers = self.centre.tracing.look(case).numbers
            assert numbers.accounted_minor() == numbers.loss_minor, "money is conserved"
            assert numbers.restituted_minor == of_case[case]
            assert of_case[case] <= numbers.loss_minor, "more than was lost"


@settings(
    max_examples=2,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(seed=st.integers(0, 2**32))
def test_never_more_than_held_never_twice_in_a_random_life(
    make_owner: Callable[[], dict[str, str]], tmp_path: Path, seed: int
) -> None:
    folder = tmp_path / random_text(8)
    clock = ManualClock(START)
    database = connect_database(make_owner(), keys=Keyring(folder / "keys"), clock=clock)
    centre = Centre(database, folder, clock)
    try:
        centre.go_live(*BANKS)
        life = Life(centre, random.Random(seed))  # noqa: S311 - a replayable example
        for _ in range(40):
            life.step()
    finally:
        centre.close()
        database.close()


@given(st.integers(0, 10**12), st.lists(st.integers(0, 10**9), min_size=1, max_size=8))
def test_shares_add_up_and_none_is_above_its_weight(total: int, weights: list[int]) -> None:
    shares = share(total, weights)
    assert sum(shares) == min(total, sum(weights))
    assert all(0 <= part <= weight for part, weight in zip(shares, weights, strict=True))
    if 0 < total < sum(weights):
        exact = [total * weight / sum(weights) for weight in weights]
        assert all(abs(part - fair) < 1 for part, fair in zip(shares, exact, strict=True))
