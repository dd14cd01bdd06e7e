"""Ids people read aloud, and accounts as institutions write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openaoc.kernel.errors import BadInput
from openaoc.kernel.identifiers.bank_account import (
    mask_account,
    normalise_account,
    normalise_bank,
)
from openaoc.kernel.ids import (
    ALPHABET,
    as_spoken,
    is_case_id,
    new_case_id,
    new_order_id,
    read_number,
)


def test_case_numbers_are_valid_and_differ() -> None:
    numbers = {new_case_id() for _ in range(1_000)}
    assert len(numbers) == 1_000
    assert all(is_case_id(number) for number in numbers)


@given(st.integers(0, 7), st.sampled_from(ALPHABET))
def test_one_misheard_character_is_noticed(place: int, heard: str) -> None:
    number = new_case_id()
    at = [4, 5, 6, 7, 9, 10, 11, 12][place]
    said = number[:at] + heard + number[at + 1 :]
    same = heard == number[at] or {heard, number[at]} == {"0", "Z"}
    assert is_case_id(said) == same


@pytest.mark.parametrize("text", ["", "AOC", "AOC-1234-5678", "aoc-1234-5678-9", "AOC-123U-5678-9"])
def test_other_text_is_no_case_number(text: str) -> None:
    assert not is_case_id(text)


@pytest.mark.parametrize(
    "typed",
    [
        "aoc-7k3m-9qx2-k",
        " AOC 7K3M 9QX2 K ",
        "AOC\u20117K3M\u20139QX2\u2014K\u200b",
        "AOC7K3M9QX2K",
        "A0C-๗K๓M-๙QX๒-K",
        "\uff21\uff2f\uff23-7K3M-9QX2-K",
    ],
)
def test_a_case_number_is_read_however_it_was_typed(typed: str) -> None:
    assert read_number(typed) == "AOC-7K3M-9QX2-K"


@given(st.text(ALPHABET + "oil-_ ๐๙ก", max_size=20), st.sampled_from(["", "AOC-", "ord_"]))
def test_numbers_read_again_are_the_same(text: str, prefix: str) -> None:
    assert read_number(read_number(prefix + text)) == read_number(prefix + text)


def test_an_order_is_read_however_it_was_typed() -> None:
    order = new_order_id()
    for typed in (order.upper(), f"\u00a0{order} ", order.replace("0", "o").replace("1", "l")):
        assert read_number(typed) == order
    assert read_number("sus_0") == "sus_0"
    assert as_spoken("๑๒๓๔ - o5il") == "12340511"


def test_order_ids_are_unguessable() -> None:
    assert len({new_order_id() for _ in range(1_000)}) == 1_000
    assert len(new_order_id()) >= 24


@pytest.mark.parametrize(
    ("written", "kept"),
    [("012-3-45678-9", "0123456789"), ("ab/12.3 4", "AB1234"), ("0001", "0001")],
)
def test_accounts_are_kept_as_written_but_for_separators(written: str, kept: str) -> None:
    assert normalise_account(written) == kept


@given(st.text(alphabet=st.characters(codec="ascii", min_codepoint=32), min_size=1, max_size=40))
def test_normalising_twice_changes_nothing(text: str) -> None:
    try:
        once = normalise_account(text)
    except BadInput:
        return
    assert normalise_account(once) == once


@pytest.mark.parametrize("number", ["", " -./", "12\x0034", "1" * 65, "12\n34"])
def test_accounts_that_are_none_are_refused(number: str) -> None:
    with pytest.raises(BadInput):
        normalise_account(number)


@pytest.mark.parametrize("code", ["", "  ", "K\x00B", "B" * 33])
def test_institution_codes_that_are_none_are_refused(code: str) -> None:
    with pytest.raises(BadInput):
        normalise_bank(code)


def test_masks_hide_all_but_the_end() -> None:
    assert mask_account("0123456789") == "••••••6789"
    assert mask_account("123") == "123"
