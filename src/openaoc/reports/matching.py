"""Reports: which transfer of the ledger is the payment the victim means.

Pure. Never guesses: what fits several transfers is left to a person.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

WINDOW: Final = timedelta(hours=12)
"""A person remembers the half of the day; candidates are looked for this far on either side."""
NEAR: Final = timedelta(minutes=5)
"""A statement shows the minute; clocks of two banks differ by less than this."""


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A transfer that may be the payment: its row, and what has to fit."""

    row: int
    booked_at: datetime
    amount_minor: int
    same_parties: bool


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """The row, or None and how many transfers fit."""

    row: int | None
    candidates: int


NOTHING: Final = Match(row=None, candidates=0)


def match_exact(found: Candidate | None, *, amount_minor: int) -> Match:
    """By transfer id: the parties must be the same, and the claim at most the transfer.

    A mismatch is not explained to the sender: the answer would make the ledger browsable.
    """
    if found is None or not found.same_parties or amount_minor > found.amount_minor:
        return NOTHING
    return Match(row=found.row, candidates=1)


def match_by_parties(
    found: Sequence[Candidate], *, amount_minor: int, booked_at: datetime
) -> Match:
    """By parties, amount and time: one that fits is it; of several, the only near one."""
    fitting = [
        c
        for c in found
        if c.same_parties
        and c.amount_minor == amount_minor
        and abs(c.booked_at - booked_at) <= WINDOW
    ]
    if len(fitting) == 1:
        return Match(row=fitting[0].row, candidates=1)
    near = [c for c in fitting if abs(c.booked_at - booked_at) <= NEAR]
    if len(near) == 1:
        return Match(row=near[0].row, candidates=len(fitting))
    return Match(row=None, candidates=len(fitting))
