"""Holds: the legal rules of all jurisdictions side by side, for whoever decides or compares.

Reads the rule files alone; says of each figure who says so. Never decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import msgspec

from openaoc.holds.legal import (
    GROUNDS,
    Ground,
    LegalRule,
    RestitutionRule,
    jurisdictions,
    rulebook,
)
from openaoc.kernel.actor import Role


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
    """One jurisdiction: what is in force, and what keeps it from going live."""

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
    """One ground of a hold in every jurisdiction asked for; None where there is no such rule."""

    ground: Ground
    rules: dict[str, RuleView | None]


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Jurisdictions side by side, on one day."""

    on: date
    jurisdictions: list[JurisdictionRules]
    grounds: list[GroundRow]


def rules_of(jurisdiction: str, *, on: date) -> JurisdictionRules:
    """What is in force in the jurisdiction on that day. Raises NoSuchRule."""
    book = rulebook(jurisdiction)
    missing = book.unconfirmed(on)
    return JurisdictionRules(
        jurisdiction=book.jurisdiction,
        name=book.name,
        currency=book.currency,
        may_go_live=not missing,
        unconfirmed=missing,
        default=book.default,
        suspicion=book.suspicion,
        measure=book.measure,
        floor_minor=book.floor_minor,
        restitution=book.restitution,
        rules=[_view(rule) for rule in book.in_force(on)],
    )


def compare(codes: Sequence[str] = (), *, on: date) -> Comparison:
    """These jurisdictions, or all there are, side by side by ground. Raises NoSuchRule."""
    found = [rules_of(code, on=on) for code in dict.fromkeys(codes or jurisdictions())]
    return Comparison(
        on=on,
        jurisdictions=found,
        grounds=[
            GroundRow(
                ground=ground,
                rules={
                    one.jurisdiction: next((r for r in one.rules if r.ground == ground), None)
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
