"""Stage tracing: turns a trace in numbers into the document with names.

Reads names from whoever keeps them (a file's table, the centre's ledger); never traces.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

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


class ExitSide(NamedTuple):
    """Of a transfer that took money out: its channel and its debtor's number."""

    channel: str
    debtor: int


def exit_sides(trace: CaseTrace, arrays: LedgerArrays) -> list[ExitSide]:
    """What a document needs of the ledger's arrays: one for each of `trace.exited`."""
    rows = [out.row for out in trace.exited]
    return [ExitSide(CHANNELS[arrays.channel[row]], int(arrays.debtor[row])) for row in rows]


def to_document(
    trace: CaseTrace,
    sides: Sequence[ExitSide],
    names: Names,
    *,
    rule: Rule,
    at_us: int,
    currency: str,
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
            channel=side.channel,
            bank=(name := names.account(side.debtor)).bank,
            account=name.account,
            amount_minor=out.amount_minor,
            transfer_id=names.transfer_id(out.row),
        )
        for out, side in zip(trace.exited, sides, strict=True)
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


class EndOfLedger:
    """When the last transfer of a growing ledger was booked; looks at each row once."""

    def __init__(self) -> None:
        self._rows = 0
        self._last_us = 0

    def of(self, arrays: LedgerArrays) -> int:
        """Microseconds since the epoch; 0 for an empty ledger."""
        if len(arrays.time_us) < self._rows:
            self._rows = self._last_us = 0
        newer = arrays.time_us[self._rows :]
        self._last_us = max(self._last_us, int(newer.max(initial=0)))
        self._rows = len(arrays.time_us)
        return self._last_us
