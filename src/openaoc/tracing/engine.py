"""Stage tracing: follows the money of several cases at once by whichever kernel fits.

The one entrance to the kernels; the plain reference has the same signature.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from openaoc.ledger.arrays import EXIT, LedgerArrays
from openaoc.tracing import scratch as sc
from openaoc.tracing.compiled import Kernels, compiled, is_compiled, plain
from openaoc.tracing.kernels_common import DROPPED, LOSS, OVERLAP, RESTITUTED, TOTALS
from openaoc.tracing.kernels_replay import (
    HOLD,
    RELEASE,
    RESTITUTION,
    Task,
)
from openaoc.tracing.model import (
    Carried,
    CaseTrace,
    Claim,
    Excess,
    Held,
    HoldEvent,
    HoldKind,
    Located,
    Rule,
    TraceLimits,
)
from openaoc.tracing.prepare import Prepared, prepare

_LIMITS: Final = TraceLimits()
TRANSFERS: Final = sc.LIMIT_NAMES[sc.LIMIT_TRANSFERS]
_FOREVER: Final = 2**63 - 1
_RULES: Final = {Rule.FIFO: sc.FIFO, Rule.LIFO: sc.LIFO, Rule.PRO_RATA: sc.PRO_RATA}
_KINDS: Final = {
    HoldKind.HOLD: HOLD,
    HoldKind.RELEASE: RELEASE,
    HoldKind.RESTITUTION: RESTITUTION,
}


def trace_cases(
    arrays: LedgerArrays,
    claims: Sequence[Claim],
    *,
    rule: Rule,
    at_us: int | None = None,
    holds: Sequence[HoldEvent] = (),
    hubs: frozenset[int] = frozenset(),
    dust_minor: int = 0,
    openings_unknown: bool = False,
    limits: TraceLimits = _LIMITS,
    interpret_max: int = 0,
) -> list[CaseTrace]:
    """Follow the claims' money: one CaseTrace per case number, in that order.

    `claims` in order of filing. `at_us` (inclusive) is the time of the report, None the end of the
    ledger. `hubs`: accounts whose money stays. `dust_minor`: a transfer that would bring an account
    less than this of a case drops it. `openings_unknown`: as if no account had an opening balance.
    `interpret_max`: a process that ends soon may let the interpreter follow so many transfers
    first, before it loads the compiled kernels. Raises BadOrigin and BadInput for what is asked
    wrongly.
    """
    plan = prepare(arrays, claims, holds=holds, at_us=at_us)
    if not plan.cases:
        return []

    def ask(kernels: Kernels, within: TraceLimits) -> list[CaseTrace]:
        task = _Task(
            arrays,
            plan,
            kernels=kernels,
            at_us=_FOREVER if at_us is None else at_us,
            hubs=hubs,
            dust_minor=dust_minor,
            limits=within,
        )
        if rule is Rule.FIFO and not openings_unknown:
            outcome = task.walk()
            if outcome is not None:
                return outcome
        return task.replay(rule, openings_unknown=openings_unknown)

    few = min(interpret_max, limits.transfers_max)
    if few and not is_compiled():
        with np.errstate(over="ignore"):
            traces = ask(plain(), msgspec.structs.replace(limits, transfers_max=few))
        if traces[0].truncated != TRANSFERS:
            return traces
    return ask(compiled(), limits)


class _Task:
    """One call of a kernel: its arguments as arrays, and its results as structs."""

    def __init__(
        self,
        arrays: LedgerArrays,
        plan: Prepared,
        *,
        kernels: Kernels,
        at_us: int,
        hubs: frozenset[int],
        dust_minor: int,
        limits: TraceLimits,
    ) -> None:
        self._arrays, self._plan, self._at_us, self._dust = arrays, plan, at_us, dust_minor
        self._limits, self._hubs, self._kernels = limits, hubs, kernels
        columns = np.array(plan.claims, np.int64).reshape(-1, 3).T.copy()
        self._claims = (columns[0], columns[1], columns[2])
        self._held = np.array(sorted({event.account for _, event in plan.events}), np.int64)
        self._totals = np.zeros((TOTALS, plan.cases), np.int64)
        self._rank: Sequence[int] = range(plan.cases)
        self._excess = np.zeros(len(plan.events), np.int64)

    def walk(self) -> list[CaseTrace] | None:
        """Fifo by intervals; None where an account with hold events is reached."""
        limits = self._limits

        def kernel(scratch: sc.Scratch) -> int:
            return self._kernels.walk(
                self._arrays,
                *self._claims,
                np.int64(self._plan.cases),
                self._at_us,
                _sorted_accounts(self._hubs),
                self._held,
                self._dust,
                limits.transfers_max,
                limits.accounts_max,
                limits.lots_max,
                scratch,
                self._totals,
            )

        with sc.borrowed() as lent:
            if self._run(kernel, lent) == sc.HELD_REACHED:
                self._totals[:] = 0
                return None
            for number, (_, event) in enumerate(self._plan.events):
                found_none = event.kind is HoldKind.HOLD
                self._excess[number] = event.amount_minor if found_none else 0
            return self._results(lent.scratch)

    def replay(self, rule: Rule, *, openings_unknown: bool) -> list[CaseTrace]:
        """Any rule, holds and all: the accounts the money reaches are replayed."""
        plan, limits = self._plan, self._limits
        self._rank = plan.rank
        rank = np.array(plan.rank, np.int64)
        rows, amounts, cases = self._claims
        events = np.array(
            [
                (event.at_us, _KINDS[event.kind], event.account, event.case, event.amount_minor)
                for _, event in plan.events
            ],
            np.int64,
        )
        times, kinds, accounts, holders, sums = events.reshape(-1, 5).T.copy()
        self._excess = np.zeros(len(plan.events), np.int64)
        task = Task(
            claim_row=rows,
            claim_amount=amounts,
            claim_case=rank[cases],
            event_time=times,
            event_kind=kinds,
            event_account=accounts,
            event_case=rank[holders],
            event_amount=sums,
            event_excess=self._excess,
            hubs=_sorted_accounts(self._hubs),
            held=self._held,
            paying=np.array(sorted(plan.paying), np.int64),
            settings=np.array(
                (
                    _RULES[rule],
                    plan.cases,
                    self._at_us,
                    self._dust,
                    openings_unknown,
                    limits.transfers_max,
                    limits.accounts_max,
                    limits.lots_max,
                ),
                np.int64,
            ),
        )
        with sc.borrowed() as lent:
            self._run(
                lambda s: self._kernels.replay(self._arrays, task, s, lent.books, self._totals),
                lent,
            )
            return self._results(lent.scratch)

    def _run(self, kernel: Callable[[sc.Scratch], int], lent: sc.Lent) -> int:
        """Run until scratch is large enough."""
        while True:
            status = kernel(lent.scratch)
            if status != sc.GROW:
                return status
            self._totals[:] = 0
            self._excess[:] = 0
            lent.grow()

    def _results(self, s: sc.Scratch) -> list[CaseTrace]:
        """The kernel's numbers as structs, by case number as asked."""
        cases = self._plan.cases
        located: list[list[Located]] = [[] for _ in range(cases)]
        held: list[list[Held]] = [[] for _ in range(cases)]
        inferred: list[list[int]] = [[] for _ in range(cases)]
        for case, account, amount, layer, received, marks, kept in s.located[
            : s.counts[sc.LOCATED]
        ].tolist():
            if amount:
                returned, hub = bool(marks & sc.CHARGED), account in self._hubs
                located[case].append(Located(account, amount, layer, received, returned, hub))
            if kept:
                held[case].append(Held(account, kept))
            if marks & sc.INFERRED:
                inferred[case].append(account)
        transfers, exited = self._carried(s)
        excess: list[list[Excess]] = [[] for _ in range(cases)]
        for (place, event), amount in zip(self._plan.events, self._excess.tolist(), strict=True):
            if amount:
                excess[self._rank[event.case]].append(Excess(place, amount))
        totals = self._totals.tolist()
        truncated = sc.LIMIT_NAMES[int(s.counts[sc.LIMIT])]
        return [
            CaseTrace(
                loss_minor=totals[LOSS][case],
                overlap_minor=totals[OVERLAP][case],
                dropped_minor=totals[DROPPED][case],
                restituted_minor=totals[RESTITUTED][case],
                located=tuple(sorted(located[case])),
                held=tuple(sorted(held[case])),
                exited=tuple(exited[case]),
                transfers=tuple(transfers[case]),
                excess=tuple(sorted(excess[case])),
                inferred_under_hold=tuple(sorted(inferred[case])),
                truncated=truncated,
            )
            for case in self._rank
        ]

    def _carried(self, s: sc.Scratch) -> tuple[list[list[Carried]], list[list[Carried]]]:
        """What each transfer carried, and those of them that are exits, by case."""
        cases = self._plan.cases
        records = s.records[: s.counts[sc.RECORDS]]
        carried = list(map(Carried._make, records[:, : sc.R_CASE].tolist()))
        leaving = np.flatnonzero(self._arrays.flags[records[:, sc.R_ROW]] & EXIT).tolist()
        if cases == 1:
            return [carried], [[carried[place] for place in leaving]]
        transfers: list[list[Carried]] = [[] for _ in range(cases)]
        exited: list[list[Carried]] = [[] for _ in range(cases)]
        owners = records[:, sc.R_CASE].tolist()
        for item, case in zip(carried, owners, strict=True):
            transfers[case].append(item)
        for place in leaving:
            exited[owners[place]].append(carried[place])
        return transfers, exited


@lru_cache(maxsize=8)
def _sorted_accounts(accounts: frozenset[int]) -> NDArray[np.int64]:
    return np.array(sorted(accounts), np.int64)
