"""Indicators between centres: out goes what is ours; in comes a partner's word, and no more."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import timedelta

import msgspec
import pytest

from openaoc.exchange.agreement import Agreement, Grant
from openaoc.exchange.beside import institution_of
from openaoc.exchange.few import LOOKED_EVERY, FewPublisher
from openaoc.exchange.indicators import IndicatorPublisher, IndicatorReceiver
from openaoc.exchange.objects import FIELDS, REFS, ObjectKind, ReleasedObject, check_object
from openaoc.exchange.receiving import NotTaken
from openaoc.indicators.model import Indicator, Said, SourceKind, Status
from openaoc.indicators.service import Indicators
from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.clock import format_time
from openaoc.kernel.identifiers.kinds import Identifier, Kind
from openaoc.kernel.ids import InstitutionCode
from openaoc.kernel.markings import Marking
from openaoc.kernel.offences import Offence
from openaoc.parties.model import Institution, InstitutionKind
from tests.exchange.sharing_site import AS_IS, SUPERVISOR, Site

PHONE = Identifier(kind=Kind.PHONE, value="+66812345678")
VERBS = Indicators()
K = ObjectKind


def said(site: Site, kind: SourceKind, source: str, *, ref: str = "rep_1") -> Indicator:
    word = Said(
        identifier=PHONE,
        kind=kind,
        source=source,
        ref=ref,
        at=site.clock.now(),
        said_at=site.clock.now(),
        offence=Offence.JOB,
        case="AOC-1" if kind is not SourceKind.PARTNER else None,
    )
    with site.uow.begin(SYSTEM) as tx:
        return VERBS.hear(tx, [word])[0]


def word_of(site: Site, value: str = PHONE.value, **changes: object) -> ReleasedObject:
    usual = ReleasedObject(
        id=f"indicator--{uuid.uuid4()}",
        kind=ObjectKind.INDICATOR,
        created=site.clock.now(),
        modified=site.clock.now(),
        marking=Marking.AMBER,
        fields={"identifier_kind": "phone", "value": value, "confidence": 100},
    )
    return msgspec.structs.replace(usual, **changes)


def receive(site: Site, agreement: Agreement, *objects: ReleasedObject) -> Sequence[NotTaken]:
    with site.uow.begin(SYSTEM) as tx:
        return IndicatorReceiver(VERBS, canaries=site.sharing.canaries, region="TH").receive(
            tx, agreement=agreement, objects=objects
        )


def known(site: Site) -> Indicator | None:
    with site.uow.read(SUPERVISOR) as tx:
        found = VERBS.find(tx, [PHONE])
    return found[0] if found else None


GRANT = Grant(
    fields=dict.fromkeys(FIELDS[ObjectKind.INDICATOR], AS_IS), identifier_kinds=("phone",)
)


def publishing(site: Site) -> IndicatorPublisher:
    publisher = IndicatorPublisher(VERBS)
    site.sharing.catalogue.register(publisher)
    fields = {n: how for n, how in GRANT.fields.items() if n != "holder_name"}
    site.agree("SG", grants={ObjectKind.INDICATOR: msgspec.structs.replace(GRANT, fields=fields)})
    return publisher


def test_what_an_institution_said_goes_out_by_agreement(site: Site) -> None:
    publishing(site)
    one = said(site, SourceKind.INSTITUTION, "institution:KBANK")
    site.sharing.publishing.publish_due()
    assert site.has("SG") == [one.id]
    with site.uow.read(SYSTEM) as tx:
        (left,) = site.exchange.view(tx, "SG", after=0, limit=10).objects
    assert left.object.fields["value"] == PHONE.value
    assert left.object.fields["scam_types"] == ("job",)
    assert left.object.fields["case"] == "AOC-1"
    with site.uow.begin(SUPERVISOR) as tx:
        VERBS.withdraw(tx, one.id, reason="a shop's number")
    site.sharing.publishing.publish_due()
    assert site.has("SG")[-1] == f"-{one.id}"
    assert site.told("SG")[0][0] == one.id


def test_a_citizens_word_waits_for_a_person(site: Site) -> None:
    publishing(site)
    one = said(site, SourceKind.CITIZEN, "citizen")
    site.sharing.publishing.publish_due()
    assert site.has("SG") == []
    with site.uow.begin(SUPERVISOR) as tx:
        VERBS.confirm(tx, one.id, reason="called it")
    site.sharing.publishing.publish_due()
    assert site.has("SG") == [one.id]


def test_what_only_a_partner_said_is_not_ours_to_pass_on(site: Site) -> None:
    publisher = publishing(site)
    one = said(site, SourceKind.PARTNER, "partner:VN", ref="indicator--1")
    with site.uow.begin(SUPERVISOR) as tx:
        VERBS.confirm(tx, one.id, reason="called it")
        assert publisher.find(tx, [one.id]) == []
    said(site, SourceKind.INSTITUTION, "institution:KBANK")
    with site.uow.read(SYSTEM) as tx:
        (shared,) = publisher.find(tx, [one.id])
    assert check_object(shared).fields["reports"] == 1


def test_how_long_a_partner_saw_it_is_not_told_to_others(site: Site) -> None:
    publishing(site)
    one = said(site, SourceKind.INSTITUTION, "institution:KBANK")
    site.sharing.publishing.publish_due()
    before = site.shown("SG")[one.id]
    site.clock.advance(timedelta(days=50))
    said(site, SourceKind.PARTNER, "partner:VN", ref="indicator--1")
    site.sharing.publishing.publish_due()
    assert site.shown("SG")[one.id] == before
    site.clock.advance(timedelta(days=50))
    with site.uow.begin(SYSTEM) as tx:
        VERBS.expire_due(tx)
        ended = [VERBS.end_ours_due(tx), VERBS.end_ours_due(tx)]
    assert ended == [1, 0]
    site.sharing.publishing.publish_due()
    gone = site.shown("SG")[one.id]
    assert gone.revoked, "ours is over, whoever else still names it"
    assert gone.fields == before.fields
    assert site.told("SG") != []
    again = said(site, SourceKind.PARTNER, "partner:VN", ref="indicator--1")
    assert again.status is Status.PROPOSED
    site.sharing.publishing.publish_due()
    assert site.shown("SG")[one.id].revoked
    with site.uow.begin(SUPERVISOR) as tx:
        VERBS.confirm(tx, one.id, reason="called it")
    site.clock.advance(timedelta(days=179))
    with site.uow.begin(SYSTEM) as tx:
        ended = [VERBS.end_ours_due(tx)]
    said(site, SourceKind.PARTNER, "partner:VN", ref="indicator--1")
    site.clock.advance(timedelta(days=1))
    with site.uow.begin(SYSTEM) as tx:
        ended += [VERBS.end_ours_due(tx), VERBS.end_ours_due(tx)]
    assert ended == [0, 1, 0], "a person's word stands longer"


def test_what_belongs_to_an_indicator_leaves_where_it_is_granted(site: Site) -> None:
    bank = Institution(
        code=InstitutionCode("KBANK"),
        name="Kasikornbank",
        kind=InstitutionKind.BANK,
        jurisdiction="TH",
        endpoint=None,
        live=False,
        added_at=site.clock.now() - timedelta(days=900),
    )
    publisher = IndicatorPublisher(VERBS, key=b"k")
    names = FewPublisher("institutions", lambda tx: [institution_of(bank, key=b"k", now=tx.now)])
    for one_of in (names, publisher):
        site.sharing.catalogue.register(one_of)
    kinds = (K.SIGHTING, K.IDENTITY, K.RELATIONSHIP)
    grants = {
        kind: Grant(fields=dict.fromkeys((*FIELDS[kind], *REFS.get(kind, {})), AS_IS))
        for kind in kinds
    }
    grants[K.IDENTITY] = Grant(fields={"name": AS_IS, "identity_class": AS_IS, "sectors": AS_IS})
    fields = {"identifier_kind": AS_IS, "value": AS_IS}
    both = Grant(fields=fields, identifier_kinds=("phone", "bank_account"))
    site.agree("SG", grants={K.INDICATOR: both, **grants}, history_days=0)
    site.agree("VN", grants={K.INDICATOR: both})
    phones = msgspec.structs.replace(both, identifier_kinds=("phone",))
    site.agree("KH", grants={K.INDICATOR: phones, **grants})
    one = said(site, SourceKind.INSTITUTION, "institution:KBANK")
    with site.uow.begin(SYSTEM) as tx:
        (mule,) = VERBS.hear(
            tx,
            [
                Said(
                    identifier=Identifier(kind=Kind.BANK_ACCOUNT, value="KBANK:1234567890"),
                    kind=SourceKind.INSTITUTION,
                    source="institution:KBANK",
                    ref="rep_2",
                    at=site.clock.now(),
                    said_at=site.clock.now(),
                    offence=Offence.JOB,
                )
            ],
        )
    site.clock.advance(LOOKED_EVERY)
    site.sharing.publishing.publish_due()
    assert site.sharing.publishing.publish_due() == 0
    found = {kind: [o for o in site.shown("SG").values() if o.kind is kind] for kind in kinds}
    assert {o.refs["sighting_of"] for o in found[K.SIGHTING]} == {(one.id,), (mule.id,)}
    (link,), (keeper,) = found[K.RELATIONSHIP], found[K.IDENTITY]
    assert (link.refs["source"], link.refs["target"]) == ((mule.id,), (keeper.id,))
    assert keeper.fields["name"] == "Kasikornbank"
    assert list(site.shown("VN")) == [one.id, mule.id]
    assert {o.refs.get("sighting_of") for o in site.shown("KH").values()} == {None, (one.id,)}
    hidden = {o.kind for o in site.shown("KH").values()}
    assert hidden == {K.INDICATOR, K.SIGHTING, K.IDENTITY}, "no link to what is hidden"
    with site.uow.read(SYSTEM) as tx:
        ids = list(site.shown("SG"))
        assert site.sharing.catalogue.find(tx, ids).keys() == set(ids)
        assert publisher.find(tx, ["sighting--nothing", "indicator--nothing"]) == []
    source = "institution:KBANK"
    with site.uow.begin(SYSTEM) as tx:
        VERBS.take_back(tx, source=source, ref="rep_2", said_at=site.clock.now())
    site.sharing.publishing.publish_due()
    gone = {number for number, o in site.shown("SG").items() if o.revoked}
    assert {mule.id, link.id} < gone
    assert keeper.id not in gone
    assert len(gone) == 3


def test_the_publisher_leaves_none_out(site: Site) -> None:
    publisher = IndicatorPublisher(VERBS)
    words = [
        Said(
            identifier=Identifier(kind=Kind.LINE, value=f"@shop{number}"),
            kind=SourceKind.INSTITUTION,
            source="institution:KBANK",
            ref="rep_1",
            at=site.clock.now(),
            said_at=site.clock.now(),
        )
        for number in range(7)
    ]
    with site.uow.begin(SYSTEM) as tx:
        VERBS.hear(tx, words)
        mark, seen, more = "", set(), True
        while more:
            page = publisher.changed(tx, after=mark, limit=3)
            seen |= {one.id for one in page.objects if one.kind is K.INDICATOR}
            mark, more = page.mark, page.more
    assert len(seen) == 7


def test_a_partners_word_is_taken_as_its_word(site: Site) -> None:
    agreement = site.agree("SG")
    word = word_of(
        site, "081 234 5678", fields={"identifier_kind": "mobile", "value": "0812345678"}
    )
    assert receive(site, agreement, word) == []
    one = known(site)
    assert one is not None
    assert (one.status, one.confidence, one.reports) == (Status.PROPOSED, 30, 0)
    assert receive(site, agreement, word) == []
    again = known(site)
    assert one is not None
    assert again is not None
    assert again == msgspec.structs.replace(one, change=again.change)
    gone = msgspec.structs.replace(word, revoked=True)
    assert receive(site, agreement, gone) == []
    after = known(site)
    assert after is not None
    assert (after.status, after.confidence) == (Status.WITHDRAWN, 0)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"marking": Marking.RED}, "marking"),
        ({"kind": ObjectKind.CAMPAIGN, "fields": {}}, "nobody here"),
        ({"fields": {"identifier_kind": "phone", "value": "••••5678"}}, "letters|telephone"),
        ({"fields": {"identifier_kind": "fax", "value": "1"}}, "fax"),
        ({"fields": {"identifier_kind": "phone"}}, "without value"),
        (
            {
                "fields": {
                    "identifier_kind": "phone",
                    "value": PHONE.value,
                    "valid_until": "2020-01-01T00:00:00Z",
                }
            },
            "over",
        ),
        (
            {
                "fields": {
                    "identifier_kind": "phone",
                    "value": PHONE.value,
                    "scam_types": ("romance",),
                }
            },
            "purpose",
        ),
    ],
)
def test_what_is_not_taken_is_said(site: Site, changes: dict[str, object], why: str) -> None:
    agreement = site.agree("SG")
    word = word_of(site, **changes)  # type: ignore[arg-type]  # names of fields
    (refused,) = receive(site, agreement, word)
    assert any(part in refused.reason for part in why.split("|"))
    assert known(site) is None


def test_our_own_word_come_back_is_no_second_one(site: Site) -> None:
    agreement = site.agree("SG")
    one = said(site, SourceKind.INSTITUTION, "institution:KBANK")
    (refused,) = receive(site, agreement, word_of(site, id=one.id))
    assert "our own" in refused.reason
    assert known(site) == one


def test_a_time_ahead_of_us_is_now(site: Site) -> None:
    agreement = site.agree("SG")
    ahead = site.clock.now() + timedelta(days=9)
    fields = {
        "identifier_kind": "phone",
        "value": PHONE.value,
        "last_seen": format_time(ahead),
        "first_seen": format_time(ahead),
    }
    assert receive(site, agreement, word_of(site, fields=fields, modified=ahead)) == []
    one = known(site)
    assert one is not None
    assert (one.first_seen, one.last_seen) == (site.clock.now(), site.clock.now())
