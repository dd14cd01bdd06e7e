"""Amount only, whatever happens and in whatever order: a random life, and many at once."""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import random
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import hypothesis.strategies as st
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings

from openaoc.holds.model import HOLDING, WAITING, OrderState
from openaoc.kernel.actor import CITIZEN, SYSTEM
from openaoc.kernel.clock import ManualClock
from openaoc.kernel.errors import Conflict
from openaoc.kernel.ids import random_text
from openaoc.storage.database import connect_database
from openaoc.storage.keyring import Keyring
from openaoc.storage.unit_of_work import retrying
from tests.conftest import START
from tests.workflow.centre import BANKS, INVESTIGATOR, SUPERVISOR, Centre, machine
from tests.workflow.invariants import all_orders, check, check_messages, settle

ACCOUNTS = [f"{bank}:{n}" for bank in ("KBANK", "SCB", "BBL") for n in (1, 2)]


class Life:
    """Steps of a small world, each chosen by an example's random numbers."""

    def __init__(self, centre: Centre, choice: random.Random) -> None:
        self.centre, self.choice = centre, choice
        self.paid: list[str] = []

    def pay(self) -> None:
        debtor, creditor = self.choice.sample(ACCOUNTS, 2)
        ago = timedelta(seconds=self.choice.choice([1, 1, 60, 600]))
        name = self.centre.pay(debtor, creditor, self.choice.randint(1, 1_000), ago=ago)
        self.paid.append(name)

    def exit(self) -> None:
        self.centre.pay(
            self.choice.choice(ACCOUNTS),
            None,
            self.choice.randint(1, 300),
            ago=timedelta(seconds=1),
            channel="cash_withdrawal",
        )

    def report(self) -> None:
        if self.paid:
            sender = CITIZEN if self.choice.random() < 0.2 else None
            self.centre.file(self.choice.choice(self.paid), sender=sender, reporter=None)

    def answer(self) -> None:
        waiting = [o for o in all_orders(self.centre) if o.state in WAITING]
        if waiting:
            order = self.choice.choice(waiting)
            applied = self.choice.choice(
                [
                    order.amount_minor,
                    order.ceiling_minor,
                    self.choice.randint(0, order.amount_minor),
                ]
            )
            self.centre.answer(order.id, order.institution, applied)

    def release(self) -> None:
        holding = [o for o in all_orders(self.centre) if o.state in HOLDING]
        if holding:
            order = self.choice.choice(holding)
            amount = self.choice.randint(1, order.held_minor)
            with self.centre.database.uow.begin(INVESTIGATOR) as tx:
                self.centre.matter.holds.release(tx, order.id, "a reason", amount_minor=amount)

    def approve(self) -> None:
        drafted = [o for o in all_orders(self.centre) if o.state is OrderState.DRAFTED]
        if drafted:
            with self.centre.database.uow.begin(SUPERVISOR) as tx:
                self.centre.matter.holds.approve(tx, self.choice.choice(drafted).id)

    def withdraw(self) -> None:
        waiting = [o for o in all_orders(self.centre) if o.state in WAITING]
        if waiting and self.choice.random() < 0.3:
            with self.centre.database.uow.begin(SUPERVISOR) as tx:
                self.centre.matter.holds.withdraw(
                    tx, self.choice.choice(waiting).id, "a second look"
                )

    def wait(self) -> None:
        hours = self.choice.choice([0.001, 0.01, 0.3, 30])
        self.centre.clock.advance(timedelta(hours=hours))

    def restart(self) -> None:
        if self.choice.random() < 0.3:
            self.centre.matter = self.centre.build()

    def step(self) -> None:
        """One step, and everything that follows of itself; then the invariants."""
        weights = {
            self.pay: 5,
            self.exit: 1,
            self.report: 4,
            self.answer: 4,
            self.release: 1,
            self.approve: 1,
            self.withdraw: 1,
            self.wait: 2,
            self.restart: 1,
        }
        [act] = self.choice.choices(list(weights), weights=list(weights.values()))
        act()
        settle(self.centre)
        check(self.centre)
        check_messages(self.centre)


@settings(
    max_examples=6,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(seed=st.integers(0, 2**32))
def test_amount_only_after_every_step_of_a_random_life(
    make_owner: Callable[[], dict[str, str]], tmp_path: Path, seed: int
) -> None:
    folder = tmp_path / random_text(8)
    clock = ManualClock(START)
    database = connect_database(make_owner(), keys=Keyring(folder / "keys"), clock=clock)
    centre = Centre(database, folder, clock)
    try:
        centre.go_live(*BANKS)
        life = Life(centre, random.Random(seed))  # noqa: S311 - a replayable example
        for _ in range(30):
            life.step()
    finally:
        centre.close()
        database.close()


def test_traces_that_meet_never_take_one_minor_unit_twice(centre: Centre) -> None:
    """Filed, answered and traced at the same time; looked at all the while."""
    origins = [
        centre.pay(f"KBANK:v{n}", "SCB:mule", 1_000, ago=timedelta(minutes=9)) for n in range(20)
    ]
    centre.pay("SCB:mule", "BBL:next", 15_000, ago=timedelta(minutes=5))
    centre.pay("BBL:next", "WALLET:last", 7_000, ago=timedelta(minutes=4))
    reports = [centre.report(o, reporter=None) for o in origins for _ in range(2)]
    stop = threading.Event()
    worst: list[int] = []

    def watch() -> None:
        query = sa.text(
            "select coalesce(sum(case when state in ('applied','applied_in_part') then held_minor"
            " else amount_minor end), 0) from hold_orders"
            " where state in ('issued','acknowledged','applied','applied_in_part')"
        )
        while not stop.is_set():
            with centre.database.uow.read(SYSTEM) as tx:
                worst.append(int(tx.connection.execute(query).scalar_one()))

    def file(n: int) -> None:
        centre.matter.intake.receive(reports[n], sender=machine("KBANK"), idempotency_key=f"{n}")

    def answer(_: int) -> None:
        for order in all_orders(centre):
            if order.state in WAITING:
                take = functools.partial(
                    centre.answer, order.id, order.institution, order.amount_minor
                )
                with contextlib.suppress(Conflict):  # answered by another thread meanwhile
                    retrying(take)

    watcher = threading.Thread(target=watch)
    watcher.start()
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        filed = [pool.submit(file, n) for n in range(len(reports))]
        answered = [pool.submit(answer, n) for n in range(4)]
        traced = [pool.submit(centre.matter.duties.run_due) for _ in range(4)]
    assert not [f.exception() for f in (*filed, *answered) if f.exception()]
    assert not [f.exception() for f in traced if f.exception()]
    stop.set()
    watcher.join()
    settle(centre)
    check(centre)
    assert max(worst) <= 20_000
    held = sum(o.active_minor for o in all_orders(centre) if o.state in WAITING | HOLDING)
    assert held == 20_000, "all of the loss rests on accounts, and all of it is asked for"
