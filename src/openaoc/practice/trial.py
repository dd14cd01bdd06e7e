"""Practice: whether a typology was tried enough to act, by rule data. Pure."""

from __future__ import annotations

import tomllib
from datetime import datetime, timedelta
from functools import cache
from importlib import resources
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from openaoc.kernel.errors import BadInput
from openaoc.practice.model import Figures, Package, PackageKind

PACKAGE: Final = "openaoc.practice.rules"
FILE: Final = "default.toml"
HUNDRED: Final = 100
NEVER: Final = "legal rules are read and compared, and never act from a package"

Days = Annotated[int, Meta(ge=0, le=3_660)]
Accounts = Annotated[int, Meta(ge=0, le=1_000_000)]
Percent = Annotated[int, Meta(ge=0, le=HUNDRED)]


class Trial(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What must have been seen in shadow: days, accounts, outcomes, and at most so many wrong."""

    days_min: Days
    looked_min: Accounts
    known_min: Accounts
    wrong_percent_max: Percent


class Keeping(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long accounts that were looked at stay on record."""

    days: Annotated[int, Meta(ge=1, le=3_660)]


class Likeness(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Percent from which scripts are shown as possibly the same."""

    wording_min: Percent
    meaning_min: Percent


class PracticeRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of it."""

    trial: Trial
    keeping: Keeping
    likeness: Likeness


def read_rules(text: str) -> PracticeRules:
    """The rules of a file. Raises BadInput."""
    try:
        return msgspec.convert(tomllib.loads(text), PracticeRules)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise BadInput(str(error), where=FILE) from error


@cache
def practice_rules() -> PracticeRules:
    """The rules that ship with the centre."""
    return read_rules(resources.files(PACKAGE).joinpath(FILE).read_text("utf-8"))


def lacking(one: Package, figures: Figures, *, rules: Trial, now: datetime) -> tuple[str, ...]:
    """What it lacks before persons may take it live; nothing: they may.

    A playbook acts through people: they may follow it as soon as two of them have read it. Legal
    rules act nowhere but in the files of their own centre.
    """
    if one.bundle.kind is PackageKind.RULES:
        return (NEVER,)
    if one.bundle.kind is not PackageKind.TYPOLOGY:
        return ()
    found = []
    days = (now - one.since) // timedelta(days=1)
    if days < rules.days_min:
        found.append(f"{days} of {rules.days_min} days in shadow")
    if figures.looked < rules.looked_min:
        found.append(f"tried on {figures.looked} of {rules.looked_min} accounts")
    if figures.known < rules.known_min:
        found.append(f"the outcome of {figures.known} of {rules.known_min} accounts is known")
    elif figures.wrong * HUNDRED > figures.known * rules.wrong_percent_max:
        share = figures.wrong * HUNDRED // figures.known
        found.append(f"{share} % were wrong, more than {rules.wrong_percent_max} %")
    return tuple(found)
