"""Stage tracing: where the money of an open case is now, and how sure that is.

In full view of every other open case and every hold. Never orders anything; never stores: cases
and holds are registered again at each start.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Final, Protocol

import msgspec
import numpy as np

from openaoc.kernel.clock import from_us, to_us
from openaoc.kernel.errors import NotFound
from openaoc.ledger.arrays import LedgerArrays
from openaoc.tracing.conduct import Conduct, conduct
from openaoc.tracing.engine import trace_cases
from openaoc.tracing.links import (
    CaseClaim,
    CaseFile,
    CaseHold,
    Links,
    in_acting_order,
    in_filing_order,
)
from openaoc.tracing.model import BadOrigin, CaseTrace, Claim, HoldEvent, Rule, Trace, TraceLimits
from openaoc.tracing.names import AccountNameLike, EndOfLedger, exit_sides, to_document
from openaoc.tracing.prepare import check_origin

GROUP_CASES_MAX: Final = 2_000
"""Linked cases traced together; beyond it the trace says `truncated: "cases"`."""

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


class Doubt(msgspec.Struct, frozen=True, kw_only=True):
    """How sure the amount on one account is: a case's free money there under each rule.

    `opening_unknown_minor`: under the centre's rule, with every opening balance unknown.
    """

    fifo_minor: int
    lifo_minor: int
    pro_rata_minor: int
    opening_unknown_minor: int

    @property
    def least_minor(self) -> int:
        """The smallest of them: what may go out where doubt favours the holder."""
        return min(
            self.fifo_minor, self.lifo_minor, self.pro_rata_minor, self.opening_unknown_minor
        )


class LocatedLook(msgspec.Struct, frozen=True, kw_only=True):
    """A case's money on one account: what a hold may rest on.

    `amount_minor` is free money under the centre's rule; `held_minor` is held for this case
    already. Never order what is `returned` or on a `hub`.
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
    doubt: Doubt


class ExcessHold(msgspec.Struct, frozen=True, kw_only=True):
    """What a hold of an order did not find: to be released at once."""

    order: str
    amount_minor: int


class CaseLook(msgspec.Struct, frozen=True, kw_only=True):
    """A case's trace for the centre's own use.

    `linked`: open cases that share accounts with this one, whose figures this trace may change.
    `inferred_under_hold`: (bank, account) that sent money unseen while a hold of the case stood.
    """

    case: str
    trace: Trace
    numbers: CaseTrace
    located: tuple[LocatedLook, ...]
    excess: tuple[ExcessHold, ...]
    inferred_under_hold: tuple[tuple[str, str], ...]
    linked: tuple[str, ...]


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

    def set_hubs(self, accounts: frozenset[int]) -> None:
        """The pooled accounts by number: money stays located there."""
        with self._lock:
            self._hubs = accounts
            self._links.distrust()

    def distrust(self) -> None:
        """Trace everything again when next asked: a correction may have moved a transfer in time.

        Other changes of the ledger are noticed without it.
        """
        with self._lock:
            self._links.distrust()
            self._end = EndOfLedger()

    def registered(self) -> tuple[str, ...]:
        """The keys of the open cases."""
        with self._lock:
            return tuple(self._links.files)

    def trace(
        self, case_key: str, *, at: datetime | None = None, rule: Rule | None = None
    ) -> Trace:
        """A registered case's trace with names. Raises NotFound for a case that is not."""
        with self._lock:
            file = self._file(case_key)
            return self._look(file, at=at, rule=rule or self.rule, doubt=False).trace

    def look(self, case_key: str, *, at: datetime | None = None) -> CaseLook:
        """A registered case's trace with the doubt about each amount.

        Raises NotFound for a case that is not registered.
        """
        with self._lock:
            return self._look(self._file(case_key), at=at, rule=self.rule, doubt=True)

    def preview(
        self, case_key: str, claims: Sequence[CaseClaim], holds: Sequence[CaseHold] = ()
    ) -> CaseLook:
        """As `look`, for claims that are not registered (yet): inside a transaction that may fail.

        Raises BadOrigin as `check` does.
        """
        self.check(claims)
        file = CaseFile(key=case_key, claims=tuple(claims), holds=tuple(holds))
        with self._lock:
            return self._look(file, at=None, rule=self.rule, doubt=True)

    def conduct(self, account_index: int, *, before: datetime) -> Conduct:
        """How the account behaved before a moment: payers, trade, speed, exits."""
        with self._ledger.reading() as arrays:
            return conduct(arrays, account_index, before_us=to_us(before))

    def _file(self, case_key: str) -> CaseFile:
        file = self._links.files.get(case_key)
        if file is None:
            raise NotFound(f"case {case_key} is not open in the tracing service")
        return file

    def _look(self, file: CaseFile, *, at: datetime | None, rule: Rule, doubt: bool) -> CaseLook:
        at_us = None if at is None else to_us(at)
        with self._ledger.reading() as arrays:
            run, whole = self._group(arrays, file)
            if at_us is not None:
                run = _Run(arrays, run.group, hubs=self._hubs, limits=self._limits, at_us=at_us)
            numbers = run.trace(rule)
            sides = exit_sides(numbers, arrays)
            doubts = run.doubts(rule, numbers) if doubt else {}
            end_us = self._end.of(arrays) if at_us is None else at_us
            payer = int(arrays.debtor[file.claims[0].row])
        if not whole:
            numbers = msgspec.structs.replace(numbers, truncated="cases")
        document = to_document(
            numbers,
            sides,
            self._names,
            rule=rule,
            at_us=end_us,
            currency=self._ledger.account(payer).currency,
        )
        return CaseLook(
            case=file.key,
            trace=document,
            numbers=numbers,
            located=tuple(self._located(numbers, doubts)) if doubt else (),
            excess=tuple(
                ExcessHold(order=run.orders[item.hold], amount_minor=item.amount_minor)
                for item in numbers.excess
            ),
            inferred_under_hold=tuple(
                ((name := self._ledger.account(account)).bank, name.account)
                for account in numbers.inferred_under_hold
            ),
            linked=tuple(other.key for other in run.group[1:]),
        )

    def _located(self, numbers: CaseTrace, doubts: dict[int, Doubt]) -> list[LocatedLook]:
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
                doubt=doubts[item.account],
            )
            looks.append(look)
        return sorted(looks, key=lambda x: (-x.amount_minor, x.bank, x.account))

    def _group(self, arrays: LedgerArrays, file: CaseFile) -> tuple[_Run, bool]:
        """The case and every open case it is linked with, directly or through others, traced.

        And whether they are all: past GROUP_CASES_MAX the rest is left out.
        """
        for key in self._links.stale(arrays):
            if key != file.key and self._links.is_stale(key):
                self._close(arrays, self._links.files[key])
        return self._close(arrays, file)

    def _close(self, arrays: LedgerArrays, file: CaseFile) -> tuple[_Run, bool]:
        """Trace, add the cases on the accounts that were reached, and again until none is new."""
        group = {file.key: file}
        while True:
            members = list(group.values())
            run = _Run(arrays, members, hubs=self._hubs, limits=self._limits, at_us=None)
            reached: set[int] = set()
            for member, accounts in zip(members, run.reached(self.rule), strict=True):
                reached |= accounts
                if self._links.files.get(member.key) is member:
                    self._links.touch(member.key, accounts, arrays)
            new = self._links.on(reached) - group.keys()
            room = GROUP_CASES_MAX - len(group)
            if not new or room <= 0:
                return run, not new
            for key in sorted(new)[:room]:
                group[key] = self._links.files[key]


class _Run:
    """Traces of one group of cases; the case asked about is number 0."""

    def __init__(
        self,
        arrays: LedgerArrays,
        group: Sequence[CaseFile],
        *,
        hubs: frozenset[int],
        limits: TraceLimits,
        at_us: int | None,
    ) -> None:
        self.group = group
        self._arrays, self._hubs, self._limits, self._at_us = arrays, hubs, limits, at_us
        self._known: dict[tuple[Rule, bool], list[CaseTrace]] = {}
        self._claims = [
            Claim(claim.row, claim.amount_minor, case) for case, claim in in_filing_order(group)
        ]
        acting = in_acting_order(group)
        self.orders = [hold.order for _, hold in acting]
        self._holds = [
            HoldEvent(
                kind=hold.kind,
                at_us=hold.at_us,
                case=case,
                account=hold.account,
                amount_minor=hold.amount_minor,
                transfer_row=hold.transfer_row,
            )
            for case, hold in acting
        ]

    def trace(self, rule: Rule, *, openings_unknown: bool = False) -> CaseTrace:
        """The trace of the case asked about."""
        return self._trace_all(rule, openings_unknown=openings_unknown)[0]

    def _trace_all(self, rule: Rule, *, openings_unknown: bool = False) -> list[CaseTrace]:
        """The traces of all cases of the group; each is made once."""
        asked = (rule, openings_unknown)
        if asked not in self._known:
            self._known[asked] = trace_cases(
                self._arrays,
                self._claims,
                rule=rule,
                at_us=self._at_us,
                holds=self._holds,
                hubs=self._hubs,
                openings_unknown=openings_unknown,
                limits=self._limits,
            )
        return self._known[asked]

    def reached(self, rule: Rule) -> list[frozenset[int]]:
        """By case: the accounts its money stood on or its origins were charged to; no hub."""
        arrays, found = self._arrays, []
        charged: list[set[int]] = [set() for _ in range(len(self.group))]
        for claim in self._claims:
            charged[claim.case].add(int(arrays.debtor[claim.row]))
        for case, trace in enumerate(self._trace_all(rule)):
            rows = np.array([item.row for item in trace.transfers], np.int64)
            ends = np.concatenate([arrays.debtor[rows], arrays.creditor[rows]])
            found.append(frozenset(charged[case].union(ends[ends >= 0].tolist()) - self._hubs))
        return found

    def doubts(self, rule: Rule, numbers: CaseTrace) -> dict[int, Doubt]:
        """For each located account the amount under each rule and with openings unknown."""
        traces = {other: self.trace(other) for other in Rule if other is not rule}
        traces[rule] = numbers
        free = {
            other: {item.account: item.amount_minor for item in trace.located}
            for other, trace in traces.items()
        }
        unknown = {
            item.account: item.amount_minor
            for item in self.trace(rule, openings_unknown=True).located
        }
        return {
            item.account: Doubt(
                fifo_minor=free[Rule.FIFO].get(item.account, 0),
                lifo_minor=free[Rule.LIFO].get(item.account, 0),
                pro_rata_minor=free[Rule.PRO_RATA].get(item.account, 0),
                opening_unknown_minor=unknown.get(item.account, 0),
            )
            for item in numbers.located
        }


def _check(arrays: LedgerArrays, claims: Sequence[CaseClaim], ledger: LedgerLike) -> None:
    currencies = set()
    for place, claim in enumerate(claims):
        where = f"claim {place}"
        check_origin(arrays, Claim(claim.row, claim.amount_minor), at_us=None, where=where)
        currencies.add(ledger.account(int(arrays.debtor[claim.row])).currency)
    if len(currencies) > 1:
        raise BadOrigin(f"origins in {' and '.join(sorted(currencies))}")
