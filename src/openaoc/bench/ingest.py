"""Bench: transfers a second into the ledger, durable before acknowledged, and what they take.

Answers for Arrow, Parquet and NDJSON, beside PostgreSQL's COPY and DuckDB's append on the same
machine in the same run. Measures nothing but this machine.
"""

from __future__ import annotations

import gc
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from openaoc.bench.feed import Feed, as_ndjson, as_parquet
from openaoc.bench.ingest_peers import duckdb_append, postgres_copy
from openaoc.kernel.clock import SystemClock
from openaoc.kernel.settings import Settings
from openaoc.ledger.service import Ledger
from openaoc.ledger.table import parse_transfers
from openaoc.ledger.tickets import write_table

ARROW: Final = "application/vnd.apache.arrow.stream"
PARQUET: Final = "application/vnd.apache.parquet"
NDJSON: Final = "application/x-ndjson"
BATCH_ROWS: Final = 100_000
SMALL_BATCH_ROWS: Final = 5_000
TEXT_ROWS_MAX: Final = 1_000_000
"""NDJSON and the peers are measured on so many rows at most: their rate does not depend on it."""
ROOM: Final = 1.5
"""Far from full, so that no day leaves memory while something else is measured."""
TRACING_SECONDS: Final = 10.0
TRACING_RATE: Final = 500_000
TRACING_CALLERS: Final = 2
"""Who tell transfers meanwhile: while one waits for the disk, the other's batch is prepared."""

Figures = dict[str, float | int | str]


def run(
    *,
    transfers: int = 10_000_000,
    callers: int = 2,
    peers: bool = True,
    folder: str = "",
) -> dict[str, object]:
    """Ingest `transfers` as Arrow batches from `callers` threads, then the other formats.

    Rates count from the bytes of a request to the receipt: parsed, checked, durable and applied.
    """
    home = Path(tempfile.mkdtemp(prefix="openaoc-bench-", dir=folder or None))
    try:
        return _run(home, transfers, callers, peers=peers)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _run(home: Path, transfers: int, callers: int, *, peers: bool) -> dict[str, object]:
    text = min(transfers, TEXT_ROWS_MAX)
    feed = Feed(transfers)
    rows = transfers + 4 * text + int(TRACING_RATE * TRACING_SECONDS)
    settings = Settings(
        ledger_rows_max=int(ROOM * rows),
        ledger_accounts_max=feed.accounts + 1_000_000,
    )
    ledger = Ledger.open(home / "ledger", settings=settings, clock=SystemClock())
    try:
        _warm_up(ledger)
        anonymous = _anonymous_bytes()
        results: dict[str, object] = {"transfers": transfers, "callers": callers}
        results["arrow"] = _fill(ledger, feed, transfers, callers)
        stats = ledger.stats()
        gc.collect()
        pa.default_memory_pool().release_unused()
        results["memory"] = {
            "accounts": stats.accounts,
            "computed_bytes_per_transfer": round(stats.memory_bytes / stats.transfers, 1),
            "arrays_resident_bytes_per_transfer": round(array_bytes() / stats.transfers, 1),
            "process_growth_bytes_per_transfer": round(
                (_anonymous_bytes() - anonymous) / stats.transfers, 1
            ),
            "id_text_bytes_per_transfer": round(stats.text_bytes / stats.transfers, 1),
        }
        first = transfers
        for name, kind, encode in (
            ("parquet", PARQUET, as_parquet),
            ("ndjson", NDJSON, as_ndjson),
        ):
            bodies = [
                encode(feed.table(start, BATCH_ROWS, prefix=name))
                for start in range(first, first + text, BATCH_ROWS)
            ]
            results[name] = _ingest(ledger, bodies, kind, BATCH_ROWS, callers)
            first += text
        results["traces_while_ingesting"] = _trace_while_ingesting(ledger, feed, first)
    finally:
        ledger.close()
    if peers:
        results["peers"] = _peers(home, feed, text, results["arrow"])
    return results


def _warm_up(ledger: Ledger) -> None:
    """Compile every kernel that is measured."""
    table = Feed(1000, seed=9).table(0, 1000, prefix="warm")
    for name, kind, encode in (
        ("a", ARROW, write_table),
        ("p", PARQUET, as_parquet),
        ("n", NDJSON, as_ndjson),
    ):
        ledger.ingest(parse_transfers(encode(table), kind, name=name), live=False)


def _fill(ledger: Ledger, feed: Feed, transfers: int, callers: int) -> Figures:
    """Everything as Arrow, in stretches so that the bodies of one stretch fit in memory."""
    seconds, latencies, done = 0.0, list[float](), 0
    stretch = 20 * BATCH_ROWS
    for start in range(0, transfers, stretch):
        bodies = [
            write_table(feed.table(first, min(BATCH_ROWS, transfers - first)))
            for first in range(start, min(start + stretch, transfers), BATCH_ROWS)
        ]
        took, times = _timed(ledger, bodies, ARROW, callers)
        seconds += took
        latencies += times
        done += min(stretch, transfers - start)
    return _figures(done, seconds, latencies, BATCH_ROWS)


def _ingest(ledger: Ledger, bodies: Sequence[bytes], kind: str, rows: int, callers: int) -> Figures:
    seconds, latencies = _timed(ledger, bodies, kind, callers)
    return _figures(rows * len(bodies), seconds, latencies, rows)


def _figures(done: int, seconds: float, latencies: Sequence[float], rows: int) -> Figures:
    return {
        "transfers": done,
        "seconds": round(seconds, 2),
        "transfers_per_second": round(done / seconds),
        "batch_rows": rows,
        "acknowledged_ms_p50": round(1000 * statistics.median(latencies), 1),
        "acknowledged_ms_max": round(1000 * max(latencies), 1),
    }


def _timed(
    ledger: Ledger, bodies: Sequence[bytes], kind: str, callers: int
) -> tuple[float, list[float]]:
    """Seconds for all bodies from several threads, and the seconds of each."""
    latencies: list[float] = []
    queue = list(enumerate(bodies))[::-1]

    def call() -> None:
        while queue:
            try:
                number, body = queue.pop()
            except IndexError:
                return
            begun = time.perf_counter()
            table = parse_transfers(body, kind, name=str(number))
            ledger.ingest(table, live=False, told_by="FEED")
            latencies.append(time.perf_counter() - begun)

    threads = [threading.Thread(target=call) for _ in range(callers)]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - begun, latencies


def _trace_while_ingesting(ledger: Ledger, feed: Feed, known: int) -> Figures:
    """First-in-first-out traces of single payments, while a feed goes on at a steady rate."""
    from openaoc.tracing.engine import trace_cases
    from openaoc.tracing.model import Claim, Rule

    draw = np.random.default_rng(5)
    rows = [int(row) for row in draw.integers(max(known - 2_000_000, 0), known, 20_000)]

    def trace(row: int) -> None:
        with ledger.reading() as arrays:
            if not arrays.flags[row]:
                claim = Claim(row=row, amount_minor=None, case=0)
                trace_cases(arrays, [claim], rule=Rule.FIFO)

    quiet = _latencies(trace, rows[:2000], stop=None)
    bodies = [
        parse_transfers(write_table(feed.table(start, SMALL_BATCH_ROWS, prefix="live")), ARROW)
        for start in range(known, known + int(TRACING_RATE * TRACING_SECONDS), SMALL_BATCH_ROWS)
    ]
    stop = threading.Event()
    pace = SMALL_BATCH_ROWS / TRACING_RATE
    begun = time.perf_counter()

    def ingest(first: int) -> None:
        for number in range(first, len(bodies), TRACING_CALLERS):
            ledger.ingest(bodies[number], live=False, told_by="FEED")
            time.sleep(max(begun + (number + 1) * pace - time.perf_counter(), 0))

    def feed_all() -> None:
        with ThreadPoolExecutor(TRACING_CALLERS) as callers:
            list(callers.map(ingest, range(TRACING_CALLERS)))
        seconds.append(time.perf_counter() - begun)
        stop.set()

    seconds: list[float] = []
    feeder = threading.Thread(target=feed_all)
    feeder.start()
    busy = _latencies(trace, rows, stop=stop)
    feeder.join()
    return {
        "ingested_per_second": round(len(bodies) * SMALL_BATCH_ROWS / seconds[0]),
        "traces": len(busy),
        "trace_ms_p50": _percentile(busy, 50),
        "trace_ms_p99": _percentile(busy, 99),
        "trace_ms_max": round(1000 * max(busy), 2),
        "without_ingest_ms_p50": _percentile(quiet, 50),
        "without_ingest_ms_p99": _percentile(quiet, 99),
    }


def _latencies(
    trace: Callable[[int], None], rows: Sequence[int], *, stop: threading.Event | None
) -> list[float]:
    """Seconds of each trace; with `stop`, over and over until it is set, with short pauses."""
    found: list[float] = []
    number = 0
    while number < len(rows) if stop is None else not stop.is_set():
        begun = time.perf_counter()
        trace(rows[number % len(rows)])
        found.append(time.perf_counter() - begun)
        number += 1
        if stop is not None:
            time.sleep(0.001)
    return found


def _percentile(seconds: Sequence[float], percent: float) -> float:
    return round(1000 * float(np.percentile(np.array(seconds), percent)), 3)


def _peers(home: Path, feed: Feed, rows: int, ours: object) -> dict[str, object]:
    """The same rows into PostgreSQL and DuckDB, batch by batch, each batch durable."""
    tables = [feed.table(start, BATCH_ROWS, prefix="P") for start in range(0, rows, BATCH_ROWS)]
    results: dict[str, object] = {}
    assert isinstance(ours, dict), "figures"
    for name, peer in (("postgresql_copy", postgres_copy), ("duckdb_append", duckdb_append)):
        seconds = peer(home / name, tables)
        rate = rows / seconds
        results[name] = {
            "transfers": rows,
            "transfers_per_second": round(rate),
            "ours_times_faster": round(float(ours["transfers_per_second"]) / rate, 1),
        }
    return results


def _anonymous_bytes() -> int:
    """Memory of this process that is backed by no file."""
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


def array_bytes() -> int:
    """Resident memory of the ledger's large reservations: without reserve, huge pages, locked.

    Where the process may not lock memory, other libraries' arenas of that kind count too.
    """
    total = locked = resident = 0
    for line in Path("/proc/self/smaps").read_text("ascii", "replace").splitlines():
        if line.startswith("Rss:"):
            resident = int(line.split()[1]) * 1024
        elif line.startswith("VmFlags:") and {"nr", "hg"} <= set(line.split()):
            total += resident
            locked += resident if "lo" in line.split() else 0
    return locked or total
