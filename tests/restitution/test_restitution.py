"""From proposal to payment: who may, when, how much, and what every trace then says."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
import sqlalchemy as sa

from openaoc.cases.model import CaseView, StillHolding
from openaoc.channels.iso20022 import pacs008
from openaoc.holds.legal import NotConfirmed, Rulebook, rulebook
from openaoc.holds.model import OrderState
from openaoc.kernel.actor import SYSTEM, Actor, Role
from openaoc.kernel.errors import BadInput, Conflict, Refused
from openaoc.restitution import service
from openaoc.restitution.model import (
    OPEN,
    TRANSITIONS,
    LineState,
    NoRoomInFile,
    NoSuchRestitution,
    NothingToReturn,
    NotYourRestitution,
    OneAtATime,
    OtherPerson,
    PaidDifferently,
    PayableNotice,
    Restitution,
    RestitutionState,
    WrongPayment,
    WrongRestitutionStep,
    check_step,
)
from openaoc.restitution.paying import COLUMNS, as_pacs008
from openaoc.storage.unit_of_work import Transaction
from tests.restitution.world import (
    COURT,
    MONTH,
    confirm,
    held_case,
    hold_long,
    made,
    order_of,
    payable,
    propose,
    publish,
    published,
    show,
)
from tests.workflow.centre import (
    ADMIN,
    AGENT,
    INVESTIGATOR,
    SECOND,
    SUPERVISOR,
    Centre,
    liaison,
    machine,
)
from tests.workflow.invariants import check


def view(centre: Centre, case: str) -> CaseView:
    centre.matter.duties.run_due()
    with centre.database.uow.begin(SUPERVISOR) as tx:
        return centre.matter.cases.show(tx, case)


def test_held_money_goes_back_to_the_account_it_came_from(centre: Centre) -> None:
    case = held_case(centre)
    one = payable(centre, case)
    assert one.state is RestitutionState.PAYABLE
    (line,) = one.lines
    assert (line.institution, line.account, line.payee_bank, line.payee_account) == (
        "SCB", "2", "KBANK", "1",
    )  # fmt: skip
    assert (line.amount_minor, line.order) == (100_000, order_of(centre, case).order)
    paid = confirm(centre, one.id, 1, made(centre, 100_000))
    assert paid.state is RestitutionState.PAID
    assert order_of(centre, case).state is OrderState.RESTITUTED
    figures = view(centre, case)
    assert (figures.loss_minor, figures.held_minor, figures.restituted_minor) == (
        100_000, 0, 100_000,
    )  # fmt: skip
    assert (figures.located_minor, figures.exited_minor, figures.conserved) == (0, 0, True)
    check(centre)


def test_the_transfer_that_pays_takes_nothing_more_and_arrives_clean(centre: Centre) -> None:
    """Told before the confirmation, after it, or never: the figures are the same in the end."""
    case = held_case(centre)
    centre.pay("BBL:9", "SCB:2", 40_000)  # somebody's clean money on the same account
    one = payable(centre, case)
    confirm(centre, one.id, 1, made(centre, 100_000))
    before = view(centre, case)
    centre.pay("SCB:2", "KBANK:1", 100_000, name="back-1", ago=timedelta(0))
    after = view(centre, case)
    assert (after.restituted_minor, after.located_minor) == (100_000, 0)
    assert msgspec.structs.replace(after, traced_at=before.traced_at) == before
    with centre.database.uow.begin(SYSTEM) as tx:
        centre.matter.pursuit.retrace_one(tx, case)
    (hold, paid) = next(f.holds for k, f in centre.tracing._links.files.items() if k == case)
    assert (hold.transfer_row, paid.transfer_row) == (
        None, centre.ledger.find(reported_by="SCB", transfer_id="back-1"),
    )  # fmt: skip
    # The clean 40,000 are still there: who reports their origin finds them.
    other = centre.file(centre.pay("WALLET:7", "SCB:2", 5_000))
    assert other.located_minor == 5_000
    check(centre)


def test_a_transfer_that_is_told_first_is_recognised(centre: Centre) -> None:
    case = held_case(centre)
    one = payable(centre, case)
    centre.pay("SCB:2", "KBANK:1", 100_000, name="back-1", ago=timedelta(0))
    assert view(centre, case).held_minor == 100_000
    confirm(centre, one.id, 1, made(centre, 100_000))
    figures = view(centre, case)
    assert (figures.restituted_minor, figures.held_minor) == (100_000, 0)
    check(centre)


def test_after_a_restart_every_trace_says_the_same(centre: Centre) -> None:
    case = held_case(centre)
    one = payable(centre, case)
    confirm(centre, one.id, 1, made(centre, 60_000))
    centre.pay("SCB:2", "KBANK:1", 60_000, name="back-1", ago=timedelta(0))
    before = view(centre, case)
    centre.matter = centre.build()
    with centre.database.uow.begin(SYSTEM) as tx:
        centre.matter.cases.mark_due(tx, [case], at=tx.now)
    after = view(centre, case)
    assert msgspec.structs.replace(after, traced_at=before.traced_at) == before
    assert (after.restituted_minor, after.held_minor) == (60_000, 40_000)


def test_a_seized_hold_gives_back_too(centre: Centre) -> None:
    case = held_case(centre)
    order = order_of(centre, case).order
    with centre.database.uow.begin(SUPERVISOR) as tx:
        centre.matter.holds.convert(tx, order, **COURT)
    one = payable(centre, case)
    paid = confirm(centre, one.id, 1, made(centre, 100_000))
    assert paid.state is RestitutionState.PAID
    after = order_of(centre, case)
    assert (after.state, after.held_minor) == (OrderState.CONVERTED, 0)
    assert view(centre, case).restituted_minor == 100_000


def test_several_victims_accounts_share_alike(centre: Centre) -> None:
    """One report of two payments from two accounts; a third of the money is still there."""
    first = centre.pay("KBANK:1", "SCB:2", 60_000, ago=timedelta(minutes=9))
    second = centre.pay("BBL:1", "SCB:2", 30_001, ago=timedelta(minutes=8))
    centre.pay("SCB:2", None, 60_000, ago=timedelta(minutes=7), channel="cash_withdrawal")
    report = centre.report(first)
    report = msgspec.structs.replace(
        report, payments=[*report.payments, *centre.report(second).payments]
    )
    receipt, _ = centre.matter.intake.receive(report, sender=machine("KBANK"), idempotency_key="")
    with centre.database.uow.begin(SUPERVISOR) as tx:
        for order in receipt.orders:
            centre.matter.holds.approve(tx, order.order)
    for line in receipt.orders:
        centre.answer(line.order, "SCB", line.amount_minor)
    hold_long(centre, receipt.case)
    one = propose(centre, receipt.case)
    assert [(ln.payee_bank, ln.amount_minor) for ln in one.lines] == [
        ("KBANK", 20_000), ("BBL", 10_001),
    ]  # fmt: skip
    assert one.open_minor == 30_001


def test_nothing_is_payable_beyond_what_is_held(centre: Centre) -> None:
    case = held_case(centre)
    one = published(centre, case)
    order = one.lines[0].order
    with centre.database.uow.begin(INVESTIGATOR) as tx:
        centre.matter.holds.release(tx, order, "a mistake", amount_minor=30_000)
    centre.clock.advance(MONTH)
    centre.matter.duties.run_due()
    now = show(centre, one.id)
    assert (now.state, now.open_minor) == (RestitutionState.PAYABLE, 70_000)
    with pytest.raises(WrongPayment, match="at most 70000"):
        confirm(centre, one.id, 1, made(centre, 70_001))
    with centre.database.uow.begin(INVESTIGATOR) as tx:
        centre.matter.holds.release(tx, order, "another mistake", amount_minor=1)
    with pytest.raises(BadInput, match="69999"):
        confirm(centre, one.id, 1, made(centre, 70_000))
    assert confirm(centre, one.id, 1, made(centre, 69_999)).paid_minor == 69_999
    assert view(centre, case).restituted_minor == 69_999
    check(centre)


def test_when_the_hold_is_over_the_restitution_ends(centre: Centre) -> None:
    receipt = centre.file(centre.pay("KBANK:1", "SCB:2", 100_000))
    centre.answer(receipt.orders[0].order, "SCB", 100_000)
    one = published(centre, receipt.case)
    assert one.lines[0].hold_ends_at is not None
    assert one.objections_until is not None
    assert one.lines[0].hold_ends_at < one.objections_until, "anybody can see it coming"
    centre.clock.advance(MONTH)
    centre.matter.duties.run_due()
    now = show(centre, one.id)
    assert (now.state, now.open_minor) == (RestitutionState.ENDED, 0)
    assert now.lines[0].state is LineState.DROPPED
    with pytest.raises(NothingToReturn):
        propose(centre, receipt.case)


def test_four_eyes_and_one_at_a_time(centre: Centre) -> None:
    case = held_case(centre)
    one = propose(centre, case)
    with pytest.raises(OneAtATime, match=one.id):
        propose(centre, case)
    with pytest.raises(OtherPerson):
        publish(centre, one.id, actor=SUPERVISOR)
    with pytest.raises(Refused):
        publish(centre, one.id, actor=INVESTIGATOR)
    for actor in (AGENT, ADMIN, machine("SCB"), liaison("SCB")):
        with pytest.raises(Refused):
            propose(centre, case, actor=actor)
    with centre.database.uow.begin(SECOND) as tx:
        ended = centre.matter.returning.restitutions.end(tx, one.id, reason="proposed too early")
    assert ended.state is RestitutionState.ENDED
    again = propose(centre, case, actor=INVESTIGATOR)
    assert again.id != one.id
    with pytest.raises(WrongRestitutionStep):
        publish(centre, one.id)


def test_an_unconfirmed_rule_publishes_nothing(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = propose(centre, held_case(centre))

    def doubtful(code: str) -> Rulebook:
        book = rulebook(code)
        rule = msgspec.structs.replace(book.restitution, confirmed=False)
        return msgspec.structs.replace(book, restitution=rule)

    monkeypatch.setattr(service, "rulebook", doubtful)
    with pytest.raises(NotConfirmed, match="TH"):
        publish(centre, one.id)


def test_nothing_is_payable_before_the_thirtieth_day(centre: Centre) -> None:
    one = published(centre, held_case(centre))
    centre.clock.advance(MONTH - timedelta(seconds=1))
    centre.matter.duties.run_due()
    assert show(centre, one.id).state is RestitutionState.PUBLISHED
    with pytest.raises(WrongRestitutionStep):
        confirm(centre, one.id, 1, made(centre, 100_000))
    centre.clock.advance(timedelta(seconds=1))
    centre.matter.duties.run_due()
    assert show(centre, one.id).state is RestitutionState.PAYABLE


# Payments.


def test_the_same_confirmation_again_changes_nothing(centre: Centre) -> None:
    case = held_case(centre)
    one = payable(centre, case)
    payment = made(centre, 50_000)
    first = confirm(centre, one.id, 1, payment)
    centre.clock.advance(timedelta(hours=1))
    assert confirm(centre, one.id, 1, payment) == first
    assert order_of(centre, case).held_minor == 50_000
    for other in (made(centre, 49_999), made(centre, 50_000, transfer="back-2")):
        with pytest.raises(PaidDifferently):
            confirm(centre, one.id, 1, other)
    assert view(centre, case).restituted_minor == 50_000


def test_one_transfer_pays_once(centre: Centre) -> None:
    one, other = (payable(centre, held_case(centre)), payable_elsewhere(centre))
    confirm(centre, one.id, 1, made(centre, 100_000))
    with pytest.raises(PaidDifferently, match=one.id):
        confirm(centre, other.id, 1, made(centre, 30_000))


def payable_elsewhere(centre: Centre) -> Restitution:
    receipt = centre.file(centre.pay("BBL:5", "SCB:6", 30_000))
    centre.answer(receipt.orders[0].order, "SCB", 30_000)
    hold_long(centre, receipt.case)
    return payable(centre, receipt.case)


@pytest.mark.parametrize(
    ("debtor", "creditor", "amount"),
    [("SCB:3", "KBANK:1", 100_000), ("SCB:2", "KBANK:9", 100_000), ("SCB:2", "KBANK:1", 99_999)],
)
def test_another_transfer_is_not_the_payment(
    centre: Centre, debtor: str, creditor: str, amount: int
) -> None:
    case = held_case(centre)
    one = payable(centre, case)
    centre.pay(debtor, creditor, amount, name="back-1", ago=timedelta(0))
    with pytest.raises(WrongPayment, match="ledger"):
        confirm(centre, one.id, 1, made(centre, 100_000))
    assert order_of(centre, case).held_minor == 100_000


def test_a_wrong_transfer_told_later_is_traced_as_any_other(centre: Centre) -> None:
    case = held_case(centre)
    one = payable(centre, case)
    confirm(centre, one.id, 1, made(centre, 100_000))
    centre.pay("SCB:3", "KBANK:1", 7, name="back-1", ago=timedelta(0))
    assert view(centre, case).restituted_minor == 100_000
    check(centre)


def test_only_the_institution_that_holds_confirms(centre: Centre) -> None:
    one = payable(centre, held_case(centre))
    with pytest.raises(NoSuchRestitution):
        confirm(centre, one.id, 1, made(centre, 100_000), bank="KBANK")
    with pytest.raises(NoSuchRestitution):
        confirm(centre, one.id, 2, made(centre, 100_000))
    with centre.database.uow.begin(SYSTEM) as tx, pytest.raises(Refused):
        centre.matter.returning.payments.confirm(
            tx, one.id, 1, made(centre, 100_000), actor=SUPERVISOR
        )
    late = msgspec.structs.replace(
        made(centre, 100_000), paid_at=centre.clock.now() + timedelta(hours=1)
    )
    early = msgspec.structs.replace(late, paid_at=centre.clock.now() - timedelta(days=1))
    for wrong in (late, early):
        with pytest.raises(WrongPayment, match="paid"):
            confirm(centre, one.id, 1, wrong)


def test_the_payable_file_as_csv_and_pacs008(centre: Centre) -> None:
    case = held_case(centre)
    one = payable(centre, case)
    for reader in (SUPERVISOR, machine("SCB")):
        with centre.database.uow.begin(reader) as tx:
            csv = centre.matter.returning.payments.file(tx, one.id, form="csv")
            xml = centre.matter.returning.payments.file(tx, one.id, form="pacs.008")
        header, row = csv.content.decode("utf-8").splitlines()
        assert header == ",".join(COLUMNS)
        order = order_of(centre, case).order
        assert row == (
            f"{one.id}/1,{case},{order},SCB,2,KBANK,1,100000,1000.00,THB,Restitution in case {case}"
        )
        (payment,) = pacs008.read(xml.content).payments
        assert (payment.payment_id, payment.amount.amount_minor) == (f"{one.id}/1", 100_000)
        assert (payment.debtor_bank, payment.debtor_account) == ("SCB", "2")
        assert (payment.creditor_bank, payment.creditor_account) == ("KBANK", "1")
        assert len(payment.payment_id) <= 35
    wallet = [msgspec.structs.replace(line, payee_account="0X" + "A" * 40) for line in one.lines]
    with pytest.raises(NoRoomInFile, match="take csv"):
        as_pacs008(one, wallet, at=centre.clock.now())
    confirm(centre, one.id, 1, made(centre, 100_000))
    with centre.database.uow.begin(SUPERVISOR) as tx, pytest.raises(WrongRestitutionStep):
        centre.matter.returning.payments.file(tx, one.id, form="csv")


def test_each_institution_learns_of_its_own_payments_alone(centre: Centre) -> None:
    origin = centre.pay("KBANK:1", "SCB:2", 100_000, ago=timedelta(minutes=9))
    centre.pay("SCB:2", "BBL:3", 40_000, ago=timedelta(minutes=8))
    receipt = centre.file(origin)
    for order in receipt.orders:
        centre.answer(order.order, order.institution, order.amount_minor)
    hold_long(centre, receipt.case)
    one = propose(centre, receipt.case)
    for bank in ("SCB", "BBL"):
        with pytest.raises(NoSuchRestitution):
            show(centre, one.id, actor=liaison(bank))
    publish(centre, one.id)
    centre.clock.advance(MONTH)
    centre.matter.duties.run_due()
    told = {m.body.institution: m.body for m in centre.outbox.sent
            if isinstance(m.body, PayableNotice)}  # fmt: skip
    assert {bank: body.total_minor for bank, body in told.items()} == {"SCB": 60_000, "BBL": 40_000}
    own = show(centre, one.id, actor=liaison("BBL"))
    assert [line.institution for line in own.lines] == ["BBL"]
    with pytest.raises(NoSuchRestitution):
        show(centre, one.id, actor=liaison("KBANK"))
    with centre.database.uow.read(machine("SCB")) as tx:
        (seen,) = centre.matter.returning.restitutions.list(tx).restitutions
        assert [line.institution for line in seen.lines] == ["SCB"]
    with centre.database.uow.read(machine("KBANK")) as tx:
        assert centre.matter.returning.restitutions.list(tx).restitutions == []
    confirm(centre, one.id, own.lines[0].no, made(centre, 40_000), bank="BBL")
    assert show(centre, one.id).state is RestitutionState.PAYABLE
    first = next(ln.no for ln in show(centre, one.id).lines if ln.institution == "SCB")
    done = confirm(centre, one.id, first, made(centre, 60_000, transfer="back-2"))
    assert done.state is RestitutionState.PAID
    assert view(centre, receipt.case).restituted_minor == 100_000


def test_what_is_published_names_no_person_and_no_case(centre: Centre) -> None:
    receipt = centre.file(centre.pay("KBANK:1112223334", "SCB:9998887776", 100_000))
    centre.answer(receipt.orders[0].order, "SCB", 100_000)
    one = propose(centre, receipt.case)
    with centre.database.uow.read(SYSTEM) as tx:
        assert centre.matter.returning.restitutions.published(tx).lines == []
    publish(centre, one.id)
    with centre.database.uow.read(SYSTEM) as tx:
        (line,) = centre.matter.returning.restitutions.published(tx).lines
    assert (line.institution, line.account_ends, line.amount_minor) == ("SCB", "7776", 100_000)
    assert receipt.case not in str(line)
    assert "999888" not in str(line)


def test_returned_is_a_share_of_what_was_held(centre: Centre) -> None:
    one = payable(centre, held_case(centre))
    confirm(centre, one.id, 1, made(centre, 25_000))
    with centre.database.uow.read(SUPERVISOR) as tx:
        (found,) = centre.matter.returning.restitutions.returned(tx).jurisdictions
    assert (found.jurisdiction, found.held_minor, found.returned_minor, found.share) == (
        "TH", 100_000, 25_000, 0.25,
    )  # fmt: skip


# With the case.


def test_a_case_is_not_closed_while_its_money_is_given_back(centre: Centre) -> None:
    case = held_case(centre)
    order = order_of(centre, case).order
    with centre.database.uow.begin(SUPERVISOR) as tx:
        centre.matter.holds.convert(tx, order, **COURT)
    one = published(centre, case)
    with pytest.raises(StillHolding, match=one.id), centre.database.uow.begin(SUPERVISOR) as tx:
        centre.matter.pursuit.close(tx, case, reason="over")
    assert view(centre, case).state == "pursued"


def test_a_dropped_case_gives_nothing_back(centre: Centre) -> None:
    case = held_case(centre)
    one = published(centre, case)
    with centre.database.uow.begin(SUPERVISOR) as tx:
        centre.matter.pursuit.drop(tx, case, reason="a false report")
    assert show(centre, one.id).state is RestitutionState.ENDED
    with pytest.raises(Conflict):
        propose(centre, case)


def test_nothing_is_proposed_where_nothing_is_held(shadow_centre: Centre) -> None:
    receipt = shadow_centre.file(shadow_centre.pay("KBANK:1", "SCB:2", 100_000))
    with pytest.raises(NothingToReturn):
        propose(shadow_centre, receipt.case)


def test_every_change_is_in_the_journal_without_accounts(centre: Centre) -> None:
    receipt = centre.file(centre.pay("KBANK:1112223334", "SCB:9998887776", 100_000))
    centre.answer(receipt.orders[0].order, "SCB", 100_000)
    hold_long(centre, receipt.case)
    one = payable(centre, receipt.case)
    confirm(centre, one.id, 1, made(centre, 100_000))
    rows = journal(centre, one.id)
    assert [r.action.removeprefix("restitution.restitution.") for r in rows] == [
        "proposed", "published", "payable", "paid",
    ]  # fmt: skip
    assert "payment confirmed by SCB" in rows[-1].body
    assert "1112223334" not in str(rows)
    assert "9998887776" not in str(rows)


def journal(centre: Centre, subject: str) -> list[sa.Row[tuple[str, str]]]:
    def read(tx: Transaction) -> list[sa.Row[tuple[str, str]]]:
        query = sa.text("select action, body from journal_rows where subject = :s order by id")
        return list(tx.connection.execute(query, {"s": subject}))

    with centre.database.uow.read(SYSTEM) as tx:
        return read(tx)


def test_every_step_outside_the_table_is_refused() -> None:
    allowed = {(t.before, t.after): t for t in TRANSITIONS}
    everyone = Actor(id="x", roles=frozenset(Role))
    citizen = Actor(id="x", roles=frozenset({Role.CITIZEN}))
    for before in RestitutionState:
        for after in RestitutionState:
            if (before, after) in allowed:
                assert check_step(before, after, actor=everyone).why
                with pytest.raises(NotYourRestitution):
                    check_step(before, after, actor=citizen)
            else:
                with pytest.raises(WrongRestitutionStep):
                    check_step(before, after, actor=everyone)
    for state in OPEN:
        assert (state, RestitutionState.ENDED) in allowed, "everything open can end"
    assert {t.before for t in TRANSITIONS} == OPEN
