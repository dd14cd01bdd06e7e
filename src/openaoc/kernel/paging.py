"""Pages of a list: after which thing, how many, and the text that gets the next page.

Things of one moment are told apart by their names, so that no page skips or repeats one. Decides
nothing about who may see a list.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, TypeVar

from openaoc.kernel.errors import BadInput
from openaoc.kernel.limits import PAGE_MAX

PAGE_DEFAULT: Final = 50
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_DIGITS_MAX: Final = 17
"""Of microseconds: up to the year 5138. A number of so many digits fits a bigint too."""
Row = TypeVar("Row")


class Place(NamedTuple):
    """Where a thing stands in a list by time: its moment, and its name among those of it."""

    at: datetime
    name: str

    def cursor(self) -> str:
        """The text that gets what comes after it."""
        return f"{(self.at - _EPOCH) // _MICROSECOND}.{self.name}"


class Asked(NamedTuple):
    """Which part of a list is asked for, the newest first."""

    cursor: str | None = None
    limit: int = PAGE_DEFAULT

    @property
    def size(self) -> int:
        """How many at most. Raises BadInput for a limit that is not permitted."""
        if not 1 <= self.limit <= PAGE_MAX:
            raise BadInput(f"between 1 and {PAGE_MAX}", where="limit")
        return self.limit

    @property
    def place(self) -> Place | None:
        """Of the last thing seen, in a list by time; None from the start.

        Raises BadInput for a cursor of another list.
        """
        if self.cursor is None:
            return None
        digits, dot, name = self.cursor.partition(".")
        if not (dot and name and name.isascii() and name.isprintable()):
            raise BadInput("not a cursor of this list", where="cursor")
        return Place(_EPOCH + _whole(digits) * _MICROSECOND, name)

    @property
    def number(self) -> int | None:
        """Of the last thing seen, in a list by number. Raises BadInput as `place`."""
        return None if self.cursor is None else _whole(self.cursor)

    def cut(
        self, rows: Sequence[Row], cursor: Callable[[Row], str]
    ) -> tuple[list[Row], str | None]:
        """The page, and its cursor, of rows that are one more than `size` where there are more."""
        shown = list(rows[: self.size])
        return shown, cursor(shown[-1]) if len(rows) > self.size else None


FIRST: Final = Asked()
"""The first page."""


def _whole(digits: str) -> int:
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= _DIGITS_MAX):
        raise BadInput("not a cursor of this list", where="cursor")
    return int(digits)
