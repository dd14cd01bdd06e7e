"""Channels: how a spreadsheet is laid out: sheets, headings, words, zone; all of it data."""

from __future__ import annotations

import functools
from importlib import resources
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec

from openaoc.kernel.errors import NotFound


class NoLayout(NotFound):
    """There is no spreadsheet layout for this jurisdiction."""


class Column(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One column: what it holds, how it is headed, how wide it is in characters."""

    field: str
    heading: str
    width: int
    optional: bool = False
    """A sheet that comes back without it is taken: it is for the reader alone."""


class Sheet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One sheet and its columns from the left."""

    sheet: str
    columns: list[Column]

    def heading(self, field: str) -> str:
        """The heading of a field."""
        return next(column.heading for column in self.columns if column.field == field)


class Layout(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A layout file."""

    id: str
    zone: str
    buddhist_era: bool
    orders: Sheet
    onward: Sheet
    outcomes: dict[str, Literal["applied", "refused", "unknown_account"]]
    channels: dict[str, str]

    @property
    def zone_info(self) -> ZoneInfo:
        """The zone of the times."""
        return ZoneInfo(self.zone)


@functools.cache
def layout(jurisdiction: str) -> Layout:
    """The layout of a jurisdiction. Raises NoLayout."""
    file = resources.files(__package__).joinpath(f"{jurisdiction}.toml")
    if not jurisdiction.isalpha() or not file.is_file():
        raise NoLayout(jurisdiction)
    return msgspec.toml.decode(file.read_bytes(), type=Layout)
