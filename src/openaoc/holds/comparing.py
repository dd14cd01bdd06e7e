"""Holds: the legal rules of all jurisdictions side by side, for whoever decides or compares.

Says of each figure who says so. What partners sent of their own law stands beside our files, and
opens nothing: what may go live is said by our files alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

import msgspec

from openaoc.holds.legal import (
    GROUNDS,
    Ground,
    LegalRule,
    NoSuchRule,
    RestitutionRule,
    Rulebook,
    jurisdictions,
    rulebook,
)
from openaoc.kernel.actor import Role


class Sender(msgspec.Struct, frozen=True, kw_only=True):
    """Whose word a sheet is that came from a partner, and in which package."""

    partner: str
    package: str
    version: int
    made_at: datetime


class SentRules(msgspec.Struct, frozen=True, kw_only=True):
    """The rules a partner sent."""

    sender: Sender
    book: Rulebook

    @property
    def column(self) -> str:
        """Its name beside our own sheets."""
        return _column(self.book, self.sender)


def _column(book: Rulebook, sender: Sender | None) -> str:
    return book.jurisdiction if sender is None else f"{book.jurisdiction} ({sender.partner})"


class RuleView(msgspec.Struct, frozen=True, kw_only=True):
    """One rule as the file has it, without the texts the holder reads."""

    id: str
    version: int
    ground: Ground
    confirmed: bool
    longest_hours: int
    longest_from: str
    doubt_hours: int
    counts_from: str
    answer_minutes: int
    extends_to: str | None
    may_extend: list[Role]
    four_eyes: bool
    valid_from: date
    valid_until: date | None
    source: str
    note: str
    links: list[str]


class JurisdictionRules(msgspec.Struct, frozen=True, kw_only=True):
    """One jurisdiction: what is in force, and what keeps it from going live.

    `column`: its name among others. `sent`: who sent it, None for our own file. `may_go_live` at
    this centre: never by what a partner sent, whatever that says of itself.
    """

    column: str
    sent: Sender | None = None
    jurisdiction: str
    name: str
    currency: str
    may_go_live: bool
    unconfirmed: list[str]
    default: str
    suspicion: str
    measure: str
    floor_minor: int
    restitution: RestitutionRule
    rules: list[RuleView]


class GroundRow(msgspec.Struct, frozen=True, kw_only=True):
    """One ground of a hold in every column asked for; None where there is no such rule."""

    ground: Ground
    rules: dict[str, RuleView | None]


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Jurisdictions side by side, on one day."""

    on: date
    jurisdictions: list[JurisdictionRules]
    grounds: list[GroundRow]


def rules_of(jurisdiction: str, *, on: date) -> JurisdictionRules:
    """What is in force in the jurisdiction on that day. Raises NoSuchRule."""
    return sheet_of(rulebook(jurisdiction), on=on)


def sheet_of(book: Rulebook, *, on: date, sender: Sender | None = None) -> JurisdictionRules:
    """What is in force on that day by this book; by a partner's word, or by our own."""
    missing = book.unconfirmed(on)
    return JurisdictionRules(
        column=_column(book, sender),
        sent=sender,
        jurisdiction=book.jurisdiction,
        name=book.name,
        currency=book.currency,
        may_go_live=sender is None and not missing,
        unconfirmed=missing,
        default=book.default,
        suspicion=book.suspicion,
        measure=book.measure,
        floor_minor=book.floor_minor,
        restitution=book.restitution,
        rules=[_view(rule) for rule in book.in_force(on)],
    )


def compare(codes: Sequence[str] = (), *, on: date, sent: Sequence[SentRules] = ()) -> Comparison:
    """These jurisdictions, or all there are, side by side by ground. Raises NoSuchRule.

    Codes in either case.

    `sent`: what partners sent of theirs; each stands behind our own sheet of that jurisdiction.
    """
    ours = jurisdictions()
    known = sorted({*ours, *(one.book.jurisdiction for one in sent)})
    found: list[JurisdictionRules] = []
    for code in dict.fromkeys([code.upper() for code in codes] or known):
        if code not in known:
            raise NoSuchRule(f"no legal rules for jurisdiction {code[:8]!r}")
        found += [rules_of(code, on=on)] if code in ours else []
        found += [
            sheet_of(one.book, on=on, sender=one.sender)
            for one in sent
            if one.book.jurisdiction == code
        ]
    return Comparison(
        on=on,
        jurisdictions=found,
        grounds=[
            GroundRow(
                ground=ground,
                rules={
                    one.column: next((r for r in one.rules if r.ground == ground), None)
                    for one in found
                },
            )
            for ground in GROUNDS
        ],
    )


def _view(rule: LegalRule) -> RuleView:
    return RuleView(
        may_extend=sorted(rule.may_extend),
        links=list(rule.links),
        **{
            name: getattr(rule, name)
            for name in RuleView.__struct_fields__
            if name not in ("may_extend", "links")
        },
    )
