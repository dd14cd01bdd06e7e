"""A holder contests with the notice alone; persons decide; the clock presses."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import msgspec
import pytest
import sqlalchemy as sa

from openaoc.appeals.legal import appeal_rules
from openaoc.appeals.model import (
    APPEALS_PER_ORDER_MAX,
    STATEMENTS_PER_APPEAL_MAX,
    TRANSITIONS,
    AppealState,
    ContestOpen,
    HoldOver,
    NoSuchAppeal,
    NoSuchHold,
    NotYourAppeal,
    TooManyContests,
    WrongAppealTransition,
)
from openaoc.appeals.persons import persons_needed
from openaoc.holds.codes import Codes, same_code
from openaoc.holds.model import Answer, NoSuchOrder, SamePerson
from openaoc.kernel.actor import CITIZEN, SYSTEM, Actor
from openaoc.kernel.errors import BadInput
from openaoc.kernel.ids import new_case_id
from openaoc.parties.permissions import NotPermitted
from tests.appeals.contests import (
    OTHER,
    REVIEWER,
    SECOND,
    SUPERVISOR,
    code_of,
    contest,
    decide,
    held,
    order_now,
    refuse,
    second,
    status,
    take,
    uphold,
)
from tests.workflow.centre import AGENT, Centre, liaison, machine

S = AppealState


def test_the_notice_says_where_and_with_what(centre: Centre) -> None:
    order = held(centre)
    notice = next(n for n in centre.outbox.notices() if n.order == order)
    assert notice.contest_code in notice.text.th
    assert notice.contest_code in notice.text.en
    assert notice.contest_at.endswith("/contest")
    assert notice.contest_at in notice.text.en


def test_a_code_opens_its_own_order_only(centre: Centre) -> None:
    order = held(centre)
    code = code_of(centre, order)
    for wrong_order, wrong_code in (
        (order, "AAAA-BBBB-CCCC"),
        ("ord_00000000000000000000", code),
        (order, ""),
        (order, "ไทย"),
        ("\u0000", code),
    ):
        with pytest.raises(NoSuchHold) as refused:
            contest(centre, wrong_order, code=wrong_code or "x")
        assert str(refused.value) == "order number and contest code do not belong together"
    assert contest(centre, order.upper(), code=code.lower().replace("-", " ")).statements == 1


def test_the_cases_number_does_as_well_as_the_orders(centre: Centre) -> None:
    order = held(centre)
    with centre.database.uow.read(SUPERVISOR) as tx:
        case = centre.matter.holds.show(tx, order).case
    other = held(centre)
    notice = next(n for n in centre.outbox.notices() if n.order == order)
    assert case in notice.text.th, "the holder reads it"
    assert case in notice.text.en
    for number, code in (
        (case, code_of(centre, other)),
        (case, "AAAA-BBBB-CCCC"),
        (new_case_id(), code_of(centre, order)),
    ):
        with pytest.raises(NoSuchHold) as refused:
            contest(centre, number, code=code)
        assert str(refused.value) == "order number and contest code do not belong together"
    assert contest(centre, f" {case.lower()} ", code=code_of(centre, order)).order == order
    assert status(centre, case, code=code_of(centre, order)).order == order


def test_codes_differ_and_forgive_what_sounds_alike() -> None:
    codes = Codes(key=b"k" * 32, page="p")
    assert codes.contest("a") != codes.contest("b")
    assert same_code("o1i0-aaaa-aaaa", "0110-AAAA-AAAA")
    assert not same_code("", codes.contest("a"))
    assert codes.contest("a") != Codes(key=b"j" * 32, page="p").contest("a")


def test_an_order_nobody_was_told_of_cannot_be_contested(shadow_centre: Centre) -> None:
    origin = shadow_centre.pay("KBANK:1", "SCB:2", 100_000)
    order = shadow_centre.file(origin).orders[0].order
    with pytest.raises(NoSuchHold):
        contest(shadow_centre, order, code=shadow_centre.matter.holds.codes.contest(order))


def test_what_the_holder_wrote_is_sealed_and_each_look_is_on_record(centre: Centre) -> None:
    order = held(centre)
    appeal = contest(centre, order, text="My name is Malee, 0812223333.").appeal
    with centre.database.uow.begin(SUPERVISOR) as tx:
        for table in ("appeals", "appeal_statements", "journal_rows"):
            asked = f"select t::text from {table} t"  # noqa: S608 - names of ours
            rows = tx.connection.execute(sa.text(asked)).scalars()
            assert not any("Malee" in row for row in rows), table
        found = centre.matter.appeals.statements(tx, appeal, reason="review of the contest")
        assert [s.statement for s in found.statements] == ["My name is Malee, 0812223333."]
        assert found.statements[0].contact == "081"
        assert "Malee" not in repr(found)
    with centre.database.uow.read(SUPERVISOR) as tx:
        opened = tx.connection.execute(
            sa.text("select count(*) from journal_rows where action = 'storage.identity.opened'")
        ).scalar_one()
    assert opened == 1
    for who in (CITIZEN, liaison("SCB")):
        with pytest.raises(NotPermitted), centre.database.uow.begin(who) as tx:
            centre.matter.appeals.statements(tx, appeal, reason="curious")


def test_institutions_see_no_contest(centre: Centre) -> None:
    contest(centre, held(centre))
    with centre.database.uow.read(machine("SCB")) as tx:
        assert tx.connection.execute(sa.text("select count(*) from appeals")).scalar_one() == 0
        with pytest.raises(NotPermitted):
            centre.matter.appeals.list(tx)


def test_one_person_releases_a_small_hold_of_a_shop(centre: Centre) -> None:
    order = held(centre, shop=True)
    amount = order_now(centre, order)[1]
    filed = contest(centre, order)
    assert filed.state is S.FILED
    assert filed.answer_by - filed.filed_at == timedelta(hours=4)
    taken = take(centre, filed.appeal)
    assert taken.evidence is not None
    assert taken.evidence.likely_innocent
    assert any("payers" in why for why in taken.evidence.merchant)
    centre.clock.advance(timedelta(hours=3))
    done = decide(centre, filed.appeal, uphold(cause="trace"))
    assert (done.state, done.released_minor) == (S.UPHELD, amount)
    assert order_now(centre, order) == ("released", 0)
    seen = status(centre, order)
    assert seen.reasons[0].th.startswith("บัญชีมีการค้าขาย")
    assert seen.next is None
    with centre.database.uow.read(SUPERVISOR) as tx:
        [record] = centre.matter.appeals.compensations(tx).compensations
    assert (record.wrongful_minor, record.minor_hours) == (amount, 3 * amount)
    assert (record.cause, record.reporter, record.issued_by) == (
        "trace",
        "usr_kbank",
        ["automatic"],
    )
    centre.clock.advance(timedelta(hours=1))
    centre.matter.duties.run_due()
    assert order_now(centre, order) == ("released", 0)
    end = next(e for e in centre.outbox.ends() if e.order == order)
    assert "คำคัดค้าน" in end.reason.th


def test_a_likely_mule_needs_two_persons(centre: Centre) -> None:
    order = held(centre)
    appeal = contest(centre, order).appeal
    taken = take(centre, appeal)
    assert taken.evidence is not None
    assert taken.evidence.likely_mule
    assert taken.evidence.signs
    waiting = decide(centre, appeal, uphold())
    assert (waiting.state, waiting.persons_needed) == (S.PROPOSED, 2)
    assert order_now(centre, order)[0] == "applied"
    assert status(centre, order).state is S.UNDER_REVIEW, "the holder sees no half decision"
    assert status(centre, order).reasons == []
    with pytest.raises(NotYourAppeal):
        second(centre, appeal, who=OTHER)
    assert second(centre, appeal, agree=False).state is S.UNDER_REVIEW
    take(centre, appeal, SUPERVISOR)
    decide(centre, appeal, uphold(), SUPERVISOR)
    with pytest.raises(SamePerson):
        second(centre, appeal, who=SUPERVISOR)
    assert second(centre, appeal, who=SECOND).state is S.UPHELD
    assert order_now(centre, order) == ("released", 0)


def test_refusing_a_shop_needs_two_and_says_where_to_go(centre: Centre) -> None:
    order = held(centre, shop=True)
    appeal = contest(centre, order).appeal
    take(centre, appeal)
    assert decide(centre, appeal, refuse()).state is S.PROPOSED
    assert second(centre, appeal).state is S.REFUSED
    seen = status(centre, order)
    assert seen.reasons
    assert seen.next is not None
    assert "1213" in seen.next.th
    assert order_now(centre, order)[0].startswith("applied")


def test_a_part_is_given_back_and_the_rest_stays(centre: Centre) -> None:
    order = held(centre)
    appeal = contest(centre, order).appeal
    take(centre, appeal)
    decide(centre, appeal, uphold(outcome="uphold_in_part", release_minor=30_000))
    done = second(centre, appeal)
    assert (done.state, done.released_minor) == (S.UPHELD_IN_PART, 30_000)
    assert order_now(centre, order) == ("applied", 70_000)


def test_a_large_sum_is_not_one_persons_in_small_parts(centre: Centre) -> None:
    alone = centre.matter.appeals.rules.alone_minor
    order = held(centre, 3 * alone, shop=True)
    for release, needed in ((alone - 1, 1), (1, 1), (1, 2)):
        appeal = contest(centre, order).appeal
        take(centre, appeal)
        part = uphold(outcome="uphold_in_part", release_minor=release)
        assert decide(centre, appeal, part).persons_needed == needed
    assert order_now(centre, order) == ("applied", 2 * alone)


def test_an_unanswered_order_is_withdrawn(centre: Centre) -> None:
    origin = centre.pay("KBANK:1", "SCB:2", 100_000, ago=timedelta(minutes=5))
    order = centre.file(origin).orders[0].order
    appeal = contest(centre, order).appeal
    take(centre, appeal)
    with pytest.raises(BadInput, match="nothing is held yet"):
        decide(centre, appeal, uphold(outcome="uphold_in_part", release_minor=1))
    decide(centre, appeal, uphold())
    second(centre, appeal)
    assert order_now(centre, order)[0] == "withdrawn"
    with centre.database.uow.read(SUPERVISOR) as tx:
        assert centre.matter.appeals.compensations(tx).compensations == []


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"reasons": ["passes_through"]}, "reasons"),
        ({"reasons": ["no such"]}, "reasons"),
        ({"release_minor": 5}, "release_minor"),
        ({"outcome": "uphold_in_part"}, "release_minor"),
        ({"outcome": "uphold_in_part", "release_minor": 100_001}, "release_minor"),
        ({"outcome": "refuse", "reasons": ["passes_through"], "cause": "rule"}, "cause"),
    ],
)
def test_a_decision_that_contradicts_itself_is_refused(
    centre: Centre, changes: dict[str, object], place: str
) -> None:
    order = held(centre)
    appeal = contest(centre, order).appeal
    take(centre, appeal)
    with pytest.raises(BadInput) as refused:
        decide(centre, appeal, uphold(**changes))
    assert place in refused.value.where
    assert order_now(centre, order) == ("applied", 100_000)


def test_only_who_took_it_decides_and_nobody_who_had_a_part(centre: Centre) -> None:
    appeal = contest(centre, held(centre)).appeal
    with pytest.raises(WrongAppealTransition):
        decide(centre, appeal, refuse())
    take(centre, appeal)
    with pytest.raises(NotYourAppeal):
        decide(centre, appeal, refuse(), OTHER)
    assert take(centre, appeal, OTHER).taken_by == OTHER.id
    with pytest.raises(NotPermitted):
        take(centre, appeal, AGENT)
    opener = msgspec.structs.replace(REVIEWER, id="usr_kbank")
    with pytest.raises(SamePerson):
        take(centre, appeal, opener)


def test_a_second_filing_adds_to_the_open_one_up_to_the_limit(centre: Centre) -> None:
    order = held(centre)
    first = contest(centre, order)
    for no in range(2, STATEMENTS_PER_APPEAL_MAX + 1):
        again = contest(centre, order, text=f"more proof {no}")
        assert (again.appeal, again.statements) == (first.appeal, no)
    with pytest.raises(TooManyContests):
        contest(centre, order)


def test_a_refused_holder_may_contest_again_but_not_for_ever(centre: Centre) -> None:
    order = held(centre)
    for _ in range(APPEALS_PER_ORDER_MAX):
        appeal = contest(centre, order).appeal
        take(centre, appeal)
        assert decide(centre, appeal, refuse()).state is S.REFUSED
    with pytest.raises(TooManyContests):
        contest(centre, order)


def test_a_hold_that_ends_otherwise_makes_its_contest_moot(centre: Centre) -> None:
    order = held(centre)
    contest(centre, order)
    with centre.database.uow.begin(SYSTEM) as tx:
        case = centre.matter.holds.show(tx, order).case
        centre.matter.pursuit.drop(tx, case, reason="a partner took it back")
    assert status(centre, order).state is S.MOOT
    with pytest.raises(HoldOver):
        contest(centre, order)


def test_one_person_does_not_go_round_an_open_contest(centre: Centre) -> None:
    """Each way leads to the contest, as far as it is; once it is answered a release is one's."""
    order = held(centre)
    appeal = contest(centre, order).appeal
    release, drop = centre.matter.releasing.release, centre.matter.releasing.drop
    with centre.database.uow.read(SUPERVISOR) as tx:
        case = centre.matter.holds.show(tx, order).case

    def refused(words: str, who: Actor = SUPERVISOR) -> None:
        with pytest.raises(ContestOpen, match=words), centre.database.uow.begin(who) as tx:
            release(tx, order, "a receipt was seen")
        with pytest.raises(ContestOpen, match=words), centre.database.uow.begin(SUPERVISOR) as tx:
            drop(tx, case, reason="the victim took it back")
        assert order_now(centre, order) == ("applied", 100_000)

    refused(f"appeal take {appeal}`, then `openaoc appeal decide {appeal}")
    refused(appeal, REVIEWER)
    take(centre, appeal)
    refused(f"openaoc appeal decide {appeal}")
    decide(centre, appeal, uphold())
    refused(f"openaoc appeal second {appeal}")
    with pytest.raises(NotPermitted), centre.database.uow.begin(AGENT) as tx:
        release(tx, order, "curious")
    with pytest.raises(NotPermitted), centre.database.uow.begin(AGENT) as tx:
        drop(tx, case, reason="curious")
    second(centre, appeal, agree=False)
    take(centre, appeal)
    decide(centre, appeal, refuse())
    with centre.database.uow.begin(SUPERVISOR) as tx:
        assert release(tx, order, "the victim was paid back").state == "released"


def test_a_case_is_dropped_once_no_active_hold_of_it_is_contested(centre: Centre) -> None:
    """Another holder of the case is given back meanwhile; an ended hold's contest stops nobody."""
    first = centre.pay("KBANK:1", "SCB:2", 100_000, ago=timedelta(minutes=9))
    centre.pay("SCB:2", "BBL:3", 60_000, ago=timedelta(minutes=5))
    receipt = centre.file(first)
    line_at = {line.institution: line.order for line in receipt.orders}
    contested, other = line_at["SCB"], line_at["BBL"]
    contest(centre, contested)
    drop = centre.matter.releasing.drop
    with pytest.raises(ContestOpen), centre.database.uow.begin(SUPERVISOR) as tx:
        drop(tx, receipt.case, reason="made up")
    with centre.database.uow.begin(SUPERVISOR) as tx:
        assert centre.matter.releasing.withdraw(tx, other, "made up").state == "withdrawn"
    with centre.database.uow.begin(machine("SCB")) as tx:
        centre.matter.holds.answer(tx, contested, Answer(outcome="refused"))
    with centre.database.uow.begin(SUPERVISOR) as tx:
        drop(tx, receipt.case, reason="made up")


def test_an_unanswered_order_is_left_to_its_contest_too(centre: Centre) -> None:
    origin = centre.pay("KBANK:1", "SCB:2", 100_000, ago=timedelta(minutes=5))
    order = centre.file(origin).orders[0].order
    contest(centre, order)
    withdraw = centre.matter.releasing.withdraw
    with pytest.raises(ContestOpen), centre.database.uow.begin(REVIEWER) as tx:
        withdraw(tx, order, "a look")
    assert order_now(centre, order)[0] == "issued"
    other = centre.file(centre.pay("KBANK:1", "SCB:3", 100_000)).orders[0].order
    with centre.database.uow.begin(REVIEWER) as tx:
        assert withdraw(tx, other, "a look").state == "withdrawn"
    with pytest.raises(NoSuchOrder), centre.database.uow.begin(REVIEWER) as tx:
        withdraw(tx, "ord_none", "a look")


@pytest.mark.parametrize("word", ["release", "refuse"])
def test_a_hold_that_its_institution_ends_makes_its_contest_moot(centre: Centre, word: str) -> None:
    """The row rules show an institution no contest: it ends at the next look."""
    origin = centre.pay("KBANK:1", "SCB:2", 100_000, ago=timedelta(minutes=5))
    order = centre.file(origin).orders[0].order
    if word == "release":
        centre.answer(order, "SCB", 100_000)
    contest(centre, order)
    with centre.database.uow.begin(machine("SCB")) as tx:
        if word == "release":
            centre.matter.releasing.release(tx, order, "the holder explained it")
        else:
            centre.matter.holds.answer(tx, order, Answer(outcome="refused"))
    centre.matter.duties.run_due()
    assert status(centre, order).state is S.MOOT


def test_nothing_was_contested(centre: Centre) -> None:
    with pytest.raises(NoSuchAppeal):
        status(centre, held(centre))


def test_late_ones_escalate_once_and_the_reason_is_kept(centre: Centre) -> None:
    order = held(centre)
    appeal = contest(centre, order).appeal
    centre.clock.advance(timedelta(hours=4, minutes=1))
    assert centre.matter.duties.run_due().other >= 1
    with centre.database.uow.begin(REVIEWER) as tx:
        view = centre.matter.appeals.explain_lateness(tx, appeal, "three hundred at once")
    assert view.escalated_at == centre.clock.now()
    assert view.late_reason == "three hundred at once"
    assert view.overdue_at is None
    centre.clock.advance(timedelta(hours=20))
    centre.matter.duties.run_due()
    with centre.database.uow.read(SUPERVISOR) as tx:
        after = centre.matter.appeals.show(tx, appeal)
    assert after.state is S.FILED, "a likely mule gets nothing back by waiting"
    assert after.overdue_at is not None


def test_a_shop_gets_its_money_back_when_nobody_decides(centre: Centre) -> None:
    origin_order = held(centre, shop=True)
    with centre.database.uow.begin(SUPERVISOR) as tx:
        case = centre.matter.holds.show(tx, origin_order).case
        centre.matter.holds.complain(
            tx, case, complained_at=centre.clock.now(), reference="police 1/69"
        )
    contest(centre, origin_order)
    centre.clock.advance(timedelta(hours=24, minutes=1))
    centre.matter.duties.run_due()
    seen = status(centre, origin_order)
    assert seen.state is S.UPHELD
    assert "ภายในเวลา" in seen.reasons[0].th
    assert order_now(centre, origin_order) == ("released", 0)


@pytest.mark.parametrize(
    ("filed", "last"),
    [
        (datetime(2026, 1, 5, 3, 0, tzinfo=UTC), datetime(2026, 1, 6, 3, 0, tzinfo=UTC)),
        (datetime(2026, 1, 9, 3, 0, tzinfo=UTC), datetime(2026, 1, 12, 3, 0, tzinfo=UTC)),
        # Friday 23:30 UTC is Saturday morning in Bangkok: Monday is the next working day.
        (datetime(2026, 1, 9, 23, 30, tzinfo=UTC), datetime(2026, 1, 11, 23, 30, tzinfo=UTC)),
    ],
)
def test_the_latest_answer_is_one_working_day_on(filed: datetime, last: datetime) -> None:
    rules = appeal_rules("TH")
    assert rules.last_at(filed) == last
    assert rules.answer_by(filed) == filed + timedelta(hours=4)


def test_holidays_are_no_working_days_and_unknown_countries_have_rules() -> None:
    day = date(2026, 1, 6)
    rules = msgspec.structs.replace(appeal_rules("TH"), holidays=[day])
    filed = datetime(2026, 1, 5, 3, 0, tzinfo=UTC)
    assert rules.last_at(filed) == filed + timedelta(days=2)
    assert not appeal_rules("VN").confirmed
    assert not appeal_rules("../TH").confirmed
    assert {r.code for r in appeal_rules("VN").reason} == {
        r.code for r in appeal_rules("TH").reason
    }


def test_how_many_persons() -> None:
    def needed(outcome: str, release: int, *, mule: bool = False, shop: bool = False) -> int:
        return persons_needed(
            outcome,  # type: ignore[arg-type]  # a test's short form
            release_minor=release,
            alone_minor=100,
            likely_mule=mule,
            likely_innocent=shop,
        )

    assert needed("uphold", 100) == 1
    assert needed("uphold", 101) == 2
    assert needed("uphold_in_part", 1, mule=True) == 2
    assert needed("refuse", 0) == 1
    assert needed("refuse", 0, shop=True) == 2


def test_every_open_state_can_end_and_no_ended_one_moves() -> None:
    ended = {t.after for t in TRANSITIONS} - {t.before for t in TRANSITIONS}
    assert ended == {S.UPHELD, S.UPHELD_IN_PART, S.REFUSED, S.MOOT}
    for state in set(S) - ended:
        assert any(t.before is state and t.after is S.MOOT for t in TRANSITIONS)
