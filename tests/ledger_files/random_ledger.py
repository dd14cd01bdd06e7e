"""Random transfers in the canonical table: few accounts, small amounts, equal times, exits."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from openaoc.kernel.clock import to_us
from openaoc.ledger.cold_format import HISTORY_SCHEMA
from openaoc.ledger.schema import SCHEMA

START = datetime(2026, 1, 1, tzinfo=UTC)
CHANNELS = ["transfer"] * 9 + ["cash_withdrawal", "crypto_purchase", "cross_border"]


def random_table(*, seed: int, rows: int, accounts: int) -> pa.Table:
    """Transfers in SCHEMA, by time; some exits name a creditor, some transfers go to oneself."""
    rng = np.random.default_rng(seed)
    debtor, creditor = rng.integers(0, accounts, rows), rng.integers(0, accounts, rows)
    channel = [CHANNELS[i] for i in rng.integers(0, len(CHANNELS), rows)]
    nameless = (rng.random(rows) < 0.5) & np.array([c != "transfer" for c in channel])
    times = to_us(START) + np.sort(rng.integers(0, rows // 2 + 1, rows)) * 1_000_000
    banks = [f"BANK{n % 4}" for n in range(accounts)]
    columns = [
        [f"T{n}" for n in range(rows)],
        [banks[n] for n in debtor],
        pa.array(times).view(pa.timestamp("us", "UTC")),
        [banks[n] for n in debtor],
        [f"{n:06d}" for n in debtor],
        [None if skip else banks[n] for n, skip in zip(creditor, nameless, strict=True)],
        [None if skip else f"{n:06d}" for n, skip in zip(creditor, nameless, strict=True)],
        rng.integers(1, 1000, rows),
        ["THB"] * rows,
        channel,
        pa.nulls(rows, pa.string()),
        pa.nulls(rows, pa.int64()),
    ]
    return pa.table([pa.array(column) for column in columns], schema=SCHEMA)


def history(table: pa.Table, *, first: int = 0) -> pa.Table:
    """The table with arrival numbers from `first`."""
    count = table.num_rows
    more = {
        "sequence": pa.array(np.arange(first, first + count)),
        "both_banks": pa.array([False] * count),
        "told_by": pa.array(["FEED"] * count),
        "told_at": pa.array([START] * count, pa.timestamp("us", "UTC")),
        "position": pa.array(np.ones(count, np.int64)),
        "memo": pa.nulls(count, pa.binary()),
    }
    for name, column in more.items():
        table = table.append_column(name, column)
    return table.cast(HISTORY_SCHEMA)
