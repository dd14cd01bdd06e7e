"""Trials of two countries: money is conserved in both, the exchange finds what crossed."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import msgspec
import pytest

from openaoc.bootstrap import build_centre
from openaoc.channels.transport import Transport
from openaoc.kernel.clock import ManualClock
from openaoc.kernel.errors import BadInput
from openaoc.kernel.settings import Settings
from openaoc.simulation.exercise.model import ExercisePlan, ExerciseSheet, LayerRow
from openaoc.simulation.exercise.page import page_of
from openaoc.simulation.exercise.run import hold_pair
from openaoc.simulation.neighbour import NUMBERS_FROM, number_of, scam_there
from openaoc.simulation.parameters import load_parameters
from openaoc.simulation.trial.actors import OpenCentre
from openaoc.simulation.trial.arm import Arm
from openaoc.simulation.trial.pair_model import CountryFigures, PairTrial
from openaoc.simulation.trial.pair_outcome import KeptPair, kept_pairs, pair_jobs
from openaoc.simulation.trial.pair_page import AFTER, NOT_RUN, pair_section, renewed
from openaoc.simulation.trial.pair_run import Pair, by_telephone, with_centres
from openaoc.simulation.trial.pair_scenario import PAIR, PAIR_SENSITIVITY, PairScenario
from openaoc.simulation.trial.scenario import figure
from openaoc.simulation.trial.stage import Stage, stage
from tests.simulation.trials import small, told_soon

SEED = 3
MORE_ABROAD = next(one for one in PAIR_SENSITIVITY if one.name == "abroad-0.30")


def open_linked(
    settings: Settings, clock: ManualClock, line: Transport
) -> AbstractContextManager[OpenCentre]:
    return build_centre(settings, clock=clock, line_to=line).opened()


def pair(scenario: PairScenario = PAIR, *, seed: int = SEED) -> Pair:
    return Pair(told_soon(small()), scenario, seed=seed)


def days() -> Pair:
    """Twelve of them are enough for what is held, if not for what is paid back."""
    return Pair(figure(told_soon(small()), "trial", settled_s=12 * 86_400.0), PAIR, seed=SEED)


def live(made: Stage, *, exchange: bool) -> list[CountryFigures]:
    return with_centres(days(), stage=made, open_linked=open_linked, exchange=exchange)


def check_sheet(sheet: ExerciseSheet, trial: list[CountryFigures]) -> None:
    """The sheet's layers add up to what the trial itself counted, on each side."""
    assert sheet.mark == "EXERCISE"
    for side, asked, one in zip(sheet.sides, sheet.requests, trial, strict=True):
        rows = [row for row in sheet.layers if row.side == one.country]
        assert rows[0].layer == 0

        def total(name: str, rows: list[LayerRow] = rows) -> int:
            return sum(getattr(row, name) for row in rows)

        assert rows[0].came_minor == one.figures.stolen_minor
        assert total("crossed_minor") == one.cross.crossed_minor
        assert total("came_across_minor") == one.cross.arrived_minor
        assert total("held_minor") == one.figures.held_minor
        assert total("orders") == one.figures.orders
        assert total("stayed_minor") == (
            side.lies_minor + side.returned_minor + side.taken_out_minor
        )
        for row in rows:
            gone = row.gone_before_report_minor, row.gone_before_order_minor
            assert row.gone_minor == sum(gone) + row.gone_despite_order_minor
            assert 0 <= row.found_minor <= row.came_minor
            assert row.stayed_minor >= 0
        cross = one.cross
        said = asked.requests, asked.answered, asked.asked_minor, asked.held_most_minor
        assert said == (cross.requests, cross.answered, cross.asked_minor, cross.held_there_minor)
        assert asked.amounts.total_minor == asked.asked_minor, "nothing lost on the way"
        assert asked.answered_p50_s is not None
        assert asked.answered_p50_s > 0
    across = [row for row in sheet.layers if row.came_across_minor]
    assert any(row.found_minor and row.orders and row.applied_p50_s for row in across)
    text = page_of(sheet)
    assert text.startswith("# EXERCISE: result sheet")
    assert all(f"| {row.side} | {row.layer} |" in text for row in sheet.layers)


@contextmanager
def watched() -> Iterator[list[Arm]]:
    """Every arm whose measures are taken, so that its nation can be looked at."""
    seen: list[Arm] = []
    end = Arm.end

    def note(arm: Arm) -> object:
        seen.append(arm)
        return end(arm)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Arm, "end", note)
        yield seen


def check(arms: list[Arm]) -> None:
    """In each country nothing comes from nowhere; what left one is in the other, or on its way."""
    for arm in arms:
        truth, books = arm.life.truth, arm.life.books
        came = truth.stolen_minor + truth.arrived_minor
        gone = truth.gone_minor + truth.crossed_minor + truth.returned_minor
        assert came == int(truth.scam.sum()) + gone
        assert (truth.scam >= 0).all()
        assert (truth.scam <= books.balance).all()
        assert (books.blocked <= books.balance).all()
        opening = int(arm.life.population.opening_minor.sum())
        assert int(books.balance.sum()) + books.left_minor == opening
    one, other = arms
    assert one.life.truth.crossed_minor == other.life.truth.arrived_minor
    assert other.life.truth.crossed_minor == one.life.truth.arrived_minor


@pytest.mark.parametrize("scenario", [PAIR, MORE_ABROAD])
def test_banks_that_call_each_other_conserve_money_in_both_countries(
    scenario: PairScenario,
) -> None:
    with watched() as arms:
        first = by_telephone(pair(scenario))
    check(arms)
    assert [one.country for one in first] == ["TH", "XN"]
    assert sum(one.cross.crossed_minor for one in first) > 0
    assert msgspec.json.encode(by_telephone(pair(scenario))) == msgspec.json.encode(first)


def test_each_scenario_changes_what_it_says_and_has_a_digest_of_its_own() -> None:
    every = (PAIR, *PAIR_SENSITIVITY)
    assert len({Pair(small(), one, seed=SEED).digest() for one in every}) == len(every)
    attempted = {
        one.name: [country.figures.attempted_minor for country in by_telephone(pair(one))]
        for one in every
        if one.name.startswith(("two", "heeds"))
    }
    assert len({tuple(amounts) for amounts in attempted.values()}) == 1, "the same nations"


def test_the_scam_next_door_is_known_by_the_number_of_its_money() -> None:
    number = number_of(scam=12_345, payment=7, step=-1)
    assert number > NUMBERS_FROM
    assert scam_there(number) == 12_345


@functools.cache
def lived_by_telephone(seed: int) -> list[CountryFigures]:
    """The life that costs least."""
    return by_telephone(pair(seed=seed))


def made_up(scenario: PairScenario, seed: int) -> KeptPair:
    """A trial whose three lives are the same one: enough for a page."""
    lived = lived_by_telephone(seed)
    trial = PairTrial(
        scenario=scenario.name,
        says=scenario.says,
        figures=Pair(load_parameters(), scenario, seed=seed).digest(),
        seed=seed,
        heeding=0.31,
        exchange=lived,
        alone=lived,
        telephone=lived,
    )
    return KeptPair(seconds=1.0, trial=trial)


def test_the_page_says_what_two_countries_come_to_or_that_nobody_asked(tmp_path: Path) -> None:
    kept = [made_up(scenario, seed) for scenario, seed in pair_jobs(2)]
    parameters = load_parameters()
    text = pair_section(parameters, kept)
    assert "{{" not in text
    assert all(one.says in text for one in PAIR_SENSITIVITY)
    assert "| both |" in text
    assert pair_section(parameters, []) == NOT_RUN
    page = f"# What\n\nbefore\n\n{AFTER}\nafter\n"
    assert renewed(renewed(page, "old"), text) == renewed(page, text)
    assert renewed(page, text).startswith("# What\n\nbefore\n\n## Two countries\n\nOf the loss")
    assert renewed(page, text).endswith("\nafter\n")
    with pytest.raises(BadInput):
        renewed("# Another\n", text)
    for one in kept[:2]:
        name = f"pair-{one.trial.scenario}-{one.trial.seed}.json"
        (tmp_path / name).write_bytes(msgspec.json.encode(one))
    (tmp_path / "pair-abroad-0.30-1.json").write_bytes(msgspec.json.encode(kept[0]))
    found = kept_pairs(parameters, seeds=2, results=tmp_path)
    assert [one.trial for one in found] == [one.trial for one in kept[:2]], "not of other figures"


@pytest.mark.long
def test_with_the_exchange_what_crossed_is_asked_about_and_held() -> None:
    with stage() as made:
        with watched() as arms:
            exchange = live(made, exchange=True)
        check(arms)
        with watched() as arms:
            alone = live(made, exchange=False)
        check(arms)
        sheet = hold_pair(
            days(), PAIR, ExercisePlan(seed=SEED), stage=made, open_linked=open_linked
        )
    again = [side.figures for side in sheet.sides]
    assert msgspec.json.encode(again) == msgspec.json.encode(exchange), "the same each time"
    check_sheet(sheet, exchange)
    assert sum(one.cross.requests for one in exchange) > 0
    assert sum(one.cross.answered for one in exchange) == sum(
        one.cross.requests for one in exchange
    )
    assert sum(one.cross.held_there_minor for one in exchange) > 0
    assert any(times.wave == "across" for one in exchange for times in one.figures.times)
    assert all(one.cross.requests == one.cross.cases_here == 0 for one in alone)
    for one, other in zip(exchange, alone, strict=True):
        assert one.figures.attempted_minor == other.figures.attempted_minor
    held = [sum(one.figures.held_minor for one in arms) for arms in (exchange, alone)]
    assert held[0] >= held[1]
