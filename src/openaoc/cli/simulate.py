"""CLI: `openaoc simulate`: one trial with and without a centre, or all of them into a page.

Needs no running centre: it makes one of its own, in a temporary folder, and removes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from openaoc.cli.output import json_option, note, say, show_json, show_table, working

if TYPE_CHECKING:
    from openaoc.channels.transport import Transport
    from openaoc.kernel.clock import ManualClock
    from openaoc.kernel.settings import Settings
    from openaoc.simulation.trial.actors import OpenCentre
    from openaoc.simulation.trial.guesses import GuessFigures
    from openaoc.simulation.trial.model import ArmFigures, TrialFigures
    from openaoc.simulation.trial.pair_model import PairTrial
    from openaoc.simulation.trial.pair_scenario import PairScenario
    from openaoc.simulation.trial.stage import Stage


@click.command("simulate")
@click.option("--scenario", default="base", show_default=True, help="Which; `list` names them.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
@click.option(
    "--outcome",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Run every scenario with many seeds and write this page, with its chart in images/; "
    "with --scenario two-countries that part of it alone.",
)
@click.option("--seeds", type=click.IntRange(1, 100), default=10, show_default=True)
@click.option(
    "--results",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("simulation-results"),
    show_default=True,
    help="With --outcome: where each trial is kept, so that what was interrupted goes on.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="With --outcome: so many trials at a time, each in a process with a database of its own.",
)
@click.option("--kept", is_flag=True, help="With --outcome: from the trials kept; run nothing.")
@click.option(
    "--guesses",
    is_flag=True,
    help="Instead of a trial: in --seeds nations of the scenario, how often the tests of honest "
    "commerce and of mules, and the ranking of orders, are right.",
)
@json_option
def command(
    *,
    scenario: str,
    seed: int,
    outcome: Path | None,
    seeds: int,
    results: Path,
    workers: int,
    kept: bool,
    guesses: bool,
    as_json: bool,
) -> None:
    """Live a simulated nation: with the centre, with one without a feed, and by telephone.

    The same scenario and seed give the same figures each time. A trial takes half a minute or so.
    The scenario two-countries lives two nations side by side, whose centres exchange or do not; it
    takes some minutes.
    """
    from openaoc.cli.logs import configure
    from openaoc.simulation.parameters import load_parameters
    from openaoc.simulation.trial.pair_scenario import PAIR, PAIR_SENSITIVITY
    from openaoc.simulation.trial.run import run_trial
    from openaoc.simulation.trial.scenario import SCENARIOS, scenario_named

    if scenario == "list":
        every = (*SCENARIOS, PAIR, *PAIR_SENSITIVITY)
        if as_json:
            show_json([{"scenario": one.name, "says": one.says} for one in every])
        else:
            show_table(["scenario", "says"], [[one.name, one.says] for one in every])
        return
    configure(level="error")
    if guesses:
        _guesses(scenario, seeds=seeds, as_json=as_json)
        return
    if outcome is not None:
        write = _renew if scenario == PAIR.name else _outcome
        many = None if kept else workers
        write(outcome, seeds=seeds, results=results, workers=many, as_json=as_json)
        return
    pairs = {one.name: one for one in (PAIR, *PAIR_SENSITIVITY)}
    if scenario in pairs:
        _two_countries(pairs[scenario], seed=seed, as_json=as_json)
        return
    wanted = scenario_named(scenario)
    with working("the nation is lived"), _stage() as made:
        trial = run_trial(load_parameters(), wanted, seed=seed, stage=made, open_with=_open)
    if as_json:
        show_json(trial)
    else:
        _show(trial)


def _guesses(name: str, *, seeds: int, as_json: bool) -> None:
    from openaoc.simulation.parameters import load_parameters
    from openaoc.simulation.trial.guesses import SHORT_PAST_DAYS, measure_guesses
    from openaoc.simulation.trial.scenario import scenario_named

    scenario, nation = scenario_named(name), load_parameters()
    with working("nations are lived"):
        found = [
            measure_guesses(nation, scenario, seeds=range(1, seeds + 1), past_days=days)
            for days in (None, SHORT_PAST_DAYS)
        ]
    if as_json:
        show_json({"guesses": found})
        return
    for one in found:
        _show_guesses(one)


def _show_guesses(found: GuessFigures) -> None:
    known = f"{found.past_days:g} days known before"
    say(f"{found.scenario}, {found.seeds} seeds, {found.reports} reports, {known}")
    holders = [(h.holder, h.accounts, h.likely_innocent, h.likely_mule) for h in found.holders]
    show_table(("holder in truth", "accounts", "likely innocent", "likely mule"), holders)
    rows = [
        (f"{r.from_chance:g} to {r.to_chance:g}", r.places, _share(r.said), _share(r.moved))
        for r in found.ranking
    ]
    show_table(("chance to move", "places", "said", f"moved in {found.horizon_s:.0f} s"), rows)
    say(f"mean squared error of the chances: {_share(found.brier)}")


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


@contextmanager
def _stage() -> Iterator[Stage]:
    """A stage, in this process or a worker, where nothing but errors is logged."""
    from openaoc.cli.logs import configure
    from openaoc.simulation.trial.stage import stage

    configure(level="error")
    with stage() as made:
        yield made


def _open(settings: Settings, clock: ManualClock) -> AbstractContextManager[OpenCentre]:
    from openaoc.bootstrap import build_centre

    return build_centre(settings, clock=clock).opened()


def _open_linked(
    settings: Settings, clock: ManualClock, line: Transport
) -> AbstractContextManager[OpenCentre]:
    from openaoc.bootstrap import build_centre

    return build_centre(settings, clock=clock, line_to=line).opened()


def _two_countries(scenario: PairScenario, *, seed: int, as_json: bool) -> None:
    from openaoc.simulation.parameters import load_parameters
    from openaoc.simulation.trial.pair_run import run_pair

    with working("two nations are lived"), _stage() as made:
        trial = run_pair(
            load_parameters(), scenario, seed=seed, stage=made, open_linked=_open_linked
        )
    if as_json:
        show_json(trial)
    else:
        _show_pair(trial)


def _renew(path: Path, *, seeds: int, results: Path, workers: int | None, as_json: bool) -> None:
    """The part of a page that is about two countries, alone; without workers from what is kept."""
    from openaoc.kernel.errors import BadInput
    from openaoc.simulation.parameters import load_parameters
    from openaoc.simulation.trial.pair_outcome import kept_pairs, run_pairs
    from openaoc.simulation.trial.pair_page import pair_section, renewed
    from openaoc.simulation.trial.workers import runner

    parameters = load_parameters()
    if not path.exists():
        raise BadInput("there is no such page yet: write all of it first", where=str(path))
    if workers is None:
        pairs = kept_pairs(parameters, seeds=seeds, results=results)
    else:
        with runner(workers, stages=_stage) as running:
            pairs = run_pairs(
                parameters,
                seeds=seeds,
                results=results,
                runner=running,
                open_linked=_open_linked,
                say=note,
            )
    text = renewed(path.read_text("utf-8"), pair_section(parameters, pairs))
    path.write_text(text, "utf-8")
    if as_json:
        show_json({"page": str(path), "trials": len(pairs)})
    else:
        say(f"{path}, from {len(pairs)} trials")


def _outcome(path: Path, *, seeds: int, results: Path, workers: int | None, as_json: bool) -> None:
    """All of the page, and its chart; without workers from the trials that are kept."""
    from openaoc.simulation.parameters import load_parameters
    from openaoc.simulation.trial.chart import check_chart, write_chart
    from openaoc.simulation.trial.outcome import all_kept, run_all
    from openaoc.simulation.trial.page import page
    from openaoc.simulation.trial.pair_outcome import kept_pairs, run_pairs
    from openaoc.simulation.trial.scenario import SCENARIOS
    from openaoc.simulation.trial.workers import runner

    check_chart()
    chart = path.parent / "images" / f"{path.stem}.svg"
    chart.parent.mkdir(parents=True, exist_ok=True)
    parameters = load_parameters()
    if workers is None:
        kept = all_kept(parameters, seeds=seeds, results=results)
        pairs = kept_pairs(parameters, seeds=seeds, results=results)
    else:
        with runner(workers, stages=_stage) as running:
            kept = run_all(
                parameters,
                seeds=seeds,
                results=results,
                runner=running,
                open_with=_open,
                say=note,
            )
            pairs = run_pairs(
                parameters,
                seeds=seeds,
                results=results,
                runner=running,
                open_linked=_open_linked,
                say=note,
            )
    trials = [one.trial for one in kept]
    names = [one.name for one in SCENARIOS if any(t.scenario == one.name for t in trials)]
    write_chart(chart, trials, names)
    path.write_text(page(parameters, kept, pairs), "utf-8")
    count = len(kept) + len(pairs)
    if as_json:
        show_json({"page": str(path), "chart": str(chart), "trials": count})
    else:
        say(f"{path} and {chart}, from {count} trials")


def _show(trial: TrialFigures) -> None:
    from openaoc.simulation.trial.words import percent

    every = {"centre": trial.centre, "hop by hop": trial.hop_by_hop, "telephone": trial.telephone}
    rows = []
    for name in ("attempted_minor", "held_minor", "averted_minor", "returned_minor"):
        amounts = [getattr(arm, name) for arm in every.values()]
        rows.append([f"{name.removesuffix('_minor')}, baht", *(f"{a // 100:,}" for a in amounts)])
        if name != "attempted_minor":
            whole = [max(arm.attempted_minor, 1) for arm in every.values()]
            shares = [percent(part / of) for part, of in zip(amounts, whole, strict=True)]
            rows.append(["  of what was attempted", *shares])
    counts = ("reports", "orders", "innocents", "innocents_felt", "innocents_per_1000")
    for name in (*counts, "innocent_baht_hours", "innocent_baht_hours_per_1000"):
        found = [round(getattr(arm, name)) for arm in every.values()]
        rows.append([name.replace("_", " "), *(f"{one:,}" for one in found)])
    say(f"{trial.scenario}, seed {trial.seed}: {trial.says}")
    show_table(["", *every], rows)
    _show_times(every)
    _show_ended(every)


def _show_times(every: dict[str, ArmFigures]) -> None:
    from openaoc.simulation.trial.words import duration

    say("\nhow long an order takes, by layer")
    heads = ["", "wave", "layer", "orders", "sent p50", "p90", "applied p50", "p90"]
    rows = []
    for name, arm in every.items():
        for one in arm.times:
            sent = (one.sent_p50_s, one.sent_p90_s)
            seconds = (*sent, one.applied_p50_s, one.applied_p90_s)
            took = (duration(each) for each in seconds)
            rows.append([name, one.wave, one.layer, one.orders, *took])
    show_table(heads, rows)


def _show_ended(every: dict[str, ArmFigures]) -> None:
    say("\nwhat ended holds, and after how many hours")
    rows = [
        [name, one.by, one.count, one.hours_p50, one.hours_p90, one.stolen_minor // 100]
        for name, arm in every.items()
        for one in arm.ended
    ]
    show_table(["", "by", "times", "p50", "p90", "stolen baht given back"], rows)


def _show_pair(trial: PairTrial) -> None:
    rows = []
    lives = (trial.exchange, trial.alone, trial.telephone)
    names = ("attempted_minor", "held_minor", "averted_minor", "returned_minor")
    for place, country in enumerate(one.country for one in trial.exchange):
        for name in names:
            amounts = [getattr(life[place].figures, name) // 100 for life in lives]
            rows.append([f"{country} {name.removesuffix('_minor')}, baht", *amounts])
        innocents = [life[place].figures.innocents for life in lives]
        rows.append([f"{country} innocents", *innocents])
        cross = [life[place].cross for life in lives]
        rows.append([f"{country} crossed, baht", *(one.crossed_minor // 100 for one in cross)])
        rows.append([f"{country} requests answered", *(one.answered for one in cross)])
    say(f"{trial.scenario}, seed {trial.seed}: {trial.says}")
    show_table(["", "with the exchange", "each alone", "telephone"], rows)
