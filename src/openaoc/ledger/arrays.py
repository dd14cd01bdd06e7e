"""The ledger as arrays of numbers: what the kernels read, from files, hot log or cold segments.

Row = arrival number: rows keep the order in which they arrived; the ledger's own order is
(time_us, row). An account is (bank, account, currency), interned to a number. Holds no name.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

EXIT: Final = 1
"""Flag: the channel is an exit or there is no creditor; the money leaves the ledger."""
SELF: Final = 2
"""Flag: from an account to itself and no exit; changes nothing, stands on no line."""

CHANNELS: Final = (
    "transfer",
    "cash_withdrawal",
    "card_purchase",
    "crypto_purchase",
    "cross_border",
    "bill_payment",
    "cheque",
)
"""Channel numbers are positions in this tuple; every one but the first is an exit."""


class LedgerArrays(NamedTuple):
    """Transfers and account lines.

    Each account has one number line. An inflow of m stands at [in_start, in_start + m) of the
    creditor's line, with in_start = max(in_end, out_end); an outflow of x stands at
    [out_start, out_start + x) of the debtor's, with out_start = out_end. Which inflow funded
    which outflow is the overlap of the two; positions of an outflow that no inflow covers are
    clean money the ledger has not seen.

    Per transfer (N rows): time_us i64, debtor i32, creditor i32 (-1: none, or exit), amount i64,
    flags u8, channel u8, out_start i64, in_start i64 (-1 where there is no such side).
    Per account (A): base_in i64 and base_out i64, the ends of the line before its first row here
    (an opening balance b is base_in = b, base_out = 0); out_off i64, out_len i32, in_off i64,
    in_len i32: its slices of the pools; bare i64: the known balance where its first row here begins
    if an opening balance counts as unknown; unseen i64: how often rows came to it, or were told
    again, that stand in no list here (out_len + in_len + unseen only grows).
    Pools: out_rows i32 and out_starts i64 (the row and its out_start, in ledger order), in_rows
    i32 (in ledger order).
    """

    time_us: NDArray[np.int64]
    debtor: NDArray[np.int32]
    creditor: NDArray[np.int32]
    amount: NDArray[np.int64]
    flags: NDArray[np.uint8]
    channel: NDArray[np.uint8]
    out_start: NDArray[np.int64]
    in_start: NDArray[np.int64]
    base_in: NDArray[np.int64]
    base_out: NDArray[np.int64]
    out_off: NDArray[np.int64]
    out_len: NDArray[np.int32]
    in_off: NDArray[np.int64]
    in_len: NDArray[np.int32]
    out_rows: NDArray[np.int32]
    out_starts: NDArray[np.int64]
    in_rows: NDArray[np.int32]
    bare: NDArray[np.int64]
    unseen: NDArray[np.int64]


class AccountColumns(NamedTuple):
    """What is known of each account, as columns of one record of 64 bytes each.

    A step on a line looks at most of it: it waits for memory once. Ends of the line now, time of
    the newest row, time from which the line counts; then the columns of LedgerArrays.
    """

    in_end: NDArray[np.int64]
    out_end: NDArray[np.int64]
    last_us: NDArray[np.int64]
    line_from: NDArray[np.int64]
    out_off: NDArray[np.int64]
    in_off: NDArray[np.int64]
    out_len: NDArray[np.int32]
    in_len: NDArray[np.int32]
    base_in: NDArray[np.int64]


RECORD_WORDS: Final = 8
_LINE_BYTES: Final = 64


def account_records(accounts: int) -> NDArray[np.int64]:
    """Zeroed records, each in one line of the processor's cache."""
    words = RECORD_WORDS * accounts
    room = np.zeros(words + RECORD_WORDS, np.int64)
    skipped = -room.ctypes.data % _LINE_BYTES // room.itemsize
    return room[skipped : skipped + words]


def account_columns(records: NDArray[np.int64]) -> AccountColumns:
    """The columns of `records`, RECORD_WORDS numbers per account, one account after the other."""
    wide = records.reshape(-1, RECORD_WORDS)
    narrow = records.view(np.int32).reshape(-1, 2 * RECORD_WORDS)
    return AccountColumns(
        in_end=wide[:, 0],
        out_end=wide[:, 1],
        last_us=wide[:, 2],
        line_from=wide[:, 3],
        out_off=wide[:, 4],
        in_off=wide[:, 5],
        out_len=narrow[:, 12],
        in_len=narrow[:, 13],
        base_in=wide[:, 7],
    )
