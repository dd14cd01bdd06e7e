"""Two countries: money crosses once and is counted once, and each nation follows from its seed."""

from __future__ import annotations

import functools
from datetime import timedelta
from pathlib import Path

import msgspec
import pyarrow as pa
import pytest

from openaoc.kernel.clock import ManualClock
from openaoc.kernel.errors import BadInput, Conflict, Refused
from openaoc.simulation.books import Books
from openaoc.simulation.countries import two_countries
from openaoc.simulation.crossings import crossed
from openaoc.simulation.feed import Feed
from openaoc.simulation.nation import Nation
from openaoc.simulation.neighbour import (
    NUMBERS_FROM,
    Arrival,
    Neighbour,
    abroad,
    arrives_after_s,
    is_abroad,
    number_of,
    there,
)
from openaoc.simulation.next_door import Door, NextDoor, save_door
from openaoc.simulation.population import Population, make_population
from openaoc.simulation.scams import Scams
from openaoc.simulation.truth import Truth
from openaoc.simulation.world import Tick, World
from tests.conftest import START
from tests.simulation.nations import ACCOUNTS, small, stamp

PAIR = two_countries()
SEED = 11
STEP_S = 1_800.0
DAYS = 1
STEP = timedelta(seconds=2)


@functools.cache
def people(country: str) -> Population:
    parameters = PAIR.parameters(country, of=small())
    return make_population(parameters, accounts=ACCOUNTS, seed=PAIR.seed(country, SEED))


def neighbour_of(country: str, *, victims_share: float = 0.3) -> Neighbour:
    other = PAIR.other(country)
    return PAIR.neighbour(other, people(other))._replace(victims_share=victims_share)


def world_of(country: str) -> World:
    population = people(country)
    seed = PAIR.seed(country, SEED)
    scams = Scams(
        PAIR.parameters(country, of=small()), population, seed=seed, neighbour=neighbour_of(country)
    )
    books, truth = Books(population.opening_minor), Truth(population.size)
    return World(population, scams, books, truth, seed=seed)


def live(worlds: dict[str, World], *, days: float = DAYS) -> dict[str, list[Tick]]:
    """Both live side by side; what leaves one arrives in the other."""
    ticks: dict[str, list[Tick]] = {country: [] for country in worlds}
    to_s = 0.0
    while to_s < days * 86_400:
        to_s += STEP_S
        for country, world in worlds.items():
            tick = world.step(to_s=to_s, count=20, stamp=stamp)
            ticks[country].append(tick)
            other = worlds[PAIR.other(country)]
            for move, arrival in crossed(tick, world.population, country=country):
                after_s = arrives_after_s(neighbour_of(country), arrival.number, seed=SEED)
                other.arrive(arrival, at_s=move.at_s + after_s)
    return ticks


@pytest.fixture(scope="module")
def lived() -> tuple[dict[str, World], dict[str, list[Tick]]]:
    worlds = {country: world_of(country) for country in PAIR.codes}
    return worlds, live(worlds)


def test_what_crosses_arrives_once_and_no_money_comes_from_nowhere(
    lived: tuple[dict[str, World], dict[str, list[Tick]]],
) -> None:
    worlds, ticks = lived
    for country, world in worlds.items():
        truth, books = world.truth, world.books
        assert truth.arrived_minor > 0
        assert truth.crossed_minor > 0
        inside = int(truth.scam.sum())
        came = truth.stolen_minor + truth.arrived_minor
        assert came == inside + truth.gone_minor + truth.crossed_minor
        there_is = int(books.balance.sum()) + books.left_minor
        assert there_is == int(world.population.opening_minor.sum())
        sent = {
            arrival.number: arrival.amount_minor
            for tick in ticks[PAIR.other(country)]
            for _, arrival in crossed(tick, worlds[PAIR.other(country)].population, country="XX")
        }
        came_in = [one for tick in ticks[country] for _, one in tick.arrived]
        assert len({one.number for one in came_in}) == len(came_in)
        assert all(sent[one.number] == one.amount_minor for one in came_in)
        assert sum(one.amount_minor for one in came_in) == truth.arrived_minor


def test_money_from_next_door_runs_on_here(
    lived: tuple[dict[str, World], dict[str, list[Tick]]],
) -> None:
    worlds, ticks = lived
    moves = [move for tick in ticks[PAIR.abroad] for move in tick.moves]
    foreign = [move for move in moves if move.scam >= NUMBERS_FROM]
    assert any(move.step >= 0 and move.amount_minor for move in foreign)
    assert not any(
        is_abroad(step.creditor)
        for number in {move.scam for move in foreign}
        for step in worlds[PAIR.abroad].scams.steps(worlds[PAIR.abroad].scam(number), 0)
    ), "nothing is followed in circles"


def test_banks_name_each_other_in_their_feeds(
    lived: tuple[dict[str, World], dict[str, list[Tick]]],
) -> None:
    worlds, ticks = lived
    home = PAIR.home
    feed = Feed(worlds[home].population, machines="ATM1", neighbour=neighbour_of(home))
    rows = [
        row
        for tick in ticks[home]
        for _, _, body in feed.encode(tick)
        for row in pa.ipc.open_stream(body).read_all().to_pylist()
    ]
    out = [row for row in rows if (row["creditor_bank"] or "").startswith("XN.")]
    came = [row for row in rows if row["debtor_bank"].startswith("XN.")]
    assert out
    assert came
    assert {row["channel"] for row in out} == {"cross_border"}
    assert {row["reported_by"] for row in out} <= set(worlds[home].population.codes)
    assert all(row["reported_by"] == row["creditor_bank"] for row in came)
    assert len({row["transfer_id"] for row in rows}) == len(rows)


def test_accounts_abroad_and_numbers_there_and_back() -> None:
    assert [there(abroad(account)) for account in (0, 5)] == [0, 5]
    assert is_abroad(abroad(0))
    assert not is_abroad(-1)
    numbers = {
        number_of(scam=scam, payment=payment, step=step)
        for scam in (0, 1)
        for payment in (0, 39)
        for step in (-1, 0, 5_000)
    }
    assert len(numbers) == 12
    assert min(numbers) >= NUMBERS_FROM
    with pytest.raises(BadInput):
        PAIR.parameters("ZZ")


def nation(folder: Path, country: str, clock: ManualClock) -> Nation:
    return Nation(
        PAIR.parameters(country, of=small()),
        folder=folder / country,
        accounts=ACCOUNTS,
        seed=PAIR.seed(country, SEED),
        speed=3_600,
        clock=clock,
        country=country,
        neighbour=neighbour_of(country),
    )


def test_a_nation_that_was_stopped_goes_on_with_what_came_from_next_door(tmp_path: Path) -> None:
    clock = ManualClock(START)
    one = nation(tmp_path, PAIR.home, clock)
    one.live_history()
    assert one.store.crossings(limit=1) == [], "what was before, nobody next door hears of"
    number = number_of(scam=3, payment=0, step=2)
    mule = int(one.population.mules[0][0])
    came = Arrival(
        number=number, bank="XN.NBANK1", account="1", creditor=mule, amount_minor=700, reference="T"
    )
    door = NextDoor(one, tmp_path)
    with pytest.raises(Refused):
        door.take(b"[]", token="")
    save_door(tmp_path, Door(url="http://127.0.0.1:1", token="word"))
    with pytest.raises(Refused):
        door.take(b"[]", token="another")
    with pytest.raises(BadInput):
        door.take(b"[{}]", token="word")
    beyond = msgspec.structs.replace(came, creditor=10**9)
    with pytest.raises(BadInput):
        door.take(msgspec.json.encode([beyond]), token="word")
    for _ in range(2):
        door.take(msgspec.json.encode([came]), token="word")
    for _ in range(3):
        clock.advance(STEP)
        one.live()
    before = one.figures()
    assert before.arrived_minor == 700
    assert one.store.crossings(limit=1), "money of this nation's own scams left"
    one.close()
    with pytest.raises(Conflict, match="countries"):
        Nation(
            small(),
            folder=tmp_path / PAIR.home,
            accounts=ACCOUNTS,
            seed=SEED,
            speed=60,
            clock=clock,
        )
    again = nation(tmp_path, PAIR.home, clock)
    clock.advance(STEP)
    again.live()
    assert again.figures().arrived_minor == 700, "it came once"
    assert again.store.arrivals(came=False) == []
    again.close()
