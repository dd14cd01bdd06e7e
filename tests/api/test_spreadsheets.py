"""API: an institution without a system works by spreadsheet, and the trace goes on hop by hop."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from openpyxl import load_workbook

from openaoc.api.spreadsheets import XLSX
from openaoc.channels.spreadsheet.layout import layout
from tests.api.test_holds import order_at
from tests.channels.test_delivery import wait_for
from tests.cli.world import World

TH = layout("TH")
FIELDS = {column.field: place for place, column in enumerate(TH.orders.columns, start=1)}
ONWARD = {column.field: place for place, column in enumerate(TH.onward.columns, start=1)}


def _sheet(world: World, who: str) -> Any:
    got = world.as_(who).get("/v1/spreadsheets/orders")
    assert (got.status_code, got.headers["content-type"]) == (200, XLSX), got.text
    return load_workbook(io.BytesIO(got.content))


def _send(world: World, who: str, book: Any) -> httpx.Response:
    out = io.BytesIO()
    book.save(out)
    return world.as_(who).post(
        "/v1/spreadsheets/answers", content=out.getvalue(), headers={"Content-Type": XLSX}
    )


def _row_of(sheet: Any, order: str) -> int:
    return next(
        row
        for row in range(2, sheet.max_row + 1)
        if sheet.cell(row, FIELDS["order"]).value == order
    )


def _orders(world: World, who: str) -> list[dict[str, Any]]:
    page = world.as_(who).get("/v1/holds", params={"limit": "200"}).json()
    found: list[dict[str, Any]] = page["orders"]
    return found


def _answer(
    world: World, order: str, *, fill: Callable[[Any, int, Any], None], who: str = "SCB-liaison"
) -> httpx.Response:
    book = _sheet(world, who)
    sheet = book[TH.orders.sheet]
    row = _row_of(sheet, order)
    fill(sheet, row, book[TH.onward.sheet])
    return _send(world, who, book)


def test_level_after_level_by_spreadsheet(world: World, number: str) -> None:
    first = order_at(world, number)

    def moved_on(sheet: Any, row: int, onward: Any) -> None:
        assert sheet.cell(row, FIELDS["layer"]).value == 1
        sheet.cell(row, FIELDS["applied"]).value = 1000.25
        cells = {
            "order": first["order"],
            "transfer_id": f"H-{number}",
            "booked_at": sheet.cell(row, FIELDS["issued_at"]).value,
            "debtor_account": f"2{number}",
            "amount": "3,999.75",
            "creditor_bank": "BBL",
            "creditor_account": f"3{number}",
        }
        for field, value in cells.items():
            onward.cell(2, ONWARD[field]).value = value

    took = _answer(world, first["order"], fill=moved_on)
    assert took.status_code == 200, took.text
    assert took.json()["onward"] == 1
    assert took.json()["answers"][0]["state"] == "applied_in_part"

    def next_level() -> list[dict[str, Any]]:
        return [o for o in _orders(world, "BBL-liaison") if o["account"] == f"3{number}"]

    assert wait_for(lambda: bool(next_level()))
    [order] = next_level()
    assert (order["amount_minor"], order["layer"]) == (399_975, 2)

    def found(sheet: Any, row: int, onward: Any) -> None:
        assert sheet.cell(row, FIELDS["layer"]).value == 2
        sheet.cell(row, FIELDS["outcome"]).value = "ไม่พบบัญชี"

    last = _answer(world, order["order"], fill=found, who="BBL-liaison")
    assert last.json()["answers"][0]["state"] == "refused"


def test_the_same_sheet_again_changes_nothing(world: World, number: str) -> None:
    order = order_at(world, number)["order"]
    book = _sheet(world, "SCB-liaison")
    sheet = book[TH.orders.sheet]
    sheet.cell(_row_of(sheet, order), FIELDS["applied"]).value = 5000
    first, again = (_send(world, "SCB-liaison", book) for _ in range(2))
    assert first.json() == again.json()
    assert first.json()["answers"][0]["state"] == "applied"
    left = _sheet(world, "SCB-liaison")[TH.orders.sheet]
    assert order not in [left.cell(r, FIELDS["order"]).value for r in range(2, left.max_row + 1)]


def test_a_row_that_does_not_fit_refuses_itself_and_a_bad_cell_everything(
    world: World, number: str
) -> None:
    orders = [order_at(world, f"{digit}{number[1:]}")["order"] for digit in "45"]
    book = _sheet(world, "SCB-liaison")
    sheet = book[TH.orders.sheet]
    rows = [_row_of(sheet, order) for order in orders]
    for row, applied in zip(rows, (5000.01, 1), strict=True):
        sheet.cell(row, FIELDS["applied"]).value = applied
    bad = sheet.cell(rows[1], FIELDS["available"])
    bad.value = "some"
    refused = _send(world, "SCB-liaison", book)
    assert (refused.status_code, refused.json()["code"]) == (400, "bad-spreadsheet")
    assert f"row {rows[1]}" in refused.json()["detail"]
    bad.value = None
    took = _send(world, "SCB-liaison", book).json()["answers"]
    by_order = {one["order"]: one for one in took}
    assert "500001 applied" in by_order[orders[0]]["problem"]
    assert by_order[orders[1]]["state"] == "applied_in_part"


def test_only_an_institution_answers_and_sees_its_own(world: World, number: str) -> None:
    order = order_at(world, number)["order"]
    others = _sheet(world, "BBL-liaison")[TH.orders.sheet]
    seen = [others.cell(row, FIELDS["order"]).value for row in range(2, others.max_row + 1)]
    assert order not in seen
    book = _sheet(world, "SCB-liaison")
    sheet = book[TH.orders.sheet]
    sheet.cell(_row_of(sheet, order), FIELDS["applied"]).value = 1
    assert _send(world, "investigator", book).status_code == 403
    stranger = _send(world, "BBL-liaison", book)
    problems = {one["order"]: one["problem"] for one in stranger.json()["answers"]}
    assert problems[order] == "There is no such order"


def test_a_person_of_the_centre_names_the_institution(world: World, number: str) -> None:
    order = order_at(world, number)["order"]
    agent = world.as_("agent")
    assert agent.get("/v1/spreadsheets/orders").status_code == 400
    got = agent.get("/v1/spreadsheets/orders", params={"institution": "SCB"})
    sheet = load_workbook(io.BytesIO(got.content))[TH.orders.sheet]
    assert _row_of(sheet, order)
    assert world.as_("nobody").get("/v1/spreadsheets/orders").status_code == 401


@pytest.mark.parametrize("body", [b"", b"a,b\n", b"PK\x03\x04"])
def test_what_is_no_spreadsheet_is_refused(world: World, body: bytes) -> None:
    liaison, path = world.as_("SCB-liaison"), "/v1/spreadsheets/answers"
    refused = liaison.post(path, content=body, headers={"Content-Type": XLSX})
    assert (refused.status_code, refused.json()["code"]) == (400, "bad-spreadsheet")
    other = liaison.post(path, content=body, headers={"Content-Type": "text/csv"})
    assert other.status_code == 415
