"""Indicators: the rule data: what a source's word weighs, how long an opinion stands."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from openaoc.indicators.model import SourceKind
from openaoc.kernel.errors import BadInput
from openaoc.kernel.identifiers.kinds import Kind

PACKAGE: Final = "openaoc.indicators.rules"
FILE: Final = "default.toml"

Percent = Annotated[int, Meta(ge=0, le=100)]
Days = Annotated[int, Meta(ge=1, le=3_660)]


class Weight(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Percent one voice adds, and the most that voices of its kind reach alone."""

    weight: Percent
    cap: Percent


class Floor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A least confidence."""

    floor: Percent


class Weighing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of it. `ageing`: days by kind of identifier, and `confirmed_times`.

    `confirmed`: what a person's confirmation is worth. `published`: how sure the centre is of what
    it tells partners before a person has looked.
    """

    source: dict[SourceKind, Weight]
    confirmed: Floor
    published: Floor
    ageing: dict[str, Days]

    def days_of(self, kind: Kind, *, confirmed: bool) -> int:
        """How many days after it was last seen an opinion on this kind stands."""
        days = self.ageing[kind.value]
        return days * self.ageing["confirmed_times"] if confirmed else days


def read_weighing(text: str) -> Weighing:
    """The rules of a file. Raises BadInput for a kind or source that is missing."""
    try:
        found = msgspec.convert(tomllib.loads(text), Weighing)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise BadInput(str(error), where=FILE) from error
    missing = [k.value for k in SourceKind if k not in found.source]
    missing += [name for name in ("confirmed_times", *Kind) if name not in found.ageing]
    if missing:
        raise BadInput(f"nothing for {', '.join(missing)}", where=FILE)
    return found


@cache
def weighing() -> Weighing:
    """The rules that ship with the centre."""
    return read_weighing(resources.files(PACKAGE).joinpath(FILE).read_text("utf-8"))
