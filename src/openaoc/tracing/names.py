"""Stage tracing: turns a trace in numbers into the document with names.

Reads names from whoever keeps them (a file's table, the centre's ledger); never traces.
"""

from __future__ import annotations

from typing import Protocol

from openaoc.kernel.clock import from_us
from openaoc.ledger.arrays import CHANNELS, LedgerArrays
from openaoc.tracing.model import (
    CaseTrace,
    ExitedBy,
    HeldAt,
    LocatedAt,
    Rule,
    TaintedTransfer,
    Trace,
)


class AccountNameLike(Protocol):
    """An account's name."""

    @property
    def bank(self) -> str:
        """The institution's code."""
        ...

    @property
    def account(self) -> str:
        """The account as stored, compared and printed."""
        ...

    @property
    def currency(self) -> str:
        """ISO 4217."""
        ...


class Names(Protocol):
    """Who knows the names behind account and row numbers."""

    def account(self, index: int, /) -> AccountNameLike:
        """The name of an account number."""
        ...

    def transfer_id(self, row: int, /) -> str:
        """The id of a transfer's row."""
        ...


def to_document(
    trace: CaseTrace, arrays: LedgerArrays, names: Names, *, rule: Rule, at_us: int, currency: str
) -> Trace:
    """The trace with names; the orders of its lists are those of `model.Trace`."""
    located = [
        LocatedAt(
            bank=(name := names.account(item.account)).bank,
            account=name.account,
            amount_minor=item.amount_minor,
            layer=item.layer,
            received_at=from_us(item.received_at_us),
            hub=item.hub,
            returned=item.returned,
        )
        for item in trace.located
    ]
    held = [
        HeldAt(
            bank=(name := names.account(kept.account)).bank,
            account=name.account,
            amount_minor=kept.amount_minor,
        )
        for kept in trace.held
    ]
    exited = [
        ExitedBy(
            channel=CHANNELS[int(arrays.channel[out.row])],
            bank=(name := names.account(int(arrays.debtor[out.row]))).bank,
            account=name.account,
            amount_minor=out.amount_minor,
            transfer_id=names.transfer_id(out.row),
        )
        for out in trace.exited
    ]
    transfers = [
        TaintedTransfer(transfer_id=names.transfer_id(t.row), tainted_minor=t.amount_minor)
        for t in trace.transfers
    ]
    return Trace(
        rule=rule,
        at=from_us(at_us),
        currency=currency,
        loss_minor=trace.loss_minor,
        overlap_minor=trace.overlap_minor,
        dropped_minor=trace.dropped_minor,
        restituted_minor=trace.restituted_minor,
        located=tuple(sorted(located, key=lambda x: (-x.amount_minor, x.bank, x.account))),
        held=tuple(sorted(held, key=lambda x: (-x.amount_minor, x.bank, x.account))),
        exited=tuple(exited),
        transfers=tuple(transfers),
        truncated=trace.truncated,
    )


def end_of_ledger_us(arrays: LedgerArrays) -> int:
    """When the last transfer of the ledger was booked; 0 for an empty ledger."""
    return int(arrays.time_us.max(initial=0))
