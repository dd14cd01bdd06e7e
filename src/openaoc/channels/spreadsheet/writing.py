"""Channels: orders as a spreadsheet that an institution fills in and sends back.

Writes texts as texts, so that no account loses its zeros and no cell becomes a formula.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

from openpyxl import Workbook
from openpyxl.cell import Cell
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.datavalidation import DataValidation
from openpyxl.worksheet.worksheet import Worksheet

from openaoc.channels.spreadsheet.layout import Layout, Sheet
from openaoc.channels.spreadsheet.model import ROWS_MAX, SheetOrder
from openaoc.kernel.money import exponents

TO_FILL_IN: Final = frozenset({"outcome", "applied", "available", "bank_case_id", "note"})
_GREEN: Final = PatternFill("solid", fgColor="E2F0D9")
_RED: Final = "C00000"
MARKED: Final = "!"
"""The name of a sheet that nobody fills in and nothing reads back."""
_TIME_FORMAT: Final = "yyyy-mm-dd hh:mm:ss"


def write_orders(orders: Sequence[SheetOrder], layout: Layout, *, mark: str = "") -> bytes:
    """The file, orders by level. Cells to be filled in are green.

    `mark`: what every reader has to know first. It opens with it, and each row's reason begins so.
    """
    assert len(orders) <= ROWS_MAX, "the caller takes them in parts"
    book = Workbook()
    sheet = book.active
    assert isinstance(sheet, Worksheet), "a new workbook has one sheet"
    _head(sheet, layout.orders)
    for row, order in enumerate(sorted(orders, key=lambda o: (o.layer, o.case)), start=2):
        for place, column in enumerate(layout.orders.columns, start=1):
            cell = sheet.cell(row, place)
            assert isinstance(cell, Cell), "nothing is merged"
            if column.field in TO_FILL_IN:
                cell.fill = _GREEN
                cell.number_format = "@" if column.field == "bank_case_id" else cell.number_format
            else:
                value = _value(order, column.field, layout)
                if mark and column.field == "reason":
                    value = f"{mark}\n{value}"
                _fill(cell, value, currency=order.currency)
    _choices(sheet, layout, field="outcome", words=_first_words(layout), rows=len(orders))
    onward = book.create_sheet()
    _head(onward, layout.onward)
    for place, column in enumerate(layout.onward.columns, start=1):
        if column.field not in ("amount", "booked_at"):
            # A column that is text beforehand keeps the zeros of what is typed into it.
            onward.column_dimensions[get_column_letter(place)].number_format = "@"
    if mark:
        _open_with(book, mark)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _open_with(book: Workbook, mark: str) -> None:
    first = book.create_sheet(MARKED, index=0)
    cell = first.cell(1, 1)
    cell.value = mark
    cell.font = Font(bold=True, color=_RED, size=20)
    cell.alignment = Alignment(wrap_text=True, vertical="top")
    first.column_dimensions["A"].width = 100
    first.sheet_properties.tabColor = _RED
    book.active = first


def _head(sheet: Worksheet, plan: Sheet) -> None:
    sheet.title = plan.sheet
    sheet.freeze_panes = "A2"
    for place, column in enumerate(plan.columns, start=1):
        cell = sheet.cell(1, place)
        cell.value = column.heading
        cell.font = Font(bold=True)
        cell.alignment = Alignment(wrap_text=True, vertical="top")
        sheet.column_dimensions[get_column_letter(place)].width = column.width


def _value(order: SheetOrder, field: str, layout: Layout) -> object:
    if field == "amount":
        return Decimal(order.amount_minor).scaleb(-exponents()[order.currency])
    value = getattr(order, field)
    if isinstance(value, datetime):
        return value.astimezone(layout.zone_info).replace(tzinfo=None, microsecond=0)
    return value


def _fill(cell: Cell, value: object, *, currency: str) -> None:
    if isinstance(value, str):
        cell.value = value
        cell.data_type = "s"  # else a text that begins with "=" is a formula
        cell.number_format = "@"
    elif isinstance(value, Decimal):
        cell.value = value
        places = exponents()[currency]
        cell.number_format = "#,##0" + ("." + "0" * places if places else "")
    elif isinstance(value, datetime):
        cell.value = value
        cell.number_format = _TIME_FORMAT
    else:
        assert isinstance(value, int), "texts, amounts, times and levels are all there is"
        cell.value = value


def _first_words(layout: Layout) -> list[str]:
    """The first word of each outcome: what the list offers."""
    first: dict[str, str] = {}
    for word, outcome in layout.outcomes.items():
        first.setdefault(outcome, word)
    return list(first.values())


def _choices(
    sheet: Worksheet, layout: Layout, *, field: str, words: Sequence[str], rows: int
) -> None:
    place = [column.field for column in layout.orders.columns].index(field) + 1
    letter = get_column_letter(place)
    choice = DataValidation(type="list", formula1=f'"{",".join(words)}"', allow_blank=True)
    sheet.add_data_validation(choice)
    choice.add(f"{letter}2:{letter}{max(rows, 1) + 1}")
