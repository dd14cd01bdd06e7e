"""Bench: how long a trace takes in a ledger of N transfers, beside two databases in the same run.

Answers in microseconds, medians and 99th percentiles over mule chains. Measures this machine only.
"""

from __future__ import annotations

import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from openaoc.bench import trace_peers
from openaoc.bench.mules import World, mule_world
from openaoc.ledger.arrays import LedgerArrays
from openaoc.tracing.engine import trace_cases
from openaoc.tracing.model import CaseTrace, Claim, Rule
from openaoc.tracing.service import CaseClaim, Tracing
from openaoc.tracing.warm import warm

TRACES: Final = 2_000
POSTGRES_TRACES: Final = 200
DUCKDB_TRACES: Final = 5
Figures = dict[str, float | int | str]


class _Name(NamedTuple):
    bank: str
    account: str
    currency: str


class _Row(NamedTuple):
    transfer_id: str


class _Numbers:
    """The world as the tracing service sees a ledger; names are numbers."""

    def __init__(self, arrays: LedgerArrays) -> None:
        self._arrays = arrays

    @contextmanager
    def reading(self) -> Iterator[LedgerArrays]:
        yield self._arrays

    def account(self, index: int, /) -> _Name:
        return _Name("BANK", str(index), "THB")

    def transfer(self, row: int, /) -> _Row:
        return _Row(str(row))


def run(*, transfers: int = 10_000_000, peers: bool = True, seed: int = 1) -> dict[str, object]:
    """Trace mule chains in a synthetic ledger under each rule.

    `look` is what the centre asks before it plans holds: the fifo trace with names, and the amount
    on each account under every rule and with openings unknown.
    """
    begun = time.perf_counter()
    world = mule_world(transfers, seed=seed)
    built = time.perf_counter() - begun
    warm()
    rows = world.origins[:: max(len(world.origins) // TRACES, 1)][:TRACES].tolist()
    result: dict[str, object] = {
        "transfers": len(world.arrays.time_us),
        "accounts": len(world.arrays.base_in),
        "traces": len(rows),
        "machine": f"{platform.machine()}, {_processors()} processors, {platform.system()}",
        "build_s": round(built, 1),
    }
    found: dict[Rule, list[CaseTrace]] = {}
    for rule in Rule:
        traces: list[CaseTrace] = []
        found[rule] = traces

        def ask(row: int, rule: Rule = rule, traces: list[CaseTrace] = traces) -> None:
            traces.extend(_one(world, row, rule))

        taken = _time(ask, rows)
        result[rule.value] = figures(taken) | _reach(found[rule])
    service = Tracing(_Numbers(world.arrays))
    claim = {row: [CaseClaim(row=row, filed=0)] for row in rows}
    result["look"] = figures(_time(lambda row: service.preview("case", claim[row]), rows))
    if peers:
        result |= _against_peers(world, rows, found[Rule.FIFO])
    return result


def _one(world: World, row: int, rule: Rule) -> list[CaseTrace]:
    return trace_cases(world.arrays, [Claim(row)], rule=rule)


def _time(ask: Callable[[int], object], rows: Sequence[int]) -> list[float]:
    """Microseconds each call takes, after a few that do not count."""
    for row in rows[:3]:
        ask(row)
    taken = []
    for row in rows:
        begun = time.perf_counter()
        ask(row)
        taken.append((time.perf_counter() - begun) * 1e6)
    return taken


def figures(taken: Sequence[float]) -> Figures:
    """Median and 99th percentile, in microseconds."""
    return {
        "p50_us": round(float(np.percentile(taken, 50)), 1),
        "p99_us": round(float(np.percentile(taken, 99)), 1),
        "max_us": round(float(np.max(taken)), 1),
    }


def _reach(traces: Sequence[CaseTrace]) -> Figures:
    carried = [len(trace.transfers) for trace in traces]
    return {
        "transfers_p50": int(np.percentile(carried, 50)),
        "transfers_p99": int(np.percentile(carried, 99)),
        "truncated": sum(trace.truncated is not None for trace in traces),
    }


def _against_peers(
    world: World, rows: Sequence[int], traces: Sequence[CaseTrace]
) -> dict[str, object]:
    """The same origins asked of the databases, and how much longer they take at the median."""
    expected = [_left(trace) for trace in traces[-len(rows) :]]
    result: dict[str, object] = {}
    home = Path(tempfile.mkdtemp(prefix="openaoc-bench-"))
    try:
        with trace_peers.postgres(home / "postgres", world) as ask:
            result["postgres"] = _peer(world, ask, rows[:POSTGRES_TRACES], expected)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    with trace_peers.in_duckdb(world) as ask:
        result["duckdb"] = _peer(world, ask, rows[:DUCKDB_TRACES], expected)
    return result


def _peer(
    world: World,
    ask: trace_peers.Asked,
    rows: Sequence[int],
    expected: Sequence[dict[int, int]],
) -> Figures:
    """The peer's figures, ours on the same origins in the same minute, and the ratio."""
    for row in rows[:3]:
        ask(row)
    theirs = trace_peers.microseconds(ask, rows, expected[: len(rows)])
    ours = _time(lambda row: _one(world, row, Rule.FIFO), rows)
    ratio = float(np.percentile(theirs, 50)) / float(np.percentile(ours, 50))
    found = figures(theirs)
    found["traces"] = len(rows)
    found["ours_p50_us"] = figures(ours)["p50_us"]
    found["times_longer"] = round(ratio, 1)
    return found


def _left(trace: CaseTrace) -> dict[int, int]:
    """What is left of an origin, as the peers say it."""
    left = {item.account: item.amount_minor for item in trace.located}
    exited = sum(item.amount_minor for item in trace.exited)
    return left | ({-1: exited} if exited else {})


def _processors() -> int:
    import os

    return os.cpu_count() or 1
