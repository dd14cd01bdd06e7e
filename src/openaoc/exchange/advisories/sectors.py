"""Advisories: the rule data: which sectors there are, who belongs to one, which clocks run."""

from __future__ import annotations

import enum
import tomllib
from functools import cache
from importlib import resources
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from openaoc.exchange.model import PartnerKind
from openaoc.kernel.errors import BadInput

PACKAGE: Final = "openaoc.exchange.advisories.rules"
FILE: Final = "default.toml"

Hours = Annotated[int, Meta(ge=1, le=24 * 90)]


class Severity(enum.StrEnum):
    """How soon a receiver has to have read it."""

    CRITICAL = "critical"
    HIGH = "high"
    NORMAL = "normal"


class Regulator(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is told of a breach of personal data, within how many hours, and the law."""

    name: str
    hours: Hours
    source: str


class Sector(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A sector: its names, and kinds of partners that belong to it by themselves."""

    th: str
    en: str
    kinds: tuple[PartnerKind, ...]


class AdvisoryRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of it."""

    version: str
    source: str
    remind_hours: Hours
    reminders_max: Annotated[int, Meta(ge=1, le=100)]
    acknowledge_hours: dict[Severity, Hours]
    regulator: Regulator
    sector: dict[str, Sector]


def read_rules(text: str) -> AdvisoryRules:
    """The rules of a file. Raises BadInput."""
    try:
        found = msgspec.convert(tomllib.loads(text), AdvisoryRules)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise BadInput(str(error), where=FILE) from error
    missing = [one.value for one in Severity if one not in found.acknowledge_hours]
    if missing or not found.sector:
        raise BadInput(f"nothing for {', '.join(missing) or 'sectors'}", where=FILE)
    return found


@cache
def advisory_rules() -> AdvisoryRules:
    """The rules that ship with the centre."""
    return read_rules(resources.files(PACKAGE).joinpath(FILE).read_text("utf-8"))


def check_sector(text: str, *, where: str = "sectors") -> str:
    """A sector of the closed list. Raises BadInput."""
    if text not in advisory_rules().sector:
        raise BadInput(f"one of {', '.join(advisory_rules().sector)}", where=where)
    return text
