"""The page of the outcome: from trials to words, a chart, and what is kept between two runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from openaoc.cli.simulate import command
from openaoc.kernel.errors import BadInput
from openaoc.simulation.parameters import load_parameters
from openaoc.simulation.trial import outcome
from openaoc.simulation.trial.chart import NoChart, write_chart
from openaoc.simulation.trial.model import Ended, LayerTimes, TrialFigures
from openaoc.simulation.trial.outcome import Kept, all_kept, jobs, run_all
from openaoc.simulation.trial.page import page
from openaoc.simulation.trial.pair_scenario import PAIR
from openaoc.simulation.trial.run import digest_of
from openaoc.simulation.trial.scenario import SCENARIOS
from openaoc.simulation.trial.sensitivity import SENSITIVITY
from openaoc.simulation.trial.words import percent
from openaoc.simulation.trial.workers import runner
from tests.measures.test_tally import arm, trial
from tests.simulation.works import no_stage

PARAMETERS = load_parameters()


def every(seeds: int) -> list[Kept]:
    """A made-up trial for every job."""
    return [
        Kept(
            seconds=2.0,
            trial=msgspec.structs.replace(
                trial(seed),
                scenario=scenario.name,
                figures=digest_of(PARAMETERS, scenario),
            ),
        )
        for scenario, seed in jobs(seeds)
    ]


def test_the_page_has_every_scenario_and_no_place_left_open() -> None:
    text = page(PARAMETERS, every(2))
    assert "{{" not in text
    assert "}}" not in text
    for scenario in (*SCENARIOS, *SENSITIVITY):
        assert scenario.name in text
    assert "| base | 2 | **10 %** | **20 %** | **10 %** |" in text, "held, a column for each arm"
    assert all(mark in text for mark in ("known", "derived", "assumed", "size"))
    assert "nobody is warned" in text, "why nothing is averted is said"


def test_the_page_is_written_from_what_there_is(tmp_path: Path) -> None:
    base = [kept for kept in every(1) if kept.trial.scenario == "base"]
    text = page(PARAMETERS, base)
    assert "{{" not in text
    assert "| surge |" not in text
    with pytest.raises(BadInput, match="base"):
        all_kept(PARAMETERS, seeds=1, results=tmp_path)
    (tmp_path / "base-1.json").write_bytes(msgspec.json.encode(base[0]))
    assert all_kept(PARAMETERS, seeds=1, results=tmp_path) == base


def test_times_and_ends_stand_for_every_scenario() -> None:
    times = LayerTimes(
        wave="at once",
        layer=2,
        orders=1,
        sent_p50_s=2.0,
        sent_p90_s=9.0,
        applied_p50_s=3.0,
        applied_p90_s=9.0,
    )
    ended = Ended(by="person", count=5, hours_p50=1.0, hours_p90=2.0, stolen_minor=0)
    centre = arm(times=[times], ended=[ended])
    kept = [
        msgspec.structs.replace(one, trial=msgspec.structs.replace(one.trial, centre=centre))
        for one in every(1)
    ]
    text = page(PARAMETERS, kept)
    for scenario in SCENARIOS:
        for shown in ("2.0 s", "3.0 s"):
            assert f"| {scenario.name} | - / - / - | {shown} / - / - |\n" in text
        assert f"| {scenario.name} | person | 500: 60 min, 2.0 h | - | - |" in text


def test_percent_keeps_small_shares_readable() -> None:
    assert [percent(s) for s in (0.0, 0.004, 0.1, 0.256)] == ["0 %", "0.4 %", "10 %", "26 %"]


def test_jobs_are_every_scenario_with_every_seed_and_the_sensitivity_with_few() -> None:
    todo = list(jobs(5))
    assert len(todo) == 5 * len(SCENARIOS) + outcome.SENSITIVITY_SEEDS * len(SENSITIVITY)
    assert len({(scenario.name, seed) for scenario, seed in todo}) == len(todo)
    half = 3 * len(SCENARIOS)
    assert {seed for _, seed in todo[:half]} == {1, 2, 3}
    assert todo[half][0] in SENSITIVITY
    with pytest.raises(BadInput, match="seeds"):
        list(jobs(0))


def test_what_was_run_with_the_same_figures_is_not_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[tuple[str, int]] = []

    def run(_: object, scenario: object, *, seed: int, **__: object) -> TrialFigures:
        name = scenario.name  # type: ignore[attr-defined]  # the part has it
        ran.append((name, seed))
        return next(
            kept.trial
            for kept in every(1)
            if (kept.trial.scenario, kept.trial.seed) == (name, seed)
        )

    monkeypatch.setattr(outcome, "run_trial", run)
    said: list[str] = []

    def go() -> int:
        with runner(1, stages=no_stage) as running:
            found = run_all(
                PARAMETERS,
                seeds=1,
                results=tmp_path / "results",
                runner=running,
                open_with=None,  # type: ignore[arg-type]  # a part is enough
                say=said.append,
            )
        assert [(k.trial.scenario, k.trial.seed) for k in found] == [
            (scenario.name, seed) for scenario, seed in jobs(1)
        ]
        return len(found)

    total = len(SCENARIOS) + len(SENSITIVITY)
    assert go() == total == len(said)
    assert total - len(ran) == 1, "without a feed it is the arm hop by hop of base"
    hop = msgspec.json.decode((tmp_path / "results" / "hop-by-hop-1.json").read_bytes(), type=Kept)
    assert hop.trial.centre == hop.trial.hop_by_hop
    assert not hop.trial.feed
    first = len(ran)
    (tmp_path / "results" / "hop-by-hop-1.json").unlink()
    assert go() == total
    assert len(ran) == first, "nothing is run again, nor what follows from another"
    (tmp_path / "results" / "base-1.json").write_text("{}")
    surge = tmp_path / "results" / "surge-1.json"
    surge.write_bytes(surge.read_bytes().replace(b'"figures": "', b'"figures": "0'))
    go()
    assert ran[first:] == [("base", 1), ("surge", 1)], "damaged, or of other figures"


def test_the_chart_is_the_same_each_time(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    trials = [kept.trial for kept in every(2)]
    names = [scenario.name for scenario in SCENARIOS]
    write_chart(tmp_path / "one.svg", trials, names)
    write_chart(tmp_path / "two.svg", trials, names)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_without_matplotlib_the_chart_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(NoChart, match="development"):
        write_chart(tmp_path / "one.svg", [], [])
    before = CliRunner().invoke(command, ["--outcome", str(tmp_path / "page.md")])
    assert isinstance(before.exception, NoChart), "not after an hour of trials"


def test_the_command_names_its_scenarios_and_refuses_others() -> None:
    call = [sys.executable, "-c", "from openaoc.cli.main import main; main()", "simulate"]
    told = CliRunner().invoke(command, ["--scenario", "list", "--json"])
    named = {one["scenario"] for one in msgspec.json.decode(told.output)}
    assert {scenario.name for scenario in (*SCENARIOS, PAIR)} < named
    refused = subprocess.run([*call, "--scenario", "nothing"], capture_output=True, check=False)
    assert refused.returncode == 1
    assert "told-in-10-minutes" in refused.stderr.decode()


def test_the_command_shows_shares_times_and_ends_of_each_arm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    times = LayerTimes(
        wave="at once",
        layer=3,
        orders=7,
        sent_p50_s=2.0,
        sent_p90_s=9.5,
        applied_p50_s=None,
        applied_p90_s=None,
    )
    ended = Ended(by="person", count=5, hours_p50=1.5, hours_p90=2.5, stolen_minor=12_300)
    lived = msgspec.structs.replace(trial(1), centre=arm(times=[times], ended=[ended]))
    monkeypatch.setattr("openaoc.simulation.trial.stage.stage", no_stage)
    monkeypatch.setattr("openaoc.simulation.trial.run.run_trial", lambda *_, **__: lived)
    text = CliRunner().invoke(command, ["--scenario", "base"]).output
    lines = [" ".join(line.split()) for line in text.splitlines()]
    held = next(place for place, line in enumerate(lines) if line.startswith("held, baht"))
    assert lines[held + 1] == "of what was attempted 10 % 20 % 10 %"
    assert "centre at once 3 7 2.0 s 9.5 s - -" in lines
    assert "centre person 5 1.5 2.5 123" in lines
