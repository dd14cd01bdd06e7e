"""What third parties object: until when, by whom, and decided by two persons."""

from __future__ import annotations

from datetime import timedelta

import pytest

from openaoc.holds.model import OrderState
from openaoc.kernel.errors import BadInput, NotFound, Refused
from openaoc.restitution.model import (
    NoSuchRestitution,
    ObjectionState,
    OtherPerson,
    RestitutionState,
    TooLateToObject,
    WrongRestitutionStep,
)
from tests.restitution.world import (
    COURT,
    MONTH,
    confirm,
    decide,
    held_case,
    made,
    object_to,
    objection,
    order_of,
    propose,
    published,
    show,
)
from tests.workflow.centre import AGENT, SECOND, SUPERVISOR, Centre, liaison, machine
from tests.workflow.invariants import check


def test_an_upheld_holder_gets_the_money_at_once_and_the_rest_is_paid(centre: Centre) -> None:
    case = held_case(centre)
    one = published(centre, case)
    order = one.lines[0].order
    centre.clock.advance(timedelta(days=10))
    after = object_to(centre, one.id, objection(order, amount_minor=16_000), actor=AGENT)
    assert (after.state, after.objections[0].claimed_minor) == (RestitutionState.OBJECTED, 16_000)
    first = decide(centre, one.id, 1, 16_000)
    assert first.objections[0].state is ObjectionState.PROPOSED
    assert order_of(centre, case).held_minor == 100_000
    second = decide(centre, one.id, 1, 16_000, actor=SECOND)
    assert (second.state, second.open_minor) == (RestitutionState.DECIDED, 84_000)
    assert order_of(centre, case).held_minor == 84_000
    centre.clock.advance(timedelta(days=20))
    centre.matter.duties.run_due()
    assert show(centre, one.id).state is RestitutionState.PAYABLE
    assert confirm(centre, one.id, 1, made(centre, 84_000)).state is RestitutionState.PAID
    check(centre)


def test_a_rival_claimants_part_stays_held(centre: Centre) -> None:
    case = held_case(centre)
    one = published(centre, case)
    rival = centre.file(centre.pay("WALLET:5", "SCB:2", 30_000)).case
    new = objection(one.lines[0].order, kind="claimant", rival_case=rival, amount_minor=30_000)
    object_to(centre, one.id, new, actor=AGENT)
    decide(centre, one.id, 1, 30_000)
    decided = decide(centre, one.id, 1, 30_000, actor=SECOND)
    assert decided.open_minor == 70_000
    held = [o.held_minor for o in centre.orders(case)]
    assert held == [100_000]


def test_a_dismissed_objection_changes_no_amount(centre: Centre) -> None:
    one = published(centre, held_case(centre))
    object_to(centre, one.id, objection(one.lines[0].order), actor=liaison("SCB"))
    decide(centre, one.id, 1, 0)
    decided = decide(centre, one.id, 1, 0, actor=SECOND)
    assert (decided.state, decided.open_minor) == (RestitutionState.DECIDED, 100_000)


def test_while_an_objection_is_open_nothing_is_payable(centre: Centre) -> None:
    one = published(centre, held_case(centre))
    object_to(centre, one.id, objection(one.lines[0].order), actor=AGENT)
    centre.clock.advance(MONTH)
    centre.matter.duties.run_due()
    assert show(centre, one.id).state is RestitutionState.OBJECTED
    decide(centre, one.id, 1, 0)
    decide(centre, one.id, 1, 0, actor=SECOND)
    centre.matter.duties.run_due()
    assert show(centre, one.id).state is RestitutionState.PAYABLE


def test_when_all_is_upheld_it_ends(centre: Centre) -> None:
    case = held_case(centre)
    one = published(centre, case)
    object_to(centre, one.id, objection(one.lines[0].order), actor=AGENT)
    decide(centre, one.id, 1, 100_000)
    assert decide(centre, one.id, 1, 100_000, actor=SECOND).open_minor == 0
    assert order_of(centre, case).state is OrderState.RELEASED
    centre.clock.advance(MONTH)
    centre.matter.duties.run_due()
    assert show(centre, one.id).state is RestitutionState.ENDED


def test_another_may_object_after_a_decision_until_the_time_is_over(centre: Centre) -> None:
    one = published(centre, held_case(centre))
    order = one.lines[0].order
    object_to(centre, one.id, objection(order, amount_minor=1_000), actor=AGENT)
    decide(centre, one.id, 1, 1_000)
    decide(centre, one.id, 1, 1_000, actor=SECOND)
    centre.clock.advance(MONTH - timedelta(seconds=1))
    again = object_to(centre, one.id, objection(order, kind="other"), actor=AGENT)
    assert (again.state, again.objections[1].claimed_minor) == (RestitutionState.OBJECTED, 99_000)
    two = object_to(centre, one.id, objection(order, kind="other"), actor=AGENT)
    assert len(two.objections) == 3
    for no in (2, 3):
        decide(centre, one.id, no, 60_000)
        decide(centre, one.id, no, 60_000, actor=SECOND)
    done = show(centre, one.id)
    assert (done.state, done.open_minor) == (RestitutionState.DECIDED, 0)
    centre.clock.advance(timedelta(seconds=1))
    with pytest.raises(TooLateToObject):
        object_to(centre, one.id, objection(order), actor=AGENT)


def test_two_persons_decide_and_neither_filed_it(centre: Centre) -> None:
    one = published(centre, held_case(centre))
    object_to(centre, one.id, objection(one.lines[0].order), actor=SUPERVISOR)
    with pytest.raises(OtherPerson, match="filed"):
        decide(centre, one.id, 1, 5)
    decide(centre, one.id, 1, 5, actor=SECOND)
    with pytest.raises(OtherPerson, match="another person"):
        decide(centre, one.id, 1, 5, actor=SECOND)
    third = SUPERVISOR.__class__(id="usr_third", roles=SUPERVISOR.roles)
    changed = decide(centre, one.id, 1, 7, actor=third)
    assert changed.objections[0].state is ObjectionState.PROPOSED, "a new amount, a new first word"
    assert changed.objections[0].proposed_by == third.id
    assert decide(centre, one.id, 1, 7, actor=SECOND).state is RestitutionState.DECIDED
    with pytest.raises(WrongRestitutionStep):
        decide(centre, one.id, 1, 7, actor=third)
    with pytest.raises(Refused):
        decide(centre, one.id, 1, 7, actor=AGENT)


def test_under_anothers_measure_nothing_is_released(centre: Centre) -> None:
    case = held_case(centre)
    with centre.database.uow.begin(SUPERVISOR) as tx:
        centre.matter.holds.convert(tx, order_of(centre, case).order, **COURT)
    one = published(centre, case)
    object_to(centre, one.id, objection(one.lines[0].order, amount_minor=40_000), actor=AGENT)
    decide(centre, one.id, 1, 40_000)
    assert decide(centre, one.id, 1, 40_000, actor=SECOND).open_minor == 60_000
    assert order_of(centre, case).held_minor == 100_000


@pytest.mark.parametrize(
    "changes",
    [
        {"amount_minor": 100_001},
        {"grounds": "    "},
        {"grounds": "a\x00b"},
        {"rival_case": "AOC-0000-0000-0"},
        {"rival_case": "self"},
    ],
)
def test_what_cannot_be_objected(centre: Centre, changes: dict[str, object]) -> None:
    case = held_case(centre)
    one = published(centre, case)
    if changes.get("rival_case") == "self":
        changes = {"rival_case": case}
    with pytest.raises((BadInput, NotFound)):
        object_to(centre, one.id, objection(one.lines[0].order, **changes), actor=AGENT)
    assert show(centre, one.id).state is RestitutionState.PUBLISHED


def test_who_may_object_and_when(centre: Centre) -> None:
    case = held_case(centre)
    one = propose(centre, case)
    order = one.lines[0].order
    with pytest.raises(TooLateToObject, match="proposed"):
        object_to(centre, one.id, objection(order), actor=AGENT)
    with centre.database.uow.begin(SECOND) as tx:
        centre.matter.returning.restitutions.publish(tx, one.id)
    for stranger in (machine("KBANK"), liaison("BBL")):
        with pytest.raises(NoSuchRestitution):
            object_to(centre, one.id, objection(order), actor=stranger)
    with pytest.raises(NoSuchRestitution):
        object_to(centre, one.id, objection("ord_none"), actor=AGENT)
    with pytest.raises(NoSuchRestitution):
        object_to(centre, "rst_none", objection(order), actor=AGENT)
    object_to(centre, one.id, objection(order), actor=machine("SCB"))
    with pytest.raises(BadInput, match="upheld_minor"):
        decide(centre, one.id, 1, 100_001)
    with pytest.raises(NoSuchRestitution):
        decide(centre, one.id, 9, 0)
