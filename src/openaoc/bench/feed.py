"""Bench: transfers as a national feed would bring them, in the formats that ingest takes.

Synthetic and repeatable. Knows nothing of the ledger.
"""

from __future__ import annotations

import io
import json
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from openaoc.ledger.schema import SCHEMA

BANKS: Final = ("BBL", "KBANK", "SCB", "KTB", "BAY", "TTB", "GSB", "BAAC", "TRUEMONEY", "SHOPEE")
CHANNELS: Final = ("transfer", "bill_payment", "cash_withdrawal", "card_purchase")
CHANNEL_SHARES: Final = (0.86, 0.06, 0.05, 0.03)
ACCOUNTS_PER_TRANSFER: Final = 0.2
START_US: Final = 1_767_225_600_000_000
STEP_US: Final = 1_000
"""A thousand transfers a second of the ledger's own time."""
LATE_SHARE: Final = 0.001
LATE_US_MAX: Final = 3_600_000_000
_MEDIAN_MINOR: Final = 50_000.0
_SIGMA: Final = 1.5
_AMOUNT_MAX: Final = 4_900_000_00


class Feed:
    """Transfers by number: the same numbers always give the same transfers."""

    def __init__(self, transfers: int, *, seed: int = 1) -> None:
        self.accounts = max(int(transfers * ACCOUNTS_PER_TRANSFER), 100)
        self._seed = seed
        self._banks = pa.array(BANKS, pa.string())
        numbers = np.arange(self.accounts, dtype=np.int64) * 2_654_435_761 % 10_000_000_000
        self._names = pc.utf8_lpad(pa.array(numbers).cast(pa.string()), 10, "0")

    def table(self, first: int, count: int, *, prefix: str = "T") -> pa.Table:
        """Transfers `first` to `first + count`, in SCHEMA, nearly in time order."""
        draw = np.random.default_rng((self._seed, first))
        # Squared uniform numbers: some accounts are far busier than others.
        debtor = (draw.random(count) ** 2 * self.accounts).astype(np.int64)
        creditor = (debtor + 1 + draw.integers(0, self.accounts - 1, count)) % self.accounts
        amount = np.minimum(draw.lognormal(np.log(_MEDIAN_MINOR), _SIGMA, count), _AMOUNT_MAX)
        channel = draw.choice(len(CHANNELS), count, p=CHANNEL_SHARES)
        times = START_US + np.arange(first, first + count, dtype=np.int64) * STEP_US
        late = draw.random(count) < LATE_SHARE
        times[late] -= draw.integers(1, LATE_US_MAX, int(late.sum()))
        numbers = pa.array(np.arange(first, first + count)).cast(pa.string())
        withdrawal = pa.array(channel == CHANNELS.index("cash_withdrawal"))
        bank = self._bank(debtor)
        none = pa.scalar(None, pa.string())
        columns = [
            pc.binary_join_element_wise(prefix, numbers, ""),
            bank,
            pa.array(times).view(pa.timestamp("us", "UTC")),
            bank,
            self._names.take(pa.array(debtor)),
            pc.if_else(withdrawal, none, self._bank(creditor)),
            pc.if_else(withdrawal, none, self._names.take(pa.array(creditor))),
            pa.array(np.maximum(amount, 1).astype(np.int64)),
            pa.array(["THB"], pa.string()).take(pa.array(np.zeros(count, np.int8))),
            pa.array(CHANNELS, pa.string()).take(pa.array(channel)),
            pa.nulls(count, pa.string()),
            pa.nulls(count, pa.int64()),
        ]
        return pa.table(columns, schema=SCHEMA)

    def _bank(self, accounts: NDArray[np.int64]) -> pa.Array:
        return self._banks.take(pa.array(accounts % len(BANKS)))


def as_parquet(table: pa.Table) -> bytes:
    """The table as a Parquet file."""
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def as_ndjson(table: pa.Table) -> bytes:
    """The table as NDJSON, without its empty fields."""
    times = pc.strftime(table["booked_at"], format="%Y-%m-%dT%H:%M:%SZ").to_pylist()
    lines = []
    for item, time in zip(table.to_pylist(), times, strict=True):
        row = {name: value for name, value in item.items() if value is not None}
        lines.append(json.dumps(row | {"booked_at": time}))
    return "\n".join(lines).encode()
