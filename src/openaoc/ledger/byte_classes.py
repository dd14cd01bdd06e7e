"""Stage ledger, files: ASCII classes of many bytes at once; each costs two vector instructions."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Flags = NDArray[np.bool_]

SPACE: Final = 0x20
LAST_VISIBLE: Final = 0x7E
CASE_STEP: Final = 0x20
"""From a capital letter to its small one."""


def between(data: Bytes, first: int, last: int) -> Flags:
    """Whether each byte lies in first … last: below `first` the subtraction wraps to the top."""
    inside: Flags = (data - np.uint8(first)) <= np.uint8(last - first)
    return inside


def is_digit(data: Bytes) -> Flags:
    """0 to 9."""
    return between(data, ord("0"), ord("9"))


def is_capital(data: Bytes) -> Flags:
    """A to Z."""
    return between(data, ord("A"), ord("Z"))


def is_small(data: Bytes) -> Flags:
    """The letters a to z."""
    return between(data, ord("a"), ord("z"))


def is_visible(data: Bytes) -> Flags:
    """Printable ASCII other than the space."""
    return between(data, SPACE + 1, LAST_VISIBLE)


def is_printable(data: Bytes) -> Flags:
    """Printable ASCII, the space included."""
    return between(data, SPACE, LAST_VISIBLE)
