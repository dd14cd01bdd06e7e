"""Whether an account shows a pattern: against a plain twin, at the edges, and in bounded data."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openaoc.practice.typology import DAY_US, MINUTE_US, Shown, Typology, shows
from openaoc.tracing.flows import Flows, Inflow, Outflow

COLLECTING = Typology(payers_min=3, window_minutes=60, passed_on_percent_min=80, within_minutes=30)


def account(
    ins: list[tuple[int, int, int]], outs: list[tuple[int, int]], *, exit_too: bool = False
) -> Flows:
    """Receipts (minute, amount, payer) and payments out (minute, amount)."""
    return Flows(
        inflows=tuple(Inflow(at * MINUTE_US, amount, payer) for at, amount, payer in sorted(ins)),
        outflows=tuple(Outflow(at * MINUTE_US, amount, exit_too) for at, amount in sorted(outs)),
    )


THREE = [(0, 100, 1), (10, 100, 2), (20, 100, 3)]


def test_several_payers_and_soon_most_of_it_is_gone() -> None:
    found = shows(COLLECTING, account(THREE, [(25, 250)]))
    assert found == Shown(
        payers=3, received_minor=300, passed_on_minor=250, from_us=0, until_us=50 * MINUTE_US
    )


@pytest.mark.parametrize(
    ("ins", "outs"),
    [
        ([(0, 100, 1), (10, 100, 2), (20, 100, 2)], [(25, 300)]),  # two payers
        ([(0, 100, 1), (10, 100, 2), (61, 100, 3)], [(62, 300)]),  # not within the hour
        (THREE, [(25, 239)]),  # less than four fifths
        (THREE, [(51, 300)]),  # too late
        ([(5, 100, 1), (10, 100, 2), (20, 100, 3)], [(4, 300)]),  # before it came
        (THREE, []),
        ([], [(1, 300)]),
        ([], []),
    ],
)
def test_what_is_not_the_pattern(
    ins: list[tuple[int, int, int]], outs: list[tuple[int, int]]
) -> None:
    assert shows(COLLECTING, account(ins, outs)) is None


def test_the_last_minute_counts() -> None:
    assert shows(COLLECTING, account([(0, 100, 1), (10, 100, 2), (60, 100, 3)], [(90, 240)]))


def test_only_what_left_as_cash_where_that_is_asked() -> None:
    cash = msgspec.structs.replace(COLLECTING, exits_only=True)
    assert shows(cash, account(THREE, [(25, 300)])) is None
    assert shows(cash, account(THREE, [(25, 300)], exit_too=True))


def test_a_shop_of_years_does_not_show_what_asks_for_a_young_account() -> None:
    young = msgspec.structs.replace(COLLECTING, history_days_max=30)
    old = 31 * DAY_US // MINUTE_US
    later = [(at + old, amount, payer) for at, amount, payer in THREE]
    assert shows(young, account([(0, 5, 9), *later], [(old + 25, 300)])) is None
    assert shows(young, account([(1_440, 5, 9), *later], [(old + 25, 300)]))


@settings(max_examples=150)
@given(
    ins=st.lists(st.tuples(st.integers(0, 40), st.integers(1, 9), st.integers(0, 4)), max_size=14),
    outs=st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), max_size=10),
    rule=st.builds(
        Typology,
        payers_min=st.integers(1, 4),
        window_minutes=st.integers(1, 20),
        passed_on_percent_min=st.integers(1, 100),
        within_minutes=st.integers(1, 20),
        history_days_max=st.none(),
    ),
)
def test_it_says_what_the_plain_words_say(
    ins: list[tuple[int, int, int]], outs: list[tuple[int, int]], rule: Typology
) -> None:
    assert (shows(rule, account(ins, outs)) is not None) == plainly(rule, sorted(ins), outs)


def plainly(rule: Typology, ins: list[tuple[int, int, int]], outs: list[tuple[int, int]]) -> bool:
    """The rule by its words, each place looked at on its own."""
    for began, _, _ in ins:
        # A place that begins at one of several receipts of a minute begins with any of them.
        group = [one for one in ins if began <= one[0] <= began + rule.window_minutes]
        for skipped in range(sum(one[0] == began for one in group)):
            rest = group[skipped:]
            last = max(at for at, _, _ in rest)
            came = sum(amount for _, amount, _ in rest)
            left = sum(amount for at, amount in outs if began <= at <= last + rule.within_minutes)
            enough = min(left, came) * 100 >= came * rule.passed_on_percent_min
            if len({payer for _, _, payer in rest}) >= rule.payers_min and enough:
                return True
    return False


@pytest.mark.parametrize(
    "text",
    [
        '{"payers_min":0,"window_minutes":5,"passed_on_percent_min":80,"within_minutes":5}',
        '{"payers_min":2,"window_minutes":5,"passed_on_percent_min":101,"within_minutes":5}',
        '{"payers_min":2,"window_minutes":99999999,"passed_on_percent_min":1,"within_minutes":5}',
        '{"payers_min":2,"window_minutes":5,"passed_on_percent_min":80}',
        '{"payers_min":2,"window_minutes":5,"passed_on_percent_min":80,"within_minutes":5,"a":1}',
    ],
)
def test_its_data_is_bounded_and_has_no_room_for_anything_else(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=Typology)
