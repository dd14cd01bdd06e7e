"""Channels: what a spreadsheet says: orders as they go out, answers as they come back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal

import msgspec

from openaoc.kernel.errors import BadInput

FILE_BYTES_MAX: Final = 8 << 20
UNPACKED_BYTES_MAX: Final = 64 << 20
"""A spreadsheet is a packed folder: so much may be in it."""
ROWS_MAX: Final = 500
"""Orders of one sheet: as many answers as are taken together."""
ONWARD_ROWS_MAX: Final = 20_000
COLUMNS_MAX: Final = 64
PROBLEMS_SHOWN_MAX: Final = 20
CELL_CHARACTERS_MAX: Final = 1_000


class SheetOrder(msgspec.Struct, frozen=True, kw_only=True):
    """One order as it is asked by spreadsheet."""

    layer: int
    case: str
    order: str
    account: str
    amount_minor: int
    currency: str
    issued_at: datetime
    answer_by: datetime
    ends_at: datetime
    legal_basis: str
    reason: str
    continues: str = ""
    """The order under which the amount is blocked already; empty where it is to be blocked."""


class SheetTransfer(msgspec.Struct, frozen=True, kw_only=True):
    """Where money went on to from an account that an order asked about."""

    transfer_id: str
    booked_at: datetime
    debtor_account: str
    amount_minor: int
    currency: str
    creditor_bank: str | None
    creditor_account: str | None
    channel: str


class SheetAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One order's answer, and where its money went on to."""

    order: str
    outcome: Literal["applied", "refused", "unknown_account"]
    applied_minor: int
    available_minor: int | None
    bank_case_id: str | None
    note: str | None
    onward: list[SheetTransfer]
    place: str
    """Where in the file it stands, for a person."""


class CellProblem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong. `row` as the spreadsheet numbers it, None for the whole sheet."""

    sheet: str
    row: int | None
    column: str | None
    reason: str

    def __str__(self) -> str:
        row = "" if self.row is None else f", row {self.row}"
        column = "" if self.column is None else f", column {self.column}"
        return f"{self.sheet}{row}{column}: {self.reason}"


class BadSpreadsheet(BadInput):
    """The spreadsheet cannot be taken; nothing of it was."""

    def __init__(self, problems: Sequence[CellProblem]) -> None:
        assert problems, "a refusal names what it refuses"
        self.problems = list(problems[:PROBLEMS_SHOWN_MAX])
        shown = "; ".join(str(problem) for problem in self.problems)
        more = len(problems) - len(self.problems)
        super().__init__(shown + (f"; and {more} more" if more else ""))
