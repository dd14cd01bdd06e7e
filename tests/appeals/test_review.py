"""A standing hold is looked at again: what is no longer certain is given back."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from openaoc.holds.merchant import NO_TRADE, Trade, Verdict, judge
from openaoc.holds.model import OrderState, RuleAmounts
from openaoc.holds.review import HeldFacts, keep
from openaoc.kernel.actor import Actor, Role
from tests.appeals.contests import tell_history
from tests.workflow.centre import SECOND, SUPERVISOR, Centre, machine
from tests.workflow.invariants import all_orders

HONEST = Verdict(likely_innocent=True, why=("many payers",))
UNKNOWN = judge(NO_TRADE)


def facts(
    amounts: tuple[int, int, int, int] = (100, 100, 100, 100),
    *,
    verdict: Verdict = UNKNOWN,
    located: int = 0,
    held: int = 100,
    missing: bool = False,
    balance: int = 10_000,
    unknown: tuple[str, ...] = (),
) -> HeldFacts:
    return HeldFacts(
        located_minor=located,
        held_minor=held,
        amounts=RuleAmounts(
            fifo=amounts[0], lifo=amounts[1], pro_rata=amounts[2], opening_unknown=amounts[3]
        ),
        unknown=unknown,
        trade=NO_TRADE,
        verdict=verdict,
        history_missing=missing,
        balance_minor=balance,
        held_by_all_minor=held,
        cases_on_account=1,
    )


def kept(found: HeldFacts, *, active: int = 100, known_innocent: bool = False) -> int:
    return keep(
        found, active_minor=active, floor_minor=50, known_innocent=known_innocent
    ).amount_minor


def test_what_is_certain_stays() -> None:
    assert kept(facts((100, 0, 0, 0))) == 100


def test_less_traced_is_given_back() -> None:
    assert kept(facts(held=60)) == 60


def test_in_doubt_the_least_of_the_rules_stays() -> None:
    assert kept(facts((100, 70, 40, 90), missing=True)) == 40
    assert kept(facts((100, 70, 40, 90), verdict=HONEST)) == 40


def test_a_figure_that_was_cut_short_gives_nothing_back() -> None:
    cut = facts((100, 70, 0, 90), verdict=HONEST, unknown=("pro-rata",))
    assert kept(cut) == 70


def test_living_money_is_left_free_once() -> None:
    poor = facts(verdict=HONEST, balance=110)
    assert kept(poor) == 60
    assert kept(poor, known_innocent=True) == 100


amount = st.integers(0, 1_000)


@given(
    amounts=st.tuples(amount, amount, amount, amount),
    located=amount,
    held=amount,
    active=amount,
    balance=amount,
    innocent=st.booleans(),
    missing=st.booleans(),
    known=st.booleans(),
)
def test_a_review_never_raises_and_never_keeps_more_than_is_traced(
    amounts: tuple[int, int, int, int],
    located: int,
    held: int,
    active: int,
    balance: int,
    *,
    innocent: bool,
    missing: bool,
    known: bool,
) -> None:
    found = facts(
        amounts,
        verdict=HONEST if innocent else UNKNOWN,
        located=located,
        held=held,
        missing=missing,
        balance=balance,
    )
    result = keep(found, active_minor=active, floor_minor=50, known_innocent=known)
    assert 0 <= result.amount_minor <= min(active, located + held)
    if innocent or missing:
        assert result.amount_minor <= min(amounts)
    if result.amount_minor < active:
        assert result.why, "who loses a hold is told why"


def held_order(centre: Centre) -> tuple[str, str]:
    """Money that waits at a shop the ledger knows nothing of yet, and is held there."""
    origin = centre.pay("KBANK:1", "SCB:2", 100_000, ago=timedelta(minutes=5))
    receipt = centre.file(origin)
    order = receipt.orders[0].order
    centre.answer(order, "SCB", 100_000)
    return receipt.case, order


def review_all(centre: Centre) -> int:
    centre.clock.advance(timedelta(hours=2))
    return centre.matter.second_look.review_due()


def test_a_shop_whose_history_comes_later_gets_the_doubtful_part_back(centre: Centre) -> None:
    case, order = held_order(centre)
    assert not centre.orders(case)[0].likely_innocent
    tell_history(centre, "SCB:2")
    centre.pay("SCB:2", "BBL:800", 3_000_000, ago=timedelta(minutes=4))
    assert review_all(centre) == 1
    after = centre.orders(case)[0]
    assert after.likely_innocent
    assert after.held_minor == min(after.amounts.least, 100_000) < 100_000
    assert any("different payers" in why for why in after.why)
    told = [end for end in centre.outbox.ends() if end.order == order]
    assert sum(end.amount_minor for end in told) == 100_000 - after.held_minor
    assert after.ends_at - after.issued_at == timedelta(hours=24), "the clock of doubt"
    review_all(centre)
    centre.matter.duties.run_due()
    assert [o.held_minor for o in centre.orders(case)] == [after.held_minor], "not asked again"


def test_an_order_that_went_out_once_it_was_proven_is_reviewed_like_others(centre: Centre) -> None:
    """No person answers for it: the payer's institution let it go."""
    origin = centre.pay("KBANK:1", "SCB:2", 100_000, ago=timedelta(minutes=5))
    receipt = centre.file(origin, sender=Actor(id="citizen", roles=frozenset({Role.CITIZEN})))
    centre.matter.pursuit.confirm(receipt.case, actor=machine("KBANK"))
    assert centre.orders(receipt.case)[0].standing == "automatic"
    centre.answer(receipt.orders[0].order, "SCB", 100_000)
    tell_history(centre, "SCB:2")
    centre.pay("SCB:2", "BBL:800", 3_000_000, ago=timedelta(minutes=4))
    assert review_all(centre) == 1
    after = centre.orders(receipt.case)[0]
    assert after.held_minor == after.amounts.least < 100_000


def test_a_hold_without_doubt_is_left_alone_and_looked_at_once_an_hour(centre: Centre) -> None:
    case, _ = held_order(centre)
    assert centre.matter.second_look.review_due() == 0, "too fresh"
    before = all_orders(centre)
    assert review_all(centre) == 1
    assert centre.matter.second_look.review_due() == 0
    assert all_orders(centre) == before
    assert centre.orders(case)[0].state is OrderState.APPLIED


def test_what_a_person_approved_is_not_cut_by_doubt(centre: Centre) -> None:
    origin = centre.pay("KBANK:1", "SCB:2", 100_000, ago=timedelta(minutes=5))
    citizen = Actor(id="citizen", roles=frozenset({Role.CITIZEN}))
    receipt = centre.file(origin, sender=citizen)
    for who in (SUPERVISOR, SECOND)[: centre.orders(receipt.case)[0].approvals_needed]:
        with centre.database.uow.begin(who) as tx:
            centre.matter.holds.approve(tx, receipt.orders[0].order)
    centre.answer(receipt.orders[0].order, "SCB", 100_000)
    tell_history(centre, "SCB:2")
    centre.pay("SCB:2", "BBL:800", 3_000_000, ago=timedelta(minutes=4))
    assert review_all(centre) == 1
    assert centre.orders(receipt.case)[0].held_minor == 100_000


def test_trade_is_judged_as_before() -> None:
    trade = Trade(
        inflows=40, payers=40, days=10, outflows=10, payees=1, inflow_minor=10, outflow_minor=9
    )
    assert judge(trade).likely_innocent
