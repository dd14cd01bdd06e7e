"""API: what anybody may see, what operators see, and that every error is a problem document."""

from __future__ import annotations

import hashlib
import re

import pytest

from openaoc.channels.signing import PublicJwk, check_public_jwk
from tests.channels.test_delivery import wait_for
from tests.cli.world import World, post


def test_anybody_may_see_figures_keys_and_health(world: World) -> None:
    nobody = world.as_("nobody")
    health = nobody.get("/health").json()
    assert (health["status"], health["delivery"]) == ("ok", "on")
    figures = nobody.get("/v1/status").json()
    assert figures["mode"] == "live"
    assert figures["currency"] == "THB"
    keys = nobody.get("/.well-known/jwks.json").json()["keys"]
    assert check_public_jwk(PublicJwk(kid=keys[0]["kid"], x=keys[0]["x"]))
    assert "<!doctype html>" in nobody.get("/").text


def test_signing_key_rotates_with_overlap(world: World) -> None:
    nobody = world.as_("nobody")
    before = nobody.get("/.well-known/jwks.json").json()["keys"]
    assert post(world.as_("agent"), "/v1/keys/signing/rotate", {}).status_code == 403
    fresh = post(world.as_("administrator"), "/v1/keys/signing/rotate", {})
    assert fresh.status_code == 200, fresh.text
    after = nobody.get("/.well-known/jwks.json").json()["keys"]
    assert after == [fresh.json(), *before]


def test_metrics_are_for_operators_and_carry_no_ids(world: World) -> None:
    assert world.as_("nobody").get("/metrics").status_code == 401
    assert world.as_("agent").get("/metrics").status_code == 403
    world.as_("investigator").get("/v1/cases/AOC-SECRET")
    text = world.as_("oversight").get("/metrics").text
    assert 'route="/v1/cases/{case_id}"' in text or "/v1/cases/{case_id:str}" in text
    assert "AOC-SECRET" not in text


def test_journal_proves_a_row_and_its_growth(world: World) -> None:
    reader = world.as_("oversight")
    assert wait_for(lambda: reader.get("/v1/journal/head").is_success), "a first head, soon"
    head = reader.get("/v1/journal/head").json()
    assert head["size"] > 0
    proof = reader.get("/v1/journal/leaves/0/proof").json()
    node = bytes.fromhex(proof["leaf_hash"])
    index, last = proof["leaf"], proof["size"] - 1
    for step in map(bytes.fromhex, proof["path"]):
        if index % 2 or index == last:
            node = hashlib.sha256(b"\1" + step + node).digest()
            while not index % 2 and index:
                index, last = index // 2, last // 2
        else:
            node = hashlib.sha256(b"\1" + node + step).digest()
        index, last = index // 2, last // 2
    newest = reader.get("/v1/journal/head").json()
    if newest["size"] == proof["size"]:
        assert node.hex() == newest["root"]
    growth = reader.get("/v1/journal/consistency", params={"old": 1, "new": head["size"]})
    assert growth.status_code == 200, growth.text
    verdict = post(reader, "/v1/journal/verify", {}).json()
    assert verdict["ok"], verdict
    assert world.as_("agent").get("/v1/journal/head").status_code == 403


@pytest.mark.parametrize(
    "path",
    [
        "/v1/journal/leaves/99999999/proof",
        "/v1/journal/leaves/99999999999999999999999/proof",
        "/v1/journal/leaves/-1/proof",
        "/v1/journal/leaves/x/proof",
        "/v1/journal/consistency?old=5&new=99999999",
        "/v1/journal/consistency?old=5&new=4",
        "/v1/journal/consistency?old=-1&new=4",
        "/v1/journal/consistency?old=1",
        "/v1/journal/consistency?old=1&new=99999999999999999999999",
    ],
)
def test_impossible_proof_is_a_clear_refusal(world: World, path: str) -> None:
    answer = world.as_("oversight").get(path)
    assert answer.status_code in (400, 404), answer.text
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/v1/", 404),
        ("DELETE", "/v1/reports", 405),
        ("PATCH", "/v1/holds", 405),
        ("GET", "/v1/cases/" + "x" * 3000, 401),
        ("GET", "/%00", 404),
        ("GET", "/%ff%fe", 404),
    ],
)
def test_every_refusal_is_a_problem_document(
    world: World, method: str, path: str, status: int
) -> None:
    answer = world.as_("nobody").request(method, path)
    assert answer.status_code in (status, 404), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert set(problem) >= {"type", "title", "status", "code"}


def test_answers_carry_safe_headers(world: World) -> None:
    headers = world.as_("nobody").get("/v1/status").headers
    assert headers["x-content-type-options"] == "nosniff"
    assert "server" not in headers


def test_description_names_every_route(world: World) -> None:
    document = world.as_("nobody").get("/schema/openapi.json").json()
    assert {"/v1/reports", "/v1/cases/{case_id}", "/v1/holds/{order}/answers"} <= set(
        document["paths"]
    )
    assert document["openapi"].startswith("3.1")
    operations = [o for path in document["paths"].values() for o in path.values()]
    assert all(operation.get("summary") for operation in operations)
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names))


def test_every_route_that_creates_asks_for_an_idempotency_key(world: World) -> None:
    document = world.as_("nobody").get("/schema/openapi.json").json()
    creating = {
        path: {one["name"] for one in operation.get("parameters", ()) if one.get("required")}
        for path, ways in document["paths"].items()
        for way, operation in ways.items()
        if way == "post" and "201" in operation["responses"]
    }
    assert {"/v1/reports", "/v1/takedowns", "/v1/exchange/feeds"} <= set(creating)
    assert [path for path, names in creating.items() if "Idempotency-Key" not in names] == []


def test_log_of_the_server_holds_no_personal_data(world: World) -> None:
    log = world.server.log()
    assert "police" not in log
    assert not re.search(r"oaoc_[0-9a-z]{16}_", log)


def test_connection_may_be_kept_or_dropped_in_the_middle(world: World) -> None:
    with world.server.client() as client:
        for _ in range(3):
            assert client.get("/health").status_code == 200
    with world.server.client() as another:
        assert another.get("/health").is_success


def test_taxii_is_told_in_its_own_words_where_there_is_nothing(world: World) -> None:
    nobody, taxii = world.as_("nobody"), "application/taxii+json;version=2.1"
    for method, path, status in (
        ("GET", "/taxii2/another-root/", 404),
        ("GET", "/taxii2/another-root/collections/", 404),
        ("PUT", "/taxii2/", 405),
        ("DELETE", "/taxii2/centre/collections/1/objects/", 405),
    ):
        answer = nobody.request(method, path)
        assert (answer.status_code, answer.headers["content-type"]) == (status, taxii), path
        assert answer.json()["http_status"] == str(status)
        assert (status == 405) == ("GET" in answer.headers.get("allow", "")), path
    for path in ("/taxii2x", "/v1/no-such"):
        assert nobody.get(path).headers["content-type"] == "application/problem+json"


def test_who_mistypes_a_page_is_shown_where_to_go(world: World) -> None:
    nobody = world.as_("nobody")
    people = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "Accept-Language": "th"}
    page = nobody.get("//raport.example/<b>", headers=people)
    assert page.status_code == 404
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["content-language"] == "th"
    assert 'href="/case?lang=th"' in page.text
    assert "raport" not in page.text, "a link leads to this centre alone"
    for path, accept, kind in (
        ("/raport", "*/*", "application/problem+json"),
        ("/raport", "application/json", "application/problem+json"),
        ("/taxii2/raport/", people["Accept"], "application/taxii+json;version=2.1"),
    ):
        told = nobody.get(path, headers={"Accept": accept})
        assert (told.status_code, told.headers["content-type"]) == (404, kind), path
    wrong = nobody.post("/report", headers=people, content=b"")
    assert wrong.status_code == 405
    assert wrong.headers["content-type"] == "application/problem+json"
