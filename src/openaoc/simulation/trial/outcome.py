"""Simulation, trials: many of them, kept one by one, so that what was interrupted goes on.

Runs nothing twice whose figures are the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from openaoc.kernel.errors import BadInput
from openaoc.simulation.parameters import Parameters
from openaoc.simulation.trial.actors import OpenWith
from openaoc.simulation.trial.model import TrialFigures
from openaoc.simulation.trial.run import digest_of, run_trial, without_feed
from openaoc.simulation.trial.scenario import SCENARIOS, Scenario
from openaoc.simulation.trial.sensitivity import SENSITIVITY
from openaoc.simulation.trial.stage import Stage
from openaoc.simulation.trial.workers import Runner

SEEDS_MAX: Final = 100
SENSITIVITY_SEEDS: Final = 2
"""The sensitivity is asked with so many seeds, the first ones."""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A trial that was run, and how many seconds it took on the machine that ran it."""

    seconds: float
    trial: TrialFigures


def jobs(seeds: int) -> Iterator[tuple[Scenario, int]]:
    """Every scenario with every seed from 1, and halfway the sensitivity with the first ones.

    So what is there when it is interrupted is something of every table.
    """
    if not 0 < seeds <= SEEDS_MAX:
        raise BadInput(f"between 1 and {SEEDS_MAX} seeds", where="seeds")
    half = (seeds + 1) // 2
    for some, scenarios in (
        (range(1, half + 1), SCENARIOS),
        (range(1, min(SENSITIVITY_SEEDS, seeds) + 1), SENSITIVITY),
        (range(half + 1, seeds + 1), SCENARIOS),
    ):
        for seed in some:
            for scenario in scenarios:
                yield scenario, seed


class Trials(msgspec.Struct, frozen=True, kw_only=True):
    """Every trial there is to run, by its place among the jobs."""

    parameters: Parameters
    seeds: int
    open_with: OpenWith

    def says(self, place: int) -> str:
        """Scenario and seed."""
        scenario, seed = self._job(place)
        return f"{scenario.name}, seed {seed}"

    def run(self, place: int, *, stage: Stage) -> Kept:
        """Live it, and look at the watch."""
        scenario, seed = self._job(place)
        started = time.monotonic()
        trial = run_trial(
            self.parameters, scenario, seed=seed, stage=stage, open_with=self.open_with
        )
        return Kept(seconds=round(time.monotonic() - started, 1), trial=trial)

    def _job(self, place: int) -> tuple[Scenario, int]:
        return list(jobs(self.seeds))[place]


def run_all(
    parameters: Parameters,
    *,
    seeds: int,
    results: Path,
    runner: Runner,
    open_with: OpenWith,
    say: Callable[[str], None],
) -> Sequence[Kept]:
    """All trials, from `results` where they were run with these figures, else run and kept."""
    results.mkdir(parents=True, exist_ok=True)
    todo = list(jobs(seeds))
    found: dict[int, Kept] = {}

    fed_of = _derived(parameters, todo)

    def keep(place: int, kept: Kept) -> None:
        scenario, seed = todo[place]
        _path(results, scenario, seed).write_bytes(msgspec.json.format(msgspec.json.encode(kept)))
        found[place] = kept
        say(f"{len(found)} of {len(todo)}: {scenario.name}, seed {seed}, {kept.seconds} s")
        derive()

    def derive() -> None:
        for place, fed in fed_of.items():
            if fed in found and place not in found:
                keep(place, _without_feed(parameters, todo[place], found[fed]))

    for place, (scenario, seed) in enumerate(todo):
        kept = _kept(_path(results, scenario, seed), digest=digest_of(parameters, scenario))
        if kept is not None:
            found[place] = kept
    derive()
    trials = Trials(parameters=parameters, seeds=seeds, open_with=open_with)
    missing = [place for place in range(len(todo)) if place not in found and place not in fed_of]
    for place, kept in runner.run(trials, missing):
        keep(place, kept)
    return [found[place] for place in range(len(todo))]


def _derived(parameters: Parameters, todo: Sequence[tuple[Scenario, int]]) -> dict[int, int]:
    """Places of trials that are the arm hop by hop of another, each with the other's place."""
    places = {
        (digest_of(parameters, scenario), seed): place
        for place, (scenario, seed) in enumerate(todo)
    }
    found = {}
    for place, (scenario, seed) in enumerate(todo):
        fed = msgspec.structs.replace(scenario, feed=True)
        if not scenario.feed and (key := (digest_of(parameters, fed), seed)) in places:
            found[place] = places[key]
    return found


def _without_feed(parameters: Parameters, job: tuple[Scenario, int], fed: Kept) -> Kept:
    scenario, _ = job
    trial = without_feed(fed.trial, scenario, digest=digest_of(parameters, scenario))
    return Kept(seconds=0.0, trial=trial)


def all_kept(parameters: Parameters, *, seeds: int, results: Path) -> Sequence[Kept]:
    """The trials of `results` that were run with these figures. Raises BadInput without any base.

    Nothing is run.
    """
    found = [
        kept
        for scenario, seed in jobs(seeds)
        if (kept := _kept(_path(results, scenario, seed), digest=digest_of(parameters, scenario)))
    ]
    if not any(kept.trial.scenario == SCENARIOS[0].name for kept in found):
        raise BadInput("no trial of the scenario base is kept there", where=str(results))
    return found


def _path(results: Path, scenario: Scenario, seed: int) -> Path:
    return results / f"{scenario.name}-{seed}.json"


def _kept(path: Path, *, digest: str) -> Kept | None:
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=Kept)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None
    return kept if kept.trial.figures == digest else None
