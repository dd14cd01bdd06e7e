"""Hot loops over names: hashing of text columns and comparison of bytes.

A hash only finds candidates; whoever uses it compares the full bytes. Numbers in, numbers out.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

PREFIX_BYTES: Final = 2
"""Every stored text stands behind its length in two bytes, low byte first."""
_M1: Final = np.uint64(0x9E3779B97F4A7C15)
_M2: Final = np.uint64(0xBF58476D1CE4E5B9)
_M3: Final = np.uint64(0x94D049BB133111EB)


@njit(cache=True, nogil=True, inline="always")
def mix(value: np.uint64) -> np.uint64:
    """The finaliser of splitmix64: every input bit reaches every output bit."""
    value = (value ^ (value >> np.uint64(30))) * _M2
    value = (value ^ (value >> np.uint64(27))) * _M3
    return value ^ (value >> np.uint64(31))


@njit(cache=True, nogil=True)
def hash_bytes(data: NDArray[np.uint8], start: int, length: int, seed: np.uint64) -> np.uint64:
    """A seeded 64-bit hash of data[start : start + length], eight bytes a step."""
    state = seed ^ (np.uint64(length) * _M1)
    position, end = start, start + length
    while end - position >= 8:  # noqa: PLR2004 - eight bytes make a word
        word = np.uint64(0)
        for i in range(8):
            word |= np.uint64(data[position + i]) << np.uint64(8 * i)
        state = mix(state ^ word) + _M1
        position += 8
    word = np.uint64(0)
    shift = np.uint64(0)
    while position < end:
        word |= np.uint64(data[position]) << shift
        shift += np.uint64(8)
        position += 1
    return mix(state ^ word)


@njit(cache=True, nogil=True)
def hash_column(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int32] | NDArray[np.int64],
    seed: np.uint64,
    out: NDArray[np.uint64],
) -> None:
    """Hash of text i = data[offsets[i] : offsets[i + 1]] into out[i]."""
    for i in range(out.size):
        start = int(offsets[i])
        out[i] = hash_bytes(data, start, int(offsets[i + 1]) - start, seed)


@njit(cache=True, nogil=True, inline="always")
def stored_length(store: NDArray[np.uint8], at: int) -> int:
    """Length of the text stored at `at`."""
    return int(np.int64(store[at]) | (np.int64(store[at + 1]) << 8))


@njit(cache=True, nogil=True)
def store_text(
    store: NDArray[np.uint8],
    at: int,
    data: NDArray[np.uint8],
    start: int,
    length: int,
) -> int:
    """Write a text with its length at `at`; the place after it."""
    store[at] = np.uint8(length & 255)
    store[at + 1] = np.uint8(length >> 8)
    for i in range(length):
        store[at + 2 + i] = data[start + i]
    return at + 2 + length


@njit(cache=True, nogil=True)
def equals_stored(
    store: NDArray[np.uint8],
    at: int,
    data: NDArray[np.uint8],
    start: int,
    length: int,
) -> bool:
    """Whether the text stored at `at` is data[start : start + length], byte for byte."""
    if stored_length(store, at) != length:
        return False
    equal = 0
    while equal < length and store[at + 2 + equal] == data[start + equal]:
        equal += 1
    return equal == length


@njit(cache=True, nogil=True)
def hash_stored(store: NDArray[np.uint8], at: int, seed: np.uint64) -> np.uint64:
    """The hash of the text stored at `at`."""
    return hash_bytes(store, at + 2, stored_length(store, at), seed)
