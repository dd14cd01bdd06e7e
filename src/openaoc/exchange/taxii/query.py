"""Exchange, TAXII 2.1: what a request asks for, from its parameters (§3.3, §3.4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from openaoc.exchange.taxii.model import PAGE_DEFAULT, PAGE_OBJECTS_MAX, read_cursor
from openaoc.kernel.clock import parse_time
from openaoc.kernel.errors import BadInput

VALUES_MAX: Final = 100
VALUE_CHARACTERS_MAX: Final = 200
LIMIT_DIGITS_MAX: Final = 19
"""Of a limit in 64 bits: who asks for more than a page holds gets a page."""
LAST: Final = "last"
FIRST: Final = "first"
ALL: Final = "all"
_MATCHES: Final = frozenset({"match[id]", "match[type]", "match[version]", "match[spec_version]"})
_SINGLE: Final = frozenset({"added_after", "limit", "next"})


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for. None: not filtered by. `after`: rows added later than this moment."""

    after: datetime | None = None
    limit: int = PAGE_DEFAULT
    ids: tuple[str, ...] | None = None
    types: tuple[str, ...] | None = None
    spec_versions: tuple[str, ...] | None = None
    first: bool = False
    last: bool = True
    all: bool = False
    versions: tuple[datetime, ...] = ()

    @property
    def nothing(self) -> bool:
        """Whether only other versions of STIX are asked for than the one that is kept."""
        return self.spec_versions is not None and "2.1" not in self.spec_versions


def read_query(given: Sequence[tuple[str, str]], *, allowed: frozenset[str]) -> Query:
    """The query. Raises BadInput for a filter that is unknown here, twice, or not understood.

    Parameters that are no filters are none of ours and are left alone.
    """
    values: dict[str, str] = {}
    for name, value in given:
        if name not in _MATCHES | _SINGLE and not name.startswith("match["):
            continue
        if name not in allowed:
            raise BadInput("no filter of this resource", where=name[:40])
        if name in values:
            raise BadInput("given twice", where=name)
        values[name] = value
    first, last, whole, versions = _versions(_list(values, "match[version]"))
    return Query(
        after=_after(values),
        limit=_limit(values.get("limit")),
        ids=_list(values, "match[id]"),
        types=_list(values, "match[type]"),
        spec_versions=_list(values, "match[spec_version]"),
        first=first,
        last=last,
        all=whole,
        versions=versions,
    )


def _list(values: Mapping[str, str], name: str) -> tuple[str, ...] | None:
    text = values.get(name)
    if text is None:
        return None
    parts = tuple(part.strip() for part in text.split(","))
    if len(parts) > VALUES_MAX:
        raise BadInput(f"more than {VALUES_MAX} values", where=name)
    for part in parts:
        if not 0 < len(part) <= VALUE_CHARACTERS_MAX or "\0" in part:
            raise BadInput("an empty or too long value", where=name)
    return parts


def _versions(
    asked: tuple[str, ...] | None,
) -> tuple[bool, bool, bool, tuple[datetime, ...]]:
    """(first, last, all, moments); without a filter the last."""
    if asked is None:
        return False, True, False, ()
    words = {FIRST, LAST, ALL}
    moments = tuple(parse_time(one, where="match[version]") for one in asked if one not in words)
    return FIRST in asked, LAST in asked, ALL in asked, moments


def _limit(text: str | None) -> int:
    if text is None:
        return PAGE_DEFAULT
    if not (text.isascii() and text.isdecimal() and len(text) <= LIMIT_DIGITS_MAX and int(text)):
        raise BadInput("not a whole number above 0", where="limit")
    return min(int(text), PAGE_OBJECTS_MAX)


def _after(values: Mapping[str, str]) -> datetime | None:
    """The later of `added_after` and the place of `next`."""
    moments = []
    if "added_after" in values:
        moments.append(parse_time(values["added_after"], where="added_after"))
    if "next" in values:
        moments.append(read_cursor(values["next"]))
    return max(moments, default=None)
