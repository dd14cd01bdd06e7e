"""Which cases' money has moved: the flat arrays agree with a plain dictionary."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from openaoc.ledger.arrays import LedgerArrays
from openaoc.workflow.watch import Watch

ACCOUNTS = 40
steps = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(0, ACCOUNTS - 1)),
        st.tuples(st.just("drop"), st.integers(0, 9)),
        st.tuples(
            st.just("put"),
            st.tuples(st.integers(0, 9), st.sets(st.integers(0, ACCOUNTS - 1), max_size=6)),
        ),
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(steps=steps)
def test_moved_cases_are_those_with_an_account_that_sent(
    steps: list[tuple[str, object]],
) -> None:
    watch, out = Watch(), np.zeros(ACCOUNTS, np.int32)
    arrays = cast("LedgerArrays", SimpleNamespace(out_len=out))
    plain: dict[str, dict[int, int]] = {}
    for verb, what in steps:
        if verb == "send":
            out[cast("int", what)] += 1
        elif verb == "drop":
            watch.drop(f"c{what}")
            plain.pop(f"c{what}", None)
        else:
            number, accounts = cast("tuple[int, set[int]]", what)
            sent = [(account, int(out[account])) for account in sorted(accounts)]
            watch.put(f"c{number}", sent)
            plain[f"c{number}"] = dict(sent)
        moved = {k for k, known in plain.items() if any(out[a] != n for a, n in known.items())}
        assert set(watch.moved(arrays)) == moved


def test_room_is_made_and_the_dead_are_left_out() -> None:
    watch, out = Watch(), np.zeros(10, np.int32)
    arrays = cast("LedgerArrays", SimpleNamespace(out_len=out))
    for turn in range(3_000):
        watch.put(f"c{turn % 50}", [(turn % 10, 0)] * 3)
    assert len(watch._account) < 2_000
    assert watch.moved(arrays) == []
    out[3] = 1
    assert set(watch.moved(arrays)) == {f"c{n}" for n in range(50) if n % 10 == 3}
