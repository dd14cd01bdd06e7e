"""Stage tracing: follows the money of several cases at once by whichever kernel fits.

The one entrance to the kernels; the plain reference has the same signature.
"""

from __future__ import annotations

from collections.abc import Sequence
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
_FOREVER: Final = 2**63 - 1
_NONE: Final[NDArray[np.int64]] = np.empty(0, np.int64)
_NO_CLAIMS: Final[NDArray[np.int64]] = np.empty((0, 3), np.int64)
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
    task = _Task(
        arrays=arrays,
        plan=plan,
        at_us=_FOREVER if at_us is None else at_us,
        hubs=_sorted_accounts(hubs) if hubs else _NONE,
        dust_minor=dust_minor,
        rule=rule,
        openings_unknown=openings_unknown,
    )
    if interpret_max and not is_compiled():
        few = min(interpret_max, limits.transfers_max)
        with np.errstate(over="ignore"):
            traces = task.trace(plain(), msgspec.structs.replace(limits, transfers_max=few))
        if traces[0].truncated != TRANSFERS:
            return traces
    return task.trace(compiled(), limits)


class _Task(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is asked, and how a kernel is asked it."""

    arrays: LedgerArrays
    plan: Prepared
    at_us: int
    hubs: NDArray[np.int64]
    dust_minor: int
    rule: Rule
    openings_unknown: bool

    def trace(self, kernels: Kernels, limits: TraceLimits) -> list[CaseTrace]:
        """By intervals where that can be, else by replay."""
        plan = self.plan
        held = _NONE
        if plan.events:
            held = np.array(sorted({event.account for _, event in plan.events}), np.int64)
        claims = np.array(plan.claims, np.int64) if plan.claims else _NO_CLAIMS
        ledger = _ledger_as(kernels.given, self.arrays)
        if self.rule is Rule.FIFO and not self.openings_unknown:
            outcome = self._walk(kernels, limits, ledger, claims, held)
            if outcome is not None:
                return outcome
        return self._replay(kernels, limits, ledger, claims, held)

    def _walk(
        self,
        kernels: Kernels,
        limits: TraceLimits,
        ledger: object,
        claims: NDArray[np.int64],
        held: NDArray[np.int64],
    ) -> list[CaseTrace] | None:
        """Fifo by intervals; None where an account with hold events is reached."""
        plan = self.plan
        with sc.borrowed() as lent:
            status = sc.GROW
            while status == sc.GROW:
                totals = np.zeros((TOTALS, plan.cases), np.int64)
                status = kernels.walk(
                    ledger,
                    lent.scratch_as(kernels.given),
                    claims,
                    self.hubs,
                    held,
                    totals,
                    self.at_us,
                    self.dust_minor,
                    limits.transfers_max,
                    limits.accounts_max,
                    limits.lots_max,
                )
                if status == sc.GROW:
                    lent.grow()
            if status == sc.HELD_REACHED:
                return None
            unfound = [
                event.amount_minor if event.kind is HoldKind.HOLD else 0 for _, event in plan.events
            ]
            return _results(plan, lent.scratch, totals, rank=range(plan.cases), amounts=unfound)

    def _replay(
        self,
        kernels: Kernels,
        limits: TraceLimits,
        ledger: object,
        claims: NDArray[np.int64],
        held: NDArray[np.int64],
    ) -> list[CaseTrace]:
        """Any rule, holds and all: the accounts the money reaches are replayed."""
        plan, given = self.plan, kernels.given
        excess = np.zeros(len(plan.events), np.int64)
        settings = (
            _RULES[self.rule],
            plan.cases,
            self.at_us,
            self.dust_minor,
            self.openings_unknown,
            limits.transfers_max,
            limits.accounts_max,
            limits.lots_max,
        )
        task = _as_numbers(plan, claims, held, self.hubs, excess=excess, settings=settings)
        with sc.borrowed() as lent:
            while True:
                totals = np.zeros((TOTALS, plan.cases), np.int64)
                books = given(lent.books)
                if kernels.replay(ledger, task, lent.scratch_as(given), books, totals) != sc.GROW:
                    break
                excess[:] = 0
                lent.grow()
            return _results(plan, lent.scratch, totals, rank=plan.rank, amounts=excess.tolist())


def _as_numbers(
    plan: Prepared,
    claims: NDArray[np.int64],
    held: NDArray[np.int64],
    hubs: NDArray[np.int64],
    *,
    excess: NDArray[np.int64],
    settings: tuple[int, ...],
) -> Task:
    """A replay's task."""
    rank = np.array(plan.rank, np.int64)
    rows, amounts, cases = claims.T.copy()
    events = np.array(
        [
            (event.at_us, _KINDS[event.kind], event.account, event.case, event.amount_minor)
            for _, event in plan.events
        ],
        np.int64,
    )
    times, kinds, accounts, holders, sums = events.reshape(-1, 5).T.copy()
    return Task(
        claim_row=rows,
        claim_amount=amounts,
        claim_case=rank[cases],
        event_time=times,
        event_kind=kinds,
        event_account=accounts,
        event_case=rank[holders],
        event_amount=sums,
        event_excess=excess,
        hubs=hubs,
        held=held,
        paying=np.array(sorted(plan.paying), np.int64),
        settings=np.array(settings, np.int64),
    )


def _results(
    plan: Prepared,
    s: sc.Scratch,
    totals: NDArray[np.int64],
    *,
    rank: Sequence[int],
    amounts: Sequence[int],
) -> list[CaseTrace]:
    """The kernel's numbers; `rank` is each case's place there, `amounts` the events' excess."""
    counts = s.counts.tolist()
    truncated = sc.LIMIT_NAMES[counts[sc.LIMIT]]
    if plan.cases == 1 and not plan.events:
        loss, overlap, dropped, restituted, exited, *_ = totals[:, 0].tolist()
        return [
            CaseTrace(
                loss_minor=loss,
                overlap_minor=overlap,
                dropped_minor=dropped,
                exited_minor=exited,
                restituted_minor=restituted,
                accounts=s.found[: counts[sc.FOUND]].copy(),
                carried=s.records[: counts[sc.RECORDS]].copy(),
                excess=(),
                truncated=truncated,
            )
        ]
    sums = totals.tolist()
    found = _by_case(s.found[: counts[sc.FOUND]], sc.F_CASE, plan.cases)
    carried = _by_case(s.records[: counts[sc.RECORDS]], sc.R_CASE, plan.cases)
    excess: dict[int, list[Excess]] = {}
    for (place, event), amount in zip(plan.events, amounts, strict=True):
        if amount:
            excess.setdefault(event.case, []).append(Excess(place, amount))
    return [
        CaseTrace(
            loss_minor=sums[LOSS][place],
            overlap_minor=sums[OVERLAP][place],
            dropped_minor=sums[DROPPED][place],
            exited_minor=sums[EXITED][place],
            restituted_minor=sums[RESTITUTED][place],
            accounts=found[place],
            carried=carried[place],
            excess=tuple(sorted(excess.get(case, ()))),
            truncated=truncated,
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


class _Last:
    """The ledger that was traced last, and as the kernels take it: it is often the same again."""

    def __init__(self) -> None:
        self.taken: tuple[sc.Given, LedgerArrays, object] | None = None

    def __call__(self, given: sc.Given, arrays: LedgerArrays) -> object:
        last = self.taken
        if last is None or last[1] is not arrays or last[0] is not given:
            last = self.taken = given, arrays, given(arrays)
        return last[2]


_ledger_as: Final = _Last()
