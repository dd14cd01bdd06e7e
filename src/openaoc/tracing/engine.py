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

from openaoc.ledger.arrays import LedgerArrays
from openaoc.tracing import scratch as sc
from openaoc.tracing.compiled import Kernels, compiled, is_compiled, plain
from openaoc.tracing.kernels_common import DROPPED, EXITED, LOSS, OVERLAP, RESTITUTED, TOTALS
from openaoc.tracing.kernels_replay import (
    HOLD,
    RELEASE,
    RESTITUTION,
    Task,
)
from openaoc.tracing.model import (
    CaseTrace,
    Claim,
    Excess,
    HoldEvent,
    HoldKind,
    Rule,
    TraceLimits,
)
from openaoc.tracing.prepare import Prepared, prepare

_LIMITS: Final = TraceLimits()
TRANSFERS: Final = sc.LIMIT_NAMES[sc.LIMIT_TRANSFERS]
_WALKED: Final = LedgerArrays._fields.index("in_rows") + 1
"""A walk by intervals needs no more of the arrays."""
_FOREVER: Final = 2**63 - 1
_NONE: Final[NDArray[np.int64]] = np.empty(0, np.int64)
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
    """One call of a kernel: its arguments as arrays, and its results as CaseTraces."""

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
        self._limits, self._kernels = limits, kernels
        self._hubs = _sorted_accounts(hubs) if hubs else _NONE
        self._held = _NONE
        if plan.events:
            self._held = np.array(sorted({event.account for _, event in plan.events}), np.int64)
        claims = np.array(plan.claims, np.int64).reshape(-1, 3)
        self._claims = np.ascontiguousarray(claims.T)
        self._totals = np.zeros((TOTALS, plan.cases), np.int64)

    def walk(self) -> list[CaseTrace] | None:
        """Fifo by intervals; None where an account with hold events is reached."""
        limits = self._limits

        def kernel(scratch: sc.Scratch) -> int:
            return self._kernels.walk(
                *self._arrays[:_WALKED],
                *scratch,
                self._claims,
                self._hubs,
                self._held,
                self._totals,
                self._at_us,
                self._dust,
                limits.transfers_max,
                limits.accounts_max,
                limits.lots_max,
            )

        with sc.borrowed() as lent:
            if self._run(kernel, lent) == sc.HELD_REACHED:
                self._totals[:] = 0
                return None
            excess = [
                event.amount_minor if event.kind is HoldKind.HOLD else 0
                for _, event in self._plan.events
            ]
            return self._results(lent.scratch, range(self._plan.cases), excess)

    def replay(self, rule: Rule, *, openings_unknown: bool) -> list[CaseTrace]:
        """Any rule, holds and all: the accounts the money reaches are replayed."""
        plan, limits = self._plan, self._limits
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
        excess = np.zeros(len(plan.events), np.int64)
        task = Task(
            claim_row=rows,
            claim_amount=amounts,
            claim_case=rank[cases],
            event_time=times,
            event_kind=kinds,
            event_account=accounts,
            event_case=rank[holders],
            event_amount=sums,
            event_excess=excess,
            hubs=self._hubs,
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

        def kernel(scratch: sc.Scratch) -> int:
            excess[:] = 0
            return self._kernels.replay(self._arrays, task, scratch, lent.books, self._totals)

        with sc.borrowed() as lent:
            self._run(kernel, lent)
            return self._results(lent.scratch, plan.rank, excess.tolist())

    def _run(self, kernel: Callable[[sc.Scratch], int], lent: sc.Lent) -> int:
        """Run until scratch is large enough."""
        while True:
            status = kernel(lent.scratch)
            if status != sc.GROW:
                return status
            self._totals[:] = 0
            lent.grow()

    def _results(
        self, s: sc.Scratch, rank: Sequence[int], amounts: Sequence[int]
    ) -> list[CaseTrace]:
        """The kernel's numbers; `rank` is each case's place there, `amounts` the events' excess."""
        counts, totals = s.counts.tolist(), self._totals.tolist()
        found = _by_case(s.found[: counts[sc.FOUND]], sc.F_CASE, self._plan.cases)
        carried = _by_case(s.records[: counts[sc.RECORDS]], sc.R_CASE, self._plan.cases)
        excess: dict[int, list[Excess]] = {}
        for (place, event), amount in zip(self._plan.events, amounts, strict=True):
            if amount:
                excess.setdefault(event.case, []).append(Excess(place, amount))
        return [
            CaseTrace(
                loss_minor=totals[LOSS][place],
                overlap_minor=totals[OVERLAP][place],
                dropped_minor=totals[DROPPED][place],
                exited_minor=totals[EXITED][place],
                restituted_minor=totals[RESTITUTED][place],
                accounts=found[place],
                carried=carried[place],
                excess=tuple(sorted(excess.get(case, ()))),
                truncated=sc.LIMIT_NAMES[counts[sc.LIMIT]],
            )
            for case, place in enumerate(rank)
        ]


def _by_case(rows: NDArray[np.int64], column: int, cases: int) -> list[NDArray[np.int64]]:
    """A copy of the rows of each case, in the order in which they stand."""
    if cases == 1:
        return [rows.copy()]
    owner = rows[:, column]
    order = np.argsort(owner, kind="stable")
    ends = np.searchsorted(owner[order], np.arange(1, cases))
    return np.split(rows[order], ends)


@lru_cache(maxsize=8)
def _sorted_accounts(accounts: frozenset[int]) -> NDArray[np.int64]:
    return np.array(sorted(accounts), np.int64)
