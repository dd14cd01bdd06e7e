"""Stage tracing: which open cases must be traced together, and what the centre knows of each.

Two cases are linked when their money, or an origin of one and money of the other, stood on one
account. Never follows money itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import msgspec

from openaoc.tracing.model import HoldKind


class CaseClaim(msgspec.Struct, frozen=True, kw_only=True):
    """One origin of an open case.

    `filed` orders the claims of all cases by the time of filing (a sequence of the store that
    keeps them); a tie goes by case key and then by place in the list.
    """

    row: int
    amount_minor: int | None = None
    filed: int


class CaseHold(msgspec.Struct, frozen=True, kw_only=True):
    """What an institution did for a case on an account, at `at_us` (by the institution's clock).

    `order` is the hold order it belongs to; `sequence` decides between events of one instant.
    """

    order: str
    kind: HoldKind
    at_us: int
    account: int
    amount_minor: int
    sequence: int
    transfer_row: int | None = None


class CaseFile(msgspec.Struct, frozen=True, kw_only=True):
    """All that tracing must know of one case."""

    key: str
    claims: tuple[CaseClaim, ...]
    holds: tuple[CaseHold, ...] = ()


class Links:
    """The open cases' files and the accounts each one's money stood on when last traced.

    Not thread-safe: the service guards it.
    """

    def __init__(self) -> None:
        self.files: dict[str, CaseFile] = {}
        self._accounts: dict[str, frozenset[int]] = {}
        self._cases: dict[int, set[str]] = defaultdict(set)

    def put(self, file: CaseFile) -> None:
        """Keep this as what is known of the case."""
        self.files[file.key] = file

    def drop(self, key: str) -> None:
        """Forget a case."""
        self.files.pop(key, None)
        self.touch(key, ())
        self._accounts.pop(key, None)

    def touch(self, key: str, accounts: Iterable[int]) -> None:
        """Replace the accounts the case's money stood on."""
        fresh = frozenset(accounts)
        for account in self._accounts.get(key, frozenset()) - fresh:
            self._cases[account].discard(key)
            if not self._cases[account]:
                del self._cases[account]
        for account in fresh:
            self._cases[account].add(key)
        self._accounts[key] = fresh

    def accounts(self, key: str) -> frozenset[int]:
        """The accounts the case's money stood on when it was last traced."""
        return self._accounts.get(key, frozenset())

    def on(self, accounts: Iterable[int]) -> set[str]:
        """The cases known to have touched one of the accounts."""
        found: set[str] = set()
        for account in accounts:
            found |= self._cases.get(account, set())
        return found


def in_filing_order(files: Sequence[CaseFile]) -> list[tuple[int, CaseClaim]]:
    """The claims of all files with the place of their file, in order of filing."""
    keyed = [
        (claim.filed, file.key, place, number, claim)
        for number, file in enumerate(files)
        for place, claim in enumerate(file.claims)
    ]
    keyed.sort(key=lambda item: item[:3])
    return [(number, claim) for *_, number, claim in keyed]


def in_acting_order(files: Sequence[CaseFile]) -> list[tuple[int, CaseHold]]:
    """The hold events of all files with the place of their file, in order of action."""
    keyed = [
        (hold.at_us, hold.sequence, file.key, place, number, hold)
        for number, file in enumerate(files)
        for place, hold in enumerate(file.holds)
    ]
    keyed.sort(key=lambda item: item[:4])
    return [(number, hold) for *_, number, hold in keyed]
