"""Trials in several processes: all are lived, and however it ends nothing is left behind."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from openaoc.cli.simulate import _open, _stage
from openaoc.kernel.errors import BadInput, Refused
from openaoc.simulation.trial.outcome import Trials
from openaoc.simulation.trial.scenario import figure
from openaoc.simulation.trial.workers import WORKERS_MAX, Runner, TrialFailed, runner
from tests.simulation.trials import small, told_soon
from tests.simulation.works import BREAKS, DIES, FAILS, LONG, Stages, Works, ask, no_stage


@contextlib.contextmanager
def two(folder: Path) -> Iterator[tuple[Runner, Works]]:
    """Two workers, of which nothing is left afterwards."""
    try:
        with runner(2, stages=Stages(str(folder))) as running:
            yield running, Works(str(folder))
    finally:
        assert not multiprocessing.active_children()
        assert not list(folder.glob("stage-*"))


def wait_for(path: Path) -> None:
    """Until the trial that leaves this file has begun."""
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_two_workers_live_every_trial_once_and_go_on_with_other_work(tmp_path: Path) -> None:
    with two(tmp_path) as (running, works):
        first = dict(running.run(works, range(6)))
        again = dict(running.run(works, [7]))
    assert {place: answer for place, (answer, _) in first.items()} == {n: n for n in range(6)}
    assert set(again) == {7}
    pids = {pid for _, pid in [*first.values(), *again.values()]}
    assert os.getpid() not in pids
    assert len(pids) <= 2, "the same processes"


def test_a_trial_that_fails_is_named_and_ends_the_others(tmp_path: Path) -> None:
    with two(tmp_path) as (running, works), pytest.raises(TrialFailed) as failed:
        dict(running.run(works, [LONG, FAILS, 1]))
    assert str(failed.value) == f"trial {FAILS}: here: not today"
    assert not (tmp_path / "began-1").exists()
    with two(tmp_path) as (running, works), pytest.raises(TrialFailed) as failed:
        dict(running.run(works, [BREAKS]))
    assert str(failed.value) == f"trial {BREAKS}: ZeroDivisionError()"
    assert any("works.py" in note for note in failed.value.__notes__), "where in the code"


def test_a_worker_that_is_killed_is_told_of(tmp_path: Path) -> None:
    stages = Stages(str(tmp_path))
    told = f"trial {DIES}: its worker ended by itself with -9"
    with pytest.raises(TrialFailed, match=told), runner(2, stages=stages) as running:
        dict(running.run(Works(str(tmp_path)), [DIES, LONG]))
    assert len(list(tmp_path.glob("stage-*"))) == 1, "the killed one's, whom nobody can ask"


def test_who_is_interrupted_leaves_nothing_running(tmp_path: Path) -> None:
    def interrupted() -> None:
        with two(tmp_path) as (running, works):
            for place, _ in running.run(works, [1, LONG]):
                assert place == 1
                wait_for(tmp_path / f"began-{LONG}")
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()


def test_whoever_asked_is_killed_and_the_workers_end(tmp_path: Path) -> None:
    asked = multiprocessing.get_context("spawn").Process(target=ask, args=(str(tmp_path), LONG))
    asked.start()
    wait_for(tmp_path / f"began-{LONG}")
    asked.kill()
    asked.join()
    deadline = time.monotonic() + 60
    while list(tmp_path.glob("stage-*")):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_one_worker_is_this_process_and_there_is_a_limit(tmp_path: Path) -> None:
    works = Works(str(tmp_path))
    with runner(1, stages=no_stage) as running:
        assert dict(running.run(works, [3])) == {3: (3, os.getpid())}
        with pytest.raises(Refused, match="not today"):
            dict(running.run(works, [FAILS]))
    for wrong in (0, WORKERS_MAX + 1):
        told = f"workers: between 1 and {WORKERS_MAX}"
        with pytest.raises(BadInput, match=told), runner(wrong, stages=no_stage):
            raise AssertionError


@pytest.mark.long
def test_a_trial_is_the_same_wherever_it_is_lived() -> None:
    few = figure(told_soon(small()), "trial", days=0.2)
    trials = Trials(parameters=few, seeds=1, open_with=_open)
    with runner(2, stages=_stage) as several, runner(1, stages=_stage) as here:
        found = dict(several.run(trials, [0, 1]))
        again = dict(here.run(trials, [0]))
    assert set(found) == {0, 1}
    assert msgspec.json.encode(found[0].trial) == msgspec.json.encode(again[0].trial)
