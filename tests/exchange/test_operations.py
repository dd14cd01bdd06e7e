"""Joint operations: two centres over real HTTP come to one timeline, whatever happens between."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openaoc.exchange.agreement import Grant, Minimisation
from openaoc.exchange.model import NoAgreement, SecondPerson
from openaoc.exchange.objects import FIELDS, ObjectKind
from openaoc.exchange.operations.model import (
    Act,
    ActSaid,
    Entry,
    EntryAction,
    EntryMessage,
    MemberState,
    NewEntry,
    NewOperation,
    NoSuchOperation,
    OperationState,
    OperationView,
    WrongOperationStep,
)
from openaoc.exchange.operations.results import in_order, results
from openaoc.exchange.operations.wire import taken_back
from openaoc.exchange.protection.model import NewMark, Person, PersonsIdentifier, Sign
from openaoc.kernel.actor import SYSTEM, Actor, Role
from openaoc.kernel.clock import ManualClock
from openaoc.kernel.errors import BadInput
from openaoc.kernel.offences import Offence
from openaoc.kernel.paging import Asked
from openaoc.storage.database import connect_database
from openaoc.storage.keyring import Keyring
from openaoc.storage.postgres import EmbeddedPostgres
from tests.conftest import START
from tests.exchange.two import OFFICER, Country, grant
from tests.workflow.centre import ADMIN, INVESTIGATOR, SUPERVISOR

Owner = Callable[[], dict[str, str]]
TRAINED = Actor(id="usr_trained", roles=frozenset({Role.PROTECTION_OFFICER}))
KINDS = (ObjectKind.OPERATION, ObjectKind.OPERATION_ENTRY)
GRANTS = {kind: grant(kind) for kind in KINDS}


@pytest.fixture
def countries(make_owner: Owner, tmp_path: Path) -> Iterator[tuple[Country, Country]]:
    """Two centres whose agreements grant joint operations."""
    made = []
    for code in ("TH-AOC", "VN-AOC"):
        clock, folder = ManualClock(START), tmp_path / code
        folder.mkdir()
        database = connect_database(make_owner(), keys=Keyring(folder / "keys"), clock=clock)
        made.append(Country(database, folder, clock, code=code))
    home, abroad = made
    home.befriend(abroad, country="VN", grants=GRANTS)
    abroad.befriend(home, country="TH", grants=GRANTS)
    yield home, abroad
    for country in made:
        country.close()
        country.database.close()


def new(country: Country, *partners: str, **changes: object) -> NewOperation:
    """An operation of a month that shares everything."""
    usual = NewOperation(
        name="Blue Lotus",
        partners=partners or ("VN-AOC",),
        purposes=(Offence.JOB,),
        starts_at=country.clock.now(),
        ends_at=country.clock.now() + timedelta(days=30),
        shares=("text", "count", "amount_minor", "currency", "case"),
    )
    return msgspec.structs.replace(usual, **changes)


def act(country: Country, operation: str, verb: Act, *actors: Actor) -> OperationState:
    """Each of these says so; where it stands then."""
    for actor in actors or (OFFICER, SUPERVISOR):
        with country.database.uow.begin(actor) as tx:
            said = ActSaid(act=verb, reason="as agreed")
            after = country.between.together.operations.act(tx, operation, said)
    return after.state


def record(country: Country, operation: str, action: EntryAction, **facts: object) -> Entry:
    """An entry of this centre's, a little after the one before."""
    country.clock.advance(timedelta(seconds=1))
    with country.database.uow.begin(INVESTIGATOR) as tx:
        entry = NewEntry(action=action, at=country.clock.now())
        entry = msgspec.structs.replace(entry, **facts)
        return country.between.together.operations.record(tx, operation, entry)


def view(country: Country, operation: str) -> OperationView:
    """As this centre knows it."""
    with country.database.uow.read(SUPERVISOR) as tx:
        return country.between.together.operations.show(tx, operation)


def tell(*countries: Country, rounds: int = 3) -> None:
    """Let both compare, until nothing is left to say."""
    for _ in range(rounds):
        for one in countries:
            one.between.together.telling.changed()
            one.between.together.telling.tell_due()


def under_way(home: Country, abroad: Country, **changes: object) -> str:
    """An operation that both take part in; its id."""
    with home.database.uow.begin(SUPERVISOR) as tx:
        one = home.between.together.operations.open(tx, new(home, **changes))
    assert act(home, one.id, Act.APPROVE) is OperationState.ACTIVE
    tell(home)
    assert act(abroad, one.id, Act.ACCEPT) is OperationState.ACTIVE
    tell(abroad, home)
    return one.id


def seen(found: OperationView) -> list[tuple[str, str, int, int]]:
    """The timeline without what is a centre's own."""
    return [(e.id, e.origin, e.count, e.amount_minor) for e in found.timeline]


def test_two_centres_come_to_one_timeline_and_one_result(
    countries: tuple[Country, Country],
) -> None:
    home, abroad = countries
    operation = under_way(home, abroad)
    record(home, operation, EntryAction.RAID, count=1, text="a compound at the river")
    wrong = record(abroad, operation, EntryAction.ARRESTS, count=40)
    record(abroad, operation, EntryAction.ARRESTS, count=4, corrects=wrong.id)
    record(home, operation, EntryAction.ACCOUNTS_HELD, count=7, amount_minor=900, currency="THB")
    record(abroad, operation, EntryAction.ACCOUNTS_HELD, count=2, amount_minor=50, currency="VND")
    record(home, operation, EntryAction.CASE_LINKED, case="AOC-0000-0001-0")
    tell(home, abroad)
    ours, theirs = view(home, operation), view(abroad, operation)
    assert seen(ours) == seen(theirs)
    assert len(ours.timeline) == 6
    assert ours.results == theirs.results
    amounts = [
        (s.action.value, s.origin, s.currency, s.count, s.amount_minor) for s in ours.results
    ]
    assert ("arrests", "VN-AOC", "", 4, 0) in amounts
    assert ("accounts-held", "TH-AOC", "THB", 7, 900) in amounts
    assert ("accounts-held", "VN-AOC", "VND", 2, 50) in amounts
    (linked,) = [e for e in theirs.timeline if e.action is EntryAction.CASE_LINKED]
    assert linked.case is not None
    assert "AOC-0000" not in linked.case, "a case travels under a pseudonym"
    before = seen(theirs)
    tell(home, abroad)
    assert seen(view(abroad, operation)) == before, "again, nothing is doubled"
    assert act(home, operation, Act.CLOSE) is OperationState.CLOSED
    tell(home, abroad)
    assert view(abroad, operation).operation.state is OperationState.CLOSED
    with pytest.raises(WrongOperationStep):
        record(abroad, operation, EntryAction.NOTE)


def test_without_a_grant_or_two_persons_there_is_no_operation(
    countries: tuple[Country, Country],
) -> None:
    home, abroad = countries
    operations = home.between.together.operations
    for error, changes in (
        (NoAgreement, {"partners": ("KH-AOC",)}),
        (BadInput, {"shares": ("account",)}),
        (BadInput, {"shares": ("amount_minor",)}),
        (BadInput, {"seen_by": ("partner",)}),
        (BadInput, {"ends_at": home.clock.now()}),
    ):
        kind = Exception if changes.get("partners") else error
        with pytest.raises(kind), home.database.uow.begin(SUPERVISOR) as tx:
            operations.open(tx, new(home, **changes))
    with home.database.uow.begin(SUPERVISOR) as tx:
        one = operations.open(tx, new(home))
    act(home, one.id, Act.APPROVE, SUPERVISOR)
    with pytest.raises(SecondPerson):
        act(home, one.id, Act.APPROVE, SUPERVISOR)
    tell(home)
    with pytest.raises(NoSuchOperation):
        view(abroad, one.id)
    act(home, one.id, Act.APPROVE, OFFICER)
    tell(home)
    assert view(abroad, one.id).operation.state is OperationState.INVITED
    record(home, one.id, EntryAction.RAID, count=1)
    tell(home, abroad)
    assert view(abroad, one.id).timeline == [], "nothing before two persons accepted"
    with pytest.raises(NoSuchOperation), home.database.uow.read(ADMIN) as tx:
        operations.found(tx, one.id)
    with home.database.uow.begin(SUPERVISOR) as tx:
        other = operations.open(tx, new(home, name="Red Lotus"))
        operations.open(tx, new(home, seen_by=("supervisor",)))
    with home.database.uow.read(OFFICER) as tx:
        first = operations.list(tx, Asked(limit=1))
        second = operations.list(tx, Asked(first.cursor, 1))
        assert [o.id for o in (*first.operations, *second.operations)] == [other.id, one.id]
        assert second.cursor is None, "of what is hidden no page tells"
    home.agree(abroad, grants={ObjectKind.MATCH: grant(ObjectKind.MATCH)})
    with pytest.raises(NoAgreement), home.database.uow.begin(SUPERVISOR) as tx:
        operations.open(tx, new(home))


def test_who_leaves_gets_nothing_more(countries: tuple[Country, Country]) -> None:
    home, abroad = countries
    operation = under_way(home, abroad)
    record(home, operation, EntryAction.MEETING, text="in Bangkok")
    tell(home, abroad)
    assert act(abroad, operation, Act.LEAVE, SUPERVISOR) is OperationState.LEFT
    tell(abroad)
    (member,) = view(home, operation).members
    assert member.state is MemberState.GONE
    record(home, operation, EntryAction.RAID, count=3)
    asked = len(abroad.asked)
    tell(home, abroad)
    assert len(abroad.asked) == asked, "nothing is said to it"
    assert [e.action for e in view(abroad, operation).timeline] == [EntryAction.MEETING]


@pytest.mark.parametrize("fault", ["down", "lost", "cut"])
def test_faults_lose_nothing_and_double_nothing(
    countries: tuple[Country, Country], fault: str
) -> None:
    home, abroad = countries
    operation = under_way(home, abroad)
    for country in countries:
        country.fault = itertools.cycle([fault, None]).__next__
    for number in range(25):
        record(home, operation, EntryAction.ARRESTS, count=number)
    record(abroad, operation, EntryAction.ADVISORY, count=1)
    tell(home, abroad, rounds=8)
    assert seen(view(home, operation)) == seen(view(abroad, operation))
    assert len(view(home, operation).timeline) == 26


def test_a_centre_restored_from_yesterday_gets_back_what_it_forgot(
    countries: tuple[Country, Country], postgres: EmbeddedPostgres
) -> None:
    home, abroad = countries
    operation = under_way(home, abroad)
    record(home, operation, EntryAction.RAID, count=1)
    tell(home, abroad)
    copy = home.copied(postgres, name="yesterday_operations")
    own = record(home, operation, EntryAction.RETURNED, amount_minor=70, currency="THB")
    record(abroad, operation, EntryAction.ARRESTS, count=2)
    tell(home, abroad)
    before = seen(view(home, operation))
    home.restored(copy)
    assert own.id not in {entry.id for entry in view(home, operation).timeline}
    tell(home, abroad)
    assert seen(view(home, operation)) == before
    assert seen(view(abroad, operation)) == before
    record(home, operation, EntryAction.NOTE, text="after the restore")
    tell(home, abroad)
    assert seen(view(home, operation)) == seen(view(abroad, operation))


def test_a_possible_victim_is_kept_out_of_the_timeline(
    countries: tuple[Country, Country],
) -> None:
    home, abroad = countries
    operation = under_way(home, abroad)
    person = Person(identifiers=(PersonsIdentifier(kind="bank_account", value="SCB:2001999888"),))
    with home.database.uow.begin(TRAINED) as tx:
        home.matter.sharing.marking.mark(tx, NewMark(person=person, signs=(Sign.DEBT,)))
    record(home, operation, EntryAction.NOTE, text="account 200-1999-888 was used")
    record(home, operation, EntryAction.NOTE, text="another account was used")
    tell(home, abroad)
    assert [e.text for e in view(abroad, operation).timeline] == ["another account was used"]
    (kept,) = [e for e in view(home, operation).timeline if e.kept_back]
    assert "victim" not in str(kept.kept_back), "who may not know reads no reason"
    narrow = {**GRANTS, ObjectKind.OPERATION_ENTRY: Grant(fields={"at": Minimisation.AS_IS})}
    home.agree(abroad, grants=narrow)
    record(home, operation, EntryAction.RAID, count=1)
    tell(home, abroad)
    assert len(view(abroad, operation).timeline) == 1, "a narrower agreement lets no more leave"
    assert set(FIELDS[ObjectKind.OPERATION_ENTRY]) > {"operation", "action", "at"}


def test_a_later_mark_takes_an_entry_back_from_the_partners_timeline(
    countries: tuple[Country, Country],
) -> None:
    home, abroad = countries
    operation = under_way(home, abroad)
    record(home, operation, EntryAction.NOTE, text="account 200-1999-888 was used", count=3)
    record(home, operation, EntryAction.RAID, count=1)
    record(abroad, operation, EntryAction.ARRESTS, count=2)
    tell(home, abroad)
    assert len(view(abroad, operation).timeline) == 3
    person = Person(identifiers=(PersonsIdentifier(kind="bank_account", value="SCB:2001999888"),))
    with home.database.uow.begin(TRAINED) as tx:
        mark = home.matter.sharing.marking.mark(tx, NewMark(person=person, signs=(Sign.DEBT,))).mark
    telling = home.between.together.telling
    telling.send_only_while(lambda: False)
    telling.changed()
    assert telling.tell_due() == 0, "a centre that another may have replaced says nothing"
    telling.send_only_while(lambda: True)
    telling.tell_due()
    theirs = view(abroad, operation)
    assert {entry.action.value for entry in theirs.timeline} == {"raid", "arrests"}
    assert {one.action.value: one.count for one in theirs.results} == {"raid": 1, "arrests": 2}
    with abroad.database.uow.read(SYSTEM) as tx:
        rows = tx.connection.exec_driver_sql(
            "SELECT body || coalesce(message, '') FROM operation_entries"
        ).scalars()
        kept = "".join(rows).replace("-", "")
        assert "was used" not in kept, "the partner's centre keeps nothing of it"
        assert "2001999888" not in kept
    assert len(view(home, operation).timeline) == 3
    tell(home, abroad)
    assert len(view(abroad, operation).timeline) == 2
    for actor in (TRAINED, OFFICER):
        with home.database.uow.begin(actor) as tx:
            home.matter.sharing.marking.lift(tx, mark.id, reason="another person was meant")
    tell(home, abroad)
    assert seen(view(abroad, operation)) == seen(view(home, operation)), "and comes again"


def test_three_centres_come_to_one_timeline_each_by_its_own_agreements(
    countries: tuple[Country, Country], make_owner: Owner, tmp_path: Path
) -> None:
    lead, second = countries
    clock, folder = ManualClock(START), tmp_path / "KH-AOC"
    folder.mkdir()
    database = connect_database(make_owner(), keys=Keyring(folder / "keys"), clock=clock)
    third = Country(database, folder, clock, code="KH-AOC")
    three = (lead, second, third)
    try:
        lead.befriend(third, country="KH", grants=GRANTS)
        third.befriend(lead, country="TH", grants=GRANTS)
        second.befriend(third, country="KH", grants=GRANTS)
        third.befriend(second, country="VN", grants=GRANTS)
        with lead.database.uow.begin(SUPERVISOR) as tx:
            asked = new(lead, "VN-AOC", "KH-AOC")
            operation = lead.between.together.operations.open(tx, asked).id
        act(lead, operation, Act.APPROVE)
        tell(lead)
        act(second, operation, Act.ACCEPT)
        record(second, operation, EntryAction.RAID, count=1)
        tell(*three)
        assert view(third, operation).timeline == [], "it has not accepted"
        act(third, operation, Act.ACCEPT)
        record(lead, operation, EntryAction.ACCOUNTS_HELD, count=2, amount_minor=9, currency="THB")
        wrong = record(third, operation, EntryAction.ARRESTS, count=9)
        record(third, operation, EntryAction.ARRESTS, count=1, corrects=wrong.id)
        tell(*three)
        views = [view(one, operation) for one in three]
        assert len(views[0].timeline) == 4
        assert seen(views[0]) == seen(views[1]) == seen(views[2])
        assert views[0].results == views[1].results == views[2].results
        arrests = [s.count for s in views[1].results if s.action is EntryAction.ARRESTS]
        assert arrests == [1], "what a third corrects is corrected in each"
        narrow = {**GRANTS, ObjectKind.OPERATION_ENTRY: Grant(fields={"at": Minimisation.AS_IS})}
        second.agree(third, grants=narrow)
        late = record(second, operation, EntryAction.MEETING, text="at the border")
        tell(*three)
        assert late.id in {entry.id for entry in view(lead, operation).timeline}
        assert late.id not in {entry.id for entry in view(third, operation).timeline}, (
            "nobody passes on another's: what two have not agreed on stays between others"
        )
        act(second, operation, Act.LEAVE, SUPERVISOR)
        tell(*three)
        record(third, operation, EntryAction.RETURNED, amount_minor=5, currency="USD")
        tell(*three)
        ids = [{entry.id for entry in view(one, operation).timeline} for one in three]
        assert ids[0] - {late.id} == ids[2]
        assert len(ids[1]) == 5, "who left gets nothing more"
    finally:
        third.close()
        database.close()


def test_nobody_takes_back_anothers_entry(countries: tuple[Country, Country]) -> None:
    home, abroad = countries
    operation = under_way(home, abroad)
    ours = record(home, operation, EntryAction.RAID, count=1)
    tell(home, abroad)
    with abroad.database.uow.read(SUPERVISOR) as tx:
        one = abroad.between.together.operations.found(tx, operation)
    back = EntryMessage(origin=home.code, entry=taken_back(one, ours), proof="")
    telling = home.between.together.telling
    with home.database.uow.begin(SYSTEM) as tx:
        word = telling._word(tx, operation, abroad.code)
    assert word is not None
    for said, error in (
        (back, "its own entries alone"),
        (
            EntryMessage(
                origin=abroad.code,
                entry=msgspec.structs.replace(back.entry, fields={"operation": "operation--x"}),
                proof="",
            ),
            "no entry of this operation",
        ),
    ):
        wrong = msgspec.structs.replace(word, state=OperationState.ACTIVE, entries=(said,))
        with home.database.uow.begin(SYSTEM) as tx, pytest.raises(BadInput, match=error):
            telling.take(tx, abroad.code, wrong)
    assert len(view(home, operation).timeline) == 1


ENTRIES = st.builds(
    Entry,
    id=st.sampled_from("abcdefgh"),
    origin=st.sampled_from(("TH", "VN", "KH")),
    action=st.sampled_from(EntryAction),
    at=st.integers(0, 5).map(lambda n: START + timedelta(hours=n)),
    count=st.integers(0, 9),
    amount_minor=st.integers(0, 9),
    currency=st.sampled_from(("", "THB", "VND")),
)


@given(entries=st.lists(ENTRIES, unique_by=lambda e: (e.origin, e.id)), draw=st.randoms())
def test_the_order_and_the_sums_do_not_depend_on_how_entries_came(
    entries: list[Entry], draw: object
) -> None:
    shuffled = list(entries)
    draw.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis' random
    assert in_order(shuffled) == in_order(entries)
    assert results(shuffled) == results(entries)
    assert sum(one.amount_minor for one in results(entries)) == sum(e.amount_minor for e in entries)
