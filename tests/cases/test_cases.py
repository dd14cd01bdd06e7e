"""A case's lifecycle, its secret, and the sum that must hold."""

from __future__ import annotations

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import given

from openaoc.cases.model import (
    NO_FIGURES,
    TRANSITIONS,
    CaseState,
    NotYourCase,
    WrongCaseTransition,
    check_case_transition,
)
from openaoc.cases.secret import hash_secret, make_secret, matches
from openaoc.kernel.actor import Actor, Role
from openaoc.kernel.ids import new_case_id

KEY = b"k" * 32


def test_every_step_outside_the_table_is_refused() -> None:
    allowed = {(t.before, t.after) for t in TRANSITIONS}
    everyone = Actor(id="x", roles=frozenset(Role))
    for before in CaseState:
        for after in CaseState:
            if (before, after) in allowed:
                assert check_case_transition(before, after, actor=everyone).why
            else:
                with pytest.raises(WrongCaseTransition):
                    check_case_transition(before, after, actor=everyone)


def test_only_a_supervisor_or_the_centre_itself_drops_a_case() -> None:
    for role in set(Role) - {Role.SUPERVISOR, Role.SYSTEM}:
        with pytest.raises(NotYourCase):
            check_case_transition(
                CaseState.PURSUED,
                CaseState.DROPPED,
                actor=Actor(id="x", roles=frozenset({role})),
            )


def test_the_secret_is_the_same_again_and_another_key_makes_another() -> None:
    case = new_case_id()
    secret = make_secret(case, key=KEY)
    assert secret == make_secret(case, key=KEY)
    assert secret != make_secret(case, key=b"o" * 32)
    assert secret != make_secret(new_case_id(), key=KEY)


def test_a_secret_may_be_typed_in_small_letters_without_hyphens() -> None:
    secret = make_secret("AOC-1", key=KEY)
    stored = hash_secret(secret)
    assert matches(secret.lower().replace("-", " "), stored)
    assert not matches(secret[:-1], stored)
    assert not matches("", stored)


@given(parts=st.tuples(*[st.integers(0, 10**9)] * 5), off=st.integers(-5, 5))
def test_conserved_says_whether_the_sum_holds(
    parts: tuple[int, int, int, int, int], off: int
) -> None:
    located, held, exited, restituted, dropped = parts
    figures = msgspec.structs.replace(
        NO_FIGURES,
        loss_minor=sum(parts) + off,
        located_minor=located,
        held_minor=held,
        exited_minor=exited,
        restituted_minor=restituted,
        dropped_minor=dropped,
    )
    assert figures.conserved is (off == 0)
