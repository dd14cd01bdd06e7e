"""Joint statistics: two centres answer the same question over real HTTP, without small counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from openaoc.exchange.agreement import Grant, Minimisation
from openaoc.exchange.model import PartnerKind
from openaoc.exchange.objects import FIELDS, ObjectKind
from openaoc.kernel.actor import SYSTEM, Actor, Role
from openaoc.kernel.clock import ManualClock
from openaoc.kernel.errors import BadInput
from openaoc.kernel.offences import Offence
from openaoc.parties.permissions import NotPermitted
from openaoc.storage.database import connect_database
from openaoc.storage.keyring import Keyring
from tests.conftest import START
from tests.exchange.two import Country, grant
from tests.workflow.centre import ADMIN, INVESTIGATOR

Owner = Callable[[], dict[str, str]]
FIELDS_TOLD = [name for name in FIELDS[ObjectKind.STATISTICS] if name != "case"]
TOLD = {ObjectKind.STATISTICS: Grant(fields=dict.fromkeys(FIELDS_TOLD, Minimisation.AS_IS))}


@pytest.fixture
def countries(make_owner: Owner, tmp_path: Path) -> Iterator[tuple[Country, Country]]:
    """Two centres that agreed to tell each other their months."""
    made = []
    for code in ("TH-AOC", "VN-AOC"):
        clock, folder = ManualClock(START), tmp_path / code
        folder.mkdir()
        database = connect_database(make_owner(), keys=Keyring(folder / "keys"), clock=clock)
        made.append(Country(database, folder, clock, code=code))
    home, abroad = made
    home.befriend(abroad, country="VN", grants=TOLD)
    abroad.befriend(home, country="SG", grants=TOLD)
    yield home, abroad
    for country in made:
        country.close()
        country.database.close()


def cases(country: Country, count: int, *, amount: int, start: int = 0) -> None:
    """So many victims, each of one payment."""
    for number in range(start, start + count):
        origin = country.pay(
            f"KBANK:1{number:03}", "SCB:2001", amount, ago=timedelta(minutes=9), name=f"c{number}"
        )
        country.file(origin)


def next_month(*countries: Country) -> None:
    """The month is closed."""
    for country in countries:
        country.clock.advance(timedelta(days=31))


def test_both_answer_and_small_counts_stay_out(countries: tuple[Country, Country]) -> None:
    home, abroad = countries
    cases(home, 6, amount=1_000)
    cases(abroad, 3, amount=70)
    joint, line = home.between.together.joint, home.between.together.line
    assert joint.table(INVESTIGATOR, months=2, line=line).rows == [], "no month is closed yet"
    next_month(home, abroad)
    table = joint.table(INVESTIGATOR, months=2, line=line)
    assert (table.answered, table.silent) == (["TH-AOC", "VN-AOC"], [])
    (row,) = table.rows
    assert (row.centre, row.reports, row.lost_minor) == ("TH-AOC", 6, 6_000)
    assert row.corridor == "TH>TH"
    assert row.wrong_holds is None, "nothing is a small count too"
    there = abroad.between.together
    (told,) = there.joint.table(INVESTIGATOR, months=2, line=there.line).rows
    assert (told.centre, told.reports, told.lost_minor) == ("TH-AOC", 6, 6_000)
    abroad.fault = lambda: "down"
    table = joint.table(INVESTIGATOR, months=2, line=line)
    assert [one.partner for one in table.silent] == ["VN-AOC"]
    home.agree(abroad, grants=TOLD, purposes=(Offence.LOAN,))
    assert there.joint.table(INVESTIGATOR, months=2, line=there.line).rows == []
    home.agree(abroad, grants={ObjectKind.MATCH: grant(ObjectKind.MATCH)})
    table = there.joint.table(INVESTIGATOR, months=2, line=there.line)
    assert [one.partner for one in table.silent] == ["TH-AOC"], "refused: no longer granted"
    with pytest.raises(NotPermitted):
        joint.table(Actor(id="usr_agent", roles=frozenset({Role.AGENT})), months=2, line=line)


def test_researchers_get_aggregates_and_nothing_else(countries: tuple[Country, Country]) -> None:
    home, abroad = countries
    with home.database.uow.begin(SYSTEM) as tx:
        tx.connection.exec_driver_sql(
            "UPDATE exchange_partners SET kind = %s WHERE code = %s",
            (PartnerKind.RESEARCHER.value, abroad.code),
        )
    with pytest.raises(BadInput, match="aggregates only"):
        home.agree(abroad)
    home.agree(abroad, grants=TOLD)
    cases(home, 5, amount=100)
    next_month(home)
    who = Actor(id="usr_r", roles=frozenset({Role.PARTNER}), partner=abroad.code)
    (row,) = home.between.together.joint.for_partner(who, months=1).rows
    assert row.fields["reports"] == 5
    assert "case" not in row.fields
    with pytest.raises(NotPermitted):
        home.between.together.joint.for_partner(ADMIN, months=1)
