"""Advisories, plain JSON and usefulness: two centres over HTTP, and companies beside them."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa

from openaoc.channels.signing import BadSignature, SigningKey, sign
from openaoc.exchange import publishing
from openaoc.exchange.advisories.model import (
    TRANSITIONS,
    AdvisoryView,
    Content,
    Incident,
    IncidentKind,
    NoSuchAdvisory,
    PartnerAdvisory,
    Sort,
    State,
    Step,
    WrongAdvisoryStep,
    check_step,
)
from openaoc.exchange.advisories.sectors import advisory_rules, read_rules
from openaoc.exchange.crossborder.carrier import RESTORED
from openaoc.exchange.letters import KEPT
from openaoc.exchange.model import NoAgreement, PartnerKind, SecondPerson
from openaoc.exchange.objects import ObjectKind, ReleasedObject
from openaoc.exchange.plain import PATH, PlainReceipt
from openaoc.exchange.usefulness import PartnerUsefulness, by_kind, told
from openaoc.exchange.usefulness_store import Asked, Got, Warned
from openaoc.indicators.giving import Gave
from openaoc.indicators.model import Said, SourceKind
from openaoc.kernel.actor import SYSTEM, Actor
from openaoc.kernel.clock import ManualClock, format_time
from openaoc.kernel.errors import BadInput
from openaoc.kernel.events import Event
from openaoc.kernel.identifiers.kinds import Identifier, Kind
from openaoc.kernel.markings import Marking
from openaoc.kernel.offences import Offence
from openaoc.storage.database import connect_database
from openaoc.storage.keyring import Keyring
from tests.conftest import START
from tests.exchange.outreach_site import (
    GRANTS,
    approve,
    company,
    confirmed,
    content,
    grant_all,
    partner_user,
    published,
)
from tests.exchange.two import OFFICER, Country
from tests.workflow.centre import ADMIN, INVESTIGATOR, SECOND, SUPERVISOR

Owner = Callable[[], dict[str, str]]
EXAMPLES = Path(__file__).parents[2] / "examples"
BANK, TELCO, HOSPITAL = "TH-BANK", "TH-TELCO", "TH-HOSPITAL"
Centres = tuple[Country, Country, SigningKey]


@pytest.fixture(scope="module")
def centres(
    make_shared_owner: Owner, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Centres]:
    """Two centres; at home a bank, an operator that may see no indicators, and a hospital."""
    clock, made = ManualClock(START), []
    for code in ("TH-AOC", "VN-AOC"):
        folder = tmp_path_factory.mktemp(code)
        database = connect_database(make_shared_owner(), keys=Keyring(folder / "keys"), clock=clock)
        made.append(Country(database, folder, clock, code=code))
    home, abroad = made
    home.befriend(abroad, country="VN", grants=GRANTS)
    abroad.befriend(home, country="SG", grants=GRANTS)
    key = company(home, BANK, kind=PartnerKind.BANK)
    only = {ObjectKind.ADVISORY: grant_all(ObjectKind.ADVISORY, title_th=None)}
    company(home, TELCO, kind=PartnerKind.TELCO, grants=only)
    company(home, HOSPITAL, kind=PartnerKind.SECTOR_BODY)
    yield home, abroad, key
    for country in made:
        country.close()
        country.database.close()


def shown(home: Country, advisory: str) -> AdvisoryView:
    with home.database.uow.read(SUPERVISOR) as tx:
        return home.between.outreach.advisories.writing.show(tx, advisory)


def seen(home: Country, partner: str, advisory: str) -> PartnerAdvisory | None:
    """What the partner reads of it, None for nothing."""
    with home.database.uow.read(partner_user(partner)) as tx:
        rows = home.between.outreach.advisories.delivering.of_partner(tx, partner).advisories
    return next((one for one in rows if one.id == advisory), None)


def read(home: Country, partner: str, advisory: str) -> PartnerAdvisory:
    """What the partner reads of it."""
    found = seen(home, partner, advisory)
    assert found is not None
    return found


# Pure.


def test_the_table_and_the_rules_are_whole() -> None:
    assert {row.after for row in TRANSITIONS} | {State.DRAFTED} == set(State)
    assert all(row.persons == 2 for row in TRANSITIONS if row.after is State.PUBLISHED)
    with pytest.raises(WrongAdvisoryStep):
        check_step(State.WITHDRAWN, Step.CORRECT)
    rules = advisory_rules()
    assert list(rules.sector)[:3] == ["banking", "telecoms", "health"]
    assert rules.regulator.hours == 72
    with pytest.raises(BadInput):
        read_rules("version = '1'")


def test_the_examples_are_what_the_centre_takes() -> None:
    for name, sort in (("advisory", Sort.ADVISORY), ("incident", Sort.INCIDENT)):
        text = (EXAMPLES / f"{name}.toml").read_text("utf-8")
        assert msgspec.convert(tomllib.loads(text), Content).sort is sort


def test_small_counts_of_others_are_not_told() -> None:
    assert [told(n) for n in (0, 1, 4, 5, 90)] == [None, None, None, 5, 90]
    one = PartnerUsefulness(
        partner="A",
        kind=PartnerKind.BANK,
        jurisdiction="TH",
        gave=Gave(given=1, hit=1),
        got=Got(received=9),
        takedowns=Asked(),
        advisories=Warned(),
    )
    assert by_kind([one, one]) == []
    (group,) = by_kind([one, one, one])
    assert (group.partners, group.given, group.received, group.wrong) == (3, None, 27, None)


# Advisories.


def test_each_receiver_gets_what_it_may_have_and_acknowledges(centres: Centres) -> None:
    home, _, _ = centres
    good = confirmed(home, Kind.DOMAIN, "false-bank-app.com")
    named = confirmed(home, Kind.EMAIL, "not.granted@scam.com")
    advisory = published(home, content(home, indicators=(good, named)))
    view = shown(home, advisory)
    assert [(d.partner, len(d.indicators)) for d in view.deliveries] == [(BANK, 1), (TELCO, 0)]
    assert view.unread == [BANK, TELCO]
    at_bank = next(d for d in view.deliveries if d.partner == BANK).released
    at_telco = next(d for d in view.deliveries if d.partner == TELCO).released
    assert at_bank is not None
    assert at_telco is not None
    assert at_bank.refs == {"indicators": (good,)}
    assert at_telco.refs == {}
    assert "title_th" not in at_telco.fields
    assert at_bank.fields["title_th"] == "แอปธนาคารปลอม"
    assert seen(home, HOSPITAL, advisory) is None
    delivering = home.between.outreach.advisories.delivering
    with home.database.uow.begin(SYSTEM) as tx:
        delivering.acknowledge(tx, BANK, advisory, by="fraud desk")
    with home.database.uow.begin(SYSTEM) as tx, pytest.raises(NoSuchAdvisory):
        delivering.acknowledge(tx, HOSPITAL, advisory, by="fraud desk")
    home.clock.advance(timedelta(hours=25))
    home.between.outreach.run()
    view = shown(home, advisory)
    assert [(d.partner, d.reminders) for d in view.deliveries] == [(BANK, 0), (TELCO, 1)]
    assert view.unread == [TELCO]
    with home.database.uow.read(SUPERVISOR) as tx:
        rows = home.matter.sharing.exchange.released(tx, object_id=advisory).releases
    assert sorted(row.partner for row in rows) == [BANK, TELCO]


def test_two_persons_or_nothing_and_correction_reaches_all(centres: Centres) -> None:
    home, _, _ = centres
    writing = home.between.outreach.advisories.writing
    with home.database.uow.begin(INVESTIGATOR) as tx:
        one = writing.draft(tx, content(home, sectors=("banking",)))
    with home.database.uow.begin(SUPERVISOR) as tx:
        assert writing.approve(tx, one.id, words="read it").state is State.DRAFTED
    with home.database.uow.begin(SUPERVISOR) as tx, pytest.raises(SecondPerson):
        writing.approve(tx, one.id, words="read it again")
    home.between.outreach.run()
    assert seen(home, BANK, one.id) is None
    with home.database.uow.begin(SECOND) as tx:
        writing.approve(tx, one.id, words="read it too")
    home.between.outreach.run()
    assert read(home, BANK, one.id).revision == 1
    with home.database.uow.begin(INVESTIGATOR) as tx:
        writing.correct(tx, one.id, content(home, sectors=("telecoms",), title_en="Corrected"))
    assert read(home, BANK, one.id).advisory.fields["title_en"] == "False banking apps"
    approve(home, one.id)
    view = shown(home, one.id)
    assert [(d.partner, d.revision) for d in view.deliveries] == [(BANK, 2), (TELCO, 2)]
    with home.database.uow.begin(SUPERVISOR) as tx:
        writing.withdraw(tx, one.id, words="it was a test of theirs")
    home.between.outreach.run()
    gone = read(home, BANK, one.id)
    assert gone.withdrawn is True
    with home.database.uow.read(partner_user(BANK)) as tx:
        notices = home.matter.sharing.exchange.recalling.notices(tx).notices
    assert one.id in [notice.object_id for notice in notices]
    with home.database.uow.begin(INVESTIGATOR) as tx:
        idle = writing.draft(tx, content(home, sectors=("banking",)))
        gone_draft = writing.withdraw(tx, idle.id, words="nobody needs it")
    assert (gone_draft.state, gone_draft.proposed) == (State.WITHDRAWN, idle.proposed)
    with home.database.uow.begin(SECOND) as tx, pytest.raises(WrongAdvisoryStep):
        writing.approve(tx, idle.id, words="too late")


def test_what_cannot_be_said_is_refused_with_the_place(centres: Centres) -> None:
    home, _, _ = centres
    writing = home.between.outreach.advisories.writing
    now = home.clock.now()
    wrong = Incident(kind=IncidentKind.LEAK, noticed_at=now - timedelta(days=1), started_at=now)
    for changes, place in (
        ({"sectors": ("shops",)}, "sectors"),
        ({"sectors": ()}, "sectors"),
        ({"valid_until": now}, "valid_until"),
        ({"valid_until": now + timedelta(days=367)}, "valid_until"),
        ({"sort": Sort.INCIDENT}, "incident"),
        ({"sort": Sort.INCIDENT, "incident": wrong}, "incident"),
        ({"indicators": ("not-an-id",)}, "indicators"),
    ):
        with home.database.uow.begin(INVESTIGATOR) as tx, pytest.raises(BadInput) as refused:
            writing.draft(tx, content(home, **changes))
        assert refused.value.where == place


def test_an_incident_of_the_centre_itself_has_the_regulators_clock(centres: Centres) -> None:
    home, _, _ = centres
    noticed = home.clock.now() - timedelta(hours=2)
    incident = Incident(
        kind=IncidentKind.LEAK,
        noticed_at=noticed,
        started_at=noticed - timedelta(days=1),
        people=12,
        personal_data=True,
    )
    said = content(home, sort=Sort.INCIDENT, incident=incident, sectors=(), partners=(HOSPITAL,))
    advisory = published(home, said)
    one = shown(home, advisory).advisory
    assert one.regulator_by == noticed + timedelta(hours=72)
    assert one.regulator_told_at is None
    received = read(home, HOSPITAL, advisory)
    assert received.advisory.fields["people"] == 12
    assert seen(home, BANK, advisory) is None
    writing = home.between.outreach.advisories.writing
    with home.database.uow.begin(OFFICER) as tx:
        told_now = writing.regulator_told(tx, advisory, reference="PDPC-7", at=home.clock.now())
    assert told_now.regulator_told_at == home.clock.now()


def test_a_sector_is_a_closed_list_with_members(centres: Centres) -> None:
    home, abroad, _ = centres
    writing = home.between.outreach.advisories.writing
    with home.database.uow.begin(ADMIN) as tx:
        found = writing.set_member(tx, "health", partner=HOSPITAL, member=True)
    assert next(s for s in found.sectors if s.code == "health").partners == [HOSPITAL]
    with home.database.uow.begin(ADMIN) as tx, pytest.raises(BadInput):
        writing.set_member(tx, "shops", partner=HOSPITAL, member=True)
    advisory = published(home, content(home, sectors=("health", "centres")))
    assert [d.partner for d in shown(home, advisory).deliveries] == [HOSPITAL, abroad.code]


def test_a_centre_abroad_is_warned_and_acknowledges(centres: Centres) -> None:
    home, abroad, _ = centres
    good = confirmed(home, Kind.DOMAIN, "crosses-the-border.com")
    advisory = published(home, content(home, sectors=("centres",), indicators=(good,)))
    receiving = abroad.between.outreach.advisories.receiving
    with abroad.database.uow.read(SUPERVISOR) as tx:
        one = next(each for each in receiving.page(tx).advisories if each.id == advisory)
    assert one.advisory.fields["action_en"] == "Look at transfers after a new device"
    wanted = [Identifier(kind=Kind.DOMAIN, value="crosses-the-border.com")]
    with abroad.database.uow.read(SUPERVISOR) as tx:
        (heard,) = abroad.matter.indicators.find(tx, wanted)
    assert heard.status.value == "proposed"
    with abroad.database.uow.begin(SUPERVISOR) as tx:
        receiving.acknowledge(tx, advisory, partner=home.code, by="duty officer")
    abroad.between.outreach.run()
    assert shown(home, advisory).unread == []
    with home.database.uow.begin(SUPERVISOR) as tx:
        home.between.outreach.advisories.writing.withdraw(tx, advisory, words="over")
    home.between.outreach.run()
    with abroad.database.uow.read(SUPERVISOR) as tx:
        one = next(each for each in receiving.page(tx).advisories if each.id == advisory)
    assert one.withdrawn is True


def test_a_green_advisory_is_a_report_for_who_reads_reports(
    centres: Centres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "OFFERED_PER_ROUND", 1)
    home, _, _ = centres
    grants = {
        ObjectKind.INDICATOR: grant_all(ObjectKind.INDICATOR),
        ObjectKind.REPORT: grant_all(ObjectKind.REPORT, victim_contact=None),
        ObjectKind.COURSE_OF_ACTION: grant_all(ObjectKind.COURSE_OF_ACTION),
    }
    company(home, "SG-READER", kind=PartnerKind.CENTRE, jurisdiction="TH", grants=grants)
    good = [confirmed(home, Kind.DOMAIN, f"reported-to-all-{n}.com") for n in range(5)]
    wide = published(home, content(home, indicators=tuple(good)))
    published(home, content(home, marking=Marking.AMBER, title_en="For these alone"))

    def reads() -> dict[ObjectKind, list[ReleasedObject]]:
        home.clock.advance(timedelta(minutes=1))
        while home.matter.sharing.publishing.publish_due():
            continue
        with home.database.uow.read(partner_user("SG-READER")) as tx:
            found = home.matter.sharing.exchange.view(tx, "SG-READER", after=0, limit=500).objects
        kinds = (ObjectKind.REPORT, ObjectKind.COURSE_OF_ACTION)
        return {k: [o.object for o in found if o.object.kind is k] for k in kinds}

    before = reads()
    (report,) = (one for one in before[ObjectKind.REPORT] if good[0] in str(one.refs))
    assert {*good} < {*report.refs["objects"]}, "a reference left behind never follows"
    assert report.fields["name"] == "False banking apps / แอปธนาคารปลอม"
    (action,) = (one for one in before[ObjectKind.COURSE_OF_ACTION] if one.id in str(report.refs))
    assert "Look at transfers" in str(action.fields["description"])
    assert not any("For these alone" in str(one.fields) for one in before[ObjectKind.REPORT])
    with home.database.uow.begin(SUPERVISOR) as tx:
        home.between.outreach.advisories.writing.withdraw(tx, wide, words="it was wrong")
    after = {one.id: one for found in reads().values() for one in found}
    assert after[report.id].revoked
    assert after[action.id].revoked


# Plain JSON, sightings, usefulness.


def tell(home: Country, body: object, *, key: SigningKey | None = None) -> PlainReceipt:
    data = json.dumps(body).encode()
    signature = None
    if key is not None:
        now, to = home.clock.now(), home.code
        signature = sign(data, key=key, method="POST", path=PATH, now=now, audience=to)
    with home.database.uow.begin(SYSTEM) as tx:
        plain = home.between.outreach.plain
        return plain.take(tx, BANK, body=data, signature=signature, by="usr_bank")


def indicator(ref: str, value: str, **changes: object) -> dict[str, object]:
    return {
        "ref": ref,
        "identifier_kind": "phone",
        "value": value,
        "scam_types": ["investment"],
        "marking": "green",
    } | changes


def test_a_bank_tells_in_plain_json_and_takes_back(centres: Centres) -> None:
    home, _, key = centres
    batch = {"indicators": [indicator("b-1", "081-234-5678"), indicator("b-2", "not a number")]}
    receipt = tell(home, batch, key=key)
    assert (receipt.objects, receipt.taken, receipt.signed_by) == (2, 1, key.kid)
    assert [one.ref for one in receipt.not_taken] == ["b-2"]
    wanted = [Identifier(kind=Kind.PHONE, value="+66812345678")]
    with home.database.uow.read(SUPERVISOR) as tx:
        (one,) = home.matter.indicators.find(tx, wanted)
    assert one.status.value == "proposed"
    again = tell(home, {"indicators": [indicator("b-1", "081-234-5678", revoked=True)]})
    assert (again.taken, again.signed_by) == (1, None)
    with home.database.uow.read(SUPERVISOR) as tx:
        (one,) = home.matter.indicators.find(tx, wanted)
    assert one.status.value == "withdrawn"
    other = SigningKey(kid=key.kid, private=home.keys.current().private)
    with pytest.raises(BadSignature):
        tell(home, batch, key=other)


@pytest.mark.parametrize(
    "body",
    [
        [],
        {"indicators": [{"ref": "x"}]},
        {"others": []},
        {"indicators": [indicator("a", "1"), indicator("a", "2")]},
        {"indicators": [indicator("a", "v\0")]},
        {"indicators": [indicator("a", "1", last_seen="9999-12-31T23:59:59-14:00")]},
        {"sightings": [{"ref": "s", "of": "x", "last_seen": "yesterday"}]},
        {"indicators": [indicator(str(n), "1") for n in range(501)]},
    ],
)
def test_what_is_no_batch_is_refused(centres: Centres, body: object) -> None:
    with pytest.raises(BadInput):
        tell(centres[0], body)


def test_without_an_agreement_nothing_is_taken(centres: Centres) -> None:
    home, _, _ = centres
    with home.database.uow.begin(SYSTEM) as tx, pytest.raises(NoAgreement):
        home.between.outreach.plain.take(tx, "NOBODY", body=b"{}", signature=None, by="x")


def own_report(home: Country, value: str) -> None:
    now = home.clock.now()
    said = Said(
        identifier=Identifier(kind=Kind.PHONE, value=value),
        kind=SourceKind.INSTITUTION,
        source="institution:SCB",
        ref=f"rep_{value}",
        at=now,
        said_at=now,
        offence=Offence.INVESTMENT,
        marking=Marking.GREEN,
    )
    with home.database.uow.begin(SYSTEM) as tx:
        home.matter.indicators.hear(tx, [said])


def figures(home: Country, viewer: Actor, partner: str = BANK) -> PartnerUsefulness:
    with home.database.uow.read(SYSTEM) as tx:
        found = home.between.outreach.measuring.figures(tx, viewer=viewer)
    return next(one for one in found.partners if one.partner == partner)


def test_what_a_partner_gave_that_hit_and_what_of_ours_hit_there(centres: Centres) -> None:
    home, _, _ = centres
    before = figures(home, SUPERVISOR)
    numbers = ["+66899999901", "+66899999902", "+66899999903"]
    own_report(home, numbers[2])
    tell(home, {"indicators": [indicator(f"u-{n}", n) for n in numbers]})
    home.clock.advance(timedelta(hours=30))
    own_report(home, numbers[0])
    with home.database.uow.read(SUPERVISOR) as tx:
        wanted = [Identifier(kind=Kind.PHONE, value=numbers[1])]
        (wrong,) = home.matter.indicators.find(tx, wanted)
    with home.database.uow.begin(SUPERVISOR) as tx:
        home.matter.indicators.withdraw(tx, wrong.id, reason="a shop's number")
    after = figures(home, SUPERVISOR)
    assert after.gave.given - before.gave.given == 3
    assert after.gave.hit - before.gave.hit == 1
    assert after.gave.lead_hours == 30
    assert after.gave.wrong - before.gave.wrong == 1
    ours = confirmed(home, Kind.DOMAIN, "seen-at-the-bank.com")
    home.matter.sharing.publishing.publish_due()
    moment = format_time(home.clock.now())
    sightings = [
        {"ref": "s-1", "of": ours, "last_seen": moment, "count": 3},
        {"ref": "s-2", "of": wrong.id, "last_seen": moment},
        {
            "ref": "s-3",
            "of": "indicator--00000000-0000-4000-8000-000000000000",
            "last_seen": moment,
        },
    ]
    receipt = tell(home, {"sightings": sightings})
    reasons = {one.ref: one.reason for one in receipt.not_taken}
    assert set(reasons) == {"s-2", "s-3"}
    assert len(set(reasons.values())) == 1
    assert tell(home, {"sightings": sightings[:1]}).taken == 1
    last = figures(home, SUPERVISOR)
    assert (last.got.sighted, last.got.sightings) == (1, 3)
    assert last.got.received > before.got.received
    assert figures(home, partner_user(BANK)) == last
    with home.database.uow.read(SYSTEM) as tx:
        mine = home.between.outreach.measuring.figures(tx, viewer=partner_user(BANK))
    assert [one.partner for one in mine.partners] == [BANK]
    assert mine.others == []


# After a fault.


def test_a_centre_restored_from_yesterday_hears_again_what_it_forgot(centres: Centres) -> None:
    home, abroad, _ = centres
    advisory = published(home, content(home, sectors=("centres",)))
    with home.database.uow.begin(SUPERVISOR) as tx:
        home.between.outreach.advisories.writing.withdraw(tx, advisory, words="it was wrong")
    home.between.outreach.run()
    with abroad.database.uow.begin(SYSTEM) as tx:
        tx.connection.execute(
            sa.text("DELETE FROM advisories_received WHERE id = :one"), {"one": advisory}
        )
    with home.database.uow.begin(SYSTEM) as tx:
        tx.emit(Event(name=RESTORED, subject=abroad.code, at=tx.now))
    home.between.outreach.run()
    with abroad.database.uow.read(SUPERVISOR) as tx:
        found = abroad.between.outreach.advisories.receiving.page(tx).advisories
    assert [one.withdrawn for one in found if one.id == advisory] == [True]
    home.clock.advance(KEPT)
    published(home, content(home, sectors=("centres",)))
    with home.database.uow.read(SYSTEM) as tx:
        old = sa.text("SELECT count(*) FROM exchange_letters WHERE written_at < :before")
        kept = tx.connection.execute(old, {"before": tx.now - KEPT}).scalar_one()
    assert kept == 0, "what was taken long ago is forgotten"
