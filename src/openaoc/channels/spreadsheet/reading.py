"""Channels: a filled-in spreadsheet as answers, or every cell that is wrong with it.

Takes no amount that a spreadsheet's number cannot hold exactly, and no account that is a number.
"""

from __future__ import annotations

import io
import math
import re
import zipfile
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, Final

import msgspec
from openpyxl import load_workbook
from openpyxl.utils.exceptions import InvalidFileException
from openpyxl.worksheet._read_only import ReadOnlyWorksheet

from openaoc.channels.spreadsheet.layout import Layout, Sheet
from openaoc.channels.spreadsheet.model import (
    CELL_CHARACTERS_MAX,
    COLUMNS_MAX,
    FILE_BYTES_MAX,
    ONWARD_ROWS_MAX,
    ROWS_MAX,
    UNPACKED_BYTES_MAX,
    BadSpreadsheet,
    CellProblem,
    SheetAnswer,
    SheetTransfer,
)
from openaoc.kernel.errors import OpenAOCError, TooLarge
from openaoc.kernel.money import AMOUNT_MINOR_MAX, check_currency, exponents

NUMBER_DIGITS_MAX: Final = 15
"""Digits that every spreadsheet keeps of a number."""
BUDDHIST_YEAR_MIN: Final = 2400
BUDDHIST_YEARS_AHEAD: Final = 543
_AMOUNT: Final = re.compile(r"-?(\d+|\d{1,3}(,\d{3})+|\d{1,3}([ \u00a0\u202f]\d{3})+)(\.\d+)?")
"""Whole, or in groups of three: what is read as thousands may not be somebody's decimals."""
_YEAR: Final = re.compile(r"(?<!\d)2[4-9]\d\d(?!\d)", re.ASCII)
_TIME_FORMS: Final = (
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M:%S",
    "%d/%m/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M",
)


class _Wrong(OpenAOCError):
    """This cell cannot be taken."""


class _Row:
    """One row of a sheet: cells by field."""

    def __init__(self, *, plan: Sheet, number: int, cells: dict[str, object]) -> None:
        self.plan = plan
        self.number = number
        self._cells = cells
        self.problems: list[CellProblem] = []

    def raw(self, field: str) -> object:
        """A cell; None for an empty one."""
        value = self._cells.get(field)
        if isinstance(value, str):
            value = value.strip() or None
        return value

    def wrong(self, field: str, reason: str) -> None:
        """Note what is wrong with a cell."""
        self.problems.append(
            CellProblem(
                sheet=self.plan.sheet,
                row=self.number,
                column=self.plan.heading(field),
                reason=reason,
            )
        )

    def text(self, field: str, *, needed: bool = False, number: bool = False) -> str | None:
        """A text; with `number` a whole number is one too."""
        value = self.raw(field)
        if value is None:
            if needed:
                self.wrong(field, "is missing")
            return None
        if isinstance(value, str):
            if len(value) <= CELL_CHARACTERS_MAX:
                return value
            self.wrong(field, f"has more than {CELL_CHARACTERS_MAX} characters")
        elif number and isinstance(value, int):
            return str(value)
        else:
            self.wrong(field, "is a number, which loses zeros at the front: format it as text")
        return None

    def amount(self, field: str, *, currency: str | None, needed: bool = False) -> int | None:
        """An amount in minor units."""
        value = self.raw(field)
        if value is None:
            if needed:
                self.wrong(field, "is missing")
            return None
        if currency is None:
            return None  # its own problem is noted
        try:
            return _minor(value, currency)
        except _Wrong as error:
            self.wrong(field, error.detail)
            return None

    def moment(self, field: str, layout: Layout) -> datetime | None:
        """A time of the layout's zone."""
        value = self.raw(field)
        if value is None:
            self.wrong(field, "is missing")
            return None
        try:
            return _moment(value, layout)
        except _Wrong as error:
            self.wrong(field, error.detail)
            return None


def read_answers(data: bytes, layout: Layout) -> list[SheetAnswer]:
    """The answers; rows with neither outcome nor amount are not answered yet, and left out.

    Raises BadSpreadsheet with every problem, TooLarge.
    """
    book = _open(data, layout)
    problems: list[CellProblem] = []
    heads: dict[str, SheetAnswer] = {}
    currencies: dict[str, str] = {}
    for row in _rows(book, layout.orders, rows_max=ROWS_MAX):
        answer, currency = _answer(row, layout)
        problems += row.problems
        order = row.raw("order")
        if isinstance(order, str) and currency is not None:
            currencies[order] = currency
        if answer is not None and answer.order in heads:
            row.problems = []
            row.wrong("order", "is answered twice")
            problems += row.problems
        elif answer is not None:
            heads[answer.order] = answer
    for row in _rows(book, layout.onward, rows_max=ONWARD_ROWS_MAX):
        found = _transfer(row, layout, currencies=currencies)
        if found is not None:
            order, transfer = found
            if order in heads:
                heads[order].onward.append(transfer)
            else:
                row.wrong("order", "is not answered on the other sheet")
        problems += row.problems
    if problems:
        raise BadSpreadsheet(problems)
    return list(heads.values())


def _open(data: bytes, layout: Layout) -> Any:
    if len(data) > FILE_BYTES_MAX:
        raise TooLarge(f"{len(data)} bytes, at most {FILE_BYTES_MAX}")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            if sum(item.file_size for item in packed.infolist()) > UNPACKED_BYTES_MAX:
                raise TooLarge(f"unpacked it is larger than {UNPACKED_BYTES_MAX} bytes")
        book = load_workbook(io.BytesIO(data), read_only=True, data_only=True)
    except (
        zipfile.BadZipFile,
        InvalidFileException,
        KeyError,
        ValueError,
        TypeError,
        SyntaxError,
        OSError,
        EOFError,
    ) as error:
        raise BadSpreadsheet(
            [CellProblem(sheet="file", row=None, column=None, reason="is no .xlsx spreadsheet")]
        ) from error
    missing = [
        CellProblem(sheet=plan.sheet, row=None, column=None, reason="the sheet is missing")
        for plan in (layout.orders, layout.onward)
        if plan.sheet not in book.sheetnames
    ]
    if missing:
        raise BadSpreadsheet(missing)
    return book


def _rows(book: Any, plan: Sheet, *, rows_max: int) -> Iterator[_Row]:
    sheet = book[plan.sheet]
    if not isinstance(sheet, ReadOnlyWorksheet):
        raise BadSpreadsheet(
            [CellProblem(sheet=plan.sheet, row=None, column=None, reason="is a chart")]
        )
    sheet.reset_dimensions()  # what a file says of its own size is not relied on
    lines = (
        [_value(cell) for cell in line]
        for line in sheet.iter_rows(max_col=COLUMNS_MAX, max_row=rows_max + 2)
    )
    head = [_normal(value) for value in next(lines, [])]
    places = {}
    missing = []
    for column in plan.columns:
        wanted = _normal(column.heading)
        if wanted in head:
            places[column.field] = head.index(wanted)
        elif not column.optional:
            missing.append(
                CellProblem(
                    sheet=plan.sheet, row=1, column=column.heading, reason="the heading is missing"
                )
            )
    if missing:
        raise BadSpreadsheet(missing)
    for number, line in enumerate(lines, start=2):
        cells = {field: line[at] if at < len(line) else None for field, at in places.items()}
        if all(value is None or value == "" for value in cells.values()):
            continue
        if number > rows_max + 1:
            raise BadSpreadsheet(
                [
                    CellProblem(
                        sheet=plan.sheet,
                        row=number,
                        column=None,
                        reason=f"more than {rows_max} rows",
                    )
                ]
            )
        yield _Row(plan=plan, number=number, cells=cells)


def _value(cell: Any) -> object:
    """What a cell says; a date where no time of day is meant, which is no midnight."""
    value: object = cell.value
    if isinstance(value, datetime) and value.time() == time.min:
        return value if "h" in cell.number_format.lower() else value.date()
    return value


def _normal(value: object) -> str:
    return " ".join(str(value).split()).casefold() if value is not None else ""


def _answer(row: _Row, layout: Layout) -> tuple[SheetAnswer | None, str | None]:
    """The row's answer if it has one, and its currency."""
    currency = row.text("currency", needed=True)
    if currency is not None:
        try:
            check_currency(currency)
        except OpenAOCError as error:
            row.wrong("currency", error.detail)
            currency = None
    order = row.text("order", needed=True)
    said, applied = row.text("outcome"), row.amount("applied", currency=currency)
    if said is None and row.raw("applied") is None:
        return None, currency
    outcome = "applied" if said is None else layout.outcomes.get(said.casefold())
    if outcome is None:
        row.wrong("outcome", f"{(said or '')[:40]!r} is none of {', '.join(layout.outcomes)}")
    if outcome == "applied" and row.raw("applied") is None:
        row.wrong("applied", "is missing")
    if outcome in ("refused", "unknown_account") and applied:
        row.wrong("applied", "something was held although the outcome says not")
    answer: dict[str, object] = {
        "order": order,
        "outcome": outcome,
        "applied_minor": applied or 0,
        "available_minor": row.amount("available", currency=currency),
        "bank_case_id": row.text("bank_case_id", number=True),
        "note": row.text("note", number=True),
        "onward": [],
        "place": f"{row.plan.sheet}, row {row.number}",
    }
    if row.problems:
        return None, currency
    return msgspec.convert(answer, SheetAnswer), currency


def _transfer(
    row: _Row, layout: Layout, *, currencies: dict[str, str]
) -> tuple[str, SheetTransfer] | None:
    order = row.text("order", needed=True)
    currency = currencies.get(order or "")
    if order is not None and currency is None:
        row.wrong("order", "is not on the other sheet")
    word = row.text("channel") or ""
    channel = layout.channels.get(word.casefold())
    if channel is None:
        row.wrong("channel", f"{word[:40]!r} is no channel")
    fields = {
        "transfer_id": row.text("transfer_id", needed=True, number=True),
        "booked_at": row.moment("booked_at", layout),
        "debtor_account": row.text("debtor_account", needed=True),
        "amount_minor": row.amount("amount", currency=currency, needed=True),
        "currency": currency,
        "creditor_bank": row.text("creditor_bank"),
        "creditor_account": row.text("creditor_account"),
        "channel": channel,
    }
    if row.problems or order is None:
        return None
    return order, msgspec.convert(fields, SheetTransfer)


def _minor(value: object, currency: str) -> int:
    """Minor units of a cell: a text with or without thousands' separators, or a number."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise _Wrong("is no amount")
    text = value if isinstance(value, str) else _shown(value)
    if not _AMOUNT.fullmatch(text):
        raise _Wrong(f"{text[:40]!r} is no amount such as 1,234.50")
    amount = Decimal(re.sub("[, \u00a0\u202f]", "", text))
    if not isinstance(value, str) and len(amount.as_tuple().digits) > NUMBER_DIGITS_MAX:
        raise _Wrong("has more digits than a number in a spreadsheet keeps: format it as text")
    minor = amount.scaleb(exponents()[currency])
    if minor != minor.to_integral_value():
        raise _Wrong(f"{text} has parts of a minor unit of {currency}")
    if not 0 <= minor <= AMOUNT_MINOR_MAX:
        raise _Wrong(f"{text} is out of range")
    return int(minor)


def _shown(value: float) -> str:
    """A number as a spreadsheet shows it: what it computed has noise behind those digits."""
    if isinstance(value, int) or not math.isfinite(value):
        return str(value)
    return format(Decimal(f"{value:.{NUMBER_DIGITS_MAX}g}"), "f")


def _moment(value: object, layout: Layout) -> datetime:
    """A time of the layout's zone, also one of the Buddhist era where the layout takes it."""
    if isinstance(value, str):
        value = _parsed(value, layout)
    if isinstance(value, date) and not isinstance(value, datetime):
        raise _Wrong("is a date without a time of day: money that left that day is not found so")
    if not isinstance(value, datetime):
        raise _Wrong("is no time with a date")
    try:
        if layout.buddhist_era and value.year >= BUDDHIST_YEAR_MIN:
            value = value.replace(year=value.year - BUDDHIST_YEARS_AHEAD)
        return value.replace(tzinfo=layout.zone_info).astimezone(UTC)
    except (OverflowError, ValueError) as error:
        raise _Wrong(f"{value} is out of range") from error


def _parsed(text: str, layout: Layout) -> datetime:
    common = text
    if layout.buddhist_era:  # before it is read: 29 February is in other years there
        common = _YEAR.sub(lambda year: str(int(year[0]) - BUDDHIST_YEARS_AHEAD), text)
    for form in _TIME_FORMS:
        try:
            return datetime.strptime(common, form)  # noqa: DTZ007 - the layout has the zone
        except ValueError:
            continue
    raise _Wrong(f"{text[:40]!r} is no time such as 2026-11-21 09:30:00")
