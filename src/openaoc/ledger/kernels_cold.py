"""Hot loops between hot arrays and cold days: what leaves, what stays, and where lines then begin.

Numbers in, numbers out. They hold no locks: the caller keeps the writer off.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from openaoc.ledger.arrays import EXIT, SELF
from openaoc.ledger.kernels_intern import ROWS_PER_BLOCK, Facts, text_place
from openaoc.ledger.kernels_lines import IN_END, OUT_END, Lines, class_rows, place, size_class
from openaoc.ledger.kernels_memory import uncounted
from openaoc.ledger.kernels_text import mix, store_text, stored_length

FILTER_WORDS: Final = 8
"""64-bit words of a block of the filter: one line of the processor's cache."""
FILTER_BITS: Final = 6
"""Bits that one name sets in its block."""


@njit(cache=True, nogil=True)
def mix_pairs(left: NDArray[np.uint64], right: NDArray[np.uint64], out: NDArray[np.uint64]) -> None:
    """One hash of each two."""
    for i in range(out.size):
        out[i] = mix(left[i] ^ right[i])


@njit(cache=True, nogil=True)
def filter_add(blocks: NDArray[np.uint64], keys: NDArray[np.uint64]) -> None:
    """Note the keys in a filter of `blocks.size / FILTER_WORDS` blocks."""
    count = blocks.size // FILTER_WORDS
    for i in range(keys.size):
        key = keys[i]
        start = int(((np.int64(key >> np.uint64(32))) * count) >> 32) * FILTER_WORDS
        bits = mix(key)
        for _ in range(FILTER_BITS):
            bit = int(np.int64(bits & np.uint64(511)))
            blocks[start + (bit >> 6)] |= np.uint64(1) << np.uint64(bit & 63)
            bits >>= np.uint64(9)


@njit(cache=True, nogil=True)
def filter_ask(blocks: NDArray[np.uint64], keys: NDArray[np.uint64], out: NDArray[np.bool_]) -> int:
    """Whether each key may have been noted (no: certainly not); how many may."""
    count, total = blocks.size // FILTER_WORDS, 0
    for i in range(keys.size):
        key = keys[i]
        start = int(((np.int64(key >> np.uint64(32))) * count) >> 32) * FILTER_WORDS
        bits, known = mix(key), True
        for _ in range(FILTER_BITS):
            bit = int(np.int64(bits & np.uint64(511)))
            if not (blocks[start + (bit >> 6)] >> np.uint64(bit & 63)) & np.uint64(1):
                known = False
                break
            bits >>= np.uint64(9)
        out[i] = known
        total += known
    return total


@njit(cache=True, nogil=True)
def text_lengths(facts: Facts, rows: NDArray[np.int32], out: NDArray[np.int64]) -> None:
    """The lengths of the rows' transfer ids into out[1:], summed up."""
    total = 0
    for i in range(rows.size):
        total += stored_length(facts.id_text, text_place(facts, int(rows[i])))
        out[i + 1] = total


@njit(cache=True, nogil=True)
def copy_texts(
    facts: Facts, rows: NDArray[np.int32], offsets: NDArray[np.int64], data: NDArray[np.uint8]
) -> None:
    """The rows' transfer ids one behind the other, as text_lengths says."""
    for i in range(rows.size):
        at = text_place(facts, int(rows[i])) + 2
        for k in range(offsets[i + 1] - offsets[i]):
            data[offsets[i] + k] = facts.id_text[at + k]


@njit(cache=True, nogil=True)
def move_texts(
    facts: Facts,
    rows: NDArray[np.int32],
    texts: NDArray[np.uint8],
    blocks: NDArray[np.int64],
) -> int:
    """Store the rows' ids anew, in this order, with the places of blocks; where they end."""
    end = 0
    for i in range(rows.size):
        at = text_place(facts, int(rows[i]))
        if i % ROWS_PER_BLOCK == 0:
            blocks[i // ROWS_PER_BLOCK] = end
        end = store_text(texts, end, facts.id_text, at + 2, stored_length(facts.id_text, at))
    return end


@njit(cache=True, nogil=True)
def balances(
    debtor: NDArray[np.int64],
    creditor: NDArray[np.int64],
    amount: NDArray[np.int64],
    flags: NDArray[np.uint8],
    known: NDArray[np.int64],
    bare: NDArray[np.int64],
) -> None:
    """Carry balances over these rows, which stand in ledger order; known and without openings.

    debtor and creditor are places in both arrays, -1 for accounts that nobody asks about.
    """
    for i in range(amount.size):
        if flags[i] & SELF:
            continue
        if debtor[i] >= 0:
            known[debtor[i]] = max(known[debtor[i]] - amount[i], 0)
            bare[debtor[i]] = max(bare[debtor[i]] - amount[i], 0)
        if creditor[i] >= 0 and not flags[i] & EXIT:
            known[creditor[i]] += amount[i]
            bare[creditor[i]] += amount[i]


@njit(cache=True, nogil=True)
def line_ends(
    account: int,
    debtor: NDArray[np.int32],
    creditor: NDArray[np.int32],
    amount: NDArray[np.int64],
    flags: NDArray[np.uint8],
    begin: tuple[int, int, int],
) -> tuple[int, int, int]:
    """Where an account's line ends after these rows, which stand in ledger order: (in, out, bare).

    `begin` is the same before them; bare is the balance that is known without an opening.
    """
    in_end, out_end, bare = begin
    for i in range(amount.size):
        if flags[i] & SELF:
            continue
        if debtor[i] == account:
            out_end += amount[i]
            bare = max(bare - amount[i], 0)
        elif creditor[i] == account and not flags[i] & EXIT:
            in_end = max(in_end, out_end) + amount[i]
            bare += amount[i]
    return in_end, out_end, bare


@njit(cache=True, nogil=True)
def cut_lines(
    lines: Lines,
    accounts: int,
    cut_us: int,
    opened_minor: NDArray[np.int64],
    base_in: NDArray[np.int64],
    base_out: NDArray[np.int64],
    bare: NDArray[np.int64],
    unseen: NDArray[np.int64],
    stays_out: NDArray[np.int32],
    stays_in: NDArray[np.int32],
) -> None:
    """For each account: where its line stands at the cut, and how many of its rows leave.

    Fills the bases; `bare` and `unseen` come with what they are before. stays_out and stays_in are
    the places in its two lists of the first row that stays.
    """
    lines = uncounted(lines)
    rows_out, rows_in, time_us = lines.out_rows, lines.in_rows, lines.time_us
    for account in range(accounts):
        outs, ins = int(lines.out_len[account]), int(lines.in_len[account])
        out_off, in_off = lines.out_off[account], lines.in_off[account]
        o = place(rows_out, time_us, out_off, outs, cut_us, -1)
        i = place(rows_in, time_us, in_off, ins, cut_us, -1)
        stays_out[account], stays_in[account] = o, i
        base_in[account], base_out[account] = lines.base_in[account], lines.base_out[account]
        if o:
            last = rows_out[out_off + o - 1]
            base_out[account] = lines.out_starts[out_off + o - 1] + lines.amount[last]
        if i:
            last = rows_in[in_off + i - 1]
            base_in[account] = lines.in_start[last] + lines.amount[last]
        unseen[account] += o + i
        if not opened_minor[account]:
            bare[account] = max(base_in[account] - base_out[account], 0)
            continue
        known, a, b = bare[account], 0, 0
        while a < o or b < i:
            out_next = b >= i
            if a < o and b < i:
                one, other = rows_out[out_off + a], rows_in[in_off + b]
                early, late = time_us[one], time_us[other]
                out_next = early < late or (early == late and one < other)
            if out_next:
                known = max(known - lines.amount[rows_out[out_off + a]], 0)
                a += 1
            else:
                known += lines.amount[rows_in[in_off + b]]
                b += 1
        bare[account] = known


@njit(cache=True, nogil=True)
def move_lists(
    old: Lines,
    new: Lines,
    accounts: int,
    moved: NDArray[np.int32],
    stays_out: NDArray[np.int32],
    stays_in: NDArray[np.int32],
) -> None:
    """Put the rows that stay into the lists of the new arrays; moved[row] is a row's new number.

    Positions stay what they were: they count from the account's first transfer ever.
    """
    old, new = uncounted(old), uncounted(new)
    # Arrays taken out of the tuples once: taken inside the loop, each costs a reference count.
    old_out, old_starts, old_in = old.out_rows, old.out_starts, old.in_rows
    new_out, new_starts, new_in = new.out_rows, new.out_starts, new.in_rows
    out_start, in_start, was_in = new.out_start, new.in_start, old.in_start
    out_end, in_end = 0, 0
    for account in range(accounts):
        new.in_end[account], new.out_end[account] = old.in_end[account], old.out_end[account]
        new.last_us[account] = old.last_us[account]
        first, count = old.out_off[account] + stays_out[account], old.out_len[account]
        count -= stays_out[account]
        new.out_off[account], new.out_len[account] = out_end, count
        for k in range(count):
            row = moved[old_out[first + k]]
            start = old_starts[first + k]
            new_out[out_end + k], new_starts[out_end + k], out_start[row] = row, start, start
        first, more = old.in_off[account] + stays_in[account], old.in_len[account]
        more -= stays_in[account]
        new.in_off[account], new.in_len[account] = in_end, more
        for k in range(more):
            was = old_in[first + k]
            row = moved[was]
            new_in[in_end + k], in_start[row] = row, was_in[was]
        out_end += class_rows(size_class(count)) if count else 0
        in_end += class_rows(size_class(more)) if more else 0
    new.pool_end[OUT_END], new.pool_end[IN_END] = out_end, in_end
