"""Stage tracing: the words of a trace: rules, claims, hold events, limits, results.

Numbers inside (account and row numbers of the ledger), names on the wire. Never computes.
"""

from __future__ import annotations

import enum
from datetime import datetime
from typing import NamedTuple

import msgspec

from openaoc.kernel import limits
from openaoc.kernel.errors import BadInput


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
    seconds_max: float = limits.TRACE_SECONDS_MAX


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


class CaseTrace(msgspec.Struct, frozen=True, kw_only=True):
    """One case's trace in numbers.

    loss = located + held + exited + restituted + dropped, always. located and held stand by
    account number, transfers and exited (those transfers that are exits) in ledger order.
    `inferred_under_hold`: accounts that sent money the ledger had not seen while a hold of the
    case stood there. `truncated` names the limit that was reached.
    """

    loss_minor: int
    overlap_minor: int
    dropped_minor: int
    restituted_minor: int
    located: tuple[Located, ...]
    held: tuple[Held, ...]
    exited: tuple[Carried, ...]
    transfers: tuple[Carried, ...]
    excess: tuple[Excess, ...]
    inferred_under_hold: tuple[int, ...]
    truncated: str | None = None

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
