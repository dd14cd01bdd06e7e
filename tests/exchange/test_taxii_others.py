"""Others' clients drive our TAXII server, read what it gives, and cannot try ids without end."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import stix2
import taxii2client.v21 as taxii2

from openaoc.api.rates import PARTNER_GUESSES
from openaoc.exchange.objects import ObjectKind, new_object_id
from openaoc.exchange.stix.model import Profile
from openaoc.exchange.taxii.model import CollectionKind
from openaoc.exchange.taxii.query import VALUES_MAX
from openaoc.storage.postgres import EmbeddedPostgres
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
