"""Simulation, trials: the page of the outcome, from a template and the trials that were run.

Writes figures into prose that stands in outcome.md.in; says nothing that is not computed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import resources
from typing import Final

import msgspec

from openaoc.simulation.parameters import Marked, Parameters
from openaoc.simulation.trial.measures import (
    OfScenario,
    Shares,
    arms,
    blocked_for,
    hours_for,
    middle,
    of_scenario,
    times_of,
)
from openaoc.simulation.trial.model import TrialFigures
from openaoc.simulation.trial.outcome import SENSITIVITY_SEEDS, Kept
from openaoc.simulation.trial.scenario import SCENARIOS, Scenario
from openaoc.simulation.trial.sensitivity import SENSITIVITY
from openaoc.simulation.trial.tally import Reason

TEMPLATE: Final = "outcome.md.in"
WAVES: Final = (("at once", "centre"), ("person", "centre"), ("followed", "centre"))
LAYERS: Final = range(1, 8)
TOLD: Final = "told-in-10-minutes"
CALIBRATION: Final = ("uncalibrated", "rest-0.10", "base", "rest-0.20")
MINUTE_S: Final = 60.0
HOUR_S: Final = 3_600.0
MILLION: Final = 1e6


WHOLE_PERCENT_FROM: Final = 0.1
"""A share below this is shown with one digit."""


def page(parameters: Parameters, kept: Sequence[Kept]) -> str:
    """The whole page."""
    trials = [one.trial for one in kept]
    base = of_scenario(trials, "base", "centre")
    telephone = of_scenario(trials, "base", "telephone")
    follow = parameters.telephone.follow_least_minor.value // 100
    seconds = sum(one.seconds for one in kept)
    parts = {
        "summary": _summary(trials, base, telephone),
        "follow": f"{follow:,}",
        "size": _size(parameters, trials),
        "returned": percent(parameters.people.returned_share.value),
        "main": _main(trials),
        "scenarios": "\n".join(f"* **{s.name}**: {s.says}" for s in SCENARIOS),
        "times": _times(trials),
        "ended": _ended(trials),
        "clean": _clean(trials),
        "sensitivity_seeds": str(min(SENSITIVITY_SEEDS, base.seeds)),
        "sensitivity": _sensitivity(trials),
        "calibration": _calibration(trials),
        "freezes": f"{telephone.orders:.0f}",
        "took": f"{len(kept)} trials, {seconds / MINUTE_S:.0f} minutes of a busy machine's time.",
        "figures": _figures(parameters),
    }
    text = resources.files("openaoc.simulation.trial").joinpath(TEMPLATE).read_text("utf-8")
    for name, part in parts.items():
        text = text.replace("{{" + name + "}}", part)
    return text


def percent(share: float) -> str:
    """A share for reading; one digit below ten."""
    digits = 0 if share >= WHOLE_PERCENT_FROM or share == 0 else 1
    return f"{100 * share:.{digits}f} %"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def spread(shares: Shares) -> str:
    """All seeds together, and the least and the most of one."""
    return f"{percent(shares.pooled)} ({percent(shares.least)} to {percent(shares.most)})"


def _summary(trials: Sequence[TrialFigures], base: OfScenario, telephone: OfScenario) -> str:
    ratio = telephone.innocent_baht_hours / max(base.innocent_baht_hours, 1.0)
    text = (
        f"With victims who notice after a day, the centre holds {percent(base.held.pooled)} of the "
        f"loss attempted and today's telephone {percent(telephone.held.pooled)}: by then most has "
        "left, and speed no longer helps. What differs is who pays for it: the centre blocks "
        f"{millions(base.innocent_baht_hours)} baht-hours of innocent people's money per 1,000 "
        f"cases, the telephone {millions(telephone.innocent_baht_hours)}, about {ratio:,.0f} times "
        "as much, because it freezes whole accounts."
    )
    if not any(trial.scenario == TOLD for trial in trials):
        return text
    told, today = (of_scenario(trials, TOLD, arm) for arm in ("centre", "telephone"))
    return (
        f"{text} If victims notice within ten minutes, the centre holds "
        f"{percent(told.held.pooled)} and the telephone {percent(today.held.pooled)}."
    )


def millions(value: float) -> str:
    """Large numbers in millions."""
    return f"{value / MILLION:,.0f} m" if value >= 10 * MILLION else f"{value / MILLION:,.1f} m"


def _size(parameters: Parameters, trials: Sequence[TrialFigures]) -> str:
    seeds = len({trial.seed for trial in trials if trial.scenario == "base"})
    one = next(trial for trial in trials if trial.scenario == "base")
    mean = sum(t.centre.attempted_minor for t in trials if t.scenario == "base") / seeds
    return (
        f"Each nation has {one.accounts:,} accounts and {one.scams} scams in {one.days:g} days, "
        f"{mean / 100 / one.scams:,.0f} baht each on average, and is lived for "
        f"{parameters.trial.until_s.value / HOUR_S / 24:.0f} days; {seeds} seeds."
    )


def _there(trials: Sequence[TrialFigures], scenarios: Sequence[Scenario]) -> list[Scenario]:
    """The scenarios that were run."""
    names = {trial.scenario for trial in trials}
    return [scenario for scenario in scenarios if scenario.name in names]


def _main(trials: Sequence[TrialFigures]) -> str:
    rows = []
    for scenario in _there(trials, SCENARIOS):
        for arm in ("centre", "telephone"):
            found = of_scenario(trials, scenario.name, arm)
            rows.append(
                [
                    scenario.name if arm == "centre" else "",
                    arm,
                    str(found.seeds) if arm == "centre" else "",
                    spread(found.held),
                    percent(found.averted.pooled),
                    percent(found.returned.pooled),
                    f"{found.innocents:,.0f}",
                    f"{found.innocents_felt:,.0f}",
                    millions(found.innocent_baht_hours),
                    f"{found.orders:.1f}",
                ]
            )
    heads = ["scenario", "", "seeds", "held", "averted", "returned", "innocents", "felt"]
    return table([*heads, "baht-hours", "orders a case"], rows)


def duration(seconds: float | None) -> str:
    """Seconds, minutes or hours, whichever reads best."""
    if seconds is None:
        return "-"
    if seconds < 2 * MINUTE_S:
        return f"{seconds:.1f} s"
    if seconds < 2 * HOUR_S:
        return f"{seconds / MINUTE_S:.0f} min"
    return f"{seconds / HOUR_S:.1f} h"


def _times(trials: Sequence[TrialFigures]) -> str:
    rows: list[list[str]] = []
    for wave, arm in (*WAVES, ("telephone", "telephone")):
        figures = arms(trials, "base", arm)
        for layer in LAYERS:
            times = times_of(figures, wave, layer)
            orders = sum(one.orders for one in times)
            if not orders:
                continue
            rows.append(
                [
                    wave if layer == 1 or not rows or rows[-1][-1] != wave else "",
                    str(layer),
                    f"{orders:,}",
                    duration(middle([one.sent_p50_s for one in times])),
                    duration(middle([one.sent_p90_s for one in times])),
                    duration(middle([one.applied_p50_s for one in times])),
                    duration(middle([one.applied_p90_s for one in times])),
                    wave,
                ]
            )
    heads = ["", "layer", "orders", "sent p50", "sent p90", "applied p50", "applied p90"]
    return table(heads, [row[:-1] for row in rows])


def _ended(trials: Sequence[TrialFigures]) -> str:
    rows = []
    for arm in ("centre", "telephone"):
        figures = arms(trials, "base", arm)
        cases = sum(one.reports for one in figures)
        for who in sorted({ended.by for one in figures for ended in one.ended}):
            ended = [e for one in figures for e in one.ended if e.by == who]
            rows.append(
                [
                    arm,
                    who,
                    f"{1_000 * sum(e.count for e in ended) / cases:,.0f}",
                    duration(_seconds(middle([e.hours_p50 for e in ended]))),
                    duration(_seconds(middle([e.hours_p90 for e in ended]))),
                ]
            )
    return table(["", "by", "times", "after, p50", "after, p90"], rows)


def _seconds(hours: float | None) -> float | None:
    return None if hours is None else hours * HOUR_S


def _clean(trials: Sequence[TrialFigures]) -> str:
    rows = []
    reasons = ["stolen", *(reason.name.lower() for reason in Reason if reason)]
    sums: dict[tuple[str, str], tuple[float, float]] = {}
    for arm in ("centre", "telephone"):
        figures = arms(trials, "base", arm)
        for reason in reasons:
            minor = sum(
                one.held_minor if reason == "stolen" else blocked_for(one, reason)
                for one in figures
            )
            sums[arm, reason] = float(minor), sum(hours_for(one, reason) for one in figures)
    for reason in reasons:
        row = [reason]
        for arm in ("centre", "telephone"):
            for place in (0, 1):
                total = sum(sums[arm, other][place] for other in reasons)
                row.append(percent(sums[arm, reason][place] / max(total, 1.0)))
        rows.append(row)
    heads = ["", "centre: amount", "centre: baht-hours"]
    return table([*heads, "telephone: amount", "telephone: baht-hours"], rows)


def _sensitivity(trials: Sequence[TrialFigures]) -> str:
    seeds = range(1, SENSITIVITY_SEEDS + 1)
    few = [trial for trial in trials if trial.seed in seeds]
    rows = []
    lines = [("base", "as it is")]
    lines += [(one.name, one.says) for one in _there(few, SENSITIVITY)]
    for name, says in lines:
        centre, telephone = (of_scenario(few, name, arm) for arm in ("centre", "telephone"))
        rows.append(
            [
                name,
                says,
                spread(centre.held),
                percent(centre.averted.pooled),
                spread(telephone.held),
                millions(centre.innocent_baht_hours),
            ]
        )
    heads = ["", "what is changed", "centre: held", "centre: averted", "telephone: held"]
    return table([*heads, "centre: baht-hours"], rows)


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
                spread(of_scenario(few, name, "telephone").held),
                spread(every.held) if every.seeds > SENSITIVITY_SEEDS else "",
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
