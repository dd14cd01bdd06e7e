"""Hot loops over names: hashing of text columns and comparison of bytes.

A hash only finds candidates; whoever uses it compares the full bytes. Numbers in, numbers out.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from openaoc.ledger.kernels_memory import load_word

WORD_BYTES: Final = 8
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
    while end - position >= WORD_BYTES:
        state = mix(state ^ load_word(data, position, WORD_BYTES)) + _M1
        position += WORD_BYTES
    return mix(state ^ load_word(data, position, end - position))


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
    """Length of the text stored at `at`: two bytes before it, the low one first."""
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
    done = 0
    while done < length:
        part = min(length - done, WORD_BYTES)
        if load_word(store, at + 2 + done, part) != load_word(data, start + done, part):
            return False
        done += part
    return True


@njit(cache=True, nogil=True)
def hash_stored(store: NDArray[np.uint8], at: int, seed: np.uint64) -> np.uint64:
    """The hash of the text stored at `at`."""
    return hash_bytes(store, at + 2, stored_length(store, at), seed)


CODED_MAX: Final = 64
"""So many different values at most are numbered by `code_column`."""
_TABLE: Final = 256
_CODED_BYTES_MAX: Final = 16


@njit(cache=True, nogil=True)
def code_column(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int32],
    codes: NDArray[np.int8],
    first: NDArray[np.int64],
) -> int:
    """Number the different short texts of a column in the order of their first rows.

    codes[i] for text i, -1 for an empty one; first[c] is the first row of code c (room for
    CODED_MAX). Returns how many codes there are; -1 for more than CODED_MAX or a text longer than
    16 bytes, then nothing is said.
    """
    slots = np.full(_TABLE, -1, np.int64)
    low, high = np.zeros(CODED_MAX, np.uint64), np.zeros(CODED_MAX, np.uint64)
    count = 0
    for i in range(codes.size):
        start = int(offsets[i])
        length = int(offsets[i + 1]) - start
        if length == 0:
            codes[i] = -1
            continue
        if length > _CODED_BYTES_MAX:
            return -1
        one = load_word(data, start, min(length, WORD_BYTES))
        other = load_word(data, start + WORD_BYTES, max(length - WORD_BYTES, 0))
        slot = int(np.int64(((one ^ (other * _M3)) * _M1) >> np.uint64(56)))
        # Texts hold no NUL, so words of one value are texts of one length.
        while slots[slot] >= 0 and (low[slots[slot]] != one or high[slots[slot]] != other):
            slot = (slot + 1) & (_TABLE - 1)
        if slots[slot] < 0:
            if count == CODED_MAX:
                return -1
            slots[slot] = count
            low[count], high[count], first[count] = one, other, i
            count += 1
        codes[i] = slots[slot]
    return count
