"""Spreadsheets: what goes out can be filled in and read back; every wrong cell is named."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import Workbook, load_workbook

from openaoc.channels.spreadsheet.layout import NoLayout, layout
from openaoc.channels.spreadsheet.model import (
    FILE_BYTES_MAX,
    ROWS_MAX,
    BadSpreadsheet,
    SheetAnswer,
    SheetOrder,
    SheetTransfer,
)
from openaoc.channels.spreadsheet.reading import read_answers
from openaoc.channels.spreadsheet.writing import write_orders
from openaoc.kernel.errors import TooLarge

TH = layout("TH")
NOW = datetime(2026, 11, 21, 2, 30, tzinfo=UTC)
FIELDS = {column.field: place for place, column in enumerate(TH.orders.columns, start=1)}
ONWARD = {column.field: place for place, column in enumerate(TH.onward.columns, start=1)}


def _order(number: int = 1, **changes: Any) -> SheetOrder:
    fields: dict[str, Any] = {
        "layer": 1,
        "case": "AOC-7K3M-9QX2-4",
        "order": f"ord_{number}",
        "account": "0012345678",
        "amount_minor": 1_600_050,
        "currency": "THB",
        "issued_at": NOW,
        "answer_by": NOW + timedelta(hours=1),
        "ends_at": NOW + timedelta(hours=72),
        "legal_basis": "มาตรา 7 / section 7",
        "reason": "=1+1 เงินของผู้เสียหาย",
    }
    return SheetOrder(**fields | changes)


def _filled(fill: Callable[[Any, Any], None], *orders: SheetOrder) -> bytes:
    """The orders' file after somebody wrote into its two sheets."""
    book = load_workbook(io.BytesIO(write_orders(orders or [_order()], TH)))
    fill(book[TH.orders.sheet], book[TH.onward.sheet])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def test_an_exercise_says_so_where_it_opens_and_in_every_row_and_is_read_back() -> None:
    book = load_workbook(io.BytesIO(write_orders([_order()], TH, mark="EXERCISE")))
    assert (book.active.title, book.active.cell(1, 1).value) == ("!", "EXERCISE")
    sheet = book[TH.orders.sheet]
    assert sheet.cell(2, FIELDS["reason"]).value == "EXERCISE\n" + _order().reason
    _held(sheet)
    out = io.BytesIO()
    book.save(out)
    assert [one.outcome for one in read_answers(out.getvalue(), TH)] == ["applied"]
    assert "!" not in load_workbook(io.BytesIO(write_orders([_order()], TH))).sheetnames


def _held(orders: Any, **cells: object) -> None:
    for field, value in ({"outcome": "อายัดแล้ว", "applied": 16000.5} | cells).items():
        orders.cell(2, FIELDS[field]).value = value


def _onward(sheet: Any, **cells: object) -> None:
    row = {
        "order": "ord_1",
        "transfer_id": "T9",
        "booked_at": datetime(2026, 11, 21, 9, 31),  # noqa: DTZ001 - a cell has no zone
        "debtor_account": "0012345678",
        "amount": "1,234.50",
        "creditor_bank": "KBANK",
        "creditor_account": "0098",
        "channel": "โอน",
    }
    for field, value in (row | cells).items():
        sheet.cell(2, ONWARD[field]).value = value


def test_orders_stand_by_level_with_accounts_and_reasons_as_text() -> None:
    orders = [_order(1, layer=3), _order(2, layer=1), _order(3, layer=2, account="007")]
    sheet = load_workbook(io.BytesIO(write_orders(orders, TH)))[TH.orders.sheet]
    column = [sheet.cell(row, FIELDS["layer"]).value for row in (2, 3, 4)]
    assert column == [1, 2, 3]
    assert sheet.cell(3, FIELDS["account"]).value == "007"
    reason = sheet.cell(2, FIELDS["reason"])
    assert (reason.value, reason.data_type) == ("=1+1 เงินของผู้เสียหาย", "s")
    assert sheet.cell(2, FIELDS["amount"]).value == 16000.5
    issued = sheet.cell(2, FIELDS["issued_at"]).value
    assert issued == datetime(2026, 11, 21, 9, 30), "Bangkok"  # noqa: DTZ001 - a cell has no zone


def test_what_is_not_filled_in_is_not_answered() -> None:
    assert read_answers(write_orders([_order()], TH), TH) == []


def test_a_held_order_and_where_the_rest_went() -> None:
    def fill(orders: Any, onward: Any) -> None:
        _held(orders, bank_case_id=77, note="counter", available="20,000.00")
        _onward(onward)

    [answer] = read_answers(_filled(fill), TH)
    assert answer == SheetAnswer(
        order="ord_1",
        outcome="applied",
        applied_minor=1_600_050,
        available_minor=2_000_000,
        bank_case_id="77",
        note="counter",
        onward=[
            SheetTransfer(
                transfer_id="T9",
                booked_at=NOW + timedelta(minutes=1),
                debtor_account="0012345678",
                amount_minor=123_450,
                currency="THB",
                creditor_bank="KBANK",
                creditor_account="0098",
                channel="transfer",
            )
        ],
        place=answer.place,
    )
    assert answer.place.endswith("row 2")


@pytest.mark.parametrize(
    ("cells", "outcome", "applied"),
    [
        ({"outcome": None}, "applied", 1_600_050),
        ({"outcome": "APPLIED", "applied": "1.00"}, "applied", 100),
        ({"outcome": "ปฏิเสธ", "applied": None}, "refused", 0),
        ({"outcome": "Unknown Account", "applied": 0}, "unknown_account", 0),
    ],
)
def test_outcomes(cells: dict[str, object], outcome: str, applied: int) -> None:
    [answer] = read_answers(_filled(lambda orders, _: _held(orders, **cells)), TH)
    assert (answer.outcome, answer.applied_minor) == (outcome, applied)


@pytest.mark.parametrize(
    "time",
    [
        datetime(2026, 11, 21, 9, 31),  # noqa: DTZ001 - a cell has no zone
        datetime(2569, 11, 21, 9, 31),  # noqa: DTZ001 - a cell has no zone
        "2026-11-21 09:31",
        "2569-11-21 09:31:00",
        "21/11/2569 09:31",
    ],
)
def test_times_of_both_eras(time: object) -> None:
    def fill(orders: Any, onward: Any) -> None:
        _held(orders)
        _onward(onward, booked_at=time)

    [answer] = read_answers(_filled(fill), TH)
    assert answer.onward[0].booked_at == NOW + timedelta(minutes=1)


def test_midnight_is_a_time_where_the_cell_shows_one() -> None:
    def fill(orders: Any, onward: Any) -> None:
        _held(orders)
        _onward(onward, booked_at=datetime(2026, 11, 21))  # noqa: DTZ001 - a cell has no zone

    [answer] = read_answers(_filled(fill), TH)
    assert answer.onward[0].booked_at == datetime(2026, 11, 20, 17, tzinfo=UTC)


@pytest.mark.parametrize(
    ("cell", "minor"),
    [
        ("1,234.50", 123_450),
        ("1 234.50", 123_450),
        ("1\u00a0234.5", 123_450),
        ("1234.5", 123_450),
        ("๑,๒๓๔.๕๐", 123_450),
        (1234.5, 123_450),
        (1234.560000000002, 123_456),  # computed: what a person sees is 1234.56
    ],
)
def test_amounts_as_people_write_them(cell: object, minor: int) -> None:
    [answer] = read_answers(_filled(lambda orders, _: _held(orders, applied=cell)), TH)
    assert answer.applied_minor == minor


def test_a_leap_day_of_the_buddhist_era() -> None:
    def fill(orders: Any, onward: Any) -> None:
        _held(orders)
        _onward(onward, booked_at="29/02/2567 12:00")

    [answer] = read_answers(_filled(fill), TH)
    assert answer.onward[0].booked_at == datetime(2024, 2, 29, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("cells", "onward", "says"),
    [
        ({"applied": "16.005"}, {}, "parts of a minor unit"),
        ({"applied": -1}, {}, "out of range"),
        ({"applied": "much"}, {}, "no amount"),
        ({"applied": "100,50"}, {}, "no amount such as"),
        ({"applied": "1,234,56"}, {}, "no amount such as"),
        ({"applied": "1 5"}, {}, "no amount such as"),
        ({"applied": "1_000"}, {}, "no amount such as"),
        ({"applied": "1e2"}, {}, "no amount such as"),
        ({"applied": True}, {}, "no amount"),
        ({"applied": 12345678901234567.0}, {}, "more digits"),
        ({"applied": None}, {}, "is missing"),
        ({"outcome": "perhaps"}, {}, "is none of"),
        ({"outcome": "refused"}, {}, "outcome says not"),
        ({"order": None}, {}, "is missing"),
        ({"order": 17}, {}, "format it as text"),
        ({"currency": "BAHT"}, {}, "ISO 4217"),
        ({"note": "x" * 1001}, {}, "more than 1000"),
        ({}, {"creditor_account": 98}, "format it as text"),
        ({}, {"booked_at": "yesterday"}, "no time such as"),
        ({}, {"booked_at": None}, "is missing"),
        ({}, {"booked_at": 46_000}, "no time with a date"),
        ({}, {"booked_at": NOW.date()}, "without a time of day"),
        ({}, {"amount": None}, "is missing"),
        ({}, {"channel": "pigeon"}, "no channel"),
        ({}, {"order": "ord_9"}, "not on the other sheet"),
        ({"outcome": None, "applied": None}, {"order": "ord_1"}, "is not answered"),
    ],
)
def test_a_wrong_cell_is_named(
    cells: dict[str, object], onward: dict[str, object], says: str
) -> None:
    def fill(orders: Any, sheet: Any) -> None:
        _held(orders, **cells)
        if onward:
            _onward(sheet, **onward)

    with pytest.raises(BadSpreadsheet, match=says) as refused:
        read_answers(_filled(fill), TH)
    assert refused.value.problems[0].row == 2
    assert refused.value.problems[0].column


def test_every_problem_is_told_at_once_and_twice_answered_is_one() -> None:
    def fill(orders: Any, _: Any) -> None:
        for row, applied in ((2, "a"), (3, "b"), (4, 1)):
            orders.cell(row, FIELDS["applied"]).value = applied
        orders.cell(4, FIELDS["order"]).value = "ord_1"
        orders.cell(5, FIELDS["order"]).value = "ord_1"
        orders.cell(5, FIELDS["currency"]).value = "THB"
        orders.cell(5, FIELDS["applied"]).value = 1

    with pytest.raises(BadSpreadsheet) as refused:
        read_answers(_filled(fill, _order(1), _order(2), _order(3)), TH)
    assert [problem.row for problem in refused.value.problems] == [2, 3, 5]
    assert "answered twice" in str(refused.value)


def test_a_moved_column_is_found_and_a_missing_one_is_named() -> None:
    def move(orders: Any, _: Any) -> None:
        _held(orders)
        orders.insert_cols(1)

    assert len(read_answers(_filled(move), TH)) == 1

    def drop(orders: Any, _: Any) -> None:
        orders.delete_cols(FIELDS["outcome"])

    with pytest.raises(BadSpreadsheet, match="heading is missing"):
        read_answers(_filled(drop), TH)


def test_a_formula_that_was_never_computed_is_no_answer() -> None:
    data = _filled(lambda orders, _: _held(orders, outcome="applied", applied="=1+1"))
    with pytest.raises(BadSpreadsheet, match="is missing"):
        read_answers(data, TH)


def _packed(name: str, content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr(name, content)
    return out.getvalue()


def _empty_book() -> bytes:
    out = io.BytesIO()
    Workbook().save(out)
    return out.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"order,applied\n",
        b"PK\x03\x04 broken",
        _packed("x", b"y"),
        _packed("[Content_Types].xml", b"<a/>"),
        write_orders([_order()], TH)[:3000],
        _empty_book(),
    ],
)
def test_what_is_no_such_spreadsheet_is_refused(data: bytes) -> None:
    with pytest.raises(BadSpreadsheet):
        read_answers(data, TH)


def test_what_is_too_large_is_refused() -> None:
    with pytest.raises(TooLarge, match="unpacked"):
        read_answers(_packed("x", bytes(65 << 20)), TH)
    with pytest.raises(TooLarge, match="bytes"):
        read_answers(bytes(FILE_BYTES_MAX + 1), TH)

    def many(orders: Any, _: Any) -> None:
        for row in range(2, ROWS_MAX + 3):
            orders.cell(row, FIELDS["order"]).value = f"ord_{row}"
            orders.cell(row, FIELDS["currency"]).value = "THB"

    with pytest.raises(BadSpreadsheet, match=f"more than {ROWS_MAX} rows"):
        read_answers(_filled(many), TH)


def test_there_is_no_layout_for_everywhere() -> None:
    for name in ("XX", "", "../TH", "TH.toml"):
        with pytest.raises(NoLayout):
            layout(name)


@settings(max_examples=25, deadline=None)
@given(amount=st.integers(0, 10**15 - 1), currency=st.sampled_from(["THB", "JPY", "KWD"]))
def test_an_amount_comes_back_as_it_went_out(amount: int, currency: str) -> None:
    order = _order(amount_minor=amount, currency=currency)

    def copy(orders: Any, _: Any) -> None:
        orders.cell(2, FIELDS["applied"]).value = orders.cell(2, FIELDS["amount"]).value

    [answer] = read_answers(_filled(copy, order), TH)
    assert answer.applied_minor == amount


def test_a_sheet_without_the_column_for_continued_orders_is_taken() -> None:
    def as_before(orders: Any, onward: Any) -> None:
        del onward
        assert orders.cell(2, FIELDS["continues"]).value == "ord_0"
        orders.cell(2, FIELDS["outcome"]).value = "applied"
        orders.cell(2, FIELDS["applied"]).value = 1
        orders.delete_cols(FIELDS["continues"])

    [answer] = read_answers(_filled(as_before, _order(continues="ord_0")), TH)
    assert (answer.order, answer.outcome, answer.applied_minor) == ("ord_1", "applied", 100)
