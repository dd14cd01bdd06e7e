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
from openaoc.simulation.trial.workers import Runner


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


class PairTrials(msgspec.Struct, frozen=True, kw_only=True):
    """Every trial of two countries there is to run, by its place among the jobs."""

    parameters: Parameters
    seeds: int
    open_linked: OpenLinked

    def says(self, place: int) -> str:
        """Scenario and seed."""
        scenario, seed = self._job(place)
        return f"{scenario.name}, seed {seed}"

    def run(self, place: int, *, stage: Stage) -> KeptPair:
        """Live it, and look at the watch."""
        scenario, seed = self._job(place)
        started = time.monotonic()
        trial = run_pair(
            self.parameters, scenario, seed=seed, stage=stage, open_linked=self.open_linked
        )
        return KeptPair(seconds=round(time.monotonic() - started, 1), trial=trial)

    def _job(self, place: int) -> tuple[PairScenario, int]:
        return list(pair_jobs(self.seeds))[place]


def run_pairs(
    parameters: Parameters,
    *,
    seeds: int,
    results: Path,
    runner: Runner,
    open_linked: OpenLinked,
    say: Callable[[str], None],
) -> Sequence[KeptPair]:
    """All trials, from `results` where they were run with these figures, else run and kept."""
    results.mkdir(parents=True, exist_ok=True)
    todo = list(pair_jobs(seeds))
    found = {
        place: kept
        for place, (scenario, seed) in enumerate(todo)
        if (kept := _kept(parameters, scenario, seed, results=results)) is not None
    }
    trials = PairTrials(parameters=parameters, seeds=seeds, open_linked=open_linked)
    missing = [place for place in range(len(todo)) if place not in found]
    for place, kept in runner.run(trials, missing):
        scenario, seed = todo[place]
        _path(results, scenario, seed).write_bytes(msgspec.json.format(msgspec.json.encode(kept)))
        found[place] = kept
        say(f"{len(found)} of {len(todo)}: {scenario.name}, seed {seed}, {kept.seconds} s")
    return [found[place] for place in range(len(todo))]


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
