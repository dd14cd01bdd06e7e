"""What is left out of a table cannot be had back from its totals."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from openaoc.kernel.small_cells import CELL_MIN, Line, hidden_cells

COUNTS = st.integers(0, 3 * CELL_MIN)


@given(rows=st.lists(st.lists(COUNTS, min_size=3, max_size=3), min_size=1, max_size=5))
def test_no_total_minus_its_parts_tells_of_few(rows: list[list[int]]) -> None:
    counts = {(y, x): n for y, row in enumerate(rows) for x, n in enumerate(row)}
    height = range(len(rows))
    counts |= {(y, 9): sum(rows[y]) for y in height}
    counts |= {(9, x): sum(row[x] for row in rows) for x in range(3)}
    counts[9, 9] = sum(map(sum, rows))
    lines = [Line([(y, x) for x in range(3)], (y, 9)) for y in (*height, 9)]
    lines += [Line([(y, x) for y in height], (9, x)) for x in (*range(3), 9)]
    hidden = hidden_cells(counts, lines)
    assert all(key in hidden for key, count in counts.items() if count < CELL_MIN)
    for line in lines:
        gone = [key for key in line.parts if key in hidden]
        if line.total not in hidden and gone:
            assert len(gone) > 1
            assert sum(counts[key] for key in gone) >= CELL_MIN
        if line.total in hidden:
            assert gone, "the parts would give the total"


@given(counts=st.lists(st.integers(CELL_MIN, 99), min_size=1, max_size=6))
def test_what_is_large_is_shown(counts: list[int]) -> None:
    named = dict(enumerate(counts))
    line = Line([*named], -1)
    assert hidden_cells({**named, -1: sum(counts)}, [line]) == frozenset()


def test_one_small_cell_takes_a_neighbour_with_it() -> None:
    counts = {"a": 2, "b": 7, "c": 40, "all": 49}
    assert hidden_cells(counts, [Line(["a", "b", "c"], "all")]) == {"a", "b"}
    two = {"a": 1, "b": 1, "c": 40, "all": 42}
    assert hidden_cells(two, [Line(["a", "b", "c"], "all")]) == {"a", "b", "c"}
    alone = {"a": 3, "all": 3}
    assert hidden_cells(alone, [Line(["a"], "all")]) == {"a", "all"}
