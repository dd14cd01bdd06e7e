"""API: legal rules side by side, the complaint drafted, holds on suspicion, restitution."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.api.test_decisions import MEASURE, citizens_case, held_at
from tests.cli.world import World, fresh_key, moment, post, report, tell, transfer

GROUNDS = "it was the price of my fruit"


def month() -> str:
    """A month and a half from now."""
    return (datetime.now(UTC) + timedelta(days=45)).isoformat()


def test_anybody_compares_the_rules(world: World) -> None:
    found = world.as_("nobody").get("/v1/rules", params={"jurisdiction": ["TH", "SG"]})
    assert found.status_code == 200, found.text
    body = found.json()
    assert [(j["jurisdiction"], j["may_go_live"]) for j in body["jurisdictions"]] == [
        ("TH", True),
        ("SG", False),
    ]
    victim = body["grounds"][0]
    assert (victim["ground"], victim["rules"]["TH"]["longest_hours"]) == ("victim_report", 72)
    assert not victim["rules"]["SG"]["confirmed"]
    assert len(world.as_("nobody").get("/v1/rules").json()["jurisdictions"]) == 6
    small = world.as_("nobody").get("/v1/rules", params={"jurisdiction": "th"}).json()
    assert [one["jurisdiction"] for one in small["jurisdictions"]] == ["TH"]
    for wrong in ("ZZ", "../TH", "t"):
        asked = world.as_("nobody").get("/v1/rules", params={"jurisdiction": wrong})
        assert asked.status_code == 404


def test_an_unconfirmed_jurisdiction_is_not_proposed(world: World) -> None:
    asked = post(world.as_("supervisor"), "/v1/live/propose", {"scope": "jurisdiction:SG"})
    assert (asked.status_code, asked.json()["code"]) == (403, "not-confirmed")
    assert "SG-victim" in asked.json()["detail"]


def test_the_victim_sees_the_hours_and_gets_a_draft(world: World, number: str) -> None:
    receipt = citizens_case(world, number)
    path, secret = f"/v1/cases/{receipt['case']}", {"OpenAOC-Case-Secret": receipt["secret"]}
    nobody = world.as_("nobody")
    clock = nobody.get(path, headers=secret).json()["complaint"]
    assert 71 <= clock["hours_left"] <= 72
    draft = nobody.get(f"{path}/complaint-draft", headers=secret)
    assert draft.status_code == 200, draft.text
    assert f"1{number}" in draft.json()["text"]["th"]
    assert receipt["case"] in draft.json()["html"]
    for headers in ({}, {"OpenAOC-Case-Secret": "AAAA-AAAA-AAAA-AAAA"}):
        assert nobody.get(f"{path}/complaint-draft", headers=headers).status_code == 404
    agent = world.as_("agent")
    assert agent.get(f"{path}/complaint-draft").status_code == 400
    given = agent.get(f"{path}/complaint-draft", params={"reason": "the victim calls"})
    assert given.status_code == 200
    for who in ("administrator", "SCB-liaison", "oversight"):
        asked = world.as_(who).get(f"{path}/complaint-draft", params={"reason": "curious"})
        assert asked.status_code == 403, who


def suspicion(number: str, **changes: Any) -> dict[str, Any]:
    return {
        "account": f"2{number}",
        "amount_minor": 70_000,
        "currency": "THB",
        "held_at": moment(60),
        "grounds": "in and out within minutes",
    } | changes


def test_an_institution_tells_of_its_own_hold(world: World, number: str) -> None:
    key, body = fresh_key(), suspicion(number)
    told = post(world.as_("SCB-liaison"), "/v1/suspicions", body, **key)
    assert told.status_code == 201, told.text
    again = post(world.as_("SCB-liaison"), "/v1/suspicions", body, **key)
    assert (again.status_code, again.json()) == (201, told.json())
    one = told.json()
    assert one["rule"] == "TH-2566-s6-suspicion"
    for who in ("agent", "supervisor", "nobody"):
        refused = post(world.as_(who), "/v1/suspicions", suspicion(number))
        assert refused.status_code in (401, 403), who
    strangers = world.as_("BBL-liaison").get("/v1/suspicions").json()["suspicions"]
    assert one["id"] not in [s["id"] for s in strangers]
    path = f"/v1/suspicions/{one['id']}"
    measure = {**MEASURE, "until": month()}
    assert post(world.as_("investigator"), f"{path}/extend", measure).status_code == 403
    assert post(world.as_("supervisor"), f"{path}/extend", measure).json()["state"] == "extended"
    done = post(world.as_("SCB-liaison"), f"{path}/release", {"reason": "explained"})
    assert (done.status_code, done.json()["state"]) == (200, "released")
    late = post(world.as_("supervisor"), f"{path}/convert", MEASURE)
    assert late.status_code == 409


def proposed(world: World, number: str) -> tuple[dict[str, Any], str]:
    """(restitution, order) of a case whose loss SCB holds for longer than objections take."""
    order = held_at(world, number)
    longer = post(
        world.as_("supervisor"), f"/v1/holds/{order['order']}/extend", {**MEASURE, "until": month()}
    )
    assert longer.status_code == 200, longer.text
    made = post(world.as_("investigator"), "/v1/restitutions", {"case": order["case"]})
    assert made.status_code == 201, made.text
    found: dict[str, Any] = made.json()
    return found, order["order"]


def test_from_proposal_to_decided_objection(world: World, number: str) -> None:
    one, order = proposed(world, number)
    path = f"/v1/restitutions/{one['id']}"
    (line,) = one["lines"]
    assert (line["institution"], line["payee_account"]) == ("SCB", f"1{number}")
    assert (line["amount_minor"], line["state"]) == (500_000, "open")
    assert world.as_("SCB-liaison").get(path).status_code == 404
    for who, status in (("investigator", 403), ("agent", 403), ("SCB-machine", 403)):
        assert post(world.as_(who), f"{path}/publish", {}).status_code == status, who
    done = post(world.as_("supervisor"), f"{path}/publish", {})
    assert (done.status_code, done.json()["state"]) == (200, "published")
    public = world.as_("nobody").get("/v1/restitutions/published").json()["lines"]
    mine = next(line for line in public if line["restitution"] == one["id"])
    assert (mine["account_ends"], mine["amount_minor"]) == (f"2{number}"[-4:], 500_000)
    early = world.as_("SCB-machine").get(f"{path}/payable")
    assert (early.status_code, early.json()["code"]) == (409, "wrong-restitution-step")
    body = {"order": order, "kind": "holder", "grounds": GROUNDS, "amount_minor": 16_000}
    key = fresh_key()
    for _ in range(2):
        filed = post(world.as_("SCB-liaison"), f"{path}/objections", body, **key)
        assert filed.status_code == 201, filed.text
        assert len(filed.json()["objections"]) == 1
    assert post(world.as_("BBL-liaison"), f"{path}/objections", body).status_code == 404
    decision = {"upheld_minor": 16_000, "reason": "receipts were seen"}
    where = f"{path}/objections/1/decision"
    assert post(world.as_("supervisor"), where, decision).json()["state"] == "objected"
    assert post(world.as_("supervisor"), where, decision).status_code == 403
    final = post(world.as_("supervisor2"), where, decision)
    assert final.json()["state"] == "decided", final.text
    assert final.json()["lines"][0]["amount_minor"] == 484_000
    orders = world.as_("SCB-liaison").get("/v1/holds", params={"case": one["case"]}).json()
    assert orders["orders"][0]["held_minor"] == 484_000
    paid = {"transfer_id": "B-1", "amount_minor": 1, "paid_at": moment()}
    assert post(world.as_("SCB-machine"), f"{path}/payments/1", paid).status_code == 409
    assert post(world.as_("KBANK-machine"), f"{path}/payments/1", paid).status_code == 404
    closed = post(world.as_("supervisor"), f"/v1/cases/{one['case']}/close", {"reason": "over"})
    assert closed.status_code == 409
    ended = post(world.as_("supervisor"), f"{path}/end", {"reason": "a test is over"})
    assert ended.json()["state"] == "ended"


def test_a_proposal_is_made_once(world: World, number: str) -> None:
    order = held_at(world, number)
    key = fresh_key()
    first = post(world.as_("supervisor"), "/v1/restitutions", {"case": order["case"]}, **key)
    again = post(world.as_("supervisor"), "/v1/restitutions", {"case": order["case"]}, **key)
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["Idempotency-Replayed"] == "true"
    other = post(world.as_("supervisor"), "/v1/restitutions", {"case": order["case"]})
    assert (other.status_code, other.json()["code"]) == (409, "one-at-a-time")
    listed = world.as_("agent").get("/v1/restitutions", params={"case": order["case"]}).json()
    assert [r["id"] for r in listed["restitutions"]] == [first.json()["id"]]
    bare = world.as_("supervisor").post("/v1/restitutions", json={"case": order["case"]})
    assert (bare.status_code, bare.json()["code"]) == (400, "key-missing")


def test_a_case_that_holds_nothing_returns_nothing(world: World, number: str) -> None:
    row = transfer(number)
    tell(world.as_("feed"), {**row, "reported_by": "KBANK"})
    receipt = post(world.as_("KBANK-machine"), "/v1/reports", report(row)).json()
    asked = post(world.as_("supervisor"), "/v1/restitutions", {"case": receipt["case"]})
    assert (asked.status_code, asked.json()["code"]) == (409, "nothing-to-return")
    assert (
        post(world.as_("supervisor"), "/v1/restitutions", {"case": "AOC-0000-0000-0"}).status_code
        == 404
    )
    shares = world.as_("nobody").get("/v1/restitutions/returned").json()["jurisdictions"]
    assert all(one["returned_minor"] <= one["held_minor"] for one in shares)
