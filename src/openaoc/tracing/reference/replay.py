"""Stage tracing, reference: replays every transfer and hold event of a ledger in order.

Answers the same question as the kernels, without any of their shortcuts and without limits.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from openaoc.ledger.arrays import EXIT, SELF, LedgerArrays
from openaoc.tracing.model import (
    CHARGED,
    INFERRED,
    POOLED,
    CaseTrace,
    Claim,
    Excess,
    HoldEvent,
    HoldKind,
    Rule,
    TraceLimits,
)
from openaoc.tracing.prepare import Prepared, prepare
from openaoc.tracing.reference.books import Book, LotBook, Piece, ShareBook

_NO_LIMITS = TraceLimits()


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
    limits: TraceLimits = _NO_LIMITS,
) -> list[CaseTrace]:
    """One CaseTrace per case number; as `engine.trace_cases`, but `limits` is not looked at."""
    del limits
    plan = prepare(arrays, claims, holds=holds, at_us=at_us)
    replay = _Replay(arrays, plan, rule=rule, hubs=hubs, dust_minor=dust_minor)
    replay.open(openings_unknown=openings_unknown)
    last_us = int(arrays.time_us.max(initial=0)) if at_us is None else at_us
    steps: list[tuple[int, int, int]] = [
        (int(time), 0, row) for row, time in enumerate(arrays.time_us) if time <= last_us
    ]
    steps += [(event.at_us, 1, place) for place, (_, event) in enumerate(plan.events)]
    for _, is_event, number in sorted(steps):
        if is_event:
            replay.event(*plan.events[number])
        else:
            replay.transfer(number)
    return [replay.result(case) for case in range(plan.cases)]


@dataclass
class _Tally:
    """What a case has come to so far."""

    loss: int = 0
    overlap: int = 0
    dropped: int = 0
    restituted: int = 0
    carried: list[tuple[int, int, bool]] = field(default_factory=list)
    excess: list[Excess] = field(default_factory=list)
    inferred: set[int] = field(default_factory=set)
    charged: set[int] = field(default_factory=set)
    layers: dict[int, int] = field(default_factory=dict)


class _Replay:
    """The state of a replay: every account's book and every case's tally."""

    def __init__(
        self,
        arrays: LedgerArrays,
        plan: Prepared,
        *,
        rule: Rule,
        hubs: frozenset[int],
        dust_minor: int,
    ) -> None:
        self.arrays, self.plan, self.hubs, self.dust = arrays, plan, hubs, dust_minor
        self.claims: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for row, amount, case in plan.claims:
            self.claims[row].append((amount, case))
        self.tallies = [_Tally() for _ in range(plan.cases)]
        self.books: list[Book] = [
            ShareBook(plan.rank) if rule is Rule.PRO_RATA else LotBook(rule)
            for _ in range(len(arrays.base_in))
        ]

    def open(self, *, openings_unknown: bool) -> None:
        """Give each account what it had where the arrays begin as one clean lot."""
        known = np.maximum(self.arrays.base_in - self.arrays.base_out, 0)
        start = self.arrays.bare if openings_unknown else known
        for book, amount in zip(self.books, start.tolist(), strict=True):
            book.arrive([Piece(None, amount)], at_us=0)

    def transfer(self, row: int) -> None:
        """Move one transfer's lots from its debtor to its creditor or out of the ledger."""
        flags, time = int(self.arrays.flags[row]), int(self.arrays.time_us[row])
        if flags & SELF:
            return
        debtor, creditor = int(self.arrays.debtor[row]), int(self.arrays.creditor[row])
        pieces = self._mark(row, self._take(row, debtor), debtor)
        totals: Counter[int] = Counter()
        for case, amount in pieces:
            if case is not None:
                totals[case] += amount
        for case, total in totals.items():
            tally = self.tallies[case]
            tally.carried.append((row, total, bool(flags & EXIT)))
            if flags & EXIT:
                continue
            if total < self.dust:
                tally.dropped += total
                pieces = [Piece(None, p.amount) if p.case == case else p for p in pieces]
            else:
                origin = any(claimant == case for _, claimant in self.claims.get(row, ()))
                layer = 1 if origin else tally.layers[debtor] + 1
                tally.layers[creditor] = min(layer, tally.layers.get(creditor, layer))
        if not flags & EXIT:
            self.books[creditor].arrive(pieces, at_us=time)

    def _take(self, row: int, debtor: int) -> list[Piece]:
        amount = int(self.arrays.amount[row])
        if debtor in self.hubs or row in self.plan.paying:
            return [Piece(None, amount)]
        book = self.books[debtor]
        pieces, missing = book.take(amount)
        if missing:
            for case, tally in enumerate(self.tallies):
                if book.held(case):
                    tally.inferred.add(debtor)
        return pieces

    def _mark(self, row: int, pieces: list[Piece], debtor: int) -> list[Piece]:
        """Let each claim on the transfer, as filed, mark clean money, oldest first."""
        for claimed, case in self.claims.get(row, ()):
            left = claimed
            marked: list[Piece] = []
            for piece in pieces:
                part = min(left, piece.amount) if piece.case is None else 0
                left -= part
                marked.append(Piece(case, part))
                marked.append(Piece(piece.case, piece.amount - part))
            pieces = [piece for piece in marked if piece.amount]
            tally = self.tallies[case]
            tally.overlap += left
            tally.loss += claimed - left
            if left < claimed:
                tally.charged.add(debtor)
        return pieces

    def event(self, place: int, event: HoldEvent) -> None:
        """Let one hold, release or restitution act."""
        book, tally = self.books[event.account], self.tallies[event.case]
        if isinstance(book, ShareBook):
            book.now_us = event.at_us
        if event.kind is HoldKind.HOLD:
            found = book.hold(event.case, event.amount_minor)
            if found < event.amount_minor:
                tally.excess.append(Excess(place, event.amount_minor - found))
        elif event.kind is HoldKind.RELEASE:
            book.release(event.case, event.amount_minor)
        else:
            tally.restituted += book.restitute(event.case, event.amount_minor)

    def result(self, case: int) -> CaseTrace:
        """The case's trace as things stand."""
        tally = self.tallies[case]
        found = []
        for account, book in enumerate(self.books):
            amount, received = book.free(case)
            marks = CHARGED if account in tally.charged else 0
            marks |= INFERRED if account in tally.inferred else 0
            marks |= POOLED if account in self.hubs else 0
            layer = tally.layers[account] if amount else 0
            found.append((account, amount, layer, received, marks, book.held(case)))
        return CaseTrace(
            loss_minor=tally.loss,
            overlap_minor=tally.overlap,
            dropped_minor=tally.dropped,
            exited_minor=sum(total for _, total, leaves in tally.carried if leaves),
            restituted_minor=tally.restituted,
            accounts=np.array(found, np.int64).reshape(-1, 6),
            carried=np.array(tally.carried, np.int64).reshape(-1, 3),
            excess=tuple(sorted(tally.excess)),
        )
