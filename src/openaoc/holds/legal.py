"""Holds: which rule of law an order rests on, for how long, and what its holder is told.

Reads versioned data files; never knows a duration itself.
"""

from __future__ import annotations

import re
import string
import tomllib
from datetime import date, datetime, timedelta, timezone
from functools import cache
from importlib import resources
from typing import Final, Literal, get_args

import msgspec

from openaoc.holds.model import Words
from openaoc.kernel.actor import Role
from openaoc.kernel.errors import BadInput, NotFound, Refused
from openaoc.kernel.money import check_amount, check_currency, format_money

PACKAGE: Final = "openaoc.holds.rules"
FILE: Final = re.compile(r"[A-Z]{2}\.toml")
CODE: Final = re.compile(r"[A-Z]{2}")
TEXT_NAMES: Final = frozenset({"amount", "received", "ends", "case", "order"})
"""What a text that the holder reads may name."""
RULES_MAX: Final = 100
TEXT_CHARACTERS_MAX: Final = 2_000
TIME_MAX: Final = 10 * 366 * 24 * 60
"""Hours or minutes: more is no time of law, and a program may not compute with it."""
Ground = Literal["victim_report", "police_complaint", "suspicion", "measure"]
GROUNDS: Final[tuple[Ground, ...]] = get_args(Ground)


class NoSuchRule(NotFound):
    """There is no such legal rule."""


class NotConfirmed(Refused):
    """The legal rules of this jurisdiction are not confirmed."""


class LegalRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule of law, as data: its source, its clock, and its words."""

    id: str
    version: int
    valid_from: date
    confirmed: bool
    source: str
    ground: Ground
    longest_hours: int
    longest_from: Literal["law", "provisional", "measure"]
    """Who says so: the source; nobody yet, a figure to compute with in shadow; or the measure of a
    court or authority itself, and the figure only bounds what one entry may state.
    """
    doubt_hours: int
    counts_from: Literal["issued", "complaint", "measure"]
    answer_minutes: int
    may_extend: frozenset[Role]
    four_eyes: bool
    legal_basis: Words
    reason: Words
    extends_to: str | None = None
    valid_until: date | None = None
    note: str = ""
    """What is not certain, and what a person who confirms the rule must look up."""
    links: tuple[str, ...] = ()
    """Public pages that say it; a place to begin, never the law itself."""
    utc_offset_hours: int = 0
    """Of the clock on the holder's wall; filled in from the jurisdiction."""

    def __post_init__(self) -> None:
        """Raises ValueError for a rule that says less than it claims."""
        if self.confirmed and self.longest_from == "provisional":
            raise ValueError(f"{self.id} is confirmed and its longest time is provisional")
        for given in (self.doubt_hours, self.longest_hours, self.answer_minutes):
            if not 0 < given <= TIME_MAX:
                raise ValueError(f"{self.id} has a time that is not positive, or endless")

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


class RestitutionRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How held money is given back: how long third parties may object, and where that stands."""

    objection_days: int
    confirmed: bool
    source: str
    note: str = ""

    @property
    def objection_time(self) -> timedelta:
        """How long third parties may object."""
        return timedelta(days=self.objection_days)


class Rulebook(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All rules of one jurisdiction.

    `default`: of a victim's report. `suspicion`: of an institution's own. `measure`: by which a
    court or authority makes a hold longer.
    """

    jurisdiction: str
    name: str
    currency: str
    utc_offset_hours: int
    default: str
    suspicion: str
    measure: str
    floor_minor: int
    restitution: RestitutionRule
    rule: list[LegalRule]

    def named(self, rule_id: str, *, on: date) -> LegalRule:
        """The newest version of the rule in force on that day. Raises NoSuchRule."""
        found = [r for r in self.rule if r.id == rule_id and r.valid_on(on)]
        if not found:
            raise NoSuchRule(f"{rule_id} is not in force on {on}")
        return max(found, key=lambda rule: rule.version)

    def in_force(self, on: date) -> list[LegalRule]:
        """The newest version of every rule in force on that day, in the file's order."""
        names = dict.fromkeys(rule.id for rule in self.rule if rule.valid_on(on))
        return [self.named(name, on=on) for name in names]

    def unconfirmed(self, on: date) -> list[str]:
        """Rules in force on that day that nobody answerable has confirmed: live needs none."""
        return [rule.id for rule in self.in_force(on) if not rule.confirmed]


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
    check_rulebook(book, where=name)
    placed = [
        msgspec.structs.replace(rule, utc_offset_hours=book.utc_offset_hours) for rule in book.rule
    ]
    return msgspec.structs.replace(book, rule=placed)


def check_rulebook(book: Rulebook, *, where: str) -> None:
    """Whether its rules fit together. Raises BadInput with the place.

    Texts are looked at and never filled in: a book may come from another centre.
    """
    if not CODE.fullmatch(book.jurisdiction) or not 0 < len(book.rule) <= RULES_MAX:
        raise BadInput(f"two letters, and 1 to {RULES_MAX} rules", where=where)
    back = book.restitution
    for text in (
        book.name,
        back.source,
        back.note,
        *(t for rule in book.rule for t in _shown(rule)),
    ):
        if len(text) > TEXT_CHARACTERS_MAX or not text.isprintable():
            raise BadInput("a text too long, or with what cannot be printed", where=where)
    for rule in book.rule:
        for text in (rule.reason.th, rule.reason.en):
            _check_text(text, where=f"{where} {rule.id[:80]}")
    check_currency(book.currency, where=where)
    check_amount(book.floor_minor, where=where)
    known = {rule.id for rule in book.rule}
    named = {book.default, book.suspicion, book.measure}
    named |= {rule.extends_to for rule in book.rule if rule.extends_to is not None}
    if not named <= known:
        raise BadInput(f"no rule {', '.join(sorted(named - known))}"[:200], where=where)


def _shown(rule: LegalRule) -> tuple[str, ...]:
    basis, reason = rule.legal_basis, rule.reason
    texts = (basis.th, basis.en, reason.th, reason.en)
    return (rule.id, rule.source, rule.note, *rule.links, *texts)


def _check_text(text: str, *, where: str) -> None:
    try:
        places = [place[1:] for place in string.Formatter().parse(text)]
    except ValueError as error:
        raise BadInput(f"reason text: {error}", where=where) from error
    for name, form, conversion in places:
        if name is not None and (name not in TEXT_NAMES or form or conversion):
            raise BadInput(f"reason text names {name[:80]!r}", where=where)


def jurisdictions() -> list[str]:
    """The jurisdictions there is a file of rules for, by code."""
    files = resources.files(PACKAGE).iterdir()
    return sorted(f.name[:2] for f in files if FILE.fullmatch(f.name))


def check_may_go_live(scope: str, on: date) -> None:
    """Raises NotConfirmed for a jurisdiction's switch while a rule in force there is unconfirmed.

    Also for a jurisdiction without rules. An institution's switch rests on its jurisdiction's.
    """
    kind, _, code = scope.partition(":")
    if kind != "jurisdiction":
        return
    if code not in jurisdictions():
        raise NotConfirmed(f"there are no legal rules for {code[:8]}")
    missing = rulebook(code).unconfirmed(on)
    if missing:
        raise NotConfirmed(f"nobody answerable has confirmed {', '.join(missing)}")


class ReasonFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a reason text may name: an amount, times, numbers; never a person."""

    amount_minor: int
    currency: str
    received_at: datetime
    ends_at: datetime
    case: str
    order: str


def reason_for(rule: LegalRule, facts: ReasonFacts) -> Words:
    """What the holder reads, in Thai and English; times as on the clock where the holder is."""
    values = {
        "amount": format_money(facts.amount_minor, facts.currency),
        "received": _local(facts.received_at, rule.utc_offset_hours),
        "ends": _local(facts.ends_at, rule.utc_offset_hours),
        "case": facts.case,
        "order": facts.order,
    }
    return Words(
        th=rule.reason.th.format_map(values),
        en=rule.reason.en.format_map(values),
    )


def _local(moment: datetime, utc_offset_hours: int) -> str:
    """To the minute, with the zone said."""
    zone = timezone(timedelta(hours=utc_offset_hours))
    there = moment.astimezone(zone)
    return f"{there:%Y-%m-%d %H:%M} {utc_offset_hours:+03d}:00"


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
    elif rule.counts_from == "measure":
        raise BadInput(f"{rule.id} is for a measure that names its own end")
    end = start + rule.longest
    return min(end, issued_at + rule.doubtful) if in_doubt else end
