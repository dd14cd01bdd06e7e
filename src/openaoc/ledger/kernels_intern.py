"""Hot loops over identities: account names and (reporter, transfer id) to numbers.

Open addressing tables of 8-byte slots (32 bits of hash, 32 bits of number + 1; 0 is empty); a
slot that fits is confirmed on the full text. Every insertion can be undone in reverse order.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from openaoc.ledger.arrays import EXIT, SELF
from openaoc.ledger.kernels_text import (
    equals_stored,
    hash_bytes,
    mix,
    store_text,
    stored_length,
)

BOTH: Final = 0x8000
"""Bit of a row's reporter: the other bank reported the same payment under the same id."""
REVISED: Final = 0x4000
"""Bit of a row's reporter: the row was corrected; what it said before is kept apart."""
REPORTER: Final = 0x3FFF
ROWS_PER_BLOCK: Final = 16
"""Text offsets are kept for every sixteenth row; the others are walked to."""
LOAD_MAX: Final = 0.75

NEW: Final = 0
REPEAT: Final = 1
SECOND: Final = 2
"""The same payment under the same id from the other bank."""
DIFFERS: Final = 3
"""Known under this id with other content: a conflict unless it repeats what was corrected since."""
OTHER_BANK: Final = 4
"""The other bank's row of this id was corrected since: the same payment if it once said so."""
CORRECTION: Final = 5

_LOW: Final = 0xFFFFFFFF
_M4: Final = np.uint64(0xD6E8FEB86659FD93)


class Names(NamedTuple):
    """Accounts by number: kind (bank << 16 | currency), place of the account's text, the texts."""

    kind: NDArray[np.uint32]
    offset: NDArray[np.uint32]
    text: NDArray[np.uint8]


class Incoming(NamedTuple):
    """A batch as numbers, per row; `named` is the named creditor's account or -1."""

    time_us: NDArray[np.int64]
    debtor: NDArray[np.int32]
    named: NDArray[np.int32]
    amount: NDArray[np.int64]
    channel: NDArray[np.uint8]
    reporter: NDArray[np.uint16]
    correction: NDArray[np.uint8]
    id_hash: NDArray[np.uint64]
    id_offset: NDArray[np.int32]
    id_data: NDArray[np.uint8]


class Facts(NamedTuple):
    """The hot ledger's facts per row, its texts of ids, and the named creditors of exits."""

    time_us: NDArray[np.int64]
    debtor: NDArray[np.int32]
    creditor: NDArray[np.int32]
    amount: NDArray[np.int64]
    flags: NDArray[np.uint8]
    channel: NDArray[np.uint8]
    out_start: NDArray[np.int64]
    in_start: NDArray[np.int64]
    reporter: NDArray[np.uint16]
    id_block: NDArray[np.int64]
    id_text: NDArray[np.uint8]
    exit_row: NDArray[np.int32]
    exit_creditor: NDArray[np.int32]


class Ends(NamedTuple):
    """Where the ledger ends: one more than the last used place of each growing array."""

    rows: int
    id_bytes: int
    exits: int


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
        if (value >> 32) & _LOW == tag:
            return slot
        slot += 1
        if slot == size:
            slot = 0


@njit(cache=True, nogil=True)
def grow_slots(old: NDArray[np.int64], fresh: NDArray[np.int64]) -> None:
    """Enter everything of the old table into the larger, empty one."""
    for k in range(old.size):
        if old[k] != 0:
            put_slot(fresh, (old[k] >> 32) & _LOW, (old[k] & _LOW) - 1)


@njit(cache=True, nogil=True, inline="always")
def account_tag(text_hash: np.uint64, kind: np.uint32) -> int:
    """The tag of an account's name."""
    return tag_of(mix(text_hash ^ (np.uint64(kind) + np.uint64(1)) * _M4))


@njit(cache=True, nogil=True, inline="always")
def id_tag(text_hash: np.uint64, reporter: int) -> int:
    """The tag of a (reporter, transfer id)."""
    return tag_of(mix(text_hash ^ (np.uint64(reporter) + np.uint64(1)) * _M4))


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
        number = (slots[slot] & _LOW) - 1
        if names.kind[number] == kind and equals_stored(
            names.text, int(np.int64(names.offset[number])), data, start, length
        ):
            return int(number)
        slot = next_tagged(slots, tag, (slot + 1) % slots.size)
    return -1


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
    first, size = count, slots.size
    # Arrays taken out of the tuple once: taken inside the loop, each costs a reference count.
    all_kinds, places, text = names.kind, names.offset, names.text
    for i in range(out.size):
        if absent[i]:
            out[i] = -1
            continue
        kind, start = kinds[i], int(offsets[i])
        length = int(offsets[i + 1]) - start
        tag = account_tag(hashes[i], kind)
        slot, found = home(tag, size), -1
        while slots[slot] != 0:
            if (slots[slot] >> 32) & _LOW == tag:
                number = (slots[slot] & _LOW) - 1
                if all_kinds[number] == kind and equals_stored(
                    text, int(np.int64(places[number])), data, start, length
                ):
                    found = number
                    break
            slot += 1
            if slot == size:
                slot = 0
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
def text_place(facts: Facts, row: int) -> int:
    """Where the row's transfer id is stored."""
    at = facts.id_block[row // ROWS_PER_BLOCK]
    for _ in range(row % ROWS_PER_BLOCK):
        at += 2 + stored_length(facts.id_text, at)
    return int(at)


@njit(cache=True, nogil=True)
def named_creditor(facts: Facts, exits: int, row: int) -> int:
    """The creditor that the row names, also of an exit; -1 where none is named."""
    if not facts.flags[row] & EXIT:
        return int(facts.creditor[row])
    low, high = 0, exits
    while low < high:
        middle = (low + high) >> 1
        if facts.exit_row[middle] < row:
            low = middle + 1
        else:
            high = middle
    if low < exits and facts.exit_row[low] == row:
        return int(facts.exit_creditor[low])
    return -1


@njit(cache=True, nogil=True, inline="always")
def bank_of(names: Names, account: int) -> int:
    """The number of the account's bank."""
    return int(np.int64(names.kind[account] >> np.uint32(16)))


@njit(cache=True, nogil=True)
def told_by(facts: Facts, names: Names, exits: int, row: int, who: int) -> bool:
    """Whether `who` reported the row: by itself, or as the other of its two banks."""
    own = int(np.int64(facts.reporter[row]))
    if (own & REPORTER) == who:
        return True
    if not own & BOTH:
        return False
    if bank_of(names, int(facts.debtor[row])) == who:
        return True
    creditor = named_creditor(facts, exits, row)
    return creditor >= 0 and bank_of(names, creditor) == who


@njit(cache=True, nogil=True)
def find_row(
    slots: NDArray[np.int64],
    facts: Facts,
    names: Names,
    ends: Ends,
    who: int,
    text_hash: np.uint64,
    data: NDArray[np.uint8],
    start: int,
    length: int,
) -> int:
    """The row that `who` reported under this id, or -1. Rows from ends.rows on are not seen."""
    tag = id_tag(text_hash, who)
    slot = next_tagged(slots, tag, home(tag, slots.size))
    while slot >= 0:
        row = (slots[slot] & _LOW) - 1
        if (
            row < ends.rows
            and told_by(facts, names, int(ends.exits), row, who)
            and equals_stored(facts.id_text, text_place(facts, row), data, start, length)
        ):
            return int(row)
        slot = next_tagged(slots, tag, (slot + 1) % slots.size)
    return -1


@njit(cache=True, nogil=True, inline="always")
def same_payment(facts: Facts, exits: int, row: int, batch: Incoming, i: int) -> bool:
    """Whether row and batch row i tell of one payment: parties, amount and so the currency."""
    if facts.amount[row] != batch.amount[i] or facts.debtor[row] != batch.debtor[i]:
        return False
    return named_creditor(facts, exits, row) == int(batch.named[i])


@njit(cache=True, nogil=True)
def merge_second(facts: Facts, names: Names, row: int, batch: Incoming, i: int) -> None:
    """Note that batch row i is the other bank's report of a row that is on no line yet.

    The debtor bank's statement and time stand; where its channel differs, nothing is done here.
    """
    own, who = facts.reporter[row], batch.reporter[i]
    if bank_of(names, int(batch.debtor[i])) != np.int64(who):
        facts.reporter[row] = own | np.uint16(BOTH)
    elif facts.channel[row] == batch.channel[i]:
        facts.reporter[row] = who | np.uint16(BOTH) | (own & np.uint16(REVISED))
        facts.time_us[row] = batch.time_us[i]


@njit(cache=True, nogil=True)
def _repeats(facts: Facts, exits: int, row: int, batch: Incoming, i: int, who: int) -> bool:
    """Whether batch row i says of the row what is known.

    Of the other bank's report, time and channel do not count.
    """
    if not same_payment(facts, exits, row, batch, i):
        return False
    if np.int64(facts.reporter[row]) & REPORTER != who:
        return True
    return bool(facts.time_us[row] == batch.time_us[i] and facts.channel[row] == batch.channel[i])


@njit(cache=True, nogil=True)
def _second(facts: Facts, exits: int, row: int, batch: Incoming, i: int) -> int:
    """What batch row i is beside the other bank's row of its id (-1: there is none)."""
    if row < 0:
        return NEW
    if same_payment(facts, exits, row, batch, i):
        return SECOND
    revised = np.int64(facts.reporter[row]) & REVISED
    return OTHER_BANK if revised else NEW


@njit(cache=True, nogil=True)
def _other_bank(names: Names, batch: Incoming, i: int, who: int) -> int:
    """The bank at the other end of batch row i, -1 unless its reporter is one of two banks."""
    if batch.named[i] < 0:
        return -1
    payer = bank_of(names, int(batch.debtor[i]))
    payee = bank_of(names, int(batch.named[i]))
    if payer == payee or who not in (payer, payee):
        return -1
    return payee if who == payer else payer


@njit(cache=True, nogil=True)
def _put_facts(facts: Facts, row: int, batch: Incoming, i: int, exits: int) -> int:
    """Write the facts of batch row i as a row on no line yet; the number of named exits after."""
    debtor, named = batch.debtor[i], batch.named[i]
    flags = np.uint8(0)
    if batch.channel[i] != 0 or named < 0:
        flags = np.uint8(EXIT)
        if named >= 0:
            facts.exit_row[exits] = np.int32(row)
            facts.exit_creditor[exits] = named
            exits += 1
    elif debtor == named:
        flags = np.uint8(SELF)
    facts.time_us[row], facts.amount[row] = batch.time_us[i], batch.amount[i]
    facts.debtor[row] = debtor
    facts.creditor[row] = np.int32(-1) if flags == EXIT else named
    facts.flags[row], facts.channel[row] = flags, batch.channel[i]
    facts.reporter[row] = batch.reporter[i]
    facts.out_start[row] = -1
    facts.in_start[row] = -1
    return exits


@njit(cache=True, nogil=True)
def stage_rows(
    slots: NDArray[np.int64],
    facts: Facts,
    names: Names,
    ends: Ends,
    batch: Incoming,
    codes: NDArray[np.uint8],
    matched: NDArray[np.int32],
    undo: NDArray[np.int64],
) -> tuple[int, int, int, int]:
    """Write the new rows of a batch behind the ledger's end; its ends and the slots taken, after.

    codes[i] says what batch row i is, matched[i] the row it became or met; undo lists the slots
    taken, in order. A SECOND gets a slot of its own; if its row is new in this batch and of the
    same channel, the row is merged here, else nothing else changes. The other codes change
    nothing. The caller has seen to room.
    """
    first, taken, size = int(ends.rows), 0, slots.size
    rows, text_end, exits = first, int(ends.id_bytes), int(ends.exits)
    # Arrays taken out of the tuples once: taken inside the loop, each costs a reference count.
    reporters, corrections, hashes = batch.reporter, batch.correction, batch.id_hash
    offsets, data = batch.id_offset, batch.id_data
    id_text, id_block = facts.id_text, facts.id_block
    for i in range(codes.size):
        matched[i] = -1
        codes[i] = CORRECTION
        if corrections[i]:
            continue
        who, begin = int(np.int64(reporters[i])), int(offsets[i])
        length = int(offsets[i + 1]) - begin
        tag = id_tag(hashes[i], who)
        if next_tagged(slots, tag, home(tag, size)) >= 0:
            now = Ends(rows, text_end, exits)
            found = find_row(slots, facts, names, now, who, hashes[i], data, begin, length)
            if found >= 0:
                matched[i] = np.int32(found)
                codes[i] = REPEAT if _repeats(facts, exits, found, batch, i, who) else DIFFERS
                continue
        other = _other_bank(names, batch, i, who)
        other_tag = id_tag(hashes[i], other)
        if other >= 0 and next_tagged(slots, other_tag, home(other_tag, size)) >= 0:
            now = Ends(rows, text_end, exits)
            found = find_row(slots, facts, names, now, other, hashes[i], data, begin, length)
            codes[i] = _second(facts, exits, found, batch, i)
            matched[i] = np.int32(found)
            if codes[i] == SECOND:
                undo[taken] = put_slot(slots, tag, found)
                taken += 1
                if found >= first:
                    merge_second(facts, names, found, batch, i)
            if codes[i] != NEW:
                continue
        exits = _put_facts(facts, rows, batch, i, exits)
        if rows % ROWS_PER_BLOCK == 0:
            id_block[rows // ROWS_PER_BLOCK] = text_end
        text_end = store_text(id_text, text_end, data, begin, length)
        undo[taken] = put_slot(slots, tag, rows)
        taken += 1
        matched[i], codes[i] = np.int32(rows), NEW
        rows += 1
    return rows, text_end, exits, taken


@njit(cache=True, nogil=True)
def clear_slots(slots: NDArray[np.int64], undo: NDArray[np.int64]) -> None:
    """Undo insertions, the last first: the table is exactly what it was."""
    for k in range(undo.size - 1, -1, -1):
        slots[undo[k]] = 0


@njit(cache=True, nogil=True)
def rebuild_accounts(
    slots: NDArray[np.int64], names: Names, count: int, hash_seed: np.uint64
) -> None:
    """Enter all accounts into an empty table after a restart."""
    from_text = names.text
    for number in range(count):
        at = int(np.int64(names.offset[number]))
        value = hash_stored(from_text, at, hash_seed)
        put_slot(slots, account_tag(value, names.kind[number]), int(number))


@njit(cache=True, nogil=True)
def hash_stored(store: NDArray[np.uint8], at: int, seed: np.uint64) -> np.uint64:
    """The hash of the text stored at `at`."""
    return hash_bytes(store, at + 2, stored_length(store, at), seed)


@njit(cache=True, nogil=True)
def rebuild_rows(
    slots: NDArray[np.int64], facts: Facts, names: Names, ends: Ends, seed: np.uint64
) -> None:
    """Enter all rows into an empty table after a restart, twice where both banks reported."""
    at, exits = 0, int(ends.exits)
    for row in range(ends.rows):
        if row % ROWS_PER_BLOCK == 0:
            at = facts.id_block[row // ROWS_PER_BLOCK]
        value = hash_stored(facts.id_text, at, seed)
        own = int(np.int64(facts.reporter[row]))
        put_slot(slots, id_tag(value, own & REPORTER), int(row))
        if own & BOTH:
            payer = bank_of(names, int(facts.debtor[row]))
            payee = bank_of(names, named_creditor(facts, exits, int(row)))
            other = payee if (own & REPORTER) == payer else payer
            put_slot(slots, id_tag(value, other), int(row))
        at += 2 + stored_length(facts.id_text, at)
