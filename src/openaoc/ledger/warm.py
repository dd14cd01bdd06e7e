"""Compiles the ledger's kernels once, so that the first transfers do not wait for it.

Run as `python -m openaoc.ledger.warm` when an environment is set up; answers nothing. It leads a
small ledger in a folder of its own through everything the kernels are for.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pyarrow as pa

from openaoc.kernel.clock import SystemClock, to_us
from openaoc.kernel.settings import Settings
from openaoc.ledger.accounts_file import parse_accounts
from openaoc.ledger.service import Ledger
from openaoc.ledger.table import TransferRow, parse_transfers, transfers_from_rows

ROWS: Final = 4_000
"""Enough for the tables of names to grow."""
_CSV: Final = (
    b"transfer_id,booked_at,debtor_bank,debtor_account,creditor_bank,creditor_account,"
    b"amount_minor,currency,channel\n"
    b"C1,2026-01-01T00:00:00Z,A,1,B,2,5,THB,transfer\n"
)
_JSON: Final = (
    b'{"transfer_id":"J1","booked_at":"2026-01-01T00:00:00Z","debtor_bank":"A",'
    b'"debtor_account":"1","creditor_bank":"B","creditor_account":"2","amount_minor":5,'
    b'"currency":"THB"}\n'
)
_OPENINGS: Final = b"bank,account,opening_minor,currency\nA,1,5,THB\nC,9,5,THB\n"
_OPENED_AT: Final = datetime(2026, 1, 1, 0, 30, tzinfo=UTC)


def _row_fields(name: str, minute: int) -> dict[str, str | int]:
    return {
        "transfer_id": name,
        "booked_at": f"2026-01-01T00:{minute:02d}:00Z",
        "debtor_bank": "A",
        "debtor_account": "1",
        "creditor_bank": "B",
        "creditor_account": "2",
        "amount_minor": 10,
        "currency": "THB",
    }


def _row(name: str, minute: int, **other: str | int) -> TransferRow:
    fields = {**_row_fields(name, minute), **other}
    return TransferRow(**fields)  # type: ignore[arg-type]  # mixed columns


def _arrow() -> bytes:
    """A batch as an institution's system sends it."""
    rows = [{**_row_fields("A1", 3), "channel": "cash_withdrawal"}, _row_fields("A2", 4)]
    kinds = {"booked_at": pa.timestamp("us", tz="UTC"), "amount_minor": pa.int64()}
    table = pa.table(
        {
            name: pa.array([row.get(name) for row in rows]).cast(kinds.get(name, pa.string()))
            for name in rows[0]
        }
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


@contextmanager
def small_ledger(folder: Path) -> Iterator[Ledger]:
    """An open ledger that has been through everything a centre's goes through."""
    settings = Settings(ledger_rows_max=10_000, ledger_accounts_max=10_000)
    steps = (
        transfers_from_rows([_row(f"T{number}", number % 60) for number in range(ROWS)]),
        transfers_from_rows([_row("LATE", 1), _row("OTHER", 2, reported_by="B")]),
        transfers_from_rows([_row("OTHER", 2), _row("T3", 9, corrects="T3", revision=1)]),
        parse_transfers(_CSV, "text/csv"),
        parse_transfers(_JSON, "application/x-ndjson"),
        parse_transfers(_arrow(), "application/vnd.apache.arrow.stream"),
    )
    with closing(Ledger.open(folder, settings=settings, clock=SystemClock())) as ledger:
        for table in steps:
            ledger.ingest(table, live=False)
        ledger.set_openings(parse_accounts(_OPENINGS, "text/csv"), _OPENED_AT)
        ledger.snapshot()
        yield ledger


def warm() -> float:
    """Compile, or load what is compiled; seconds it took."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(2):
            with small_ledger(Path(folder) / "ledger") as ledger:
                number = ledger.find(reported_by="A", transfer_id="T1")
                assert number is not None, "what was just told is found"
                told = ledger.transfer(number)
                ledger.account_index(told.debtor.bank, told.debtor.account, told.debtor.currency)
                ledger.candidates(
                    debtor=0, creditor=1, amount_minor=10, around_us=to_us(_OPENED_AT), window_us=1
                )
                ledger.cut(_OPENED_AT)
    return time.perf_counter() - start


if __name__ == "__main__":
    sys.stdout.write(f"the ledger's kernels are ready in {warm():.1f} s\n")
