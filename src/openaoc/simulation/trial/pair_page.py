"""Simulation, trials: the part of the outcome's page about two countries. Figures into prose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import resources
from typing import Final

import msgspec

from openaoc.kernel.errors import BadInput
from openaoc.simulation.countries import two_countries
from openaoc.simulation.parameters import Marked, Parameters
from openaoc.simulation.trial.measures import Spread, middle, ratio, times_of
from openaoc.simulation.trial.model import ArmFigures
from openaoc.simulation.trial.outcome import SENSITIVITY_SEEDS
from openaoc.simulation.trial.pair_model import CountryFigures, PairTrial
from openaoc.simulation.trial.pair_outcome import KeptPair
from openaoc.simulation.trial.pair_scenario import PAIR, PAIR_SENSITIVITY
from openaoc.simulation.trial.words import (
    MINUTE_S,
    duration,
    millions,
    percent,
    spread,
    table,
    whole,
)

TEMPLATE: Final = "two_countries.md.in"
HEAD: Final = "## Two countries\n\n"
AFTER: Final = "## Calibration\n"
NOT_RUN: Final = "These trials were not run."
LIVES: Final = {
    "with the exchange": "exchange",
    "each centre alone": "alone",
    "telephone": "telephone",
}
LAYERS: Final = range(1, 10)
PER: Final = 1_000


def pair_section(parameters: Parameters, kept: Sequence[KeptPair]) -> str:
    """All of it; where nothing was run, that."""
    trials = [one.trial for one in kept]
    base = sorted((t for t in trials if t.scenario == PAIR.name), key=lambda t: t.seed)
    if not base:
        return NOT_RUN
    parts = {
        "summary": _summary(base),
        "seeds": str(len(base)),
        "held": _by_country(base, lambda one: one.held_minor, _attempted, percent),
        "averted": _by_country(base, lambda one: one.averted_minor, _attempted, percent),
        "returned": _by_country(base, lambda one: one.returned_minor, _attempted, percent),
        "innocents": _by_country(base, lambda one: PER * one.innocents, _reports, whole),
        "baht_hours": _by_country(
            base, lambda one: PER * one.innocent_baht_hours, _reports, millions
        ),
        "crossed": _crossed(base),
        "times": _times(base),
        "sensitivity_seeds": str(min(SENSITIVITY_SEEDS, len(base))),
        "sensitivity": _sensitivity(trials),
        "figures": _figures(),
        "minutes": f"{parameters.people.officer_mean_s.value / MINUTE_S:.0f}",
        "took": (
            f"{len(kept)} trials, {sum(one.seconds for one in kept) / MINUTE_S:.0f} minutes of a "
            "busy machine's time."
        ),
    }
    text = resources.files("openaoc.simulation.trial").joinpath(TEMPLATE).read_text("utf-8")
    for name, part in parts.items():
        text = text.replace("{{" + name + "}}", part)
    return text


def renewed(page: str, section: str) -> str:
    """The page with this part in place of what it had. Raises BadInput for another page."""
    before, mark, after = page.partition(AFTER)
    if not mark:
        raise BadInput("not a page of the outcome: write all of it first", where="outcome")
    kept = before.partition(HEAD)[0]
    return f"{kept.rstrip()}\n\n{HEAD}{section.strip()}\n\n{AFTER}{after}"


def _attempted(one: ArmFigures) -> float:
    return one.attempted_minor


def _reports(one: ArmFigures) -> float:
    return one.reports


def _countries(trial: PairTrial, life: str) -> list[CountryFigures]:
    found: list[CountryFigures] = getattr(trial, LIVES[life])
    return found


def _both(
    trials: Sequence[PairTrial],
    life: str,
    above: Callable[[ArmFigures], float],
    below: Callable[[ArmFigures], float],
    *,
    countries: Sequence[str],
) -> Spread:
    """One figure over another in these countries together, over all seeds."""

    def total(figure: Callable[[ArmFigures], float]) -> Callable[[PairTrial], float]:
        return lambda trial: sum(
            figure(one.figures) for one in _countries(trial, life) if one.country in countries
        )

    return ratio(trials, total(above), total(below))


def _by_country(
    trials: Sequence[PairTrial],
    above: Callable[[ArmFigures], float],
    below: Callable[[ArmFigures], float],
    show: Callable[[float], str],
) -> str:
    """A row for both together and for each country, a column for each life."""
    codes = [one.country for one in trials[0].exchange]
    rows = []
    for name, countries in (("both", codes), *((code, [code]) for code in codes)):
        found = (_both(trials, life, above, below, countries=countries) for life in LIVES)
        rows.append([name, *(spread(one, show) for one in found)])
    return table(["country", *LIVES], rows)


def _summary(trials: Sequence[PairTrial]) -> str:
    codes = [one.country for one in trials[0].exchange]

    def share(life: str, figure: Callable[[ArmFigures], float]) -> str:
        return percent(_both(trials, life, figure, _attempted, countries=codes).pooled)

    with_, alone, telephone = LIVES
    held = {life: share(life, lambda one: one.held_minor) for life in LIVES}
    averted = {life: share(life, lambda one: one.averted_minor) for life in (with_, alone)}
    stolen = sum(c.figures.stolen_minor for t in trials for c in t.exchange)
    crossed = sum(c.cross.crossed_minor for t in trials for c in t.exchange)
    return (
        f"Of the loss attempted in both countries two centres that exchange hold {held[with_]}, "
        f"the same two without it {held[alone]}, telephone {held[telephone]}; averted are "
        f"{averted[with_]} with the exchange and {averted[alone]} without. "
        f"{percent(crossed / max(stolen, 1))} of what was stolen crossed the border: more the "
        "exchange cannot reach, however fast it is."
    )


def _crossed(trials: Sequence[PairTrial]) -> str:
    """What went to and fro, all seeds together, in the life with the exchange."""
    rows = []
    for place, country in enumerate(one.country for one in trials[0].exchange):
        own = [trial.exchange[place] for trial in trials]
        cross = [one.cross for one in own]
        stolen = sum(one.figures.stolen_minor for one in own)
        asked = sum(one.asked_minor for one in cross)
        rows.append(
            [
                country,
                percent(sum(one.crossed_minor for one in cross) / max(stolen, 1)),
                f"{sum(one.requests for one in cross):,}",
                f"{sum(one.answered for one in cross):,}",
                percent(asked / max(sum(one.crossed_minor for one in cross), 1)),
                percent(sum(one.held_there_minor for one in cross) / max(asked, 1)),
                f"{sum(one.warned for one in cross):,}",
                f"{sum(one.warned_innocent for one in cross):,}",
            ]
        )
    heads = ["from", "crossed, of stolen", "requests", "answered", "asked about, of crossed"]
    return table(
        [*heads, "held next door, of asked", "accounts banks warn of", "of innocent holders"], rows
    )


def _times(trials: Sequence[PairTrial]) -> str:
    """From the report in one country to orders in the other, by layer there."""
    rows = []
    figures = [one.figures for trial in trials for one in trial.exchange]
    for layer in LAYERS:
        times = times_of(figures, "across", layer)
        if not times:
            continue
        sent = middle([one.sent_p50_s for one in times]), middle([one.sent_p90_s for one in times])
        applied = middle([one.applied_p50_s for one in times])
        late = middle([one.applied_p90_s for one in times])
        rows.append(
            [
                str(layer),
                f"{sum(one.orders for one in times):,}",
                f"{duration(sent[0])}, {duration(sent[1])}",
                f"{duration(applied)}, {duration(late)}",
            ]
        )
    return table(["layer there", "orders", "report → sent there", "report → applied there"], rows)


def _sensitivity(trials: Sequence[PairTrial]) -> str:
    few = [trial for trial in trials if trial.seed <= SENSITIVITY_SEEDS]
    codes = [one.country for one in few[0].exchange]
    rows = []
    lines = [(PAIR.name, "as it is"), *((one.name, one.says) for one in PAIR_SENSITIVITY)]
    for name, says in lines:
        own = [trial for trial in few if trial.scenario == name]
        if not own:
            continue
        held = [
            _both(own, life, lambda one: one.held_minor, _attempted, countries=codes)
            for life in LIVES
        ]
        averted = [
            _both(own, life, lambda one: one.averted_minor, _attempted, countries=codes)
            for life in tuple(LIVES)[:2]
        ]
        shares = [percent(one.pooled) for one in (*held, *averted)]
        rows.append([name, says, str(len(own)), *shares])
    heads = [f"held: {life}" for life in LIVES]
    heads += [f"averted: {life}" for life in tuple(LIVES)[:2]]
    return table(["", "what is changed", "seeds", *heads], rows)


def _figures() -> str:
    pair, rows = two_countries(), []
    for group in ("crossing", "warning", "telephone"):
        values = getattr(pair, group)
        for name in values.__struct_fields__:
            marked: Marked[object] = getattr(values, name)
            text = msgspec.json.encode(marked.value).decode()
            rows.append([f"{group}.{name}", text, marked.mark, marked.note])
    return table(["figure", "value", "mark", ""], rows)
