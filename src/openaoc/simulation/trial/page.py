"""Simulation, trials: the page of the outcome, from a template and the trials that were run.

Writes figures into prose that stands in outcome.md.in; says nothing that is not computed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import resources
from typing import Final

import msgspec

from openaoc.simulation.parameters import Marked, Parameters
from openaoc.simulation.trial.measures import (
    ARMS,
    OfScenario,
    Spread,
    arms,
    blocked_for,
    hours_for,
    middle,
    of_scenario,
    times_of,
)
from openaoc.simulation.trial.model import ArmFigures, LayerTimes, TrialFigures
from openaoc.simulation.trial.outcome import SENSITIVITY_SEEDS, Kept
from openaoc.simulation.trial.pair_outcome import KeptPair
from openaoc.simulation.trial.pair_page import pair_section
from openaoc.simulation.trial.scenario import SCENARIOS, Scenario
from openaoc.simulation.trial.sensitivity import SENSITIVITY
from openaoc.simulation.trial.tally import Reason
from openaoc.simulation.trial.words import (
    HOUR_S,
    MINUTE_S,
    duration,
    millions,
    percent,
    spread,
    table,
    whole,
)

TEMPLATE: Final = "outcome.md.in"
WAVES: Final = (
    ("centre: at once", "at once", "centre"),
    ("centre: confirmed", "confirmed", "centre"),
    ("centre: followed", "followed", "centre"),
    ("hop by hop", "hop by hop", "hop by hop"),
    ("telephone", "telephone", "telephone"),
)
EVERYWHERE: Final = (
    ("at once", "centre"),
    ("hop by hop", "hop by hop"),
    ("telephone", "telephone"),
)
"""The wave of each arm that is shown for every scenario."""
LAYERS: Final = range(1, 10)
TOLD: Final = "told-in-10-minutes"
CALIBRATION: Final = ("uncalibrated", "rest-0.10", "base", "rest-0.20")


def page(parameters: Parameters, kept: Sequence[Kept], pairs: Sequence[KeptPair] = ()) -> str:
    """The whole page; `pairs`: the trials of two countries."""
    trials = [one.trial for one in kept]
    base = {arm: of_scenario(trials, "base", arm) for arm in ARMS}
    follow = parameters.telephone.follow_least_minor.value // 100
    seconds = sum(one.seconds for one in kept)
    parts = {
        "summary": _summary(trials, base),
        "follow": f"{follow:,}",
        "size": _size(parameters, trials),
        "returned_share": percent(parameters.people.returned_share.value),
        "held": _by_arm(trials, lambda found: found.held, percent),
        "averted": _by_arm(trials, lambda found: found.averted, percent),
        "returned": _returned(trials),
        "innocents": _by_arm(trials, lambda found: found.innocents, whole),
        "felt": _by_arm(trials, lambda found: found.innocents_felt, whole),
        "baht_hours": _by_arm(trials, lambda found: found.innocent_baht_hours, millions),
        "orders": _by_arm(trials, lambda found: found.orders, lambda value: f"{value:.1f}"),
        "scenarios": "\n".join(f"* **{s.name}**: {s.says}" for s in SCENARIOS),
        "sent": _times(trials, lambda one: (one.sent_p50_s, one.sent_p90_s)),
        "applied": _times(trials, lambda one: (one.applied_p50_s, one.applied_p90_s)),
        "sent_everywhere": _times_everywhere(trials, lambda one: one.sent_p50_s),
        "applied_everywhere": _times_everywhere(trials, lambda one: one.applied_p50_s),
        "ended": _ended(trials),
        "clean": _clean(trials),
        "sensitivity_seeds": str(min(SENSITIVITY_SEEDS, base["centre"].seeds)),
        "sensitivity": _sensitivity(trials),
        "calibration": _calibration(trials),
        "freezes": f"{base['telephone'].orders.pooled:.0f}",
        "two_countries": pair_section(parameters, pairs),
        "took": f"{len(kept)} trials, {seconds / MINUTE_S:.0f} minutes of a busy machine's time.",
        "figures": _figures(parameters),
    }
    text = resources.files("openaoc.simulation.trial").joinpath(TEMPLATE).read_text("utf-8")
    for name, part in parts.items():
        text = text.replace("{{" + name + "}}", part)
    return text


def _summary(trials: Sequence[TrialFigures], base: dict[str, OfScenario]) -> str:
    centre, hop, telephone = (base[arm] for arm in ARMS)
    ratio = telephone.innocent_baht_hours.pooled / max(centre.innocent_baht_hours.pooled, 1.0)
    text = (
        "With victims who notice after a day, most of the money has left before anybody is told: "
        f"of the loss attempted a centre with a feed holds {percent(centre.held.pooled)}, one that "
        f"asks hop by hop {percent(hop.held.pooled)}, today's telephone "
        f"{percent(telephone.held.pooled)}. What differs more is who pays for it: the centre "
        f"blocks {millions(centre.innocent_baht_hours.pooled)} baht-hours of innocent people's "
        f"money per 1,000 cases, hop by hop {millions(hop.innocent_baht_hours.pooled)}, the "
        f"telephone {millions(telephone.innocent_baht_hours.pooled)}, {ratio:,.0f} times the "
        "centre's, because it freezes whole accounts. Of the loss attempted "
        f"{percent(centre.returned.pooled)} comes back to victims with the centre; nothing is "
        "averted, because in these trials nobody is warned."
    )
    if not any(trial.scenario == TOLD for trial in trials):
        return text
    told = [percent(of_scenario(trials, TOLD, arm).held.pooled) for arm in ARMS]
    return (
        f"{text} If victims notice within ten minutes, the centre holds {told[0]}, hop by hop "
        f"{told[1]}, and the telephone {told[2]}."
    )


def _size(parameters: Parameters, trials: Sequence[TrialFigures]) -> str:
    seeds = len({trial.seed for trial in trials if trial.scenario == "base"})
    one = next(trial for trial in trials if trial.scenario == "base")
    mean = sum(t.centre.attempted_minor for t in trials if t.scenario == "base") / seeds
    return (
        f"Each nation has {one.accounts:,} accounts and {one.scams} scams in {one.days:g} days, "
        f"{mean / 100 / one.scams:,.0f} baht each on average, and is lived for "
        f"{parameters.trial.until_s.value / HOUR_S / 24:.0f} days, and until day "
        f"{parameters.trial.settled_s.value / HOUR_S / 24:.0f} with courts and payments alone; "
        f"{seeds} seeds."
    )


def _there(trials: Sequence[TrialFigures], scenarios: Sequence[Scenario]) -> list[Scenario]:
    """The scenarios that were run."""
    names = {trial.scenario for trial in trials}
    return [scenario for scenario in scenarios if scenario.name in names]


def _by_arm(
    trials: Sequence[TrialFigures],
    figure: Callable[[OfScenario], Spread],
    show: Callable[[float], str],
) -> str:
    """One figure: a row for each scenario, a column for each arm."""
    rows = []
    for scenario in _there(trials, SCENARIOS):
        found = [of_scenario(trials, scenario.name, arm) for arm in ARMS]
        cells = [spread(figure(one), show) for one in found]
        rows.append([scenario.name, str(found[0].seeds), *cells])
    return table(["scenario", "seeds", *ARMS], rows)


def _returned(trials: Sequence[TrialFigures]) -> str:
    rows = []
    for scenario in _there(trials, SCENARIOS):
        centre, hop, telephone = (of_scenario(trials, scenario.name, arm) for arm in ARMS)
        rows.append(
            [
                scenario.name,
                spread(centre.returned, percent),
                percent(centre.returned_clean.pooled),
                spread(hop.returned, percent),
                percent(hop.returned_clean.pooled),
                percent(telephone.returned.pooled),
                percent(telephone.standing.pooled),
            ]
        )
    heads = ["scenario", "centre", "beyond", "hop by hop", "beyond", "telephone, set"]
    return table([*heads, "telephone, at most"], rows)


def _times(
    trials: Sequence[TrialFigures],
    which: Callable[[LayerTimes], tuple[float | None, float | None]],
) -> str:
    """By layer and arm: how many orders, and the medians over seeds of their p50 and p90."""
    rows = []
    for layer in LAYERS:
        row = [str(layer)]
        for _, wave, arm in WAVES:
            times = times_of(arms(trials, "base", arm), wave, layer)
            orders = sum(one.orders for one in times)
            early, late = (middle([which(one)[place] for one in times]) for place in (0, 1))
            row.append(f"{orders:,}: {duration(early)}, {duration(late)}" if orders else "-")
        if set(row[1:]) != {"-"}:
            rows.append(row)
    return table(["layer", *(head for head, _, _ in WAVES)], rows)


def _times_everywhere(
    trials: Sequence[TrialFigures], which: Callable[[LayerTimes], float | None]
) -> str:
    """By scenario and layer: the medians over seeds of each arm's p50."""
    rows = []
    for scenario in _there(trials, SCENARIOS):
        row = [scenario.name]
        for layer in LAYERS:
            found = (
                middle([which(one) for one in times_of(figures, wave, layer)])
                for wave, figures in (
                    (wave, arms(trials, scenario.name, arm)) for wave, arm in EVERYWHERE
                )
            )
            row.append(" / ".join(duration(one) for one in found))
        rows.append(row)
    nothing = " / ".join("-" for _ in EVERYWHERE)
    deepest = max((n for row in rows for n in LAYERS if row[n] != nothing), default=1)
    heads = ["scenario", *(f"layer {layer}" for layer in LAYERS)]
    return table(heads[: deepest + 1], [row[: deepest + 1] for row in rows])


def _ended(trials: Sequence[TrialFigures]) -> str:
    rows = []
    for scenario in _there(trials, SCENARIOS):
        found = {arm: arms(trials, scenario.name, arm) for arm in ARMS}
        kinds = sorted({e.by for figures in found.values() for one in figures for e in one.ended})
        for kind in kinds:
            cells = (_ends_of(figures, kind) for figures in found.values())
            rows.append([scenario.name, kind, *cells])
    return table(["scenario", "by", *ARMS], rows)


def _ends_of(figures: Sequence[ArmFigures], kind: str) -> str:
    ended = [e for one in figures for e in one.ended if e.by == kind]
    if not ended:
        return "-"
    times = 1_000 * sum(e.count for e in ended) / max(sum(one.reports for one in figures), 1)
    early, late = middle([e.hours_p50 for e in ended]), middle([e.hours_p90 for e in ended])
    return f"{times:,.0f}: {_hours(early)}, {_hours(late)}"


def _hours(hours: float | None) -> str:
    """Kept to a tenth of an hour."""
    if hours == 0:
        return "under 3 min"
    return duration(None if hours is None else hours * HOUR_S)


def _clean(trials: Sequence[TrialFigures]) -> str:
    rows = []
    reasons = ["stolen", *(reason.name.lower() for reason in Reason if reason)]
    sums: dict[tuple[str, str], tuple[float, float]] = {}
    for arm in ARMS:
        figures = arms(trials, "base", arm)
        for reason in reasons:
            minor = sum(
                one.held_minor if reason == "stolen" else blocked_for(one, reason)
                for one in figures
            )
            sums[arm, reason] = float(minor), sum(hours_for(one, reason) for one in figures)
    for reason in reasons:
        row = [reason]
        for arm in ARMS:
            totals = [sum(sums[arm, other][place] for other in reasons) for place in (0, 1)]
            parts = [sums[arm, reason][place] / max(totals[place], 1.0) for place in (0, 1)]
            row.append(f"{percent(parts[0])}, {percent(parts[1])}")
        rows.append(row)
    return table(["", *ARMS], rows)


def _sensitivity(trials: Sequence[TrialFigures]) -> str:
    seeds = range(1, SENSITIVITY_SEEDS + 1)
    few = [trial for trial in trials if trial.seed in seeds]
    rows = []
    lines = [("base", "as it is")]
    lines += [(one.name, one.says) for one in _there(few, SENSITIVITY)]
    for name, says in lines:
        found = [of_scenario(few, name, arm) for arm in ARMS]
        rows.append(
            [
                name,
                says,
                str(found[0].seeds),
                *(percent(one.held.pooled) for one in found),
                *(percent(one.averted.pooled) for one in found),
                *(percent(one.returned.pooled) for one in found),
                *(millions(one.innocent_baht_hours.pooled) for one in found),
            ]
        )
    figures = ("held", "averted", "returned", "baht-hours")
    heads = ["", "what is changed", "seeds"]
    return table([*heads, *(f"{arm}: {figure}" for figure in figures for arm in ARMS)], rows)


def _calibration(trials: Sequence[TrialFigures]) -> str:
    few = [trial for trial in trials if trial.seed <= SENSITIVITY_SEEDS]
    rows = []
    for name in CALIBRATION:
        one = next((trial for trial in few if trial.scenario == name), None)
        if one is None:
            continue
        every = of_scenario(trials, name, "telephone")
        rows.append(
            [
                f"{one.at_rest_share:.2f}",
                spread(of_scenario(few, name, "telephone").held, percent),
                spread(every.held, percent) if every.seeds > SENSITIVITY_SEEDS else "",
            ]
        )
    heads = ["at rest", f"telephone: held, {SENSITIVITY_SEEDS} seeds", "all seeds"]
    return table(heads, rows)


def _figures(parameters: Parameters) -> str:
    rows = []
    for group in ("layers", "people", "machines", "telephone", "trial"):
        values = getattr(parameters, group)
        for name in values.__struct_fields__:
            marked: Marked[object] = getattr(values, name)
            text = msgspec.json.encode(marked.value).decode()
            rows.append([f"{group}.{name}", text, marked.mark, marked.note])
    return table(["figure", "value", "mark", ""], rows)
