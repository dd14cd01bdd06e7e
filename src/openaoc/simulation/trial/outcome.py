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


def run_all(
    parameters: Parameters,
    *,
    seeds: int,
    results: Path,
    stage: Stage,
    open_with: OpenWith,
    say: Callable[[str], None],
) -> Sequence[Kept]:
    """All trials, from `results` where they were run with these figures, else run and kept."""
    results.mkdir(parents=True, exist_ok=True)
    found = []
    done: dict[tuple[str, int], TrialFigures] = {}
    todo = list(jobs(seeds))
    for place, (scenario, seed) in enumerate(todo, start=1):
        path = _path(results, scenario, seed)
        kept = _kept(path, digest=digest_of(parameters, scenario))
        if kept is None:
            started = time.monotonic()
            fed = done.get(
                (digest_of(parameters, msgspec.structs.replace(scenario, feed=True)), seed)
            )
            if fed is None or scenario.feed:
                trial = run_trial(parameters, scenario, seed=seed, stage=stage, open_with=open_with)
            else:
                trial = without_feed(fed, scenario, digest=digest_of(parameters, scenario))
            kept = Kept(seconds=round(time.monotonic() - started, 1), trial=trial)
            path.write_bytes(msgspec.json.format(msgspec.json.encode(kept)))
            say(f"{place} of {len(todo)}: {scenario.name}, seed {seed}, {kept.seconds} s")
        found.append(kept)
        done[kept.trial.figures, seed] = kept.trial
    return found


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
