"""A partner sees through TAXII what its agreement released and nothing else, whatever it tries."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import msgspec
import pytest

from openaoc.exchange.agreement import Grant, Minimisation
from openaoc.exchange.ledger_model import NewRecall, RecallKind
from openaoc.exchange.objects import ObjectKind, SharedObject, new_object_id
from openaoc.exchange.stix import ids, model
from openaoc.exchange.stix.reading import check_object
from openaoc.exchange.taxii.model import MEDIA_TYPE, CollectionKind
from openaoc.exchange.taxii.publishing import SWEEP_EVERY
from openaoc.kernel.clock import format_time
from openaoc.kernel.errors import BadInput, Unavailable
from openaoc.kernel.markings import Marking
from openaoc.storage.postgres import EmbeddedPostgres
from tests.exchange.sharing_site import AS_IS, OFFICER, SUPERVISOR
from tests.exchange.taxii_site import TaxiiSite, stix_indicator, taxii_site

PHONE = "+66812345678"
SEND = {"Content-Type": MEDIA_TYPE}
_codes = iter(f"P{number}" for number in range(1, 100))


@pytest.fixture(scope="module")
def site(postgres: EmbeddedPostgres) -> Iterator[TaxiiSite]:
    with taxii_site(postgres) as made:
        yield made


@pytest.fixture
def code() -> str:
    return next(_codes)


def released(site: TaxiiSite, code: str) -> str:
    return f"collections/{site.collection(code, CollectionKind.RELEASED)}/"


def seen(site: TaxiiSite, code: str, query: str = "") -> list[dict[str, Any]]:
    with site.client(code) as client:
        answer = client.get(f"{released(site, code)}objects/{query}")
        assert answer.status_code == 200
        return list(answer.json().get("objects", []))


def all_text(site: TaxiiSite, code: str) -> str:
    """Everything the partner can be told, by every way."""
    with site.client(code) as client:
        place = released(site, code)
        texts = []
        for path in ("objects/?match[version]=all", "manifest/?match[version]=all", ""):
            answer = client.get(place + path)
            told = {name: text for name, text in answer.headers.items() if name != "date"}
            texts += [answer.text, str(told)]
        return "\n".join(texts)


def same(first: httpx.Response, second: httpx.Response) -> None:
    """The two answers cannot be told apart."""
    assert first.status_code == second.status_code
    assert first.content == second.content
    names = {name for name in (*first.headers, *second.headers) if name != "date"}
    for name in names:
        assert first.headers.get(name) == second.headers.get(name)


def test_only_granted_fields_leave(site: TaxiiSite, code: str) -> None:
    site.join(code)
    site.publish(code, site.indicator(case="AOC-7K3M-9QX2-4"))
    text = all_text(site, code)
    assert PHONE in text
    assert "AOC-7K3M" not in text
    assert "confidence" not in text.replace("details", "")


def test_what_is_not_released_is_as_if_it_were_not(site: TaxiiSite, code: str) -> None:
    site.join(code)
    before = all_text(site, code)
    hidden = [
        site.indicator(marking=Marking.RED),
        site.indicator(possible_victim=True),
        site.indicator(fields={"identifier_kind": "email", "value": "a@b.example"}),
    ]
    site.publish(code, *hidden)
    assert all_text(site, code) == before
    unknown = new_object_id(ObjectKind.INDICATOR)
    with site.client(code) as client:
        for one in hidden:
            for tail in ("", "versions/", "?match[version]=all"):
                path = f"{released(site, code)}objects/"
                same(client.get(f"{path}{one.id}/{tail}"), client.get(f"{path}{unknown}/{tail}"))
            asked = f"{released(site, code)}objects/?match[id]="
            same(client.get(asked + one.id), client.get(asked + unknown))


def test_another_partners_collection_is_as_if_it_were_not(site: TaxiiSite, code: str) -> None:
    other = next(_codes)
    site.join(code)
    site.join(other)
    site.publish(other, site.indicator())
    inbox = site.collection(other, CollectionKind.INBOX)
    theirs = [site.collection(other, CollectionKind.RELEASED), inbox]
    with site.client(other) as owner:
        status = owner.post(
            f"collections/{inbox}/objects/", json={"objects": [stix_indicator()]}, headers=SEND
        ).json()["id"]
    with site.client(code) as client:
        for number in theirs:
            for tail in ("", "objects/", "manifest/", "objects/x/", "objects/x/versions/"):
                same(
                    client.get(f"collections/{number}/{tail}"),
                    client.get(f"collections/{uuid.uuid4()}/{tail}"),
                )
            body = {"objects": [stix_indicator()]}
            same(
                client.post(f"collections/{number}/objects/", json=body, headers=SEND),
                client.post(f"collections/{uuid.uuid4()}/objects/", json=body, headers=SEND),
            )
            same(
                client.delete(f"collections/{number}/objects/x/"),
                client.delete(f"collections/{uuid.uuid4()}/objects/x/"),
            )
        same(client.get(f"status/{status}/"), client.get(f"status/{uuid.uuid4()}/"))
        listed = client.get("collections/").text
        assert not any(number in listed for number in theirs)


def test_paging_and_counts_tell_nothing_of_what_is_hidden(site: TaxiiSite, code: str) -> None:
    """Moments are the collection's own: no gap shows that something else was released."""
    other = next(_codes)
    site.join(code)
    site.join(other)
    mixed = [site.indicator(marking=Marking.RED if n % 2 else Marking.GREEN) for n in range(8)]
    site.publish(other, *(site.indicator() for _ in range(5)))
    site.publish(code, *mixed)
    found = seen(site, code, "?match[type]=indicator")
    assert [one["id"] for one in found] == [one.id for one in mixed[::2]]
    pages, query = [], "?limit=2"
    with site.client(code) as client:
        while True:
            page = client.get(f"{released(site, code)}objects/{query}").json()
            pages.append(len(page["objects"]))
            if not page.get("more"):
                break
            query = f"?limit=2&next={page['next']}"
        moments = [
            one["date_added"]
            for one in client.get(f"{released(site, code)}manifest/").json()["objects"]
        ]
    assert set(pages[:-1]) == {2}
    assert sum(pages) == len(moments) == len(seen(site, code))
    assert len(set(moments)) == len(moments)


def test_errors_say_nothing_of_the_content(site: TaxiiSite, code: str) -> None:
    site.join(code)
    site.publish(code, site.indicator())
    place = released(site, code)
    with site.client(code) as client:
        for path in ("objects/?limit=x", "objects/?match[id]=", "objects/nothing/", "nowhere/"):
            text = client.get(place + path).text
            assert PHONE not in text
            assert "indicator--" not in text
        refused = client.post(
            f"{place}objects/", json={"objects": [stix_indicator()]}, headers=SEND
        )
        assert PHONE not in refused.text


def test_a_relationship_to_something_hidden_does_not_show_it(site: TaxiiSite, code: str) -> None:
    grants = {
        ObjectKind.INDICATOR: Grant(
            fields={"identifier_kind": AS_IS, "value": AS_IS}, identifier_kinds=("phone",)
        ),
        ObjectKind.RELATIONSHIP: Grant(
            fields={"relationship_type": AS_IS, "source": AS_IS, "target": AS_IS}
        ),
        ObjectKind.SIGHTING: Grant(fields={"count": AS_IS, "sighting_of": AS_IS}),
    }
    site.join(code, grants=grants)
    shown, hidden = site.indicator(), site.indicator(marking=Marking.RED)
    base = msgspec.structs.replace(shown, fields={}, case=None)
    link = msgspec.structs.replace(
        base,
        id=new_object_id(ObjectKind.RELATIONSHIP),
        kind=ObjectKind.RELATIONSHIP,
        fields={"relationship_type": "related-to"},
        refs={"source": (shown.id,), "target": (hidden.id,)},
    )
    sighting = msgspec.structs.replace(
        base,
        id=new_object_id(ObjectKind.SIGHTING),
        kind=ObjectKind.SIGHTING,
        fields={"count": 7},
        refs={"sighting_of": (hidden.id,)},
    )
    site.publish(code, shown, hidden, link, sighting)
    text = all_text(site, code)
    assert shown.id in text
    assert hidden.id not in text
    assert link.id not in text
    assert sighting.id not in text


@pytest.mark.parametrize("form", [Minimisation.PSEUDONYM, Minimisation.MASKED])
def test_no_id_can_be_tried_out_against_telephone_numbers(
    site: TaxiiSite, code: str, form: Minimisation
) -> None:
    """Whoever tries all numbers of a country finds none of them in what was minimised."""
    fields = {"identifier_kind": AS_IS, "value": form}
    grant = Grant(fields=fields, identifier_kinds=("phone",))
    site.join(code, grants={ObjectKind.INDICATOR: grant})
    one = site.indicator()
    site.publish(code, one)
    text = all_text(site, code)
    assert one.id in text
    assert PHONE not in text
    types = (model.PhoneNumber, model.Url, model.CryptocurrencyWallet)
    for kind in types:
        assert ids.observable_id(kind, {"value": PHONE}) not in text
    for account in ("phone", "tel", "promptpay"):
        properties = {"account_type": account, "account_login": PHONE}
        assert ids.observable_id(model.UserAccount, properties) not in text
    assert not any(o["type"] == "user-account" for o in seen(site, code))
    for guess in (PHONE, PHONE[1:], f"phone\0{PHONE}", f"indicator\0{PHONE}"):
        for name in ("md5", "sha1", "sha256", "sha512"):
            assert hashlib.new(name, guess.encode()).hexdigest()[:32] not in text
        assert str(uuid.uuid5(ids.NAMESPACE, guess)) not in text
        assert str(uuid.uuid5(ids.OURS, guess)) not in text


def test_two_partners_pseudonyms_do_not_meet(site: TaxiiSite, code: str) -> None:
    other, one = next(_codes), site.indicator()
    grant = Grant(
        fields={"identifier_kind": AS_IS, "value": Minimisation.PSEUDONYM},
        identifier_kinds=("phone",),
    )
    patterns = []
    for partner in (code, other):
        site.join(partner, grants={ObjectKind.INDICATOR: grant})
        site.publish(partner, one)
        (found,) = seen(site, partner, "?match[type]=indicator")
        patterns.append(found["pattern"])
    assert patterns[0] != patterns[1]


# The agreement's life


def test_a_suspended_agreement_shows_nothing_at_once(site: TaxiiSite, code: str) -> None:
    site.join(code)
    site.publish(code, site.indicator())
    place = released(site, code)
    agreement = next(iter(_agreements(site, code)))
    with site.uow.begin(SUPERVISOR) as tx:
        site.agreements.suspend(tx, agreement, reason="a leak is looked into")
    with site.client(code) as client:
        assert client.get("collections/").json() == {}
        for tail in ("", "objects/", "manifest/"):
            assert client.get(place + tail).status_code == 404


def _agreements(site: TaxiiSite, code: str) -> list[str]:
    with site.uow.read(OFFICER) as tx:
        return [one.id for one in site.agreements.list(tx, partner=code).agreements]


def test_a_new_agreement_shows_only_what_it_grants(site: TaxiiSite, code: str) -> None:
    site.join(code)
    shared = site.indicator(fields={"identifier_kind": "phone", "value": PHONE, "status": "active"})
    site.publish(code, shared)
    assert "active" in all_text(site, code)
    narrow = Grant(
        fields={"identifier_kind": AS_IS, "value": Minimisation.MASKED},
        identifier_kinds=("phone",),
    )
    site.agree(code, grants={ObjectKind.INDICATOR: narrow})
    with site.client(code) as client:
        assert client.get(f"{released(site, code)}objects/").status_code == 503
    site.fill()
    assert seen(site, code, "?match[type]=indicator") == []
    site.publish(code, shared)
    text = all_text(site, code)
    assert shared.id in text
    assert PHONE not in text
    assert "active" not in text


# Correction, withdrawal, expiry


def test_a_correction_takes_the_place_of_what_was_wrong(site: TaxiiSite, code: str) -> None:
    site.join(code)
    one = site.indicator()
    site.publish(code, one)
    right = {**one.fields, "value": "+66899999999"}
    later = one.modified + timedelta(seconds=1)
    site.publish(code, msgspec.structs.replace(one, fields=right, modified=later))
    text = all_text(site, code)
    assert "+66899999999" in text
    assert PHONE not in text


def test_a_withdrawn_object_comes_once_more_revoked(site: TaxiiSite, code: str) -> None:
    site.join(code)
    one = site.indicator()
    site.publish(code, one)
    with site.client(code) as client:
        page = client.get(f"{released(site, code)}objects/")
    after = page.headers["x-taxii-date-added-last"]
    with site.uow.begin(SUPERVISOR) as tx:
        asked = NewRecall(object=one.id, kind=RecallKind.WITHDRAWN, reason="it was wrong")
        site.exchange.recalling.recall(tx, asked)
    site.fill()
    (new,) = seen(site, code, f"?added_after={after}")
    assert (new["id"], new["revoked"]) == (one.id, True)
    kinds = [found["type"] for found in seen(site, code)]
    assert "user-account" not in kinds
    assert "relationship" not in kinds


def test_what_may_not_be_kept_any_longer_is_gone(site: TaxiiSite, code: str) -> None:
    site.join(code, retention_days=1)
    one = site.indicator()
    site.publish(code, one)
    site.clock.advance(timedelta(days=1, minutes=1))
    with site.uow.begin(SUPERVISOR) as tx:
        site.exchange.recalling.expire_due(tx)
    site.clock.advance(SWEEP_EVERY)
    site.fill()
    assert one.id not in all_text(site, code)


# What partners send


def sent(site: TaxiiSite, code: str, *objects: Any) -> dict[str, Any]:
    inbox = site.collection(code, CollectionKind.INBOX)
    with site.client(code) as client:
        answer = client.post(
            f"collections/{inbox}/objects/", json={"objects": objects}, headers=SEND
        )
        return dict(answer.json())


def reports(site: TaxiiSite, code: str) -> list[tuple[int, int, list[str]]]:
    with site.uow.read(SUPERVISOR) as tx:
        found = site.collecting.handing.received(tx, partner=code).receipts
    return [(one.objects, one.kept, [lost.path for lost in one.report]) for one in found]


@pytest.fixture(autouse=True)
def empty_desk(site: TaxiiSite) -> None:
    site.hand()
    site.desk.got.clear()
    site.desk.refuses.clear()
    site.desk.error = None


def test_what_is_sent_reaches_its_receiver_once_in_our_words(site: TaxiiSite, code: str) -> None:
    site.join(code)
    one = stix_indicator(7, object_marking_refs=[
        "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed"])  # fmt: skip
    sent(site, code, one, one)
    site.hand()
    sent(site, code, one)
    site.hand()
    (got,) = site.desk.got
    assert got.fields["value"] == "https://scam7.example.com/"
    assert got.marking is Marking.RED
    assert reports(site, code) == [(1, 1, [])]


def test_what_could_not_be_kept_is_reported(site: TaxiiSite, code: str) -> None:
    site.join(code)
    strange = stix_indicator(1, pattern="[file:name = 'x']", x_score=3)
    refused = stix_indicator(2)
    site.desk.refuses.add(refused["id"])
    sent(site, code, strange, refused, stix_indicator(3))
    site.hand()
    ((objects, kept, paths),) = reports(site, code)
    assert (objects, kept) == (3, 1)
    assert paths == [f"{strange['id']}.x_score", f"{strange['id']}.pattern", refused["id"]]


def test_one_object_that_breaks_its_receiver_does_not_hold_up_the_rest(
    site: TaxiiSite, code: str
) -> None:
    site.join(code)
    sent(site, code, stix_indicator(1))
    site.desk.error = BadInput("cannot be taken")
    site.hand()
    site.desk.error = None
    sent(site, code, stix_indicator(2))
    site.hand()
    assert [one.fields["value"] for one in site.desk.got] == ["https://scam2.example.com/"]
    assert [kept for _, kept, _ in reports(site, code)] == [0, 1]


def test_what_passes_is_tried_again_and_nothing_is_lost(site: TaxiiSite, code: str) -> None:
    site.join(code)
    sent(site, code, stix_indicator(1))
    site.desk.error = Unavailable("away")
    with pytest.raises(Unavailable):
        site.hand()
    site.desk.error = None
    site.hand()
    assert len(site.desk.got) == 1


def test_what_is_deleted_reaches_its_receiver_as_taken_back(site: TaxiiSite, code: str) -> None:
    site.join(code)
    one = stix_indicator(1)
    sent(site, code, one)
    site.hand()
    inbox = site.collection(code, CollectionKind.INBOX)
    with site.client(code) as client:
        assert client.delete(f"collections/{inbox}/objects/{one['id']}/").status_code == 200
    site.hand()
    assert [(got.id, got.revoked) for got in site.desk.got] == [
        (one["id"], False), (one["id"], True),
    ]  # fmt: skip


def test_what_was_sent_is_kept_no_longer_than_agreed(site: TaxiiSite, code: str) -> None:
    site.join(code, retention_days=2)
    inbox = site.collection(code, CollectionKind.INBOX)

    def kept() -> list[str]:
        site.collecting.work()
        with site.client(code) as client:
            found = client.get(f"collections/{inbox}/objects/?match[version]=first").json()
        return [one["modified"] for one in found.get("objects", [])]

    old, other = stix_indicator(1), stix_indicator(2, modified="2026-01-05T05:00:00.000Z")
    newer = {**old, "modified": "2026-01-05T04:00:00.000Z"}
    sent(site, code, old)
    site.clock.advance(timedelta(days=1))
    sent(site, code, newer, other)
    assert kept() == [old["modified"], other["modified"]]
    site.clock.advance(timedelta(days=1, hours=1))
    assert kept() == [newer["modified"], other["modified"]], "the next version is now the first"
    site.clock.advance(timedelta(days=1))
    assert kept() == []


def test_after_the_agreement_nothing_is_handed_on(site: TaxiiSite, code: str) -> None:
    site.join(code)
    sent(site, code, stix_indicator(1))
    with site.uow.begin(SUPERVISOR) as tx:
        site.agreements.suspend(tx, _agreements(site, code)[0], reason="it is looked into")
    site.hand()
    assert site.desk.got == []


def test_our_own_collection_is_read_back_whole(site: TaxiiSite, code: str) -> None:
    """Another centre that runs the same programme loses nothing of what was released to it."""
    site.join(code)
    shared: SharedObject = site.indicator(
        fields={
            "identifier_kind": "phone", "value": PHONE, "status": "active",
            "valid_from": format_time(site.clock.now()),
        }
    )  # fmt: skip
    site.publish(code, shared)
    found = [check_object(json.dumps(one).encode()) for one in seen(site, code)]
    assert [lost for one in found for lost in one.lost] == []
    sent(site, code, *seen(site, code))
    site.hand()
    got = {one.id: one for one in site.desk.got}[shared.id]
    assert got.fields == shared.fields
    assert got.marking is shared.marking
