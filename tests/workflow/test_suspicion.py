"""Holds on an institution's own suspicion, and what a court or authority makes longer."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from openaoc.holds.model import OrderState, WrongTransition
from openaoc.holds.suspicion_model import (
    STILL,
    TRANSITIONS,
    NewSuspicion,
    NoSuchSuspicion,
    NotYourSuspicion,
    Suspicion,
    SuspicionNotice,
    SuspicionState,
    WrongSuspicionStep,
    check_step,
)
from openaoc.kernel.actor import Actor, Role
from openaoc.kernel.errors import BadInput, Refused
from tests.workflow.centre import AGENT, INVESTIGATOR, SUPERVISOR, Centre, liaison, machine

WEEK = timedelta(days=7)
COURT = {"authority": "Criminal Court, order 12/2569, 5 January 2026", "reason": "the court said"}


def told(centre: Centre, **changes: object) -> NewSuspicion:
    new = NewSuspicion(
        account="222",
        amount_minor=70_000,
        currency="THB",
        held_at=centre.clock.now() - timedelta(hours=1),
        grounds="opened last week, and in and out within minutes",
        bank_case_id="S-1",
    )
    return msgspec.structs.replace(new, **changes)


def tell(centre: Centre, *, actor: Actor | None = None, **changes: object) -> Suspicion:
    with centre.database.uow.begin(actor or machine("SCB")) as tx:
        return centre.matter.suspicions.tell(tx, told(centre, **changes))


def listed(centre: Centre, actor: Actor) -> list[Suspicion]:
    with centre.database.uow.read(actor) as tx:
        return centre.matter.suspicions.list(tx).suspicions


def notices(centre: Centre) -> list[SuspicionNotice]:
    return [m.body for m in centre.outbox.sent if isinstance(m.body, SuspicionNotice)]


def test_it_ends_by_itself_a_week_after_the_institution_began(centre: Centre) -> None:
    one = tell(centre)
    assert one.rule == "TH-2566-s6-suspicion"
    assert one.ends_at == one.held_at + WEEK
    centre.clock.advance(WEEK - timedelta(hours=1, seconds=1))
    assert centre.matter.duties.run_due().other == 0
    centre.clock.advance(timedelta(seconds=1))
    assert centre.matter.duties.run_due().other == 1
    assert centre.matter.duties.run_due().other == 0
    (ended,) = listed(centre, liaison("SCB"))
    assert ended.state is SuspicionState.EXPIRED
    (notice,) = notices(centre)
    assert (notice.institution, notice.amount_minor) == ("SCB", 70_000)
    with (
        centre.database.uow.begin(machine("SCB")) as tx,
        pytest.raises(WrongSuspicionStep),
    ):
        centre.matter.suspicions.release(tx, one.id, reason="once more")


def test_in_shadow_the_clock_runs_and_nothing_is_sent(shadow_centre: Centre) -> None:
    one = tell(shadow_centre)
    shadow_centre.clock.advance(WEEK)
    shadow_centre.matter.duties.run_due()
    (ended,) = listed(shadow_centre, SUPERVISOR)
    assert (ended.id, ended.state) == (one.id, SuspicionState.EXPIRED)
    assert notices(shadow_centre) == []


def test_the_institution_releases_its_own_and_sees_no_other(centre: Centre) -> None:
    one = tell(centre)
    for stranger in (machine("KBANK"), liaison("BBL")):
        assert listed(centre, stranger) == []
        with centre.database.uow.begin(stranger) as tx, pytest.raises(NoSuchSuspicion):
            centre.matter.suspicions.release(tx, one.id, reason="not mine")
    with centre.database.uow.begin(liaison("SCB")) as tx:
        done = centre.matter.suspicions.release(tx, one.id, reason="the holder explained it")
    assert done.state is SuspicionState.RELEASED
    assert notices(centre) == [], "it did it itself"


def test_evidence_is_an_order_on_the_same_account(centre: Centre) -> None:
    receipt = centre.file(centre.pay("KBANK:1", "SCB:222", 100_000))
    assert tell(centre).cases == [receipt.case]
    assert tell(centre, account="333").cases == []
    assert tell(centre, actor=machine("BBL")).cases == []


@pytest.mark.parametrize(
    "changes",
    [
        {"held_at_ago": -timedelta(hours=1)},
        {"held_at_ago": WEEK},
        {"currency": "ZZZ"},
        {"account": " - "},
        {"grounds": "   "},
    ],
)
def test_what_cannot_be_is_refused(centre: Centre, changes: dict[str, object]) -> None:
    ago = changes.get("held_at_ago")
    if isinstance(ago, timedelta):
        changes = {"held_at": centre.clock.now() - ago}
    new = told(centre, **changes)
    with centre.database.uow.begin(machine("SCB")) as tx, pytest.raises(BadInput):
        centre.matter.suspicions.tell(tx, new)
    assert listed(centre, SUPERVISOR) == []


def test_who_may_tell(centre: Centre) -> None:
    for actor in (SUPERVISOR, AGENT, INVESTIGATOR):
        with pytest.raises(Refused):
            tell(centre, actor=actor)


def test_a_measure_makes_it_longer_and_a_seizure_takes_its_place(centre: Centre) -> None:
    one = tell(centre)
    suspicions, uow = centre.matter.suspicions, centre.database.uow
    month = centre.clock.now() + timedelta(days=30)
    with uow.begin(SUPERVISOR) as tx:
        longer = suspicions.extend(tx, one.id, until=month, **COURT)
    assert (longer.state, longer.ends_at) == (SuspicionState.EXTENDED, month)
    for until in (month, centre.clock.now() + timedelta(days=91)):
        with uow.begin(SUPERVISOR) as tx, pytest.raises(BadInput, match="until"):
            suspicions.extend(tx, one.id, until=until, **COURT)
    with uow.begin(INVESTIGATOR) as tx, pytest.raises(Refused):
        suspicions.extend(tx, one.id, until=month + WEEK, **COURT)
    centre.clock.advance(WEEK * 2)
    assert centre.matter.duties.run_due().other == 0
    with uow.begin(SUPERVISOR) as tx:
        done = suspicions.convert(tx, one.id, **COURT)
    assert (done.state, done.authority) == (SuspicionState.CONVERTED, COURT["authority"])
    assert [n.state for n in notices(centre)] == ["extended", "converted"]


def test_every_step_outside_the_table_is_refused() -> None:
    everyone = Actor(id="x", roles=frozenset(Role))
    nobody = Actor(id="x", roles=frozenset({Role.CITIZEN}))
    for before in SuspicionState:
        for after in SuspicionState:
            if (before, after) in TRANSITIONS:
                check_step(before, after, actor=everyone)
                with pytest.raises(NotYourSuspicion):
                    check_step(before, after, actor=nobody)
            else:
                with pytest.raises(WrongSuspicionStep):
                    check_step(before, after, actor=everyone)
    assert {before for before, _ in TRANSITIONS} == STILL


# A case's hold made longer.


def test_a_measure_makes_a_hold_last_until_it_ends(centre: Centre) -> None:
    receipt = centre.file(centre.pay("KBANK:1", "SCB:2", 100_000))
    order = receipt.orders[0].order
    holds, uow = centre.matter.holds, centre.database.uow
    month = centre.clock.now() + timedelta(days=30)
    with uow.begin(SUPERVISOR) as tx, pytest.raises(WrongTransition):
        holds.extend(tx, order, until=month, **COURT)
    centre.answer(order, "SCB", 100_000)
    sent = len(centre.outbox.orders())
    with uow.begin(SUPERVISOR) as tx:
        longer = holds.extend(tx, order, until=month, **COURT)
    assert (longer.ends_at, longer.rule, longer.held_minor) == (month, "TH-measure", 100_000)
    assert "2026-02-04 10:00 +07:00" in longer.reason.en
    assert len(centre.outbox.orders()) == sent + 1
    assert centre.outbox.orders()[-1].ends_at == month
    for until in (month, centre.clock.now() + timedelta(days=91)):
        with uow.begin(SUPERVISOR) as tx, pytest.raises(BadInput, match="until"):
            holds.extend(tx, order, until=until, **COURT)
    with uow.begin(INVESTIGATOR) as tx, pytest.raises(Refused):
        holds.extend(tx, order, until=month + WEEK, **COURT)
    centre.clock.advance(timedelta(days=29))
    centre.matter.duties.run_due()
    assert centre.orders(receipt.case)[0].state is OrderState.APPLIED
    centre.clock.advance(timedelta(days=1))
    centre.matter.duties.run_due()
    assert centre.orders(receipt.case)[0].state is OrderState.EXPIRED
