"""API: what persons decide on a case and a hold, who may, and what its state does not allow."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.api.test_holds import answer, applied, order_at
from tests.cli.world import World, moment, post, report, tell, transfer

WHY = {"reason": "told by the police"}
MEASURE = {"authority": "Criminal Court 1/2569", "reason": "seized by the court"}
VERBS = ("complaint", "close", "drop", "reopen")


def decide(world: World, who: str, case: str, verb: str, body: object = None) -> httpx.Response:
    """One decision on a case."""
    return post(world.as_(who), f"/v1/cases/{case}/{verb}", WHY if body is None else body)


def complaint(minutes_ago: float = 0.0) -> dict[str, Any]:
    """A complaint to the police at that time."""
    return {"complained_at": moment(minutes_ago), "reference": "BKK-1/2569"}


def view(world: World, case: str) -> dict[str, Any]:
    """The case as it is now."""
    found: dict[str, Any] = world.as_("supervisor").get(f"/v1/cases/{case}").json()
    return found


def held_at(world: World, number: str) -> dict[str, Any]:
    """An order that SCB has applied in full, as SCB sees it."""
    done = answer(world.as_("SCB-liaison"), order_at(world, number), applied(500_000))
    assert done.status_code == 200, done.text
    order: dict[str, Any] = done.json()
    return order


def citizens_case(world: World, number: str) -> dict[str, Any]:
    """A citizen's report of a payment from KBANK, whose order waits for a person."""
    row = transfer(number)
    tell(world.as_("feed"), {**row, "reported_by": "KBANK"})
    body = report(row, channel="web", proof={"kind": "none"})
    receipt: dict[str, Any] = post(world.as_("nobody"), "/v1/reports", body).json()
    assert [order["state"] for order in receipt["orders"]] == ["drafted"]
    return receipt


def test_a_case_is_found_however_its_number_was_typed(world: World, number: str) -> None:
    case = citizens_case(world, number)["case"]
    typed = case.lower().replace("-", " ")
    assert view(world, typed)["case"] == case
    missing = world.as_("supervisor").post(f"/v1/cases/{typed}/close")
    assert (missing.status_code, missing.json()["errors"]) == (
        400,
        [{"path": "$", "reason": "the body is empty"}],
    )


def test_complaint_extends_the_hold_to_seven_days(world: World, number: str) -> None:
    order = held_at(world, number)
    told = complaint(10)
    for who in ("agent", "administrator", "oversight", "SCB-liaison", "KBANK-machine"):
        assert decide(world, who, order["case"], "complaint", told).status_code == 403, who
    assert view(world, order["case"])["complaint_at"] is None
    done = decide(world, "investigator", order["case"], "complaint", told)
    assert done.status_code == 200, done.text
    complained = datetime.fromisoformat(told["complained_at"])
    assert datetime.fromisoformat(done.json()["complaint_at"]) == complained
    listed = world.as_("SCB-liaison").get("/v1/holds", params={"case": order["case"]}).json()
    [longer] = listed["orders"]
    assert longer["revision"] == order["revision"] + 1
    assert datetime.fromisoformat(longer["ends_at"]) == complained + timedelta(days=7)
    again = decide(world, "investigator", order["case"], "complaint", told)
    assert (again.status_code, again.json()["orders"]) == (200, done.json()["orders"])


@pytest.mark.parametrize(
    "body",
    [
        complaint(-24 * 60),  # made when the tests are collected, and yet to come when they run
        complaint(8 * 24 * 60),
        {**complaint(), "complained_at": "2026-01-01T00:00:00"},
        {**complaint(), "complained_at": "yesterday"},
        {**complaint(), "reference": ""},
        {**complaint(), "reference": "  "},
        {**complaint(), "surprise": 1},
        {"complained_at": moment()},
        {},
    ],
)
def test_impossible_complaint_is_refused_and_not_noted(
    world: World, number: str, body: dict[str, Any]
) -> None:
    order = held_at(world, number)
    refused = decide(world, "investigator", order["case"], "complaint", body)
    assert refused.status_code == 400, refused.text
    now = view(world, order["case"])
    assert now["complaint_at"] is None
    assert datetime.fromisoformat(now["orders"][0]["ends_at"]) < datetime.now(UTC) + timedelta(
        hours=73
    )


def test_payers_bank_confirms_and_the_order_goes_out(world: World, number: str) -> None:
    receipt = citizens_case(world, number)
    path = f"/v1/cases/{receipt['case']}/confirmation"
    for who in ("supervisor", "agent", "KBANK-liaison", "feed"):
        assert post(world.as_(who), path, {}).status_code in (403, 404), who
    assert post(world.as_("SCB-machine"), path, {}).status_code == 404
    assert view(world, receipt["case"])["orders"][0]["state"] == "drafted"
    for _ in range(2):
        done = post(world.as_("KBANK-machine"), path, {})
        assert done.status_code == 200, done.text
        assert done.json() == {"case": receipt["case"], "standing": "automatic"}
    now = view(world, receipt["case"])
    assert (now["state"], [o["state"] for o in now["orders"]]) == ("pursued", ["issued"])


def test_dropped_case_takes_no_confirmation(world: World, number: str) -> None:
    receipt = citizens_case(world, number)
    assert decide(world, "supervisor", receipt["case"], "drop").status_code == 200
    path = f"/v1/cases/{receipt['case']}/confirmation"
    assert post(world.as_("SCB-machine"), path, {}).status_code == 404
    assert post(world.as_("KBANK-machine"), path, {}).status_code == 409
    now = view(world, receipt["case"])
    assert (now["state"], [o["state"] for o in now["orders"]]) == ("dropped", ["withdrawn"])


def test_false_report_is_dropped_with_its_hold(world: World, number: str) -> None:
    order = held_at(world, number)
    for who in ("investigator", "agent", "administrator", "SCB-liaison", "KBANK-machine"):
        assert decide(world, who, order["case"], "drop").status_code == 403, who
    assert view(world, order["case"])["orders"][0]["state"] == "applied"
    done = decide(world, "supervisor", order["case"], "drop")
    assert done.status_code == 200, done.text
    assert done.json()["state"] == "dropped"
    assert [o["state"] for o in done.json()["orders"]] == ["released"]
    for verb in ("drop", "close", "reopen"):
        assert decide(world, "supervisor", order["case"], verb).status_code == 409, verb


def test_case_is_closed_when_its_orders_have_ended_and_reopened(world: World, number: str) -> None:
    order = held_at(world, number)
    case = order["case"]
    early = decide(world, "investigator", case, "close")
    assert (early.status_code, early.json()["code"]) == (409, "still-holding")
    assert decide(world, "supervisor", case, "reopen").status_code == 409
    given = post(world.as_("investigator"), f"/v1/holds/{order['order']}/release", WHY)
    assert given.status_code == 200
    assert decide(world, "agent", case, "close").status_code == 403
    assert decide(world, "investigator", case, "close", {"reason": ""}).status_code == 400
    closed = decide(world, "investigator", case, "close")
    assert (closed.status_code, closed.json()["state"]) == (200, "closed")
    path = f"/v1/cases/{case}/confirmation"
    assert post(world.as_("KBANK-machine"), path, {}).status_code == 409
    assert decide(world, "investigator", case, "reopen").status_code == 403
    again = decide(world, "supervisor", case, "reopen")
    assert again.status_code == 200, again.text
    assert again.json()["state"] == "pursued"


def test_measure_of_a_court_takes_the_holds_place(world: World, number: str) -> None:
    waiting = order_at(world, number)
    early = post(world.as_("supervisor"), f"/v1/holds/{waiting['order']}/convert", MEASURE)
    assert early.status_code == 409
    answer(world.as_("SCB-liaison"), waiting, applied(500_000))
    path = f"/v1/holds/{waiting['order']}/convert"
    for who in ("investigator", "agent", "SCB-liaison", "administrator"):
        assert post(world.as_(who), path, MEASURE).status_code == 403, who
    for body in ({"reason": "seized"}, {**MEASURE, "authority": "  "}, {**MEASURE, "x": 1}):
        assert post(world.as_("supervisor"), path, body).status_code == 400
    done = post(world.as_("supervisor"), path, MEASURE)
    assert done.status_code == 200, done.text
    assert (done.json()["state"], done.json()["end_reason"]) == ("converted", MEASURE["reason"])
    assert post(world.as_("supervisor"), path, MEASURE).status_code == 409


@pytest.mark.parametrize("case", ["AOC-0000-0000-0", "%00", "a%ffb", "x" * 300])
@pytest.mark.parametrize("verb", VERBS)
def test_no_such_case_to_decide_on(world: World, case: str, verb: str) -> None:
    body = complaint() if verb == "complaint" else WHY
    assert decide(world, "supervisor", case, verb, body).status_code == 404
    assert decide(world, "nobody", case, verb, body).status_code == 401


def test_no_such_case_to_confirm_and_no_such_order_to_convert(world: World) -> None:
    for case in ("AOC-0000-0000-0", "%00", "x" * 300):
        path = f"/v1/cases/{case}/confirmation"
        assert post(world.as_("KBANK-machine"), path, {}).status_code == 404
    for order in ("ord_none", "%00", "x" * 300):
        path = f"/v1/holds/{order}/convert"
        assert post(world.as_("supervisor"), path, MEASURE).status_code == 404
