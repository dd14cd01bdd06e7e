"""Time in and out of the program."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openaoc.kernel.clock import ManualClock, format_time, from_us, parse_time, to_us
from openaoc.kernel.errors import BadInput

moments = st.datetimes(
    min_value=datetime(1970, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
    max_value=datetime(2200, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
    timezones=st.just(UTC),
)


@given(moments)
def test_microseconds_are_exact(moment: datetime) -> None:
    assert from_us(to_us(moment)) == moment


@given(moments, st.integers(-14 * 60, 14 * 60))
def test_any_zone_reads_back_as_the_same_moment(moment: datetime, minutes: int) -> None:
    local = moment.astimezone(timezone(timedelta(minutes=minutes)))
    assert parse_time(local.isoformat()) == moment
    assert parse_time(format_time(moment)) == moment


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "2026-01-01", "2026-13-01T00:00:00Z", "2026-01-01T25:00:00Z", "1767225600"],
)
def test_what_is_not_a_time_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        parse_time(text)


def test_a_time_without_a_zone_is_refused_unless_told() -> None:
    with pytest.raises(BadInput, match="no time zone"):
        parse_time("2026-01-01T00:00:00")
    assert parse_time("2026-01-01T00:00:00", assume_utc=True) == datetime(2026, 1, 1, tzinfo=UTC)


def test_the_manual_clock_moves_only_when_told() -> None:
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    assert clock.now() == clock.now()
    assert clock.advance(timedelta(hours=72)) == datetime(2026, 1, 4, tzinfo=UTC) == clock.now()
