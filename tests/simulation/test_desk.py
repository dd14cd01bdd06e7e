"""An institution blocks what it is ordered to, never more than is free, and says what it did."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from openaoc.holds.model import Answer, Order
from openaoc.kernel.clock import ManualClock, to_us
from openaoc.kernel.errors import BadInput, Conflict
from openaoc.simulation.desk import Desk
from openaoc.simulation.nation import Nation
from openaoc.simulation.population import account_number
from tests.simulation.nations import SEED, open_nation
from tests.simulation.orders import delivery, end, order

SOON = timedelta(minutes=2)
"""Longer than any simulated institution takes."""


@pytest.fixture
def nation(tmp_path: Path, clock: ManualClock) -> Iterator[Nation]:
    found = open_nation(tmp_path, clock)
    yield found
    found.close()


@pytest.fixture
def desk(nation: Nation, clock: ManualClock) -> Desk:
    return Desk(nation, seed=SEED, clock=clock)


def rich(nation: Nation) -> int:
    """An account with a good deal of money."""
    return int(nation.population.wage_payers[0])


def say(desk: Desk, clock: ManualClock, body: bytes, institution: str) -> None:
    desk.take_in(institution, body)
    clock.advance(SOON)
    while desk.work():
        pass


def answers(desk: Desk, clock: ManualClock) -> dict[str, Answer]:
    due = desk.orders.due_answers(now_us=to_us(clock.now()))
    return {one.order: msgspec.json.decode(one.body, type=Answer) for one in due}


def test_an_ordered_amount_is_blocked_and_cannot_be_spent(
    nation: Nation, desk: Desk, clock: ManualClock
) -> None:
    account = rich(nation)
    before = nation.books.free(account)
    asked = order(nation.population, account, before - 500, now=clock.now())
    say(desk, clock, delivery(asked), asked.institution)
    answer = answers(desk, clock)["ord_1"]
    assert (answer.outcome, answer.applied_minor) == ("applied", before - 500)
    assert answer.available_minor == before
    other = int(nation.population.people[0])
    assert nation.books.pay(debtor=account, creditor=other, amount_minor=before) == 500


def test_when_less_is_there_the_order_is_applied_in_part_and_then_refused(
    nation: Nation, desk: Desk, clock: ManualClock
) -> None:
    account = rich(nation)
    free = nation.books.free(account)
    first = order(nation.population, account, free + 10_000, now=clock.now())
    second = order(nation.population, account, 10_000, now=clock.now(), name="ord_2")
    say(desk, clock, delivery(first), first.institution)
    say(desk, clock, delivery(second), first.institution)
    said = answers(desk, clock)
    assert (said["ord_1"].outcome, said["ord_1"].applied_minor) == ("applied", free)
    assert (said["ord_2"].outcome, said["ord_2"].applied_minor) == ("refused", 0)
    assert said["ord_2"].available_minor == 0


def test_a_later_revision_of_a_refused_order_is_refused_again_whatever_came_in_meanwhile(
    nation: Nation, desk: Desk, clock: ManualClock
) -> None:
    account = rich(nation)
    free = nation.books.free(account)
    other = int(nation.population.people[0])
    nation.books.pay(debtor=account, creditor=other, amount_minor=free)
    first = order(nation.population, account, 10_000, now=clock.now())
    say(desk, clock, delivery(first), first.institution)
    assert answers(desk, clock)["ord_1"].outcome == "refused"
    nation.books.pay(debtor=other, creditor=account, amount_minor=free)
    again = order(nation.population, account, 9_000, now=clock.now(), revision=2)
    say(desk, clock, delivery(again), first.institution)
    said = answers(desk, clock)["ord_1"]
    assert (said.outcome, said.applied_minor) == ("refused", 0)
    assert nation.books.blocked[account] == 0


def test_an_account_of_another_institution_is_unknown(
    nation: Nation, desk: Desk, clock: ManualClock
) -> None:
    asked = order(nation.population, rich(nation), 100, now=clock.now())
    other = next(code for code in nation.population.codes if code != asked.institution)
    strange = msgspec.structs.replace(asked, order="ord_2", account="0000000000")
    say(desk, clock, delivery(asked, strange), other)
    said = answers(desk, clock)
    assert {answer.outcome for answer in said.values()} == {"unknown_account"}
    assert int(nation.books.blocked.sum()) == 0


def test_a_repeated_message_changes_nothing(nation: Nation, desk: Desk, clock: ManualClock) -> None:
    asked = order(nation.population, rich(nation), 100, now=clock.now())
    body = delivery(asked, key="once")
    assert desk.take_in(asked.institution, body) == 1
    assert desk.take_in(asked.institution, body) == 0
    say(desk, clock, body, asked.institution)
    assert int(nation.books.blocked.sum()) == 100


def test_a_release_gives_back_what_it_says(nation: Nation, desk: Desk, clock: ManualClock) -> None:
    account = rich(nation)
    asked = order(nation.population, account, 1_000, now=clock.now())
    say(desk, clock, delivery(asked), asked.institution)
    part = end(asked, back_minor=400, remaining_minor=600, revision=2)
    say(desk, clock, delivery(part, kind="hold.release"), asked.institution)
    assert nation.books.blocked[account] == 600
    rest = end(asked, back_minor=600, remaining_minor=0, revision=3)
    say(desk, clock, delivery(rest, kind="hold.release"), asked.institution)
    assert nation.books.blocked[account] == 0


def test_a_withdrawal_that_overtakes_its_order_prevails(
    nation: Nation, desk: Desk, clock: ManualClock
) -> None:
    asked = order(nation.population, rich(nation), 1_000, now=clock.now())
    gone = end(asked, back_minor=1_000, remaining_minor=0, revision=2)
    say(desk, clock, delivery(gone, kind="hold.withdrawal"), asked.institution)
    say(desk, clock, delivery(asked), asked.institution)
    assert answers(desk, clock)["ord_1"].outcome == "refused"
    assert int(nation.books.blocked.sum()) == 0


def test_a_lower_revision_blocks_less(nation: Nation, desk: Desk, clock: ManualClock) -> None:
    account = rich(nation)
    asked = order(nation.population, account, 1_000, now=clock.now())
    say(desk, clock, delivery(asked), asked.institution)
    less = msgspec.structs.replace(asked, revision=2, amount_minor=300)
    say(desk, clock, delivery(less), asked.institution)
    assert nation.books.blocked[account] == 300


@pytest.mark.parametrize("order_first", [True, False])
def test_a_block_goes_over_to_another_order_and_nothing_comes_free(
    nation: Nation, desk: Desk, clock: ManualClock, *, order_first: bool
) -> None:
    account = rich(nation)
    asked = order(nation.population, account, 1_000, now=clock.now())
    say(desk, clock, delivery(asked), asked.institution)
    heir = order(
        nation.population, account, 600, now=clock.now(), name="ord_2", continues=asked.order
    )
    over = end(asked, back_minor=600, remaining_minor=400, revision=2, continued_by=heir.order)
    messages = [delivery(heir), delivery(over, kind="hold.release")]
    for body in messages if order_first else messages[::-1]:
        say(desk, clock, body, asked.institution)
        assert nation.books.blocked[account] == 1_000
    said = answers(desk, clock)["ord_2"]
    assert (said.outcome, said.applied_minor) == ("applied", 600)
    rest = end(asked, back_minor=400, remaining_minor=0, revision=3)
    say(desk, clock, delivery(rest, kind="hold.release"), asked.institution)
    assert nation.books.blocked[account] == 600
    gone = end(heir, back_minor=600, remaining_minor=0, revision=2)
    say(desk, clock, delivery(gone, kind="hold.release"), asked.institution)
    assert nation.books.blocked[account] == 0


def test_an_order_that_goes_on_with_an_unknown_one_blocks_anew(
    nation: Nation, desk: Desk, clock: ManualClock
) -> None:
    account = rich(nation)
    heir = order(nation.population, account, 600, now=clock.now(), continues="ord_0")
    say(desk, clock, delivery(heir), heir.institution)
    assert nation.books.blocked[account] == 600


def test_a_hold_ends_by_itself(nation: Nation, desk: Desk, clock: ManualClock) -> None:
    account = rich(nation)
    asked = order(nation.population, account, 1_000, now=clock.now())
    say(desk, clock, delivery(asked), asked.institution)
    assert nation.books.blocked[account] == 1_000
    clock.advance(timedelta(hours=72))
    assert desk.work() == 1
    assert nation.books.blocked[account] == 0


def test_what_is_no_delivery_is_refused_whole(desk: Desk) -> None:
    for body in (b"", b"{", b'{"messages":[{"id":1}]}', b'{"messages":{}}', b"\xff"):
        with pytest.raises(BadInput):
            desk.take_in("BANK1", body)


def test_blocks_and_unsent_answers_outlive_the_process(tmp_path: Path, clock: ManualClock) -> None:
    first = open_nation(tmp_path, clock)
    desk = Desk(first, seed=SEED, clock=clock)
    account = rich(first)
    asked: Order = order(first.population, account, 1_000, now=clock.now())
    say(desk, clock, delivery(asked), asked.institution)
    later = order(first.population, account, 50, now=clock.now(), name="ord_2")
    desk.take_in(later.institution, delivery(later))
    first.close()
    again = open_nation(tmp_path, clock)
    desk = Desk(again, seed=SEED, clock=clock)
    assert again.books.blocked[account] == 1_000
    assert set(answers(desk, clock)) == {"ord_1"}
    clock.advance(SOON)
    assert desk.work() == 1
    assert again.books.blocked[account] == 1_050
    assert account_number(account) == asked.account
    again.close()


def test_another_nation_does_not_move_into_the_same_folder(
    tmp_path: Path, clock: ManualClock
) -> None:
    open_nation(tmp_path, clock).close()
    with pytest.raises(Conflict, match="seed"):
        open_nation(tmp_path, clock, seed=SEED + 1)
