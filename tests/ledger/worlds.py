"""Small ledgers for the tests of this stage: rows as dicts, batches as tables, lines by name."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from openaoc.kernel.clock import Clock, ManualClock
from openaoc.kernel.settings import Settings
from openaoc.ledger.arrays import LedgerArrays
from openaoc.ledger.bulk import build_arrays
from openaoc.ledger.schema import SCHEMA, TransferTable
from openaoc.ledger.service import Ledger

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SETTINGS = Settings(ledger_rows_max=100_000, ledger_accounts_max=5_000)
HOUR_US = 3_600_000_000
START_US = 1_772_000_000_000_000

Row = Mapping[str, object]


def row(
    transfer_id: str = "T1",
    *,
    at: int = 0,
    debtor: str = "A/1",
    creditor: str | None = "B/2",
    amount: int = 100,
    reporter: str | None = None,
    channel: str = "transfer",
    currency: str = "THB",
    corrects: str | None = None,
    revision: int | None = None,
) -> dict[str, object]:
    """A row in SCHEMA; accounts as BANK/NUMBER, `at` in microseconds after START_US."""
    bank, account = debtor.split("/")
    payee_bank, payee = creditor.split("/") if creditor else (None, None)
    return {
        "transfer_id": transfer_id,
        "reported_by": reporter or bank,
        "booked_at": START_US + at,
        "debtor_bank": bank,
        "debtor_account": account,
        "creditor_bank": payee_bank,
        "creditor_account": payee,
        "amount_minor": amount,
        "currency": currency,
        "channel": channel,
        "corrects": corrects,
        "revision": revision,
    }


def table(rows: Sequence[Row]) -> TransferTable:
    """The rows as the readers hand them over."""
    columns = []
    for field in SCHEMA:
        values = [item[field.name] for item in rows]
        if field.name == "booked_at":
            columns.append(pa.array(values, pa.int64()).view(field.type))
        else:
            columns.append(pa.array(values, field.type))
    return TransferTable(table=pa.table(columns, schema=SCHEMA))


@contextmanager
def ledger(
    path: Path | None = None, *, settings: Settings = SETTINGS, clock: Clock | None = None
) -> Iterator[Ledger]:
    """An open ledger; in a folder of its own unless one is given."""
    with tempfile.TemporaryDirectory() as folder:
        opened = Ledger.open(
            path or Path(folder), settings=settings, clock=clock or ManualClock(NOW)
        )
        try:
            yield opened
        finally:
            opened.close()


def from_bulk(arrays: LedgerArrays, *, opening: Mapping[int, int] | None = None) -> LedgerArrays:
    """The same facts in the same order of arrival, laid anew by `build_arrays`."""
    openings = np.zeros(arrays.out_len.size, np.int64)
    for account, amount in (opening or {}).items():
        openings[account] = amount
    return build_arrays(
        time_us=arrays.time_us,
        debtor=arrays.debtor,
        creditor=arrays.creditor,
        amount=arrays.amount,
        flags=arrays.flags,
        channel=arrays.channel,
        opening=openings,
    )


def assert_same_lines(hot: LedgerArrays, bulk: LedgerArrays) -> None:
    """Every account's rows in the same order, every row at the same positions."""
    np.testing.assert_array_equal(hot.out_start, bulk.out_start)
    np.testing.assert_array_equal(hot.in_start, bulk.in_start)
    np.testing.assert_array_equal(hot.out_len, bulk.out_len)
    np.testing.assert_array_equal(hot.in_len, bulk.in_len)
    for account in range(hot.out_len.size):
        outs = [
            (
                side.out_rows[side.out_off[account] :][: side.out_len[account]].tolist(),
                side.out_starts[side.out_off[account] :][: side.out_len[account]].tolist(),
                side.in_rows[side.in_off[account] :][: side.in_len[account]].tolist(),
            )
            for side in (hot, bulk)
        ]
        assert outs[0] == outs[1], f"account {account}"


def assert_pure(opened: Ledger) -> None:
    """The ledger is what `build_arrays` makes of its facts."""
    with opened.reading() as hot:
        assert_same_lines(hot, from_bulk(hot))


def positions(opened: Ledger) -> dict[tuple[str, str], tuple[int, ...]]:
    """Time, amount and both starts of every transfer, by its name."""
    found: dict[tuple[str, str], tuple[int, ...]] = {}
    for number in range(opened.stats().transfers):
        if number in opened._store.numbers.joined:
            continue
        evidence = opened.transfer(number)
        with opened.reading() as hot:
            found[evidence.reported_by, evidence.transfer_id] = (
                int(hot.time_us[number]),
                int(hot.amount[number]),
                int(hot.out_start[number]),
                int(hot.in_start[number]),
            )
    return found
