"""What partners tell beside indicators: kept as their word for people, for a time, and no more."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import msgspec
import pytest

from openaoc.exchange import context as module
from openaoc.exchange.agreement import Agreement
from openaoc.exchange.context_store import Told
from openaoc.exchange.objects import ObjectKind, ReleasedObject, new_object_id
from openaoc.exchange.receiving import NotTaken
from openaoc.indicators.service import Indicators
from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.errors import BadInput, Refused
from openaoc.kernel.markings import Marking
from openaoc.workflow.collecting import build_receiver
from tests.exchange.sharing_site import SUPERVISOR, Site, partner_user

K = ObjectKind


def told(site: Site, kind: ObjectKind = K.CAMPAIGN, **changes: object) -> ReleasedObject:
    usual = ReleasedObject(
        id=new_object_id(kind),
        kind=kind,
        created=site.clock.now(),
        modified=site.clock.now(),
        marking=Marking.GREEN,
        fields={"name": "False parcels", "scam_types": ("job",)},
    )
    return msgspec.structs.replace(usual, **changes)


def receive(site: Site, agreement: Agreement, *objects: ReleasedObject) -> Sequence[NotTaken]:
    receiver = build_receiver(site.sharing, Indicators(), region="TH")
    with site.uow.begin(SYSTEM) as tx:
        return receiver.receive(tx, agreement=agreement, objects=objects)


def shown(site: Site, **wanted: str) -> list[Told]:
    with site.uow.read(SUPERVISOR) as tx:
        return site.sharing.context.page(tx, **wanted).told  # type: ignore[arg-type]  # names


def test_it_is_kept_replaced_and_taken_back(site: Site) -> None:
    agreement = site.agree("SG")
    one, other = told(site), told(site, K.REPORT)
    assert receive(site, agreement, one, other) == []
    assert [each.object for each in shown(site)] == [other, one]
    assert [each.object for each in shown(site, partner="sg", kind=K.CAMPAIGN)] == [one]
    newer = msgspec.structs.replace(
        one, modified=one.modified + timedelta(hours=1), fields={"name": "Parcels"}
    )
    assert receive(site, agreement, newer) == []
    assert receive(site, agreement, one) == [], "an older word changes nothing"
    gone = msgspec.structs.replace(other, revoked=True)
    assert receive(site, agreement, gone, msgspec.structs.replace(one, revoked=True)) == []
    assert [each.object for each in shown(site)] == [newer]


def test_what_is_not_agreed_or_names_a_person_is_not_kept_and_said(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    agreement = site.agree("SG")
    high = told(site, marking=Marking.RED)
    strange = told(site, fields={"name": "Romance", "scam_types": ("romance",)})
    fields = {"name": "A report", "victim_name": "Somchai", "narrative": "he was called"}
    report = told(site, K.REPORT, fields=fields)
    person = told(site, K.IDENTITY, fields={"name": "Somchai", "identity_class": "individual"})
    refused = receive(site, agreement, high, strange, report, person)
    assert {(one.path, one.reason) for one in refused} == {
        (high.id, "its marking is above the agreement's highest"),
        (strange.id, "its purpose is not agreed on"),
        (f"{report.id}.victim_name", "it names a person"),
        (f"{person.id}.name", "it names a person"),
    }
    assert "Somchai" not in str(shown(site))
    monkeypatch.setattr(module, "PER_PARTNER_MAX", 2)
    new = told(site)
    again = {one.path: one.reason for one in receive(site, agreement, new, report)}
    assert "more than 2" in again[new.id]
    assert report.id not in again, "what is there already may change"


def test_it_is_forgotten_and_read_by_staff_alone(site: Site) -> None:
    agreement = site.agree("SG", retention_days=30)
    for _ in range(3):
        receive(site, agreement, told(site))
    with site.uow.read(SUPERVISOR) as tx:
        first = site.sharing.context.page(tx, limit=2)
        rest = site.sharing.context.page(tx, limit=2, cursor=first.cursor)
        with pytest.raises(BadInput):
            site.sharing.context.page(tx, cursor="x")
    assert len({one.sequence for one in (*first.told, *rest.told)}) == 3
    assert rest.cursor is None
    with pytest.raises(Refused), site.uow.read(partner_user("SG")) as tx:
        site.sharing.context.page(tx)
    site.clock.advance(timedelta(days=30))
    for duty in site.sharing.duties:
        duty.call()
    assert shown(site) == []
