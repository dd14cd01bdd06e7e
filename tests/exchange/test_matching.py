"""Two centres match over real HTTP: what both know is found, and nothing else is seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from openaoc.channels.signing import BadSignature
from openaoc.exchange.line import PeerBusy, PeerRefused
from openaoc.exchange.matching.answering import Answering
from openaoc.exchange.matching.model import (
    EPOCH_LENGTH,
    PATH,
    Direction,
    Hit,
    PageAsked,
    Questions,
    SetAsked,
    SetInfo,
)
from openaoc.exchange.matching.sets import Identifier
from openaoc.exchange.model import NoAgreement
from openaoc.kernel.clock import ManualClock
from openaoc.kernel.errors import BadInput
from openaoc.kernel.paging import Asked
from openaoc.storage.database import connect_database
from openaoc.storage.keyring import Keyring
from openaoc.storage.unit_of_work import Transaction
from tests.conftest import START
from tests.exchange.two import DESK, Country
from tests.workflow.centre import INVESTIGATOR, SUPERVISOR

Owner = Callable[[], dict[str, str]]


class Known:
    """What a centre of the test knows."""

    def __init__(self, *values: str, kind: str = "phone") -> None:
        self.known = [Identifier(kind=kind, value=value) for value in values]

    def identifiers(
        self, tx: Transaction, kinds: Sequence[str], *, limit: int, after: int = 0
    ) -> list[Identifier]:
        assert tx.now is not None
        return [one for one in self.known[after:] if one.kind in kinds][:limit]

    def mark(self, tx: Transaction) -> int:
        assert tx.now is not None
        return len(self.known)


@pytest.fixture
def countries(make_owner: Owner, tmp_path: Path) -> Iterator[tuple[Country, Country]]:
    """Two countries that agreed to match, and one that knows some numbers."""
    made = []
    for code in ("TH-AOC", "VN-AOC"):
        clock, folder = ManualClock(START), tmp_path / code
        folder.mkdir()
        database = connect_database(make_owner(), keys=Keyring(folder / "keys"), clock=clock)
        made.append(Country(database, folder, clock, code=code))
    home, abroad = made
    home.befriend(abroad, country="VN")
    abroad.befriend(home, country="SG")
    know(abroad, "+6681", "+6682", "+6683")
    abroad.between.answering.prepare_due()
    yield home, abroad
    for country in made:
        country.close()
        country.database.close()


def know(country: Country, *values: str) -> None:
    country.between.answering._holdings = Known(*values)
    country.between.asking._holdings = Known(*values)


def phones(*values: str) -> list[Identifier]:
    return [Identifier(kind="phone", value=value) for value in values]


def hits(country: Country) -> list[Hit]:
    with country.database.uow.read(INVESTIGATOR) as tx:
        return country.between.asking.hits(tx).hits


def test_both_learn_what_both_know_and_nothing_else(countries: tuple[Country, Country]) -> None:
    home, abroad = countries
    found = home.between.asking.match(abroad.code, phones("+6680", "+6682", "+6683", "+6689"))
    assert (found.asked, found.hits, found.fresh) == (4, 2, 2)
    ours, theirs = hits(home), hits(abroad)
    assert {hit.value for hit in ours} == {"+6682", "+6683"} == {hit.value for hit in theirs}
    assert {hit.direction for hit in ours} == {Direction.FOUND}
    assert {hit.direction for hit in theirs} == {Direction.TOLD}
    assert {hit.reference for hit in ours} == {hit.id for hit in theirs}
    desk = f"{DESK.name}, {DESK.email}"
    assert {hit.contact for hit in ours} == {desk}, "whom the agreement names there"
    assert {hit.contact for hit in theirs} == {"duty@th-aoc.example"}, "whom they ask here"
    again = home.between.asking.match(abroad.code, phones("+6682"))
    assert (again.hits, again.fresh) == (1, 0)
    assert len(hits(abroad)) == 2


def test_what_goes_over_the_wire_is_the_same_whatever_is_asked(
    countries: tuple[Country, Country],
) -> None:
    home, abroad = countries
    seen: list[tuple[bytes, bytes]] = []
    answer = abroad.between.gate.answer

    def listen(path: str, *, sender: str, header: str | None, body: bytes) -> object:
        answered = answer(path, sender=sender, header=header, body=body)
        if path.endswith("evaluate"):
            seen.append((body, answered.body))
        return answered

    abroad.between.gate.answer = listen  # type: ignore[method-assign, assignment]  # a wire-tapper
    questions = (["+6682"], ["+6680"], ["+6681", "+6682", "+6683"], ["+6684", "+6685", "+6686"])
    for asked in questions:
        home.between.asking.match(abroad.code, phones(*asked))
    assert len({(len(question), len(said)) for question, said in seen}) == 1
    elements = [
        element
        for question, _ in seen
        for element in msgspec.json.decode(question, type=Questions).split()
    ]
    assert len(set(elements)) == len(elements) == 4 * 16, "nothing repeats, not even a question"
    plain = {number.encode("ascii") for asked in questions for number in asked}
    assert not any(number in question for question, _ in seen for number in plain)


def test_a_day_later_everything_is_under_another_key(countries: tuple[Country, Country]) -> None:
    home, abroad = countries
    first = home.between.asking.match(abroad.code, phones("+6682"))
    before = abroad.between.answering._tags(home.code, first.epoch).blob
    for country in countries:
        country.clock.advance(EPOCH_LENGTH)
    with pytest.raises(PeerBusy):
        home.between.asking.match(abroad.code, phones("+6682"))
    know(abroad, "+6682")
    assert abroad.between.answering.prepare_due() == 1
    second = home.between.asking.match(abroad.code, phones("+6681", "+6682"))
    assert (second.epoch, second.hits) == (first.epoch + 1, 1)
    after = abroad.between.answering._tags(home.code, second.epoch).blob
    assert len(before) == len(after)
    assert not {before[n : n + 12] for n in range(0, len(before), 12)} & {
        after[n : n + 12] for n in range(0, len(after), 12)
    }


def test_only_so_many_questions_an_hour(countries: tuple[Country, Country]) -> None:
    home, abroad = countries
    abroad.between.answering._questions_max = 40
    for _ in range(2):
        home.between.asking.match(abroad.code, phones("+6682"))
    with pytest.raises(PeerBusy, match="too-many-questions"):
        home.between.asking.match(abroad.code, phones("+6682"))
    for country in countries:
        country.clock.advance(timedelta(hours=1))
    assert home.between.asking.match(abroad.code, phones("+6682")).hits == 1


def test_whoever_has_no_agreement_learns_nothing(countries: tuple[Country, Country]) -> None:
    home, abroad = countries
    with pytest.raises(BadSignature):
        abroad.between.gate.answer(f"{PATH}/set", sender="XX-AOC", header="x", body=b"{}")
    with pytest.raises(BadSignature):
        abroad.between.gate.answer(f"{PATH}/set", sender=home.code, header=None, body=b"{}")
    grants = dict(abroad.terms(home).grants)
    del grants[next(kind for kind in grants if kind.value == "match")]
    abroad.agree(home, grants=grants)
    with pytest.raises(PeerRefused, match="no-agreement"):
        home.between.asking.match(abroad.code, phones("+6682"))
    with pytest.raises(BadInput, match="agreed"):
        home.between.asking.match(abroad.code, [Identifier(kind="url", value="x")])
    home.agree(abroad, grants=grants)
    with pytest.raises(NoAgreement):
        home.between.asking.match(abroad.code, phones("+6682"))


def test_a_guessed_token_names_nothing(countries: tuple[Country, Country]) -> None:
    home, abroad = countries
    line, answering = home.between.asking._line, abroad.between.answering
    assert isinstance(answering, Answering)
    with home.database.uow.read(SUPERVISOR) as tx:
        peer = home.matter.sharing.agreed.peer(tx, abroad.code)
    info = line.ask(peer, f"{PATH}/set", SetAsked(), SetInfo)
    tags = answering._tags(home.code, info.epoch)
    found = home.between.asking.match(abroad.code, phones("+6682"))
    padding = next(
        tag
        for place, tag in enumerate(tags)
        if answering._shelf.item(home.code, info.epoch, place=place, of=len(tags)) is None
    )
    hit = msgspec.structs.replace(hits(home)[0], token=padding.hex())
    with pytest.raises(PeerRefused, match="no-such-token"):
        home.between.asking._tell(peer, hit)
    assert found.hits == len(hits(abroad)) == 1
    with pytest.raises(PeerRefused, match="NUL"):
        line.ask(peer, f"{PATH}/set", msgspec.structs.replace(info, digest="a\0"), SetInfo)
    with pytest.raises(PeerRefused, match="past the last page"):
        line.ask(peer, f"{PATH}/page", PageAsked(epoch=info.epoch, page=5), SetInfo)


def test_a_person_closes_a_hit(countries: tuple[Country, Country]) -> None:
    home, abroad = countries
    home.between.asking.match(abroad.code, phones("+6682"))
    (hit,) = hits(home)
    with home.database.uow.begin(INVESTIGATOR) as tx:
        closed = home.between.asking.close(tx, hit.id, why="the number was blocked on both sides")
    assert closed.closed_by == INVESTIGATOR.id
    assert home.between.asking.match(abroad.code, phones("+6682")).fresh == 1
    with home.database.uow.read(INVESTIGATOR) as tx:
        first = home.between.asking.hits(tx, Asked(limit=1))
        second = home.between.asking.hits(tx, Asked(first.cursor, 1))
    assert {one.closed_by for one in (*first.hits, *second.hits)} == {INVESTIGATOR.id, None}
    assert second.cursor is None
