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
from typing import Final, Protocol

import msgspec

from openaoc.kernel.clock import from_us, to_us
from openaoc.kernel.errors import NotFound
from openaoc.ledger.arrays import LedgerArrays
from openaoc.tracing.conduct import Conduct, conduct
from openaoc.tracing.group import Doubt, Group
from openaoc.tracing.links import CaseClaim, CaseFile, CaseHold, Links
from openaoc.tracing.model import BadOrigin, CaseTrace, Claim, Rule, Trace, TraceLimits
from openaoc.tracing.names import (
    AccountNameLike,
    EndOfLedger,
    ExitSide,
    exit_sides,
    to_document,
)
from openaoc.tracing.prepare import check_origin

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


class LocatedLook(msgspec.Struct, frozen=True, kw_only=True):
    """A case's money on one account: what a hold may rest on.

    `amount_minor` is free money under the centre's rule; `held_minor` is held for this case
    already. Never order what is `returned` or on a `hub`. How sure it is: `Tracing.doubt`.
    """

    account_index: int
    bank: str
    account: str
    currency: str
    amount_minor: int
    held_minor: int
    layer: int
    received_at: datetime
    returned: bool
    hub: bool


class ExcessHold(msgspec.Struct, frozen=True, kw_only=True):
    """What a hold of an order did not find: to be released at once."""

    order: str
    amount_minor: int


class CaseLook(msgspec.Struct, frozen=True, kw_only=True):
    """A case's trace for the centre's own use.

    `exits`: one for each of `numbers.exited`. `linked`: open cases that share accounts with this
    one, directly or through others, whose figures this trace may change. `inferred_under_hold`:
    (bank, account) that sent money unseen while a hold of the case stood. `group`: those traced
    with it.
    """

    case: str
    numbers: CaseTrace
    located: tuple[LocatedLook, ...]
    exits: tuple[ExitSide, ...]
    excess: tuple[ExcessHold, ...]
    inferred_under_hold: tuple[tuple[str, str], ...]
    linked: tuple[str, ...]
    group: Group
    named: Callable[[], Trace]

    @property
    def trace(self) -> Trace:
        """The document with the names of all transfers; made when it is asked for."""
        return self.named()


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
    ) -> None:
        self.rule = rule
        self._ledger = ledger
        self._names = _Names(ledger)
        self._hubs = hubs
        self._limits = limits or TraceLimits()
        self._links = Links()
        self._lock = threading.RLock()
        self._end = EndOfLedger()
        self._distrusted = threading.Event()
        self._groups: dict[str, Group] = {}
        """By case: the group it was last traced with."""

    def check(self, claims: Sequence[CaseClaim]) -> None:
        """Check claims about to be filed.

        Raises BadOrigin for a self-transfer, a claim above the transfer, or mixed currencies.
        """
        with self._ledger.reading() as arrays:
            _check(arrays, claims, self._ledger)

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

        Raises BadOrigin as `check` does.
        """
        self.check(claims)
        file = CaseFile(key=case_key, claims=tuple(claims), holds=tuple(holds))
        with self._lock:
            return self._look(file, at=None, rule=self.rule)

    def doubt(self, look: CaseLook, account_index: int) -> Doubt:
        """How sure a looked-at amount is: traced by the other rules only when this is asked.

        The figures are bounded (group.DOUBT_LIMITS) and kept as long as the group stands.
        """
        with self._lock:
            return look.group.doubt(self._ledger.reading, look.case, account_index)

    def doubt_held(self, look: CaseLook, account_index: int) -> Doubt:
        """As `doubt`, of free and held money together: for holds that stand already."""
        with self._lock:
            return look.group.doubt(self._ledger.reading, look.case, account_index, with_held=True)

    def settle(self) -> int:
        """Trace what has changed since it was last traced; how many groups.

        Called before others are made to wait for a look, so that the look finds little to do.
        Nobody waits for more than one group.
        """
        with self._lock:
            stale = self._stale()
        settled = 0
        for key in stale[:SETTLED_TOGETHER_MAX]:
            with self._lock, self._ledger.reading() as arrays:
                file = self._links.files.get(key)
                if file is not None and self._links.is_stale(key):
                    self._close(arrays, file)
                    settled += 1
        return settled

    def conduct(self, account_index: int, *, before: datetime) -> Conduct:
        """How the account behaved before a moment: payers, trade, speed, exits."""
        with self._ledger.reading() as arrays:
            return conduct(arrays, account_index, before_us=to_us(before))

    def _file(self, case_key: str) -> CaseFile:
        file = self._links.files.get(case_key)
        if file is None:
            raise NotFound(f"case {case_key} is not open in the tracing service")
        return file

    def _look(self, file: CaseFile, *, at: datetime | None, rule: Rule) -> CaseLook:
        self._settle_others(file)
        with self._ledger.reading() as arrays:
            group = self._group(arrays, file)
            if at is not None or rule is not self.rule:
                at_us = None if at is None else to_us(at)
                group = self._traced(arrays, group.files, rule=rule, at_us=at_us, whole=group.whole)
            numbers = group.of(file.key)
            sides = exit_sides(numbers, arrays)
            end_us = self._end.of(arrays) if group.at_us is None else group.at_us
            payer = int(arrays.debtor[file.claims[0].row])
        if not group.whole:
            numbers = msgspec.structs.replace(numbers, truncated="cases")
        return CaseLook(
            case=file.key,
            numbers=numbers,
            located=tuple(self._located(numbers)),
            exits=tuple(sides),
            excess=tuple(
                ExcessHold(order=group.orders[item.hold], amount_minor=item.amount_minor)
                for item in numbers.excess
            ),
            inferred_under_hold=tuple(
                ((name := self._ledger.account(account)).bank, name.account)
                for account in numbers.inferred_under_hold
            ),
            linked=group.linked(file.key),
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
                with self._ledger.reading() as arrays:
                    self._close(arrays, self._links.files[key])

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
        group = Group(arrays, files, rule=rule, hubs=self._hubs, limits=self._limits, at_us=at_us)
        group.whole = whole
        return group


def _check(arrays: LedgerArrays, claims: Sequence[CaseClaim], ledger: LedgerLike) -> None:
    currencies = set()
    for place, claim in enumerate(claims):
        where = f"claim {place}"
        check_origin(arrays, Claim(claim.row, claim.amount_minor), at_us=None, where=where)
        currencies.add(ledger.account(int(arrays.debtor[claim.row])).currency)
    if len(currencies) > 1:
        raise BadOrigin(f"origins in {' and '.join(sorted(currencies))}")
