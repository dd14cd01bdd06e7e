"""Stage ledger: all known transfers of named accounts, from the hot log as from cold segments.

What a trace that crosses into cold days reads; the caller names every account.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa

from openaoc.kernel.clock import to_us
from openaoc.kernel.errors import TooLarge
from openaoc.kernel.limits import TRACE_ACCOUNTS_MAX
from openaoc.ledger.cold_format import HISTORY_SCHEMA
from openaoc.ledger.model import AccountName, Transfer
from openaoc.ledger.service import Ledger


class History(Protocol):
    """Who knows transfers of accounts: a cold store, the hot ledger, a test."""

    def accounts_history(
        self, accounts: Sequence[AccountName], *, until_us: int | None = None
    ) -> pa.Table:
        """All transfers (HISTORY_SCHEMA) from or to these accounts, each once."""
        ...


class HotHistory:
    """The hot ledger's transfers of named accounts.

    `first_sequence`: the arrival number of the hot ledger's row 0.
    """

    def __init__(self, ledger: Ledger, *, first_sequence: int = 0) -> None:
        self._ledger, self._first = ledger, first_sequence

    def accounts_history(
        self, accounts: Sequence[AccountName], *, until_us: int | None = None
    ) -> pa.Table:
        """All hot transfers that stand on these accounts' lines, each once, by arrival.

        Transfers from an account to itself stand on no line. Raises TooLarge past
        TRACE_ACCOUNTS_MAX accounts.
        """
        if len(accounts) > TRACE_ACCOUNTS_MAX:
            raise TooLarge(f"{len(accounts)} accounts; at most {TRACE_ACCOUNTS_MAX} at once")
        numbers = [self._ledger.account_index(a.bank, a.account, a.currency) for a in accounts]
        with self._ledger.reading() as arrays:
            parts = [np.zeros(0, np.int32)]
            for number in numbers:
                if number is None or number >= len(arrays.out_len):
                    continue
                for offsets, lengths, pool in (
                    (arrays.out_off, arrays.out_len, arrays.out_rows),
                    (arrays.in_off, arrays.in_len, arrays.in_rows),
                ):
                    start, length = int(offsets[number]), int(lengths[number])
                    parts.append(pool[start : start + length].copy())
            rows = np.unique(np.concatenate(parts))
            if until_us is not None:
                rows = rows[arrays.time_us[rows] <= until_us]
        return self._table([self._ledger.transfer(int(row)) for row in rows])

    def find(self, *, reported_by: str, transfer_id: str) -> pa.Table:
        """The transfer of that name (HISTORY_SCHEMA), one row or none."""
        row = self._ledger.find(reported_by=reported_by, transfer_id=transfer_id)
        return self._table([] if row is None else [self._ledger.transfer(row)])

    def _table(self, transfers: Sequence[Transfer]) -> pa.Table:
        columns = {
            "transfer_id": [t.transfer_id for t in transfers],
            "reported_by": [t.reported_by for t in transfers],
            "booked_at": [to_us(t.booked_at) for t in transfers],
            "debtor_bank": [t.debtor.bank for t in transfers],
            "debtor_account": [t.debtor.account for t in transfers],
            "creditor_bank": [t.creditor.bank if t.creditor else None for t in transfers],
            "creditor_account": [t.creditor.account if t.creditor else None for t in transfers],
            "amount_minor": [t.amount_minor for t in transfers],
            "currency": [t.debtor.currency for t in transfers],
            "channel": [t.channel for t in transfers],
            "corrects": [None] * len(transfers),
            "revision": [t.revision or None for t in transfers],
            "sequence": [self._first + t.row for t in transfers],
        }
        arrays = [pa.array(columns[f.name], f.type) for f in HISTORY_SCHEMA]
        return pa.table(arrays, schema=HISTORY_SCHEMA)
