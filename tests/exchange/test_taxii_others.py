"""Others' clients drive our TAXII server, read what it gives, and cannot try ids without end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import stix2
import stix2validator
import taxii2client.v21 as taxii2

from openaoc.api.rates import PARTNER_GUESSES
from openaoc.exchange.agreement import Grant
from openaoc.exchange.objects import ObjectKind, new_object_id
from openaoc.exchange.stix.model import Profile
from openaoc.exchange.taxii.model import CollectionKind
from openaoc.exchange.taxii.query import VALUES_MAX
from openaoc.kernel.markings import Marking
from openaoc.storage.postgres import EmbeddedPostgres
from openaoc.workflow.sharing import publish_from
from tests.exchange import test_campaigns as campaigns
from tests.exchange.sharing_site import AS_IS
from tests.exchange.taxii_site import TaxiiSite, taxii_site


@pytest.fixture(scope="module")
def site(postgres: EmbeddedPostgres) -> Iterator[TaxiiSite]:
    with taxii_site(postgres) as made:
        yield made


@pytest.mark.parametrize("profile", [Profile.CORE, Profile.OPENCTI, Profile.MISP])
def test_taxii2_client_and_stix2_read_and_write(site: TaxiiSite, profile: Profile) -> None:
    code = f"C-{profile.value}".upper()
    key = site.join(code, profile=profile)
    shared = [site.indicator() for _ in range(5)]
    site.publish(code, *shared)
    server = taxii2.Server(f"{site.url}/taxii2/", user="analyst", password=key)
    assert server.default.title == "Exchange"
    readable, writable = server.default.collections
    pages = list(taxii2.as_pages(readable.get_objects, per_request=4))
    found = [one for page in pages for one in page["objects"]]
    parsed = [stix2.parse(one, allow_custom=True) for one in found]
    assert {one.id for one in shared} <= {one["id"] for one in parsed}
    assert readable.get_object(shared[0].id)["objects"][0]["id"] == shared[0].id
    assert len(readable.get_manifest()["objects"]) == len(found)
    one = stix2.Indicator(pattern="[url:value = 'https://x.example.com/']", pattern_type="stix")
    status = writable.add_objects({"objects": [json.loads(one.serialize())]})
    assert (status.status, status.success_count) == ("complete", 1)
    assert writable.get_object(one.id)["objects"][0]["pattern"] == one.pattern
    assert len(writable.object_versions(one.id)["versions"]) == 1
    writable.delete_object(one.id)
    with pytest.raises(Exception, match="404"):
        writable.get_object(one.id)


def test_opencti_gets_no_surrogates_where_they_are_switched_off(
    site: TaxiiSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = site.indicator(
        fields={"identifier_kind": "bank_account", "value": "KBANK:1234567890"}
    )
    grant = Grant(
        fields={"identifier_kind": AS_IS, "value": AS_IS}, identifier_kinds=("bank_account",)
    )
    for code, surrogates, kind in (
        ("TYPED", True, "bank-account"),
        ("BARE", False, "user-account"),
    ):
        monkeypatch.setattr(site.collecting.filling, "_surrogates", surrogates)
        site.join(code, profile=Profile.OPENCTI, grants={ObjectKind.INDICATOR: grant})
        site.publish(code, account)
        kinds = {one["type"] for one in read(site, code)}
        assert {"bank-account", "user-account"} & kinds == {kind}


def test_a_reader_goes_on_where_it_was_when_the_agreement_is_renewed(site: TaxiiSite) -> None:
    code = "RENEWED"
    site.join(code)
    site.shelf.put(*(site.indicator() for _ in range(4)))
    site.sharing.publishing.publish_due()
    site.fill()
    place = f"collections/{site.collection(code, CollectionKind.RELEASED)}/manifest/"
    with site.client(code) as client:
        before = client.get(place).json()["objects"]
        first = client.get(f"{place}?limit=3").json()
        site.agree(code)
        site.fill()
        waits = client.get(f"{place}?next={first['next']}")
        assert (waits.status_code, waits.headers["retry-after"]) == (503, "1")
        site.sharing.publishing.publish_due()
        site.fill()
        rest = client.get(f"{place}?next={first['next']}").json()
        assert [*first["objects"], *rest["objects"]] == before
    assert sum(one["id"].startswith("indicator") for one in before) == 4
    site.shelf.items.clear()


def test_ids_cannot_be_tried_without_end_and_pages_count_nothing(site: TaxiiSite) -> None:
    code, other = "TRIES", "READS"
    site.join(code)
    site.join(other)
    site.publish(code, site.indicator())
    own = f"collections/{site.collection(code, CollectionKind.RELEASED)}/"
    names = ",".join(new_object_id(ObjectKind.INDICATOR) for _ in range(VALUES_MAX))
    filters, rest = divmod(PARTNER_GUESSES.burst, VALUES_MAX)
    assert rest == 0
    with site.client(code) as client, site.client(other) as another:
        mine = client.get(f"{own}objects/").json()["objects"][0]["id"]
        for _ in range(30):
            assert client.get(f"{own}objects/?limit=1").status_code == 200
            assert client.get(f"{own}objects/{mine}/").status_code == 200
        for _ in range(filters - 1):
            assert client.get(f"{own}objects/?match[id]={names}").status_code == 200
        for _ in range(VALUES_MAX):
            unknown = new_object_id(ObjectKind.INDICATOR)
            assert client.get(f"{own}objects/{unknown}/").status_code == 404
        for path in (f"{own}objects/{mine}/", f"{own}objects/{unknown}/", "collections/"):
            answer = client.get(path)
            assert (answer.status_code, answer.headers["Retry-After"]) == (429, "1"), path
        assert another.get("collections/").status_code == 200, "nobody else waits for it"
        site.monotonic_s += 1.0
        assert client.get(f"{own}objects/{mine}/").status_code == 200


def test_a_campaign_is_read_in_every_profile_by_who_may_have_it(site: TaxiiSite) -> None:
    publish_from(site.sharing, campaigns.VERBS, institutions=lambda _: [], key=b"k")
    codes = {profile: f"READS-{profile.value}".upper() for profile in Profile}
    for profile, code in codes.items():
        site.join(code, profile=profile, grants=campaigns.EVERYTHING)
    site.join("NONE", grants={ObjectKind.INDICATOR: campaigns.PHONES})
    phone = campaigns.number(site, "+66899999999", cases=6)
    one = campaigns.named(site, marking=Marking.AMBER)
    campaigns.attach(site, one.id, phone)
    campaigns.approved(site, one.id)
    campaigns.publish(site)
    site.fill()
    options = stix2validator.ValidationOptions(version="2.1")
    for profile, code in codes.items():
        found = read(site, code)
        for each in found:
            valid = stix2validator.validate_instance(each, options)
            assert valid.is_valid, (profile, each, [str(error) for error in valid.errors])
        (told,) = [each for each in found if each["id"] == one.id]
        (link,) = [each for each in found if each.get("target_ref") == one.id]
        assert (told["name"], told["labels"]) == ("Parcels that nobody sent", ["job"])
        details = [each["fields"] for each in told.get("extensions", {}).values()]
        assert details == ([] if profile is Profile.MISP else [{"cases": 6}])
        assert (link["relationship_type"], link["source_ref"]) == ("indicates", phone)
    others = json.dumps(read(site, "NONE"))
    assert phone in others
    assert not any(hidden in others for hidden in (one.id, link["id"], "arcel", "campaign"))
    campaigns.ended(site, one.id)
    campaigns.publish(site)
    site.fill()
    for code in codes.values():
        gone = {each["id"] for each in read(site, code) if each.get("revoked")}
        assert gone == {one.id, link["id"]}


def read(site: TaxiiSite, code: str) -> list[dict[str, Any]]:
    """All that the partner's collection gives it."""
    with site.client(code) as client:
        place = f"collections/{site.collection(code, CollectionKind.RELEASED)}/objects/"
        return list(client.get(place).json().get("objects", []))
