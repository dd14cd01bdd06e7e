"""An order's life: answered, moved on, lowered, released, extended, ended by itself."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
import sqlalchemy as sa

from openaoc.cases.model import NoSuchCase, NotYourCase, StillHolding
from openaoc.holds.model import (
    Answer,
    AnsweredDifferently,
    MoreThanOrdered,
    NoSuchOrder,
    NotYours,
    OnwardTransfer,
    OrderState,
    SamePerson,
    WrongTransition,
)
from openaoc.kernel.actor import CITIZEN
from openaoc.kernel.errors import BadInput, NotFound, Refused
from openaoc.parties.permissions import NotPermitted
from openaoc.reports.model import Channel
from tests.workflow.centre import (
    AGENT,
    INVESTIGATOR,
    SECOND,
    SUPERVISOR,
    Centre,
    liaison,
    machine,
)


def one_order(centre: Centre, amount: int = 100_000) -> tuple[str, str]:
    """A case with one live order at SCB; (case, order)."""
    origin = centre.pay("KBANK:1", "SCB:2", amount)
    receipt = centre.file(origin)
    assert [line.state for line in receipt.orders] == ["issued"]
    return receipt.case, receipt.orders[0].order


def test_an_applied_order_is_held_and_seen_by_later_traces(centre: Centre) -> None:
    case, order = one_order(centre)
    view = centre.answer(order, "SCB", 100_000, available_minor=250_000)
    assert (view.state, view.held_minor, view.available_minor) == (
        OrderState.APPLIED,
        100_000,
        250_000,
    )
    centre.matter.pursuit.retrace_due()
    with centre.database.uow.begin(SUPERVISOR) as tx:
        shown = centre.matter.cases.show(tx, case)
    assert (shown.loss_minor, shown.located_minor, shown.held_minor) == (100_000, 0, 100_000)
    assert shown.conserved


def test_money_that_leaves_after_the_hold_is_not_the_cases(centre: Centre) -> None:
    case, order = one_order(centre)
    centre.answer(order, "SCB", 100_000)
    centre.clock.advance(timedelta(seconds=10))
    centre.pay("SCB:2", "BBL:3", 50_000, ago=timedelta(seconds=1))
    centre.matter.pursuit.retrace_due()
    assert [(o.institution, o.held_minor) for o in centre.orders(case)] == [("SCB", 100_000)]


def test_a_part_answer_is_not_asked_for_again_until_the_money_is_seen(centre: Centre) -> None:
    case, order = one_order(centre)
    view = centre.answer(order, "SCB", 30_000, available_minor=30_000)
    assert (view.state, view.held_minor) == (OrderState.APPLIED_IN_PART, 30_000)
    centre.clock.advance(timedelta(seconds=10))
    centre.matter.pursuit.retrace_due()
    assert len(centre.orders(case)) == 1
    centre.pay("SCB:2", "BBL:3", 70_000, ago=timedelta(minutes=0, seconds=30))
    centre.clock.advance(timedelta(seconds=30))
    centre.matter.pursuit.retrace_due()
    last = centre.orders(case)[-1]
    assert (last.institution, last.amount_minor) == ("BBL", 70_000)


def test_onward_rows_enter_the_ledger_and_new_orders_follow_the_money(centre: Centre) -> None:
    case, order = one_order(centre)
    onward = OnwardTransfer(
        transfer_id="scb-77",
        booked_at=centre.clock.now() - timedelta(seconds=30),
        debtor_bank="scb",
        debtor_account="2",
        creditor_bank="BBL",
        creditor_account="9",
        amount_minor=100_000,
        currency="THB",
    )
    answer = Answer(outcome="refused", reason="gone", available_minor=0, onward=[onward])
    with centre.database.uow.begin(machine("SCB")) as tx:
        view = centre.matter.holds.answer(tx, order, answer)
    assert view.state is OrderState.REFUSED
    assert centre.ledger.find(reported_by="SCB", transfer_id="scb-77") is not None
    centre.matter.pursuit.retrace_due()
    last = centre.orders(case)[-1]
    assert (last.institution, last.account, last.amount_minor, last.layer) == (
        "BBL",
        "9",
        100_000,
        2,
    )


def test_an_institution_speaks_only_for_its_own_accounts(centre: Centre) -> None:
    _, order = one_order(centre)
    onward = OnwardTransfer(
        transfer_id="x",
        booked_at=centre.clock.now(),
        debtor_bank="BBL",
        debtor_account="9",
        amount_minor=1,
        currency="THB",
        channel="cash_withdrawal",
    )
    answer = Answer(outcome="refused", onward=[onward])
    with pytest.raises(BadInput, match="onward"), centre.database.uow.begin(machine("SCB")) as tx:
        centre.matter.holds.answer(tx, order, answer)


def test_more_than_ordered_is_refused(centre: Centre) -> None:
    _, order = one_order(centre)
    with pytest.raises(MoreThanOrdered):
        centre.answer(order, "SCB", 100_001)
    with centre.database.uow.read(SUPERVISOR) as tx:
        assert centre.matter.holds.show(tx, order).state is OrderState.ISSUED


def test_more_applied_than_available_is_refused(centre: Centre) -> None:
    _, order = one_order(centre)
    with pytest.raises(BadInput, match="available"):
        centre.answer(order, "SCB", 50_000, available_minor=40_000)


def test_another_institutions_order_is_not_found(centre: Centre) -> None:
    _, order = one_order(centre)
    with pytest.raises(NoSuchOrder):
        centre.answer(order, "BBL", 1)
    with pytest.raises(NoSuchOrder), centre.database.uow.read(liaison("BBL")) as tx:
        centre.matter.holds.show(tx, order)


def test_a_repeated_answer_changes_nothing_and_another_is_refused(centre: Centre) -> None:
    _, order = one_order(centre)
    first = centre.answer(order, "SCB", 60_000)
    assert centre.answer(order, "SCB", 60_000) == first
    with pytest.raises(AnsweredDifferently):
        centre.answer(order, "SCB", 50_000)


def test_a_draft_is_not_sent_to_an_institution_in_shadow(centre: Centre) -> None:
    """It was drafted while the institution was live; nobody can let it go before it is again."""
    origin = centre.pay("KBANK:1", "SCB:2", 100_000)
    receipt = centre.file(origin, sender=CITIZEN, reporter=None)
    [order] = [line.order for line in receipt.orders]
    with centre.database.uow.begin(SUPERVISOR) as tx:
        centre.parties.back_to_shadow(tx, "institution:SCB")
    with pytest.raises(WrongTransition, match="shadow"), centre.database.uow.begin(SECOND) as tx:
        centre.matter.holds.approve(tx, order)
    centre.matter.pursuit.confirm(receipt.case, actor=machine("KBANK"))
    assert not centre.outbox.orders()
    with centre.database.uow.begin(SUPERVISOR) as tx:
        centre.parties.propose_live(tx, "institution:SCB")
    with centre.database.uow.begin(SECOND) as tx:
        centre.parties.approve_live(tx, "institution:SCB")
    centre.clock.advance(timedelta(minutes=1))
    centre.matter.pursuit.retrace_due()
    assert [sent.order for sent in centre.outbox.orders()] == [order]


@pytest.mark.parametrize("given_back", [0, 20_000])
def test_a_later_revision_of_an_answered_order_asks_for_what_is_held(
    centre: Centre, given_back: int
) -> None:
    """A complaint makes the hold longer; what was not there or was freed is not asked anew."""
    case, order = one_order(centre)
    centre.answer(order, "SCB", 60_000)
    if given_back:
        with centre.database.uow.begin(INVESTIGATOR) as tx:
            centre.matter.holds.release(tx, order, "a receipt", amount_minor=given_back)
    with centre.database.uow.begin(INVESTIGATOR) as tx:
        centre.matter.holds.complain(
            tx, case, complained_at=centre.clock.now(), reference="police 7/2569"
        )
    longer, notice = centre.outbox.orders()[-1], centre.outbox.notices()[-1]
    assert longer.order == notice.order == order
    assert longer.amount_minor == notice.amount_minor == 60_000 - given_back
    assert ("600.00" if not given_back else "400.00") in longer.reason.en
    held = centre.answer(order, "SCB", longer.amount_minor, available_minor=longer.amount_minor)
    assert held.held_minor == longer.amount_minor, "it answers the revision: no news"


@pytest.mark.parametrize("first", [60_000, 0])
def test_an_institution_that_blocks_more_than_it_said_is_told_to_give_back(
    centre: Centre, first: int
) -> None:
    """Money came in before it worked off a revision that crossed its answer."""
    case, order = one_order(centre)
    centre.answer(order, "SCB", first)
    now = centre.answer(order, "SCB", 90_000)
    assert (now.held_minor, now.applied_minor) == (first, 90_000)
    back = centre.outbox.ends()[-1]
    assert (back.amount_minor, back.remaining_minor) == (90_000 - first, first)
    centre.matter.duties.run_due()
    assert sum(o.amount_minor for o in centre.orders(case) if o.state is OrderState.ISSUED) == (
        90_000 - first
    ), "it was there after all: it is ordered anew"


def test_an_answer_to_a_revision_of_what_was_given_back_is_late_not_wrong(centre: Centre) -> None:
    _, order = one_order(centre)
    centre.answer(order, "SCB", 60_000)
    with centre.database.uow.begin(INVESTIGATOR) as tx:
        centre.matter.holds.release(tx, order, "a receipt")
    late = centre.answer(order, "SCB", 60_000, available_minor=70_000)
    assert (late.state, late.held_minor) == (OrderState.RELEASED, 0)
    back = centre.outbox.ends()[-1]
    assert (back.amount_minor, back.remaining_minor) == (60_000, 0), "it is told once more"


def test_the_order_follows_the_money_before_it_is_answered(centre: Centre) -> None:
    case, order = one_order(centre)
    centre.clock.advance(timedelta(seconds=10))
    centre.pay("SCB:2", "BBL:3", 40_000, ago=timedelta(seconds=2))
    centre.matter.pursuit.retrace_due()
    views = {o.institution: o for o in centre.orders(case)}
    assert (views["SCB"].amount_minor, views["SCB"].revision) == (60_000, 2)
    assert views["BBL"].amount_minor == 40_000
    late = centre.answer(order, "SCB", 100_000)
    assert late.held_minor == 60_000
    back = centre.outbox.ends()[-1]
    assert (back.amount_minor, back.remaining_minor) == (40_000, 60_000)


def test_all_gone_before_the_answer_withdraws_the_order(centre: Centre) -> None:
    case, order = one_order(centre)
    centre.clock.advance(timedelta(seconds=10))
    centre.pay("SCB:2", "BBL:3", 100_000, ago=timedelta(seconds=2))
    centre.matter.pursuit.retrace_due()
    views = {o.institution: o.state for o in centre.orders(case)}
    assert views == {"SCB": OrderState.WITHDRAWN, "BBL": OrderState.ISSUED}
    assert [end.order for end in centre.outbox.ends()] == [order]
    assert centre.answer(order, "SCB", 0).state is OrderState.WITHDRAWN


def test_a_hold_that_found_less_gives_the_excess_back_at_once(centre: Centre) -> None:
    case, order = one_order(centre)
    centre.clock.advance(timedelta(seconds=10))
    centre.pay("SCB:2", "BBL:3", 40_000, ago=timedelta(seconds=5))
    centre.answer(order, "SCB", 100_000)
    centre.matter.pursuit.retrace_due()
    views = {o.institution: o for o in centre.orders(case)}
    assert views["SCB"].held_minor == 60_000
    assert views["BBL"].amount_minor == 40_000
    assert [(e.amount_minor, e.remaining_minor) for e in centre.outbox.ends()] == [(40_000, 60_000)]
    centre.clock.advance(timedelta(seconds=10))
    centre.matter.pursuit.retrace_due()
    assert {o.institution: o.held_minor for o in centre.orders(case)}["SCB"] == 60_000


def test_every_hold_ends_by_itself_and_is_not_ordered_anew(centre: Centre) -> None:
    case, order = one_order(centre)
    view = centre.answer(order, "SCB", 100_000)
    centre.clock.advance(view.ends_at - centre.clock.now())
    done = centre.matter.duties.run_due()
    assert done.expired == 1
    ended = centre.orders(case)[0]
    assert (ended.state, ended.held_minor) == (OrderState.EXPIRED, 0)
    assert centre.outbox.ends()[-1].amount_minor == 100_000
    centre.clock.advance(timedelta(hours=2))
    assert centre.matter.duties.run_due().expired == 0
    assert len(centre.orders(case)) == 1


def test_a_release_gives_back_with_a_reason(centre: Centre) -> None:
    case, order = one_order(centre)
    centre.answer(order, "SCB", 100_000)
    uow, holds = centre.database.uow, centre.matter.holds
    with pytest.raises(BadInput), uow.begin(SUPERVISOR) as tx:
        holds.release(tx, order, " ")
    with pytest.raises(NotPermitted), uow.begin(AGENT) as tx:
        holds.release(tx, order, "an agent may not")
    with uow.begin(INVESTIGATOR) as tx:
        part = holds.release(tx, order, "wages of a shop", amount_minor=30_000)
    assert (part.state, part.held_minor) == (OrderState.APPLIED, 70_000)
    with uow.begin(SUPERVISOR) as tx:
        whole = holds.release(tx, order, "contest upheld")
    assert (whole.state, whole.held_minor) == (OrderState.RELEASED, 0)
    assert [e.amount_minor for e in centre.outbox.ends()] == [30_000, 70_000]
    centre.clock.advance(timedelta(seconds=10))
    centre.matter.pursuit.retrace_due()
    assert len(centre.orders(case)) == 1
    with pytest.raises(WrongTransition), uow.begin(SUPERVISOR) as tx:
        holds.release(tx, order, "again")


def test_a_withdrawn_order_stops_what_goes_by_itself(centre: Centre) -> None:
    case, order = one_order(centre)
    with centre.database.uow.begin(INVESTIGATOR) as tx:
        centre.matter.holds.withdraw(tx, order, "wrong person")
    assert centre.outbox.ends()[0].order == order
    centre.clock.advance(timedelta(seconds=10))
    centre.pay("SCB:2", "BBL:3", 100_000, ago=timedelta(seconds=2))
    centre.matter.pursuit.retrace_due()
    states = [(o.institution, o.state) for o in centre.orders(case)]
    assert states == [("SCB", OrderState.WITHDRAWN), ("BBL", OrderState.DRAFTED)]


def test_a_police_complaint_extends_72_hours_to_seven_days(centre: Centre) -> None:
    case, order = one_order(centre)
    centre.answer(order, "SCB", 100_000)
    centre.clock.advance(timedelta(hours=20))
    complained = centre.clock.now() - timedelta(hours=1)
    uow, holds = centre.database.uow, centre.matter.holds
    with pytest.raises((NotYours, NotPermitted)), uow.begin(AGENT) as tx:
        holds.complain(tx, case, complained_at=complained, reference="BKK-1/69")
    with uow.begin(INVESTIGATOR) as tx:
        changed = holds.complain(tx, case, complained_at=complained, reference="BKK-1/69")
    assert changed[0].ends_at == complained + timedelta(days=7)
    assert (changed[0].rule, changed[0].revision) == ("TH-2566-s7-complaint", 2)
    assert centre.outbox.orders()[-1].revision == 2


def test_a_persons_approval_sends_what_is_there_now(centre: Centre) -> None:
    origin = centre.pay("KBANK:1", "SCB:2", 100_000)
    receipt = centre.file(origin, sender=CITIZEN)
    order = receipt.orders[0].order
    centre.clock.advance(timedelta(seconds=30))
    centre.pay("SCB:2", "BBL:3", 40_000, ago=timedelta(seconds=5))
    with pytest.raises(NotPermitted), centre.database.uow.begin(INVESTIGATOR) as tx:
        centre.matter.holds.approve(tx, order)
    with centre.database.uow.begin(SUPERVISOR) as tx:
        view = centre.matter.holds.approve(tx, order)
    assert (view.state, view.amount_minor) == (OrderState.ISSUED, 60_000)
    assert [o.amount_minor for o in centre.outbox.orders()] == [60_000]
    assert view.ends_at - view.issued_at <= timedelta(hours=72)


def test_two_different_people_approve_a_partners_order(centre: Centre) -> None:
    origin = centre.pay("KBANK:1", "SCB:2", 100_000)
    receipt = centre.file(origin, channel=Channel.PARTNER, sender=SUPERVISOR)
    order = receipt.orders[0].order
    uow, holds = centre.database.uow, centre.matter.holds
    third = msgspec.structs.replace(SECOND, id="usr_third")
    with pytest.raises(SamePerson), uow.begin(SUPERVISOR) as tx:
        holds.approve(tx, order)
    with uow.begin(SECOND) as tx:
        assert holds.approve(tx, order).state is OrderState.DRAFTED
    with pytest.raises(SamePerson), uow.begin(SECOND) as tx:
        holds.approve(tx, order)
    with uow.begin(third) as tx:
        assert holds.approve(tx, order).state is OrderState.ISSUED


def test_the_payers_bank_confirms_and_drafts_go_out(centre: Centre) -> None:
    origin = centre.pay("KBANK:1", "SCB:2", 100_000)
    receipt = centre.file(origin, sender=CITIZEN)
    for stranger in (liaison("KBANK"), machine("BBL")):
        with pytest.raises((Refused, NotFound)):
            centre.matter.pursuit.confirm(receipt.case, actor=stranger)
    assert centre.matter.pursuit.confirm(receipt.case, actor=machine("KBANK")).automatic
    assert [o.amount_minor for o in centre.outbox.orders()] == [100_000]


def test_an_unproven_report_takes_nothing_from_a_proven_one(centre: Centre) -> None:
    origin = centre.pay("KBANK:1", "SCB:2", 100_000)
    centre.file(origin, sender=CITIZEN)
    proven = centre.file(origin)
    assert proven.located_minor == 100_000
    assert [line.state for line in proven.orders] == ["issued"]


def test_an_earlier_origin_filed_later_takes_the_lots_over(centre: Centre) -> None:
    first = centre.pay("KBANK:1", "SCB:2", 100_000, ago=timedelta(minutes=9))
    second = centre.pay("SCB:2", "BBL:3", 100_000, ago=timedelta(minutes=5))
    later = centre.file(second)
    assert [(o.institution, o.amount_minor) for o in later.orders] == [("BBL", 100_000)]
    earlier = centre.file(first)
    states = [(o.institution, o.amount_minor, o.state) for o in centre.orders(earlier.case)]
    assert states == [("BBL", 100_000, OrderState.ISSUED)]
    assert [o.state for o in centre.orders(later.case)] == [OrderState.WITHDRAWN]


def test_a_conversion_ends_our_hold_and_the_money_stays_blocked(centre: Centre) -> None:
    case, order = one_order(centre)
    centre.answer(order, "SCB", 100_000)
    with pytest.raises(NotPermitted), centre.database.uow.begin(INVESTIGATOR) as tx:
        centre.matter.holds.convert(tx, order, authority="Criminal Court 1/69", reason="seized")
    with centre.database.uow.begin(SUPERVISOR) as tx:
        view = centre.matter.holds.convert(
            tx, order, authority="Criminal Court 1/69", reason="seized"
        )
    assert view.state is OrderState.CONVERTED
    centre.clock.advance(timedelta(days=10))
    assert centre.matter.duties.run_due().expired == 0
    assert len(centre.orders(case)) == 1
    assert centre.outbox.ends() == []


def test_a_false_report_is_dropped_with_all_it_caused(centre: Centre) -> None:
    origin = centre.pay("KBANK:1", "SCB:2", 100_000, ago=timedelta(minutes=5))
    centre.pay("SCB:2", "BBL:3", 60_000, ago=timedelta(minutes=3))
    receipt = centre.file(origin)
    held = next(o.order for o in receipt.orders if o.institution == "SCB")
    centre.answer(held, "SCB", 40_000)
    pursuit, uow = centre.matter.pursuit, centre.database.uow
    with pytest.raises(NotYourCase), uow.begin(INVESTIGATOR) as tx:
        pursuit.drop(tx, receipt.case, reason="made up")
    with pytest.raises(StillHolding), uow.begin(INVESTIGATOR) as tx:
        centre.matter.cases.close(tx, receipt.case, reason="nothing to do")
    with uow.begin(SUPERVISOR) as tx:
        assert pursuit.drop(tx, receipt.case, reason="made up") == 2
    states = {o.institution: o.state for o in centre.orders(receipt.case)}
    assert states == {"SCB": OrderState.RELEASED, "BBL": OrderState.WITHDRAWN}
    true = centre.file(origin, narrative="the real victim")
    assert true.located_minor == 100_000
    with uow.begin(SUPERVISOR) as tx:
        assert centre.matter.cases.show(tx, receipt.case).state == "dropped"


def test_a_closed_case_is_reopened_and_pursued(centre: Centre) -> None:
    case, order = one_order(centre)
    uow = centre.database.uow
    with uow.begin(SUPERVISOR) as tx:
        centre.matter.holds.withdraw(tx, order, "for a while")
        centre.matter.cases.close(tx, case, reason="no trace left")
    centre.clock.advance(timedelta(seconds=10))
    centre.matter.duties.run_due()
    with uow.begin(SUPERVISOR) as tx:
        assert centre.matter.pursuit.reopen(tx, case, reason="a new fact").automatic
    centre.clock.advance(timedelta(seconds=10))
    centre.pay("SCB:2", "BBL:3", 100_000, ago=timedelta(seconds=2))
    centre.matter.duties.run_due()
    assert centre.orders(case)[-1].institution == "BBL"


def test_late_answers_escalate_once(centre: Centre) -> None:
    case, _ = one_order(centre)
    centre.clock.advance(timedelta(minutes=16))
    assert centre.matter.duties.escalate_due() == 1
    assert centre.matter.duties.escalate_due() == 0
    assert centre.orders(case)[0].escalated_at is not None


def test_after_a_restart_holds_and_claims_are_known_again(centre: Centre) -> None:
    case, order = one_order(centre)
    centre.answer(order, "SCB", 100_000)
    centre.matter = centre.build()
    assert centre.matter.pursuit.start() == 1
    centre.clock.advance(timedelta(seconds=10))
    centre.pay("SCB:2", "BBL:3", 100_000, ago=timedelta(seconds=2))
    centre.matter.duties.run_due()
    assert [(o.institution, o.held_minor) for o in centre.orders(case)] == [("SCB", 100_000)]


def test_ledger_batches_get_exactly_one_journal_row(centre: Centre) -> None:
    one_order(centre)
    assert centre.matter.duties.run_due().journalled == 1
    assert centre.matter.duties.run_due().journalled == 0
    with centre.database.uow.read(SUPERVISOR) as tx:
        rows = tx.connection.exec_driver_sql(
            "select count(*) from journal_rows where action = 'ledger.batch.taken'"
        ).scalar_one()
    assert rows == 1


def test_who_sees_a_case(centre: Centre) -> None:
    origin = centre.pay("KBANK:1", "SCB:2", 100_000, ago=timedelta(minutes=5))
    centre.pay("SCB:2", "BBL:3", 60_000, ago=timedelta(minutes=3))
    receipt = centre.file(origin)
    cases, uow = centre.matter.cases, centre.database.uow
    with uow.begin(AGENT) as tx:
        view = cases.show(tx, receipt.case)
    assert {place.account for place in view.located} == {"2", "3"}
    with uow.read(SUPERVISOR) as tx:
        looked = "select who from journal_rows where action = 'cases.case.shown'"
        assert tx.connection.execute(sa.text(looked)).scalars().all() == [AGENT.id]
    with uow.read(CITIZEN) as tx:
        own = cases.show(tx, receipt.case, secret=receipt.secret.lower())
        assert own.located == []
        assert own.loss_minor == 100_000
        for wrong in ("", "AAAA-BBBB-CCCC-DDDD", None):
            with pytest.raises(NoSuchCase):
                cases.show(tx, receipt.case, secret=wrong)
    with uow.read(liaison("SCB")) as tx:
        narrow = cases.show(tx, receipt.case)
    assert [line.institution for line in narrow.orders] == ["SCB"]
    assert (narrow.loss_minor, narrow.located) == (0, [])
    with uow.read(liaison("WALLET")) as tx, pytest.raises(NoSuchCase):
        cases.show(tx, receipt.case)
