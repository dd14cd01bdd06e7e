"""Stage tracing: the words of a trace: rules, claims, hold events, limits, results.

Numbers inside (account and row numbers of the ledger), names on the wire. Never computes.
"""

from __future__ import annotations

import enum
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from openaoc.kernel import limits
from openaoc.kernel.errors import BadInput

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CHARGED: Final = 1
INFERRED: Final = 2
POOLED: Final = 4
"""Marks of an account in a case: an origin was charged to it; it sent money the ledger had not
seen while a hold of the case stood; it is a hub.
"""


class BadOrigin(BadInput):
    """An origin of the trace is not valid."""


class Rule(enum.StrEnum):
    """Which lots an outflow takes: the rule of law that a trace follows."""

    FIFO = "fifo"
    LIFO = "lifo"
    PRO_RATA = "pro-rata"


class HoldKind(enum.StrEnum):
    """What an institution did with money on an account."""

    HOLD = "hold"
    RELEASE = "release"
    RESTITUTION = "restitution"


class Claim(msgspec.Struct, frozen=True, gc=False):
    """One origin of a case: a transfer's row and how much of it was lost.

    `amount_minor` None claims all of it. `case` counts from 0. A list of claims stands in the
    order of filing.
    """

    row: int
    amount_minor: int | None = None
    case: int = 0


class HoldEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An applied hold, a release or a restitution of `amount_minor` for a case on an account.

    It acts at `at_us`, after every transfer booked at that instant; of two at one instant the
    earlier in the list acts first. `transfer_row` names the transfer that pays a restitution: it
    takes nothing more from the account and arrives clean.
    """

    kind: HoldKind
    at_us: int
    case: int
    account: int
    amount_minor: int
    transfer_row: int | None = None


class TraceLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How far one trace may go. At a limit the result says so by name, and the sum still holds."""

    transfers_max: int = limits.TRACE_TRANSFERS_MAX
    accounts_max: int = limits.TRACE_ACCOUNTS_MAX
    lots_max: int = limits.TRACE_LOTS_MAX


class Located(NamedTuple):
    """A case's free money on one account.

    `received_at_us`: when its oldest remaining lot arrived (pro-rata: when its share last rose
    from zero). `returned`: the account one of the case's origins was charged to.
    """

    account: int
    amount_minor: int
    layer: int
    received_at_us: int
    returned: bool
    hub: bool


class Held(NamedTuple):
    """A case's held money on one account."""

    account: int
    amount_minor: int


class Carried(NamedTuple):
    """A case's money that one transfer carried."""

    row: int
    amount_minor: int


class Excess(NamedTuple):
    """What a hold did not find: `hold` is its place in the list of hold events."""

    hold: int
    amount_minor: int


class CaseTrace(msgspec.Struct, frozen=True, kw_only=True, eq=False, dict=True):
    """One case's trace in numbers.

    loss = located + held + exited + restituted + dropped, always. located and held stand by
    account number, transfers and exited (those transfers that are exits) in ledger order; they are
    made when first asked for, from what the kernel wrote: one row in `accounts` (account, located
    amount, layer, received_at_us, marks, held amount; no order) and in `carried` (row, amount,
    whether it is an exit; ledger order); further columns mean nothing. `excess` by place.
    `truncated` names the limit that was reached. Two traces are equal when they say the same.
    """

    loss_minor: int
    overlap_minor: int
    dropped_minor: int
    exited_minor: int
    restituted_minor: int
    accounts: NDArray[np.int64]
    carried: NDArray[np.int64]
    excess: tuple[Excess, ...]
    truncated: str | None = None

    @cached_property
    def located(self) -> tuple[Located, ...]:
        """Free money by account."""
        return tuple(
            Located(account, amount, layer, received, bool(marks & CHARGED), bool(marks & POOLED))
            for account, amount, layer, received, marks in sorted(self.accounts[:, :5].tolist())
            if amount
        )

    @cached_property
    def held(self) -> tuple[Held, ...]:
        """Held money by account."""
        rows = sorted(self.accounts[:, :6].tolist())
        return tuple(Held(row[0], row[5]) for row in rows if row[5])

    @cached_property
    def transfers(self) -> tuple[Carried, ...]:
        """What each transfer carried."""
        return tuple(map(Carried._make, self.carried[:, :2].tolist()))

    @cached_property
    def exited(self) -> tuple[Carried, ...]:
        """Those of `transfers` that took the money out of the ledger."""
        rows = self.carried[:, :3].tolist()
        return tuple(Carried(row, amount) for row, amount, leaves in rows if leaves)

    @cached_property
    def inferred_under_hold(self) -> tuple[int, ...]:
        """The accounts that sent money the ledger had not seen under a hold of the case."""
        rows = sorted(self.accounts[:, :5].tolist())
        return tuple(row[0] for row in rows if row[4] & INFERRED)

    def located_minor(self) -> dict[int, int]:
        """Free money by account number, without its layers and times."""
        return {account: amount for account, amount in self.accounts[:, :2].tolist() if amount}

    def __eq__(self, other: object) -> bool:
        return self._said() == other._said() if isinstance(other, CaseTrace) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._said())

    def _said(self) -> tuple[object, ...]:
        kept = (self.loss_minor, self.overlap_minor, self.dropped_minor, self.restituted_minor)
        lists = (self.located, self.held, self.exited, self.transfers, self.inferred_under_hold)
        return (*kept, self.exited_minor, *lists, self.excess, self.truncated)

    def accounted_minor(self) -> int:
        """The right-hand side of the sum that must equal the loss."""
        located = sum(item.amount_minor for item in self.located)
        held = sum(item.amount_minor for item in self.held)
        exited = sum(item.amount_minor for item in self.exited)
        return located + held + exited + self.restituted_minor + self.dropped_minor


class LocatedAt(msgspec.Struct, frozen=True, kw_only=True):
    """`Located` with names."""

    bank: str
    account: str
    amount_minor: int
    layer: int
    received_at: datetime
    hub: bool
    returned: bool


class HeldAt(msgspec.Struct, frozen=True, kw_only=True):
    """`Held` with names."""

    bank: str
    account: str
    amount_minor: int


class ExitedBy(msgspec.Struct, frozen=True, kw_only=True):
    """Money that left the ledger; bank and account are the debtor's."""

    channel: str
    bank: str
    account: str
    amount_minor: int
    transfer_id: str


class TaintedTransfer(msgspec.Struct, frozen=True, kw_only=True):
    """How much of the case's money one transfer carried."""

    transfer_id: str
    tainted_minor: int


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """One case's trace with names: the document of `openaoc trace --json`.

    `located` and `held`: largest first, then bank, account. `exited` and `transfers`: in ledger
    order (booked_at, arrival).
    """

    rule: Rule
    at: datetime
    currency: str
    loss_minor: int
    overlap_minor: int
    dropped_minor: int
    restituted_minor: int
    located: tuple[LocatedAt, ...]
    held: tuple[HeldAt, ...]
    exited: tuple[ExitedBy, ...]
    transfers: tuple[TaintedTransfer, ...]
    truncated: str | None = None
