"""Everything a faulty rule, reporter or partner caused is taken back, by two, and listed."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from openaoc.holds.model import OrderState, SamePerson
from openaoc.kernel.actor import Actor, Role
from openaoc.kernel.errors import BadInput
from openaoc.parties.permissions import NotPermitted
from openaoc.reports.model import Channel
from openaoc.safety import undo as undo_module
from openaoc.safety.model import (
    NoSuchRun,
    Preview,
    RunState,
    RunView,
    Selection,
    Touched,
    UndoRequest,
    WrongRunState,
)
from openaoc.storage.errors import TryAgain
from tests.workflow.centre import AGENT, INVESTIGATOR, SECOND, SUPERVISOR, Centre, machine
from tests.workflow.invariants import all_orders, settle
from tests.workflow.invariants import check as invariants

S = OrderState


def fill(centre: Centre, count: int = 3) -> None:
    """Two banks report: every second order is applied; one more sender stays out of it."""
    for n in range(count):
        origin = centre.pay("KBANK:1", f"SCB:6{n}", 10_000 + n, ago=timedelta(minutes=5))
        order = centre.file(origin).orders[0]
        if n % 2 == 0:
            centre.answer(order.order, "SCB", order.amount_minor)
    origin = centre.pay("BBL:1", "SCB:700", 50_000, ago=timedelta(minutes=5))
    centre.answer(centre.file(origin).orders[0].order, "SCB", 50_000)


def preview(centre: Centre, **selection: object) -> Preview:
    with centre.database.uow.read(INVESTIGATOR) as tx:
        return centre.matter.undo.preview(tx, msgspec.convert(selection, Selection))


def propose(centre: Centre, **selection: object) -> RunView:
    chosen = msgspec.convert(selection, Selection)
    request = UndoRequest(selection=chosen, reason="false reports")
    with centre.database.uow.begin(SUPERVISOR) as tx:
        return centre.matter.undo.propose(tx, request)


def approve(centre: Centre, run: str) -> RunView:
    with centre.database.uow.begin(SECOND) as tx:
        return centre.matter.undo.approve(tx, run)


def show(centre: Centre, run: str) -> RunView:
    with centre.database.uow.read(SUPERVISOR) as tx:
        return centre.matter.undo.show(tx, run)


def touched(centre: Centre, run: str, limit: int = 2) -> list[Touched]:
    found: list[Touched] = []
    cursor: str | None = None
    with centre.database.uow.read(SUPERVISOR) as tx:
        while True:
            page = centre.matter.undo.touched(tx, run, cursor=cursor, limit=limit)
            found += page.touched
            cursor = page.cursor
            if cursor is None:
                return found


def run_to_the_end(centre: Centre, run: str) -> RunView:
    for _ in range(50):
        centre.matter.undo.run_due()
        if show(centre, run).state is RunState.DONE:
            break
    return show(centre, run)


def test_the_dry_run_says_what_it_would_touch_and_touches_nothing(centre: Centre) -> None:
    fill(centre)
    before = all_orders(centre)
    found = preview(centre, reporter="usr_kbank")
    assert (found.orders, found.cases, found.accounts) == (3, 3, 3)
    assert (found.held_minor, found.waiting_minor) == (10_000 + 10_002, 10_001)
    assert {one.account for one in found.first} == {"60", "61", "62"}
    assert preview(centre, reporter="KBANK").orders == 3
    assert preview(centre, institution="SCB").orders == 4
    assert preview(centre, institution="BBL").orders == 0
    assert preview(centre, partner="usr_kbank").orders == 0
    assert all_orders(centre) == before
    assert centre.outbox.ends() == []


def test_a_partner_is_named_by_its_code(centre: Centre) -> None:
    fill(centre, 1)
    origin = centre.pay("KBANK:1", "SCB:800", 30_000, ago=timedelta(minutes=5))
    abroad = Actor(id="partner:XN-AOC", roles=frozenset({Role.SYSTEM}))
    case = centre.file(origin, sender=abroad, channel=Channel.PARTNER).case
    assert preview(centre, partner="XN-AOC").waiting_minor == 30_000
    assert preview(centre, partner="partner:XN-AOC").orders == 1
    assert preview(centre, partner="XN").orders == 0
    run = propose(centre, partner="XN-AOC").undo
    approve(centre, run)
    assert run_to_the_end(centre, run).withdrawn_minor == 30_000
    assert [order.state for order in centre.orders(case)] == [S.WITHDRAWN]
    with centre.database.uow.read(SUPERVISOR) as tx:
        [stopped] = centre.matter.breakers.list(tx).breakers
    assert (stopped.scope, stopped.open) == ("source:partner:XN-AOC", True)


@pytest.mark.parametrize("batch", [1, 2, 50])
def test_two_persons_take_back_what_a_reporter_caused(
    centre: Centre, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr(undo_module, "BATCH_MAX", batch)
    fill(centre)
    run = propose(centre, reporter="usr_kbank").undo
    assert centre.matter.undo.run_due() == 0, "nothing before the second person"
    with pytest.raises(SamePerson), centre.database.uow.begin(SUPERVISOR) as tx:
        centre.matter.undo.approve(tx, run)
    assert approve(centre, run).state is RunState.RUNNING
    done = run_to_the_end(centre, run)
    assert (done.orders, done.released_minor, done.withdrawn_minor) == (3, 20_002, 10_001)
    listed = touched(centre, run)
    assert [one.done for one in listed] == ["released", "withdrawn", "released"]
    assert {one.account for one in listed} == {"60", "61", "62"}
    told = {end.order: end.amount_minor for end in centre.outbox.ends()}
    assert told == {one.order: one.amount_minor for one in listed}
    states = {o.account: o.state for o in all_orders(centre)}
    assert states["700"] is S.APPLIED, "another's is left alone"
    assert {states["60"], states["61"]} == {S.RELEASED, S.WITHDRAWN}
    centre.clock.advance(timedelta(minutes=5))
    settle(centre)
    assert sum(o.active_minor for o in all_orders(centre)) == 50_000, "nothing is ordered again"
    invariants(centre)
    origin = centre.pay("KBANK:1", "SCB:999", 10_000, ago=timedelta(minutes=1))
    assert centre.file(origin).orders[0].state == "drafted", "the sender is stopped"


def test_a_rule_is_undone_and_stopped(centre: Centre) -> None:
    fill(centre)
    rule = all_orders(centre)[0].rule
    run = propose(centre, rule=rule).undo
    approve(centre, run)
    assert run_to_the_end(centre, run).orders == 4
    assert sum(o.active_minor for o in all_orders(centre)) == 0
    with centre.database.uow.read(SUPERVISOR) as tx:
        listed = centre.matter.breakers.list(tx).breakers
    assert [b.open for b in listed if b.scope == f"rule:{rule}"] == [True]


def test_the_window_is_kept(centre: Centre) -> None:
    fill(centre, 2)
    middle = centre.clock.now() + timedelta(minutes=5)
    centre.clock.advance(timedelta(minutes=10))
    fill_later = centre.pay("KBANK:1", "SCB:800", 7_000, ago=timedelta(minutes=1))
    centre.file(fill_later)
    assert preview(centre, reporter="usr_kbank", since=middle).orders == 1
    assert preview(centre, reporter="usr_kbank", until=middle).orders == 2
    run = propose(centre, reporter="usr_kbank", since=middle).undo
    approve(centre, run)
    assert run_to_the_end(centre, run).orders == 1
    assert [one.account for one in touched(centre, run)] == ["800"]


def test_a_crash_in_the_middle_is_gone_on_from(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(undo_module, "BATCH_MAX", 2)
    fill(centre, 6)
    run = propose(centre, reporter="usr_kbank").undo
    approve(centre, run)
    ended = centre.matter.undo._end
    calls = 0

    def crash(*args: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise RuntimeError("the machine is gone")
        return ended(*args)  # type: ignore[arg-type]  # passed on

    monkeypatch.setattr(centre.matter.undo, "_end", crash)
    centre.matter.undo.run_due()
    with pytest.raises(RuntimeError):
        centre.matter.undo.run_due()
    assert show(centre, run).orders == 2, "the second batch was not half done"
    assert len(touched(centre, run)) == 2
    centre.matter = centre.build()
    centre.matter.pursuit.start()
    done = run_to_the_end(centre, run)
    assert done.orders == 6
    assert len({one.order for one in touched(centre, run)}) == 6
    ends = [end.order for end in centre.outbox.ends()]
    assert len(ends) == len(set(ends)) == 6, "nobody was told twice"
    assert centre.matter.undo.run_due() == 0


def test_an_order_that_ended_meanwhile_is_left_out(centre: Centre) -> None:
    fill(centre)
    run = propose(centre, institution="SCB").undo
    approve(centre, run)
    gone = next(o for o in all_orders(centre) if o.account == "60")
    with centre.database.uow.begin(machine("SCB")) as tx:
        centre.matter.holds.release(tx, gone.id, "given back by us")
    assert run_to_the_end(centre, run).orders == 3
    assert gone.id not in {one.order for one in touched(centre, run)}


def test_drafts_that_go_out_meanwhile_are_still_taken_back(centre: Centre) -> None:
    origin = centre.pay("KBANK:1", "SCB:61", 10_000, ago=timedelta(minutes=3))
    report = centre.report(origin)
    other = machine("BBL")
    receipt, _ = centre.matter.intake.receive(report, sender=other, idempotency_key="")
    assert centre.orders(receipt.case)[0].state is S.DRAFTED
    run = propose(centre, reporter=other.id).undo
    approve(centre, run)
    centre.clock.advance(timedelta(minutes=1))
    with centre.database.uow.begin(SUPERVISOR) as tx:
        centre.matter.holds.approve(tx, receipt.orders[0].order)
    assert run_to_the_end(centre, run).orders == 1
    assert centre.orders(receipt.case)[0].state is S.WITHDRAWN


def test_a_proposal_may_be_dropped_but_a_running_one_not(centre: Centre) -> None:
    fill(centre, 1)
    run = propose(centre, reporter="usr_kbank").undo
    with centre.database.uow.begin(INVESTIGATOR) as tx:
        assert centre.matter.undo.drop(tx, run, reason="wrong one").state is RunState.DROPPED
    with pytest.raises(WrongRunState):
        approve(centre, run)
    second = propose(centre, reporter="usr_kbank").undo
    approve(centre, second)
    with pytest.raises(WrongRunState), centre.database.uow.begin(INVESTIGATOR) as tx:
        centre.matter.undo.drop(tx, second, reason="too late")
    with pytest.raises(NoSuchRun):
        show(centre, "und_none")


def test_nobody_undoes_everything_or_alone(centre: Centre) -> None:
    for wrong in ({}, {"since": centre.clock.now()}):
        with pytest.raises(BadInput):
            preview(centre, **wrong)
    now = centre.clock.now()
    with pytest.raises(BadInput):
        preview(centre, rule="x", since=now, until=now)
    with pytest.raises(NotPermitted), centre.database.uow.read(AGENT) as tx:
        centre.matter.undo.preview(tx, Selection(rule="x"))
    run = propose(centre, rule="x").undo
    with pytest.raises(NotPermitted), centre.database.uow.begin(INVESTIGATOR) as tx:
        centre.matter.undo.approve(tx, run)


def test_busy_moments_are_tried_again(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(centre, 1)
    run = propose(centre, reporter="usr_kbank").undo
    approve(centre, run)
    ended, calls = centre.matter.undo._end, 0

    def busy(*args: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise TryAgain("another change came between")
        return ended(*args)  # type: ignore[arg-type]  # passed on

    monkeypatch.setattr(centre.matter.undo, "_end", busy)
    assert run_to_the_end(centre, run).orders == 1
