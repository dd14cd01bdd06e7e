"""Bench: seconds from the start of a process to the first trace over a ledger on disk.

Beside it, the time in which PostgreSQL would load the same rows is what bench ingest says.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from openaoc.bench.feed import ACCOUNTS_PER_TRANSFER, Feed
from openaoc.bench.ingest import ROOM, array_bytes
from openaoc.kernel.clock import SystemClock
from openaoc.kernel.settings import Settings
from openaoc.ledger.schema import TransferTable
from openaoc.ledger.service import Ledger

BATCH_ROWS: Final = 500_000
TAIL_ROWS: Final = 1_000_000
"""Rows that stand in the log only, behind the snapshot."""
_FILLED: Final = "filled.json"
_CHILD: Final = """
import json, sys, time
begun = time.perf_counter()
from openaoc.bench import restart
call, folder, *numbers = sys.argv[1:]
print(json.dumps(getattr(restart, call)(folder, *map(int, numbers), begun)))
"""


def run(*, transfers: int = 10_000_000, folder: str = "", keep: bool = False) -> dict[str, object]:
    """Fill a ledger, snapshot it but for its last rows, close it, start it in a new process.

    The files are put out of the system's cache first. With `keep` the ledger stays in `folder`,
    and the next call only starts it.
    """
    home = Path(tempfile.mkdtemp(prefix="openaoc-bench-", dir=folder or None))
    if keep:
        home.rmdir()
        home = Path(folder) / f"ledger-of-{transfers}"
    try:
        filled = _in_child("fill", home, transfers)
        size = sum(path.stat().st_blocks * 512 for path in home.iterdir())
        _forget(home)
        begun = time.perf_counter()
        figures = _in_child("start", home, transfers)
        whole = time.perf_counter() - begun
        return {
            "transfers": transfers,
            "in_log_only": min(TAIL_ROWS, transfers),
            "snapshot_seconds": filled["snapshot_seconds"],
            "bytes_on_disk_per_transfer": round(size / transfers, 1),
            "process_start_to_exit_seconds": round(whole, 1),
            **figures,
        }
    finally:
        if not keep:
            shutil.rmtree(home, ignore_errors=True)


def _in_child(call: str, home: Path, transfers: int) -> dict[str, float]:
    """What `fill` or `start` says in a process of its own, which gives its memory back."""
    command = [sys.executable, "-c", _CHILD, call, str(home), str(transfers)]
    done = subprocess.run(  # noqa: S603 - our own interpreter
        command, capture_output=True, check=True, text=True
    )
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _forget(home: Path) -> None:
    """Put the files out of the system's cache, so that they come from the disk."""
    for path in home.iterdir():
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(fd)


def _settings(transfers: int, accounts: int) -> Settings:
    room = accounts + 2 * BATCH_ROWS  # a batch is asked for as if all its accounts were new
    return Settings(ledger_rows_max=int(ROOM * transfers), ledger_accounts_max=room)


def fill(folder: str, transfers: int, begun: float) -> dict[str, float]:
    """Fill the ledger unless it is; seconds of its last snapshot, TAIL_ROWS before the end."""
    del begun
    home = Path(folder)
    done = home / _FILLED
    if done.exists():
        told: dict[str, float] = json.loads(done.read_text("ascii"))
        return told
    feed = Feed(transfers)
    settings = _settings(transfers, feed.accounts)
    ledger = Ledger.open(home, settings=settings, clock=SystemClock())
    taken, seconds = False, 0.0
    try:
        for start in range(ledger.stats().transfers, transfers, BATCH_ROWS):
            if not taken and start >= transfers - TAIL_ROWS:
                at = time.perf_counter()
                ledger.snapshot()
                seconds, taken = time.perf_counter() - at, True
            table = feed.table(start, min(BATCH_ROWS, transfers - start))
            ledger.ingest(TransferTable(table=table), live=False, told_by="FEED")
    finally:
        ledger.close()
    told = {"snapshot_seconds": round(seconds, 1)}
    done.write_text(json.dumps(told), "ascii")
    return told


def start(folder: str, transfers: int, begun: float) -> dict[str, float]:
    """Open the ledger and trace once; seconds since the process began to import."""
    from openaoc.tracing.engine import trace_cases
    from openaoc.tracing.model import Claim, Rule

    settings = _settings(transfers, max(int(transfers * ACCOUNTS_PER_TRANSFER), 100))
    opening = time.perf_counter()
    ledger = Ledger.open(Path(folder), settings=settings, clock=SystemClock())
    opened = time.perf_counter()
    try:
        with ledger.reading() as arrays:
            row = int((arrays.flags == 0).argmax())
            claim = Claim(row=row, amount_minor=None, case=0)
            trace_cases(arrays, [claim], rule=Rule.FIFO)
        traced = time.perf_counter()
        resident = array_bytes()
        assert ledger.stats().transfers == transfers, "the whole ledger is back"
    finally:
        ledger.close()
    return {
        "import_seconds": round(opening - begun, 2),
        "open_seconds": round(opened - opening, 2),
        "to_first_trace_seconds": round(traced - begun, 2),
        "resident_bytes_per_transfer": round(resident / transfers, 1),
    }
