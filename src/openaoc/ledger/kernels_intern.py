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

_LOW: Final = np.int64(0xFFFFFFFF)
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
    id_offset: NDArray[np.int64]
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
def home(tag: np.int64, size: np.int64) -> np.int64:
    """The first slot to look at: the tag's share of the table, so that growth keeps the order."""
    return (tag * size) >> np.int64(32)


@njit(cache=True, nogil=True, inline="always")
def tag_of(value: np.uint64) -> np.int64:
    """The 32 bits of a hash that a slot keeps."""
    return np.int64(value >> np.uint64(32))


@njit(cache=True, nogil=True)
def put_slot(slots: NDArray[np.int64], tag: np.int64, number: np.int64) -> np.int64:
    """Enter a number under its tag without looking for an equal one; the slot taken."""
    size = slots.size
    slot = home(tag, size)
    while slots[slot] != 0:
        slot += 1
        if slot == size:
            slot = 0
    slots[slot] = (tag << np.int64(32)) | (number + 1)
    return slot


@njit(cache=True, nogil=True)
def grow_slots(old: NDArray[np.int64], fresh: NDArray[np.int64]) -> None:
    """Enter everything of the old table into the larger, empty one."""
    for k in range(old.size):
        if old[k] != 0:
            put_slot(fresh, (old[k] >> np.int64(32)) & _LOW, (old[k] & _LOW) - 1)


@njit(cache=True, nogil=True, inline="always")
def account_tag(text_hash: np.uint64, kind: np.uint32) -> np.int64:
    """The tag of an account's name."""
    return tag_of(mix(text_hash ^ (np.uint64(kind) + np.uint64(1)) * _M4))


@njit(cache=True, nogil=True, inline="always")
def id_tag(text_hash: np.uint64, reporter: np.int64) -> np.int64:
    """The tag of a (reporter, transfer id)."""
    return tag_of(mix(text_hash ^ (np.uint64(reporter) + np.uint64(1)) * _M4))


@njit(cache=True, nogil=True)
def find_account(
    slots: NDArray[np.int64],
    names: Names,
    kind: np.uint32,
    text_hash: np.uint64,
    data: NDArray[np.uint8],
    start: np.int64,
    length: np.int64,
) -> np.int64:
    """The account's number, or -1."""
    tag, size = account_tag(text_hash, kind), slots.size
    slot = home(tag, size)
    while slots[slot] != 0:
        if (slots[slot] >> np.int64(32)) & _LOW == tag:
            number = (slots[slot] & _LOW) - 1
            if names.kind[number] == kind and equals_stored(
                names.text, np.int64(names.offset[number]), data, start, length
            ):
                return number
        slot += 1
        if slot == size:
            slot = 0
    return np.int64(-1)


@njit(cache=True, nogil=True)
def intern_accounts(
    slots: NDArray[np.int64],
    names: Names,
    count: np.int64,
    text_end: np.int64,
    kinds: NDArray[np.uint32],
    hashes: NDArray[np.uint64],
    offsets: NDArray[np.int64],
    data: NDArray[np.uint8],
    absent: NDArray[np.bool_],
    out: NDArray[np.int32],
    undo: NDArray[np.int64],
) -> tuple[np.int64, np.int64]:
    """Number every account of a column, new ones from `count` on; (count, text_end) afterwards.

    `absent` rows get -1. undo[k] is the slot that account count + k took. Stops with row i at -2
    when there is no number left for it. The caller has seen to room in the table and the texts.
    """
    first, size = count, slots.size
    for i in range(out.size):
        if absent[i]:
            out[i] = -1
            continue
        kind, start = kinds[i], np.int64(offsets[i])
        length = np.int64(offsets[i + 1]) - start
        tag = account_tag(hashes[i], kind)
        slot, found = home(tag, size), np.int64(-1)
        while slots[slot] != 0:
            if (slots[slot] >> np.int64(32)) & _LOW == tag:
                number = (slots[slot] & _LOW) - 1
                if names.kind[number] == kind and equals_stored(
                    names.text, np.int64(names.offset[number]), data, start, length
                ):
                    found = number
                    break
            slot += 1
            if slot == size:
                slot = 0
        if found < 0:
            if count == names.kind.size:
                out[i] = -2
                return count, text_end
            found = count
            names.kind[found] = kind
            names.offset[found] = np.uint32(text_end)
            text_end = store_text(names.text, text_end, data, start, length)
            slots[slot] = (tag << np.int64(32)) | (found + 1)
            undo[count - first] = slot
            count += 1
        out[i] = np.int32(found)
    return count, text_end


@njit(cache=True, nogil=True)
def text_place(facts: Facts, row: np.int64) -> np.int64:
    """Where the row's transfer id is stored."""
    at = facts.id_block[row // ROWS_PER_BLOCK]
    for _ in range(row % ROWS_PER_BLOCK):
        at += 2 + stored_length(facts.id_text, at)
    return at


@njit(cache=True, nogil=True)
def named_creditor(facts: Facts, exits: np.int64, row: np.int64) -> np.int64:
    """The creditor that the row names, also of an exit; -1 where none is named."""
    if not facts.flags[row] & EXIT:
        return np.int64(facts.creditor[row])
    low, high = np.int64(0), exits
    while low < high:
        middle = (low + high) >> 1
        if facts.exit_row[middle] < row:
            low = middle + 1
        else:
            high = middle
    if low < exits and facts.exit_row[low] == row:
        return np.int64(facts.exit_creditor[low])
    return np.int64(-1)


@njit(cache=True, nogil=True, inline="always")
def bank_of(names: Names, account: np.int64) -> np.int64:
    """The number of the account's bank."""
    return np.int64(names.kind[account] >> np.uint32(16))


@njit(cache=True, nogil=True)
def told_by(facts: Facts, names: Names, exits: np.int64, row: np.int64, who: np.int64) -> bool:
    """Whether `who` reported the row: by itself, or as the other of its two banks."""
    own = np.int64(facts.reporter[row])
    if (own & REPORTER) == who:
        return True
    if not own & BOTH:
        return False
    if bank_of(names, np.int64(facts.debtor[row])) == who:
        return True
    creditor = named_creditor(facts, exits, row)
    return creditor >= 0 and bank_of(names, creditor) == who


@njit(cache=True, nogil=True)
def find_row(
    slots: NDArray[np.int64],
    facts: Facts,
    names: Names,
    ends: Ends,
    who: np.int64,
    text_hash: np.uint64,
    data: NDArray[np.uint8],
    start: np.int64,
    length: np.int64,
) -> np.int64:
    """The row that `who` reported under this id, or -1. Rows from ends.rows on are not seen."""
    tag, size = id_tag(text_hash, who), slots.size
    slot = home(tag, size)
    while slots[slot] != 0:
        if (slots[slot] >> np.int64(32)) & _LOW == tag:
            row = (slots[slot] & _LOW) - 1
            if (
                row < ends.rows
                and told_by(facts, names, np.int64(ends.exits), row, who)
                and equals_stored(facts.id_text, text_place(facts, row), data, start, length)
            ):
                return row
        slot += 1
        if slot == size:
            slot = 0
    return np.int64(-1)


@njit(cache=True, nogil=True, inline="always")
def same_payment(
    facts: Facts, exits: np.int64, row: np.int64, batch: Incoming, i: np.int64
) -> bool:
    """Whether row and batch row i tell of one payment: all but the time is equal."""
    return (
        facts.amount[row] == batch.amount[i]
        and facts.debtor[row] == batch.debtor[i]
        and facts.channel[row] == batch.channel[i]
        and named_creditor(facts, exits, row) == batch.named[i]
    )


@njit(cache=True, nogil=True)
def write_row(
    facts: Facts, row: np.int64, batch: Incoming, i: np.int64, exits: np.int64
) -> np.int64:
    """Write the facts of batch row i as a row on no line yet; the number of named exits after."""
    debtor, named = batch.debtor[i], batch.named[i]
    flags = np.uint8(0)
    if batch.channel[i] != 0 or named < 0:
        flags = np.uint8(EXIT)
    elif debtor == named:
        flags = np.uint8(SELF)
    facts.time_us[row] = batch.time_us[i]
    facts.debtor[row] = debtor
    facts.creditor[row] = np.int32(-1) if flags == EXIT else named
    facts.amount[row] = batch.amount[i]
    facts.flags[row] = flags
    facts.channel[row] = batch.channel[i]
    facts.out_start[row] = -1
    facts.in_start[row] = -1
    facts.reporter[row] = batch.reporter[i]
    if flags == EXIT and named >= 0:
        facts.exit_row[exits] = np.int32(row)
        facts.exit_creditor[exits] = named
        return exits + 1
    return exits


@njit(cache=True, nogil=True)
def merge_second(
    facts: Facts, row: np.int64, by_payer: bool, reporter: np.uint16, time_us: np.int64
) -> None:
    """Note that both banks reported the row; the debtor bank's statement and time stand.

    Only for a row that is on no line yet, or whose time does not change.
    """
    own = facts.reporter[row]
    facts.reporter[row] = own | np.uint16(BOTH)
    if by_payer:
        facts.reporter[row] = reporter | np.uint16(BOTH) | (own & np.uint16(REVISED))
        facts.time_us[row] = time_us


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
) -> tuple[np.int64, np.int64, np.int64, np.int64]:
    """Write the new rows of a batch behind the ledger's end; (rows, id_bytes, exits, slots taken)
    afterwards.

    codes[i] says what batch row i is, matched[i] the row it became or met; undo lists the slots
    taken, in order. A SECOND gets a slot of its own; if its row is new in this batch, the row is
    merged here, else nothing else changes. The other codes change nothing. The caller has seen
    to room.
    """
    rows, text_end, exits = np.int64(ends.rows), np.int64(ends.id_bytes), np.int64(ends.exits)
    taken = np.int64(0)
    for i in range(codes.size):
        matched[i] = -1
        if batch.correction[i]:
            codes[i] = CORRECTION
            continue
        who = np.int64(batch.reporter[i])
        start = batch.id_offset[i]
        length = batch.id_offset[i + 1] - start
        now = Ends(rows, text_end, exits)
        found = find_row(
            slots, facts, names, now, who, batch.id_hash[i], batch.id_data, start, length
        )
        if found >= 0:
            matched[i] = np.int32(found)
            exact = same_payment(facts, exits, found, batch, np.int64(i)) and (
                facts.time_us[found] == batch.time_us[i]
                or (np.int64(facts.reporter[found]) & REPORTER) != who
            )
            codes[i] = REPEAT if exact else DIFFERS
            continue
        payer = bank_of(names, np.int64(batch.debtor[i]))
        payee = np.int64(-1)
        if batch.named[i] >= 0:
            payee = bank_of(names, np.int64(batch.named[i]))
        other = payee if who == payer else payer
        if payee >= 0 and payer != payee and who in (payer, payee):
            found = find_row(
                slots, facts, names, now, other, batch.id_hash[i], batch.id_data, start, length
            )
            if found >= 0:
                matched[i] = np.int32(found)
                if same_payment(facts, exits, found, batch, np.int64(i)):
                    codes[i] = SECOND
                    undo[taken] = put_slot(slots, id_tag(batch.id_hash[i], who), found)
                    taken += 1
                    if found >= ends.rows:
                        merge_second(
                            facts, found, who == payer, batch.reporter[i], batch.time_us[i]
                        )
                    continue
                if np.int64(facts.reporter[found]) & REVISED:
                    codes[i] = OTHER_BANK
                    continue
        exits = write_row(facts, rows, batch, np.int64(i), exits)
        if rows % ROWS_PER_BLOCK == 0:
            facts.id_block[rows // ROWS_PER_BLOCK] = text_end
        text_end = store_text(facts.id_text, text_end, batch.id_data, start, length)
        undo[taken] = put_slot(slots, id_tag(batch.id_hash[i], who), rows)
        taken += 1
        matched[i] = np.int32(rows)
        codes[i] = NEW
        rows += 1
    return rows, text_end, exits, taken


@njit(cache=True, nogil=True)
def clear_slots(slots: NDArray[np.int64], undo: NDArray[np.int64]) -> None:
    """Undo insertions, the last first: the table is exactly what it was."""
    for k in range(undo.size - 1, -1, -1):
        slots[undo[k]] = 0


@njit(cache=True, nogil=True)
def rebuild_accounts(
    slots: NDArray[np.int64], names: Names, count: np.int64, hash_seed: np.uint64
) -> None:
    """Enter all accounts into an empty table after a restart."""
    from_text = names.text
    for number in range(count):
        at = np.int64(names.offset[number])
        value = hash_stored(from_text, at, hash_seed)
        put_slot(slots, account_tag(value, names.kind[number]), np.int64(number))


@njit(cache=True, nogil=True)
def hash_stored(store: NDArray[np.uint8], at: np.int64, seed: np.uint64) -> np.uint64:
    """The hash of the text stored at `at`."""
    return hash_bytes(store, at + 2, stored_length(store, at), seed)


@njit(cache=True, nogil=True)
def rebuild_rows(
    slots: NDArray[np.int64], facts: Facts, names: Names, ends: Ends, seed: np.uint64
) -> None:
    """Enter all rows into an empty table after a restart, twice where both banks reported."""
    at, exits = np.int64(0), np.int64(ends.exits)
    for row in range(ends.rows):
        if row % ROWS_PER_BLOCK == 0:
            at = facts.id_block[row // ROWS_PER_BLOCK]
        value = hash_stored(facts.id_text, at, seed)
        own = np.int64(facts.reporter[row])
        put_slot(slots, id_tag(value, own & REPORTER), np.int64(row))
        if own & BOTH:
            payer = bank_of(names, np.int64(facts.debtor[row]))
            payee = bank_of(names, named_creditor(facts, exits, np.int64(row)))
            other = payee if (own & REPORTER) == payer else payer
            put_slot(slots, id_tag(value, other), np.int64(row))
        at += 2 + stored_length(facts.id_text, at)
