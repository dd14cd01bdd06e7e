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
def next_tagged(slots: NDArray[np.int64], tag: np.int64, slot: np.int64) -> np.int64:
    """The next slot from `slot` on that carries the tag, -1 when an empty one comes first."""
    size = slots.size
    while True:
        value = slots[slot]
        if value == 0:
            return np.int64(-1)
        if (value >> np.int64(32)) & _LOW == tag:
            return slot
        slot += 1
        if slot == size:
            slot = 0


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
    tag = account_tag(text_hash, kind)
    slot = next_tagged(slots, tag, home(tag, slots.size))
    while slot >= 0:
        number = (slots[slot] & _LOW) - 1
        if names.kind[number] == kind and equals_stored(
            names.text, np.int64(names.offset[number]), data, start, length
        ):
            return number
        slot = next_tagged(slots, tag, (slot + 1) % slots.size)
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
    # Arrays taken out of the tuple once: taken inside the loop, each costs a reference count.
    all_kinds, places, text = names.kind, names.offset, names.text
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
                if all_kinds[number] == kind and equals_stored(
                    text, np.int64(places[number]), data, start, length
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
    tag = id_tag(text_hash, who)
    slot = next_tagged(slots, tag, home(tag, slots.size))
    while slot >= 0:
        row = (slots[slot] & _LOW) - 1
        if (
            row < ends.rows
            and told_by(facts, names, np.int64(ends.exits), row, who)
            and equals_stored(facts.id_text, text_place(facts, row), data, start, length)
        ):
            return row
        slot = next_tagged(slots, tag, (slot + 1) % slots.size)
    return np.int64(-1)


@njit(cache=True, nogil=True, inline="always")
def same_payment(
    facts: Facts, exits: np.int64, row: np.int64, batch: Incoming, i: np.int64
) -> bool:
    """Whether row and batch row i tell of one payment: parties, amount and so the currency."""
    return (
        facts.amount[row] == batch.amount[i]
        and facts.debtor[row] == batch.debtor[i]
        and named_creditor(facts, exits, row) == batch.named[i]
    )


@njit(cache=True, nogil=True)
def merge_second(
    facts: Facts, row: np.int64, by_payer: bool, reporter: np.uint16, time_us: np.int64
) -> None:
    """Note that both banks reported the row; the debtor bank's statement and time stand.

    Only for a row of the same channel that is on no line yet, or whose time does not change.
    """
    own = facts.reporter[row]
    facts.reporter[row] = own | np.uint16(BOTH)
    if by_payer:
        facts.reporter[row] = reporter | np.uint16(BOTH) | (own & np.uint16(REVISED))
        facts.time_us[row] = time_us


@njit(cache=True, nogil=True)
def _repeats(
    facts: Facts, exits: np.int64, row: np.int64, batch: Incoming, i: np.int64, who: np.int64
) -> bool:
    """Whether batch row i says of the row what is known.

    Of the other bank's report, time and channel do not count.
    """
    if not same_payment(facts, exits, row, batch, i):
        return False
    if np.int64(facts.reporter[row]) & REPORTER != who:
        return True
    return facts.time_us[row] == batch.time_us[i] and facts.channel[row] == batch.channel[i]


@njit(cache=True, nogil=True)
def _second(
    facts: Facts, exits: np.int64, row: np.int64, batch: Incoming, i: np.int64
) -> np.int64:
    """What batch row i is beside the other bank's row of its id (-1: there is none)."""
    if row < 0:
        return np.int64(NEW)
    if same_payment(facts, exits, row, batch, i):
        return np.int64(SECOND)
    revised = np.int64(facts.reporter[row]) & REVISED
    return np.int64(OTHER_BANK) if revised else np.int64(NEW)


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
    taken, in order. A SECOND gets a slot of its own; if its row is new in this batch and of the
    same channel, the row is merged here, else nothing else changes. The other codes change nothing. The caller has seen
    to room.
    """
    first = np.int64(ends.rows)
    rows, text_end, exits = first, np.int64(ends.id_bytes), np.int64(ends.exits)
    taken, size = np.int64(0), slots.size
    # Arrays taken out of the tuples once: taken inside the loop, each costs a reference count.
    debtors, named, reporters = batch.debtor, batch.named, batch.reporter
    corrections, hashes, offsets, data = (
        batch.correction, batch.id_hash, batch.id_offset, batch.id_data,
    )  # fmt: skip
    kinds, id_text, id_block = names.kind, facts.id_text, facts.id_block
    times, amounts, channels = batch.time_us, batch.amount, batch.channel
    to_time, to_debtor, to_creditor = facts.time_us, facts.debtor, facts.creditor
    to_amount, to_flags, to_channel = facts.amount, facts.flags, facts.channel
    to_out, to_in, to_reporter = facts.out_start, facts.in_start, facts.reporter
    for i in range(codes.size):
        matched[i] = -1
        if corrections[i]:
            codes[i] = CORRECTION
            continue
        who, begin = np.int64(reporters[i]), np.int64(offsets[i])
        length = np.int64(offsets[i + 1]) - begin
        tag = id_tag(hashes[i], who)
        if next_tagged(slots, tag, home(tag, size)) >= 0:
            now = Ends(rows, text_end, exits)
            found = find_row(slots, facts, names, now, who, hashes[i], data, begin, length)
            if found >= 0:
                matched[i] = np.int32(found)
                codes[i] = REPEAT if _repeats(facts, exits, found, batch, i, who) else DIFFERS
                continue
        payer = np.int64(kinds[debtors[i]] >> np.uint32(16))
        payee = np.int64(kinds[named[i]] >> np.uint32(16)) if named[i] >= 0 else np.int64(-1)
        if payee >= 0 and payer != payee and (who in (payer, payee)):
            other = payee if who == payer else payer
            other_tag = id_tag(hashes[i], other)
            if next_tagged(slots, other_tag, home(other_tag, size)) >= 0:
                now = Ends(rows, text_end, exits)
                found = find_row(slots, facts, names, now, other, hashes[i], data, begin, length)
                code = _second(facts, exits, found, batch, i)
                if code != NEW:
                    matched[i] = np.int32(found)
                    codes[i] = code
                    if code == SECOND:
                        undo[taken] = put_slot(slots, tag, found)
                        taken += 1
                        if found >= first and (who != payer or to_channel[found] == channels[i]):
                            merge_second(facts, found, who == payer, reporters[i], times[i])
                    continue
        flags = np.uint8(0)
        if channels[i] != 0 or payee < 0:
            flags = np.uint8(EXIT)
            if payee >= 0:
                facts.exit_row[exits] = np.int32(rows)
                facts.exit_creditor[exits] = named[i]
                exits += 1
        elif debtors[i] == named[i]:
            flags = np.uint8(SELF)
        to_time[rows], to_amount[rows] = times[i], amounts[i]
        to_debtor[rows] = debtors[i]
        to_creditor[rows] = np.int32(-1) if flags == EXIT else named[i]
        to_flags[rows], to_channel[rows], to_reporter[rows] = flags, channels[i], reporters[i]
        to_out[rows] = -1
        to_in[rows] = -1
        if rows % ROWS_PER_BLOCK == 0:
            id_block[rows // ROWS_PER_BLOCK] = text_end
        text_end = store_text(id_text, text_end, data, begin, length)
        undo[taken] = put_slot(slots, tag, rows)
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
