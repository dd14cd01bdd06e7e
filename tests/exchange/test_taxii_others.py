"""Others' clients drive our TAXII server and read what it gives."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import stix2
import taxii2client.v21 as taxii2

from openaoc.exchange.stix.model import Profile
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
