"""Each sentence of the rules of tracing, by an example, for the kernels and the reference."""

from __future__ import annotations

import pytest

from openaoc.tracing import engine, reference
from openaoc.tracing.model import BadOrigin, Carried, Claim, Excess, HoldEvent, HoldKind, Rule
from tests.tracing.ledgers import Pay, Small, Tracer, small

ALL = list(Rule)


@pytest.fixture(params=[engine.trace_cases, reference.trace_cases], ids=["kernels", "reference"])
def tracer(request: pytest.FixtureRequest) -> Tracer:
    found: Tracer = request.param
    return found


def _hold(ledger: Small, account: str, amount: int, *, at: int, case: int = 0) -> HoldEvent:
    return HoldEvent(
        kind=HoldKind.HOLD,
        at_us=at,
        case=case,
        account=ledger.numbers[account],
        amount_minor=amount,
    )


def _event(
    ledger: Small, kind: HoldKind, account: str, amount: int, *, at: int, row: int | None = None
) -> HoldEvent:
    return HoldEvent(
        kind=kind,
        at_us=at,
        case=0,
        account=ledger.numbers[account],
        amount_minor=amount,
        transfer_row=row,
    )


MIXED = [
    Pay(1, "shop", "mule", 50),
    Pay(2, "victim", "mule", 100),
    Pay(3, "mule", "next", 60),
]


@pytest.mark.parametrize(
    ("rule", "next_amount"),
    [(Rule.FIFO, 10), (Rule.LIFO, 60), (Rule.PRO_RATA, 40)],
)
def test_which_lots_an_outflow_takes(tracer: Tracer, rule: Rule, next_amount: int) -> None:
    ledger = small(MIXED)
    (trace,) = tracer(ledger.arrays, [Claim(1)], rule=rule)
    assert ledger.located(trace) == {"mule": 100 - next_amount, "next": next_amount}
    assert trace.transfers == (Carried(1, 100), Carried(2, next_amount))


def test_a_tie_in_time_is_decided_by_arrival(tracer: Tracer) -> None:
    after = small([Pay(1, "victim", "mule", 100), Pay(1, "mule", "next", 100)])
    before = small([Pay(1, "mule", "next", 100), Pay(1, "victim", "mule", 100)])
    (moved,) = tracer(after.arrays, [Claim(0)], rule=Rule.FIFO)
    (stayed,) = tracer(before.arrays, [Claim(1)], rule=Rule.FIFO)
    assert after.located(moved) == {"next": 100}
    assert before.located(stayed) == {"mule": 100}


def test_a_late_row_counts_at_its_time_not_at_its_arrival(tracer: Tracer) -> None:
    ledger = small([Pay(3, "mule", "next", 60), Pay(2, "victim", "mule", 100)])
    (trace,) = tracer(ledger.arrays, [Claim(1)], rule=Rule.FIFO)
    assert ledger.located(trace) == {"mule": 40, "next": 60}


@pytest.mark.parametrize(
    ("rule", "next_amount"), [(Rule.FIFO, 10), (Rule.LIFO, 60), (Rule.PRO_RATA, 40)]
)
def test_an_opening_balance_is_one_clean_lot(tracer: Tracer, rule: Rule, next_amount: int) -> None:
    ledger = small(MIXED[1:], opening={"mule": 50})
    (trace,) = tracer(ledger.arrays, [Claim(0)], rule=rule)
    assert ledger.located(trace)["next"] == next_amount
    (unknown,) = tracer(ledger.arrays, [Claim(0)], rule=rule, openings_unknown=True)
    assert ledger.located(unknown) == {"mule": 40, "next": 60}


@pytest.mark.parametrize("rule", ALL)
def test_missing_money_is_clean_travels_last_and_empties_the_queue(
    tracer: Tracer, rule: Rule
) -> None:
    rows = [
        Pay(1, "victim", "mule", 100),
        Pay(2, "mule", "next", 150),
        Pay(3, "next", "last", 100),
        Pay(4, "other", "mule", 10),
        Pay(5, "mule", "away", 10),
    ]
    ledger = small(rows)
    (trace,) = tracer(ledger.arrays, [Claim(0)], rule=rule)
    expected = {
        Rule.FIFO: {"last": 100},
        Rule.LIFO: {"last": 50, "next": 50},
        Rule.PRO_RATA: {"last": 66, "next": 34},
    }
    assert ledger.located(trace) == expected[rule]


@pytest.mark.parametrize("rule", ALL)
def test_an_exit_takes_money_out_whoever_is_named(tracer: Tracer, rule: Rule) -> None:
    rows = [
        Pay(1, "victim", "mule", 100),
        Pay(2, "mule", "wallet", 30, exit=True),
        Pay(3, "mule", "mule", 20, exit=True),
        Pay(4, "wallet", "else", 30),
    ]
    ledger = small(rows)
    (trace,) = tracer(ledger.arrays, [Claim(0)], rule=rule)
    assert trace.exited == (Carried(1, 30), Carried(2, 20))
    assert ledger.located(trace) == {"mule": 50}


@pytest.mark.parametrize("rule", ALL)
def test_a_self_transfer_changes_nothing_and_is_no_origin(tracer: Tracer, rule: Rule) -> None:
    rows = [
        Pay(1, "mule", "mule", 500),
        Pay(2, "victim", "mule", 100),
        Pay(3, "mule", "mule", 70),
        Pay(4, "mule", "next", 40),
    ]
    ledger = small(rows)
    (trace,) = tracer(ledger.arrays, [Claim(1)], rule=rule)
    assert ledger.located(trace) == {"mule": 60, "next": 40}
    # Nobody may file such a claim; a correction may make a claimed transfer one.
    (trace,) = tracer(ledger.arrays, [Claim(2)], rule=rule)
    assert (trace.loss_minor, trace.located) == (0, ())


@pytest.mark.parametrize("rule", ALL)
def test_a_claim_marks_clean_money_oldest_first(tracer: Tracer, rule: Rule) -> None:
    rows = [Pay(1, "victim", "mule", 100), Pay(2, "mule", "next", 30), Pay(3, "next", "out", 30)]
    ledger = small(rows)
    (trace,) = tracer(ledger.arrays, [Claim(0, 40)], rule=rule)
    taken = {Rule.FIFO: 30, Rule.LIFO: 0, Rule.PRO_RATA: 12}[rule]
    assert trace.loss_minor == 40
    assert ledger.located(trace).get("mule", 0) == 40 - taken


@pytest.mark.parametrize("rule", ALL)
def test_of_two_claims_the_earlier_origin_prevails_whatever_was_filed_first(
    tracer: Tracer, rule: Rule
) -> None:
    ledger = small([Pay(1, "victim", "mule", 100), Pay(2, "mule", "next", 100)])
    late, early = tracer(ledger.arrays, [Claim(1, case=0), Claim(0, case=1)], rule=rule)
    assert (late.loss_minor, late.overlap_minor) == (0, 100)
    assert (early.loss_minor, early.overlap_minor) == (100, 0)
    assert ledger.located(early) == {"next": 100}
    assert late.transfers == ()


def test_what_a_claim_cannot_mark_is_overlap(tracer: Tracer) -> None:
    ledger = small(
        [Pay(1, "shop", "mule", 40), Pay(2, "victim", "mule", 60), Pay(3, "mule", "x", 100)]
    )
    whole, part = tracer(ledger.arrays, [Claim(1, case=0), Claim(2, 70, case=1)], rule=Rule.FIFO)
    assert (whole.loss_minor, whole.overlap_minor) == (60, 0)
    assert (part.loss_minor, part.overlap_minor) == (40, 30)
    assert ledger.located(whole) == {"x": 60}
    assert ledger.located(part) == {"x": 40}


@pytest.mark.parametrize("rule", ALL)
def test_claims_on_one_transfer_mark_in_order_of_filing(tracer: Tracer, rule: Rule) -> None:
    ledger = small([Pay(1, "victim", "mule", 100)])
    first, second = tracer(ledger.arrays, [Claim(0, 70, case=0), Claim(0, 50, case=1)], rule=rule)
    assert (first.loss_minor, first.overlap_minor) == (70, 0)
    assert (second.loss_minor, second.overlap_minor) == (30, 20)


def test_a_correction_below_the_claims_caps_them_the_last_filed_first(tracer: Tracer) -> None:
    ledger = small([Pay(1, "victim", "mule", 80)])
    first, second = tracer(
        ledger.arrays, [Claim(0, 60, case=0), Claim(0, 100, case=1)], rule=Rule.FIFO
    )
    assert (first.loss_minor, second.loss_minor) == (60, 20)


@pytest.mark.parametrize("rule", ALL)
def test_a_removed_origin_takes_its_claim_away(tracer: Tracer, rule: Rule) -> None:
    ledger = small([Pay(1, "victim", "mule", 0), Pay(2, "victim", "mule", 5)])
    (trace,) = tracer(ledger.arrays, [Claim(0, 60), Claim(1)], rule=rule)
    assert (trace.loss_minor, trace.overlap_minor) == (5, 0)


@pytest.mark.parametrize("rule", ALL)
def test_origins_after_the_time_are_not_in_the_loss_yet(tracer: Tracer, rule: Rule) -> None:
    rows = [Pay(1, "victim", "mule", 100), Pay(2, "mule", "next", 60), Pay(3, "victim", "mule", 7)]
    ledger = small(rows)
    (trace,) = tracer(ledger.arrays, [Claim(0), Claim(2)], rule=rule, at_us=1)
    assert trace.loss_minor == 100
    assert ledger.located(trace) == {"mule": 100}
    (inclusive,) = tracer(ledger.arrays, [Claim(0), Claim(2)], rule=rule, at_us=2)
    assert ledger.located(inclusive) == {"mule": 40, "next": 60}


@pytest.mark.parametrize("rule", ALL)
def test_money_back_at_the_charged_account_is_marked_returned(tracer: Tracer, rule: Rule) -> None:
    ledger = small([Pay(1, "victim", "mule", 100), Pay(2, "mule", "victim", 30)])
    (trace,) = tracer(ledger.arrays, [Claim(0)], rule=rule)
    assert {item.account: item.returned for item in trace.located} == {
        ledger.numbers["victim"]: True,
        ledger.numbers["mule"]: False,
    }
    assert ledger.layers(trace) == {"mule": 1, "victim": 2}


def test_pro_rata_goes_by_running_sums_in_order_of_the_earliest_origins(tracer: Tracer) -> None:
    rows = [
        Pay(1, "a", "mule", 1),
        Pay(2, "b", "mule", 1),
        Pay(3, "c", "mule", 1),
        Pay(4, "mule", "next", 2),
    ]
    ledger = small(rows)
    claims = [Claim(2, case=0), Claim(1, case=1), Claim(0, case=2)]
    traces = tracer(ledger.arrays, claims, rule=Rule.PRO_RATA)
    # Sums 1, 2, 3 of 3 at 2: floors 0, 1, 2; the earliest origin's case gets the first.
    assert [ledger.located(trace).get("next", 0) for trace in traces] == [1, 1, 0]


def test_pro_rata_is_exact_in_128_bits(tracer: Tracer) -> None:
    clean, lost, out = 2**60 + 1, 2**59 + 3, 2**60 + 12_345
    ledger = small(
        [Pay(1, "shop", "mule", clean), Pay(2, "victim", "mule", lost), Pay(3, "mule", "x", out)]
    )
    (trace,) = tracer(ledger.arrays, [Claim(1)], rule=Rule.PRO_RATA)
    assert ledger.located(trace)["x"] == lost * out // (clean + lost)


def test_a_pro_rata_claim_marks_at_most_what_is_left(tracer: Tracer) -> None:
    rows = [
        Pay(1, "victim", "mule", 50),
        Pay(2, "shop", "mule", 50),
        Pay(3, "mule", "next", 10),
    ]
    ledger = small(rows)
    first, second = tracer(ledger.arrays, [Claim(0, case=0), Claim(2, case=1)], rule=Rule.PRO_RATA)
    assert ledger.located(first) == {"mule": 45, "next": 5}
    assert (second.loss_minor, second.overlap_minor) == (5, 5)


@pytest.mark.parametrize("rule", ALL)
def test_the_smallest_layer_stands(tracer: Tracer, rule: Rule) -> None:
    rows = [
        Pay(1, "victim", "one", 100),
        Pay(2, "one", "two", 50),
        Pay(3, "two", "three", 50),
        Pay(4, "one", "three", 50),
        Pay(5, "three", "four", 100),
        Pay(6, "victim", "four", 1),
    ]
    ledger = small(rows)
    (deep,) = tracer(ledger.arrays, [Claim(0)], rule=rule)
    assert ledger.layers(deep) == {"four": 3}
    (twice,) = tracer(ledger.arrays, [Claim(0), Claim(5)], rule=rule)
    assert ledger.layers(twice) == {"four": 1}


@pytest.mark.parametrize("rule", ALL)
def test_an_origin_that_carries_only_an_earlier_cases_money_gives_no_layer(
    tracer: Tracer, rule: Rule
) -> None:
    ledger = small([Pay(1, "victim", "mule", 100), Pay(2, "mule", "next", 100)])
    early, late = tracer(ledger.arrays, [Claim(0, case=0), Claim(1, case=1)], rule=rule)
    assert ledger.layers(early) == {"next": 2}
    assert late.located == ()


def test_received_at_is_the_oldest_remaining_lot(tracer: Tracer) -> None:
    rows = [Pay(1, "v", "mule", 10), Pay(2, "v", "mule", 10), Pay(3, "mule", "x", 15)]
    ledger = small(rows)
    mule = ledger.numbers["mule"]
    times = {}
    for rule in Rule:
        (trace,) = tracer(ledger.arrays, [Claim(0), Claim(1)], rule=rule)
        times[rule] = {item.account: item.received_at_us for item in trace.located}[mule]
    assert times == {Rule.FIFO: 2, Rule.LIFO: 1, Rule.PRO_RATA: 1}


def test_received_at_under_pro_rata_is_when_the_share_last_rose_from_zero(tracer: Tracer) -> None:
    rows = [
        Pay(1, "v", "mule", 10),
        Pay(2, "mule", "x", 10),
        Pay(3, "v", "mule", 10),
        Pay(4, "v", "mule", 10),
    ]
    ledger = small(rows)
    (trace,) = tracer(ledger.arrays, [Claim(0), Claim(2), Claim(3)], rule=Rule.PRO_RATA)
    received = {item.account: item.received_at_us for item in trace.located}
    assert received[ledger.numbers["mule"]] == 3


@pytest.mark.parametrize("rule", ALL)
def test_money_stays_located_on_a_pooled_account(tracer: Tracer, rule: Rule) -> None:
    rows = [Pay(1, "v", "pool", 100), Pay(2, "pool", "x", 100), Pay(3, "x", "y", 100)]
    ledger = small(rows)
    hubs = frozenset({ledger.numbers["pool"]})
    first, second = tracer(
        ledger.arrays, [Claim(0, case=0), Claim(1, case=1)], rule=rule, hubs=hubs
    )
    assert [(item.amount_minor, item.hub) for item in first.located] == [(100, True)]
    assert (second.loss_minor, second.overlap_minor) == (100, 0)


@pytest.mark.parametrize("rule", ALL)
def test_dust_is_dropped_and_the_sum_holds(tracer: Tracer, rule: Rule) -> None:
    rows = [Pay(1, "v", "mule", 100), Pay(2, "mule", "a", 4), Pay(3, "mule", "b", 5)]
    ledger = small(rows)
    (trace,) = tracer(ledger.arrays, [Claim(0)], rule=rule, dust_minor=5)
    assert trace.dropped_minor == 4
    assert ledger.located(trace) == {"mule": 91, "b": 5}
    assert trace.transfers == (Carried(0, 100), Carried(1, 4), Carried(2, 5))


HELD_ROWS = [
    Pay(1, "v", "mule", 100),
    Pay(2, "shop", "mule", 50),
    Pay(4, "mule", "next", 60),
]


@pytest.mark.parametrize("rule", ALL)
def test_a_hold_keeps_the_oldest_free_money_and_outflows_pass_over_it(
    tracer: Tracer, rule: Rule
) -> None:
    ledger = small(HELD_ROWS)
    (trace,) = tracer(ledger.arrays, [Claim(0)], rule=rule, holds=[_hold(ledger, "mule", 80, at=3)])
    assert ledger.held(trace) == {"mule": 80}
    moved = {Rule.FIFO: 20, Rule.LIFO: 10, Rule.PRO_RATA: 20 * 60 // 70}[rule]
    assert ledger.located(trace).get("next", 0) == moved
    assert trace.excess == ()


@pytest.mark.parametrize("rule", ALL)
def test_a_hold_acts_after_every_transfer_of_its_instant(tracer: Tracer, rule: Rule) -> None:
    ledger = small([Pay(1, "v", "mule", 100), Pay(3, "mule", "next", 100)])
    hold = _hold(ledger, "mule", 100, at=3)
    (late,) = tracer(ledger.arrays, [Claim(0)], rule=rule, holds=[hold])
    assert ledger.held(late) == {}
    assert late.excess == (Excess(0, 100),)
    (early,) = tracer(
        ledger.arrays, [Claim(0)], rule=rule, holds=[_hold(ledger, "mule", 100, at=2)]
    )
    assert ledger.held(early) == {"mule": 100}


@pytest.mark.parametrize("rule", ALL)
def test_excess_catches_nothing_later(tracer: Tracer, rule: Rule) -> None:
    ledger = small([Pay(1, "v", "mule", 30), Pay(5, "v", "mule", 100)])
    (trace,) = tracer(
        ledger.arrays, [Claim(0), Claim(1)], rule=rule, holds=[_hold(ledger, "mule", 80, at=2)]
    )
    assert trace.excess == (Excess(0, 50),)
    assert ledger.held(trace) == {"mule": 30}
    assert ledger.located(trace) == {"mule": 100}


def test_released_lots_return_to_their_place_by_order_of_arrival(tracer: Tracer) -> None:
    rows = [
        Pay(1, "v", "mule", 100),
        Pay(2, "shop", "mule", 50),
        Pay(5, "mule", "next", 60),
    ]
    ledger = small(rows)
    holds = [
        _hold(ledger, "mule", 100, at=3),
        _event(ledger, HoldKind.RELEASE, "mule", 100, at=4),
    ]
    (trace,) = tracer(ledger.arrays, [Claim(0)], rule=Rule.FIFO, holds=holds)
    assert ledger.located(trace) == {"mule": 40, "next": 60}
    assert {item.received_at_us for item in trace.located} == {1, 5}


def test_a_part_release_gives_back_the_newest_and_a_restitution_takes_the_oldest(
    tracer: Tracer,
) -> None:
    rows = [Pay(1, "v", "mule", 10), Pay(2, "v", "mule", 10)]
    ledger = small(rows)
    hold = _hold(ledger, "mule", 20, at=3)
    release = _event(ledger, HoldKind.RELEASE, "mule", 4, at=4)
    (freed,) = tracer(ledger.arrays, [Claim(0), Claim(1)], rule=Rule.FIFO, holds=[hold, release])
    assert [(x.amount_minor, x.received_at_us) for x in freed.located] == [(4, 2)]
    pay = _event(ledger, HoldKind.RESTITUTION, "mule", 12, at=4)
    rest = _event(ledger, HoldKind.RELEASE, "mule", 20, at=5)
    (paid,) = tracer(ledger.arrays, [Claim(0), Claim(1)], rule=Rule.FIFO, holds=[hold, pay, rest])
    assert paid.restituted_minor == 12
    assert [(x.amount_minor, x.received_at_us) for x in paid.located] == [(8, 2)]


@pytest.mark.parametrize("rule", ALL)
def test_the_transfer_that_pays_a_restitution_takes_nothing_more_and_arrives_clean(
    tracer: Tracer, rule: Rule
) -> None:
    rows = [
        Pay(1, "v", "mule", 100),
        Pay(3, "mule", "v", 60),
        Pay(4, "v", "shop", 60),
        Pay(5, "mule", "next", 40),
    ]
    ledger = small(rows)
    holds = [
        _hold(ledger, "mule", 60, at=2),
        _event(ledger, HoldKind.RESTITUTION, "mule", 60, at=3, row=1),
    ]
    (trace,) = tracer(ledger.arrays, [Claim(0)], rule=rule, holds=holds)
    assert trace.restituted_minor == 60
    assert ledger.located(trace) == {"next": 40}
    assert trace.transfers == (Carried(0, 100), Carried(3, 40))
    assert trace.loss_minor == trace.accounted_minor() == 100


@pytest.mark.parametrize("rule", ALL)
def test_money_inferred_while_a_hold_stands_is_said(tracer: Tracer, rule: Rule) -> None:
    ledger = small([Pay(1, "v", "mule", 100), Pay(3, "mule", "next", 50)])
    hold = _hold(ledger, "mule", 80, at=2)
    (trace,) = tracer(ledger.arrays, [Claim(0)], rule=rule, holds=[hold])
    assert trace.inferred_under_hold == (ledger.numbers["mule"],)
    assert ledger.located(trace) == {"next": 20}
    assert ledger.held(trace) == {"mule": 80}


@pytest.mark.parametrize("rule", ALL)
def test_events_after_the_time_have_not_happened(tracer: Tracer, rule: Rule) -> None:
    ledger = small(HELD_ROWS)
    hold = _hold(ledger, "mule", 80, at=3)
    (before,) = tracer(ledger.arrays, [Claim(0)], rule=rule, holds=[hold], at_us=2)
    assert ledger.held(before) == {}
    assert ledger.located(before) == {"mule": 100}


@pytest.mark.parametrize("rule", ALL)
def test_a_hold_for_one_case_takes_none_of_anothers_money(tracer: Tracer, rule: Rule) -> None:
    ledger = small([Pay(1, "a", "mule", 10), Pay(2, "b", "mule", 10)])
    hold = _hold(ledger, "mule", 15, at=3, case=1)
    first, second = tracer(
        ledger.arrays, [Claim(0, case=0), Claim(1, case=1)], rule=rule, holds=[hold]
    )
    assert ledger.held(first) == {}
    assert ledger.held(second) == {"mule": 10}
    assert second.excess == (Excess(0, 5),)


def test_a_claim_for_a_row_that_is_not_there_is_refused(tracer: Tracer) -> None:
    ledger = small(MIXED)
    for claim in (Claim(3), Claim(-1), Claim(0, 0), Claim(0, case=-1)):
        with pytest.raises(BadOrigin):
            tracer(ledger.arrays, [claim], rule=Rule.FIFO)
    assert tracer(ledger.arrays, [], rule=Rule.FIFO) == []
