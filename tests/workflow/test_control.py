"""Standing by proven control of the paying account, and who tries to get it otherwise."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
import sqlalchemy as sa

from openaoc.cases.model import NoSuchCase, WrongCaseTransition
from openaoc.kernel.actor import CITIZEN, Actor
from openaoc.kernel.errors import OpenAOCError
from openaoc.parties.permissions import NotPermitted
from openaoc.reports.control import (
    CHECKS_PER_ACCOUNT_AND_DAY_MAX,
    PROOFS_PER_ACCOUNT_MAX,
    VALID_FOR,
    WRONG_MAX,
    ControlNotProven,
    plain_code,
)
from openaoc.reports.model import Channel, ReportReceipt
from openaoc.workflow.confirming import PAYMENT_CONFIRM
from openaoc.workflow.control import CONTROL_CHECK, AccountControl, ControlMessage
from tests.workflow.centre import (
    ADMIN,
    AGENT,
    BANKS,
    INVESTIGATOR,
    SUPERVISOR,
    Centre,
    liaison,
    machine,
)

WRONG_CODE = "00000000"


@pytest.fixture
def reachable(centre: Centre) -> Centre:
    """A centre whose banks have systems."""
    for bank in BANKS:
        with centre.database.uow.begin(ADMIN) as tx:
            centre.parties.set_endpoint(tx, code=bank, endpoint="http://127.0.0.1:1")
    return centre


def by_citizen(centre: Centre, *transfers: str) -> ReportReceipt:
    """A citizen's report of these payments, which waits for a person."""
    payments = [centre.report(one).payments[0] for one in transfers]
    receipt = centre.file(transfers[0], sender=CITIZEN, channel=Channel.WEB, payments=payments)
    assert receipt.standing == "needs_person"
    assert {line.state for line in receipt.orders} == {"drafted"}
    return receipt


def ask(centre: Centre, receipt: ReportReceipt) -> list[AccountControl]:
    return centre.matter.control.ask(receipt.case, actor=CITIZEN, secret=receipt.secret).accounts


def messages(centre: Centre) -> list[ControlMessage]:
    return [m.body for m in centre.outbox.sent if isinstance(m.body, ControlMessage)]


def code(centre: Centre, place: int = -1) -> str:
    """What the holder of the paying account reads in the bank's app."""
    body = msgspec.json.encode(messages(centre)[place])
    sent = msgspec.json.decode(centre.matter.control.with_code(body), type=ControlMessage)
    return sent.code


def prove(centre: Centre, receipt: ReportReceipt, given: str) -> str:
    return centre.matter.control.prove(receipt.case, secret=receipt.secret, code=given).standing


def test_the_code_gives_standing_and_the_drafts_go_out(reachable: Centre) -> None:
    receipt = by_citizen(reachable, reachable.pay("KBANK:1111222233", "SCB:2", 100_000))
    [asked] = ask(reachable, receipt)
    assert (asked.state, asked.institution, asked.account) == ("asked", "KBANK", "••••••2233")
    [message] = messages(reachable)
    assert (message.account, message.code, message.case) == ("1111222233", "", receipt.case)
    assert [m.kind for m in reachable.outbox.sent if m.kind != PAYMENT_CONFIRM] == [CONTROL_CHECK]
    given = code(reachable)
    assert prove(reachable, receipt, f"{given[:4]} {given[4:]}") == "automatic"
    assert [o.account for o in reachable.outbox.orders()] == ["2"]
    assert prove(reachable, receipt, given) == "automatic", "again, it changes nothing"
    assert len(reachable.outbox.orders()) == 1
    assert [a.state for a in ask(reachable, receipt)] == ["stands"]


def test_asked_again_the_same_code_stands_and_nothing_more_is_sent(reachable: Centre) -> None:
    receipt = by_citizen(reachable, reachable.pay("KBANK:1", "SCB:2", 100_000))
    ask(reachable, receipt)
    with_key = reachable.matter.control.ask(receipt.case, actor=AGENT).accounts
    assert [a.state for a in with_key] == ["asked"]
    assert len(messages(reachable)) == 1


def test_every_paying_account_has_to_be_proven(reachable: Centre) -> None:
    receipt = by_citizen(
        reachable,
        reachable.pay("KBANK:1", "SCB:2", 100_000),
        reachable.pay("BBL:7", "SCB:2", 50_000),
    )
    assert [a.state for a in ask(reachable, receipt)] == ["asked", "asked"]
    first = reachable.matter.control.prove(
        receipt.case, secret=receipt.secret, code=code(reachable, 0)
    )
    assert (first.standing, first.left) == ("needs_person", 1)
    assert not reachable.outbox.orders()
    last = reachable.matter.control.prove(
        receipt.case, secret=receipt.secret, code=code(reachable, 1)
    )
    assert (last.standing, last.left) == ("automatic", 0)


def test_one_account_proven_and_the_other_confirmed_is_enough(reachable: Centre) -> None:
    receipt = by_citizen(
        reachable,
        reachable.pay("KBANK:1", "SCB:2", 100_000),
        reachable.pay("BBL:7", "SCB:2", 50_000),
    )
    reachable.matter.pursuit.confirm(receipt.case, actor=machine("BBL"))
    assert [a.state for a in ask(reachable, receipt)] == ["stands", "asked"]
    assert prove(reachable, receipt, code(reachable)) == "automatic"


def refusal(centre: Centre, case: str, secret: str, given: str) -> tuple[str, str]:
    with pytest.raises(ControlNotProven) as error:
        centre.matter.control.prove(case, secret=secret, code=given)
    return error.value.code, str(error.value)


def test_every_refusal_reads_the_same(reachable: Centre) -> None:
    receipt = by_citizen(reachable, reachable.pay("KBANK:1", "SCB:2", 100_000))
    told = {refusal(reachable, receipt.case, receipt.secret, WRONG_CODE)}
    ask(reachable, receipt)
    given = code(reachable)
    other = f"{(int(given) + 1) % 10**8:08d}"
    told |= {
        refusal(reachable, receipt.case, receipt.secret, other),
        refusal(reachable, receipt.case, receipt.secret, "abc"),
        refusal(reachable, receipt.case, "0000-0000-0000-0000", given),
        refusal(reachable, receipt.case, "", given),
        refusal(reachable, "AOC-0000-0000-0", receipt.secret, given),
    }
    reachable.clock.advance(VALID_FOR)
    told |= {refusal(reachable, receipt.case, receipt.secret, given)}
    assert len(told) == 1
    assert not reachable.outbox.orders()


def test_attempts_end_and_a_stranger_cannot_use_them_up(reachable: Centre) -> None:
    receipt = by_citizen(reachable, reachable.pay("KBANK:1", "SCB:2", 100_000))
    ask(reachable, receipt)
    given = code(reachable)
    other = f"{(int(given) + 1) % 10**8:08d}"
    for _ in range(2 * WRONG_MAX):
        refusal(reachable, receipt.case, "0000-0000-0000-0000", other)
        refusal(reachable, receipt.case, receipt.secret, "no code at all")
    for _ in range(WRONG_MAX - 1):
        refusal(reachable, receipt.case, receipt.secret, other)
    with reachable.database.uow.read(SUPERVISOR) as tx:
        wrong = tx.connection.execute(sa.text("select wrong from control_checks")).scalar_one()
    assert wrong == WRONG_MAX - 1
    refusal(reachable, receipt.case, receipt.secret, other)
    refusal(reachable, receipt.case, receipt.secret, given)


def test_an_account_is_asked_so_often_a_day_over_all_cases(reachable: Centre) -> None:
    origin = reachable.pay("KBANK:1", "SCB:2", 100_000)
    states = []
    for _ in range(CHECKS_PER_ACCOUNT_AND_DAY_MAX + 1):
        [asked] = ask(reachable, by_citizen(reachable, origin))
        states.append(asked.state)
    assert states == ["asked"] * CHECKS_PER_ACCOUNT_AND_DAY_MAX + ["not_asked"]
    assert asked.why is not None
    assert "too often" in asked.why
    reachable.clock.advance(timedelta(days=1, seconds=1))
    [later] = ask(reachable, by_citizen(reachable, origin))
    assert later.state == "asked"


def test_who_reports_an_honest_shop_again_and_again_meets_a_person(reachable: Centre) -> None:
    """He pays for real and proves his account each time: his own amounts, a few times a month."""
    for day in range(PROOFS_PER_ACCOUNT_MAX):
        receipt = by_citizen(reachable, reachable.pay("KBANK:66", "SCB:900", 100))
        ask(reachable, receipt)
        assert prove(reachable, receipt, code(reachable)) == "automatic", day
        reachable.clock.advance(timedelta(days=1, seconds=1))
    receipt = by_citizen(reachable, reachable.pay("KBANK:66", "SCB:900", 100))
    [asked] = ask(reachable, receipt)
    assert asked.state == "not_asked"
    assert asked.why is not None
    assert "a person decides" in asked.why
    assert sum(o.amount_minor for o in reachable.outbox.orders()) <= PROOFS_PER_ACCOUNT_MAX * 100


def test_nobody_is_asked_for_a_payment_that_was_not_found(reachable: Centre) -> None:
    """A report that names strangers' accounts at random floods nobody with codes."""
    reachable.pay("KBANK:1", "SCB:2", 100_000, name="real")
    report = reachable.report("real")
    lie = msgspec.structs.replace(report.payments[0], debtor_account="777", transfer_id=None)
    receipt = reachable.file("real", sender=CITIZEN, channel=Channel.WEB, payments=[lie])
    assert ask(reachable, receipt) == []
    assert not messages(reachable)


def test_without_a_system_or_in_shadow_nothing_is_sent_and_it_says_so(
    centre: Centre, shadow_centre: Centre
) -> None:
    receipt = by_citizen(centre, centre.pay("KBANK:1", "SCB:2", 100_000))
    [asked] = ask(centre, receipt)
    assert asked.state == "not_asked"
    assert asked.why is not None
    assert "not connected" in asked.why
    with centre.database.uow.begin(ADMIN) as tx:
        centre.parties.set_endpoint(tx, code="KBANK", endpoint="http://127.0.0.1:1")
    with centre.database.uow.begin(SUPERVISOR) as tx:
        centre.parties.back_to_shadow(tx, "institution:KBANK")
    [asked] = ask(centre, receipt)
    assert asked.why is not None
    assert "shadow" in asked.why
    assert not messages(centre)
    assert centre.matter.pursuit.confirm(receipt.case, actor=machine("KBANK")).automatic


@pytest.mark.parametrize("who", [ADMIN, liaison("KBANK"), machine("KBANK")])
def test_who_may_not_ask(reachable: Centre, who: Actor) -> None:
    receipt = by_citizen(reachable, reachable.pay("KBANK:1", "SCB:2", 100_000))
    with pytest.raises(NotPermitted):
        reachable.matter.control.ask(receipt.case, actor=who)
    with pytest.raises(NoSuchCase):
        reachable.matter.control.ask(receipt.case, actor=who, secret="0000-0000-0000-0000")
    with pytest.raises(NoSuchCase):
        reachable.matter.control.ask(receipt.case, actor=CITIZEN)
    assert not messages(reachable)


def test_an_ended_case_is_neither_asked_nor_proven(reachable: Centre) -> None:
    receipt = by_citizen(reachable, reachable.pay("KBANK:1", "SCB:2", 100_000))
    ask(reachable, receipt)
    with reachable.database.uow.begin(SUPERVISOR) as tx:
        reachable.matter.pursuit.drop(tx, receipt.case, reason="a false report")
    with pytest.raises(ControlNotProven):
        prove(reachable, receipt, code(reachable))
    with pytest.raises(WrongCaseTransition):
        ask(reachable, receipt)
    assert not reachable.outbox.orders()


def test_a_code_does_not_undo_a_persons_stop(reachable: Centre) -> None:
    receipt = by_citizen(reachable, reachable.pay("KBANK:1", "SCB:2", 100_000))
    with reachable.database.uow.begin(INVESTIGATOR) as tx:
        reachable.matter.holds.withdraw(tx, receipt.orders[0].order, "the shop is honest")
    ask(reachable, receipt)
    assert prove(reachable, receipt, code(reachable)) == "needs_person"
    assert not reachable.matter.pursuit.confirm(receipt.case, actor=machine("KBANK")).automatic
    reachable.clock.advance(timedelta(seconds=10))
    reachable.matter.pursuit.retrace_due()
    assert not reachable.outbox.orders()


def test_the_code_rests_nowhere(reachable: Centre) -> None:
    receipt = by_citizen(reachable, reachable.pay("KBANK:4445556667", "SCB:2", 100_000))
    ask(reachable, receipt)
    given = code(reachable)
    assert plain_code(given) == given
    prove(reachable, receipt, given)
    with reachable.database.uow.read(SUPERVISOR) as tx:
        rows = tx.connection.execute(sa.text("select body from journal_rows")).scalars().all()
        kept = tx.connection.execute(sa.text("select c::text from control_checks c")).scalars()
        assert any("reports.control.proven" in row for row in rows)
        assert not any(given in row for row in (*rows, *kept))
        assert not any("4445556667" in row for row in rows)


def test_an_unknown_case_is_refused_when_asked(reachable: Centre) -> None:
    with pytest.raises(OpenAOCError):
        reachable.matter.control.ask("AOC-0000-0000-0", actor=INVESTIGATOR)
