"""Money and currencies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openaoc.kernel.errors import BadInput
from openaoc.kernel.money import (
    AMOUNT_MINOR_MAX,
    check_amount,
    check_currency,
    exponents,
    format_money,
)


@pytest.mark.parametrize("amount", [0, -1, 2**62, 2**63, -(2**63)])
def test_amounts_outside_the_range_are_refused(amount: int) -> None:
    with pytest.raises(BadInput):
        check_amount(amount)


@pytest.mark.parametrize("amount", [1, AMOUNT_MINOR_MAX])
def test_the_ends_of_the_range_are_taken(amount: int) -> None:
    assert check_amount(amount) == amount


@pytest.mark.parametrize("code", ["", "thb", "THBX", "XX1", "บาท"])
def test_unknown_currencies_are_refused(code: str) -> None:
    with pytest.raises(BadInput, match="ISO 4217"):
        check_currency(code)


def test_known_currencies_have_their_places() -> None:
    places = {code: exponents()[code] for code in ("THB", "VND", "JPY", "KWD", "CLF")}
    assert places == {"THB": 2, "VND": 0, "JPY": 0, "KWD": 3, "CLF": 4}


def test_money_is_written_for_people() -> None:
    assert format_money(123_450, "THB") == "1,234.50 THB"
    assert format_money(-5, "THB") == "-0.05 THB"
    assert format_money(1_000, "VND") == "1,000 VND"


@given(st.integers(-(2**62), 2**62), st.sampled_from(["THB", "VND", "KWD"]))
def test_written_money_reads_back(amount: int, currency: str) -> None:
    digits = format_money(amount, currency).split()[0].replace(",", "").replace(".", "")
    assert int(digits) == amount
