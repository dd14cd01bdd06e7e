"""API: contests, breakers, undo and orders by telephone, over HTTP with keys and without."""

from __future__ import annotations

import time
from typing import Any

from tests.api.test_holds import answer, applied, order_at
from tests.channels.test_delivery import wait_for
from tests.cli.world import World, moment, post


def code_of(world: World, order: str) -> str:
    """The contest code, as the institution's desk gets it with the notice."""
    found = world.as_("SCB-liaison").get(f"/v1/holds/{order}/notice")
    assert found.status_code == 200, found.text
    return str(found.json()["contest_code"])


def held(world: World, number: str) -> tuple[str, str]:
    order = order_at(world, number)
    code = code_of(world, order["order"])
    done = answer(world.as_("SCB-machine"), order, applied(500_000))
    assert done.status_code == 200, done.text
    return order["order"], code


def test_a_contest_from_notice_to_answer(world: World, number: str) -> None:
    order, code = held(world, number)
    nobody = world.as_("nobody")
    said = {"order": order, "code": code, "statement": "I sold a buffalo.", "contact": "081"}
    filed = post(nobody, "/v1/appeals", said, Idempotency_Key=f"k{number}")
    assert filed.status_code == 201, filed.text
    again = post(nobody, "/v1/appeals", said, Idempotency_Key=f"k{number}")
    assert again.json() == filed.json()
    assert again.headers["Idempotency-Replayed"] == "true"
    appeal = filed.json()["appeal"]
    for wrong in ({**said, "code": "AAAA-BBBB-CCCC"}, {**said, "order": "ord_none"}):
        refused = post(nobody, "/v1/appeals", wrong)
        assert (refused.status_code, refused.json()["code"]) == (404, "no-such-hold")
    listed = world.as_("agent").get("/v1/appeals").json()["appeals"]
    assert appeal in [one["appeal"] for one in listed]
    investigator, supervisor = world.as_("investigator"), world.as_("supervisor")
    taken = post(investigator, f"/v1/appeals/{appeal}/take", {})
    assert taken.status_code == 200, taken.text
    assert taken.json()["evidence"]["merchant"]
    read = post(investigator, f"/v1/appeals/{appeal}/statements", {"reason": "to decide"})
    assert read.json()["statements"][0]["statement"] == "I sold a buffalo."
    decision = {"outcome": "uphold", "reasons": ["honest_trade"], "note": "receipt seen"}
    proposed = post(investigator, f"/v1/appeals/{appeal}/decision", decision)
    assert proposed.json()["state"] == "proposed", proposed.text
    agreed = post(supervisor, f"/v1/appeals/{appeal}/second", {"agree": True, "note": "agreed"})
    assert agreed.json()["state"] == "upheld", agreed.text
    status = post(nobody, "/v1/appeals/status", {"order": order, "code": code})
    assert status.json()["released_minor"] == 500_000
    records = world.as_("oversight").get("/v1/compensations").json()["compensations"]
    assert appeal in [record["appeal"] for record in records]


def test_who_may_see_contests(world: World, number: str) -> None:
    order, code = held(world, number)
    said = {"order": order, "code": code, "statement": "mine"}
    filed = post(world.as_("SCB-liaison"), "/v1/appeals", said)
    assert filed.status_code == 201, filed.text
    appeal = filed.json()["appeal"]
    for who in ("SCB-liaison", "SCB-machine", "administrator"):
        assert world.as_(who).get("/v1/appeals").status_code == 403
        assert world.as_(who).get(f"/v1/appeals/{appeal}").status_code == 403
    assert world.as_("nobody").get("/v1/appeals").status_code == 401
    oversight = world.as_("oversight")
    assert oversight.get(f"/v1/appeals/{appeal}").status_code == 200
    read = post(oversight, f"/v1/appeals/{appeal}/statements", {"reason": "curious"})
    assert read.status_code == 403
    assert world.as_("oversight").get("/v1/blind-reviews").status_code == 200
    assert world.as_("oversight").get("/v1/blind-reviews/draws").status_code == 200
    assert world.as_("agent").get("/v1/appeals/APL-none").status_code == 404


def test_a_contested_hold_is_released_by_its_contest_or_its_institution(
    world: World, number: str
) -> None:
    order, code = held(world, number)
    said = {"order": order, "code": code, "statement": "mine"}
    appeal = post(world.as_("nobody"), "/v1/appeals", said).json()["appeal"]
    why = {"reason": "a receipt was seen"}
    for who in ("supervisor", "investigator"):
        refused = post(world.as_(who), f"/v1/holds/{order}/release", why)
        assert (refused.status_code, refused.json()["code"]) == (409, "contest-open")
        assert f"openaoc appeal take {appeal}" in refused.json()["detail"]
    case = world.as_("supervisor").get(f"/v1/holds/{order}").json()["case"]
    refused = post(world.as_("supervisor"), f"/v1/cases/{case}/drop", why)
    assert (refused.status_code, refused.json()["code"]) == (409, "contest-open")
    assert post(world.as_("agent"), f"/v1/holds/{order}/release", why).status_code == 403
    done = post(world.as_("SCB-liaison"), f"/v1/holds/{order}/release", why)
    assert (done.status_code, done.json()["state"]) == (200, "released"), done.text


def test_a_breaker_is_opened_seen_and_closed(world: World, number: str) -> None:
    supervisor = world.as_("supervisor")
    scope = {"scope": "institution:SCB", "reason": "a drill"}
    assert post(world.as_("agent"), "/v1/breakers/open", scope).status_code == 403
    opened = post(supervisor, "/v1/breakers/open", scope)
    assert opened.status_code == 200, opened.text
    try:
        figures = _fresh_status(world)
        assert figures["breakers"]["institutions_open"] == 1
        seen = world.as_("investigator").get("/v1/breakers").json()["breakers"]
        assert [b["open"] for b in seen if b["scope"] == "institution:SCB"] == [True]
    finally:
        closed = post(supervisor, "/v1/breakers/close", {**scope, "resume": True})
    assert closed.json()["open"] is False
    again = post(supervisor, "/v1/breakers/close", scope)
    assert again.status_code == 409
    assert order_at(world, number)["state"] == "issued"


def _fresh_status(world: World) -> Any:
    time.sleep(0.6)  # published figures are at most half a second old
    return world.as_("nobody").get("/v1/status").json()


def test_an_undo_needs_two_and_lists_whom_it_touched(world: World, number: str) -> None:
    order = order_at(world, number)["order"]
    since = world.as_("agent").get("/v1/holds").json()["orders"][0]["issued_at"]
    selection = {"institution": "SCB", "since": since}
    supervisor, second = world.as_("supervisor"), world.as_("supervisor2")
    found = post(supervisor, "/v1/undo/preview", selection)
    assert found.status_code == 200, found.text
    assert [one["order"] for one in found.json()["first"]] == [order]
    run = post(supervisor, "/v1/undo", {"selection": selection, "reason": "a drill"}).json()
    path = f"/v1/undo/{run['undo']}"
    assert post(supervisor, f"{path}/approve", {}).status_code == 403
    assert post(second, f"{path}/approve", {}).status_code == 200
    wait_for(lambda: supervisor.get(path).json()["state"] == "done")
    touched = supervisor.get(f"{path}/touched").json()["touched"]
    assert [(one["order"], one["done"]) for one in touched] == [(order, "withdrawn")]
    assert post(supervisor, "/v1/undo/preview", {}).status_code == 400
    scope = {"scope": "institution:SCB", "reason": "the drill is over"}
    assert post(supervisor, "/v1/breakers/close", scope).status_code == 200


def test_an_order_is_read_checked_and_answered_by_voice(world: World, number: str) -> None:
    order = order_at(world, number)["order"]
    agent, nobody = world.as_("agent"), world.as_("nobody")
    printed = post(agent, f"/v1/holds/{order}/paper", {}).json()
    page = post(agent, f"/v1/holds/{order}/paper.html?lang=en", {})
    assert page.status_code == 200
    assert printed["code"] in page.text
    assert "http-equiv" not in page.text
    assert "src=" not in page.text
    good = post(nobody, "/v1/orders/check", {"order": order, "code": printed["code"]})
    assert good.json() == {"valid": True}
    bad = post(nobody, "/v1/orders/check", {"order": order, "code": "0000-0000"})
    assert bad.json() == {"valid": False}
    said = {
        "outcome": "applied",
        "applied_minor": 500_000,
        "spoke_to": "Khun Ploy, fraud desk",
        "spoken_at": moment(),
    }
    assert (
        post(world.as_("SCB-liaison"), f"/v1/holds/{order}/telephone-answer", said).status_code
        == 403
    )
    done = post(agent, f"/v1/holds/{order}/telephone-answer", said)
    assert done.json()["state"] == "applied", done.text
    assert post(agent, f"/v1/holds/{order}/telephone-answer", said).status_code == 409


def test_the_notice_is_for_the_holders_institution_alone(world: World, number: str) -> None:
    order = order_at(world, number)["order"]
    path = f"/v1/holds/{order}/notice"
    assert order in world.as_("SCB-machine").get(path).json()["text"]["en"]
    for who, status in (("BBL-liaison", 404), ("supervisor", 403), ("administrator", 403)):
        assert world.as_(who).get(path).status_code == status
    assert world.as_("nobody").get(path).status_code == 401
