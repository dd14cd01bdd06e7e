"""Canaries show who leaks; requests out of the closed list are refused and counted."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from openaoc.exchange.agreement import Grant, Minimisation
from openaoc.exchange.canaries import CanarySeen, NewCanaries
from openaoc.exchange.indicators import IndicatorPublisher, IndicatorReceiver
from openaoc.exchange.model import NoAgreement
from openaoc.exchange.objects import FIELDS, REFS, ObjectKind, ReleasedObject, new_object_id
from openaoc.exchange.requests import PartnerRequest, RequestOutcome
from openaoc.indicators.model import Said, SourceKind, Status
from openaoc.indicators.service import Indicators
from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.clock import format_time
from openaoc.kernel.identifiers.kinds import Identifier, Kind
from openaoc.kernel.identifiers.tron import normalise_tron
from openaoc.kernel.ids import is_case_id, new_case_id
from openaoc.kernel.markings import Marking
from openaoc.kernel.offences import Offence, offence_of
from tests.exchange.sharing_site import AS_IS, OFFICER, SUPERVISOR, Site, partner_user

K = ObjectKind


def test_canaries_show_who_leaks(site: Site) -> None:
    for code in ("AA", "BB"):
        site.agree(code)
    with site.uow.begin(OFFICER) as tx:
        mine = site.sharing.canaries.plant(tx, NewCanaries(partner="AA", count=6)).canaries
    with site.uow.begin(SUPERVISOR) as tx:
        theirs = site.sharing.canaries.plant(tx, NewCanaries(partner="BB", count=6)).canaries
    values = {one.value for one in (*mine, *theirs)}
    assert len(values) == 12
    assert all(normalise_tron(c.value) == c.value for c in mine if c.identifier_kind == "tron")
    assert {c.identifier_kind for c in mine} == {"tron", "domain"}
    site.sharing.publishing.publish_due()
    assert sorted(site.has("AA")) == sorted(one.object_id for one in mine)
    assert sorted(site.has("BB")) == sorted(one.object_id for one in theirs)
    assert site.sharing.publishing.publish_due() == 0
    link = next(c.value for c in theirs if c.identifier_kind == "domain")
    for said, partner in (
        (mine[0].value, "AA"),
        (f"https://{link.upper()}/login", "BB"),
        (f" {theirs[1].value} ", "BB"),
        (f"www.{link}:8080/bonus", "BB"),
        ("+66812345678", None),
    ):
        with site.uow.begin(OFFICER) as tx:
            leak = site.sharing.canaries.seen(tx, CanarySeen(value=said, where="a market"))
        assert (leak.canary, leak.partner) == (partner is not None, partner)


def test_a_canary_that_comes_back_is_noticed_and_not_kept(site: Site) -> None:
    agreements = {code: site.agree(code) for code in ("AA", "BB")}
    with site.uow.begin(OFFICER) as tx:
        (mine,) = site.sharing.canaries.plant(tx, NewCanaries(partner="AA")).canaries
    site.sharing.publishing.publish_due()
    with site.uow.read(SYSTEM) as tx:
        (given,) = site.exchange.view(tx, "AA", after=0, limit=9).objects
    verbs = Indicators()
    receiver = IndicatorReceiver(verbs, canaries=site.sharing.canaries, region="TH")

    def told(code: str, one: ReleasedObject) -> list[str]:
        with site.uow.begin(SYSTEM) as tx:
            refused = receiver.receive(tx, agreement=agreements[code], objects=[one])
        return [part.reason for part in refused]

    def seen(partner: str | None) -> list[tuple[str, str | None]]:
        with site.uow.read(OFFICER) as tx:
            found = site.sharing.canaries.list(tx, partner).canaries
        return [(one.value, one.seen_where) for one in found]

    real = said_by_a_bank(site, verbs, mine.identifier_kind)
    other = {"identifier_kind": "phone", "value": "+66812345678"}
    for changes in (
        {},
        {"id": new_object_id(K.INDICATOR)},
        {"id": new_object_id(K.INDICATOR), "marking": Marking.RED},
        {"fields": other},
        {"revoked": True},
    ):
        answers = [
            told("AA", msgspec.structs.replace(given.object, **{**one, **changes}))
            for one in ({}, real)
        ]
        assert answers[0] == answers[1], f"by its answer it is a canary: {changes}"
    assert seen("AA") == [(mine.value, None)], "who has it may say so"
    assert seen(None) == []
    assert told("BB", msgspec.structs.replace(given.object, id=new_object_id(K.INDICATOR))) == []
    assert seen("AA") == seen(None) == [(mine.value, "sent by BB")]
    with site.uow.read(SYSTEM) as tx:
        kind = Kind(mine.identifier_kind)
        assert verbs.find(tx, [Identifier(kind=kind, value=mine.value)]) == []


def said_by_a_bank(site: Site, verbs: Indicators, kind: str) -> dict[str, Any]:
    """The id and fields of a real indicator of that kind."""
    value = "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t" if kind == "tron" else "real-scam-site.com"
    word = Said(
        identifier=Identifier(kind=Kind(kind), value=value),
        kind=SourceKind.INSTITUTION,
        source="institution:KBANK",
        ref="rep_1",
        at=site.clock.now(),
        said_at=site.clock.now(),
        offence=Offence.INVESTMENT,
    )
    with site.uow.begin(SYSTEM) as tx:
        (one,) = verbs.hear(tx, [word])
    return {"id": one.id, "fields": {"identifier_kind": kind, "value": value}}


def test_a_canary_looks_like_any_other_to_its_partner(site: Site) -> None:
    site.agree("AA")
    with site.uow.begin(OFFICER) as tx:
        site.sharing.canaries.plant(tx, NewCanaries(partner="AA", count=2))
    site.shelf.put(site.indicator(fields={"identifier_kind": "tron", "value": "T", "status": "a"}))
    site.sharing.publishing.publish_due()
    with site.uow.read(partner_user("AA")) as tx:
        shapes = {
            (row.kind, row.why, row.released_by) for row in site.exchange.released(tx).releases
        }
        ids = [one.object.id for one in site.exchange.view(tx, "AA", after=0, limit=9).objects]
    assert len(shapes) == 1
    assert len({(one.partition("--")[0], one[24], len(one)) for one in ids}) == 1


def test_a_canary_has_what_a_real_one_has_and_ends_as_it_does(site: Site) -> None:
    verbs, fields = Indicators(), dict.fromkeys(FIELDS[K.INDICATOR], AS_IS)
    del fields["holder_name"]
    site.sharing.catalogue.register(IndicatorPublisher(verbs))
    grant = Grant(fields=fields, identifier_kinds=("tron", "domain"))
    site.agree("AA", grants={K.INDICATOR: grant}, retention_days=300)
    now = site.clock.now()
    word = Said(
        identifier=Identifier(kind=Kind.DOMAIN, value="bonus-login.top"),
        kind=SourceKind.INSTITUTION,
        source="institution:KBANK",
        ref="rep_1",
        at=now,
        said_at=now,
        offence=Offence.INVESTMENT,
        case=new_case_id(),
    )
    with site.uow.begin(SYSTEM) as tx:
        (real,) = verbs.hear(tx, [word])
    with site.uow.begin(OFFICER) as tx:
        site.sharing.canaries.plant(tx, NewCanaries(partner="AA", count=20))
    site.sharing.publishing.publish_due()
    shown = site.shown("AA")
    assert len(shown) == 21
    assert {frozenset(one.fields) for one in shown.values()} == {
        frozenset(shown[real.id].fields)
    }, "nothing of it is missing, nothing is too much"
    weighed = {
        (str(one.fields["status"]), one.fields["reports"]): one.fields["confidence"]
        for one in shown.values()
    }
    assert weighed["proposed", 1] == shown[real.id].fields["confidence"]
    assert {status for status, _ in weighed} == {Status.PROPOSED, Status.CONFIRMED}
    for one in shown.values():
        times = [str(one.fields[name]) for name in ("first_seen", "last_seen", "valid_until")]
        assert times == sorted(times)
        assert is_case_id(str(one.fields["case"]))
        assert one.created <= one.modified
    site.clock.advance(timedelta(days=61))
    with site.uow.begin(SYSTEM) as tx:
        verbs.expire_due(tx)
    site.sharing.publishing.publish_due()
    late = format_time(site.clock.now())
    for number, one in site.shown("AA").items():
        assert one.revoked is (str(shown[number].fields["valid_until"]) <= late)
    assert site.shown("AA")[real.id].revoked


def test_no_canary_where_it_would_not_arrive_as_it_is(site: Site) -> None:
    masked = Grant(fields={"value": Minimisation.MASKED}, identifier_kinds=("tron",))
    site.agree("AA", grants={K.INDICATOR: masked})
    with pytest.raises(NoAgreement), site.uow.begin(OFFICER) as tx:
        site.sharing.canaries.plant(tx, NewCanaries(partner="AA"))


@pytest.mark.parametrize(
    ("purpose", "case", "kind", "outcome"),
    [
        ("speech", "C-1", "match", RequestOutcome.PURPOSE_NOT_LISTED),
        ("association", "C-1", "match", RequestOutcome.PURPOSE_NOT_LISTED),
        ("journalism", "C-1", "trace-request", RequestOutcome.PURPOSE_NOT_LISTED),
        ("whereabouts", "C-1", "match", RequestOutcome.PURPOSE_NOT_LISTED),
        ("", "C-1", "match", RequestOutcome.PURPOSE_NOT_LISTED),
        ("job", " ", "match", RequestOutcome.NO_CASE),
        ("romance", "C-1", "match", RequestOutcome.PURPOSE_NOT_AGREED),
        ("job", "C-1", "trace-request", RequestOutcome.NOT_GRANTED),
        ("job", "C-1", "indicator", RequestOutcome.NOT_GRANTED),
        ("job", "C-1", "match", RequestOutcome.ACCEPTED),
    ],
)
def test_requests_out_of_the_closed_list_are_refused_and_counted(
    site: Site, purpose: str, case: str, kind: str, outcome: RequestOutcome
) -> None:
    grant = Grant(fields={"token": AS_IS}, identifier_kinds=("phone",))
    site.agree("AA", grants={K.MATCH: grant})
    asked = PartnerRequest(kind=kind, purpose=purpose, case=case, identifier_kind="phone")
    with site.uow.begin(SYSTEM) as tx:
        assert site.sharing.requests.take(tx, "AA", asked) is outcome
    with site.uow.read(SYSTEM) as tx:
        (figures,) = site.sharing.requests.figures(tx).countries
    refused = int(outcome is not RequestOutcome.ACCEPTED)
    assert (figures.jurisdiction, figures.received, figures.refused) == ("SG", 1, refused)


def test_scam_types_are_offences() -> None:
    assert [
        offence_of(text) for text in ("5", "14", "investment", "0", "15", "politics", None)
    ] == [
        Offence.INVESTMENT,
        Offence.PONZI,
        Offence.INVESTMENT,
        *[Offence.UNSORTED_SCAM] * 4,
    ]
    words = " ".join(offence.value for offence in Offence)
    assert not any(w in words for w in ("speech", "press", "journal", "assembl", "whereabouts"))
    assert set(REFS) <= set(ObjectKind)
