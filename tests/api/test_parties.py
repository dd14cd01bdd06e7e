"""API: institutions, users, keys, live switches: who may, what is shown, what never is."""

from __future__ import annotations

import secrets
from typing import Any

import pytest

from openaoc.channels.signing import new_signing_key
from openaoc.kernel.actor import Role
from tests.cli.world import World, post

PAGES_MAX = 200
PRIVATE = {"kty": "OKP", "crv": "Ed25519", "kid": "p", "x": "A" * 43, "d": "A" * 43}


def test_key_of_a_user_is_shown_once(world: World, number: str) -> None:
    body, key = {"name": f"User {number}", "role": "agent"}, secrets.token_hex(8)
    admin = world.as_("administrator")
    first = post(admin, "/v1/users", body, Idempotency_Key=key).json()
    again = post(admin, "/v1/users", body, Idempotency_Key=key).json()
    assert first["api_key"]
    assert again == {"user": first["user"], "api_key": None}
    assert first["api_key"] not in admin.get("/v1/users").text


def test_users_are_listed_by_pages(world: World) -> None:
    admin, seen, cursor = world.as_("administrator"), list[tuple[str, str]](), None
    for _ in range(PAGES_MAX):
        asked = {"limit": 3} | ({} if cursor is None else {"cursor": cursor})
        page = admin.get("/v1/users", params=asked).json()
        assert len(page["users"]) <= 3
        seen += [(one["id"], one["name"]) for one in page["users"]]
        cursor = page["cursor"]
        if cursor is None:
            break
    assert cursor is None
    assert len(seen) == len(set(seen)), "none twice"
    assert {"supervisor", "agent", "SCB-liaison"} <= {name for _, name in seen}
    for other in ("\0", "garbage", "AOC-7K3M-9QX2-K", "usr_"):
        assert admin.get("/v1/users", params={"cursor": other}).status_code == 400


def test_rotated_key_works_and_a_revoked_one_does_not(world: World, number: str) -> None:
    body = {"name": f"User {number}", "role": "supervisor"}
    made = post(world.as_("administrator"), "/v1/users", body).json()
    key_id = "key_" + made["api_key"].split("_")[1]
    with world.server.client(made["api_key"]) as client:
        fresh = post(client, f"/v1/keys/{key_id}/rotate", {}).json()["api_key"]
        with world.server.client(fresh) as renewed:
            assert renewed.get("/v1/cases").status_code == 200
            assert client.get("/v1/cases").status_code == 200
            assert renewed.delete(f"/v1/keys/{key_id}").status_code == 204
            assert client.get("/v1/cases").status_code == 401


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer x",
        "Basic YTpi",
        "Bearer " + "x" * 300,
        "bearer oaoc_a_b",
        "Bearer a b",
    ],
)
def test_wrong_credentials_are_refused_with_one_answer(world: World, header: str) -> None:
    headers = {"Authorization": header} if header else {}
    answer = world.as_("nobody").get("/v1/holds", headers=headers)
    assert answer.status_code == 401
    assert answer.json()["code"] == "not-signed-in"
    assert answer.headers["www-authenticate"]


@pytest.mark.parametrize("role", ["system", "citizen", "king", ""])
def test_no_key_is_given_for_these_roles(world: World, role: str) -> None:
    answer = post(world.as_("administrator"), "/v1/users", {"name": "x", "role": role})
    assert answer.status_code == 400


@pytest.mark.parametrize("who", ["agent", "investigator", "supervisor", "feed", "officer"])
def test_only_administrators_add(world: World, who: str) -> None:
    user = {"name": "x", "role": "agent"}
    bank = {"code": "XBANK", "name": "X"}
    assert post(world.as_(who), "/v1/users", user).status_code == 403
    assert post(world.as_(who), "/v1/institutions", bank).status_code == 403
    assert post(world.as_("nobody"), "/v1/users", user).status_code == 401


def test_refused_request_does_not_use_up_its_key(world: World, number: str) -> None:
    key, body = secrets.token_hex(8), {"code": f"D{number}", "name": "D"}
    headers = {"Idempotency_Key": key}
    assert post(world.as_("agent"), "/v1/institutions", body, **headers).status_code == 403
    admin = world.as_("administrator")
    assert post(admin, "/v1/institutions", {**body, "code": "KBANK"}, **headers).status_code == 409
    assert post(admin, "/v1/institutions", body, **headers).status_code == 201
    assert post(admin, "/v1/institutions", body, **headers).status_code == 201


@pytest.mark.parametrize(
    "endpoint",
    ["ftp://x/y", "file:///etc/passwd", "http://u:p@x/", "http://169.254.169.254/", "x" * 600, 5],
)
def test_unusable_endpoint_is_refused(world: World, number: str, endpoint: Any) -> None:
    body = {"code": f"E{number}", "name": "E", "endpoint": endpoint}
    admin = world.as_("administrator")
    assert post(admin, "/v1/institutions", body).status_code == 400
    path = "/v1/institutions/BBL/endpoint"
    headers = {"Content-Type": "application/json"}
    assert admin.put(path, json={"endpoint": endpoint}, headers=headers).status_code == 400
    listed = admin.get("/v1/institutions").json()["institutions"]
    assert next(i["endpoint"] for i in listed if i["code"] == "BBL") is None


@pytest.mark.parametrize(
    "jwk", [PRIVATE, {"kty": "RSA"}, {}, {"kid": "x", "x": "AA"}, {"kid": "", "x": "A" * 43}]
)
def test_unusable_public_key_is_refused(world: World, jwk: dict[str, Any]) -> None:
    answer = post(world.as_("administrator"), "/v1/institutions/BBL/keys", jwk)
    assert answer.status_code == 400, answer.text


def test_unknown_institution(world: World) -> None:
    admin = world.as_("administrator")
    good = new_signing_key().public()
    assert post(admin, "/v1/institutions/NOBANK/keys", good).status_code == 404
    assert admin.put("/v1/institutions/NOBANK/endpoint", json={"endpoint": None}).status_code == 404
    assert post(admin, "/v1/live/propose", {"scope": "institution:NOBANK"}).status_code == 404


def test_live_takes_two_people_and_shadow_one(world: World, number: str) -> None:
    code = f"F{number}"
    world.add_institution(code)
    scope = {"scope": f"institution:{code}"}
    one, two = world.as_("supervisor"), world.as_("supervisor2")
    assert post(two, "/v1/live/approve", scope).status_code == 409
    assert post(one, "/v1/live/propose", scope).json()["state"] == "proposed"
    assert post(one, "/v1/live/approve", scope).status_code == 403
    assert post(world.as_("agent"), "/v1/live/approve", scope).status_code == 403
    assert post(two, "/v1/live/approve", scope).json()["state"] == "live"
    stopped = post(world.as_("officer"), "/v1/live/shadow", {**scope, "reason": "a fault"})
    assert stopped.json()["state"] == "shadow"
    switches = world.as_("administrator").get("/v1/live").json()["switches"]
    assert {s["scope"]: s["state"] for s in switches}[f"institution:{code}"] == "shadow"


@pytest.mark.parametrize("role", [role.value for role in Role])
def test_every_role_reaches_only_what_is_its_own(world: World, role: str) -> None:
    who = {"machine": "feed", "liaison": "SCB-liaison", "data_protection_officer": "officer"}
    name = who.get(role, role if role not in ("system", "citizen") else "nobody")
    if role == "protection_officer":  # an earlier version, which the others work for too, has none
        world.add_user(role, role)
    client = world.as_(name)
    allowed = {path: client.get(path).status_code for path in ("/v1/cases", "/v1/users")}
    reads_cases = {
        "agent", "investigator", "supervisor", "administrator", "protection_officer"
    }  # fmt: skip
    reads_users = {"supervisor", "administrator", "data_protection_officer"}
    refused = 401 if name == "nobody" else 403
    assert allowed["/v1/cases"] == (200 if role in reads_cases else refused)
    assert allowed["/v1/users"] == (200 if role in reads_users else refused)
