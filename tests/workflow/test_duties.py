"""How often the unhurried duties get their turn, however long a round takes."""

from __future__ import annotations

import itertools
from typing import Any, cast

import pytest

from openaoc.workflow.duties import UNHURRIED_ROUNDS, UNHURRIED_SECONDS_MAX, Duties


@pytest.mark.parametrize("round_s", [0.5, 1.0, 7.0, 40.0, 90.0])
def test_unhurried_duties_wait_for_so_many_rounds_or_so_long(round_s: float) -> None:
    nobody = cast("Any", None)
    duties = Duties(uow=nobody, holds=nobody, pursuit=nobody, ledger_journal=nobody)
    began = [number * round_s for number in range(200)]
    looked = [at for at in began if duties.looks_at_all(at)]
    assert looked[0] == 0
    gaps = [later - at for at, later in itertools.pairwise(looked)]
    longest = min(UNHURRIED_ROUNDS * round_s, UNHURRIED_SECONDS_MAX + round_s)
    assert gaps
    assert max(gaps) <= longest
    assert min(gaps) >= min(UNHURRIED_ROUNDS * round_s, UNHURRIED_SECONDS_MAX)


def test_whoever_asks_for_all_gets_the_next_round_and_no_more() -> None:
    nobody = cast("Any", None)
    duties = Duties(uow=nobody, holds=nobody, pursuit=nobody, ledger_journal=nobody)
    assert [duties.looks_at_all(at) for at in (1.0, 2.0)] == [True, False]
    duties.wake_all()
    assert [duties.looks_at_all(at) for at in (3.0, 4.0)] == [True, False]
