"""Dated opening balances: an account's line starts there, its earlier transfers stand outside.

Answers which accounts get which opening. Writes no log.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from openaoc.kernel.errors import TooLarge
from openaoc.ledger.encode import text_of, words_of
from openaoc.ledger.hot import HotLog
from openaoc.ledger.kernels_amend import open_lines, reline
from openaoc.ledger.kernels_slots import intern_accounts
from openaoc.ledger.model import LINE_END_MAX, LedgerFull, LineTooLong

SLICE_ACCOUNTS: Final = 256
OPENINGS_PER_CALL_MAX: Final = 40_000_000


def number_accounts(hot: HotLog, table: pa.Table) -> NDArray[np.int32]:
    """The number of every account of the table, new ones for new names.

    Raises LedgerFull, TooLarge. A number without transfers costs little and is never taken back.
    """
    store, rows = hot.store, table.num_rows
    if rows > OPENINGS_PER_CALL_MAX:
        raise TooLarge(f"more than {OPENINGS_PER_CALL_MAX:,} openings at once")
    table = table.combine_chunks()
    bank = words_of(table["bank"].combine_chunks().dictionary_encode())
    currency = words_of(table["currency"].combine_chunks().dictionary_encode())
    text = text_of(table["account"].combine_chunks(), store.seed)
    store.ensure_room(rows=0, accounts=rows, id_bytes=0, name_bytes=text.data.size + 2 * rows)
    banks = np.array([store.institutions.number(word) for word in bank.values] or [0], np.uint32)
    codes = np.array([store.currencies.number(word) for word in currency.values] or [0], np.uint32)
    kinds = (banks[bank.codes] << np.uint32(16)) | codes[currency.codes]
    numbers, slots = np.zeros(rows, np.int32), np.zeros(rows, np.int64)
    count, end = intern_accounts(
        store.account_slots, store.names, store.accounts, store.name_bytes,
        kinds.astype(np.uint32), text.hashes, text.offsets, text.data, np.zeros(rows, np.bool_),
        numbers, slots,
    )  # fmt: skip
    before, store.accounts, store.name_bytes = store.accounts, int(count), int(end)
    store.begin_lines(before)
    if rows and int(numbers.min()) < 0:
        raise LedgerFull(f"the hot ledger holds {store.accounts_max:,} accounts")
    return numbers


def number(hot: HotLog, table: pa.Table) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The accounts of the table by number, and their balances. Raises as `number_accounts`."""
    amounts = table["opening_minor"].combine_chunks().to_numpy(zero_copy_only=False)
    return number_accounts(hot, table), amounts


def check(hot: HotLog, accounts: NDArray[np.int32], opening: NDArray[np.int64]) -> None:
    """Refuse openings under which a line would reach 2^62. All rows must be applied.

    Raises LineTooLong.
    """
    line = hot.store.lines
    ends = np.maximum(line.in_end[accounts], line.out_end[accounts])
    if (opening >= LINE_END_MAX - ends).any():
        place = int(np.flatnonzero(opening >= LINE_END_MAX - ends)[0])
        raise LineTooLong(
            "an opening balance and the account's amounts add up to 2^62 or more",
            where=f"row {place + 1}",
        )


def apply(
    hot: HotLog,
    accounts: NDArray[np.int32],
    opening: NDArray[np.int64],
    from_us: int,
    *,
    writing: Callable[[], AbstractContextManager[None]],
) -> None:
    """Start the accounts' lines at their openings; all rows must be applied.

    Of an account whose opening is before the cut, only the hot part is laid: where that begins is
    the caller's to say (bases.py).
    """
    store, lines = hot.store, hot.store.lines
    hot.limits.amount_total += sum(opening.tolist())
    from_us = from_us or 1
    had = store.opened_from[accounts]
    moved = (had != from_us) | (store.opened_minor[accounts] != opening)
    accounts, opening, again = accounts[moved], opening[moved], had[moved] != 0
    before = lines.out_len[accounts] + lines.in_len[accounts]
    store.opened_from[accounts], store.opened_minor[accounts] = from_us, opening
    store.opened_bare[accounts] = 0
    first, amounts, begin = accounts[~again], opening[~again], max(from_us, store.hot_from_us)
    for start in range(0, first.size, SLICE_ACCOUNTS):
        with writing():
            stop = min(start + SLICE_ACCOUNTS, first.size)
            open_lines(lines, first, amounts, begin, start, stop)
    _open_again(hot, accounts[again], opening[again], begin, writing=writing)
    store.bare[accounts] = 0
    left = before - (lines.out_len[accounts] + lines.in_len[accounts])
    store.unseen[accounts] += np.maximum(left, 0) + 1


def _open_again(
    hot: HotLog,
    accounts: NDArray[np.int32],
    opening: NDArray[np.int64],
    from_us: int,
    *,
    writing: Callable[[], AbstractContextManager[None]],
) -> None:
    """Another opening for accounts that have one: rows outside their line may come back in."""
    store, lines = hot.store, hot.store.lines
    if not accounts.size:
        return
    wanted = np.zeros(store.accounts, np.bool_)
    wanted[accounts] = True
    facts, rows = store.facts, store.rows
    payers = np.flatnonzero(wanted[facts.debtor[:rows]] & ((facts.flags[:rows] & 2) == 0))
    payees = np.flatnonzero(
        (facts.creditor[:rows] >= 0)
        & wanted[np.maximum(facts.creditor[:rows], 0)]
        & (facts.flags[:rows] == 0)
    )
    outs = _by_account(facts.debtor, facts.time_us, payers.astype(np.int32))
    ins = _by_account(facts.creditor, facts.time_us, payees.astype(np.int32))
    empty = np.zeros(0, np.int32)
    for account, amount in zip(accounts.tolist(), opening.tolist(), strict=True):
        with writing():
            reline(
                lines, account, amount, from_us, outs.get(account, empty), ins.get(account, empty)
            )


def _by_account(
    side: NDArray[np.int32], time_us: NDArray[np.int64], rows: NDArray[np.int32]
) -> dict[int, NDArray[np.int32]]:
    """The rows of every account, in ledger order."""
    rows = rows[np.lexsort((rows, time_us[rows], side[rows]))]
    if not rows.size:
        return {}
    edges = np.flatnonzero(np.diff(side[rows])) + 1
    return {int(side[part[0]]): part for part in np.split(rows, edges)}
