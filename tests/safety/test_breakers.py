"""Automatic orders stop when there are too many or too many were wrong; nothing is lost."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openaoc.holds.model import OrderState, OrderView
from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.clock import EPOCH
from openaoc.kernel.errors import BadInput, NotFound
from openaoc.parties.permissions import NotPermitted
from openaoc.safety.breakers import figures
from openaoc.safety.counting import HourCounts
from openaoc.safety.model import Breaker, BreakerClosed, Limits
from openaoc.storage.errors import TryAgain
from tests.appeals.contests import contest, decide, held, second, take, uphold
from tests.workflow.centre import ADMIN, AGENT, INVESTIGATOR, SUPERVISOR, Centre
from tests.workflow.invariants import check as invariants

S = OrderState


def limit(centre: Centre, **changes: int) -> None:
    """Narrow the limits of this centre."""
    centre.matter.breakers.limits = msgspec.structs.replace(
        centre.matter.breakers.limits, **changes
    )


def report(centre: Centre, number: int, bank: str = "SCB") -> OrderView:
    """A payment to an account nobody else uses, reported by the payer's bank: its order."""
    origin = centre.pay("KBANK:1", f"{bank}:5{number}", 10_000, ago=timedelta(minutes=3))
    return centre.orders(centre.file(origin).case)[0]


def close(centre: Centre, scope: str, *, resume: bool = False) -> Breaker:
    with centre.database.uow.begin(SUPERVISOR) as tx:
        return centre.matter.breakers.close(tx, scope, reason="looked at", resume=resume)


def open_scopes(centre: Centre) -> list[str]:
    with centre.database.uow.read(SUPERVISOR) as tx:
        return [b.scope for b in centre.matter.breakers.list(tx).breakers if b.open]


@pytest.mark.parametrize(
    ("changes", "scope"),
    [
        ({"institution_per_hour": 2}, "institution:SCB"),
        ({"source_per_hour": 2}, "source:usr_kbank"),
        ({"orders_per_hour": 2}, "all"),
    ],
)
def test_beyond_the_limit_orders_wait_for_a_person(
    centre: Centre, changes: dict[str, int], scope: str
) -> None:
    limit(centre, **changes)
    orders = [report(centre, n) for n in range(4)]
    assert [o.state for o in orders] == [S.ISSUED, S.ISSUED, S.DRAFTED, S.DRAFTED]
    assert {o.paused_by for o in orders[2:]} == {scope}
    assert any(scope in why for why in orders[2].why)
    assert open_scopes(centre) == [scope]
    assert len(centre.outbox.orders()) == 2
    centre.clock.advance(timedelta(minutes=2))
    centre.matter.duties.run_due()
    assert centre.orders(orders[2].case)[0].state is S.DRAFTED, "a new trace does not send it"
    with centre.database.uow.begin(SUPERVISOR) as tx:
        assert centre.matter.holds.approve(tx, orders[2].order).state is S.ISSUED
    invariants(centre)


def test_other_institutions_go_on(centre: Centre) -> None:
    limit(centre, institution_per_hour=1)
    report(centre, 1)
    assert report(centre, 2).state is S.DRAFTED
    assert report(centre, 3, "BBL").state is S.ISSUED


def test_an_hour_later_it_is_still_open_until_a_person_closes_it(centre: Centre) -> None:
    limit(centre, institution_per_hour=1)
    report(centre, 1)
    caught = report(centre, 2)
    centre.clock.advance(timedelta(hours=2))
    assert report(centre, 3).state is S.DRAFTED
    with pytest.raises(NotPermitted), centre.database.uow.begin(INVESTIGATOR) as tx:
        centre.matter.breakers.close(tx, "institution:SCB", reason="looked at")
    close(centre, "institution:SCB")
    assert report(centre, 4).state is S.ISSUED
    centre.clock.advance(timedelta(minutes=5))
    centre.matter.duties.run_due()
    assert centre.orders(caught.case)[0].state is S.DRAFTED, "closed, but what it caught waits"
    with pytest.raises(BreakerClosed):
        close(centre, "institution:BBL")


def test_closing_may_let_go_what_was_caught(centre: Centre) -> None:
    limit(centre, institution_per_hour=1)
    report(centre, 1)
    caught = [report(centre, n) for n in (2, 3)]
    limit(centre, institution_per_hour=100)
    close(centre, "institution:SCB", resume=True)
    centre.matter.duties.run_due()
    assert [centre.orders(o.case)[0].state for o in caught] == [S.ISSUED, S.ISSUED]
    assert len(centre.outbox.orders()) == 3
    invariants(centre)


def test_what_is_let_go_is_counted_too(centre: Centre) -> None:
    limit(centre, institution_per_hour=1)
    report(centre, 1)
    caught = [report(centre, n) for n in (2, 3)]
    close(centre, "institution:SCB", resume=True)
    centre.matter.duties.run_due()
    states = sorted(centre.orders(o.case)[0].state for o in caught)
    assert states == [S.DRAFTED, S.ISSUED]
    assert open_scopes(centre) == ["institution:SCB"]


def test_the_window_is_an_hour_that_moves(centre: Centre) -> None:
    limit(centre, institution_per_hour=2)
    report(centre, 1)
    centre.clock.advance(timedelta(minutes=40))
    report(centre, 2)
    centre.clock.advance(timedelta(minutes=30))
    assert report(centre, 3).state is S.ISSUED, "the first is more than an hour ago"
    assert report(centre, 4).state is S.DRAFTED


def test_after_a_restart_the_hour_is_known_again(centre: Centre) -> None:
    limit(centre, institution_per_hour=3)
    for n in range(2):
        report(centre, n)
    counted = centre.matter.breakers.count("institution:SCB", now=centre.clock.now())
    centre.matter = centre.build()
    centre.matter.pursuit.start()
    assert centre.matter.breakers.count("institution:SCB", now=centre.clock.now()) == counted == 2
    assert centre.matter.breakers.count("source:usr_kbank", now=centre.clock.now()) == 2
    limit(centre, institution_per_hour=3)
    assert [report(centre, n).state for n in (3, 4)] == [S.ISSUED, S.DRAFTED]
    centre.matter = centre.build()
    centre.matter.pursuit.start()
    assert report(centre, 5).state is S.DRAFTED, "open breakers stay open"


def passed(centre: Centre, *, fails: bool) -> None:
    """One order through the gate, in a transaction that may fail."""
    with centre.database.uow.begin(SYSTEM) as tx:
        gate = centre.matter.breakers.gate(tx)
        assert gate.pause(institution="SCB", source="x", rule="r") is None
        if fails:
            raise TryAgain("the test's own")


def test_a_transaction_that_fails_counts_nothing(centre: Centre) -> None:
    with pytest.raises(TryAgain):
        passed(centre, fails=True)
    assert centre.matter.breakers.count("institution:SCB", now=centre.clock.now()) == 0
    passed(centre, fails=False)
    assert centre.matter.breakers.count("institution:SCB", now=centre.clock.now()) == 1


def test_shadow_orders_are_not_counted(shadow_centre: Centre) -> None:
    limit(shadow_centre, orders_per_hour=1)
    orders = [report(shadow_centre, n) for n in range(3)]
    assert [o.state for o in orders] == [S.ISSUED] * 3
    assert open_scopes(shadow_centre) == []


@pytest.mark.parametrize("who", [INVESTIGATOR, ADMIN, SUPERVISOR])
def test_one_person_stops_a_rule(centre: Centre, who: object) -> None:
    rule = report(centre, 1).rule
    with centre.database.uow.begin(who) as tx:  # type: ignore[arg-type]  # one of the actors above
        opened = centre.matter.breakers.open(tx, f"rule:{rule}", reason="its words are wrong")
    assert opened.open
    assert report(centre, 2).paused_by == f"rule:{rule}"
    with centre.database.uow.read(SUPERVISOR) as tx:
        shown = figures(tx)
    assert (shown.rules_open, shown.orders_waiting, shown.all_open) == (1, 1, False)


def test_a_breaker_holds_from_its_commit_on(centre: Centre) -> None:
    """Whoever plans next may hold the matter before anybody is told of the commit."""
    told: list[str] = []

    def plan_meanwhile() -> None:
        told.append(report(centre, 1).paused_by or "")

    with centre.database.uow.begin(SUPERVISOR) as tx:
        tx.after_commit(plan_meanwhile)
        centre.matter.breakers.open(tx, "institution:SCB", reason="something is wrong")
    assert told == ["institution:SCB"]


def test_a_breaker_whose_change_failed_is_as_it_was(centre: Centre) -> None:
    def fail() -> None:
        with centre.database.uow.begin(SUPERVISOR) as tx:
            centre.matter.breakers.open(tx, "all", reason="something is wrong")
            centre.matter.breakers.gate(tx)
            raise TryAgain("the test's own")

    with pytest.raises(TryAgain):
        fail()
    assert report(centre, 1).paused_by is None
    assert open_scopes(centre) == []


def test_of_two_that_close_it_one_does(centre: Centre) -> None:
    """The second waits for the first, and is told what the first has done: not twice in a row."""
    refused: list[str] = []

    def again() -> None:
        with pytest.raises(BreakerClosed):
            close(centre, "institution:SCB")
        refused.append("institution:SCB")

    with centre.database.uow.begin(SUPERVISOR) as tx:
        centre.matter.breakers.open(tx, "institution:SCB", reason="something is wrong")
    with centre.database.uow.begin(SUPERVISOR) as tx:
        tx.after_commit(again)
        centre.matter.breakers.close(tx, "institution:SCB", reason="looked at")
    assert refused == ["institution:SCB"]


def test_not_everybody_stops_the_centre(centre: Centre) -> None:
    with pytest.raises(NotPermitted), centre.database.uow.begin(AGENT) as tx:
        centre.matter.breakers.open(tx, "all", reason="just because")
    for wrong in ("", "everything", "bank:SCB", "institution:", "source:a b"):
        with pytest.raises(BadInput), centre.database.uow.begin(SUPERVISOR) as tx:
            centre.matter.breakers.open(tx, wrong, reason="a typing error")


def test_a_breaker_of_nothing_is_refused(centre: Centre) -> None:
    for wrong in ("institution:SCBB", "rule:TH-victm"):
        with pytest.raises(NotFound), centre.database.uow.begin(SUPERVISOR) as tx:
            centre.matter.breakers.open(tx, wrong, reason="a typing error")
    with centre.database.uow.begin(SUPERVISOR) as tx:
        opened = centre.matter.breakers.open(tx, "institution:scb", reason="in small letters")
    assert opened.scope == "institution:SCB"


def test_upheld_contests_stop_what_caused_them(centre: Centre) -> None:
    limit(centre, upheld_min=1, upheld_percent=50)
    appeal = contest(centre, held(centre)).appeal
    take(centre, appeal)
    decide(centre, appeal, uphold())
    assert open_scopes(centre) == []
    second(centre, appeal)
    assert open_scopes(centre) == ["institution:SCB", "source:usr_kbank"]
    assert report(centre, 9).state is S.DRAFTED


def test_limits_come_from_the_settings(centre: Centre) -> None:
    assert Limits.of(centre.settings).orders_per_hour == 300_000
    assert Limits.of(centre.settings).per_hour("rule:x") is None


@given(
    st.lists(st.tuples(st.integers(0, 7_200), st.integers(1, 5)), max_size=40),
    st.integers(0, 3_600),
)
def test_counts_are_those_of_the_last_hour(added: list[tuple[int, int]], later: int) -> None:
    counts, moments = HourCounts(), sorted(added)
    for second_no, amount in moments:
        counts.add("x", amount, at=EPOCH + timedelta(seconds=second_no))
    now = EPOCH + timedelta(seconds=7_200 + later)
    oldest = (7_200 + later) // 60 - 60
    expected = sum(amount for second_no, amount in moments if second_no // 60 > oldest)
    assert counts.count("x", now=now) == expected
    assert counts.count("y", now=now) == 0
