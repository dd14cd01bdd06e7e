"""The pure rules of holds: standing, doubt, merchant test, plan, answers, law."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import hypothesis.strategies as st
import msgspec
import numpy as np
import pytest
from hypothesis import given

from openaoc.holds.answering import Asked, effect_of, repeats, says_more
from openaoc.holds.doubt import Doubt, Holder, weigh
from openaoc.holds.legal import LegalRule, NoSuchRule, ReasonFacts, ends_at, reason_for, rulebook
from openaoc.holds.merchant import NO_TRADE, Trade, judge
from openaoc.holds.model import (
    ACTIVE,
    ENDED,
    TRANSITIONS,
    Answer,
    AnsweredDifferently,
    MoreThanOrdered,
    NotYours,
    OrderState,
    RuleAmounts,
    WrongTransition,
    check_transition,
)
from openaoc.holds.plan import (
    Place,
    PlannedCut,
    PlannedOrder,
    chance_to_move,
    explained_shortfall,
    plan_place,
    ranked,
)
from openaoc.holds.standing import PaymentFacts, decide
from openaoc.holds.words import endings
from openaoc.kernel.actor import SYSTEM, Actor, Role
from openaoc.kernel.errors import BadInput
from openaoc.reports.model import Channel

NOW = datetime(2026, 1, 5, 3, 0, tzinfo=UTC)
CERTAIN = Holder(
    likely_innocent=False, history_missing=False, balance_minor=10**9, held_by_all_minor=0
)
amounts = st.integers(0, 10**6)


def actor(role: Role) -> Actor:
    return Actor(id="x", roles=frozenset({role}), institution=None)


# Lifecycle.


def test_every_step_outside_the_table_is_refused() -> None:
    allowed = {(t.before, t.after) for t in TRANSITIONS}
    everyone = Actor(id="x", roles=frozenset(Role))
    for before in OrderState:
        for after in OrderState:
            if (before, after) in allowed:
                assert check_transition(before, after, actor=everyone).why
            else:
                with pytest.raises(WrongTransition):
                    check_transition(before, after, actor=everyone)


def test_nothing_leaves_an_ended_state_and_everything_active_can_end() -> None:
    assert not [t for t in TRANSITIONS if t.before in ENDED]
    for state in ACTIVE:
        assert OrderState.EXPIRED in {t.after for t in TRANSITIONS if t.before is state}


@pytest.mark.parametrize("role", [Role.CITIZEN, Role.AGENT, Role.ADMINISTRATOR, Role.OVERSIGHT])
def test_these_roles_take_no_step_at_all(role: Role) -> None:
    for step in TRANSITIONS:
        with pytest.raises(NotYours):
            check_transition(step.before, step.after, actor=actor(role))


def test_an_institution_never_issues() -> None:
    with pytest.raises(NotYours):
        check_transition(OrderState.DRAFTED, OrderState.ISSUED, actor=actor(Role.MACHINE))


# Standing.


def paid(**changes: object) -> PaymentFacts:
    usual = PaymentFacts(debtor_bank="KBANK", in_ledger=True)
    return msgspec.structs.replace(usual, **changes)


@pytest.mark.parametrize(
    ("own_key_of", "payment", "automatic"),
    [
        ("KBANK", paid(), True),
        ("SCB", paid(), False),
        (None, paid(), False),
        (None, paid(control_proven=True), True),
        (None, paid(confirmed_by="KBANK"), True),
        (None, paid(confirmed_by="SCB"), False),
        ("KBANK", paid(in_ledger=False), False),
        ("KBANK", paid(in_ledger=False, candidates=3), False),
    ],
)
def test_standing_comes_from_keys_and_confirmations(
    own_key_of: str | None, payment: PaymentFacts, *, automatic: bool
) -> None:
    standing = decide(channel=Channel.INSTITUTION, own_key_of=own_key_of, payments=[payment])
    assert standing.automatic is automatic
    assert bool(standing.why) is not automatic


def test_one_unproven_payment_keeps_the_whole_case_waiting() -> None:
    payments = [paid(), paid(debtor_bank="SCB")]
    assert not decide(channel=Channel.INSTITUTION, own_key_of="KBANK", payments=payments).automatic


def test_a_payment_that_was_not_found_stops_nobody() -> None:
    payments = [paid(), paid(in_ledger=False, candidates=2)]
    standing = decide(channel=Channel.INSTITUTION, own_key_of="KBANK", payments=payments)
    assert standing.automatic
    assert standing.why == ("a payment fits several transfers: a person has to say which",)


@given(
    own=st.sampled_from([None, "KBANK", "SCB"]),
    proven=st.booleans(),
    confirmed=st.sampled_from([None, "KBANK", "SCB"]),
)
def test_a_partner_is_never_automatic(
    own: str | None, *, proven: bool, confirmed: str | None
) -> None:
    payment = paid(control_proven=proven, confirmed_by=confirmed)
    standing = decide(channel=Channel.PARTNER, own_key_of=own, payments=[payment])
    assert not standing.automatic
    assert standing.approvals_needed == 2


# Doubt.


@given(
    located=amounts,
    active=amounts,
    each=st.tuples(amounts, amounts, amounts, amounts),
    innocent=st.booleans(),
    missing=st.booleans(),
    balance=amounts,
    held=amounts,
    floor=amounts,
)
def test_doubt_never_raises_an_amount_and_leaves_the_floor(
    located: int,
    active: int,
    each: tuple[int, int, int, int],
    *,
    innocent: bool,
    missing: bool,
    balance: int,
    held: int,
    floor: int,
) -> None:
    under = RuleAmounts(fifo=each[0], lifo=each[1], pro_rata=each[2], opening_unknown=each[3])
    holder = Holder(
        likely_innocent=innocent,
        history_missing=missing,
        balance_minor=balance,
        held_by_all_minor=held,
    )
    doubt = weigh(
        located_minor=located,
        active_minor=active,
        amounts=under,
        holder=holder,
        floor_minor=floor,
    )
    assert 0 <= doubt.amount_minor <= located
    assert doubt.in_doubt is (innocent or missing)
    if doubt.in_doubt:
        assert doubt.amount_minor <= min(each)
    if innocent and doubt.amount_minor > active:
        new = doubt.amount_minor - active
        assert balance - held - new >= floor


def test_certainty_asks_for_all_that_is_located() -> None:
    under = RuleAmounts(fifo=100, lifo=0, pro_rata=50, opening_unknown=0)
    doubt = weigh(
        located_minor=100, active_minor=0, amounts=under, holder=CERTAIN, floor_minor=10**6
    )
    assert (doubt.amount_minor, doubt.in_doubt, doubt.tell_first) == (100, False, False)


# The merchant test.


def shop(**changes: object) -> Trade:
    usual = Trade(
        inflows=200,
        payers=90,
        days=20,
        outflows=30,
        payees=6,
        inflow_minor=4_000_000,
        outflow_minor=3_500_000,
        dwell_median=timedelta(hours=9),
    )
    return msgspec.structs.replace(usual, **changes)


@pytest.mark.parametrize(
    ("trade", "innocent"),
    [
        (shop(), True),
        (shop(days=2), True),
        (shop(days=2, payees=30), False),
        (shop(payers=5), False),
        (shop(dwell_median=timedelta(minutes=3), outflow_minor=3_900_000), False),
        (shop(dwell_median=timedelta(minutes=3), outflow_minor=100_000), True),
        (NO_TRADE, False),
    ],
)
def test_who_looks_like_honest_commerce(trade: Trade, *, innocent: bool) -> None:
    verdict = judge(trade)
    assert verdict.likely_innocent is innocent
    assert verdict.why


# The plan.


def place(**changes: object) -> Place:
    usual = Place(
        bank="SCB",
        account="2",
        currency="THB",
        located_minor=1_000,
        layer=1,
        received_at=NOW - timedelta(minutes=1),
    )
    return msgspec.structs.replace(usual, **changes)


def sure(amount: int) -> Doubt:
    return Doubt(amount_minor=amount, in_doubt=False, tell_first=False, why=())


@given(located=amounts, active=amounts, short=amounts, allowed=amounts)
def test_a_plan_never_stands_above_the_money(
    located: int, active: int, short: int, allowed: int
) -> None:
    spot = place(located_minor=located, active_minor=active, short_minor=short)
    planned = plan_place(spot, sure(allowed), now=NOW)
    if isinstance(planned, PlannedOrder):
        assert planned.amount_minor > 0
        assert active + short + planned.amount_minor <= min(located, allowed)
    elif isinstance(planned, PlannedCut):
        assert active - planned.excess_minor == located
    else:
        assert active <= located


@pytest.mark.parametrize("mark", ["hub", "returned"])
def test_pooled_and_returned_money_is_never_ordered(mark: str) -> None:
    assert plan_place(place(**{mark: True}), sure(1_000), now=NOW) is None


def test_what_is_lost_by_waiting_goes_first() -> None:
    fresh = place(account="fresh", located_minor=1_000)
    rested = place(account="rested", located_minor=1_500, received_at=NOW - timedelta(days=3))
    exits = place(account="exits", located_minor=1_000, exits_seen=True)
    orders = [
        order
        for spot in (rested, fresh, exits)
        if isinstance(order := plan_place(spot, sure(10_000), now=NOW), PlannedOrder)
    ]
    assert [o.place.account for o in ranked(orders)] == ["exits", "fresh", "rested"]


@given(age=st.integers(0, 10**7), layer=st.integers(1, 7), exits=st.booleans())
def test_the_chance_to_move_is_a_chance(age: int, layer: int, *, exits: bool) -> None:
    spot = place(received_at=NOW - timedelta(seconds=age), layer=layer, exits_seen=exits)
    assert 0.0 < chance_to_move(spot, now=NOW) <= 1.0


@given(located=amounts, active=amounts, short=amounts)
def test_a_shortfall_shrinks_only_as_money_leaves(located: int, active: int, short: int) -> None:
    left = explained_shortfall(located_minor=located, active_minor=active, short_minor=short)
    assert 0 <= left <= short
    assert left <= max(located - active, 0)


# Answers.


def asked(**changes: object) -> Asked:
    usual = Asked(
        state=OrderState.ISSUED,
        amount_minor=100,
        ceiling_minor=100,
        applied_minor=0,
        held_minor=0,
        answered=False,
    )
    return msgspec.structs.replace(usual, **changes)


@given(ordered=amounts, lowered=amounts, applied=amounts)
def test_an_answer_never_holds_more_than_is_ordered(
    ordered: int, lowered: int, applied: int
) -> None:
    amount = min(ordered, lowered)
    order = asked(amount_minor=amount, ceiling_minor=ordered)
    answer = Answer(outcome="applied", applied_minor=applied)
    if applied > ordered:
        with pytest.raises(MoreThanOrdered):
            effect_of(order, answer)
        return
    effect = effect_of(order, answer)
    assert effect.held_minor + effect.surplus_minor == applied
    assert effect.held_minor + effect.short_minor == amount
    assert effect.held_minor <= amount


def test_answers_that_contradict_themselves_are_refused() -> None:
    with pytest.raises(BadInput):
        effect_of(asked(), Answer(outcome="refused", applied_minor=1))
    with pytest.raises(BadInput):
        effect_of(asked(), Answer(outcome="applied", applied_minor=2, available_minor=1))


def test_a_second_answer_is_a_repeat_or_refused() -> None:
    order = asked(state=OrderState.APPLIED, applied_minor=100, held_minor=70, answered=True)
    for amount in (100, 70):
        assert repeats(order, Answer(outcome="applied", applied_minor=amount))
    assert says_more(order, Answer(outcome="applied", applied_minor=90))
    other = Answer(outcome="applied", applied_minor=60)
    assert not says_more(order, other)
    assert not repeats(order, other)
    with pytest.raises(AnsweredDifferently):
        effect_of(order, other)
    ended = asked(state=OrderState.EXPIRED, applied_minor=100, answered=True)
    assert effect_of(ended, other).late


# Law.


def rule(name: str = "TH-2566-s7-victim") -> LegalRule:
    return rulebook("TH").named(name, on=date(2026, 1, 5))


def test_thailands_rules_are_what_the_law_says() -> None:
    assert rule().longest == timedelta(hours=72)
    assert rule("TH-2566-s7-complaint").longest == timedelta(days=7)
    assert rule("TH-2566-s6-suspicion").longest == timedelta(days=7)
    assert rule("TH-2566-s6-suspicion").four_eyes
    assert rule().extends_to == "TH-2566-s7-complaint"
    assert all(r.source and r.legal_basis.th and r.confirmed for r in rulebook("TH").rule)


def test_a_rule_before_its_day_and_another_country_are_unknown() -> None:
    with pytest.raises(NoSuchRule):
        rulebook("TH").named("TH-2566-s7-victim", on=date(2023, 3, 16))
    for code in ("XX", "../TH", ""):
        with pytest.raises(NoSuchRule):
            rulebook(code)


def test_the_end_counts_from_issue_or_complaint_and_doubt_shortens_it() -> None:

    def end(law: LegalRule, *, in_doubt: bool) -> datetime:
        return ends_at(law, issued_at=NOW, complaint_at=None, in_doubt=in_doubt)

    assert end(rule(), in_doubt=False) == NOW + timedelta(hours=72)
    assert end(rule(), in_doubt=True) == NOW + timedelta(hours=24)
    complained = NOW - timedelta(days=1)
    seven = rule("TH-2566-s7-complaint")
    assert ends_at(
        seven, issued_at=NOW, complaint_at=complained, in_doubt=False
    ) == complained + timedelta(days=7)
    with pytest.raises(BadInput):
        end(seven, in_doubt=False)


def test_the_holder_reads_amount_end_and_order_in_both_languages() -> None:
    facts = ReasonFacts(
        amount_minor=1_600_000,
        currency="THB",
        received_at=NOW,
        ends_at=NOW + timedelta(hours=72),
        case="AOC-1",
        order="ord_1",
    )
    for each in rulebook("TH").rule:
        words = reason_for(each, facts)
        for text in (words.th, words.en):
            assert "16,000.00 THB" in text
            assert "ord_1" in text
            assert "2026-01-08 10:00 +07:00" in text
            assert "{" not in text


def test_every_ending_has_words_in_both_languages() -> None:
    kinds = {"excess", "moved", "expired", "released", "withdrawn", "surplus", "continued", "over"}
    assert set(endings()) == kinds | {"reviewed", "contest", "upheld", "undone"}
    assert all(words.th and words.en for words in endings().values())


def test_the_centre_alone_cannot_convert() -> None:
    with pytest.raises(NotYours):
        check_transition(OrderState.APPLIED, OrderState.CONVERTED, actor=SYSTEM)


def test_an_account_that_spent_unseen_money_has_a_missing_history() -> None:
    from openaoc.holds.history import history_missing
    from openaoc.ledger.bulk import build_arrays

    def missing(*rows: tuple[int, int, int], opening: int = 0) -> bool:
        """Rows are (debtor, creditor, amount) in order of time; account 0 is asked about."""
        count = len(rows)
        arrays = build_arrays(
            time_us=np.arange(count, dtype=np.int64),
            debtor=np.array([r[0] for r in rows], dtype=np.int32),
            creditor=np.array([r[1] for r in rows], dtype=np.int32),
            amount=np.array([r[2] for r in rows], dtype=np.int64),
            flags=np.zeros(count, dtype=np.uint8),
            channel=np.zeros(count, dtype=np.uint8),
            opening=np.array([opening, 0], dtype=np.int64),
        )
        return history_missing(arrays, 0)

    assert not missing((1, 0, 100), (0, 1, 100))
    assert missing((1, 0, 100), (0, 1, 101))
    assert missing((0, 1, 1), (1, 0, 100))
    assert missing((1, 0, 100), (0, 1, 101), (1, 0, 50))
    assert not missing((0, 1, 1), (1, 0, 100), opening=1)
