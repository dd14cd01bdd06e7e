"""A silent bank is called: the order is read aloud, checked, answered by voice, never doubled."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
import sqlalchemy as sa

from openaoc.holds.model import (
    Answer,
    AnsweredDifferently,
    MoreThanOrdered,
    NoSuchOrder,
    OrderState,
    OrderView,
    WrongTransition,
)
from openaoc.holds.telephone import OrderCheck, Paper, PhoneAnswer
from openaoc.kernel.actor import CITIZEN
from openaoc.kernel.errors import BadInput
from openaoc.parties.permissions import NotPermitted
from tests.workflow.centre import AGENT, SUPERVISOR, Centre, liaison, machine
from tests.workflow.invariants import check as invariants


def ordered(centre: Centre) -> tuple[str, str]:
    origin = centre.pay("KBANK:1", "SCB:2", 100_000, ago=timedelta(minutes=5))
    receipt = centre.file(origin)
    centre.clock.advance(timedelta(minutes=20))
    return receipt.case, receipt.orders[0].order


def paper(centre: Centre, order: str) -> Paper:
    with centre.database.uow.begin(AGENT) as tx:
        return centre.matter.telephone.paper(tx, order)


def valid(centre: Centre, order: str, code: str) -> bool:
    with centre.database.uow.read(CITIZEN) as tx:
        return centre.matter.telephone.check(tx, OrderCheck(order=order, code=code)).valid


def by_voice(centre: Centre, order: str, applied: int = 100_000, **changes: object) -> OrderView:
    values: dict[str, object] = {
        "outcome": "applied" if applied else "refused",
        "applied_minor": applied,
        "spoke_to": "Khun Ploy, fraud desk",
        "spoken_at": centre.clock.now() - timedelta(minutes=1),
    } | changes
    with centre.database.uow.begin(AGENT) as tx:
        return centre.matter.telephone.answer(tx, order, msgspec.convert(values, PhoneAnswer))


def own_word(centre: Centre, order: str, applied: int) -> OrderView:
    said = Answer(outcome="applied" if applied else "refused", applied_minor=applied)
    with centre.database.uow.begin(machine("SCB")) as tx:
        return centre.matter.holds.answer(tx, order, said)


def test_the_code_is_valid_for_what_was_read_and_for_nothing_else(centre: Centre) -> None:
    _, order = ordered(centre)
    printed = paper(centre, order)
    assert (printed.order.amount_minor, printed.order.account) == (100_000, "2")
    assert valid(centre, order, printed.code)
    assert valid(centre, order.upper(), printed.code.lower().replace("-", " "))
    assert not valid(centre, order, "0000-0000")
    assert not valid(centre, "ord_0", printed.code)
    assert not valid(centre, order, centre.matter.holds.codes.contest(order)[:9])
    centre.pay("SCB:2", "BBL:3", 40_000, ago=timedelta(minutes=1))
    centre.matter.duties.run_due()
    assert not valid(centre, order, printed.code), "lowered meanwhile: read it anew"
    assert valid(centre, order, paper(centre, order).code)
    with centre.database.uow.begin(SUPERVISOR) as tx:
        centre.matter.holds.withdraw(tx, order, "not needed")
    assert not valid(centre, order, printed.code)


def test_who_prints_is_on_record_and_only_the_centre_prints(centre: Centre) -> None:
    _, order = ordered(centre)
    paper(centre, order)
    with centre.database.uow.read(SUPERVISOR) as tx:
        who = tx.connection.execute(
            sa.text("select who from journal_rows where action = 'holds.order.printed'")
        ).scalar_one()
    assert who == AGENT.id
    for stranger in (liaison("SCB"), CITIZEN):
        with pytest.raises(NotPermitted), centre.database.uow.begin(stranger) as tx:
            centre.matter.telephone.paper(tx, order)
    with pytest.raises(NoSuchOrder):
        paper(centre, "ord_nothing")


def test_shadow_orders_are_not_read_to_anybody(shadow_centre: Centre) -> None:
    origin = shadow_centre.pay("KBANK:1", "SCB:2", 100_000)
    order = shadow_centre.file(origin).orders[0].order
    with pytest.raises(WrongTransition):
        paper(shadow_centre, order)
    assert not valid(shadow_centre, order, "0000-0000")


def test_an_answer_by_voice_holds_and_names_nobody(centre: Centre) -> None:
    case, order = ordered(centre)
    view = by_voice(centre, order)
    assert (view.state, view.held_minor) == (OrderState.APPLIED, 100_000)
    with centre.database.uow.read(SUPERVISOR) as tx:
        for table in ("journal_rows", "hold_phone_answers", "hold_answers"):
            asked = f"select t::text from {table} t"  # noqa: S608 - names of ours
            rows = tx.connection.execute(sa.text(asked)).scalars()
            assert not any("Ploy" in row for row in rows), table
        who = tx.connection.execute(
            sa.text("select who from journal_rows where action = 'holds.order.applied'")
        ).scalar_one()
    assert who == AGENT.id
    centre.matter.duties.run_due()
    assert [o.held_minor for o in centre.orders(case)] == [100_000]
    with pytest.raises(WrongTransition):
        by_voice(centre, order, 50_000)


@pytest.mark.parametrize(
    "changes",
    [
        {"spoken_at": "later"},
        {"spoken_at": "before"},
        {"outcome": "refused", "applied_minor": 5},
        {"applied_minor": 100_001},
    ],
)
def test_a_wrong_answer_by_voice_changes_nothing(
    centre: Centre, changes: dict[str, object]
) -> None:
    case, order = ordered(centre)
    times = {"later": timedelta(minutes=5), "before": timedelta(hours=-5)}
    if "spoken_at" in changes:
        changes = {"spoken_at": centre.clock.now() + times[str(changes["spoken_at"])]}
    with pytest.raises(BadInput):
        by_voice(centre, order, **changes)  # type: ignore[arg-type]  # a test's short form
    assert centre.orders(case)[0].state is OrderState.ISSUED
    assert by_voice(centre, order).state is OrderState.APPLIED


def test_the_machines_same_answer_doubles_nothing(centre: Centre) -> None:
    case, order = ordered(centre)
    by_voice(centre, order)
    ends = len(centre.outbox.ends())
    assert own_word(centre, order, 100_000).held_minor == 100_000
    assert own_word(centre, order, 100_000).held_minor == 100_000
    centre.matter.duties.run_due()
    assert [o.held_minor for o in centre.orders(case)] == [100_000]
    assert len(centre.outbox.ends()) == ends
    with pytest.raises(AnsweredDifferently):
        own_word(centre, order, 60_000)
    invariants(centre)


@pytest.mark.parametrize(("heard", "told"), [(100_000, 60_000), (100_000, 0), (60_000, 20_000)])
def test_less_than_was_heard_was_never_held(centre: Centre, heard: int, told: int) -> None:
    case, order = ordered(centre)
    by_voice(centre, order, heard)
    view = own_word(centre, order, told)
    assert view.held_minor == told
    assert view.state is (
        OrderState.RELEASED
        if told == 0
        else (OrderState.APPLIED if heard == 100_000 else OrderState.APPLIED_IN_PART)
    )
    assert centre.outbox.ends() == [], "nothing to give back: it never was blocked"
    centre.clock.advance(timedelta(minutes=1))
    centre.matter.duties.run_due()
    assert sum(o.held_minor for o in centre.orders(case)) == told
    invariants(centre)


@pytest.mark.parametrize(("heard", "told"), [(60_000, 100_000), (0, 100_000), (0, 30_000)])
def test_more_than_was_heard_is_given_back_and_ordered_anew(
    centre: Centre, heard: int, told: int
) -> None:
    case, order = ordered(centre)
    by_voice(centre, order, heard)
    view = own_word(centre, order, told)
    assert view.held_minor == heard
    [end] = centre.outbox.ends()
    assert (end.amount_minor, end.remaining_minor) == (told - heard, heard)
    centre.clock.advance(timedelta(minutes=1))
    centre.matter.duties.run_due()
    again = [o for o in centre.orders(case) if o.order != order]
    assert sum(o.amount_minor for o in again) == told - heard
    invariants(centre)


def test_more_than_ordered_is_refused_after_a_call_too(centre: Centre) -> None:
    _, order = ordered(centre)
    by_voice(centre, order, 60_000)
    with pytest.raises(MoreThanOrdered):
        own_word(centre, order, 100_001)
