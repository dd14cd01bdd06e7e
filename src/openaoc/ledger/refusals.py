"""Stage ledger, files: which rows of a file are refused, and why.

Every reader and check reports through these; nothing here decides what is valid.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from openaoc.kernel.errors import BadInput
from openaoc.kernel.limits import REFUSED_ROWS_SHOWN_MAX


class RefusedRow(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong with a file.

    `row` is the data row, counted from 1 without the header; `line` the line of a text file,
    counted from 1 with the header. Both are None when the whole file or a whole column is meant.
    """

    file: str
    row: int | None = None
    line: int | None = None
    column: str | None = None
    reason: str

    def __str__(self) -> str:
        place = self.file
        if self.row is not None:
            place += f", row {self.row}"
        if self.line is not None:
            place += f" (line {self.line})"
        if self.column is not None:
            place += f", column {self.column}"
        return f"{place}: {self.reason}"


class RefusedRows(BadInput):
    """Rows of the input are not valid; nothing was taken."""

    def __init__(self, rows: Sequence[RefusedRow], *, total: int | None = None) -> None:
        assert rows, "a refusal names what it refuses"
        self.rows = list(rows[:REFUSED_ROWS_SHOWN_MAX])
        self.total = max(total or 0, len(rows))
        """How many faults there are, those past the shown limit included."""
        detail = str(self.rows[0])
        if self.total > 1:
            detail += f" (and {self.total - 1} more)"
        super().__init__(detail)


def refuse_file(file: str, reason: str, *, column: str | None = None) -> RefusedRows:
    """The refusal of a whole file, or of a whole column of it."""
    return RefusedRows([RefusedRow(file=file, column=column, reason=reason)])


def in_order(rows: Iterable[RefusedRow]) -> list[RefusedRow]:
    """Sorted by row; what concerns the whole file first."""
    return sorted(rows, key=lambda refused: refused.row or 0)
