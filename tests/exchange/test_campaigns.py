"""Campaigns: two persons read them, and they go out with what belongs to them, by agreement."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
import sqlalchemy as sa

from openaoc.exchange.agreement import Grant
from openaoc.exchange.campaigns.keeping import Campaigns
from openaoc.exchange.campaigns.model import (
    INDICATORS_MAX,
    TRANSITIONS,
    Campaign,
    CampaignView,
    Chosen,
    NoSuchCampaign,
    State,
    Step,
    Words,
    WrongCampaignStep,
    check_step,
)
from openaoc.exchange.few import LOOKED_EVERY
from openaoc.exchange.ledger_model import AskedExplanation, Explanation, NewRecall, RecallKind
from openaoc.exchange.model import SecondPerson
from openaoc.exchange.objects import FIELDS, REFS, ObjectKind, ReleasedObject, new_object_id
from openaoc.exchange.protection.model import NewMark, Person, PersonsIdentifier, Sign
from openaoc.indicators.model import NoSuchIndicator, Said, SourceKind
from openaoc.indicators.service import Indicators
from openaoc.kernel.actor import SYSTEM, Actor, Role
from openaoc.kernel.clock import parse_time
from openaoc.kernel.errors import BadInput, Conflict, Refused
from openaoc.kernel.identifiers.kinds import Identifier, Kind
from openaoc.kernel.markings import Marking
from openaoc.kernel.offences import Offence
from openaoc.kernel.paging import Asked
from openaoc.workflow.sharing import build_campaigns, publish_from
from tests.exchange.sharing_site import AS_IS, INVESTIGATOR, OFFICER, SUPERVISOR, Site

K = ObjectKind
VERBS = Indicators()
CAMPAIGNS: Campaigns = build_campaigns(VERBS)
PHONES = Grant(fields={"identifier_kind": AS_IS, "value": AS_IS}, identifier_kinds=("phone",))
CAMPAIGN = Grant(fields=dict.fromkeys(set(FIELDS[K.CAMPAIGN]) - {"case"}, AS_IS))
LINK = Grant(fields=dict.fromkeys((*FIELDS[K.RELATIONSHIP], *REFS[K.RELATIONSHIP]), AS_IS))
EVERYTHING = {K.INDICATOR: PHONES, K.CAMPAIGN: CAMPAIGN, K.RELATIONSHIP: LINK}


def words(site: Site, **changes: object) -> Words:
    usual = Words(
        name="Parcels that nobody sent",
        description="A text message asks for a small fee for a parcel.",
        scam_types=(Offence.JOB,),
        marking=Marking.GREEN,
        first_seen=site.clock.now() - timedelta(days=9),
    )
    return msgspec.structs.replace(usual, **changes)


def named(site: Site, **changes: object) -> Campaign:
    with site.uow.begin(INVESTIGATOR) as tx:
        return CAMPAIGNS.name(tx, words(site, **changes))


def approved(site: Site, campaign: str, *, actor: Actor = SUPERVISOR) -> Campaign:
    with site.uow.begin(actor) as tx:
        return CAMPAIGNS.approve(tx, campaign, reason="read it")


def chosen(*ids: str) -> Chosen:
    return Chosen(indicators=ids, reason="the same words, the same site")


def attach(site: Site, campaign: str, *ids: str) -> CampaignView:
    with site.uow.begin(INVESTIGATOR) as tx:
        return CAMPAIGNS.attach(tx, campaign, chosen(*ids))


def detach(site: Site, campaign: str, *ids: str) -> CampaignView:
    with site.uow.begin(INVESTIGATOR) as tx:
        return CAMPAIGNS.detach(tx, campaign, chosen(*ids))


def ended(site: Site, campaign: str, *, close: bool = False) -> Campaign:
    with site.uow.begin(INVESTIGATOR) as tx:
        verb = CAMPAIGNS.close if close else CAMPAIGNS.withdraw
        return verb(tx, campaign, reason="looked at it again")


def number(site: Site, value: str, *, cases: int = 1, of: str = "institution:KBANK") -> str:
    """A number that our own sources named in so many cases; the indicator's id."""
    kind = SourceKind(of.partition(":")[0])
    said = [
        Said(
            identifier=Identifier(kind=Kind.PHONE, value=value),
            kind=kind,
            source=of,
            ref=f"rep_{value}_{count}",
            at=site.clock.now(),
            said_at=site.clock.now(),
            offence=Offence.JOB,
            case=None if kind is SourceKind.PARTNER else f"{value}-{count}",
        )
        for count in range(cases)
    ]
    with site.uow.begin(SYSTEM) as tx:
        return VERBS.hear(tx, said)[0].id


def publish(site: Site) -> None:
    """What changed goes out."""
    site.clock.advance(LOOKED_EVERY)
    while site.sharing.publishing.publish_due():
        continue


@pytest.fixture
def world(site: Site) -> Site:
    """SG may have everything; VN no campaign, KH no relationship, MY no indicator."""
    publish_from(site.sharing, VERBS, institutions=lambda _: [], key=b"k")
    grants = {
        "SG": EVERYTHING,
        "VN": {K.INDICATOR: PHONES, K.RELATIONSHIP: LINK},
        "KH": {K.INDICATOR: PHONES, K.CAMPAIGN: CAMPAIGN},
        "MY": {K.CAMPAIGN: CAMPAIGN, K.RELATIONSHIP: LINK},
    }
    for code, granted in grants.items():
        site.agree(code, grants=granted)
    return site


def live(site: Site, code: str) -> dict[K, list[ReleasedObject]]:
    """What a partner has that stands, by kind."""
    found: dict[K, list[ReleasedObject]] = {}
    for one in site.shown(code).values():
        if not one.revoked:
            found.setdefault(one.kind, []).append(one)
    return found


def explained(site: Site, object_id: str, partner: str) -> Explanation:
    with site.uow.read(INVESTIGATOR) as tx:
        return site.exchange.explain(tx, AskedExplanation(object=object_id, partner=partner))


# The rules


def test_the_table_is_whole() -> None:
    assert {one.before for one in TRANSITIONS} == set(State) - {State.WITHDRAWN}
    assert {one.step for one in TRANSITIONS} == set(Step)
    out = [one for one in TRANSITIONS if one.step in (Step.PUBLISH, Step.CORRECT)]
    assert {one.persons for one in out} == {2}, "its words are read before they go out"
    with pytest.raises(WrongCampaignStep, match="attach is not for one that is closed"):
        check_step(State.CLOSED, Step.ATTACH)


def test_what_cannot_be_said_is_refused_with_the_place(site: Site) -> None:
    now = site.clock.now()
    wrong: list[tuple[str, dict[str, object], str]] = [
        ("name", {"name": "Call +66 81 234 5678"}, "phone"),
        ("name", {"name": "   "}, "empty"),
        ("description", {"description": "It leads to parcel-fee.top/pay"}, "attach the indicator"),
        ("description", {"description": "Paid to 123-4-56789-0"}, "number"),
        ("scam_types", {"scam_types": (Offence.JOB, Offence.JOB)}, "once"),
        ("last_seen", {"first_seen": now + timedelta(hours=1)}, "by now"),
        ("last_seen", {"last_seen": now - timedelta(days=10)}, "then last seen"),
    ]
    for where, changes, why in wrong:
        with pytest.raises(BadInput, match=why) as raised:
            named(site, **changes)
        assert raised.value.where == where
    one = named(site)
    with pytest.raises(NoSuchIndicator):
        attach(site, one.id, new_object_id(K.INDICATOR))
    with pytest.raises(NoSuchIndicator):
        detach(site, one.id, number(site, "+66811111111"))
    with pytest.raises(NoSuchCampaign):
        ended(site, new_object_id(K.CAMPAIGN))
    with pytest.raises(WrongCampaignStep):
        ended(site, one.id, close=True)
    for role in (Role.AGENT, Role.ADMINISTRATOR, Role.PARTNER, Role.SYSTEM):
        actor = Actor(id="usr_x", roles=frozenset({role}))
        with pytest.raises(Refused), site.uow.begin(actor) as tx:
            CAMPAIGNS.approve(tx, one.id, reason="read it")
    for role in (Role.ADMINISTRATOR, Role.PARTNER, Role.LIAISON):
        actor = Actor(id="usr_x", roles=frozenset({role}))
        with pytest.raises(Refused), site.uow.read(actor) as tx:
            CAMPAIGNS.show(tx, one.id)


def test_there_is_a_limit_of_indicators(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    assert INDICATORS_MAX > 1
    monkeypatch.setattr("openaoc.exchange.campaigns.keeping.INDICATORS_MAX", 1)
    monkeypatch.setattr("openaoc.exchange.campaigns.keeping.CAMPAIGNS_OF_ONE_MAX", 1)
    first, second = named(site), named(site)
    one, other = number(site, "+66811111111"), number(site, "+66822222222")
    attach(site, first.id, one)
    with pytest.raises(Conflict, match="indicators of one campaign"):
        attach(site, first.id, other)
    with pytest.raises(Conflict, match="campaigns of one indicator"):
        attach(site, second.id, one)
    assert [each.indicator for each in attach(site, first.id, one, one).indicators] == [one]


def test_pages_of_one_moment_skip_nothing_and_repeat_nothing(site: Site) -> None:
    made = {named(site).id for _ in range(5)}
    asked, seen = Asked(limit=2), list[str]()
    with site.uow.read(INVESTIGATOR) as tx:
        while True:
            page = CAMPAIGNS.page(tx, asked)
            seen += [one.id for one in page.campaigns]
            if page.cursor is None:
                break
            asked = Asked(page.cursor, 2)
    assert (len(seen), set(seen)) == (5, made)


# What goes out


def test_it_goes_out_once_another_person_has_read_it(world: Site) -> None:
    site = world
    one, phone = named(site), number(site, "+66811111111")
    attach(site, one.id, phone)
    publish(site)
    assert live(site, "SG").keys() == {K.INDICATOR}
    with site.uow.begin(SUPERVISOR) as tx:
        own = CAMPAIGNS.name(tx, words(site))
    with pytest.raises(SecondPerson):
        approved(site, own.id)
    assert approved(site, one.id).state is State.PUBLISHED
    with pytest.raises(Conflict, match="nothing waits"):
        approved(site, one.id)
    publish(site)
    (campaign,), (link,) = live(site, "SG")[K.CAMPAIGN], live(site, "SG")[K.RELATIONSHIP]
    assert campaign.fields["name"] == "Parcels that nobody sent"
    assert parse_time(str(campaign.fields["first_seen"])) == one.named_at - timedelta(days=9)
    assert link.fields["relationship_type"] == "indicates"
    assert link.refs == {"source": (phone,), "target": (one.id,)}
    with site.uow.begin(INVESTIGATOR) as tx:
        CAMPAIGNS.correct(tx, one.id, words(site, name="Parcel fees"))
    publish(site)
    assert live(site, "SG")[K.CAMPAIGN] == [campaign], "until it is read, it says what it said"
    approved(site, one.id, actor=OFFICER)
    publish(site)
    (after,) = live(site, "SG")[K.CAMPAIGN]
    assert after.fields["name"] == "Parcel fees"
    assert after.modified > campaign.modified


def test_who_may_not_have_both_ends_hears_of_nothing_between_them(world: Site) -> None:
    """By relationships, counts, notices or explanations of what it did get."""
    site = world
    phone = number(site, "+66811111111", cases=7)
    publish(site)
    alone = site.shown("VN")
    one = named(site)
    attach(site, one.id, phone)
    approved(site, one.id)
    publish(site)
    assert set(live(site, "SG")) == {K.INDICATOR, K.CAMPAIGN, K.RELATIONSHIP}
    assert site.shown("VN") == alone, "nothing of it, and no sign of it"
    assert set(live(site, "KH")) == {K.INDICATOR, K.CAMPAIGN}
    assert set(live(site, "MY")) == {K.CAMPAIGN}
    (link,) = live(site, "SG")[K.RELATIONSHIP]
    assert explained(site, one.id, "SG").leaves
    assert explained(site, one.id, "VN").reasons == ["its kind is not granted"]
    assert explained(site, link.id, "SG").leaves
    for code, why in (
        ("VN", "what it refers to has not left"),
        ("KH", "its kind is not granted"),
        ("MY", "what it refers to has not left"),
    ):
        assert why in explained(site, link.id, code).reasons
    ended(site, one.id)
    publish(site)
    assert site.told("VN") == []
    gone = {("withdrawn", object_id) for object_id in (one.id, link.id)}
    assert {(kind, object_id) for object_id, kind in site.told("SG")} == gone
    assert {object_id for object_id, _ in site.told("KH")} == {one.id}
    assert set(live(site, "SG")) == {K.INDICATOR}


def test_only_what_is_agreed_on_and_marked_low_enough(world: Site) -> None:
    site = world
    for changes in ({"marking": Marking.RED}, {"scam_types": (Offence.ROMANCE,)}):
        one = named(site, **changes)
        attach(site, one.id, number(site, "+66811111111"))
        approved(site, one.id)
    publish(site)
    assert set(live(site, "SG")) == {K.INDICATOR}


def test_small_counts_stay_and_partners_words_count_for_nothing(world: Site) -> None:
    site = world
    few = number(site, "+66811111111", cases=4)
    theirs = number(site, "+66844444444", of="partner:VN")
    one = named(site)
    assert attach(site, one.id, few, theirs).cases == 4
    approved(site, one.id)
    publish(site)
    (before,) = live(site, "SG")[K.CAMPAIGN]
    assert "cases" not in before.fields
    assert len(live(site, "SG")[K.RELATIONSHIP]) == 1, "what only a partner said is not ours"
    more = number(site, "+66822222222", cases=3)
    assert attach(site, one.id, more).cases == 7
    publish(site)
    (after,) = live(site, "SG")[K.CAMPAIGN]
    assert after.fields["cases"] == 7
    assert after.modified > before.modified
    with site.uow.begin(SUPERVISOR) as tx:
        VERBS.withdraw(tx, more, reason="a shop's number")
    publish(site)
    (last,) = live(site, "SG")[K.CAMPAIGN]
    assert "cases" not in last.fields
    assert [o.refs["source"] for o in live(site, "SG")[K.RELATIONSHIP]] == [(few,)]


def test_taken_off_closed_and_recalled(world: Site) -> None:
    site = world
    first, second = number(site, "+66811111111"), number(site, "+66822222222")
    one = named(site)
    attach(site, one.id, first, second)
    approved(site, one.id)
    publish(site)
    links = {o.refs["source"][0]: o.id for o in live(site, "SG")[K.RELATIONSHIP]}
    assert [each.indicator for each in detach(site, one.id, second).indicators] == [first]
    publish(site)
    assert site.told("SG") == [(links[second], "withdrawn")]
    attach(site, one.id, second)
    publish(site)
    assert {o.id for o in live(site, "SG")[K.RELATIONSHIP]} == set(links.values())
    assert ended(site, one.id, close=True).state is State.CLOSED
    publish(site)
    assert set(live(site, "SG")) == {K.INDICATOR, K.CAMPAIGN, K.RELATIONSHIP}
    with pytest.raises(WrongCampaignStep):
        attach(site, one.id, first)
    new = NewRecall(object=one.id, kind=RecallKind.WITHDRAWN, reason="names somebody")
    with site.uow.begin(SUPERVISOR) as tx:
        assert site.exchange.recalling.recall(tx, new).partners == ["KH", "MY", "SG"]
    assert set(live(site, "SG")) == {K.INDICATOR}, "what belongs to it goes at once"
    told = site.told("SG")
    assert set(told[1:]) == {(each, "withdrawn") for each in (one.id, *links.values())}
    number(site, "+66811111111", cases=9)
    publish(site)
    assert set(live(site, "SG")) == {K.INDICATOR}, "that its indicators change gives nothing back"
    assert site.told("SG") == told


def test_a_possible_victims_number_is_in_no_campaign_that_leaves(world: Site) -> None:
    site = world
    victim, other = number(site, "+66811111111"), number(site, "+66822222222")
    one = named(site)
    attach(site, one.id, victim, other)
    approved(site, one.id)
    publish(site)
    links = {o.refs["source"][0]: o.id for o in live(site, "SG")[K.RELATIONSHIP]}
    person = Person(identifiers=(PersonsIdentifier(kind="phone", value="+66811111111"),))
    trained = Actor(id="usr_trained", roles=frozenset({Role.PROTECTION_OFFICER}))
    with site.uow.begin(trained) as tx:
        site.sharing.marking.mark(tx, NewMark(person=person, signs=(Sign.CONFINED,)))
    site.agree("LA", grants=EVERYTHING)
    publish(site)
    assert links[victim] not in {o.id for o in live(site, "SG")[K.RELATIONSHIP]}
    for code in ("SG", "LA"):
        found = live(site, code)
        assert [o.id for o in found[K.INDICATOR]] == [other]
        assert [o.id for o in found[K.RELATIONSHIP]] == [links[other]]
        assert [o.id for o in found[K.CAMPAIGN]] == [one.id]
    assert "victim" not in str(explained(site, links[victim], "LA").reasons)


def test_the_journal_has_no_word_of_it(site: Site) -> None:
    one = named(site)
    attach(site, one.id, number(site, "+66811111111"))
    approved(site, one.id)
    with site.uow.read(SYSTEM) as tx:
        rows = tx.connection.execute(sa.text("SELECT body FROM journal_rows ORDER BY id"))
        found = [body for body in rows.scalars() if "exchange.campaign" in body]
    for word, body in zip(("named", "attached", "published"), found, strict=True):
        assert f"exchange.campaign.{word}" in body
    assert not any("arcel" in body or "6681111" in body for body in found)
