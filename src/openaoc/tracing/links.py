"""Stage tracing: which open cases must be traced together, and what the centre knows of each.

Two cases are linked when their money, or an origin of one and money of the other, stood on one
account. Never follows money itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from openaoc.ledger.arrays import LedgerArrays
from openaoc.tracing.model import HoldKind

WATCH_SMALL: Final = 1024
"""Watched accounts there is room for to begin with."""


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
    """The open cases' files, and the accounts each one's money stood on when last traced.

    A case is stale when it was registered anew, or when one of its accounts has other transfers
    than it was traced with. Not thread-safe: the service guards it.
    """

    def __init__(self) -> None:
        self.files: dict[str, CaseFile] = {}
        self._accounts: dict[str, frozenset[int]] = {}
        self._cases: dict[int, set[str]] = defaultdict(set)
        self._stale: dict[str, None] = {}
        self._watch = Watch()

    def put(self, file: CaseFile) -> None:
        """Keep this as what is known of the case."""
        self.files[file.key] = file
        self._stale[file.key] = None

    def drop(self, key: str) -> None:
        """Forget a case; those it shared accounts with must be traced again."""
        if self.files.pop(key, None) is None:
            return
        for other in self.on(self._accounts.get(key, frozenset())) - {key}:
            self._stale[other] = None
        self._replace(key, frozenset())
        del self._accounts[key]
        self._stale.pop(key, None)
        self._watch.drop(key)

    def distrust(self) -> None:
        """All cases must be traced again: the ledger changed in a way nobody can see."""
        self._stale.update(dict.fromkeys(self.files))

    def touch(self, key: str, accounts: frozenset[int], arrays: LedgerArrays) -> None:
        """The case was traced just now, and its money stood on these accounts."""
        self._stale.pop(key, None)
        self._replace(key, accounts)
        self._watch.put(key, np.array(sorted(accounts), np.int64), arrays)

    def is_stale(self, key: str) -> bool:
        """Whether the case still waits to be traced again."""
        return key in self._stale

    def stale(self, arrays: LedgerArrays) -> list[str]:
        """The cases that must be traced again before their accounts can be relied on."""
        self._stale.update(dict.fromkeys(self._watch.changed(arrays)))
        return list(self._stale)

    def on(self, accounts: Iterable[int]) -> set[str]:
        """The cases known to have touched one of the accounts."""
        found: set[str] = set()
        for account in accounts:
            found |= self._cases.get(account, set())
        return found

    def component(self, key: str) -> set[str]:
        """The cases it was linked with when last traced, directly or through others; and itself.

        A case that was never traced, or is not open, is linked with none.
        """
        found = [key] if key in self.files else []
        seen = set(found)
        for member in found:
            fresh = self.on(self._accounts.get(member, frozenset())) - seen
            seen |= fresh
            found += sorted(fresh)
        return seen

    def _replace(self, key: str, fresh: frozenset[int]) -> None:
        known = self._accounts.get(key, frozenset())
        for account in known - fresh:
            self._cases[account].discard(key)
            if not self._cases[account]:
                del self._cases[account]
        for account in fresh - known:
            self._cases[account].add(key)
        self._accounts[key] = fresh


class Watch:
    """The accounts of many cases, and how long their lines were, in flat arrays.

    One pass over them finds the cases with an account that has changed.
    """

    def __init__(self) -> None:
        self._keys: list[str] = []
        self._slots: dict[str, int] = {}
        self._spans: dict[str, tuple[int, int]] = {}
        self._account = np.empty(WATCH_SMALL, np.int64)
        self._owner = np.empty(WATCH_SMALL, np.int64)
        self._told = np.empty(WATCH_SMALL, np.int64)
        self._end = 0
        self._live = 0

    def put(self, key: str, accounts: NDArray[np.int64], arrays: LedgerArrays) -> None:
        """Watch these accounts for the case, as they are now."""
        self.drop(key)
        count = len(accounts)
        if self._end + count > len(self._account):
            self._make_room(count)
        if key not in self._slots:
            self._slots[key] = len(self._keys)
            self._keys.append(key)
        start, end = self._end, self._end + count
        self._account[start:end] = accounts
        self._owner[start:end] = self._slots[key]
        self._told[start:end] = told(arrays, accounts)
        self._spans[key] = (start, end)
        self._end, self._live = end, self._live + count

    def drop(self, key: str) -> None:
        """Watch for the case no more."""
        start, end = self._spans.pop(key, (0, 0))
        self._owner[start:end] = -1
        self._live -= end - start

    def changed(self, arrays: LedgerArrays) -> list[str]:
        """The cases with an account whose line is not what it was."""
        owner = self._owner[: self._end]
        differs = told(arrays, self._account[: self._end]) != self._told[: self._end]
        differs &= owner >= 0
        return [self._keys[slot] for slot in np.unique(owner[differs]).tolist()]

    def _make_room(self, count: int) -> None:
        """Leave out what is dead, and keep at least half free."""
        size = max(WATCH_SMALL, 2 * (self._live + count))
        account, owner = np.empty(size, np.int64), np.empty(size, np.int64)
        found = np.empty(size, np.int64)
        spans: dict[str, tuple[int, int]] = {}
        end = 0
        for slot, (key, (first, last)) in enumerate(self._spans.items()):
            spans[key] = (end, end + last - first)
            owner[end : end + last - first] = slot
            end += last - first
        order = [place for first, last in self._spans.values() for place in range(first, last)]
        account[:end] = self._account[order]
        found[:end] = self._told[order]
        self._keys = list(spans)
        self._slots = {key: slot for slot, key in enumerate(self._keys)}
        self._account, self._owner, self._told = account, owner, found
        self._spans, self._end, self._live = spans, end, end


def told(arrays: LedgerArrays, accounts: NDArray[np.int64]) -> NDArray[np.int64]:
    """How often something was told of each account: a number that only grows.

    Every transfer that comes, however late, adds to two accounts; so do openings. Corrections may
    not: of those the service is told.
    """
    return arrays.out_len[accounts] + arrays.in_len[accounts] + arrays.unseen[accounts]


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
