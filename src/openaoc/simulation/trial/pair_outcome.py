"""Simulation, trials: many trials of two countries, kept one by one as the others are."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from openaoc.simulation.parameters import Parameters
from openaoc.simulation.trial.outcome import SENSITIVITY_SEEDS
from openaoc.simulation.trial.pair_model import PairTrial
from openaoc.simulation.trial.pair_run import OpenLinked, Pair, run_pair
from openaoc.simulation.trial.pair_scenario import PAIR, PAIR_SENSITIVITY, PairScenario
from openaoc.simulation.trial.stage import Stage


class KeptPair(msgspec.Struct, frozen=True, kw_only=True):
    """A trial that was run, and how many seconds it took on the machine that ran it."""

    seconds: float
    trial: PairTrial


def pair_jobs(seeds: int) -> Iterator[tuple[PairScenario, int]]:
    """The two countries with every seed from 1, and their sensitivity with the first ones."""
    for seed in range(1, seeds + 1):
        yield PAIR, seed
    for scenario in PAIR_SENSITIVITY:
        for seed in range(1, min(SENSITIVITY_SEEDS, seeds) + 1):
            yield scenario, seed


def run_pairs(
    parameters: Parameters,
    *,
    seeds: int,
    results: Path,
    stage: Stage,
    open_linked: OpenLinked,
    say: Callable[[str], None],
) -> Sequence[KeptPair]:
    """All trials, from `results` where they were run with these figures, else run and kept."""
    results.mkdir(parents=True, exist_ok=True)
    found = []
    todo = list(pair_jobs(seeds))
    for place, (scenario, seed) in enumerate(todo, start=1):
        kept = _kept(parameters, scenario, seed, results=results)
        if kept is None:
            started = time.monotonic()
            trial = run_pair(parameters, scenario, seed=seed, stage=stage, open_linked=open_linked)
            kept = KeptPair(seconds=round(time.monotonic() - started, 1), trial=trial)
            path = _path(results, scenario, seed)
            path.write_bytes(msgspec.json.format(msgspec.json.encode(kept)))
            say(f"{place} of {len(todo)}: {scenario.name}, seed {seed}, {kept.seconds} s")
        found.append(kept)
    return found


def kept_pairs(parameters: Parameters, *, seeds: int, results: Path) -> Sequence[KeptPair]:
    """The trials of `results` that were run with these figures. Nothing is run."""
    found = (
        _kept(parameters, scenario, seed, results=results) for scenario, seed in pair_jobs(seeds)
    )
    return [kept for kept in found if kept is not None]


def _path(results: Path, scenario: PairScenario, seed: int) -> Path:
    return results / f"pair-{scenario.name}-{seed}.json"


def _kept(
    parameters: Parameters, scenario: PairScenario, seed: int, *, results: Path
) -> KeptPair | None:
    try:
        path = _path(results, scenario, seed)
        kept = msgspec.json.decode(path.read_bytes(), type=KeptPair)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None
    digest = Pair(parameters, scenario, seed=seed).digest()
    return kept if kept.trial.figures == digest else None
