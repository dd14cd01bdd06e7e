"""Holds: how much may be asked for when things are not certain.

Pure. Doubt favours the holder: the least amount, the shortest clock, living money left free, the
holder told first. Never raises an amount.
"""

from __future__ import annotations

import msgspec

from openaoc.holds.model import RuleAmounts


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """What matters about the holder for the amount."""

    likely_innocent: bool
    history_missing: bool
    """The account has spent money the ledger never saw come in: history.py."""
    balance_minor: int
    """Known balance of the account now."""
    held_by_all_minor: int
    """Active orders of all cases on the account."""


class Doubt(msgspec.Struct, frozen=True, kw_only=True):
    """The most that may be ordered of the case's free money on this account, and how."""

    amount_minor: int
    in_doubt: bool
    tell_first: bool
    why: tuple[str, ...]


def certain(located_minor: int) -> Doubt:
    """All that is located may be ordered."""
    return Doubt(amount_minor=located_minor, in_doubt=False, tell_first=False, why=())


def weigh(
    *, located_minor: int, active_minor: int, amounts: RuleAmounts, holder: Holder, floor_minor: int
) -> Doubt:
    """The most that may be ordered of the free money here, `active_minor` included.

    Certain: what is located. Doubtful: the smallest amount of the rules and of the trace with the
    opening unknown; for a likely innocent holder `floor_minor` of the known balance stays free of
    all cases together.
    """
    if not (holder.likely_innocent or holder.history_missing):
        return certain(located_minor)
    least = max(min(located_minor, amounts.least), 0)
    why: list[str] = []
    if holder.history_missing:
        why.append("the account's history is missing: the least amount of the rules")
    if holder.likely_innocent:
        why.append("the holder looks like honest commerce: the least amount of the rules")
        free = max(holder.balance_minor - holder.held_by_all_minor - floor_minor, 0)
        if active_minor + free < least:
            least = min(least, active_minor + free)
            why.append("living money stays free")
    return Doubt(
        amount_minor=least, in_doubt=True, tell_first=holder.likely_innocent, why=tuple(why)
    )
