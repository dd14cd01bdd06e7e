"""What is counted of a trial: stolen and clean money, innocents, baht-hours, and their spread."""

from __future__ import annotations

import numpy as np
import pytest

from openaoc.simulation.books import Books
from openaoc.simulation.population import Kind, Population
from openaoc.simulation.trial.measures import of_scenario
from openaoc.simulation.trial.model import ArmFigures, Clean, TrialFigures
from openaoc.simulation.trial.tally import Cause, Reason, Tally
from openaoc.simulation.truth import Truth

MULE, SHOP, PERSON = 0, 1, 2


def made() -> tuple[Tally, Books, Truth]:
    """A mule, a shop and a person with 5,000 baht each."""
    kinds = np.array([Kind.MULE, Kind.SHOP, Kind.PERSON], np.int8)
    opening = np.full(3, 500_000)
    nothing = np.zeros(0, np.int64)
    population = Population(
        codes=("A",),
        currency="THB",
        institution=np.zeros(3, np.int8),
        kind=kinds,
        opening_minor=opening,
        people=nothing,
        wage_payers=nothing,
        shops=nothing,
        mules=nothing,
        exchange_people=nothing,
        exchange_mules=nothing,
    )
    books, truth = Books(opening), Truth(3)
    return Tally(population, books, truth), books, truth


def block(tally: Tally, books: Books, account: int, amount: int, reason: Reason) -> None:
    before = int(books.blocked[account])
    books.block(account, amount)
    tally.note(Cause.APPLIED)
    tally.blocked(account, before_minor=before, reason=reason)


def test_a_mules_own_money_is_clean_but_no_innocents_loss() -> None:
    tally, books, truth = made()
    truth.stolen(mule=MULE, amount_minor=100_000)
    block(tally, books, MULE, 150_000, Reason.GOODS)
    assert tally.by_cause == {Cause.APPLIED: 100_000}
    assert tally.clean_minor == {Reason.OWN: 50_000}
    assert (tally.touched, tally.touched_clean, tally.touched_felt) == (set(), set(), set())
    tally.wait(7_200.0)
    assert tally.baht_hours[Reason.NONE] == pytest.approx(200_000)
    assert tally.baht_hours[Reason.OWN] == pytest.approx(100_000)


def test_an_innocent_is_touched_and_feels_a_thousand_baht() -> None:
    tally, books, truth = made()
    truth.stolen(mule=SHOP, amount_minor=30_000)
    block(tally, books, SHOP, 30_000, Reason.PASSED_ON)
    assert (tally.touched, tally.touched_clean) == ({SHOP}, set())
    block(tally, books, SHOP, 20_000, Reason.PASSED_ON)
    assert (tally.touched_clean, tally.touched_felt) == ({SHOP}, set())
    block(tally, books, PERSON, 100_000, Reason.FALSE_REPORT)
    assert tally.touched_felt == {PERSON}
    assert tally.clean_minor == {Reason.PASSED_ON: 20_000, Reason.FALSE_REPORT: 100_000}


def test_every_change_has_its_cause_and_they_add_up_to_what_stands() -> None:
    tally, books, truth = made()
    truth.stolen(mule=MULE, amount_minor=100_000)
    block(tally, books, MULE, 80_000, Reason.GOODS)
    truth.moved(debtor=MULE, creditor=PERSON, amount_minor=50_000)
    tally.note(Cause.MOVED)
    books.unblock(MULE, 60_000)
    assert tally.note(Cause.EXPIRED) == 30_000
    assert tally.by_cause == {Cause.APPLIED: 80_000, Cause.MOVED: -30_000, Cause.EXPIRED: -30_000}
    assert tally.rightly_minor == sum(tally.by_cause.values()) == 20_000


def arm(**changes: object) -> ArmFigures:
    values: dict[str, object] = {
        "attempted_minor": 1_000,
        "stolen_minor": 1_000,
        "averted_minor": 0,
        "unpaid_minor": 0,
        "held_minor": 100,
        "standing_minor": 100,
        "returned_minor": 10,
        "returned_clean_minor": 5,
        "blocked_minor": 150,
        "stolen_baht_hours": 0.0,
        "clean": [Clean(reason="own", blocked_minor=50, baht_hours=1.0)],
        "reports": 10,
        "false_reports": 0,
        "innocents": 1,
        "innocents_clean": 1,
        "innocents_felt": 1,
        "innocents_per_1000": 100.0,
        "innocent_baht_hours": 5.0,
        "innocent_baht_hours_per_1000": 500.0,
        "orders": 20,
        "ended": [],
        "times": [],
    }
    return ArmFigures(**(values | changes))  # type: ignore[arg-type]  # a part is enough


def trial(seed: int, **changes: object) -> TrialFigures:
    return TrialFigures(
        scenario="base",
        says="",
        figures="",
        seed=seed,
        accounts=1,
        scams=10,
        days=1.0,
        at_rest_share=0.15,
        coverage=1.0,
        heeding=0.0,
        resuming=1.0,
        rule="fifo",
        feed=True,
        centre=arm(**changes),
        hop_by_hop=arm(held_minor=200),
        telephone=arm(),
    )


def test_all_seeds_together_weigh_every_baht_alike_and_the_spread_is_over_seeds() -> None:
    trials = [trial(1), trial(2, attempted_minor=9_000, held_minor=3_000, reports=30)]
    found = of_scenario(trials, "base", "centre")
    assert found.held.pooled == pytest.approx(3_100 / 10_000)
    assert found.held.least == pytest.approx(0.1)
    assert found.held.most == pytest.approx(1 / 3)
    assert (found.seeds, found.cases) == (2, 40)
    assert found.innocents_felt.pooled == pytest.approx(50.0)
    assert found.returned_clean.pooled == pytest.approx(10 / 10_000)
    assert found.orders.each == pytest.approx((2.0, 20 / 30))
    assert of_scenario(trials, "base", "hop by hop").held.pooled == pytest.approx(0.2)
