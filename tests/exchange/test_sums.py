"""What one side asks about and the other answers adds up, whatever the money was changed into."""

from __future__ import annotations

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openaoc.cases.model import NO_FIGURES
from openaoc.exchange.crossborder.model import (
    RECEIVED_TRANSITIONS,
    SENT_TRANSITIONS,
    ReceivedState,
    SentState,
    WrongRequestStep,
    check_step,
)
from openaoc.exchange.crossborder.sums import (
    Amounts,
    amounts_of,
    amounts_told,
    claim_of,
    country_of,
    is_newer,
    local_code,
)

amounts = st.integers(min_value=0, max_value=10**12)


@given(parts=st.tuples(amounts, amounts, amounts, amounts), lost=amounts, asked=amounts)
def test_the_sum_is_what_was_asked(parts: tuple[int, int, int, int], lost: int, asked: int) -> None:
    held, located, exited, restituted = parts
    figures = msgspec.structs.replace(
        NO_FIGURES,
        loss_minor=sum(parts),
        held_minor=held,
        located_minor=located,
        exited_minor=exited,
        restituted_minor=restituted,
    )
    claimed = sum(parts) + lost
    told = amounts_of(figures, claimed_minor=claimed, asked_minor=asked)
    assert told.total_minor == asked
    assert min(msgspec.structs.astuple(told)) >= 0
    if asked == claimed and claimed > 0:
        assert told == Amounts(
            held_minor=held,
            located_minor=located,
            exited_minor=exited,
            restituted_minor=restituted,
            not_found_minor=lost,
        )


@given(asked=st.integers(1, 10**12), more=amounts, arrived=st.integers(1, 10**12))
def test_a_claim_is_never_more_than_what_arrived_or_was_asked(
    asked: int, more: int, arrived: int
) -> None:
    sent = asked + more
    assert claim_of(asked_minor=asked, sent_minor=sent, arrived_minor=sent) == asked
    changed = claim_of(asked_minor=asked, sent_minor=sent, arrived_minor=arrived)
    assert 0 <= changed <= arrived
    assert claim_of(asked_minor=asked, sent_minor=None, arrived_minor=arrived) == min(
        asked, arrived
    )


def test_an_answer_that_lacks_an_amount_says_no_sum() -> None:
    full = {
        "held_minor": 1,
        "located_minor": 2,
        "exited_minor": 3,
        "restituted_minor": 4,
        "not_found_minor": 5,
    }
    told = amounts_told(full)
    assert told is not None
    assert told.total_minor == 15
    for name in full:
        assert amounts_told({**full, name: "•••"}) is None
        assert amounts_told({**full, name: -1}) is None


@pytest.mark.parametrize(
    ("bank", "country", "local"),
    [
        ("KH.ABA", "KH", "ABA"),
        ("ABAAKHPP", "KH", "ABAAKHPP"),
        ("ABAAKHPPXXX", "KH", "ABAAKHPPXXX"),
        ("KBANK", None, "KBANK"),
        ("TH:004", "TH", "004"),
    ],
)
def test_a_code_names_its_country(bank: str, country: str | None, local: str) -> None:
    assert country_of(bank) == country
    assert local_code(bank) == local


def test_the_first_word_of_a_new_life_counts_above_the_last_of_the_old() -> None:
    words = [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert all(is_newer(b, a) for a, b in itertools.pairwise(words))
    assert not is_newer((1, 2), (1, 2))


def test_every_state_is_reached_and_only_by_the_table() -> None:
    for table, states, start in (
        (SENT_TRANSITIONS, SentState, SentState.WAITING),
        (RECEIVED_TRANSITIONS, ReceivedState, ReceivedState.SEEKING),
    ):
        assert {step.after for step in table} | {start.value} == {one.value for one in states}
    with pytest.raises(WrongRequestStep):
        check_step(ReceivedState.REFUSED, ReceivedState.OPENED)
    with pytest.raises(WrongRequestStep):
        check_step(SentState.WITHDRAWN, SentState.TAKEN)
    assert check_step(SentState.TAKEN, SentState.TAKEN) is SentState.TAKEN
