"""Appeals: how many persons a decision needs, and what speaks for a mule.

Pure. Most contests come from mules, so a release that is large or likely a mule's needs two
persons; refusing whoever looks honest needs two as well. Never decides by itself.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from openaoc.holds.merchant import Trade, passes_through

CASES_MIN: Final = 2
"""A mule serves several victims; an honest shop is rarely reached by two frauds at once."""
DAYS_MIN: Final = 2
"""An account with transfers on fewer days before the money came was opened for it, perhaps."""


class Suspicion(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the account looks like a mule's, and what says so."""

    likely_mule: bool
    signs: tuple[str, ...]


def suspect(trade: Trade, *, likely_innocent: bool, cases_on_account: int) -> Suspicion:
    """The signs of a mule; who passes the merchant test is none, whatever the signs."""
    signs = []
    if cases_on_account >= CASES_MIN:
        signs.append(f"money of {cases_on_account} cases reached it")
    if passes_through(trade):
        signs.append("its money usually goes on within minutes")
    if trade.days < DAYS_MIN:
        signs.append(f"transfers on {trade.days} days before the money came")
    return Suspicion(likely_mule=bool(signs) and not likely_innocent, signs=tuple(signs))


def persons_needed(
    outcome: Literal["uphold", "uphold_in_part", "refuse"],
    *,
    release_minor: int,
    alone_minor: int,
    likely_mule: bool,
    likely_innocent: bool,
) -> int:
    """One or two."""
    if outcome == "refuse":
        return 2 if likely_innocent else 1
    return 2 if likely_mule or release_minor > alone_minor else 1
