"""Two countries: money crosses once and is counted once, and each nation follows from its seed."""

from __future__ import annotations

import functools
from collections import Counter
from datetime import timedelta
from pathlib import Path

import msgspec
import pyarrow as pa
import pytest

from openaoc.exchange.ledger_model import Received
from openaoc.exchange.objects import ObjectKind, ReleasedObject
from openaoc.kernel.clock import ManualClock
from openaoc.kernel.errors import BadInput, Conflict, Refused
from openaoc.kernel.markings import Marking
from openaoc.simulation.books import Books
from openaoc.simulation.countries import two_countries
from openaoc.simulation.crossings import crossed
from openaoc.simulation.exercise.model import Way
from openaoc.simulation.exercise.watch import Watch
from openaoc.simulation.feed import Feed
from openaoc.simulation.nation import Nation
from openaoc.simulation.neighbour import (
    NUMBERS_FROM,
    Arrival,
    Neighbour,
    abroad,
    arrives_after_s,
    bank_abroad,
    is_abroad,
    number_of,
    there,
)
from openaoc.simulation.next_door import Door, NextDoor, save_door
from openaoc.simulation.population import Population, account_number, make_population
from openaoc.simulation.scams import Scams, Step
from openaoc.simulation.truth import Truth
from openaoc.simulation.warnings import Countries, Warned, Warnings
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


def test_every_movement_is_seen_in_its_layer_on_both_sides(
    lived: tuple[dict[str, World], dict[str, list[Tick]]],
) -> None:
    worlds, ticks = lived
    watches = {
        country: Watch(
            world.population,
            country=country,
            next_door=PAIR.other(country),
            scam=world.scams.scam,
            steps=functools.lru_cache(maxsize=100_000)(functools.partial(steps_of, world)),
        )
        for country, world in worlds.items()
    }
    for both in zip(*(ticks[country] for country in worlds), strict=True):
        for country, tick in zip(worlds, both, strict=True):
            watches[country].saw(tick, across=watches[PAIR.other(country)].layer_there)
    for country, world in worlds.items():
        truth = world.truth
        came: Counter[int] = Counter()
        left: Counter[int] = Counter()
        ways: Counter[Way] = Counter()
        for one in watches[country].movements:
            ways[one.way] += one.amount_minor
            if one.debtor >= 0:
                left[one.layer] += one.amount_minor
            if one.way is Way.ON:
                came[one.layer + 1] += one.amount_minor
        assert left[0] == truth.stolen_minor, "what victims paid"
        assert ways[Way.CROSSED] == truth.crossed_minor
        assert ways[Way.GONE] == truth.gone_minor
        assert sum(came.values()) == ways[Way.ON]
        assert all(left[layer] <= came[layer] for layer in left if layer)
        assert sum(came.values()) - sum(left[layer] for layer in left if layer) == int(
            truth.scam.sum()
        )
        across = [one for one in watches[country].movements if one.debtor < 0]
        assert sum(one.amount_minor for one in across) == truth.arrived_minor
        layers = {one.layer for one in across}
        assert 0 in layers, "paid by a victim next door"
        assert len(layers) > 2, "and sent on from there"
        assert {one.origin[0] for one in across} == {PAIR.other(country)}


def steps_of(world: World, scam: int, payment: int) -> list[Step]:
    return world.scams.steps(world.scam(scam), payment)


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


def received(sequence: int, value: str, *, revoked: bool = False) -> Received:
    """An indicator as a centre releases it."""
    released = ReleasedObject(
        id=f"indicator--{sequence}",
        kind=ObjectKind.INDICATOR,
        created=START,
        modified=START,
        marking=Marking.AMBER,
        fields={"value": value},
        revoked=revoked,
    )
    return Received(sequence=sequence, released_at=START, object=released)


def test_banks_know_whom_a_centre_named_on_either_side_of_the_border() -> None:
    own, other = people(PAIR.home), people(PAIR.abroad)
    warned = Warned(Countries(country=PAIR.home, own=own, next_door=other))
    here, next_door = int(own.mules[0][0]), int(other.mules[0][0])
    at_home = f"{own.codes[own.institution[here]]}:{account_number(here)}"
    bank, account = bank_abroad(neighbour_of(PAIR.home), next_door)
    warned.take(PAIR.home, received(1, at_home))
    warned.take(PAIR.home, received(2, f"{bank}:{account}"))
    assert warned.knows(here)
    assert warned.knows(abroad(next_door))
    assert not warned.knows(int(own.mules[0][1]))
    warned.take(PAIR.home, received(3, f"{bank}:{account}", revoked=True))
    assert not warned.knows(abroad(next_door))
    warned.take(PAIR.abroad, received(7, f"{bank.partition('.')[2]}:{account}"))
    assert warned.knows(abroad(next_door)), "the centre there names it without its country"
    warned.take(PAIR.abroad, received(8, f"{PAIR.home}.{at_home}"))
    assert warned.accounts == {here, abroad(next_door)}
    warned.take(PAIR.home, received(9, "BANK1:none"))
    assert (warned.after(PAIR.home), warned.after(PAIR.abroad)) == (9, 8)


def test_who_heeds_a_warning_is_settled_once(tmp_path: Path) -> None:
    own, other = people(PAIR.home), people(PAIR.abroad)
    countries = Countries(country=PAIR.home, own=own, next_door=other)
    warnings = Warnings(tmp_path, countries, seed=SEED)
    assert not warnings.read(), "nobody has agreed that banks may read"
    scams = Scams(PAIR.parameters(PAIR.home), own, seed=SEED)
    scam = next(one for one in map(scams.scam, range(50)) if len(one.payments) > 1)
    assert not warnings.stops(scam, 0, 0.0)
    mule = scam.payments[0].payee
    value = f"{own.codes[own.institution[mule]]}:{account_number(mule)}"
    warnings.warned.take(PAIR.home, received(1, value))
    for share, heeds in ((0.0, False), (1.0, True)):
        warnings._heeds_share = share
        assert {warnings.stops(scam, place, 0.0) for place in range(2)} == {heeds}
    warnings.close()
