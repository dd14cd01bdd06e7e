"""Stage tracing: where the money of an open case is now, and how sure that is.

In full view of every other open case and every hold. Never orders anything; never stores: cases
and holds are registered again at each start.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Final, Protocol, TypeVar

import msgspec

from openaoc.kernel.clock import from_us, to_us
from openaoc.kernel.errors import NotFound
from openaoc.ledger.archive import Archive, NotAtHand
from openaoc.ledger.arrays import LedgerArrays
from openaoc.tracing.across import View, account_view, origins_view
from openaoc.tracing.conduct import CONDUCT_TRANSFERS_MAX, Conduct, conduct
from openaoc.tracing.flows import Flows, flows
from openaoc.tracing.group import Doubt, Group
from openaoc.tracing.links import CaseClaim, CaseFile, CaseHold, Links
from openaoc.tracing.looks import CaseLook, ExcessHold, LocatedLook
from openaoc.tracing.model import BadOrigin, CaseTrace, Claim, Rule, Trace, TraceLimits
from openaoc.tracing.names import (
    AccountNameLike,
    EndOfLedger,
    to_document,
)
from openaoc.tracing.prepare import check_origin

ALWAYS_US: Final = 2**62
T = TypeVar("T")
GROUP_CASES_MAX: Final = 2_000
"""Linked cases traced together; beyond it the trace says `truncated: "cases"`."""
GROUPS_KEPT_MAX: Final = 20_000
"""Cases whose last trace is kept until something on its accounts changes."""
SETTLED_TOGETHER_MAX: Final = 100
"""Changed groups traced ahead of one look."""

__all__ = [
    "CaseClaim",
    "CaseHold",
    "CaseLook",
    "Doubt",
    "ExcessHold",
    "LocatedLook",
    "Tracing",
]


class TransferLike(Protocol):
    """What is needed of a transfer."""

    @property
    def transfer_id(self) -> str:
        """The reporter's id of it."""
        ...


class LedgerLike(Protocol):
    """What is needed of the centre's ledger."""

    def reading(self) -> AbstractContextManager[LedgerArrays]:
        """Arrays that stay consistent inside the block."""
        ...

    def account(self, index: int, /) -> AccountNameLike:
        """The name of an account number."""
        ...

    def transfer(self, row: int, /) -> TransferLike:
        """The transfer in a row."""
        ...


class _Names:
    """The ledger's names, as documents need them."""

    def __init__(self, ledger: LedgerLike) -> None:
        self._ledger = ledger

    def account(self, index: int, /) -> AccountNameLike:
        return self._ledger.account(index)

    def transfer_id(self, row: int, /) -> str:
        return self._ledger.transfer(row).transfer_id


class Tracing:
    """The claims and holds of all open cases, and the traces that follow from them.

    Safe for many threads. A trace is a function of the ledger and of what is registered, never of
    the order in which it was registered.
    """

    def __init__(
        self,
        ledger: LedgerLike,
        *,
        rule: Rule = Rule.FIFO,
        hubs: frozenset[int] = frozenset(),
        limits: TraceLimits | None = None,
        archive: Archive | None = None,
    ) -> None:
        self.rule = rule
        self._ledger, self._archive = ledger, archive
        self._names = _Names(ledger)
        self._hubs = hubs
        self._limits = limits or TraceLimits()
        self._links = Links()
        self._lock = threading.RLock()
        self._end = EndOfLedger()
        self._distrusted = threading.Event()
        self._groups: dict[str, Group] = {}
        """By case: the group it was last traced with."""
        self._renewed: set[str] = set()
        """Cases traced anew since `renewed` was last asked."""

    def check(self, claims: Sequence[CaseClaim]) -> None:
        """Check claims about to be filed.

        Raises BadOrigin for a self-transfer, a claim above the transfer, or mixed currencies.
        """

        def attempt() -> None:
            with self._ledger.reading() as arrays:
                _check(origins_view(arrays, self._archive, [c.row for c in claims]), claims, ledger)

        ledger = self._ledger
        self._fetching(attempt)

    def register(
        self, case_key: str, claims: Sequence[CaseClaim], holds: Sequence[CaseHold] = ()
    ) -> None:
        """Keep these as the open case's claims and hold events, in place of what was known.

        Raises BadOrigin without a claim: a case is traced from its origins.
        """
        if not claims:
            raise BadOrigin(f"case {case_key} has no claim")
        with self._lock:
            self._links.put(CaseFile(key=case_key, claims=tuple(claims), holds=tuple(holds)))

    def record(self, case_key: str, hold: CaseHold) -> None:
        """Add a hold event to a registered case. Raises NotFound for a case that is not."""
        with self._lock:
            file = self._file(case_key)
            self._links.put(msgspec.structs.replace(file, holds=(*file.holds, hold)))

    def forget(self, case_key: str) -> None:
        """Take a closed case out: its claims mark nothing any more."""
        with self._lock:
            self._links.drop(case_key)
            self._groups.pop(case_key, None)
            self._renewed.discard(case_key)

    def set_hubs(self, accounts: frozenset[int]) -> None:
        """The pooled accounts by number: money stays located there."""
        with self._lock:
            self._hubs = accounts
            self._links.distrust()

    def cases_on(self, accounts: frozenset[int]) -> list[str]:
        """The open cases whose money, when last traced, stood on one of these accounts."""
        with self._lock:
            found = self._links.on(accounts)
            for key, group in self._groups.items():
                # Money that rests at a pooled account is in no link: there it ends.
                if any(item.account in accounts for item in group.of(key).located):
                    found.add(key)
        return sorted(found)

    def distrust(self) -> None:
        """Trace everything again when next asked: a transfer was corrected.

        Other changes of the ledger are noticed without it. Never waits for a trace.
        """
        self._distrusted.set()

    def registered(self) -> tuple[str, ...]:
        """The keys of the open cases."""
        with self._lock:
            return tuple(self._links.files)

    def trace(
        self, case_key: str, *, at: datetime | None = None, rule: Rule | None = None
    ) -> Trace:
        """A registered case's trace with names. Raises NotFound for a case that is not."""
        with self._lock:
            look = self._look(self._file(case_key), at=at, rule=rule or self.rule)
        return look.trace

    def look(self, case_key: str, *, at: datetime | None = None) -> CaseLook:
        """A registered case's trace. Raises NotFound for a case that is not registered."""
        with self._lock:
            return self._look(self._file(case_key), at=at, rule=self.rule)

    def preview(
        self, case_key: str, claims: Sequence[CaseClaim], holds: Sequence[CaseHold] = ()
    ) -> CaseLook:
        """As `look`, for claims that are not registered (yet): inside a transaction that may fail.

        They were checked when they were filed; what was corrected since caps them.
        """
        file = CaseFile(key=case_key, claims=tuple(claims), holds=tuple(holds))
        with self._lock:
            return self._look(file, at=None, rule=self.rule)

    def doubt(self, look: CaseLook, account_index: int) -> Doubt:
        """How sure a looked-at amount is: traced by the other rules only when this is asked.

        The figures are bounded (group.DOUBT_LIMITS) and kept as long as the group stands.
        """
        with self._lock:
            reading = self._ledger.reading
            return self._fetching(lambda: look.group.doubt(reading, look.case, account_index))

    def doubt_held(self, look: CaseLook, account_index: int) -> Doubt:
        """As `doubt`, of free and held money together: for holds that stand already."""
        with self._lock:
            reading, group = self._ledger.reading, look.group
            return self._fetching(
                lambda: group.doubt(reading, look.case, account_index, with_held=True)
            )

    def unchanged(self, case_keys: Sequence[str]) -> dict[str, CaseTrace]:
        """Of these registered cases those whose last trace still stands, with it."""
        with self._lock:
            self._stale()
            found = {}
            for key in case_keys:
                group = self._groups.get(key)
                if key in self._links.files and group is not None and self._stands(group):
                    found[key] = group.of(key)
            return found

    def settle(self) -> int:
        """Trace what has changed since it was last traced; how many groups.

        Called before others are made to wait for a look, so that the look finds little to do.
        Nobody waits for more than one group.
        """
        with self._lock:
            stale = self._stale()
        settled = 0
        for key in stale[:SETTLED_TOGETHER_MAX]:
            with self._lock:
                settled += self._fetching(functools.partial(self._settle, key))
        return settled

    def renewed(self) -> dict[str, CaseTrace]:
        """The open cases traced anew since this was last asked, with their traces."""
        with self._lock:
            asked, self._renewed = self._renewed, set()
            return {key: self._groups[key].of(key) for key in asked if key in self._groups}

    def _settle(self, key: str) -> int:
        with self._ledger.reading() as arrays:
            file = self._links.files.get(key)
            if file is None or not self._links.is_stale(key):
                return 0
            self._close(arrays, file)
            return 1

    def _fetching(self, attempt: Callable[[], T]) -> T:
        """What `attempt` returns; cold transfers it lacks are fetched outside of its reading."""
        while True:
            try:
                return attempt()
            except NotAtHand as lacking:
                assert self._archive is not None, "only an archive says what is not at hand"
                self._archive.fetch(lacking.accounts, lacking.sequences, beside=lacking.beside)

    def conduct(self, account_index: int, *, before: datetime) -> Conduct:
        """How the account behaved before a moment: payers, trade, speed, exits."""
        before_us = to_us(before)
        return self.account_history(
            account_index,
            lambda arrays, number: conduct(arrays, number, before_us=before_us),
            before_us=before_us,
        )

    def flows(self, account_index: int, *, before: datetime) -> Flows:
        """What came to the account and left it before a moment, the newest of each."""
        before_us = to_us(before)
        return self.account_history(
            account_index,
            lambda arrays, number: flows(arrays, number, before_us=before_us),
            before_us=before_us,
        )

    def account_history(
        self,
        account_index: int,
        read: Callable[[LedgerArrays, int], T],
        *,
        before_us: int = ALWAYS_US,
    ) -> T:
        """What `read` finds in arrays and its number there: all that is known of one account.

        At least its newest CONDUCT_TRANSFERS_MAX transfers each way before a moment.
        """

        def attempt() -> T:
            with self._ledger.reading() as arrays:
                found = account_view(
                    arrays,
                    self._archive,
                    account_index,
                    rows_max=CONDUCT_TRANSFERS_MAX,
                    before_us=before_us,
                )
                return read(*found)

        return self._fetching(attempt)

    def _file(self, case_key: str) -> CaseFile:
        file = self._links.files.get(case_key)
        if file is None:
            raise NotFound(f"case {case_key} is not open in the tracing service")
        return file

    def _look(self, file: CaseFile, *, at: datetime | None, rule: Rule) -> CaseLook:
        self._settle_others(file)
        group, end_us, sent = self._fetching(lambda: self._read_group(file, at=at, rule=rule))
        numbers, sides = group.of(file.key), group.exits(file.key)
        payer = group.payer(file.key)
        if not group.whole:
            numbers = msgspec.structs.replace(numbers, truncated="cases")
        return CaseLook(
            case=file.key,
            numbers=numbers,
            located=tuple(self._located(numbers)),
            exits=sides,
            excess=tuple(
                ExcessHold(order=group.orders[item.hold], amount_minor=item.amount_minor)
                for item in numbers.excess
            ),
            inferred_under_hold=tuple(
                ((name := self._ledger.account(account)).bank, name.account)
                for account in numbers.inferred_under_hold
            ),
            linked=group.linked(file.key),
            sent=sent,
            group=group,
            named=functools.partial(
                to_document,
                numbers,
                sides,
                self._names,
                rule=rule,
                at_us=end_us,
                currency=self._ledger.account(payer).currency,
            ),
        )

    def _read_group(
        self, file: CaseFile, *, at: datetime | None, rule: Rule
    ) -> tuple[Group, int, tuple[tuple[int, int], ...]]:
        """The case's group traced, the moment (µs) that is told for, and CaseLook.sent."""
        with self._ledger.reading() as arrays:
            group = self._group(arrays, file)
            if at is not None or rule is not self.rule:
                at_us = None if at is None else to_us(at)
                group = self._traced(arrays, group.files, rule=rule, at_us=at_us, whole=group.whole)
            resting = [item.account for item in group.of(file.key).located if not item.hub]
            sent = tuple(zip(resting, arrays.out_len[resting].tolist(), strict=True))
            if group.at_us is not None:
                return group, group.at_us, sent
            cold_us = self._archive.last_us if self._archive else 0
            return group, max(self._end.of(arrays), cold_us), sent

    def _located(self, numbers: CaseTrace) -> list[LocatedLook]:
        held = {item.account: item.amount_minor for item in numbers.held}
        looks = []
        for item in numbers.located:
            name = self._ledger.account(item.account)
            look = LocatedLook(
                account_index=item.account,
                bank=name.bank,
                account=name.account,
                currency=name.currency,
                amount_minor=item.amount_minor,
                held_minor=held.get(item.account, 0),
                layer=item.layer,
                received_at=from_us(item.received_at_us),
                returned=item.returned,
                hub=item.hub,
            )
            looks.append(look)
        return sorted(looks, key=lambda x: (-x.amount_minor, x.bank, x.account))

    def _stale(self) -> list[str]:
        """The cases that must be traced again."""
        if self._distrusted.is_set():
            # Cleared first: a correction that comes now is seen at the next look.
            self._distrusted.clear()
            self._links.distrust()
            self._end = EndOfLedger()
        with self._ledger.reading() as arrays:
            return self._links.stale(arrays)

    def _settle_others(self, file: CaseFile) -> None:
        """Trace again what changed, one group to a reading: a trace must not keep transfers out.

        What changes meanwhile is few, and left to the reading of the look itself.
        """
        for key in self._stale():
            if key != file.key and self._links.is_stale(key):
                self._fetching(functools.partial(self._settle, key))

    def _group(self, arrays: LedgerArrays, file: CaseFile) -> Group:
        """The case and every open case it is linked with, directly or through others, traced.

        The trace of before where none of them has changed since.
        """
        for key in self._links.stale(arrays):
            if key != file.key and self._links.is_stale(key):
                self._close(arrays, self._links.files[key])
        known = self._groups.get(file.key)
        if known is not None and self._stands(known):
            return known
        return self._close(arrays, file)

    def _stands(self, group: Group) -> bool:
        """Whether the group's cases are as they were, and so is all they stood on."""
        links = self._links
        return all(
            links.files.get(file.key) is file and not links.is_stale(file.key)
            for file in group.files
        )

    def _close(self, arrays: LedgerArrays, file: CaseFile) -> Group:
        """Trace, add the cases on the accounts that were reached, and again until none is new.

        Begins with those that were linked when last traced: mostly they still are. One that is not
        any more changes nothing, and is left out the next time.
        """
        files = {file.key: file}
        new = self._links.component(file.key) - files.keys()
        while True:
            room = GROUP_CASES_MAX - len(files)
            for key in sorted(new)[:room]:
                files[key] = self._links.files[key]
            group = self._traced(arrays, list(files.values()), rule=self.rule, at_us=None)
            found = self._links.on(set().union(*group.reached)) - files.keys()
            if not found or len(files) >= GROUP_CASES_MAX:
                break
            new = set().union(*(self._links.component(key) for key in found)) - files.keys()
        group.whole = not found
        if self._links.files.get(file.key) is file:  # else a preview: nobody relies on it
            self._keep(group, arrays)
        return group

    def _keep(self, group: Group, arrays: LedgerArrays) -> None:
        for member, stood_on in zip(group.files, group.reached, strict=True):
            self._links.touch(member.key, stood_on, arrays)
            self._groups.pop(member.key, None)
            self._groups[member.key] = group
            self._renewed.add(member.key)
        while len(self._groups) > GROUPS_KEPT_MAX:
            del self._groups[next(iter(self._groups))]

    def _traced(
        self,
        arrays: LedgerArrays,
        files: Sequence[CaseFile],
        *,
        rule: Rule,
        at_us: int | None,
        whole: bool = True,
    ) -> Group:
        group = Group(
            arrays,
            files,
            rule=rule,
            hubs=self._hubs,
            limits=self._limits,
            at_us=at_us,
            archive=self._archive,
        )
        group.whole = whole
        return group


def _check(view: View, claims: Sequence[CaseClaim], ledger: LedgerLike) -> None:
    currencies = set()
    for place, claim in enumerate(claims):
        where, row = f"claim {place}", view.row(claim.row)
        check_origin(view.arrays, Claim(row, claim.amount_minor), at_us=None, where=where)
        currencies.add(ledger.account(view.account(int(view.arrays.debtor[row]))).currency)
    if len(currencies) > 1:
        raise BadOrigin(f"origins in {' and '.join(sorted(currencies))}")
