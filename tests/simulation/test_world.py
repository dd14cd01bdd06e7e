"""The nation's life: money is conserved, seeds repeat, blocked amounts are never spent."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openaoc.simulation.background import NOWHERE, Batch, ordinary_transfers
from openaoc.simulation.books import Books
from openaoc.simulation.truth import Truth
from openaoc.simulation.world import World, split
from tests.simulation.nations import people, stamp, world

HOUR = 3_600.0


def live(nation: World, hours: int, *, count: int = 400) -> int:
    rows = 0
    for _ in range(hours):
        tick = nation.step(to_s=nation.now_s + HOUR, count=count, stamp=stamp)
        assert (np.diff(tick.rows.time_us) >= 0).all()
        rows += len(tick.rows.debtor)
    return rows


def check(nation: World) -> None:
    books, truth = nation.books, nation.truth
    opening = int(nation.population.opening_minor.sum())
    assert int(books.balance.sum()) + books.left_minor == opening
    assert (books.blocked >= 0).all()
    assert (books.balance >= books.blocked).all()
    assert (books.balance >= truth.scam).all()
    assert (truth.scam >= 0).all()
    assert truth.stolen_minor == int(truth.scam.sum()) + truth.gone_minor


def test_money_is_conserved_and_scam_money_is_known_to_the_satang() -> None:
    nation = world()
    live(nation, 30)
    check(nation)
    assert nation.truth.stolen_minor > 0
    assert nation.truth.gone_minor > 0


def test_the_same_seed_lives_the_same_life() -> None:
    one, two, other = world(3), world(3), world(4)
    for nation in (one, two, other):
        live(nation, 10)
    assert np.array_equal(one.books.balance, two.books.balance)
    assert np.array_equal(one.truth.scam, two.truth.scam)
    assert not np.array_equal(one.books.balance, other.books.balance)


def test_what_is_blocked_stays_and_the_rest_moves() -> None:
    nation = world()
    live(nation, 12)
    account = int(np.argmax(nation.truth.scam))
    there = int(nation.truth.scam[account])
    assert nation.books.block(account, there) == there
    live(nation, 40)
    check(nation)
    assert nation.books.blocked[account] == there
    assert nation.books.balance[account] >= there
    figures = nation.truth.figures(blocked=nation.books.blocked, kind=nation.population.kind)
    assert figures.held == there
    assert figures.rightly_held + figures.wrongly_held == there
    assert figures.rightly_held == min(there, int(nation.truth.scam[account]))


def test_clean_money_that_is_blocked_counts_as_wrongly_held() -> None:
    nation = world()
    shop = int(nation.population.shops[0])
    applied = nation.books.block(shop, 5_000)
    figures = nation.truth.figures(blocked=nation.books.blocked, kind=nation.population.kind)
    assert applied == 5_000
    assert (figures.wrongly_held, figures.rightly_held) == (5_000, 0)
    assert (figures.wrongly_from_honest, figures.held_from_honest) == (5_000, 5_000)


def test_a_life_taken_up_again_goes_on_as_if_nothing_had_been() -> None:
    straight, stopped = world(5), world(5)
    moves, opened, reported = [], set(), set()
    for _ in range(12):
        live(straight, 1)
        tick = stopped.step(to_s=stopped.now_s + HOUR, count=400, stamp=stamp)
        moves += tick.moves
        opened |= set(tick.started)
        reported |= {scam.number for scam in tick.noticed}
        opened -= set(tick.closed)
    again = world(5)
    again.books, again.truth = stopped.books, stopped.truth
    for name in ("now_s", "ticks", "next_scam", "next_transfer"):
        setattr(again, name, getattr(stopped, name))
    again.resume(
        opened=sorted(opened), moves=[m for m in moves if m.scam in opened], reported=reported
    )
    live(straight, 15)
    live(again, 15)
    assert np.array_equal(straight.books.balance, again.books.balance)
    assert np.array_equal(straight.truth.scam, again.truth.scam)
    assert straight.truth.gone_minor == again.truth.gone_minor


@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.integers(-1, 4), st.integers(1, 80)),
        min_size=1,
        max_size=40,
    ),
    st.lists(st.integers(0, 100), min_size=5, max_size=5),
    st.lists(st.integers(0, 100), min_size=5, max_size=5),
)
@settings(max_examples=150)
def test_a_batch_never_spends_what_is_blocked_or_kept(
    rows: list[tuple[int, int, int]], opening: list[int], blocked: list[int]
) -> None:
    books = Books(np.array(opening, np.int64))
    for account, amount in enumerate(blocked):
        books.block(account, amount)
    kept = np.array([amount // 2 for amount in opening], np.int64)
    floor = np.minimum(np.maximum(books.blocked, kept), books.balance)
    columns = np.array(rows, np.int64)
    batch = Batch(
        np.arange(len(rows), dtype=np.int64),
        columns[:, 0].astype(np.int32),
        columns[:, 1].astype(np.int32),
        columns[:, 2],
        np.zeros(len(rows), np.uint8),
    )
    booked = books.settle(batch, kept=kept)
    assert (books.balance >= floor).all()
    assert int(books.balance.sum()) + books.left_minor == sum(opening)
    spent = np.zeros(5, np.int64)
    for row, done in zip(rows, booked.tolist(), strict=True):
        spent[row[0]] += row[2] if done else 0
    assert (spent <= np.array(opening) - floor).all()


@given(st.integers(0, 10**12), st.lists(st.floats(0.01, 1.0), min_size=1, max_size=8))
def test_splitting_gives_whole_units_that_add_up(amount: int, weights: list[float]) -> None:
    parts = split(amount, [weight / sum(weights) for weight in weights])
    assert sum(parts) == amount
    assert min(parts) >= 0


def test_more_cannot_be_given_back_than_was_blocked() -> None:
    books = Books(np.array([100], np.int64))
    assert books.block(0, 250) == 100
    with pytest.raises(AssertionError):
        books.unblock(0, 101)
    books.unblock(0, 100)
    assert books.pay(debtor=0, creditor=NOWHERE, amount_minor=300) == 100
    assert books.left_minor == 100


def test_scam_money_cannot_leave_where_it_is_not() -> None:
    truth = Truth(2)
    truth.stolen(mule=0, amount_minor=10)
    with pytest.raises(AssertionError):
        truth.moved(debtor=1, creditor=0, amount_minor=1)


def test_ordinary_life_repeats_and_touches_everybody() -> None:
    nation = people()
    one = ordinary_transfers(nation, count=5_000, from_us=0, to_us=10**6, seed=(1, 2))
    two = ordinary_transfers(nation, count=5_000, from_us=0, to_us=10**6, seed=(1, 2))
    assert np.array_equal(one.time_us, two.time_us)
    assert np.array_equal(one.debtor, two.debtor)
    assert np.array_equal(one.amount_minor, two.amount_minor)
    assert (one.debtor != one.creditor).all()
    assert (one.amount_minor > 0).all()
    assert set(np.unique(one.channel)) >= {0, 1, 5}
    assert one.time_us.max() < 10**6
