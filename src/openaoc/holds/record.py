"""Holds: an order as the stage keeps it, and the wire forms made of it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from openaoc.holds.model import (
    HOLDING,
    WAITING,
    Order,
    OrderEnd,
    OrderState,
    OrderView,
    RuleAmounts,
    Words,
)
from openaoc.reports.model import OrderLine

NO_AMOUNTS = RuleAmounts(fifo=0, lifo=0, pro_rata=0, opening_unknown=0)


class OrderRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `hold_orders`.

    `amount_minor`: ordered by the latest revision. `ceiling_minor`: the most any revision ordered.
    `held_minor`: blocked now. `short_minor`: what is not asked for again while it lies there: the
    institution said it is not there, or a hold on it ended.
    """

    id: str
    revision: int
    case_id: str
    institution: str
    account: str
    currency: str
    amount_minor: int
    ceiling_minor: int
    state: OrderState
    mode: Literal["live", "shadow"]
    standing: Literal["automatic", "needs_person"]
    rule: str
    rule_version: int
    trace_rule: str
    legal_basis: Words
    reason: Words
    layer: int
    received_at: datetime
    amounts: RuleAmounts
    likely_innocent: bool
    why: list[str]
    approvals_needed: int
    approvals: list[str]
    issued_at: datetime
    answer_by: datetime
    ends_at: datetime
    applied_minor: int = 0
    held_minor: int = 0
    short_minor: int = 0
    available_minor: int | None = None
    escalated_at: datetime | None = None
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    end_reason: str | None = None
    paused_by: str | None = None
    continues: str = ""
    sequence: int = 0

    @property
    def presumed(self) -> bool:
        """Whether it holds by taking over a block, and its institution has not said so yet."""
        return bool(self.continues) and self.answered_at is None and self.state in HOLDING

    @property
    def active_minor(self) -> int:
        """What counts against the case's money: ordered while unanswered, then blocked."""
        if self.state in HOLDING:
            return self.held_minor
        if self.state in WAITING or self.state is OrderState.DRAFTED:
            return self.amount_minor
        return 0

    @property
    def binding_minor(self) -> int:
        """The most that the institution may block under it now: what it holds, once it answered.

        A later revision, which changes the end or the ground, never asks anew for what was not
        there, or was given back.
        """
        return self.held_minor if self.state in HOLDING else self.amount_minor

    @property
    def place(self) -> tuple[str, str, str]:
        """The account: (institution, account, currency)."""
        return (self.institution, self.account, self.currency)

    def wire(self) -> Order:
        """The order as it is sent."""
        return Order(
            order=self.id,
            revision=self.revision,
            case=self.case_id,
            institution=self.institution,
            account=self.account,
            amount_minor=self.binding_minor,
            currency=self.currency,
            rule=self.rule,
            legal_basis=self.legal_basis.both,
            reason=self.reason,
            issued_at=self.issued_at,
            answer_by=self.answer_by,
            ends_at=self.ends_at,
            received_at=self.received_at,
            continues=self.continues,
        )

    def line(self) -> OrderLine:
        """The order in short."""
        return OrderLine(
            order=self.id,
            institution=self.institution,
            amount_minor=self.amount_minor,
            state=self.state.value,
            ends_at=self.ends_at,
        )

    def view(self) -> OrderView:
        """The order with all that the centre knows of it."""
        return OrderView(
            order=self.id,
            case=self.case_id,
            **{
                name: getattr(self, name)
                for name in OrderView.__struct_fields__
                if name not in ("order", "case", "notice_delayed_until")
            },
        )

    def given_back(
        self,
        *,
        amount_minor: int,
        remaining_minor: int,
        reason: Words,
        at: datetime,
        continued_by: str = "",
    ) -> OrderEnd:
        """The message that gives an amount back, or over to another order."""
        return OrderEnd(
            order=self.id,
            revision=self.revision,
            institution=self.institution,
            account=self.account,
            amount_minor=amount_minor,
            remaining_minor=remaining_minor,
            currency=self.currency,
            reason=reason,
            at=at,
            continued_by=continued_by,
        )


class OrderMark(msgspec.Struct, frozen=True, kw_only=True):
    """An order in the journal: what changed, without names of accounts."""

    revision: int
    case: str
    institution: str
    state: str
    mode: str
    amount_minor: int
    applied_minor: int
    held_minor: int
    rule: str
    ends_at: datetime

    @classmethod
    def of(cls, order: OrderRecord) -> OrderMark:
        """The mark of this order."""
        return cls(
            revision=order.revision,
            case=order.case_id,
            institution=order.institution,
            state=order.state.value,
            mode=order.mode,
            amount_minor=order.amount_minor,
            applied_minor=order.applied_minor,
            held_minor=order.held_minor,
            rule=order.rule,
            ends_at=order.ends_at,
        )


class PaidBy(msgspec.Struct, frozen=True, kw_only=True):
    """The transfer that pays a restitution, by reporter and id."""

    reported_by: str
    transfer_id: str


class MoneyEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What an institution did with money for a case: a row of `hold_events`.

    `excess` is the part of a hold that found no lots of its case: it lowers that hold from its
    beginning, where `release` ends held money from then on. `paid_by` and `paid_id` name the
    transfer (reporter, id) that pays a restitution.
    """

    order_id: str
    case_id: str
    bank: str
    account: str
    currency: str
    kind: Literal["hold", "release", "restitution", "excess"]
    amount_minor: int
    at: datetime
    paid_by: str | None = None
    paid_id: str | None = None
    sequence: int = 0
