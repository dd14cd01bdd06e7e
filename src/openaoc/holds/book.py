"""Holds: how an order is written, changed and told of, in one place.

Every change is a row, a journal row and, when live, a message, in the caller's transaction.
Never decides whether a change should be made.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal, Protocol

import msgspec

from openaoc.channels.model import NewMessage
from openaoc.holds import delay_store, store
from openaoc.holds.codes import Codes
from openaoc.holds.model import (
    HOLDING,
    WAITING,
    OrderState,
    Words,
    check_transition,
)
from openaoc.holds.notices import holder_notice
from openaoc.holds.record import MoneyEvent, OrderMark, OrderRecord, PaidBy
from openaoc.kernel.actor import Actor
from openaoc.kernel.events import Event
from openaoc.storage.journal_rows import JournalEntry
from openaoc.storage.unit_of_work import Transaction

ORDER: Final = "hold.order"
WITHDRAWAL: Final = "hold.withdrawal"
RELEASE: Final = "hold.release"
NOTICE: Final = "holder.notice"


class Outbox(Protocol):
    """Where messages to institutions go; `channels.service.Channels` is one."""

    def enqueue_many(self, tx: Transaction, fresh: Sequence[NewMessage]) -> list[str]:
        """Put messages into the outbox of this transaction, in this order."""
        ...


class OrderBook:
    """The writer of orders."""

    def __init__(self, outbox: Outbox, *, codes: Codes) -> None:
        self._outbox = outbox
        self._codes = codes

    def write(self, tx: Transaction, fresh: Sequence[tuple[OrderRecord, str]]) -> None:
        """Add (order, authority) as drafted or issued; what is issued and live goes out.

        In this order, in one statement each for rows, journal and messages.
        """
        orders = [order for order, _ in fresh]
        store.add(tx, orders)
        tx.journal_many(
            [
                JournalEntry(
                    action=f"holds.order.{order.state.value}",
                    subject=order.id,
                    after=OrderMark.of(order),
                    authority=authority,
                )
                for order, authority in fresh
            ]
        )
        self._send(tx, [order for order in orders if order.state is OrderState.ISSUED])

    def send(self, tx: Transaction, order: OrderRecord, *, first: bool = False) -> None:
        """The order, or its newest revision, with the holder's notice; nothing in shadow.

        Where the case's notices are delayed, one that goes out for the `first` time has none, nor
        have its later revisions before the holder is told.
        """
        if first:
            self._send(tx, [order])
        elif order.mode == "live":
            later = delay_store.waiting(tx.connection, [order.id])
            self._outbox.enqueue_many(tx, self._messages(order, now=tx.now, told=not later))

    def tell_holder(self, tx: Transaction, order: OrderRecord) -> None:
        """The holder's notice alone: telling them was delayed."""
        notice = self._messages(order, now=tx.now)[1:]
        self._outbox.enqueue_many(tx, notice)

    def _send(self, tx: Transaction, orders: Sequence[OrderRecord]) -> None:
        """Orders that nobody was told of before. Doubt favours the holder, whatever was agreed."""
        live = [order for order in orders if order.mode == "live"]
        if not live:
            return
        cases = sorted({order.case_id for order in live})
        delayed = delay_store.in_force(tx.connection, cases, now=tx.now)
        later = [
            (order, delayed[order.case_id])
            for order in live
            if order.case_id in delayed and not order.likely_innocent
        ]
        delay_store.withhold(tx.connection, later)
        for order, delay in later:
            tx.journal(action="holds.notice.withheld", subject=order.id, reason=delay.id)
        untold = {order.id for order, _ in later}
        self._outbox.enqueue_many(
            tx,
            [m for o in live for m in self._messages(o, now=tx.now, told=o.id not in untold)],
        )

    def step(
        self,
        tx: Transaction,
        order: OrderRecord,
        after: OrderState,
        *,
        actor: Actor,
        reason: str,
        authority: str = "",
        changes: OrderRecord | None = None,
    ) -> OrderRecord:
        """Take the order to another state; `changes` is the order with its other new values.

        Raises WrongTransition or NotYours by the one transition table.
        """
        changed = self.stepped(
            tx, order, after, actor=actor, reason=reason, authority=authority, changes=changes
        )
        store.save(tx.connection, [changed])
        return changed

    def step_all(
        self,
        tx: Transaction,
        orders: Sequence[OrderRecord],
        after: OrderState,
        *,
        actor: Actor,
        reason: str,
    ) -> int:
        """As `step`, for many orders, saved in one statement; how many."""
        changed = [self.stepped(tx, one, after, actor=actor, reason=reason) for one in orders]
        store.save(tx.connection, changed)
        return len(changed)

    def stepped(
        self,
        tx: Transaction,
        order: OrderRecord,
        after: OrderState,
        *,
        actor: Actor,
        reason: str,
        authority: str = "",
        changes: OrderRecord | None = None,
    ) -> OrderRecord:
        """As `step`, for a caller that saves many orders together."""
        step = check_transition(order.state, after, actor=actor)
        changed = msgspec.structs.replace(changes or order, state=after)
        if after not in WAITING and after not in HOLDING:
            changed = msgspec.structs.replace(changed, ended_at=tx.now, end_reason=reason)
        self.note(
            tx,
            order,
            changed,
            action=f"holds.order.{after.value}",
            reason=reason,
            authority=authority,
        )
        tx.emit(
            Event(
                name=f"holds.order.{after.value}",
                subject=order.id,
                at=tx.now,
                facts={
                    "case": order.case_id,
                    "institution": order.institution,
                    "verb": step.verb,
                    "amount_minor": changed.amount_minor,
                    "held_minor": changed.held_minor,
                },
            )
        )
        return changed

    def amend(
        self,
        tx: Transaction,
        order: OrderRecord,
        changed: OrderRecord,
        *,
        action: str,
        reason: str,
        authority: str = "",
    ) -> None:
        """Save a changed order and journal it, before and after."""
        store.save(tx.connection, [changed])
        self.note(tx, order, changed, action=action, reason=reason, authority=authority)

    @staticmethod
    def note(
        tx: Transaction,
        order: OrderRecord,
        changed: OrderRecord,
        *,
        action: str,
        reason: str,
        authority: str = "",
    ) -> None:
        """As `amend`, for a caller that saves many orders together."""
        tx.journal(
            action=action,
            subject=order.id,
            before=OrderMark.of(order),
            after=OrderMark.of(changed),
            reason=reason,
            authority=authority,
        )

    def tell_end(
        self,
        tx: Transaction,
        order: OrderRecord,
        *,
        kind: str,
        amount_minor: int,
        remaining_minor: int,
        words: Words,
        continued_by: str = "",
    ) -> None:
        """Tell the institution what to give back, or over to another order; nothing in shadow."""
        if order.mode != "live":
            return
        body = order.given_back(
            amount_minor=amount_minor,
            remaining_minor=remaining_minor,
            reason=words,
            at=tx.now,
            continued_by=continued_by,
        )
        message = NewMessage(
            institution=order.institution,
            kind=kind,
            subject=order.id,
            body=body,
            answer_by=max(tx.now, order.answer_by),
        )
        self._outbox.enqueue_many(tx, [message])

    def note_money(
        self,
        tx: Transaction,
        order: OrderRecord,
        *,
        kind: Literal["hold", "release", "restitution", "excess"],
        amount_minor: int,
        at: datetime | None = None,
        paid: PaidBy | None = None,
    ) -> None:
        """Keep what the institution did, for later traces; shadow orders did nothing."""
        if order.mode != "live" or amount_minor <= 0:
            return
        event = MoneyEvent(
            order_id=order.id,
            case_id=order.case_id,
            bank=order.institution,
            account=order.account,
            currency=order.currency,
            kind=kind,
            amount_minor=amount_minor,
            at=at or tx.now,
            paid_by=None if paid is None else paid.reported_by,
            paid_id=None if paid is None else paid.transfer_id,
        )
        tx.gather("holds.events", [event], _add_events)

    def _messages(
        self, order: OrderRecord, *, now: datetime, told: bool = True
    ) -> list[NewMessage]:
        """The order and, unless the holder is told later, their notice; nothing in shadow.

        An order that was not answered in time may still be lowered: what tells of it is due at
        once, not late before it is sent.
        """
        if order.mode != "live":
            return []
        bodies: list[tuple[str, msgspec.Struct]] = [(ORDER, order.wire())]
        if told:
            bodies.append((NOTICE, holder_notice(order, self._codes)))
        return [
            NewMessage(
                institution=order.institution,
                kind=kind,
                subject=order.id,
                body=body,
                answer_by=max(order.answer_by, now),
            )
            for kind, body in bodies
        ]


def _add_events(tx: Transaction, happened: list[MoneyEvent]) -> None:
    store.add_events(tx, happened)
