"""Holds: an institution's answer, kept and carried out.

The rules stand in answering.py; here they meet the order's row, the ledger and the outbox.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Final

import msgspec

from openaoc.holds import store
from openaoc.holds.answering import Asked, Effect, effect_of, repeats
from openaoc.holds.book import RELEASE, OrderBook
from openaoc.holds.model import Answer
from openaoc.holds.onward import OnwardSink, check_onward
from openaoc.holds.record import OrderRecord
from openaoc.holds.words import ending
from openaoc.kernel.actor import Actor
from openaoc.kernel.errors import BadInput
from openaoc.storage.unit_of_work import Transaction

CLOCK_DIFFERENCE_MAX: Final = timedelta(minutes=5)
"""How far an institution's clock may be from ours when it says when it blocked the money."""


def take_answer(
    tx: Transaction,
    order: OrderRecord,
    answer: Answer,
    *,
    who: Actor,
    book: OrderBook,
    onward: OnwardSink | None,
) -> OrderRecord | None:
    """The order as the answer leaves it; None when the answer was given before.

    The order is locked. Raises MoreThanOrdered, AnsweredDifferently, BadInput.
    """
    assert who.institution == order.institution, "checked before"
    digest = hashlib.sha256(msgspec.json.encode(answer)).digest()
    if store.has_answer(tx.connection, order_id=order.id, digest=digest):
        return None
    asked = Asked(
        state=order.state,
        amount_minor=order.amount_minor,
        ceiling_minor=order.ceiling_minor,
        applied_minor=order.applied_minor,
        held_minor=order.held_minor,
        answered=order.answered_at is not None,
    )
    again = repeats(asked, answer)
    if again and not answer.onward:
        return None
    effect = None if again else effect_of(asked, answer)
    rows = check_onward(answer.onward or [], institution=order.institution)
    if rows and onward is not None:
        onward.take(tx, rows, actor=who)
    store.add_answer(
        tx.connection, order=order, actor=who.id, at=tx.now, digest=digest, answer=answer
    )
    if effect is None:
        book.amend(tx, order, order, action="holds.order.onward_told", reason=answer.outcome)
        return order
    return _carry_out(tx, order, answer, effect, who=who, book=book)


def _carry_out(
    tx: Transaction,
    order: OrderRecord,
    answer: Answer,
    effect: Effect,
    *,
    who: Actor,
    book: OrderBook,
) -> OrderRecord:
    if effect.late:
        late = msgspec.structs.replace(order, available_minor=answer.available_minor)
        book.amend(tx, order, late, action="holds.order.answered_late", reason=answer.outcome)
        return late
    answered = msgspec.structs.replace(
        order,
        applied_minor=effect.applied_minor,
        held_minor=effect.held_minor,
        short_minor=effect.short_minor,
        available_minor=answer.available_minor,
        answered_at=tx.now,
    )
    changed = book.step(
        tx,
        order,
        effect.state,
        actor=who,
        reason=answer.reason or answer.outcome,
        changes=answered,
    )
    book.note_money(
        tx,
        changed,
        kind="hold",
        amount_minor=effect.held_minor,
        at=_applied_at(answer, order, now=tx.now),
    )
    if effect.surplus_minor:
        book.tell_end(
            tx,
            changed,
            kind=RELEASE,
            amount_minor=effect.surplus_minor,
            remaining_minor=effect.held_minor,
            words=ending("surplus"),
        )
    return changed


def _applied_at(answer: Answer, order: OrderRecord, *, now: datetime) -> datetime:
    """When the money was blocked: the institution's word within the order's life, else now."""
    if answer.applied_at is None:
        return now
    if answer.applied_at > now + CLOCK_DIFFERENCE_MAX:
        raise BadInput("applied in the future", where="$.applied_at")
    return min(max(answer.applied_at, order.issued_at), now)
