"""The nation's accounts: the same for a seed, and found again by their numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openaoc.kernel.errors import BadInput
from openaoc.kernel.identifiers.bank_account import normalise_account
from openaoc.simulation.parameters import load_parameters
from openaoc.simulation.population import (
    Kind,
    account_index,
    account_number,
    account_numbers,
    make_population,
)
from tests.simulation.nations import people


@given(st.integers(0, 4_999_999))
@settings(max_examples=200)
def test_an_account_is_found_by_its_number(index: int) -> None:
    number = account_number(index)
    assert normalise_account(number) == number
    assert account_index(number, size=5_000_000) == index
    assert account_index(number, size=index) is None


@given(st.text(max_size=12))
def test_what_is_no_number_finds_nothing_or_a_real_account(text: str) -> None:
    found = account_index(text, size=1_000)
    assert found is None or account_number(found) == text


def test_numbers_are_distinct() -> None:
    assert len(set(account_numbers(20_000).to_pylist())) == 20_000


def test_a_seed_makes_the_same_nation_and_another_seed_another() -> None:
    one, again, other = people(1), people(1), people(2)
    for name in ("institution", "kind", "opening_minor", "mules", "shops"):
        assert np.array_equal(getattr(one, name), getattr(again, name))
    assert not np.array_equal(one.opening_minor, other.opening_minor)


def test_everybody_is_somebody_and_mules_are_spread_over_gangs() -> None:
    nation = people()
    kinds = [int((nation.kind == kind).sum()) for kind in Kind]
    assert sum(kinds) == nation.size
    assert min(kinds) > 0
    assert len(np.unique(nation.mules)) == nation.mules.size
    assert (nation.kind[nation.mules] == Kind.MULE).all()
    assert (nation.opening_minor >= 0).all()


@pytest.mark.parametrize("accounts", [0, 1_999, 5_000_001])
def test_a_nation_has_bounds(accounts: int) -> None:
    with pytest.raises(BadInput):
        make_population(load_parameters(), accounts=accounts, seed=1)
