"""Holds: which rule of law an order rests on, for how long, and what its holder is told.

Reads versioned data files; never knows a duration itself.
"""

from __future__ import annotations

import tomllib
from datetime import date, datetime, timedelta
from functools import cache
from importlib import resources
from typing import Final, Literal

import msgspec

from openaoc.holds.model import Words
from openaoc.kernel.actor import Role
from openaoc.kernel.errors import BadInput, NotFound
from openaoc.kernel.money import format_money

PACKAGE: Final = "openaoc.holds.rules"


class NoSuchRule(NotFound):
    """There is no such legal rule."""


class LegalRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule of law, as data: its source, its clock, and its words."""

    id: str
    version: int
    valid_from: date
    confirmed: bool
    source: str
    ground: Literal["victim_report", "police_complaint", "suspicion"]
    longest_hours: int
    doubt_hours: int
    counts_from: Literal["issued", "complaint"]
    answer_minutes: int
    may_extend: frozenset[Role]
    four_eyes: bool
    legal_basis: Words
    reason: Words
    extends_to: str | None = None
    valid_until: date | None = None

    @property
    def longest(self) -> timedelta:
        """The longest a hold may stand under this rule."""
        return timedelta(hours=self.longest_hours)

    @property
    def doubtful(self) -> timedelta:
        """How long a hold in doubt stands by itself: never longer than `longest`."""
        return timedelta(hours=min(self.doubt_hours, self.longest_hours))

    @property
    def answer_within(self) -> timedelta:
        """How long an institution has to answer before the order escalates."""
        return timedelta(minutes=self.answer_minutes)

    def valid_on(self, day: date) -> bool:
        """Whether the rule is in force on that day."""
        return self.valid_from <= day and (self.valid_until is None or day <= self.valid_until)


class Rulebook(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All rules of one jurisdiction."""

    jurisdiction: str
    currency: str
    default: str
    floor_minor: int
    rule: list[LegalRule]

    def named(self, rule_id: str, *, on: date) -> LegalRule:
        """The newest version of the rule in force on that day. Raises NoSuchRule."""
        found = [r for r in self.rule if r.id == rule_id and r.valid_on(on)]
        if not found:
            raise NoSuchRule(f"{rule_id} is not in force on {on}")
        return max(found, key=lambda rule: rule.version)


@cache
def rulebook(jurisdiction: str) -> Rulebook:
    """The jurisdiction's rules. Raises NoSuchRule, or BadInput for a broken file."""
    name = f"{jurisdiction}.toml"
    file = resources.files(PACKAGE).joinpath(name)
    if not (jurisdiction.isalpha() and jurisdiction.isascii() and file.is_file()):
        raise NoSuchRule(f"no legal rules for jurisdiction {jurisdiction[:8]!r}")
    try:
        book = msgspec.convert(tomllib.loads(file.read_text("utf-8")), Rulebook)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise BadInput(str(error), where=name) from error
    for rule in book.rule:
        for text in (rule.reason.th, rule.reason.en):
            _fill(text, rule_texts_probe(), where=f"{name} {rule.id}")
    return book


class ReasonFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a reason text may name: an amount, times, numbers; never a person."""

    amount_minor: int
    currency: str
    received_at: datetime
    ends_at: datetime
    case: str
    order: str


def rule_texts_probe() -> dict[str, str]:
    """Every name a text may use, so that a misspelt one is found when the file is read."""
    return dict.fromkeys(("amount", "received", "ends", "case", "order"), "-")


def _fill(template: str, values: dict[str, str], *, where: str) -> str:
    try:
        return template.format_map(values)
    except (KeyError, ValueError, IndexError) as error:
        raise BadInput(f"reason text names {error}", where=where) from error


def reason_for(rule: LegalRule, facts: ReasonFacts) -> Words:
    """What the holder reads, in Thai and English; times in Thai local time (UTC+7)."""
    values = {
        "amount": format_money(facts.amount_minor, facts.currency),
        "received": _local(facts.received_at),
        "ends": _local(facts.ends_at),
        "case": facts.case,
        "order": facts.order,
    }
    return Words(
        th=_fill(rule.reason.th, values, where=rule.id),
        en=_fill(rule.reason.en, values, where=rule.id),
    )


_THAI_TIME: Final = timedelta(hours=7)


def _local(moment: datetime) -> str:
    """To the minute, in the zone the holder lives in, with the zone said."""
    offset = moment.utcoffset() or timedelta(0)
    return (moment - offset + _THAI_TIME).strftime("%Y-%m-%d %H:%M +07:00")


def ends_at(
    rule: LegalRule, *, issued_at: datetime, complaint_at: datetime | None, in_doubt: bool
) -> datetime:
    """When a hold under the rule ends by itself.

    From the complaint where the rule counts so; in doubt the shortest clock, design §4.3.
    """
    start = issued_at
    if rule.counts_from == "complaint":
        if complaint_at is None:
            raise BadInput(f"{rule.id} counts from a complaint and there is none")
        start = complaint_at
    end = start + rule.longest
    return min(end, issued_at + rule.doubtful) if in_doubt else end
