"""API: reports in: what is taken, what is refused, and that a repeat is the same report."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from openaoc.kernel.limits import REPORT_BODY_BYTES_MAX
from tests.cli.world import World, fresh_key, moment, post, report, tell, transfer

JSON = {"Content-Type": "application/json"}


def test_report_of_a_bank_becomes_orders(world: World, number: str) -> None:
    row = transfer(number)
    assert tell(world.as_("feed"), {**row, "reported_by": "KBANK"}).status_code == 201
    answer = post(world.as_("KBANK-machine"), "/v1/reports", report(row))
    assert answer.status_code == 201, answer.text
    receipt = answer.json()
    assert receipt["mode"] == "live"
    assert receipt["standing"] == "automatic"
    assert receipt["located_minor"] == 500_000
    assert [(o["institution"], o["amount_minor"], o["state"]) for o in receipt["orders"]] == [
        ("SCB", 500_000, "issued")
    ]


def test_repeat_is_the_same_report(world: World, number: str) -> None:
    row = transfer(number)
    tell(world.as_("feed"), {**row, "reported_by": "KBANK"})
    body, key = report(row, source_ref=f"R-{number}"), secrets.token_hex(8)
    machine = world.as_("KBANK-machine")
    first = post(machine, "/v1/reports", body, Idempotency_Key=key)
    again = post(machine, "/v1/reports", body, Idempotency_Key=key)
    by_reference = post(machine, "/v1/reports", body)
    assert first.json() == again.json() == by_reference.json()
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    other = post(machine, "/v1/reports", {**body, "narrative": "else"}, Idempotency_Key=key)
    assert other.status_code == 409


def test_key_is_needed_to_create(world: World, number: str) -> None:
    content = msgspec.json.encode(report(transfer(number)))
    answer = world.as_("KBANK-machine").post("/v1/reports", content=content, headers=JSON)
    assert answer.status_code == 400
    assert answer.json()["code"] == "key-missing"


@pytest.mark.parametrize("key", ["x" * 129, "nö", "a\tb"])
def test_unusable_idempotency_key_is_refused(world: World, number: str, key: str) -> None:
    content = msgspec.json.encode(report(transfer(number)))
    headers = {b"Content-Type": b"application/json", b"Idempotency-Key": key.encode("latin-1")}
    answer = world.as_("KBANK-machine").post("/v1/reports", content=content, headers=headers)
    assert answer.status_code == 400


def _with(path: str, value: Any) -> dict[str, Any]:
    """A good report with one thing changed at `a.b.0.c`."""
    body: Any = report(transfer("99999999"))
    place: Any = body
    *way, last = path.split(".")
    for step in way:
        place = place[int(step)] if step.isdigit() else place[step]
    place[last] = value
    return dict(body)


@pytest.mark.parametrize(
    ("path", "value", "shown"),
    [
        ("channel", "fax", "$.channel"),
        ("reported_at", "yesterday", "$.reported_at"),
        ("reported_at", "2026-01-01T00:00:00", "$.reported_at"),
        ("reported_at", "0001-01-01T00:00:00+14:00", "$.reported_at"),
        ("reported_at", "9999-12-31T23:59:59-14:00", "$.reported_at"),
        ("payments", [], "$.payments"),
        ("payments.0.amount_minor", "500000", "$.payments[0].amount_minor"),
        ("payments.0.amount_minor", 0, "$.payments[0].amount_minor"),
        ("payments.0.amount_minor", -1, "$.payments[0].amount_minor"),
        ("payments.0.amount_minor", 1.5, "$.payments[0].amount_minor"),
        ("payments.0.amount_minor", 2**63, "$.payments[0].amount_minor"),
        ("payments.0.amount_minor", 10**40, "$.payments[0].amount_minor"),
        ("payments.0.amount_minor", True, "$.payments[0].amount_minor"),
        ("payments.0.amount_minor", None, "$.payments[0].amount_minor"),
        ("payments.0.currency", "THX", None),
        ("payments.0.debtor_account", "", "$.payments[0].debtor_account"),
        ("payments.0.debtor_account", "---", None),
        ("payments.0.debtor_account", "1\u0000", "$.payments[0].debtor_account"),
        ("payments.0.debtor_bank", "B" * 33, "$.payments[0].debtor_bank"),
        ("payments.0.surprise", 1, "$.payments[0]"),
        ("narrative", "n" * 20_001, "$.narrative"),
        ("narrative", "a\u0000b", "$.narrative"),
        ("narrative", None, "$.narrative"),
        ("surprise", 1, "$"),
        ("proof.kind", "oath", "$.proof.kind"),
        ("indicators", [{"kind": "phone"}], "$.indicators[0]"),
        ("source_ref", "", "$.source_ref"),
    ],
)
def test_wrong_field_is_named_by_its_path(
    world: World, path: str, value: Any, shown: str | None
) -> None:
    answer = post(world.as_("agent"), "/v1/reports", _with(path, value))
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == 400
    assert problem["type"].startswith("urn:openaoc:problem:")
    if shown is not None:
        assert [fault["path"] for fault in problem["errors"]] == [shown]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"report"',
        b'{"channel":"\xff"}',
        b"\xef\xbb\xbf{}",
        b'{"payments":' + b"[" * 100_000,
        b'{"reporter":' * 50_000,
        b'{"narrative":"\x00"}',
        b'{"narrative":"\\ud800"}',
        b"{} {}",
        b"NaN",
    ],
)
def test_broken_body_is_refused(world: World, content: bytes) -> None:
    headers = {**JSON, **fresh_key()}
    answer = world.as_("agent").post("/v1/reports", content=content, headers=headers)
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "", "multipart/form-data"])
def test_other_content_types_are_refused(world: World, number: str, kind: str) -> None:
    headers = {"Content-Type": kind, **fresh_key()}
    content = msgspec.json.encode(report(transfer(number)))
    answer = world.as_("agent").post("/v1/reports", content=content, headers=headers)
    assert answer.status_code == 415, answer.text


def test_body_over_the_limit_is_refused_when_announced(world: World) -> None:
    content = b" " * (REPORT_BODY_BYTES_MAX + 1)
    headers = {**JSON, **fresh_key()}
    answer = world.as_("agent").post("/v1/reports", content=content, headers=headers)
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"
    wrong = [{"path": "$", "reason": f"the body is longer than {REPORT_BODY_BYTES_MAX} bytes"}]
    assert answer.json()["errors"] == wrong


def test_body_over_the_limit_is_refused_before_all_of_it_is_read(world: World) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while sent < 64 * REPORT_BODY_BYTES_MAX:
            sent += 1 << 16
            yield b" " * (1 << 16)

    headers = {**JSON, **fresh_key()}
    answer = world.as_("agent").post("/v1/reports", content=endless(), headers=headers)
    assert answer.status_code == 413


def test_citizen_reports_on_the_web_without_standing(world: World, number: str) -> None:
    row = transfer(number)
    tell(world.as_("feed"), {**row, "reported_by": "KBANK"})
    body = report(row, channel="web", source_ref="S-1", proof={"kind": "institution"})
    answer = post(world.as_("nobody"), "/v1/reports", body)
    assert answer.status_code == 201, answer.text
    receipt = answer.json()
    assert receipt["standing"] == "needs_person"
    assert {order["state"] for order in receipt["orders"]} <= {"drafted"}


def test_source_ref_of_a_stranger_opens_nobodys_report(world: World, number: str) -> None:
    row = transfer(number)
    body = report(row, channel="web", source_ref=f"S-{number}", proof={"kind": "none"})
    first = post(world.as_("nobody"), "/v1/reports", body).json()
    second = post(world.as_("nobody"), "/v1/reports", {**body, "narrative": "guess"}).json()
    assert first["case"] != second["case"]
    assert first["secret"] != second["secret"]


def test_without_a_key_only_the_web_channel_is_open(world: World, number: str) -> None:
    body = report(transfer(number), channel="hotline")
    answer = post(world.as_("nobody"), "/v1/reports", body)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_case_opens_to_its_secret_alone(world: World, number: str) -> None:
    row = transfer(number)
    tell(world.as_("feed"), {**row, "reported_by": "KBANK"})
    receipt = post(world.as_("KBANK-machine"), "/v1/reports", report(row)).json()
    path, nobody = f"/v1/cases/{receipt['case']}", world.as_("nobody")
    view = nobody.get(path, headers={"OpenAOC-Case-Secret": receipt["secret"]})
    assert view.status_code == 200, view.text
    assert view.json()["located"] == []
    assert row["creditor_account"] not in view.text
    for headers in ({}, {"OpenAOC-Case-Secret": "wrong"}, {"OpenAOC-Case-Secret": "x" * 500}):
        assert nobody.get(path, headers=headers).status_code == 404
    assert world.as_("investigator").get(path).json()["located"]
    assert world.as_("oversight").get(path).status_code == 403
    assert world.as_("BBL-liaison").get(path).status_code == 404


@pytest.mark.parametrize("case", ["AOC-0000-0000-0", "x", "%00", "a%ffb", "..%2f", "x" * 500])
def test_no_such_case(world: World, case: str) -> None:
    answer = world.as_("investigator").get(f"/v1/cases/{case}")
    assert answer.status_code == 404, answer.text


def test_cases_are_listed_page_by_page(world: World, number: str) -> None:
    made = []
    for step in range(3):
        row = transfer(f"{number}{step}", booked_at=moment(30))
        tell(world.as_("feed"), {**row, "reported_by": "KBANK"})
        made.append(post(world.as_("KBANK-machine"), "/v1/reports", report(row)).json()["case"])
    seen: list[str] = []
    cursor: str | None = None
    while len(seen) < 3:
        query = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = world.as_("investigator").get("/v1/cases", params=query).json()
        seen += [line["case"] for line in page["cases"]]
        cursor = page["cursor"]
        assert len(page["cases"]) == 2 or cursor is None
    assert seen[:3] == list(reversed(made))


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", "limit=x", "state=lost", "cursor=x", "cursor=" + "9" * 300]
)
def test_wrong_paging_is_refused(world: World, query: str) -> None:
    answer = world.as_("investigator").get(f"/v1/cases?{query}")
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_wrong_filter_is_named_as_it_was_asked(world: World) -> None:
    for path in ("/v1/cases", "/v1/holds"):
        answer = world.as_("supervisor").get(path, params={"state": "nonsense"})
        assert [fault["path"] for fault in answer.json()["errors"]] == ["state"]
