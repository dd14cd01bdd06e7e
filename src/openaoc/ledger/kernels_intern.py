"""Hot loops over identities: (reporter, transfer id) to rows, and what a batch row is beside them.

Numbers and texts in, numbers out; decides nothing that needs history.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from openaoc.ledger.arrays import EXIT, SELF
from openaoc.ledger.kernels_memory import soon, uncounted
from openaoc.ledger.kernels_slots import (
    AHEAD,
    LOW,
    Names,
    bank_of,
    home,
    next_tagged,
    put_slot,
    tag_of,
)
from openaoc.ledger.kernels_text import equals_stored, hash_stored, mix, store_text, stored_length

BOTH: Final = 0x8000
"""Bit of a row's reporter: the other bank reported the same payment under the same id."""
REVISED: Final = 0x4000
"""Bit of a row's reporter: the row was corrected; what it said before is kept apart."""
REPORTER: Final = 0x3FFF
JOINED: Final = 0x3FFF
"""Reporter of a row that turned out to be the other bank's report of an earlier row: nobody's."""
ROWS_PER_BLOCK: Final = 16
"""Text offsets are kept for every sixteenth row; the others are walked to."""

NEW: Final = 0
REPEAT: Final = 1
SECOND: Final = 2
"""The same payment under the same id from the other bank."""
DIFFERS: Final = 3
"""Known under this id with other content: a conflict unless it repeats what was corrected since."""
OTHER_BANK: Final = 4
"""New, but the other bank's row of this id was corrected: maybe the same payment as that."""
CORRECTION: Final = 5
AGAIN: Final = 6
"""Of the reporter and id of a SECOND further up in the batch, which the row met does not show."""

_M4: Final = np.uint64(0xD6E8FEB86659FD93)


class Incoming(NamedTuple):
    """A batch as numbers, per row; `named` is the named creditor or -1, payee its bank."""

    time_us: NDArray[np.int64]
    debtor: NDArray[np.int32]
    named: NDArray[np.int32]
    amount: NDArray[np.int64]
    channel: NDArray[np.uint8]
    reporter: NDArray[np.uint16]
    payer: NDArray[np.uint16]
    payee: NDArray[np.uint16]
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
def id_tag(text_hash: np.uint64, reporter: int) -> int:
    """The tag of a (reporter, transfer id)."""
    return tag_of(mix(text_hash ^ (np.uint64(reporter) + np.uint64(1)) * _M4))


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
        row = (slots[slot] & LOW) - 1
        if (
            row < ends.rows
            and told_by(facts, names, int(ends.exits), row, who)
            and equals_stored(facts.id_text, text_place(facts, row), data, start, length)
        ):
            return int(row)
        slot = next_tagged(slots, tag, (slot + 1) % slots.size)
    return -1


@njit(cache=True, nogil=True)
def _met_as_second(
    slots: NDArray[np.int64], facts: Facts, ends: Ends, tag: int, batch: Incoming, i: int
) -> int:
    """The row that the batch row's reporter told as the other bank further up, or -1.

    The row itself does not say so yet; its slot under the reporter's tag does, or its second slot
    where its own reporter happens to have the same tag.
    """
    begin = int(batch.id_offset[i])
    length = int(batch.id_offset[i + 1]) - begin
    slot = first = next_tagged(slots, tag, home(tag, slots.size))
    while slot >= 0:
        row = (slots[slot] & LOW) - 1
        own = int(np.int64(facts.reporter[row])) if row < ends.rows else BOTH
        if (
            not own & BOTH
            and own & REPORTER != JOINED
            and equals_stored(facts.id_text, text_place(facts, row), batch.id_data, begin, length)
        ):
            entered, other = 0, first
            while other >= 0:
                entered += (slots[other] & LOW) - 1 == row
                other = next_tagged(slots, tag, (other + 1) % slots.size)
            if entered > (id_tag(batch.id_hash[i], own & REPORTER) == tag):
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
def merge_second(facts: Facts, row: int, batch: Incoming, i: int) -> None:
    """Note that batch row i is the other bank's report of a row that is on no line yet.

    The debtor bank's statement and time stand; where its channel differs, nothing is done here.
    """
    own, who = facts.reporter[row], batch.reporter[i]
    if batch.payer[i] != who:
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
    revised = np.int64(facts.reporter[row]) & REVISED
    if not same_payment(facts, exits, row, batch, i):
        return OTHER_BANK if revised else NEW
    return OTHER_BANK if revised and batch.payer[i] == batch.reporter[i] else SECOND


@njit(cache=True, nogil=True)
def _other_bank(batch: Incoming, i: int) -> int:
    """The bank at the other end of batch row i, -1 unless its reporter is one of two banks."""
    who, payer, payee = batch.reporter[i], batch.payer[i], batch.payee[i]
    if batch.named[i] < 0 or payer == payee or (who not in (payer, payee)):
        return -1
    return int(np.int64(payee if who == payer else payer))


@njit(cache=True, nogil=True)
def _fetch_ids(
    slots: NDArray[np.int64],
    batch: Incoming,
    first: int,
    tags: NDArray[np.int64],
    others: NDArray[np.int64],
    count: int,
) -> None:
    """The tags of the next rows under both their banks (-1: one bank); their slots asked for."""
    size = slots.size
    for j in range(count):
        i = first + j
        other = _other_bank(batch, i)
        tags[j] = id_tag(batch.id_hash[i], int(np.int64(batch.reporter[i])))
        others[j] = id_tag(batch.id_hash[i], other) if other >= 0 else -1
        soon(slots, home(tags[j], size))
        if other >= 0:
            soon(slots, home(others[j], size))


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
def _meet(
    slots: NDArray[np.int64],
    facts: Facts,
    names: Names,
    now: Ends,
    tag: int,
    batch: Incoming,
    i: int,
) -> tuple[int, int]:
    """What batch row i is beside what its reporter, or else the other bank, told under its id.

    The code and the row met (-1: none). `tag` is the row's own.
    """
    who, value, data = int(np.int64(batch.reporter[i])), batch.id_hash[i], batch.id_data
    begin = int(batch.id_offset[i])
    length = int(batch.id_offset[i + 1]) - begin
    exits = int(now.exits)
    found = find_row(slots, facts, names, now, who, value, data, begin, length)
    if found >= 0:
        return (REPEAT if _repeats(facts, exits, found, batch, i, who) else DIFFERS), found
    found = _met_as_second(slots, facts, now, tag, batch, i)
    if found >= 0:
        return AGAIN, found
    other = _other_bank(batch, i)
    if other < 0:
        return NEW, -1
    found = find_row(slots, facts, names, now, other, value, data, begin, length)
    return _second(facts, exits, found, batch, i), found


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
    same channel, the row is merged here, else nothing else changes. An OTHER_BANK is written as a
    NEW one is; the other codes change nothing. The caller has seen to room.
    """
    first, taken, size = int(ends.rows), 0, slots.size
    rows, text_end, exits = first, int(ends.id_bytes), int(ends.exits)
    facts, names, batch = uncounted(facts), uncounted(names), uncounted(batch)
    corrections, offsets, data = batch.correction, batch.id_offset, batch.id_data
    id_text, id_block = facts.id_text, facts.id_block
    tags, others = np.zeros(AHEAD, np.int64), np.zeros(AHEAD, np.int64)
    for i in range(codes.size):
        if i % AHEAD == 0:
            many = min(AHEAD, codes.size - i)
            _fetch_ids(slots, batch, i, tags, others, many)
        matched[i] = -1
        codes[i] = CORRECTION
        if corrections[i]:
            continue
        begin = int(offsets[i])
        length = int(offsets[i + 1]) - begin
        tag, other = tags[i % AHEAD], others[i % AHEAD]
        if next_tagged(slots, tag, home(tag, size)) >= 0 or (
            other >= 0 and next_tagged(slots, other, home(other, size)) >= 0
        ):
            now = Ends(rows, text_end, exits)
            codes[i], found = _meet(slots, facts, names, now, tag, batch, i)
            matched[i] = np.int32(found)
            if codes[i] == SECOND:
                undo[taken] = put_slot(slots, tag, found)
                taken += 1
                if found >= first:
                    merge_second(facts, found, batch, i)
            if codes[i] != NEW and codes[i] != OTHER_BANK:
                continue
        else:
            codes[i] = NEW
        exits = _put_facts(facts, rows, batch, i, exits)
        if rows % ROWS_PER_BLOCK == 0:
            id_block[rows // ROWS_PER_BLOCK] = text_end
        text_end = store_text(id_text, text_end, data, begin, length)
        undo[taken] = put_slot(slots, tag, rows)
        taken += 1
        matched[i] = np.int32(rows)
        rows += 1
    return rows, text_end, exits, taken


@njit(cache=True, nogil=True)
def rebuild_rows(
    slots: NDArray[np.int64], facts: Facts, names: Names, ends: Ends, seed: np.uint64
) -> None:
    """Enter all rows into an empty table after a restart, twice where both banks reported."""
    facts, names = uncounted(facts), uncounted(names)
    exits, id_text, id_block = int(ends.exits), facts.id_text, facts.id_block
    hashes, reporters = np.zeros(ROWS_PER_BLOCK, np.uint64), facts.reporter
    for block in range((ends.rows + ROWS_PER_BLOCK - 1) // ROWS_PER_BLOCK):
        at, first = int(id_block[block]), block * ROWS_PER_BLOCK
        many = min(ROWS_PER_BLOCK, ends.rows - first)
        for j in range(many):
            hashes[j] = hash_stored(id_text, at, seed)
            who = int(np.int64(reporters[first + j])) & REPORTER
            soon(slots, home(id_tag(hashes[j], who), slots.size))
            at += 2 + stored_length(id_text, at)
        for j in range(many):
            row = first + j
            own = int(np.int64(reporters[row]))
            put_slot(slots, id_tag(hashes[j], own & REPORTER), row)
            if own & BOTH:
                payer = bank_of(names, int(facts.debtor[row]))
                payee = bank_of(names, named_creditor(facts, exits, row))
                other = payee if (own & REPORTER) == payer else payer
                put_slot(slots, id_tag(hashes[j], other), row)
