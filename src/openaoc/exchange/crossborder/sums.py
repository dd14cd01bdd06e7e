"""Across borders: what became of the money that was asked about, and whether it adds up.

Pure. What was asked = held + located + exited + restituted + not found, to the minor unit, in the
currency in which it was asked, whatever the money was changed into.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from openaoc.cases.model import Figures
from openaoc.exchange.objects import FieldValue

PARTS: Final = ("held_minor", "located_minor", "exited_minor", "restituted_minor")
NOT_FOUND: Final = "not_found_minor"
_BIC: Final = re.compile(r"[A-Z]{4}([A-Z]{2})[A-Z0-9]{2}(?:[A-Z0-9]{3})?")
_PREFIXED: Final = re.compile(r"([A-Z]{2})[.:](.+)")


class Amounts(msgspec.Struct, frozen=True, kw_only=True):
    """Where the money is, in minor units of the currency it was asked in."""

    held_minor: int = 0
    located_minor: int = 0
    exited_minor: int = 0
    restituted_minor: int = 0
    not_found_minor: int = 0

    @property
    def total_minor(self) -> int:
        """What they add up to."""
        return self.found_minor + self.not_found_minor

    @property
    def found_minor(self) -> int:
        """What was found there."""
        return sum(getattr(self, name) for name in PARTS)


def nothing_found(amount_minor: int) -> Amounts:
    """Nobody knows yet where it is."""
    return Amounts(not_found_minor=amount_minor)


def amounts_of(figures: Figures, *, claimed_minor: int, asked_minor: int) -> Amounts:
    """A case's figures as the answer to what was asked; the sum holds by construction.

    `claimed_minor` is what the case claims, in the currency the money arrived in; what of it an
    earlier case has, or was dropped, is not found. Where the two differ (the money was changed),
    each part is what its running sum, scaled and rounded down, adds.
    """
    parts = [getattr(figures, name) for name in PARTS]
    parts.append(max(claimed_minor - sum(parts), 0))
    total = sum(parts)
    if total == 0:
        return nothing_found(asked_minor)
    scaled, running, before = [], 0, 0
    for part in parts:
        running += part
        upto = running * asked_minor // total
        scaled.append(upto - before)
        before = upto
    return Amounts(**dict(zip((*PARTS, NOT_FOUND), scaled, strict=True)))


def claim_of(*, asked_minor: int, sent_minor: int | None, arrived_minor: int) -> int:
    """What of an arriving payment is asked about: its share of what was sent, rounded down.

    Without `sent_minor`, or where nothing was changed, it is what was asked, at most the payment.
    """
    if sent_minor is None or sent_minor == arrived_minor:
        return min(asked_minor, arrived_minor)
    return min(asked_minor * arrived_minor // sent_minor, arrived_minor)


def amounts_told(fields: Mapping[str, FieldValue]) -> Amounts | None:
    """The amounts of an answer; None where the partner's agreement lets not all of them leave."""
    found: dict[str, int] = {}
    for name in (*PARTS, NOT_FOUND):
        value = fields.get(name)
        if not isinstance(value, int) or value < 0:
            return None
        found[name] = value
    return Amounts(**found)


def country_of(bank: str) -> str | None:
    """The country an institution's code names: as prefix (`KH.ABA`), or inside a BIC."""
    prefixed = _PREFIXED.fullmatch(bank)
    if prefixed:
        return prefixed[1]
    bic = _BIC.fullmatch(bank)
    return bic[1] if bic else None


def local_code(bank: str) -> str:
    """The institution's code without the country before it."""
    prefixed = _PREFIXED.fullmatch(bank)
    return prefixed[2] if prefixed else bank


def is_newer(told: tuple[int, int], known: tuple[int, int]) -> bool:
    """Whether (epoch, revision) is later than what is known.

    A centre that was restored from a backup begins a new epoch, so that its first word counts
    above the last of the life it forgot.
    """
    return told > known
