"""Compiles the ledger's kernels once, so that the first transfers do not wait for it.

Run as `python -m openaoc.ledger.warm` when an environment is set up; answers nothing. It leads a
small ledger in a folder of its own through everything the kernels are for.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from openaoc.kernel.clock import SystemClock
from openaoc.kernel.settings import Settings
from openaoc.ledger.service import Ledger
from openaoc.ledger.table import TransferRow, parse_transfers, transfers_from_rows

ROWS: Final = 64
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


def _row(name: str, minute: int, **other: str | int) -> TransferRow:
    fields: dict[str, str | int] = {
        "transfer_id": name,
        "booked_at": f"2026-01-01T00:{minute:02d}:00Z",
        "debtor_bank": "A",
        "debtor_account": "1",
        "creditor_bank": "B",
        "creditor_account": "2",
        "amount_minor": 10,
        "currency": "THB",
    }
    return TransferRow(**{**fields, **other})  # type: ignore[arg-type]  # mixed columns


def warm() -> float:
    """Compile, or load what is compiled; seconds it took."""
    start = time.perf_counter()
    settings = Settings(ledger_rows_max=10_000, ledger_accounts_max=10_000)
    steps = (
        transfers_from_rows([_row(f"T{number}", number % 60) for number in range(ROWS)]),
        transfers_from_rows([_row("LATE", 1), _row("OTHER", 2, reported_by="B")]),
        transfers_from_rows([_row("OTHER", 2), _row("T3", 9, corrects="T3", revision=1)]),
        parse_transfers(_CSV, "text/csv"),
        parse_transfers(_JSON, "application/x-ndjson"),
    )
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(2):
            ledger = Ledger.open(Path(folder) / "ledger", settings=settings, clock=SystemClock())
            try:
                for table in steps:
                    ledger.ingest(table, live=False)
                ledger.snapshot()
            finally:
                ledger.close()
    return time.perf_counter() - start


if __name__ == "__main__":
    sys.stdout.write(f"the ledger's kernels are ready in {warm():.1f} s\n")
