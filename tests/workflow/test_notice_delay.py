"""Telling a holder later than at once: a reason, two persons, an end that comes by itself."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
import sqlalchemy as sa

from openaoc.cases.model import NoSuchCase
from openaoc.holds.delay_model import (
    DELAY_LONGEST,
    DelayState,
    NewDelay,
    NoSuchDelay,
    NoticeDelay,
    NoticeIsDelayed,
    OneDelayAtATime,
    WrongDelayState,
)
from openaoc.holds.model import Answer, OrderState, OrderView, SamePerson
from openaoc.holds.notices import own_notice
from openaoc.kernel.actor import Actor
from openaoc.kernel.errors import BadInput
from openaoc.parties.permissions import NotPermitted
from tests.appeals.contests import tell_history
from tests.workflow.centre import (
    AGENT,
    INVESTIGATOR,
    SECOND,
    SUPERVISOR,
    Centre,
    liaison,
    machine,
)

DAY = timedelta(days=1)


def propose(
    centre: Centre, case: str, *, actor: Actor = INVESTIGATOR, **changes: object
) -> NoticeDelay:
    new = NewDelay(
        until=centre.clock.now() + DAY, authority="Cyber police, 9/2569", reason="a raid at dawn"
    )
    with centre.database.uow.begin(actor) as tx:
        return centre.matter.holds.delays.propose(tx, case, msgspec.structs.replace(new, **changes))


def agree(centre: Centre, delay: str, *, actor: Actor = SUPERVISOR) -> NoticeDelay:
    with centre.database.uow.begin(actor) as tx:
        return centre.matter.holds.delays.agree(tx, delay, reason="seen the letter")


def end(centre: Centre, delay: str, *, actor: Actor = INVESTIGATOR) -> NoticeDelay:
    with centre.database.uow.begin(actor) as tx:
        return centre.matter.holds.delays.end(tx, delay, reason="the raid is over")


def pursued(centre: Centre) -> str:
    """A case whose first order, at SCB, is answered: its holder was told."""
    receipt = centre.file(centre.pay("KBANK:1", "SCB:2", 100_000))
    centre.answer(receipt.orders[0].order, "SCB", 40_000)
    return receipt.case


def moves_on(centre: Centre, case: str, to: str = "BBL:3") -> OrderView:
    """What was not held goes on: an order at the next institution."""
    centre.clock.advance(timedelta(seconds=20))
    centre.pay("SCB:2", to, 60_000, ago=timedelta(seconds=2))
    centre.matter.pursuit.retrace_due()
    return centre.orders(case)[-1]


def told(centre: Centre) -> list[str]:
    return [notice.order for notice in centre.outbox.notices()]


def delayed(centre: Centre) -> tuple[str, str, OrderView]:
    """A case whose delay is in force, and an order under it: (case, delay, order)."""
    case = pursued(centre)
    delay = agree(centre, propose(centre, case).id)
    assert (delay.state, delay.agreed_by) == (DelayState.IN_FORCE, SUPERVISOR.id)
    order = moves_on(centre, case)
    assert order.institution == "BBL"
    assert order.order in [sent.order for sent in centre.outbox.orders()]
    assert order.order not in told(centre)
    return case, delay.id, order


def test_a_proposal_alone_delays_nothing(centre: Centre) -> None:
    case = pursued(centre)
    assert propose(centre, case).state is DelayState.PROPOSED
    assert moves_on(centre, case).order in told(centre)


def test_two_persons_delay_it_and_it_ends_by_itself(centre: Centre) -> None:
    case, delay, order = delayed(centre)
    until = centre.matter.holds.delays
    with centre.database.uow.read(SUPERVISOR) as tx:
        [kept] = until.list(tx, case).delays
        assert (kept.id, kept.waiting) == (delay, 1)
        assert centre.matter.holds.show(tx, order.order).notice_delayed_until == kept.until
    with centre.database.uow.read(machine("BBL")) as tx:
        [seen] = centre.matter.holds.list(tx).orders
        assert seen.notice_delayed_until == kept.until, "it must not tell them"
        assert not tx.connection.execute(sa.text("select * from notice_delays")).all()
    with (
        pytest.raises(NoticeIsDelayed),
        centre.database.uow.read(machine("BBL")) as tx,
    ):
        own_notice(tx, order.order, centre.matter.holds.codes)
    centre.answer(order.order, "BBL", 60_000)
    centre.matter.duties.run_due()
    assert order.order not in told(centre)
    centre.clock.advance(DAY)
    centre.matter.duties.run_due()
    centre.matter.duties.run_due()
    assert told(centre).count(order.order) == 1
    assert centre.outbox.notices()[-1].amount_minor == 60_000
    with centre.database.uow.read(SUPERVISOR) as tx:
        [kept] = until.list(tx, case).delays
        assert (kept.state, kept.ended_by, kept.waiting) == (DelayState.ENDED, "system", 0)
        assert centre.matter.holds.show(tx, order.order).notice_delayed_until is None


def test_one_person_ends_it_and_they_are_told_at_once(centre: Centre) -> None:
    _, delay, order = delayed(centre)
    assert end(centre, delay).waiting == 0
    assert told(centre).count(order.order) == 1
    with pytest.raises(WrongDelayState):
        end(centre, delay)


def test_a_later_revision_tells_no_sooner(centre: Centre) -> None:
    """Those told before are told of theirs."""
    case, _, order = delayed(centre)
    before = told(centre)
    centre.answer(order.order, "BBL", 60_000)
    with centre.database.uow.begin(INVESTIGATOR) as tx:
        centre.matter.holds.complain(
            tx, case, complained_at=centre.clock.now(), reference="police 7/2569"
        )
    [first] = set(told(centre)[len(before) :])
    assert first != order.order


def test_who_looks_honest_is_told_at_once(centre: Centre) -> None:
    case = pursued(centre)
    agree(centre, propose(centre, case).id)
    tell_history(centre, "BBL:3")
    order = moves_on(centre, case)
    assert order.likely_innocent
    assert order.order in told(centre)


def test_whose_hold_ends_is_told_that_there_was_one(centre: Centre) -> None:
    _, _, order = delayed(centre)
    centre.answer(order.order, "BBL", 60_000)
    with centre.database.uow.begin(INVESTIGATOR) as tx:
        centre.matter.holds.release(tx, order.order, "a receipt")
    centre.matter.duties.run_due()
    assert told(centre).count(order.order) == 1
    assert "This hold has ended." in centre.outbox.notices()[-1].text.en


def test_of_what_was_never_held_nobody_is_told(centre: Centre) -> None:
    case, delay, order = delayed(centre)
    with centre.database.uow.begin(machine("BBL")) as tx:
        centre.matter.holds.answer(tx, order.order, Answer(outcome="refused"))
    assert centre.orders(case)[-1].state is OrderState.REFUSED
    end(centre, delay)
    assert order.order not in told(centre)


def test_who_may_and_what_cannot_be(centre: Centre) -> None:
    case = pursued(centre)
    now = centre.clock.now()
    for bad in (now, now + DELAY_LONGEST + timedelta(seconds=1)):
        with pytest.raises(BadInput):
            propose(centre, case, until=bad)
    with pytest.raises(BadInput):
        propose(centre, case, reason="   ")
    with pytest.raises(NoSuchCase):
        propose(centre, "case_none")
    for who in (AGENT, liaison("SCB"), machine("SCB")):
        with pytest.raises(NotPermitted):
            propose(centre, case, actor=who)
    mine = propose(centre, case, actor=SUPERVISOR)
    with pytest.raises(OneDelayAtATime):
        propose(centre, case)
    with pytest.raises(SamePerson):
        agree(centre, mine.id)
    with pytest.raises(NotPermitted):
        agree(centre, mine.id, actor=INVESTIGATOR)
    with pytest.raises(NoSuchDelay):
        agree(centre, "ndl_none", actor=SECOND)
    agree(centre, mine.id, actor=SECOND)
    with pytest.raises(WrongDelayState):
        agree(centre, mine.id, actor=SECOND)
    with centre.database.uow.begin(SUPERVISOR) as tx:
        centre.matter.pursuit.drop(tx, case, reason="a false report")
    end(centre, mine.id)
    with pytest.raises(WrongDelayState):
        propose(centre, case)


def test_a_proposal_nobody_agreed_to_lapses(centre: Centre) -> None:
    case = pursued(centre)
    delay = propose(centre, case)
    centre.clock.advance(DAY)
    with pytest.raises(WrongDelayState):
        agree(centre, delay.id)
    centre.matter.duties.run_due()
    assert propose(centre, case).state is DelayState.PROPOSED
