"""What is listed of take-downs and advisories: pages tell of nobody else, old ones may change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from openaoc.exchange.advisories.model import State
from openaoc.exchange.advisories.publishing import every_advisory
from openaoc.exchange.model import PartnerKind
from openaoc.exchange.takedowns.model import NewTakedown, Takedown, Target
from openaoc.kernel.clock import ManualClock
from openaoc.kernel.errors import BadInput
from openaoc.kernel.identifiers.kinds import Kind
from openaoc.storage.database import connect_database
from openaoc.storage.keyring import Keyring
from tests.conftest import START
from tests.exchange.outreach_site import (
    BASIS,
    company,
    confirmed,
    content,
    partner_user,
    published,
)
from tests.exchange.two import Country
from tests.workflow.centre import INVESTIGATOR, SUPERVISOR

HOST, OTHER = "TH-HOST", "TH-OTHER"


@pytest.fixture(scope="module")
def home(
    make_shared_owner: Callable[[], dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Country]:
    """A centre with two companies that host sites."""
    folder, clock = tmp_path_factory.mktemp("TH-AOC"), ManualClock(START)
    database = connect_database(make_shared_owner(), keys=Keyring(folder / "keys"), clock=clock)
    country = Country(database, folder, clock, code="TH-AOC")
    for code in (HOST, OTHER):
        company(country, code, kind=PartnerKind.HOST)
    yield country
    country.close()
    database.close()


def draft(home: Country, kind: Kind, value: str, partner: str) -> Takedown:
    asked = NewTakedown(
        partner=partner,
        indicator=confirmed(home, kind, value),
        target=Target.SITE,
        reason="it copies a bank's page and asks for passwords",
        legal_basis=BASIS,
        others="none",
    )
    with home.database.uow.begin(INVESTIGATOR) as tx:
        return home.between.outreach.takedowns.asking.draft(tx, asked)


def sent(home: Country, kind: Kind, value: str, partner: str) -> str:
    """Drafted, approved by as many persons as it takes, and released."""
    asking, one = home.between.outreach.takedowns.asking, draft(home, kind, value, partner)
    for actor in (INVESTIGATOR, SUPERVISOR)[: 2 if one.two_persons else 1]:
        with home.database.uow.begin(actor) as tx:
            asking.approve(tx, one.id, words="looked at it")
    home.between.outreach.run()
    return one.id


def test_a_partners_pages_tell_nothing_of_what_never_reached_it(
    home: Country,
) -> None:
    asking = home.between.outreach.takedowns.asking
    others = sent(home, Kind.URL, "https://another.com/login", OTHER)
    mine = []
    for number in range(2):
        mine.append(sent(home, Kind.DOMAIN, f"mine-{number}.com", HOST))
        waits = draft(home, Kind.DOMAIN, f"waits-{number}.com", HOST).id
    with home.database.uow.read(partner_user(HOST)) as tx:
        first = asking.of_partner(tx, HOST, cursor=None, limit=1)
        assert first.cursor == mine[1], "a number of the centre's would count those of others"
        second = asking.of_partner(tx, HOST, cursor=first.cursor, limit=1)
        assert [one.id for one in (*first.takedowns, *second.takedowns)] == mine[::-1]
        assert second.cursor is None
        for cursor in (others, waits, "1", "take-down--x", "\0", ""):
            with pytest.raises(BadInput, match="not a cursor"):
                asking.of_partner(tx, HOST, cursor=cursor, limit=1)
    with home.database.uow.read(SUPERVISOR) as tx:
        page = asking.page(tx, partner=HOST, limit=3)
        assert (len(page.takedowns), page.takedowns[0].id) == (3, waits)
        rest = asking.page(tx, partner=HOST, limit=3, cursor=page.cursor)
    assert ([one.id for one in rest.takedowns], rest.cursor) == ([mine[0]], None)


def test_an_old_advisory_that_changes_is_among_those_that_go_out(
    home: Country, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openaoc.exchange.advisories.publishing.LAST_MAX", 1)
    writing = home.between.outreach.advisories.writing

    def reports() -> list[tuple[str, bool]]:
        with home.database.uow.read(SUPERVISOR) as tx:
            found = every_advisory(tx)[1::2]
        return [(str(one.fields["name"]).partition(" / ")[0], one.revoked) for one in found]

    old = published(home, content(home, title_en="An old one"))
    home.clock.advance(timedelta(seconds=1))
    new = published(home, content(home, title_en="A new one"))
    with home.database.uow.begin(INVESTIGATOR) as tx:
        writing.draft(tx, content(home, title_en="A draft takes no place"))
    assert reports() == [("A new one", False)]
    home.clock.advance(timedelta(seconds=1))
    with home.database.uow.begin(INVESTIGATOR) as tx:
        writing.withdraw(tx, old, words="it was something else")
    assert reports() == [("An old one", True)]
    home.clock.advance(timedelta(days=91))
    home.between.outreach.run()
    with home.database.uow.read(SUPERVISOR) as tx:
        assert writing.show(tx, new).advisory.state is State.OVER
