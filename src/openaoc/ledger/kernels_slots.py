"""Hot loops over tables: slots of hash bits and numbers, and the accounts' names behind them.

Open addressing with 8-byte slots (32 bits of hash, 32 bits of number + 1; 0 is empty); a slot that
fits is confirmed on the full text. Every insertion can be undone in reverse order.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from openaoc.ledger.kernels_memory import soon, uncounted
from openaoc.ledger.kernels_text import equals_stored, hash_stored, mix, store_text

LOAD_MAX: Final = 0.75
AHEAD: Final = 64
"""Rows whose places in memory are asked for together before they are worked on one by one: the
waits for memory then overlap."""
LOW: Final = 0xFFFFFFFF
"""The bits of a slot that hold the number + 1."""
_M4: Final = np.uint64(0xD6E8FEB86659FD93)


class Names(NamedTuple):
    """Accounts by number: kind (bank << 16 | currency), place of the account's text, the texts."""

    kind: NDArray[np.uint32]
    offset: NDArray[np.uint32]
    text: NDArray[np.uint8]


@njit(cache=True, nogil=True, inline="always")
def home(tag: int, size: int) -> int:
    """The first slot to look at: the tag's share of the table, so that growth keeps the order."""
    return (tag * size) >> 32


@njit(cache=True, nogil=True, inline="always")
def tag_of(value: np.uint64) -> int:
    """The 32 bits of a hash that a slot keeps."""
    return int(np.int64(value >> np.uint64(32)))


@njit(cache=True, nogil=True)
def put_slot(slots: NDArray[np.int64], tag: int, number: int) -> int:
    """Enter a number under its tag without looking for an equal one; the slot taken."""
    size = slots.size
    slot = home(tag, size)
    while slots[slot] != 0:
        slot += 1
        if slot == size:
            slot = 0
    slots[slot] = (tag << 32) | (number + 1)
    return slot


@njit(cache=True, nogil=True)
def next_tagged(slots: NDArray[np.int64], tag: int, slot: int) -> int:
    """The next slot from `slot` on that carries the tag, -1 when an empty one comes first."""
    size = slots.size
    while True:
        value = slots[slot]
        if value == 0:
            return -1
        if (value >> 32) & LOW == tag:
            return slot
        slot += 1
        if slot == size:
            slot = 0


@njit(cache=True, nogil=True)
def move_slot(slots: NDArray[np.int64], tag: int, number: int, into: int) -> None:
    """Let the slot in which a number was entered under its tag lead to another number."""
    slot = next_tagged(slots, tag, home(tag, slots.size))
    while (slots[slot] & LOW) - 1 != number:
        slot = next_tagged(slots, tag, (slot + 1) % slots.size)
    slots[slot] = (tag << 32) | (into + 1)


@njit(cache=True, nogil=True)
def grow_slots(old: NDArray[np.int64], fresh: NDArray[np.int64]) -> None:
    """Enter everything of the old table into the larger, empty one.

    Which is written once before it is read: a page that is read first is given out twice.
    """
    fresh[:] = 0
    for k in range(old.size):
        if old[k] != 0:
            put_slot(fresh, (old[k] >> 32) & LOW, (old[k] & LOW) - 1)


@njit(cache=True, nogil=True, inline="always")
def account_tag(text_hash: np.uint64, kind: np.uint32) -> int:
    """The tag of an account's name."""
    return tag_of(mix(text_hash ^ (np.uint64(kind) + np.uint64(1)) * _M4))


@njit(cache=True, nogil=True)
def clear_slots(slots: NDArray[np.int64], undo: NDArray[np.int64]) -> None:
    """Undo insertions, the last first: the table is exactly what it was."""
    for k in range(undo.size - 1, -1, -1):
        slots[undo[k]] = 0


@njit(cache=True, nogil=True)
def find_account(
    slots: NDArray[np.int64],
    names: Names,
    kind: np.uint32,
    text_hash: np.uint64,
    data: NDArray[np.uint8],
    start: int,
    length: int,
) -> int:
    """The account's number, or -1."""
    tag = account_tag(text_hash, kind)
    slot = next_tagged(slots, tag, home(tag, slots.size))
    while slot >= 0:
        number = (slots[slot] & LOW) - 1
        if names.kind[number] == kind and equals_stored(
            names.text, int(np.int64(names.offset[number])), data, start, length
        ):
            return int(number)
        slot = next_tagged(slots, tag, (slot + 1) % slots.size)
    return -1


@njit(cache=True, nogil=True, inline="always")
def _fetch_accounts(
    slots: NDArray[np.int64], names: Names, tags: NDArray[np.int64], count: int
) -> None:
    """Ask for the slots that the tags lead to, then for kinds and places, then for the texts."""
    size = slots.size
    for j in range(count):
        soon(slots, home(tags[j], size))
    for j in range(count):
        number = (slots[home(tags[j], size)] & LOW) - 1
        soon(names.kind, number)
        soon(names.offset, number)
    for j in range(count):
        number = (slots[home(tags[j], size)] & LOW) - 1
        if number >= 0:
            soon(names.text, int(np.int64(names.offset[number])))


@njit(cache=True, nogil=True)
def intern_accounts(
    slots: NDArray[np.int64],
    names: Names,
    count: int,
    text_end: int,
    kinds: NDArray[np.uint32],
    hashes: NDArray[np.uint64],
    offsets: NDArray[np.int32],
    data: NDArray[np.uint8],
    absent: NDArray[np.bool_],
    out: NDArray[np.int32],
    undo: NDArray[np.int64],
) -> tuple[int, int]:
    """Number every account of a column, new ones from `count` on; (count, text_end) afterwards.

    `absent` rows get -1. undo[k] is the slot that account count + k took. Stops with row i at -2
    when there is no number left for it. The caller has seen to room in the table and the texts.
    """
    first, size, tags = count, slots.size, np.zeros(AHEAD, np.int64)
    names = uncounted(names)
    all_kinds, places, text = names.kind, names.offset, names.text
    for i in range(out.size):
        if i % AHEAD == 0:
            many = min(AHEAD, out.size - i)
            for j in range(many):
                tags[j] = account_tag(hashes[i + j], kinds[i + j])
            _fetch_accounts(slots, names, tags, many)
        if absent[i]:
            out[i] = -1
            continue
        kind, start = kinds[i], int(offsets[i])
        length = int(offsets[i + 1]) - start
        tag = tags[i % AHEAD]
        slot, found = home(tag, size), -1
        while slots[slot] != 0:
            if (slots[slot] >> 32) & LOW == tag:
                number = (slots[slot] & LOW) - 1
                if all_kinds[number] == kind and equals_stored(
                    text, int(np.int64(places[number])), data, start, length
                ):
                    found = number
                    break
            slot = slot + 1 if slot + 1 < size else 0
        if found < 0:
            if count == all_kinds.size:
                out[i] = -2
                return count, text_end
            found = count
            all_kinds[found] = kind
            places[found] = np.uint32(text_end)
            text_end = store_text(text, text_end, data, start, length)
            slots[slot] = (tag << 32) | (found + 1)
            undo[count - first] = slot
            count += 1
        out[i] = np.int32(found)
    return count, text_end


@njit(cache=True, nogil=True)
def rebuild_accounts(
    slots: NDArray[np.int64], names: Names, count: int, hash_seed: np.uint64
) -> None:
    """Enter all accounts into an empty table after a restart."""
    names = uncounted(names)
    tags, size = np.zeros(AHEAD, np.int64), slots.size
    for first in range(0, count, AHEAD):
        many = min(AHEAD, count - first)
        for j in range(many):
            at = int(np.int64(names.offset[first + j]))
            value = hash_stored(names.text, at, hash_seed)
            tags[j] = account_tag(value, names.kind[first + j])
            soon(slots, home(tags[j], size))
        for j in range(many):
            put_slot(slots, tags[j], first + j)


@njit(cache=True, nogil=True, inline="always")
def bank_of(names: Names, account: int) -> int:
    """The number of the account's bank."""
    return int(np.int64(names.kind[account] >> np.uint32(16)))
