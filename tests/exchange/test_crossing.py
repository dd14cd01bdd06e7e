"""The pursuit crosses the border: two centres over real HTTP, and everything that can go wrong."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from openaoc.channels.signing import BadSignature
from openaoc.exchange.agreement import Grant, Minimisation
from openaoc.exchange.crossborder.carrier import RESTORED, hear
from openaoc.exchange.crossborder.model import LOOK_EVERY, ReceivedState, SentState
from openaoc.exchange.crossborder.rows import Received
from openaoc.exchange.crossborder.sums import Amounts
from openaoc.exchange.objects import ObjectKind
from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.clock import ManualClock
from openaoc.kernel.paging import Asked
from openaoc.storage.centre_state import begin_epoch
from openaoc.storage.database import connect_database
from openaoc.storage.keyring import Keyring
from openaoc.storage.postgres import EmbeddedPostgres
from openaoc.storage.tables import journal_rows
from openaoc.tracing.service import CaseLook
from tests.conftest import START
from tests.exchange.two import BANKS, OFFICER, Country, grant, settle
from tests.restitution.world import MONTH, confirm, hold_long, made, payable
from tests.workflow.centre import SECOND, SUPERVISOR

Owner = Callable[[], dict[str, str]]


@pytest.fixture
def countries(make_owner: Owner, tmp_path: Path) -> Iterator[tuple[Country, Country]]:
    """Two countries with an agreement, both live, each with a clock of its own."""
    made = []
    for code in ("TH-AOC", "VN-AOC"):
        clock, folder = ManualClock(START), tmp_path / code
        folder.mkdir()
        database = connect_database(make_owner(), keys=Keyring(folder / "keys"), clock=clock)
        country = Country(database, folder, clock, code=code)
        country.go_live(*BANKS)
        made.append(country)
    home, abroad = made
    home.befriend(abroad, country="VN")
    abroad.befriend(home, country="SG")
    yield home, abroad
    for country in made:
        country.close()
        country.database.close()


def cross(home: Country, abroad: Country, *, amount: int = 100_000, name: str = "x1") -> str:
    """A victim pays a mule at home, who sends it abroad, where it arrives and rests; the case."""
    origin = home.pay("KBANK:1001", "SCB:2001", amount, ago=timedelta(minutes=9), name=f"o{name}")
    home.pay(
        "SCB:2001",
        "VN.BBL:7001",
        amount,
        ago=timedelta(minutes=8),
        name=name,
        channel="cross_border",
    )
    abroad.pay("TH.SCB:2001", "BBL:7001", amount, ago=timedelta(minutes=7), name=f"in{name}")
    return home.file(origin).case


def approve(country: Country, case: str) -> None:
    """Two persons agree to every drafted order of the case."""
    for order in country.orders(case):
        for actor in (SUPERVISOR, SECOND):
            with country.database.uow.begin(actor) as tx:
                country.matter.holds.approve(tx, order.order)


def test_the_pursuit_crosses_and_the_sums_agree(countries: tuple[Country, Country]) -> None:
    home, abroad = countries
    case = cross(home, abroad)
    settle(home, abroad)
    (asked,), (received,) = home.sent(), abroad.received()
    assert asked.case == case
    assert received.state is ReceivedState.OPENED
    assert received.case is not None
    assert asked.amounts == Amounts(located_minor=100_000)
    assert asked.agrees is True
    assert received.request.fields["case"] not in (case, None)
    assert case not in str(received.request.fields)
    assert asked.their_case not in (None, received.case)
    assert abroad.outbox.orders() == [], "a partner's word alone holds nothing"
    approve(abroad, received.case)
    (order,) = abroad.orders(received.case)
    abroad.answer(order.order, "BBL", 100_000)
    settle(home, abroad)
    assert home.sent()[0].amounts == Amounts(held_minor=100_000)
    with abroad.database.uow.begin(SUPERVISOR) as tx:
        abroad.matter.holds.release(
            tx, order.order, "the holder proved it is his", amount_minor=40_000
        )
    abroad.clock.advance(timedelta(seconds=5))
    abroad.pay("BBL:7001", None, 40_000, ago=timedelta(0), channel="cash_withdrawal")
    settle(home, abroad)
    (asked,) = home.sent()
    assert asked.amounts == Amounts(held_minor=60_000, exited_minor=40_000)
    assert asked.agrees is True


def test_a_case_that_fails_stops_no_other_and_is_asked_about_later(
    countries: tuple[Country, Country], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, abroad = countries
    broken = cross(home, abroad, name="b1")
    whole = cross(home, abroad, amount=20_000, name="w1")
    look = home.tracing.look

    def looks(case: str) -> CaseLook:
        if case == broken:
            raise ZeroDivisionError("a fault of one case")
        return look(case)

    with monkeypatch.context() as patched:
        patched.setattr(home.tracing, "look", looks)
        settle(home, abroad)
        assert [one.case for one in home.sent()] == [whole]
        settle(home, abroad)
    home.clock.advance(LOOK_EVERY)
    settle(home, abroad)
    assert {one.case for one in home.sent()} == {broken, whole}


def test_a_request_that_fails_stops_no_other(
    countries: tuple[Country, Country], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, abroad = countries
    for number in range(2):
        cross(home, abroad, amount=10_000 + number, name=f"q{number}")
    crossing, first = abroad.between.crossing, list[str]()
    look_for = crossing._look_for

    def looks(row: Received) -> set[str]:
        first.append(row.id)
        if row.id == first[0]:
            raise ZeroDivisionError("a fault of one request")
        return look_for(row)

    with monkeypatch.context() as patched:
        patched.setattr(crossing, "_look_for", looks)
        settle(home, abroad)
    opened = [one.state is ReceivedState.OPENED for one in abroad.received()]
    assert sorted(opened) == [False, True]
    abroad.clock.advance(LOOK_EVERY)
    settle(home, abroad)
    received = abroad.received()
    assert all(one.state is ReceivedState.OPENED for one in received)
    with abroad.database.uow.read(SUPERVISOR) as tx:
        page = crossing.requests(tx, Asked(limit=1))
        rest = crossing.requests(tx, Asked(page.cursor, 1))
    assert (rest.cursor, [*page.received, *rest.received]) == (None, received)


FAULTS = ("down", "cut", "lost", "slow")


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_lose_nothing_and_double_nothing(
    countries: tuple[Country, Country], fault: str
) -> None:
    home, abroad = countries
    for country, other in ((home, abroad), (abroad, home)):
        country.hurry(other, itertools.cycle([fault, fault, None]).__next__)
    for number in range(3):
        cross(home, abroad, amount=10_000 + number, name=f"f{number}")
        settle(home, abroad, rounds=2)
    settle(home, abroad, rounds=12)
    assert sorted(one.exit.amount_minor for one in home.sent()) == [10_000, 10_001, 10_002]
    cases = {one.case for one in abroad.received()}
    assert len(cases) == 3
    assert None not in cases
    assert [one.agrees for one in home.sent()] == [True] * 3
    assert all(one.answer_revision == one.taken_revision for one in abroad.received())


def test_a_replayed_message_is_refused_and_changes_nothing(
    countries: tuple[Country, Country],
) -> None:
    home, abroad = countries
    caught: list[tuple[str, str, str | None, bytes]] = []
    answer = abroad.between.gate.answer

    def listen(path: str, *, sender: str, header: str | None, body: bytes) -> object:
        caught.append((path, sender, header, body))
        return answer(path, sender=sender, header=header, body=body)

    abroad.between.gate.answer = listen  # type: ignore[method-assign, assignment]  # a wire-tapper
    cross(home, abroad)
    settle(home, abroad)
    before = abroad.received()
    assert caught
    for path, sender, header, body in caught:
        with pytest.raises(BadSignature):
            answer(path, sender=sender, header=header, body=body)
    assert abroad.received() == before


def test_clocks_that_differ_put_off_and_lose_nothing(countries: tuple[Country, Country]) -> None:
    home, abroad = countries
    home.clock.advance(timedelta(minutes=11))
    cross(home, abroad)
    settle(home, abroad, wait=timedelta(seconds=10))
    assert abroad.received() == []
    assert home.sent()[0].state is SentState.ASKED
    abroad.clock.advance(timedelta(minutes=11))
    settle(home, abroad)
    assert home.sent()[0].agrees is True


def test_a_new_signing_key_is_believed_once_it_is_verified(
    countries: tuple[Country, Country],
) -> None:
    home, abroad = countries
    home.keys.rotate(home.clock.now())
    cross(home, abroad)
    settle(home, abroad)
    assert abroad.received() == []
    abroad.learn_key(home)
    settle(home, abroad)
    assert home.sent()[0].agrees is True


def test_a_revision_and_a_restitution_travel_too(countries: tuple[Country, Country]) -> None:
    home, abroad = countries
    cross(home, abroad)
    settle(home, abroad)
    (received,) = abroad.received()
    case = str(received.case)
    approve(abroad, case)
    (order,) = abroad.orders(case)
    abroad.answer(order.order, "BBL", 100_000)
    settle(home, abroad)
    assert home.sent()[0].amounts == Amounts(held_minor=100_000)
    home.pay("BBL:5005", "SCB:2001", 60_000, ago=timedelta(hours=2))
    settle(home, abroad)
    (asked,) = home.sent()
    assert (asked.exit.amount_minor, asked.agrees) == (40_000, True), "what came late went first"
    assert asked.amounts == Amounts(held_minor=40_000)
    (order,) = abroad.orders(case)
    assert order.held_minor == 40_000, "the rest was given back"
    hold_long(abroad, case)
    home.clock.advance(MONTH)
    restitution = payable(abroad, case)
    confirm(abroad, restitution.id, 1, made(abroad, 40_000), bank="BBL")
    settle(home, abroad)
    (asked,) = home.sent()
    assert (asked.amounts, asked.agrees) == (Amounts(restituted_minor=40_000), True)


def test_a_withdrawn_request_gives_back_what_rests_on_it(
    countries: tuple[Country, Country],
) -> None:
    home, abroad = countries
    case = cross(home, abroad)
    settle(home, abroad)
    (received,) = abroad.received()
    assert received.case is not None
    approve(abroad, received.case)
    (order,) = abroad.orders(received.case)
    abroad.answer(order.order, "BBL", 100_000)
    settle(home, abroad)
    with home.database.uow.begin(SUPERVISOR) as tx:
        home.matter.pursuit.drop(tx, case, reason="the report was false")
    settle(home, abroad)
    (asked,), (received,) = home.sent(), abroad.received()
    assert asked.state is SentState.WITHDRAWN
    assert received.state is ReceivedState.WITHDRAWN
    (order,) = abroad.orders(str(received.case))
    assert order.held_minor == 0, "what rested on the partner's word alone is given back"
    assert asked.amounts == Amounts()


def test_money_that_is_not_there_yet_is_looked_for(countries: tuple[Country, Country]) -> None:
    home, abroad = countries
    origin = home.pay("KBANK:1001", "SCB:2001", 5_000, ago=timedelta(minutes=9))
    home.pay("SCB:2001", "VN.BBL:7001", 5_000, name="late", channel="cross_border")
    home.file(origin)
    settle(home, abroad)
    (asked,) = home.sent()
    assert asked.outcome == "seeking"
    assert asked.amounts == Amounts(not_found_minor=5_000)
    abroad.pay("TH.SCB:2001", "BBL:7001", 5_000, ago=timedelta(minutes=2))
    settle(home, abroad)
    assert home.sent()[0].amounts == Amounts(located_minor=5_000)


def test_beyond_so_many_requests_the_journal_says_what_is_not_asked(
    countries: tuple[Country, Country], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openaoc.exchange.crossborder.asking.REQUESTS_PER_CASE_MAX", 2)
    home, abroad = countries
    origin = home.pay("KBANK:1001", "SCB:2001", 9_000, ago=timedelta(minutes=9))
    for part in range(3):
        home.pay("SCB:2001", "VN.BBL:7001", 3_000, name=f"s{part}", channel="cross_border")
    case = home.file(origin).case
    settle(home, abroad, rounds=2)
    assert [one.exit.amount_minor for one in home.sent()] == [3_000, 3_000]
    with home.database.uow.read(SYSTEM) as tx:
        said = sa.select(journal_rows.c.subject).where(
            journal_rows.c.action == "exchange.request.bound"
        )
        assert list(tx.connection.execute(said).scalars()) == [case]


def test_what_fits_twice_waits_for_a_person(countries: tuple[Country, Country]) -> None:
    home, abroad = countries
    for number in range(2):
        abroad.pay("TH.SCB:2001", "BBL:7001", 100_000, ago=timedelta(minutes=6), name=f"d{number}")
    cross(home, abroad)
    settle(home, abroad)
    (received,) = abroad.received()
    assert (received.state, received.candidates) == (ReceivedState.NEEDS_PERSON, 3)
    shown = abroad.between.crossing.identify(
        SUPERVISOR, partner=home.code, request=received.id, reported_by="TH.SCB", transfer_id="d1"
    )
    assert shown.state is ReceivedState.OPENED
    settle(home, abroad)
    assert home.sent()[0].amounts == Amounts(located_minor=100_000)


def test_without_its_grant_a_request_waits_and_says_why(
    countries: tuple[Country, Country],
) -> None:
    home, abroad = countries
    grants = dict(home.terms(abroad).grants)
    fields = {**grants[ObjectKind.TRACE_REQUEST].fields, "account": Minimisation.MASKED}
    grants[ObjectKind.TRACE_REQUEST] = Grant(fields=fields)
    home.agree(abroad, grants=grants)
    cross(home, abroad)
    settle(home, abroad)
    (asked,) = home.sent()
    assert asked.state is SentState.WAITING
    assert "account" in str(asked.why)
    assert abroad.received() == []
    home.agree(abroad)
    settle(home, abroad)
    assert home.sent()[0].agrees is True


def test_what_a_restored_centre_forgot_is_said_again(
    countries: tuple[Country, Country], postgres: EmbeddedPostgres
) -> None:
    home, abroad = countries
    cross(home, abroad, amount=10_000, name="before")
    settle(home, abroad)
    backup = abroad.copied(postgres, name="test_abroad_yesterday")
    cross(home, abroad, amount=20_000, name="after")
    settle(home, abroad)
    assert [one.agrees for one in home.sent()] == [True, True]
    forgotten = abroad.received()[0].case
    heard: list[str] = []
    home.database.uow.subscribe(RESTORED, lambda _, event: heard.append(event.subject))
    abroad.restored(backup)
    assert len(abroad.received()) == 1
    settle(home, abroad)
    assert [one.request.fields["amount_minor"] for one in abroad.received()] == [20_000, 10_000]
    assert abroad.received()[0].case not in (None, forgotten)
    assert [one.agrees for one in home.sent()] == [True, True]
    assert [one.amounts for one in home.sent()] == [one.amounts for one in abroad.received()]
    assert heard == [abroad.code], "whoever has more to say again hears of it, once"
    for one, other in ((home, abroad), (abroad, home)):
        one.agree(other, grants={ObjectKind.MATCH: grant(ObjectKind.MATCH)})
    with abroad.database.uow.begin(SYSTEM) as tx:
        begin_epoch(tx, why="restored", backup_at=tx.now)
    home.step()
    assert heard == [abroad.code] * 2, "without an agreement on requests too, and while it waits"


def test_an_answer_to_what_the_asking_centre_forgot_is_kept_for_a_person(
    countries: tuple[Country, Country], postgres: EmbeddedPostgres
) -> None:
    home, abroad = countries
    cross(home, abroad, amount=10_000, name="before")
    settle(home, abroad)
    backup = home.copied(postgres, name="test_home_yesterday")
    cross(home, abroad, amount=20_000, name="after")
    settle(home, abroad)
    home.restored(backup)
    settle(home, abroad)
    assert [one.agrees for one in home.sent()] == [True]
    after, before = abroad.received()
    assert after.state is ReceivedState.OPENED, "nothing is given up for a centre's loss of memory"
    assert "no such request" in str(after.last_error)
    assert before.last_error is None


def test_a_message_of_an_earlier_life_is_refused(countries: tuple[Country, Country]) -> None:
    home, abroad = countries
    cross(home, abroad)
    settle(home, abroad)
    with abroad.database.uow.begin(SYSTEM) as tx:
        hear(tx, home.code, epoch=7)
    cross(home, abroad, name="x2")
    settle(home, abroad)
    assert len(abroad.received()) == 1
    assert "earlier-life" in str(home.sent()[0].last_error)


def test_a_suspended_agreement_stops_words_and_takes_nothing_back(
    countries: tuple[Country, Country],
) -> None:
    home, abroad = countries
    case = cross(home, abroad)
    settle(home, abroad)
    agreements = home.matter.sharing.agreements
    with home.database.uow.begin(SUPERVISOR) as tx:
        agreements.suspend(tx, f"{abroad.code}.1", reason="a leak is being looked into")
    home.between.crossing.look_at_all()
    cross(home, abroad, name="while")
    settle(home, abroad)
    assert [one.state for one in home.sent()] == [SentState.ANSWERED]
    assert len(abroad.received()) == 1
    for actor in (OFFICER, SUPERVISOR):
        with home.database.uow.begin(actor) as tx:
            agreements.resume(tx, f"{abroad.code}.1")
    settle(home, abroad)
    assert sorted(one.agrees is True for one in home.sent()) == [True, True]
    assert case in {one.case for one in home.sent()}
