"""An earlier payment filed later: the block at the institution stays, its owner changes."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import NamedTuple

import msgspec
import sqlalchemy as sa
from openpyxl import load_workbook

from openaoc.channels.spreadsheet.layout import layout
from openaoc.holds.model import HolderNotice, Order, OrderEnd, OrderState, OrderView
from openaoc.holds.telephone import PhoneAnswer
from openaoc.kernel.actor import CITIZEN, SYSTEM
from openaoc.restitution.model import LineState
from openaoc.web.paper import render_paper
from tests.restitution.world import propose
from tests.workflow.centre import AGENT, SECOND, SUPERVISOR, Centre, liaison
from tests.workflow.invariants import all_orders, blocked_by_messages, check, check_messages, settle

MULE = "SCB:2222"
NEXT = "WALLET:7777"
AGO = timedelta(minutes=9)


class Held(NamedTuple):
    """A later payment's case with a hold of 100, and an earlier payment nobody has reported."""

    early: str
    case: str
    order: str


def later_is_held(centre: Centre) -> Held:
    """The mule was a victim, or says so: what came in is reported by who sent it on, first."""
    early = centre.pay("KBANK:1111", MULE, 100, ago=AGO)
    receipt = centre.file(centre.pay(MULE, NEXT, 100, ago=AGO - timedelta(minutes=1)))
    [asked] = receipt.orders
    centre.answer(asked.order, "WALLET", 100)
    centre.clock.advance(timedelta(hours=5))
    return Held(early, receipt.case, asked.order)


def newest(centre: Centre, case: str) -> OrderView:
    return centre.orders(case)[-1]


def blocked(centre: Centre) -> int:
    return sum(blocked_by_messages(centre).values())


def everything_holds(centre: Centre) -> None:
    settle(centre)
    check(centre)
    check_messages(centre)


def test_the_block_stays_and_its_owner_changes(centre: Centre) -> None:
    held = later_is_held(centre)
    sent = len(centre.outbox.sent)

    receipt = centre.file(held.early)

    [line] = receipt.orders
    assert (line.institution, line.amount_minor, line.state) == ("WALLET", 100, "applied")
    told = [message.body for message in centre.outbox.sent[sent:]]
    order, notice, end = told
    assert isinstance(order, Order)
    assert (order.order, order.continues, order.amount_minor) == (line.order, held.order, 100)
    assert isinstance(notice, HolderNotice)
    assert notice.order == line.order
    assert isinstance(end, OrderEnd)
    assert (end.order, end.continued_by) == (held.order, line.order)
    assert (end.amount_minor, end.remaining_minor) == (100, 0)
    assert centre.orders(held.case)[0].state is OrderState.RELEASED
    assert blocked(centre) == 100
    everything_holds(centre)
    assert len(all_orders(centre)) == 2, "nothing is ordered anew"


def test_the_new_order_has_its_own_ground_and_clock(centre: Centre) -> None:
    held = later_is_held(centre)
    before = centre.orders(held.case)[0]
    taken = newest(centre, centre.file(held.early).case)
    assert taken.issued_at == centre.clock.now()
    assert taken.ends_at == before.ends_at + timedelta(hours=5), "its own 72 hours"
    assert taken.answered_at is None, "its institution has said nothing of it yet"
    assert any(held.order in why for why in taken.why)
    with centre.database.uow.read(SYSTEM) as tx:
        since = tx.connection.execute(
            sa.text("select order_id, min(at) from hold_events where kind = 'hold' group by 1")
        ).all()
        written = tx.connection.execute(
            sa.text("select action from journal_rows where subject = :order"), {"order": held.order}
        ).scalars()
        assert "holds.order.continued" in set(written)
    assert len({at for _, at in since}) == 1, "in the ledger it was never anybody else's"


def test_only_what_is_the_earlier_payers_goes_over(centre: Centre) -> None:
    held = later_is_held(centre)
    report = centre.report(held.early)
    part = [msgspec.structs.replace(report.payments[0], amount_minor=60)]
    receipt = centre.file(held.early, payments=part)
    assert [line.amount_minor for line in receipt.orders] == [60]
    [kept] = centre.orders(held.case)
    assert (kept.state, kept.held_minor) == (OrderState.APPLIED, 40)
    assert blocked(centre) == 100
    everything_holds(centre)


def test_who_reported_falsely_frees_no_more_than_was_theirs(centre: Centre) -> None:
    held = later_is_held(centre)
    report = centre.report(held.early)
    part = [msgspec.structs.replace(report.payments[0], amount_minor=60)]
    first = centre.file(held.early, payments=part)
    with centre.database.uow.begin(SUPERVISOR) as tx:
        centre.matter.pursuit.drop(tx, held.case, reason="a false report")
    assert newest(centre, first.case).held_minor == blocked(centre) == 60
    everything_holds(centre)


def test_an_institution_that_confirms_changes_nothing(centre: Centre) -> None:
    held = later_is_held(centre)
    case = centre.file(held.early).case
    view = centre.answer(newest(centre, case).order, "WALLET", 100)
    assert (view.state, view.held_minor) == (OrderState.APPLIED, 100)
    assert view.answered_at == centre.clock.now()
    everything_holds(centre)


def test_an_institution_that_did_not_carry_it_over_is_asked_anew(centre: Centre) -> None:
    """One that knows no such thing: the old block is gone, and the new order found nothing free."""
    held = later_is_held(centre)
    case = centre.file(held.early).case
    taken = newest(centre, case)
    refused = centre.answer(taken.order, "WALLET", 0, outcome="refused")
    assert (refused.state, refused.held_minor) == (OrderState.RELEASED, 0)
    centre.matter.duties.run_due()
    again = newest(centre, case)
    assert (again.state, again.amount_minor, again.continues) == (OrderState.ISSUED, 100, "")
    assert blocked(centre) == 0
    everything_holds(centre)


def test_what_waits_for_a_person_takes_over_with_the_persons_word(centre: Centre) -> None:
    held = later_is_held(centre)
    receipt = centre.file(held.early, sender=CITIZEN)
    everything_holds(centre)
    assert centre.orders(held.case)[0].held_minor == 100, "a claim nobody proved takes nothing"
    [drafted] = receipt.orders
    with centre.database.uow.begin(SECOND) as tx:
        view = centre.matter.holds.approve(tx, drafted.order)
    assert view.state is OrderState.WITHDRAWN
    taken = newest(centre, receipt.case)
    assert (taken.state, taken.held_minor, taken.continues) == (
        OrderState.APPLIED,
        100,
        held.order,
    )
    assert taken.approvals == [SECOND.id]
    assert blocked(centre) == 100
    everything_holds(centre)


def test_a_breaker_keeps_it_from_happening_by_itself(centre: Centre) -> None:
    held = later_is_held(centre)
    with centre.database.uow.begin(SUPERVISOR) as tx:
        centre.matter.breakers.open(tx, "institution:WALLET", reason="too many")
    receipt = centre.file(held.early)
    assert [line.state for line in receipt.orders] == ["drafted"]
    assert blocked(centre) == 0, "what is not the later case's is not held for it"
    everything_holds(centre)


def test_who_comes_earlier_still_takes_it_from_who_took_it(centre: Centre) -> None:
    first = centre.pay("BBL:3333", "KBANK:1111", 100, ago=AGO + timedelta(minutes=1))
    held = later_is_held(centre)
    second = centre.file(held.early)
    third = centre.file(first)
    taken = newest(centre, third.case)
    assert taken.continues == newest(centre, second.case).order
    assert [order.held_minor for order in all_orders(centre) if order.held_minor] == [100]
    assert blocked(centre) == 100
    everything_holds(centre)


def test_what_is_held_is_paid_back_to_the_earlier_payer(centre: Centre) -> None:
    held = later_is_held(centre)
    case = centre.file(held.early).case
    lines = propose(centre, case).lines
    assert [(one.payee_bank, one.payee_account, one.amount_minor) for one in lines] == [
        ("KBANK", "1111", 100)
    ]
    assert all(one.state is LineState.OPEN for one in lines)


def test_a_restart_finds_it_as_it_was(centre: Centre) -> None:
    held = later_is_held(centre)
    centre.file(held.early)
    before = len(centre.outbox.sent)
    centre.matter = centre.build()
    centre.matter.pursuit.start()
    everything_holds(centre)
    assert len(centre.outbox.sent) == before


def test_a_spreadsheet_says_which_order_goes_on(centre: Centre) -> None:
    held = later_is_held(centre)
    case = centre.file(held.early).case
    plan = layout("TH").orders
    names = [column.field for column in plan.columns]

    def rows() -> list[tuple[object, object]]:
        with centre.database.uow.read(liaison("WALLET")) as tx:
            data = centre.matter.spreadsheets.orders(tx)
        sheet = load_workbook(io.BytesIO(data))[plan.sheet]
        found = [list(row) for row in sheet.iter_rows(min_row=2, values_only=True)]
        return [(row[names.index("order")], row[names.index("continues")]) for row in found]

    taken = newest(centre, case).order
    assert rows() == [(taken, held.order)]
    centre.answer(taken, "WALLET", 100)
    assert rows() == [], "confirmed"


def test_the_printed_page_says_that_nothing_more_is_to_be_blocked(centre: Centre) -> None:
    held = later_is_held(centre)
    taken = newest(centre, centre.file(held.early).case).order
    with centre.database.uow.begin(AGENT) as tx:
        page = render_paper(centre.matter.telephone.paper(tx, taken), language="en")
    assert "block nothing more" in page
    assert held.order in page


def test_a_bank_without_a_system_says_by_telephone_that_it_did_not(centre: Centre) -> None:
    held = later_is_held(centre)
    case = centre.file(held.early).case
    said = PhoneAnswer(
        outcome="refused", spoke_to="Khun Lek, fraud desk", spoken_at=centre.clock.now()
    )
    with centre.database.uow.begin(AGENT) as tx:
        view = centre.matter.telephone.answer(tx, newest(centre, case).order, said)
    assert view.state is OrderState.RELEASED
    centre.matter.duties.run_due()
    assert newest(centre, case).state is OrderState.ISSUED
    everything_holds(centre)
