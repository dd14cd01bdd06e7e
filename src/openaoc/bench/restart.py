"""Bench: seconds from the start of a process to the first trace over a ledger on disk.

Beside it, the time in which PostgreSQL would load the same rows is what bench ingest says.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from openaoc.bench.feed import Feed
from openaoc.kernel.clock import SystemClock
from openaoc.kernel.settings import Settings
from openaoc.ledger.schema import TransferTable
from openaoc.ledger.service import Ledger

BATCH_ROWS: Final = 500_000
TAIL_ROWS: Final = 1_000_000
"""Rows that stand in the log only, behind the snapshot."""
_CHILD: Final = """
import json, sys, time
begun = time.perf_counter()
from openaoc.bench.restart import start
print(json.dumps(start(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), begun)))
"""


def run(*, transfers: int = 10_000_000, folder: str = "") -> dict[str, object]:
    """Fill a ledger, snapshot it but for its last rows, close it, start it in a new process."""
    home = Path(tempfile.mkdtemp(prefix="openaoc-bench-", dir=folder or None))
    try:
        feed = Feed(transfers)
        snapshot_seconds = _fill(home, feed, transfers)
        size = sum(path.stat().st_blocks * 512 for path in home.iterdir())
        command = [sys.executable, "-c", _CHILD, str(home), str(transfers), str(feed.accounts)]
        begun = time.perf_counter()
        done = subprocess.run(  # noqa: S603 - our own interpreter
            command, capture_output=True, check=True, text=True
        )
        whole = time.perf_counter() - begun
        figures = json.loads(done.stdout)
        return {
            "transfers": transfers,
            "accounts": feed.accounts,
            "in_log_only": min(TAIL_ROWS, transfers),
            "snapshot_seconds": round(snapshot_seconds, 1),
            "bytes_on_disk_per_transfer": round(size / transfers, 1),
            "process_start_to_exit_seconds": round(whole, 1),
            **figures,
        }
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _settings(transfers: int, accounts: int) -> Settings:
    return Settings(ledger_rows_max=transfers + 1000, ledger_accounts_max=accounts + 1000)


def _fill(home: Path, feed: Feed, transfers: int) -> float:
    """Seconds of the last snapshot, which reaches to TAIL_ROWS before the end."""
    settings = _settings(transfers, feed.accounts)
    ledger = Ledger.open(home, settings=settings, clock=SystemClock())
    taken, seconds = False, 0.0
    try:
        for start in range(0, transfers, BATCH_ROWS):
            if not taken and start >= transfers - TAIL_ROWS:
                begun = time.perf_counter()
                ledger.snapshot()
                seconds, taken = time.perf_counter() - begun, True
            table = feed.table(start, min(BATCH_ROWS, transfers - start))
            ledger.ingest(TransferTable(table=table), live=False, told_by="FEED")
    finally:
        ledger.close()
    return seconds


def start(folder: str, transfers: int, accounts: int, begun: float) -> dict[str, float]:
    """Open the ledger and trace once; seconds since the process began to import."""
    from openaoc.tracing.engine import trace_cases
    from openaoc.tracing.model import Claim, Rule

    settings = _settings(transfers, accounts)
    opening = time.perf_counter()
    ledger = Ledger.open(Path(folder), settings=settings, clock=SystemClock())
    opened = time.perf_counter()
    try:
        with ledger.reading() as arrays:
            row = int((arrays.flags == 0).argmax())
            claim = Claim(row=row, amount_minor=None, case=0)
            trace_cases(arrays, [claim], rule=Rule.FIFO)
        traced = time.perf_counter()
        assert ledger.stats().transfers == transfers, "the whole ledger is back"
    finally:
        ledger.close()
    return {
        "import_seconds": round(opening - begun, 2),
        "open_seconds": round(opened - opening, 2),
        "to_first_trace_seconds": round(traced - begun, 2),
    }
