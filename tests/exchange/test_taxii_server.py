"""TAXII 2.1, every rule of the standard a server must keep, by its section; and others' clients."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from openaoc.exchange.taxii import model
from openaoc.exchange.taxii.model import MEDIA_TYPE, CollectionKind
from openaoc.storage.postgres import EmbeddedPostgres
from tests.exchange.taxii_site import PATIENT_S, Reader, TaxiiSite, stix_indicator, taxii_site

DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
UNKNOWN = "7c9d8e0a-5a1f-4b6e-9f3c-2d4e6f8a0b1c"
DISCOVERY = "../"
SEND = {"Content-Type": MEDIA_TYPE}


@pytest.fixture(scope="module")
def site(postgres: EmbeddedPostgres) -> Iterator[TaxiiSite]:
    with taxii_site(postgres) as made:
        made.join("SG")
        made.publish("SG", *(made.indicator() for _ in range(3)))
        yield made


@pytest.fixture(scope="module")
def client(site: TaxiiSite) -> Iterator[httpx.Client]:
    with site.client("SG") as made:
        yield made


@pytest.fixture(scope="module")
def released(site: TaxiiSite) -> str:
    return f"collections/{site.collection('SG', CollectionKind.RELEASED)}/"


@pytest.fixture(scope="module")
def inbox(site: TaxiiSite) -> str:
    return f"collections/{site.collection('SG', CollectionKind.INBOX)}/"


def post(client: httpx.Client, inbox: str, *objects: Any) -> httpx.Response:
    return client.post(f"{inbox}objects/", json={"objects": objects}, headers=SEND)


@pytest.fixture(scope="module")
def filled(client: httpx.Client, inbox: str) -> list[dict[str, Any]]:
    """Objects in the inbox, the first of them in three versions."""
    objects = [stix_indicator(number) for number in range(6)]
    more = [objects[0] | {"modified": f"2026-01-0{day}T00:00:00.000Z"} for day in (6, 7)]
    domain = {"type": "domain-name", "id": f"domain-name--{uuid.uuid4()}", "value": "a.example"}
    made = [*objects, *more, domain]
    assert post(client, inbox, *made).json()["success_count"] == len(made)
    return made


def paths(released: str, inbox: str) -> list[str]:
    return [DISCOVERY, "", "collections/", released, f"{released}manifest/", f"{released}objects/",
            f"{inbox}objects/"]  # fmt: skip


# §1.6.8, §3.1: media types, and §3.9: authentication


def test_3_1_every_answer_is_of_the_media_type(
    client: httpx.Client, released: str, inbox: str
) -> None:
    for path in paths(released, inbox):
        answer = client.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (200, MEDIA_TYPE), path


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        (MEDIA_TYPE, 200),
        ("application/taxii+json", 200),
        ("application/taxii+json; version=2.1", 200),
        ("text/html, application/taxii+json;version=2.1;q=0.5", 200),
        ("*/*", 200),
        ("application/taxii+json;version=2.0", 406),
        ("application/vnd.oasis.taxii+json; version=2.0", 406),
        ("application/json", 406),
        ("application/stix+json;version=2.1", 406),
        ("application/taxii+json;version=2.1;q=0", 406),
        ("nonsense", 406),
    ],
)
def test_3_1_what_is_not_acceptable_is_406(
    client: httpx.Client, released: str, inbox: str, accept: str, status: int
) -> None:
    for path in paths(released, inbox):
        assert client.get(path, headers={"Accept": accept}).status_code == status, path


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (MEDIA_TYPE, 202),
        ("application/taxii+json", 202),
        ("application/json", 415),
        ("application/taxii+json;version=2.0", 415),
        ("application/stix+json;version=2.1", 415),
        ("*/*", 415),
        ("", 415),
    ],
)
def test_3_1_a_body_of_another_type_is_415(
    client: httpx.Client, inbox: str, kind: str, status: int
) -> None:
    body = json.dumps({"objects": [stix_indicator()]})
    answer = client.post(f"{inbox}objects/", content=body, headers={"Content-Type": kind})
    assert answer.status_code == status


@pytest.mark.parametrize(
    "authorization",
    ["", "Basic", "Basic !!!", "Basic eDp5", "Bearer x", "Digest a", "Basic //8="],
)
def test_3_9_without_a_key_it_is_401_and_says_how(
    site: TaxiiSite, released: str, inbox: str, authorization: str
) -> None:
    headers = {"Accept": MEDIA_TYPE} | ({"Authorization": authorization} if authorization else {})
    with Reader(
        base_url=f"{site.url}/taxii2/centre/", trust_env=False, timeout=PATIENT_S
    ) as nobody:
        for path in paths(released, inbox)[:3]:
            answer = nobody.get(path, headers=headers)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith("Basic ")
            assert answer.headers["content-type"] == MEDIA_TYPE


def test_3_9_a_bearer_key_will_do(site: TaxiiSite) -> None:
    headers = {"Accept": MEDIA_TYPE, "Authorization": f"Bearer {site.api_keys['SG']}"}
    answer = httpx.get(f"{site.url}/taxii2/", headers=headers, trust_env=False, timeout=PATIENT_S)
    assert answer.status_code == 200


# §3.6.1: errors


def test_3_6_1_an_error_has_a_title_and_its_status_as_text(
    client: httpx.Client, released: str
) -> None:
    for answer in (
        client.get(f"collections/{UNKNOWN}/"),
        client.get(f"{released}objects/?limit=0"),
        client.get("", headers={"Accept": "text/html"}),
    ):
        message = answer.json()
        assert message["title"]
        assert message["http_status"] == str(answer.status_code)
        assert answer.headers["content-type"] == MEDIA_TYPE


# §4.1, §4.2: discovery and API root


def test_4_1_discovery_names_its_root(client: httpx.Client, site: TaxiiSite) -> None:
    found = client.get(DISCOVERY).json()
    assert found["title"]
    assert found["default"] in found["api_roots"]
    assert found["api_roots"] == [f"{site.url}/taxii2/centre/"]
    assert found["contact"] == "duty@centre.example"


def test_4_2_the_root_says_versions_and_the_longest_body(client: httpx.Client) -> None:
    root = client.get("").json()
    assert root["title"]
    assert root["versions"] == [MEDIA_TYPE]
    assert root["max_content_length"] == model.ENVELOPE_BYTES_MAX


# §4.3, §5.5: adding, and the status


def test_5_5_added_objects_are_202_with_a_status_that_can_be_asked_for(
    client: httpx.Client, inbox: str
) -> None:
    answer = post(client, inbox, stix_indicator(), stix_indicator(confidence=200))
    assert answer.status_code == 202
    status = answer.json()
    assert status["status"] == "complete"
    assert (status["total_count"], status["success_count"], status["failure_count"]) == (2, 1, 1)
    assert status["pending_count"] == 0
    assert DATE.fullmatch(status["request_timestamp"])
    (failure,) = status["failures"]
    assert failure["id"].startswith("indicator--")
    assert failure["version"] == "2026-01-05T03:00:00.000Z"
    assert "$.confidence" in failure["message"]
    assert client.get(f"status/{status['id']}/").json() == status


def test_4_3_an_unknown_status_is_404(client: httpx.Client) -> None:
    assert client.get(f"status/{UNKNOWN}/").status_code == 404
    assert client.get(f"status/{'x' * 200}/").status_code == 404


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"objects":7}', b"{}", b'{"objects":[]}'])
def test_5_5_what_is_no_envelope_is_422(client: httpx.Client, inbox: str, body: bytes) -> None:
    answer = client.post(f"{inbox}objects/", content=body, headers=SEND)
    assert answer.status_code == 422


def test_5_5_a_body_over_the_limit_is_413(client: httpx.Client, inbox: str) -> None:
    body = b" " * (model.ENVELOPE_BYTES_MAX + 1)
    answer = client.post(f"{inbox}objects/", content=body, headers=SEND)
    assert (answer.status_code, answer.headers["content-type"]) == (413, MEDIA_TYPE)


def test_5_5_more_objects_than_are_taken_at_once_are_413(
    client: httpx.Client, inbox: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openaoc.exchange.taxii.service.ENVELOPE_OBJECTS_MAX", 2)
    assert post(client, inbox, *(stix_indicator() for _ in range(3))).status_code == 413


def test_5_5_the_same_version_again_is_a_success_and_changes_nothing(
    client: httpx.Client, inbox: str
) -> None:
    one = stix_indicator(name="first")
    post(client, inbox, one)
    again = post(client, inbox, one | {"name": "second"}).json()
    assert (again["success_count"], again["failure_count"]) == (1, 0)
    (kept,) = client.get(f"{inbox}objects/{one['id']}/").json()["objects"]
    assert kept["name"] == "first"


def test_5_5_a_released_collection_is_not_written_to(client: httpx.Client, released: str) -> None:
    assert post(client, released, stix_indicator()).status_code == 403


def test_5_5_more_than_a_days_volume_waits(
    client: httpx.Client, inbox: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openaoc.exchange.taxii.service.POSTED_PER_DAY_MAX", 0)
    answer = post(client, inbox, stix_indicator())
    assert answer.status_code == 503
    assert answer.headers["retry-after"]


# §5.1, §5.2: collections


def test_5_2_a_collection_is_listed_as_it_is_shown(client: httpx.Client) -> None:
    listed = client.get("collections/").json()["collections"]
    assert [(one["can_read"], one["can_write"]) for one in listed] == [(True, False), (True, True)]
    for one in listed:
        assert client.get(f"collections/{one['id']}/").json() == one
        assert uuid.UUID(one["id"]).version == 4
        assert one["media_types"] == ["application/stix+json;version=2.1"]
    assert "at most 30 days. Onward sharing: none." in listed[0]["description"]


@pytest.mark.parametrize(
    "path",
    ["", "objects/", "manifest/", f"objects/indicator--{UNKNOWN}/",
     f"objects/indicator--{UNKNOWN}/versions/"],
)  # fmt: skip
@pytest.mark.parametrize("number", [UNKNOWN, "x", "ไทย", "x" * 300, "%00"])
def test_5_an_unknown_collection_is_404(client: httpx.Client, number: str, path: str) -> None:
    assert client.get(f"collections/{number}/{path}").status_code == 404


@pytest.mark.parametrize("number", [f"indicator--{UNKNOWN}", "x", "x" * 300])
def test_5_6_an_unknown_object_is_404(client: httpx.Client, inbox: str, number: str) -> None:
    assert client.get(f"{inbox}objects/{number}/").status_code == 404
    assert client.get(f"{inbox}objects/{number}/versions/").status_code == 404
    assert client.delete(f"{inbox}objects/{number}/").status_code == 404


# §3.3: filters; §3.4: pages; §5.3, §5.4


def ids(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [one["id"] for one in answer.json().get("objects", [])]


def test_5_4_objects_are_in_the_order_they_were_added(
    client: httpx.Client, inbox: str, filled: list[dict[str, Any]]
) -> None:
    found = client.get(f"{inbox}manifest/?match[version]=all").json()["objects"]
    added = [record["date_added"] for record in found]
    assert added == sorted(set(added))
    assert all(DATE.fullmatch(moment) for moment in added)


@pytest.mark.parametrize("limit", [1, 2, 7, 2**63 - 1])
@pytest.mark.parametrize("resource", ["objects", "manifest"])
def test_3_4_pages_together_are_the_whole_and_no_two_overlap(
    client: httpx.Client, inbox: str, filled: list[dict[str, Any]], resource: str, limit: int
) -> None:
    everything = client.get(f"{inbox}{resource}/?match[version]=all").json()["objects"]
    found: list[Any] = []
    query: dict[str, Any] = {"limit": limit, "match[version]": "all"}
    while True:
        answer = client.get(f"{inbox}{resource}/", params=query)
        page = answer.json()
        found += page["objects"]
        assert len(page["objects"]) <= limit
        assert DATE.fullmatch(answer.headers["x-taxii-date-added-first"])
        last = answer.headers["x-taxii-date-added-last"]
        assert last >= answer.headers["x-taxii-date-added-first"]
        if not page["more"]:
            assert "next" not in page
            break
        query["next"] = page["next"]
    assert found == everything


def test_3_4_added_after_goes_on_where_the_last_page_ended(
    client: httpx.Client, inbox: str, filled: list[dict[str, Any]]
) -> None:
    first = client.get(f"{inbox}objects/?limit=3")
    after = first.headers["x-taxii-date-added-last"]
    rest = client.get(f"{inbox}objects/", params={"added_after": after})
    assert ids(first) + ids(rest) == ids(client.get(f"{inbox}objects/"))


def test_3_7_an_empty_envelope_has_no_objects_and_no_dates(
    client: httpx.Client, inbox: str
) -> None:
    answer = client.get(f"{inbox}objects/", params={"added_after": "2100-01-01T00:00:00Z"})
    assert answer.json() == {}
    assert "x-taxii-date-added-first" not in answer.headers


@pytest.mark.parametrize(
    ("query", "places"),
    [
        ({}, [7, 1, 2, 3, 4, 5, 8]),
        ({"match[version]": "last"}, [7, 1, 2, 3, 4, 5, 8]),
        ({"match[version]": "first"}, [0, 1, 2, 3, 4, 5, 8]),
        ({"match[version]": "all"}, [0, 1, 2, 3, 4, 5, 6, 7, 8]),
        ({"match[version]": "first,last"}, [0, 1, 2, 3, 4, 5, 7, 8]),
        ({"match[version]": "2026-01-06T00:00:00Z"}, [6]),
        ({"match[version]": "2026-01-06T00:00:00.000Z,2026-01-07T00:00:00Z"}, [6, 7]),
        ({"match[version]": "2001-01-01T00:00:00Z"}, []),
        ({"match[type]": "domain-name"}, [8]),
        ({"match[type]": "domain-name,malware"}, [8]),
        ({"match[type]": "malware"}, []),
        ({"match[spec_version]": "2.1"}, [7, 1, 2, 3, 4, 5, 8]),
        ({"match[spec_version]": "2.0,2.1"}, [7, 1, 2, 3, 4, 5, 8]),
        ({"match[spec_version]": "2.0"}, []),
        ({"match[type]": "domain-name", "match[version]": "all"}, [8]),
        ({"unrelated": "1"}, [7, 1, 2, 3, 4, 5, 8]),
    ],
)
@pytest.mark.parametrize("resource", ["objects", "manifest"])
def test_3_3_filters(
    client: httpx.Client,
    inbox: str,
    filled: list[dict[str, Any]],
    resource: str,
    query: dict[str, str],
    places: list[int],
) -> None:
    mine = {one["id"] for one in filled}
    answer = client.get(f"{inbox}{resource}/", params=query)
    found = [
        (one["id"], one.get("modified") or one.get("version"))
        for one in answer.json().get("objects", [])
        if one["id"] in mine
    ]
    wanted = [(filled[p]["id"], filled[p].get("modified")) for p in places]
    assert sorted(one for one, _ in found) == sorted(one for one, _ in wanted)
    moments = {(one, str(when)[:10]) for one, when in found if not one.startswith("domain")}
    assert moments == {(one, str(when)[:10]) for one, when in wanted if when}


def test_3_3_match_id_and_together_with_others(
    client: httpx.Client, inbox: str, filled: list[dict[str, Any]]
) -> None:
    two = [filled[1]["id"], filled[8]["id"]]
    assert sorted(ids(client.get(f"{inbox}objects/?match[id]={','.join(two)}"))) == sorted(two)
    narrow = f"{inbox}objects/?match[id]={','.join(two)}&match[type]=indicator"
    assert ids(client.get(narrow)) == two[:1]


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=-1", "limit=x", "limit=1.5", "limit=", "limit=99999999999999999999",
     "next=x", "next=-1", "next=99999999999999999999", "added_after=yesterday",
     "added_after=2026-01-05", "match[version]=newest", "match[id]=", "match[type]=a,,b",
     "match[size]=1", "match[id]=" + ",".join(["a"] * 101), "limit=1&limit=2", "match[id]=%00"],
)  # fmt: skip
@pytest.mark.parametrize("resource", ["objects", "manifest"])
def test_5_4_what_is_not_understood_is_400(
    client: httpx.Client, released: str, resource: str, query: str
) -> None:
    assert client.get(f"{released}{resource}/?{query}").status_code == 400


def test_5_3_the_manifest_says_what_objects_gives(
    client: httpx.Client, inbox: str, filled: list[dict[str, Any]]
) -> None:
    manifest = client.get(f"{inbox}manifest/").json()["objects"]
    assert [one["id"] for one in manifest] == ids(client.get(f"{inbox}objects/"))
    assert {one["media_type"] for one in manifest} == {"application/stix+json;version=2.1"}
    versions = {one["id"]: one["version"] for one in manifest}
    assert versions[filled[0]["id"]] == "2026-01-07T00:00:00.000Z", "as `modified` is written"


# §5.6, §5.7, §5.8: one object


@pytest.mark.parametrize(
    ("query", "modified"),
    [("", ["07"]), ("?match[version]=all", ["05", "06", "07"]), ("?match[version]=first", ["05"]),
     ("?match[spec_version]=2.0", [])],
)  # fmt: skip
def test_5_6_versions_of_one_object(
    client: httpx.Client,
    inbox: str,
    filled: list[dict[str, Any]],
    query: str,
    modified: list[str],
) -> None:
    found = client.get(f"{inbox}objects/{filled[0]['id']}/{query}").json().get("objects", [])
    assert [one["modified"][8:10] for one in found] == modified


def test_5_8_versions_are_listed_and_paged(
    client: httpx.Client, inbox: str, filled: list[dict[str, Any]]
) -> None:
    path = f"{inbox}objects/{filled[0]['id']}/versions/"
    answer = client.get(path)
    versions = answer.json()["versions"]
    assert [moment[8:10] for moment in versions] == ["05", "06", "07"]
    assert DATE.fullmatch(answer.headers["x-taxii-date-added-first"])
    first = client.get(path, params={"limit": 2}).json()
    rest = client.get(path, params={"limit": 2, "next": first["next"]}).json()
    assert first["versions"] + rest["versions"] == versions
    assert client.get(path, params={"match[version]": "all"}).status_code == 400


def test_5_7_what_was_written_can_be_taken_back(client: httpx.Client, inbox: str) -> None:
    one = stix_indicator()
    versions = [one, one | {"modified": "2026-01-06T00:00:00.000Z"}]
    post(client, inbox, *versions)
    path = f"{inbox}objects/{one['id']}/"
    assert client.delete(f"{path}?match[version]=2026-01-06T00:00:00Z").status_code == 200
    assert client.get(path).json()["objects"] == [one]
    assert client.delete(path).status_code == 200
    assert client.get(path).status_code == 404


def test_5_7_what_was_released_cannot_be_deleted(client: httpx.Client, released: str) -> None:
    (first, *_) = ids(client.get(f"{released}objects/?match[type]=indicator"))
    assert client.delete(f"{released}objects/{first}/").status_code == 403
    assert client.get(f"{released}objects/{first}/").status_code == 200


# Equal times, and pages by size


def test_an_envelopes_objects_are_added_at_different_moments(
    client: httpx.Client, inbox: str
) -> None:
    """The clock of this test stands still: others would give all of them one moment."""
    sent = [stix_indicator() for _ in range(50)]
    post(client, inbox, *sent)
    found = client.get(f"{inbox}manifest/").json()["objects"]
    assert len({one["date_added"] for one in found}) == len(found)


def test_a_page_ends_before_its_longest_and_gives_one_object_at_least(
    client: httpx.Client, inbox: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = ids(client.get(f"{inbox}objects/"))
    monkeypatch.setattr("openaoc.exchange.taxii.store.PAGE_BYTES_MAX", 700)
    found: list[str] = []
    query: dict[str, str] = {}
    while True:
        page = client.get(f"{inbox}objects/", params=query).json()
        found += [one["id"] for one in page["objects"]]
        assert 1 <= len(page["objects"]) <= 3
        if not page.get("more"):
            break
        query = {"next": page["next"]}
    assert found == everything
