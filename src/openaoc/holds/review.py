"""Holds: how much of what is held still stands when the ledger has learnt more.

Pure. A hold that went out by itself never stays above what would go out by itself today (design
§4.1, §4.3). Never raises an amount, and never cuts what a person approved.
"""

from __future__ import annotations

import msgspec

from openaoc.holds.merchant import Trade, Verdict
from openaoc.holds.model import RuleAmounts


class HeldFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the ledger says now of one case's money on one account.

    `amounts`: under each rule, held money included; a figure named in `unknown` was cut short and
    counts for nothing. `balance_minor`: known balance, held money included. `held_by_all_minor`:
    active orders of all cases there.
    """

    located_minor: int
    held_minor: int
    amounts: RuleAmounts
    unknown: tuple[str, ...]
    trade: Trade
    verdict: Verdict
    history_missing: bool
    balance_minor: int
    held_by_all_minor: int
    cases_on_account: int

    @property
    def traced_minor(self) -> int:
        """The case's money here under the centre's own rule."""
        return self.located_minor + self.held_minor

    @property
    def in_doubt(self) -> bool:
        """Whether the least amount counts."""
        return self.verdict.likely_innocent or self.history_missing


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """The most that may stand of what went out by itself, and why it is less than before."""

    amount_minor: int
    in_doubt: bool
    why: tuple[str, ...]


def keep(facts: HeldFacts, *, active_minor: int, floor_minor: int, known_innocent: bool) -> Kept:
    """What may stay of `active_minor`, ordered and held by itself for the case on the account.

    Never more than is traced. In doubt: the least of the figures known. The living floor is
    left free once, when the holder first turns out to be likely innocent: `known_innocent` had
    theirs when the order was written, and what they have spent since is their own affair.
    """
    most = min(active_minor, facts.traced_minor)
    why: list[str] = []
    if most < active_minor:
        why.append("less is traced to this account than before")
    if not facts.in_doubt:
        return Kept(amount_minor=most, in_doubt=False, why=tuple(why))
    least = min([most, *_known(facts)])
    if least < most:
        why.append("the least amount of the rules is smaller now")
    if facts.verdict.likely_innocent and not known_innocent:
        why.append("the holder looks like honest commerce now")
        spare = facts.balance_minor - facts.held_by_all_minor - floor_minor
        least = max(min(least, active_minor + spare), 0)
    return Kept(amount_minor=least, in_doubt=True, why=tuple(why))


def _known(facts: HeldFacts) -> list[int]:
    """The figures that no limit cut short."""
    amounts = {
        "fifo": facts.amounts.fifo,
        "lifo": facts.amounts.lifo,
        "pro-rata": facts.amounts.pro_rata,
        "opening-unknown": facts.amounts.opening_unknown,
    }
    return [amount for name, amount in amounts.items() if name not in facts.unknown]
