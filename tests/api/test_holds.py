"""API: orders: who sees them, who may answer, and which signature counts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest

from openaoc.channels.signing import HEADER, SigningKey, new_signing_key, sign
from tests.channels.institution import Stub, serving
from tests.channels.test_delivery import wait_for
from tests.cli.world import World, post, report, tell, transfer

JSON = {"Content-Type": "application/json"}


def order_at(world: World, number: str, bank: str = "SCB", **changes: Any) -> dict[str, Any]:
    """An issued order at the bank, on an account nobody else uses."""
    row = transfer(number, creditor_bank=bank, **changes)
    told = tell(world.as_("feed"), {**row, "reported_by": "KBANK"})
    assert told.status_code == 201, told.text
    receipt = post(world.as_("KBANK-machine"), "/v1/reports", report(row))
    assert receipt.status_code == 201, receipt.text
    order: dict[str, Any] = receipt.json()["orders"][0]
    assert order["state"] == "issued"
    return order


def applied(amount_minor: int) -> dict[str, Any]:
    return {"outcome": "applied", "applied_minor": amount_minor}


def answer(client: httpx.Client, order: dict[str, Any], body: object) -> httpx.Response:
    return post(client, f"/v1/holds/{order['order']}/answers", body)


def test_liaison_answers_from_the_desk(world: World, number: str) -> None:
    order = order_at(world, number)
    liaison = world.as_("SCB-liaison")
    listed = liaison.get("/v1/holds", params={"state": "issued"}).json()["orders"]
    assert order["order"] in [one["order"] for one in listed]
    done = answer(liaison, order, applied(500_000))
    assert done.status_code == 200, done.text
    assert (done.json()["state"], done.json()["held_minor"]) == ("applied", 500_000)
    again = answer(liaison, order, applied(500_000))
    assert again.json() == done.json()
    other = answer(liaison, order, {"outcome": "refused"})
    assert other.status_code == 409


def test_institution_sees_its_own_orders_alone(world: World, number: str) -> None:
    order = order_at(world, number)
    stranger = world.as_("BBL-liaison")
    for query in ({}, {"institution": "SCB"}, {"case": "x"}):
        found = stranger.get("/v1/holds", params=query).json()["orders"]
        assert all(one["institution"] == "BBL" for one in found)
    path = f"/v1/holds/{order['order']}"
    own = world.as_("SCB-liaison").get(path)
    assert (own.status_code, own.json()["order"]) == (200, order["order"])
    assert stranger.get(path).status_code == 404
    assert world.as_("oversight").get(path).status_code == 403
    assert world.as_("nobody").get(path).status_code == 401
    assert answer(stranger, order, applied(1)).status_code == 404
    assert answer(world.as_("BBL-machine"), order, applied(1)).status_code == 404


@pytest.mark.parametrize("who", ["agent", "investigator", "supervisor", "administrator"])
def test_only_an_institution_answers(world: World, number: str, who: str) -> None:
    order = order_at(world, number)
    assert answer(world.as_(who), order, applied(1)).status_code == 403


@pytest.mark.parametrize(
    "body",
    [
        applied(500_001),
        applied(-1),
        {"outcome": "applied", "applied_minor": "5"},
        {"outcome": "maybe"},
        {"outcome": "applied", "applied_minor": 1, "surprise": 1},
        {"outcome": "applied", "applied_minor": 2**70},
        {"outcome": "refused", "reason": "a\0b"},
        {"outcome": "applied", "applied_minor": 1, "onward": [{"transfer_id": "x"}]},
        {},
    ],
)
def test_impossible_answer_is_refused_and_changes_nothing(
    world: World, number: str, body: dict[str, Any]
) -> None:
    order = order_at(world, number)
    refused = answer(world.as_("SCB-liaison"), order, body)
    assert refused.status_code == 400, refused.text
    page = world.as_("SCB-liaison").get("/v1/holds", params={"limit": "200"}).json()
    states = {one["order"]: one["state"] for one in page["orders"]}
    assert states[order["order"]] in ("issued", "acknowledged")


@pytest.mark.parametrize("name", ["ord_none", "%00", "a%ffb", "x" * 300, "..%2f..%2f"])
@pytest.mark.parametrize("verb", ["answers", "release", "approve", "withdraw"])
def test_no_such_order(world: World, name: str, verb: str) -> None:
    bodies = {"answers": applied(1), "release": {"reason": "why"}, "withdraw": {"reason": "why"}}
    who = {"answers": "SCB-liaison"}.get(verb, "supervisor")
    refused = post(world.as_(who), f"/v1/holds/{name}/{verb}", bodies.get(verb, {}))
    assert refused.status_code == 404, refused.text


def test_release_needs_a_reason_and_gives_everything_back(world: World, number: str) -> None:
    order = order_at(world, number)
    answer(world.as_("SCB-liaison"), order, applied(400_000))
    path = f"/v1/holds/{order['order']}/release"
    investigator = world.as_("investigator")
    assert post(investigator, path, {"reason": ""}).status_code == 400
    assert post(investigator, path, {}).status_code == 400
    assert post(world.as_("agent"), path, {"reason": "mistaken"}).status_code == 403
    done = post(investigator, path, {"reason": "mistaken report"})
    assert done.status_code == 200, done.text
    assert (done.json()["state"], done.json()["held_minor"]) == ("released", 0)
    assert post(investigator, path, {"reason": "again"}).status_code == 409


def test_unanswered_order_is_withdrawn(world: World, number: str) -> None:
    order = order_at(world, number)
    path = f"/v1/holds/{order['order']}/withdraw"
    done = post(world.as_("investigator"), path, {"reason": "a false report"})
    assert done.status_code == 200, done.text
    assert done.json()["state"] == "withdrawn"


def test_order_of_a_citizen_waits_for_another_person(world: World, number: str) -> None:
    row = transfer(number)
    tell(world.as_("feed"), {**row, "reported_by": "KBANK"})
    body = report(row, channel="web", proof={"kind": "none"})
    receipt = post(world.as_("nobody"), "/v1/reports", body).json()
    drafted = receipt["orders"][0]
    assert drafted["state"] == "drafted"
    path = f"/v1/holds/{drafted['order']}/approve"
    assert post(world.as_("investigator"), path, {}).status_code == 403
    hidden = world.as_("SCB-liaison").get("/v1/holds", params={"limit": "200"}).json()["orders"]
    assert drafted["order"] not in [one["order"] for one in hidden]
    agreed = post(world.as_("supervisor"), path, {})
    assert agreed.status_code == 200, agreed.text
    if agreed.json()["state"] == "drafted":
        assert post(world.as_("supervisor"), path, {}).status_code in (403, 409)
        agreed = post(world.as_("supervisor2"), path, {})
    assert agreed.json()["state"] == "issued"


class SignedBank:
    """A bank with a registered key and a system that listens."""

    def __init__(self, world: World, code: str, key: SigningKey, stub: Stub) -> None:
        self.world, self.code, self.key, self.stub = world, code, key, stub

    def send(
        self,
        order: dict[str, Any],
        body: object,
        *,
        signed: object = None,
        key: SigningKey | None = None,
        path: str | None = None,
        method: str = "POST",
        now: datetime | None = None,
        nonce: str | None = None,
        header: str | None = None,
    ) -> httpx.Response:
        where = f"/v1/holds/{order['order']}/answers"
        content = msgspec.json.encode(body)
        named = dict(JSON)
        if header != "":
            named[HEADER] = header or sign(
                content if signed is None else msgspec.json.encode(signed),
                key=key or self.key,
                method=method,
                path=path or where,
                now=now or datetime.now(UTC),
                nonce=nonce,
            )
        client = self.world.as_(f"{self.code}-machine")
        return client.post(where, content=content, headers=named)


@pytest.fixture(scope="module")
def signed_bank(world: World) -> Iterator[SignedBank]:
    with serving(Stub("TTB")) as stub:
        jwks = world.as_("nobody").get("/.well-known/jwks.json").json()
        stub.keys = {
            jwk["kid"]: msgspec.convert(jwk, type(new_signing_key().public()))
            for jwk in jwks["keys"]
        }
        world.add_institution("TTB", endpoint=stub.url)
        world.add_user("TTB-machine", "machine", "TTB")
        world.go_live("institution:TTB")
        key = new_signing_key(kid="ttb-1")
        added = post(world.as_("TTB-machine"), "/v1/institutions/TTB/keys", key.public())
        assert added.status_code == 201, added.text
        yield SignedBank(world, "TTB", key, stub)


def test_order_reaches_the_bank_signed_and_is_acknowledged(
    world: World, signed_bank: SignedBank, number: str
) -> None:
    order = order_at(world, number, "TTB")
    stub = signed_bank.stub

    def arrived() -> list[dict[str, Any]]:
        return [m for m in list(stub.effects.values()) if m["body"]["order"] == order["order"]]

    assert wait_for(lambda: any(m["kind"] == "hold.order" for m in arrived()))
    assert stub.bad_signatures == 0
    message = next(m for m in arrived() if m["kind"] == "hold.order")
    assert message["body"]["amount_minor"] == 500_000
    assert message["body"]["account"] == f"2{number}"
    assert set(message["body"]["reason"]) == {"th", "en"}
    assert "police" not in msgspec.json.encode(message).decode()

    def state() -> str:
        orders = world.as_("TTB-machine").get("/v1/holds").json()["orders"]
        return str(next(o["state"] for o in orders if o["order"] == order["order"]))

    assert wait_for(lambda: state() == "acknowledged")
    assert signed_bank.send(order, applied(500_000)).status_code == 200
    assert state() == "applied"


def test_unsigned_answer_of_a_bank_with_keys_is_refused(
    world: World, signed_bank: SignedBank, number: str
) -> None:
    order = order_at(world, number, "TTB")
    assert signed_bank.send(order, applied(1), header="").status_code == 401


@pytest.mark.parametrize(
    "forgery",
    [
        {"signed": {"outcome": "refused"}},
        {"key": new_signing_key(kid="ttb-1")},
        {"key": new_signing_key(kid="unknown")},
        {"path": "/v1/holds/ord_other/answers"},
        {"method": "PUT"},
        {"now": datetime.now(UTC) - timedelta(days=1)},
        {"now": datetime.now(UTC) + timedelta(days=1)},
        {"header": "not.a.signature"},
        {"header": "e30..e30"},
        {"header": "x" * 5000},
    ],
)
def test_wrong_signature_is_refused(
    world: World, signed_bank: SignedBank, number: str, forgery: dict[str, Any]
) -> None:
    order = order_at(world, number, "TTB")
    refused = signed_bank.send(order, applied(1), **forgery)
    assert refused.status_code == 401, refused.text
    assert refused.json()["code"] == "bad-signature"
    assert signed_bank.send(order, applied(1)).status_code == 200


def test_replayed_answer_is_refused(world: World, signed_bank: SignedBank, number: str) -> None:
    order = order_at(world, number, "TTB")
    assert signed_bank.send(order, applied(7), nonce=f"n{number}").status_code == 200
    replayed = signed_bank.send(order, applied(7), nonce=f"n{number}")
    assert replayed.status_code == 401
    fresh = signed_bank.send(order, applied(7))
    assert fresh.status_code == 200
    assert fresh.json()["held_minor"] == 7


def send_many(
    bank: SignedBank, answers: list[dict[str, Any]], *, header: str | None = None
) -> tuple[httpx.Response, str]:
    path = "/v1/holds/answers"
    content = msgspec.json.encode({"answers": answers})
    named = header or sign(content, key=bank.key, method="POST", path=path, now=datetime.now(UTC))
    client = bank.world.as_(f"{bank.code}-machine")
    return client.post(path, content=content, headers={**JSON, HEADER: named}), named


def test_many_answers_in_one_request_are_judged_one_by_one(
    world: World, signed_bank: SignedBank, number: str
) -> None:
    good, greedy, twice = (order_at(world, f"{number}{n}", "TTB") for n in range(3))
    other = order_at(world, f"{number}3", "BBL")
    told = [
        {"order": good["order"], "answer": applied(500_000)},
        {"order": greedy["order"], "answer": applied(500_001)},
        {"order": other["order"], "answer": applied(1)},
        {"order": twice["order"], "answer": applied(9)},
        {"order": twice["order"], "answer": {"outcome": "refused"}},
        {"order": twice["order"], "answer": applied(9)},
        {"order": good["order"], "answer": {**applied(1), "reason": "a\0b"}},
        {"order": good["order"], "answer": [1]},
        {"order": good["order"], "answer": {"outcome": "applied"}},  # how much?
    ]
    done, header = send_many(signed_bank, told)
    assert done.status_code == 200, done.text
    results = done.json()["answers"]
    assert [one["order"] for one in results] == [one["order"] for one in told]
    assert [one.get("state") or one["refused"]["code"] for one in results] == [
        "applied",
        "more-than-ordered",
        "no-such-order",
        "applied_in_part",
        "answered-differently",
        "applied_in_part",
        "bad-input",
        "bad-input",
        "bad-input",
    ]
    assert [one.get("held_minor") for one in results[:4]] == [500_000, None, None, 9]
    replayed, _ = send_many(signed_bank, told, header=header)
    assert (replayed.status_code, replayed.json()["code"]) == (401, "bad-signature")
    again, _ = send_many(signed_bank, told)
    assert again.json() == done.json()
    assert signed_bank.send(greedy, applied(500_000)).json()["state"] == "applied"


@pytest.mark.parametrize("count", [0, 201])
def test_a_list_of_answers_has_bounds(world: World, signed_bank: SignedBank, count: int) -> None:
    answers = [{"order": "ord_x", "answer": applied(1)}] * count
    refused, _ = send_many(signed_bank, answers)
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["path"] == "$.answers"


def test_only_an_institution_answers_many(world: World, number: str) -> None:
    body = {"answers": [{"order": "ord_x", "answer": applied(1)}]}
    assert post(world.as_("supervisor"), "/v1/holds/answers", body).status_code == 403


def test_key_of_one_bank_does_not_sign_for_another(
    world: World, signed_bank: SignedBank, number: str
) -> None:
    world.add_institution(f"B{number}")
    world.add_user(f"B{number}-machine", "machine", f"B{number}")
    own = new_signing_key(kid=f"own-{number}")
    machine = world.as_(f"B{number}-machine")
    assert post(machine, f"/v1/institutions/B{number}/keys", own.public()).status_code == 201
    assert post(machine, "/v1/institutions/TTB/keys", own.public()).status_code == 403
    order = order_at(world, number, "TTB")
    assert signed_bank.send(order, applied(1), key=own).status_code == 401


def test_retired_key_does_not_sign_any_more(world: World, number: str) -> None:
    code = f"C{number}"
    world.add_institution(code)
    world.add_user(f"{code}-machine", "machine", code)
    machine = world.as_(f"{code}-machine")
    for kid in (f"a{number}", f"b{number}"):
        added = post(machine, f"/v1/institutions/{code}/keys", new_signing_key(kid=kid).public())
        assert added.status_code == 201
    assert machine.delete(f"/v1/institutions/{code}/keys/a{number}").status_code == 204
    assert machine.delete(f"/v1/institutions/{code}/keys/a{number}").status_code == 404


def test_confirmation_of_a_bank_with_keys_is_signed(
    world: World, signed_bank: SignedBank, number: str
) -> None:
    order = order_at(world, number, "TTB")
    case = signed_bank.send(order, applied(500_000)).json()["case"]
    path = f"/v1/cases/{case}/confirmation"
    bank = world.as_("TTB-machine")
    unsigned = bank.post(path, content=b"{}", headers=JSON)
    assert (unsigned.status_code, unsigned.json()["code"]) == (401, "bad-signature")
    header = sign(b"{}", key=signed_bank.key, method="POST", path=path, now=datetime.now(UTC))
    signed = bank.post(path, content=b"{}", headers={**JSON, HEADER: header})
    assert signed.status_code == 404, "it is not the payer's bank, but it is who it says"
