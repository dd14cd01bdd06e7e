"""Stage ledger, files: RFC 3339 text to microseconds, a column at a time.

Agrees with kernel.clock.parse_time on every text; the tests hold the two together.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from openaoc.kernel.clock import parse_time, to_us
from openaoc.kernel.errors import BadInput
from openaoc.ledger.byte_classes import is_digit

BOOKED_AT_US_MIN: Final = -2_208_988_800_000_000
"""1900-01-01T00:00:00Z, inclusive."""
BOOKED_AT_US_MAX: Final = 7_258_118_400_000_000
"""2200-01-01T00:00:00Z, exclusive."""

_BASE_CHARACTERS: Final = 19
"""`YYYY-MM-DDTHH:MM:SS`."""
_DIGIT_PLACES: Final = (0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18)
_LONGEST: Final = 35
_FRACTION_DIGITS_MAX: Final = 9
_MICROSECOND_DIGITS: Final = 6
_HOUR_MAX: Final = 23
_MINUTE_MAX: Final = 59
_FEBRUARY: Final = 2
_DECEMBER: Final = 12
_DAYS_BEFORE_EPOCH: Final = 719_162
"""Days from 0001-01-01 to 1970-01-01."""
_DAYS_BEFORE_MONTH: Final = np.array([0, 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334])
_MONTH_DAYS: Final = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])


class Times(NamedTuple):
    """Times of a column.

    Microseconds since the epoch; where a text is no acceptable time; where digits past the
    microsecond, not zero, were cut.
    """

    us: NDArray[np.int64]
    bad: NDArray[np.bool_]
    cut: NDArray[np.bool_]


_US_PER_SECOND: Final = 1_000_000
_TICKS_PER_SECOND: Final = {"s": 1, "ms": 1_000, "us": _US_PER_SECOND, "ns": 1_000_000_000}


def from_timestamps(array: pa.Array) -> Times:
    """Microseconds of an Arrow timestamp array of any unit, its zone being UTC or only shown.

    Null and what is outside the years 1900 to 2199 is bad; nanoseconds are cut downwards.
    """
    per_second = _TICKS_PER_SECOND[array.type.unit]
    ticks = array.view(pa.int64())
    past_end = BOOKED_AT_US_MAX * per_second // _US_PER_SECOND
    # Clipped to one tick outside the range, so that nothing overflows on its way to microseconds.
    before_start = BOOKED_AT_US_MIN * per_second // _US_PER_SECOND - 1
    values = pc.fill_null(ticks, past_end).to_numpy(zero_copy_only=False)
    values = np.clip(values, before_start, past_end)
    cut = np.zeros(len(values), bool)
    if per_second > _US_PER_SECOND:
        us, rest = np.divmod(values, per_second // _US_PER_SECOND)
        cut = rest != 0
    else:
        us = values * (_US_PER_SECOND // per_second)
    bad = (us < BOOKED_AT_US_MIN) | (us >= BOOKED_AT_US_MAX)
    return Times(us, bad, cut & ~bad)


def parse_times(
    *,
    offsets: NDArray[np.int32],
    data: NDArray[np.uint8],
    assume_utc: bool,
) -> Times:
    """Parse n texts, the i-th at data[offsets[i]:offsets[i+1]].

    Texts of one length are parsed together as a matrix; an empty or over-long text is bad.
    """
    count = len(offsets) - 1
    us = np.zeros(count, np.int64)
    bad = np.ones(count, bool)
    cut = np.zeros(count, bool)
    lengths = np.diff(offsets)
    for length in np.unique(lengths):
        if not _BASE_CHARACTERS <= length <= _LONGEST:
            continue
        rows = np.flatnonzero(lengths == length)
        if len(rows) == count:
            start = int(offsets[0])
            matrix = data[start : start + count * int(length)].reshape(count, int(length))
        else:
            matrix = data[offsets[rows][:, None] + np.arange(length)]
        group = _parse_matrix(np.ascontiguousarray(matrix.T), assume_utc=assume_utc)
        us[rows], bad[rows], cut[rows] = group
    return Times(us, bad, cut)


def _parse_matrix(text: NDArray[np.uint8], *, assume_utc: bool) -> Times:
    """Parse texts of one length; text[k] holds the k-th character of every text."""
    count = text.shape[1]
    number = (text - np.uint8(ord("0"))).astype(np.int64)
    bad = ~is_digit(text[list(_DIGIT_PLACES)]).all(axis=0)
    bad |= (text[4] != ord("-")) | (text[7] != ord("-"))
    bad |= (text[10] != ord("T")) & (text[10] != ord("t")) & (text[10] != ord(" "))
    bad |= (text[13] != ord(":")) | (text[16] != ord(":"))
    year = number[0] * 1000 + number[1] * 100 + number[2] * 10 + number[3]
    month, day = number[5] * 10 + number[6], number[8] * 10 + number[9]
    hour, minute = number[11] * 10 + number[12], number[14] * 10 + number[15]
    second = number[17] * 10 + number[18]
    bad |= (month < 1) | (month > _DECEMBER) | (day < 1) | (hour > _HOUR_MAX)
    bad |= (minute > _MINUTE_MAX) | (second > _MINUTE_MAX)
    safe_month = np.where(bad, 1, month)
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    bad |= day > _MONTH_DAYS[safe_month] + (leap & (safe_month == _FEBRUARY))
    before = year - 1
    days = before * 365 + before // 4 - before // 100 + before // 400
    days += _DAYS_BEFORE_MONTH[safe_month] + (leap & (safe_month > _FEBRUARY))
    days += day - 1 - _DAYS_BEFORE_EPOCH
    us = ((days * 24 + hour) * 60 + minute) * 60_000_000 + second * 1_000_000
    cut = np.zeros(count, bool)
    _add_rest(text, number, us=us, bad=bad, cut=cut, assume_utc=assume_utc)
    bad |= (us < BOOKED_AT_US_MIN) | (us >= BOOKED_AT_US_MAX)
    cut &= ~bad
    return Times(us, bad, cut)


def _add_rest(
    text: NDArray[np.uint8],
    number: NDArray[np.int64],
    *,
    us: NDArray[np.int64],
    bad: NDArray[np.bool_],
    cut: NDArray[np.bool_],
    assume_utc: bool,
) -> None:
    """Add the fraction and take off the zone; the end of the text tells what there is."""
    length = len(text)
    zulu = (text[-1] == ord("Z")) | (text[-1] == ord("z"))
    sign = text[length - 6] if length >= _BASE_CHARACTERS + 6 else np.zeros_like(text[0])
    zone = ~zulu & ((sign == ord("+")) | (sign == ord("-")))
    for chosen, tail in ((zulu, 1), (zone, 6), (~zulu & ~zone, 0)):
        if not chosen.any():
            continue
        if not tail and not assume_utc:
            bad |= chosen
            continue
        places = length - tail - _BASE_CHARACTERS
        if places == 0:
            continue
        if not 1 < places <= 1 + _FRACTION_DIGITS_MAX:
            bad |= chosen
            continue
        wrong = text[_BASE_CHARACTERS] != ord(".")
        fraction = np.zeros(len(us), np.int64)
        lost = np.zeros(len(us), bool)
        for place in range(places - 1):
            at = _BASE_CHARACTERS + 1 + place
            wrong |= ~is_digit(text[at])
            if place < _MICROSECOND_DIGITS:
                fraction += number[at] * 10 ** (_MICROSECOND_DIGITS - 1 - place)
            else:
                lost |= number[at] != 0
        bad |= chosen & wrong
        cut |= chosen & lost
        us += np.where(chosen, fraction, 0)
    if zone.any():
        _take_off_zone(text[-6:], number[-6:], zone=zone, us=us, bad=bad)


def _take_off_zone(
    text: NDArray[np.uint8],
    number: NDArray[np.int64],
    *,
    zone: NDArray[np.bool_],
    us: NDArray[np.int64],
    bad: NDArray[np.bool_],
) -> None:
    """Subtract `±hh:mm`, at most 23:59, from the chosen texts."""
    wrong = text[3] != ord(":")
    wrong |= ~is_digit(text[[1, 2, 4, 5]]).all(axis=0)
    hours, minutes = number[1] * 10 + number[2], number[4] * 10 + number[5]
    wrong |= (hours > _HOUR_MAX) | (minutes > _MINUTE_MAX)
    bad |= zone & wrong
    shift = (hours * 60 + minutes) * 60_000_000
    us -= np.where(zone, np.where(text[0] == ord("-"), -shift, shift), 0)


def time_us(text: str, *, assume_utc: bool) -> int:
    """The plain twin for one text. Raises BadInput with the reason."""
    us = to_us(parse_time(text, assume_utc=assume_utc))
    return check_range(us)


def check_range(us: int) -> int:
    """The moment itself. Raises BadInput outside 1900 to 2199."""
    if not BOOKED_AT_US_MIN <= us < BOOKED_AT_US_MAX:
        raise BadInput("the time is outside the years 1900 to 2199")
    return us
