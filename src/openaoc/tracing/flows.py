"""Stage tracing: what came to one account and what left it, as plain columns.

For patterns that practice/ tries; never judges, and says nothing of who the others are.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from openaoc.ledger.arrays import EXIT, LedgerArrays
from openaoc.tracing.conduct import rows_of


class Inflow(NamedTuple):
    """One receipt. `payer`: a number that is the same for the same debtor, and means no more."""

    at_us: int
    amount_minor: int
    payer: int


class Outflow(NamedTuple):
    """One payment out. `exit`: it left the transfers that are known, as cash or a wallet."""

    at_us: int
    amount_minor: int
    exit: bool


class Flows(msgspec.Struct, frozen=True, kw_only=True):
    """An account's newest transfers of each direction before a moment, oldest first."""

    inflows: tuple[Inflow, ...]
    outflows: tuple[Outflow, ...]


def flows(arrays: LedgerArrays, account: int, *, before_us: int) -> Flows:
    """The account's newest CONDUCT_TRANSFERS_MAX transfers each way, booked before `before_us`."""
    ins = rows_of(arrays, account, before_us, inwards=True)
    outs = rows_of(arrays, account, before_us, inwards=False)
    times, amounts = arrays.time_us, arrays.amount
    return Flows(
        inflows=tuple(
            Inflow(*row)
            for row in zip(
                times[ins].tolist(), amounts[ins].tolist(), arrays.debtor[ins].tolist(), strict=True
            )
        ),
        outflows=tuple(
            Outflow(at_us=at, amount_minor=amount, exit=bool(flag & EXIT))
            for at, amount, flag in zip(
                times[outs].tolist(),
                amounts[outs].tolist(),
                arrays.flags[outs].tolist(),
                strict=True,
            )
        ),
    )
