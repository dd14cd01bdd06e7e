"""The result sheet of an exercise: what stood in the way of money, and what held it."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from openaoc.cli.exercise import command
from openaoc.exchange.crossborder.sums import Amounts
from openaoc.kernel.errors import BadInput
from openaoc.simulation.exercise.model import (
    Asked,
    ExercisePlan,
    ExerciseSheet,
    Movement,
    Ordered,
    Origin,
    SideSeen,
    Way,
    When,
)
from openaoc.simulation.exercise.page import page_of
from openaoc.simulation.exercise.run import planned
from openaoc.simulation.exercise.sheet import sheet_of
from openaoc.simulation.parameters import load_parameters
from openaoc.simulation.trial.model import ArmFigures
from openaoc.simulation.trial.pair_model import CountryFigures, CrossFigures

VICTIM, FIRST, SECOND = 0, 1, 2


def figures(country: str) -> CountryFigures:
    empty: dict[str, object] = {
        one.name: [] if one.name in ("clean", "ended", "times") else 0
        for one in msgspec.structs.fields(ArmFigures)
    }
    return CountryFigures(
        country=country,
        figures=msgspec.convert(empty, ArmFigures),
        cross=CrossFigures(crossed_minor=0, arrived_minor=0),
    )


def moved(
    origin: Origin, layer: int, at_s: float, minor: int, debtor: int, creditor: int, way: Way
) -> Movement:
    name = f"T{layer}{at_s:.0f}"
    return Movement(origin, layer, at_s, minor, debtor, creditor, way, name)


def side(
    country: str,
    movements: list[Movement],
    *,
    orders: list[Ordered] | None = None,
    requests: list[Asked] | None = None,
    found: dict[str, int] | None = None,
    told: dict[int, float] | None = None,
    held: tuple[int, int, int] = (0, 0, 0),
) -> SideSeen:
    return SideSeen(
        country=country,
        figures=figures(country),
        movements=movements,
        orders=orders or [],
        requests=requests or [],
        found_minor=found or {},
        told_s=told or {},
        held_minor=np.array(held, np.int64),
        lies_minor=0,
        returned_minor=0,
        taken_out_minor=0,
    )


def sheet(*seen: SideSeen) -> ExerciseSheet:
    return sheet_of(seen, ExercisePlan(), scenario="x", says="Y.", figures="0" * 16, currency="THB")


def test_what_is_gone_says_what_stood_in_its_way_on_each_side_of_the_border() -> None:
    scam = ("TH", 7)
    at_home = [
        moved(scam, 0, 10, 1_000, VICTIM, FIRST, Way.ON),
        moved(scam, 1, 20, 100, FIRST, -1, Way.GONE),
        moved(scam, 1, 40, 200, FIRST, -1, Way.GONE),
        moved(scam, 1, 60, 50, FIRST, -1, Way.GONE),
        moved(scam, 1, 70, 400, FIRST, -1, Way.CROSSED),
    ]
    order = Ordered(scam, 1, FIRST, 650, 250, told_s=30, sent_s=50, applied_s=55)
    abroad = [
        moved(scam, 1, 80, 400, -1, SECOND, Way.ON),
        moved(scam, 2, 200, 90, SECOND, -1, Way.GONE),
        moved(("XN", 3), 2, 210, 5, SECOND, -1, Way.GONE),
    ]
    there = Ordered(scam, 2, SECOND, 400, 310, told_s=30, sent_s=100, applied_s=120)
    asked = Asked(400, 41.0, 30.0, False, 310, Amounts(held_minor=310, exited_minor=90))
    gone = Asked(400, 41.0, None, True, 0, None)
    made = sheet(
        side(
            "TH",
            at_home,
            orders=[order],
            requests=[asked, gone],
            found={"T010": 900},
            told={7: 30.0},
            held=(0, 240, 0),
        ),
        side("XN", abroad, orders=[there], found={"T180": 9_999}, held=(0, 0, 310)),
    )
    rows = {(row.side, row.layer): row for row in made.layers}
    assert list(rows) == [("TH", 0), ("TH", 1), ("XN", 2)]
    first, second = rows["TH", 1], rows["XN", 2]
    assert (first.came_minor, first.found_minor, first.crossed_minor) == (1_000, 900, 400)
    assert first.gone_before_report_minor == 100
    assert first.gone_before_order_minor == 200
    assert first.gone_despite_order_minor == 50
    assert (first.stayed_minor, first.held_minor, first.applied_minor) == (250, 240, 250)
    assert (first.sent_p50_s, first.applied_p50_s) == (20.0, 25.0)
    assert (second.came_across_minor, second.found_minor, second.held_minor) == (400, 400, 310)
    assert second.gone_despite_order_minor == 90
    assert second.gone_before_report_minor == 5, "another's money, of which nobody told"
    assert (second.sent_p50_s, second.applied_p50_s) == (70.0, 90.0)
    assert [(one.side, one.when) for one in made.losses[:2]] == [
        ("TH", When.BEFORE_ORDER),
        ("TH", When.BEFORE_REPORT),
    ]
    ours, theirs = made.requests
    assert (ours.requests, ours.withdrawn, ours.answered, ours.asked_minor) == (1, 1, 1, 400)
    assert (theirs.requests, theirs.answered_p50_s) == (0, None)
    text = page_of(made)
    assert text.startswith("# EXERCISE: result sheet")
    assert "1. TH, layer 1, before an order: 2.00 THB, 45 % of what is gone" in text


def test_a_sheet_of_nothing_is_a_sheet() -> None:
    made = sheet(side("TH", []), side("XN", []))
    assert made.layers == []
    assert "Nothing got away." in page_of(made)


def test_a_plan_changes_what_it_says_and_nothing_else() -> None:
    parameters = load_parameters()
    plan = ExercisePlan(days=0.5, lived_days=3.0, officer_minutes=30.0)
    changed = planned(parameters, plan)
    assert changed.trial.days.value == 0.5
    assert changed.trial.until_s.value == changed.trial.settled_s.value == 3 * 86_400.0
    assert changed.people.officer_mean_s.value == 1_800.0
    usual = planned(parameters, msgspec.structs.replace(plan, officer_minutes=None))
    assert usual.people == parameters.people
    longer = planned(parameters, ExercisePlan(lived_days=60.0))
    assert longer.trial.until_s == parameters.trial.until_s, "ordinary life ends as in any trial"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--scenario", "another"], "there are two-countries"),
        (["--days", "3", "--lived-days", "2"], "after the last day lived"),
        (["--sheet", "sheet.json"], "name the page"),
        (["--sheet", "/nowhere/at/all/sheet.md"], "no such folder"),
    ],
)
def test_what_cannot_be_played_is_refused_before_anything_is_lived(
    given: list[str], said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        command.main(given, standalone_mode=False)
