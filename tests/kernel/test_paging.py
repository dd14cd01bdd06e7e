"""Pages: a cursor gets back the place it was made of, and what is none is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openaoc.kernel.errors import BadInput
from openaoc.kernel.paging import Asked, Place

START = datetime(1970, 1, 1, tzinfo=UTC)
MOMENTS = st.timedeltas(timedelta(0), timedelta(days=83_950)).map(lambda passed: START + passed)
NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=80)


@given(at=MOMENTS, name=NAMES)
def test_a_cursor_is_the_place_it_was_made_of(at: datetime, name: str) -> None:
    assert Asked(Place(at, name).cursor()).place == Place(at, name)


@pytest.mark.parametrize(
    "cursor",
    ["", ".", "1", "1.", ".a", "-1.a", "1 .a", "1.a\0", "1.ä", "\u00b2.a", "9" * 18 + ".a"],
)
def test_what_is_no_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(BadInput, match="not a cursor"):
        assert Asked(cursor).place is None
    with pytest.raises(BadInput, match="not a cursor"):
        assert Asked(cursor + "x").number is None


@pytest.mark.parametrize("limit", [-1, 0, 201])
def test_a_page_has_a_size(limit: int) -> None:
    with pytest.raises(BadInput, match="between 1 and 200"):
        assert Asked(limit=limit).size is None
    assert Asked(limit=200).cut([1, 2], str) == ([1, 2], None)
    assert Asked(limit=1).cut([1, 2], str) == ([1], "1")
