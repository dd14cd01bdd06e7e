"""Stage tracing: checks what a trace is asked for and puts claims and events in ledger order.

Shared by the kernels and the plain reference; never follows money.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from openaoc.kernel.clock import format_time, from_us
from openaoc.kernel.errors import BadInput
from openaoc.ledger.arrays import SELF, LedgerArrays
from openaoc.tracing.model import BadOrigin, Claim, HoldEvent

_NONE: Final[frozenset[int]] = frozenset()


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """What all implementations start from.

    `claims` as (row, amount, case) in ledger order of their transfers, on one transfer in order
    of filing, each capped by its transfer's amount, those after `at_us` left out. A correction
    may have taken the transfer away from under its claim: made it nothing, or a self-transfer.
    `rank[case]`: the case's place by its earliest origin. `events` as (place in the given list,
    event) in the order in which they act. `paying`: rows that pay a restitution.
    """

    cases: int
    claims: list[tuple[int, int, int]]
    rank: list[int]
    events: list[tuple[int, HoldEvent]]
    paying: frozenset[int]


def prepare(
    arrays: LedgerArrays,
    claims: Sequence[Claim],
    *,
    holds: Sequence[HoldEvent],
    at_us: int | None,
) -> Prepared:
    """Check and sort. Raises BadOrigin for a claim, BadInput for a hold event that is not valid.

    A claim is checked in full when it is filed (`check_origin`): what is corrected afterwards must
    not stop the traces of everybody.
    """
    rows = len(arrays.time_us)
    cases = 0
    keyed: list[tuple[int, int, int, int, int]] = []
    for filed, claim in enumerate(claims):
        row, claimed, case = claim.row, claim.amount_minor, claim.case
        if not 0 <= row < rows:
            raise BadOrigin(f"no transfer stands in row {row}")
        if case < 0:
            raise BadOrigin(f"case {case} is not a case number")
        if claimed is not None and claimed <= 0:
            raise BadOrigin(f"a claim of {claimed} is not positive")
        amount = 0 if arrays.flags.item(row) & SELF else arrays.amount.item(row)
        if claimed is not None and claimed < amount:
            amount = claimed
        if amount > 0:
            keyed.append((arrays.time_us.item(row), row, filed, amount, case))
        if case >= cases:
            cases = case + 1
    for event in holds:
        cases = max(cases, event.case + 1)
    keyed.sort()
    kept = [(k[1], k[3], k[4]) for k in keyed if at_us is None or k[0] <= at_us]
    events, paying = _events(arrays, holds, at_us=at_us) if holds else ([], _NONE)
    rank = _ranks(keyed, cases) if cases > 1 else [0] * cases
    return Prepared(cases=cases, claims=kept, rank=rank, events=events, paying=paying)


def _ranks(keyed: list[tuple[int, int, int, int, int]], cases: int) -> list[int]:
    """The place of each case by its earliest origin; cases without one come last."""
    order: dict[int, int] = {}
    for *_, case in keyed:
        order.setdefault(case, len(order))
    for case in range(cases):
        order.setdefault(case, len(order))
    return [order[case] for case in range(cases)]


def _events(
    arrays: LedgerArrays, holds: Sequence[HoldEvent], *, at_us: int | None
) -> tuple[list[tuple[int, HoldEvent]], frozenset[int]]:
    """The events up to `at_us` in order of action, and the rows that pay restitutions."""
    accounts = len(arrays.base_in)
    events: list[tuple[int, HoldEvent]] = []
    paying: set[int] = set()
    for place, event in enumerate(holds):
        where = f"hold event {place}"
        if event.case < 0:
            raise BadInput(f"case {event.case} is not a case number", where=where)
        if not 0 <= event.account < accounts:
            raise BadInput(f"account {event.account} is not in the ledger", where=where)
        if event.amount_minor <= 0:
            raise BadInput(f"{event.amount_minor} is not positive", where=where)
        if at_us is not None and event.at_us > at_us:
            continue
        events.append((place, event))
        row = event.transfer_row
        if row is not None:
            if not 0 <= row < len(arrays.time_us):
                raise BadInput("there is no such paying transfer", where=where)
            if arrays.debtor[row] == event.account:  # else it was corrected since, and pays nothing
                paying.add(row)
    events.sort(key=lambda item: (item[1].at_us, item[0]))
    return events, frozenset(paying)


def check_origin(arrays: LedgerArrays, claim: Claim, *, at_us: int | None, where: str = "") -> None:
    """Check a claim as it is filed.

    Raises BadOrigin for a self-transfer, a claim above the transfer's amount, or a transfer booked
    after `at_us`.
    """
    if not 0 <= claim.row < len(arrays.time_us):
        raise BadOrigin("there is no such transfer", where=where)
    if arrays.flags[claim.row] & SELF:
        raise BadOrigin("a transfer from an account to itself cannot be an origin", where=where)
    amount, time = int(arrays.amount[claim.row]), int(arrays.time_us[claim.row])
    if claim.amount_minor is not None and not 0 < claim.amount_minor <= amount:
        raise BadOrigin(
            f"the claim of {claim.amount_minor} is not between 1 and the transfer's {amount}",
            where=where,
        )
    if at_us is not None and time > at_us:
        raise BadOrigin(
            f"the transfer was booked {format_time(from_us(time))}, after the time of the trace",
            where=where,
        )
