"""Possible victims: what leaves between two centres over real HTTP, and what comes back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from openaoc.channels.transport import NotReached
from openaoc.exchange.agreement import Grant, Minimisation
from openaoc.exchange.crossborder.model import SentState
from openaoc.exchange.line import PeerRefused
from openaoc.exchange.model import NoAgreement, PartnerKind
from openaoc.exchange.objects import ObjectKind
from openaoc.exchange.protection.model import (
    PATH,
    MarkState,
    NewMark,
    NewReferral,
    Person,
    PersonsIdentifier,
    ReferralApproval,
    ReferralMessage,
    ReferralState,
    ReferralTaken,
    Sign,
    WrongMarkStep,
)
from openaoc.kernel.actor import CITIZEN, SYSTEM, Actor, Role
from openaoc.kernel.clock import ManualClock
from openaoc.kernel.errors import BadInput
from openaoc.kernel.paging import Asked
from openaoc.kernel.settings import Settings
from openaoc.public.report import render
from openaoc.statistics.public_report import PublicReports
from openaoc.storage.database import connect_database
from openaoc.storage.keyring import Keyring
from openaoc.web.words import words
from tests.conftest import START
from tests.exchange.two import BANKS, OFFICER, Country, settle
from tests.workflow.centre import INVESTIGATOR, SUPERVISOR

Owner = Callable[[], dict[str, str]]
TRAINED = Actor(id="usr_trained", roles=frozenset({Role.PROTECTION_OFFICER}))
BASIS = "Anti-Trafficking in Persons Act, section 29"
TOLD = ("signs", "identifiers", "person_name", "situation")
SOMCHAI = Person(
    identifiers=(PersonsIdentifier(kind="bank_account", value="VN.BBL:7001"),),
    person_name="Somchai  Jaidee",
    situation="called from a compound",
)


@pytest.fixture
def countries(make_owner: Owner, tmp_path: Path) -> Iterator[tuple[Country, Country]]:
    """Two live countries with an agreement."""
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


def cross(
    home: Country,
    abroad: Country,
    *,
    name: str = "x1",
    amount: int = 100_000,
    arrives: bool = True,
) -> str:
    """A victim pays a mule at home, who sends it abroad; the case."""
    ago = [timedelta(minutes=number) for number in (9, 8, 7)]
    origin = home.pay("KBANK:1001", "SCB:2001", amount, ago=ago[0], name=f"o{name}")
    there = {"name": name, "channel": "cross_border"}
    home.pay("SCB:2001", "VN.BBL:7001", amount, ago=ago[1], **there)
    if arrives:
        abroad.pay("TH.SCB:2001", "BBL:7001", amount, ago=ago[2], name=f"in{name}")
    return home.file(origin).case


def protect(country: Country, person: Person = SOMCHAI) -> str:
    """A trained person marks somebody; the mark's id."""
    with country.database.uow.begin(TRAINED) as tx:
        new = NewMark(person=person, signs=(Sign.CONFINED, Sign.ACCOUNT_TAKEN))
        return country.matter.sharing.marking.mark(tx, new).mark.id


def test_a_marked_account_is_not_asked_about_and_what_was_asked_is_taken_back(
    countries: tuple[Country, Country],
) -> None:
    home, abroad = countries
    cross(home, abroad)
    settle(home, abroad)
    (received,) = abroad.received()
    assert received.request.fields["account"] == "7001"
    protect(home)
    settle(home, abroad)
    (asked,), (received,) = home.sent(), abroad.received()
    assert asked.state is SentState.WITHDRAWN
    assert received.state.value == "withdrawn"
    with home.database.uow.read(OFFICER) as tx:
        notices = home.matter.sharing.exchange.recalling.notices(tx, partner="VN-AOC").notices
    assert {one.reason for one in notices} == {"withdrawn"}, "that it is a victim is not told"
    cross(home, abroad, name="x2")
    settle(home, abroad)
    assert {one.state for one in home.sent()} == {SentState.WITHDRAWN}
    assert len(abroad.received()) == 1


def befriend_protection(home: Country, abroad: Country) -> None:
    """Abroad protects victims: an agreement for that, and for nothing else."""
    grants = {ObjectKind.REFERRAL: Grant(fields=dict.fromkeys(TOLD, Minimisation.AS_IS))}
    with home.database.uow.begin(SYSTEM) as tx:
        tx.connection.exec_driver_sql(
            "UPDATE exchange_partners SET kind = %s WHERE code = %s",
            (PartnerKind.PROTECTION.value, abroad.code),
        )
    home.agree(abroad, grants=grants, protection=BASIS, personal_basis=BASIS)


def test_a_referral_travels_once_and_protects_there_too(
    countries: tuple[Country, Country],
) -> None:
    home, abroad = countries
    mark = protect(home)
    sharing = home.matter.sharing
    new = NewReferral(mark=mark, partner=abroad.code, fields=TOLD, reason="asked for help")
    with pytest.raises(NoAgreement), home.database.uow.begin(TRAINED) as tx:
        sharing.referring.propose(tx, new)
    befriend_protection(home, abroad)
    with home.database.uow.begin(TRAINED) as tx:
        one = sharing.referring.propose(tx, new)
    with pytest.raises(WrongMarkStep):
        sharing.referring.carry(OFFICER, one.id, line=home.between.together.line)
    with home.database.uow.begin(OFFICER) as tx:
        word = ReferralApproval(legal_basis=BASIS, reason="the person asked for help")
        sheet = sharing.referring.approve(tx, one.id, word)
    assert sheet.left.fields["person_name"] == "Somchai Jaidee"
    abroad.fault = iter(["lost", None, None]).__next__
    with pytest.raises(NotReached):
        sharing.referring.carry(OFFICER, one.id, line=home.between.together.line)
    done = sharing.referring.carry(OFFICER, one.id, line=home.between.together.line)
    assert done.state is ReferralState.DELIVERED
    with abroad.database.uow.begin(TRAINED) as tx:
        marking = abroad.matter.sharing.marking
        (theirs,) = marking.list(tx).marks
        person = marking.open(tx, theirs.id, reason="a referral came").person
    assert theirs.origin == "TH-AOC"
    assert theirs.signs == (Sign.CONFINED, Sign.ACCOUNT_TAKEN)
    assert person.identifiers == SOMCHAI.identifiers
    with abroad.database.uow.read(INVESTIGATOR) as tx:
        named = abroad.matter.sharing.agreed.protected(
            tx, [("bank_account", "VN.BBL:7001"), ("bank_account", "BBL:7001")]
        )
    assert named == {("bank_account", "VN.BBL:7001")}
    message = msgspec.structs.replace(sheet.left, kind=ObjectKind.INDICATOR)
    with home.database.uow.read(SYSTEM) as tx:
        peer = sharing.agreed.peer(tx, abroad.code)
    with pytest.raises(PeerRefused, match="not a referral"):
        home.between.together.line.ask(peer, PATH, ReferralMessage(referral=message), ReferralTaken)
    rows = home.database.uow
    with rows.read(INVESTIGATOR) as tx:
        query = "SELECT count(*) FROM protection_marks"
        assert tx.connection.exec_driver_sql(query).scalar_one() == 0, "row rules hide them"
    with rows.read(SYSTEM) as tx:
        body = tx.connection.exec_driver_sql(
            "SELECT body FROM exchange_releases WHERE kind = 'referral'"
        ).scalar_one()
    assert "Somchai" not in body, "the ledger keeps that it left, not what"


def test_marks_need_somebody_and_are_lifted_by_two(countries: tuple[Country, Country]) -> None:
    home, _ = countries
    with pytest.raises(BadInput, match="identifier or a name"):
        protect(home, Person(situation="somebody called"))
    with pytest.raises(BadInput, match="identifiers"):
        protect(home, Person(identifiers=(PersonsIdentifier(kind="phone", value="x"),)))
    mark = protect(home)
    marking = home.matter.sharing.marking
    for actor, state in ((TRAINED, MarkState.LIFT_PROPOSED), (OFFICER, MarkState.LIFTED)):
        with home.database.uow.begin(actor) as tx:
            assert marking.lift(tx, mark, reason="another person was meant").state is state
    with home.database.uow.read(SYSTEM) as tx:
        assert not home.matter.sharing.agreed.protected(tx, [("bank_account", "VN.BBL:7001")])
    with pytest.raises(WrongMarkStep), home.database.uow.begin(OFFICER) as tx:
        marking.lift(tx, mark, reason="once more")
    other = protect(home)
    with home.database.uow.read(TRAINED) as tx:
        first = marking.list(tx, Asked(limit=1))
        second = marking.list(tx, Asked(first.cursor, 1))
    assert {one.id for one in (*first.marks, *second.marks)} == {mark, other}
    assert second.cursor is None


def test_requests_end_as_met_or_refused_and_the_public_reads_it(
    countries: tuple[Country, Country],
) -> None:
    home, abroad = countries
    for number in range(5):
        cross(home, abroad, name=f"m{number}", amount=100_000 + number)
    settle(home, abroad)
    met = {one.id for one in abroad.received()}
    for number in range(6):
        cross(home, abroad, name=f"r{number}", amount=200_000 + number, arrives=False)
    settle(home, abroad, rounds=2)
    refused = [one.id for one in abroad.received() if one.id not in met]
    assert (len(met), len(refused)) == (5, 6)
    for request in refused[:5]:
        abroad.between.crossing.refuse(
            SUPERVISOR, partner=home.code, request=request, why="our law does not permit it"
        )
    settle(home, abroad)
    with abroad.database.uow.read(SYSTEM) as tx:
        (figures,) = abroad.matter.sharing.requests.figures(tx).countries
    assert (figures.received, figures.met, figures.refused) == (11, 5, 5)
    reports = PublicReports(Settings())
    with abroad.database.uow.read(CITIZEN) as tx:
        today = reports.report(tx)
    assert (today.total.received, today.countries) == (None, []), "only closed days are told"
    abroad.clock.advance(timedelta(days=1))
    with abroad.database.uow.read(CITIZEN) as tx:
        report = reports.report(tx)
    (country,) = report.countries
    # One request is open: told with the others, it would be one that somebody may know.
    assert (country.jurisdiction, country.received) == ("SG", 11)
    assert (country.met, country.refused, country.open) == (None, 5, None)
    assert report.answer is not None
    assert report.answer.count == 10
    assert [(one.reason, one.count) for one in report.reasons] == [("refused-by-person", 5)]
    assert report.held.count is None, "nothing was held: that is a small count too"
    text = render(report, language="en")
    assert "Public report" in text
    assert words("th")["refused_refused_by_person"] in render(report, language="th")
