"""Bench: how long a trace takes in a ledger of N transfers, beside two databases in the same run.

Answers in microseconds, medians and 99th percentiles over mule chains: by the clock, and of the
processor alone, which other programs do not slow down. Measures this machine only.
"""

from __future__ import annotations

import os
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

    `plan` is the fifo trace and the list of what to hold on which account. `look` is what the
    centre asks before it orders holds: the fifo trace with names, and the amount on each account
    under every rule and with openings unknown.
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
        "machine": f"{platform.machine()}, {os.cpu_count()} processors, {platform.system()}",
        "load_average": os.getloadavg()[0],
        "build_s": round(built, 1),
    }
    found: dict[Rule, list[CaseTrace]] = {}
    for rule in Rule:
        traces: list[CaseTrace] = []
        found[rule] = traces

        def ask(row: int, rule: Rule = rule, traces: list[CaseTrace] = traces) -> None:
            traces.extend(_one(world, row, rule))

        result[rule.value] = _time(ask, rows).figures() | _reach(found[rule])
    result["plan"] = _time(lambda row: _plan(_one(world, row, Rule.FIFO)[0]), rows).figures()
    service = Tracing(_Numbers(world.arrays))
    claim = {row: [CaseClaim(row=row, filed=0)] for row in rows}
    result["look"] = _time(lambda row: service.preview("case", claim[row]), rows).figures()
    if peers:
        result |= _against_peers(world, rows, found[Rule.FIFO])
    return result


def _one(world: World, row: int, rule: Rule) -> list[CaseTrace]:
    return trace_cases(world.arrays, [Claim(row)], rule=rule)


class Taken(NamedTuple):
    """Microseconds of each call, by the clock and of this thread's processor time."""

    wall: list[float]
    cpu: list[float]

    def figures(self) -> Figures:
        """Medians, 99th percentiles and the longest."""
        return figures(self.wall) | {
            "cpu_p50_us": round(float(np.percentile(self.cpu, 50)), 1),
            "cpu_p99_us": round(float(np.percentile(self.cpu, 99)), 1),
            "cpu_max_us": round(max(self.cpu), 1),
        }


def _time(ask: Callable[[int], object], rows: Sequence[int]) -> Taken:
    """How long each call takes, after a few that do not count."""
    for row in rows[:3]:
        ask(row)
    taken = Taken([], [])
    for row in rows:
        worked, begun = time.thread_time(), time.perf_counter()
        ask(row)
        taken.wall.append((time.perf_counter() - begun) * 1e6)
        taken.cpu.append((time.thread_time() - worked) * 1e6)
    return taken


def figures(taken: Sequence[float]) -> Figures:
    """Median, 99th percentile and longest by the clock, in microseconds."""
    return {
        "p50_us": round(float(np.percentile(taken, 50)), 1),
        "p99_us": round(float(np.percentile(taken, 99)), 1),
        "max_us": round(max(taken), 1),
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
    """The peer's figures, ours on the same origins in the same minute, and the ratio.

    Both say the amount on each account. `first`: an origin asked for the first time, as a new case
    is; the rest: asked again, when its pages are in the processor's caches.
    """

    def own(row: int) -> dict[int, int]:
        return _left(_one(world, row, Rule.FIFO)[0])

    right = expected[: len(rows)]
    first, theirs, own_first, ours = (
        trace_peers.microseconds(asked, rows, right) for asked in (ask, ask, own, own)
    )
    return figures(theirs) | {
        "traces": len(rows),
        "ours_p50_us": figures(ours)["p50_us"],
        "times_longer": round(float(np.median(theirs) / np.median(ours)), 1),
        "first_p50_us": figures(first)["p50_us"],
        "ours_first_p50_us": figures(own_first)["p50_us"],
        "first_times_longer": round(float(np.median(first) / np.median(own_first)), 1),
    }


def _left(trace: CaseTrace) -> dict[int, int]:
    """What is left of an origin, as the peers say it."""
    left = trace.located_minor()
    if trace.exited_minor:
        left[-1] = trace.exited_minor
    return left


def _plan(trace: CaseTrace) -> list[tuple[int, int]]:
    """What to hold on which account: nothing of the payer's own, nothing on a hub."""
    return [
        (item.account, item.amount_minor)
        for item in trace.located
        if not (item.returned or item.hub)
    ]
