"""Take-downs: the rows and what always goes with them: the step, the journal, the event.

Works in the caller's transaction. Decides nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from openaoc.exchange.takedowns import store
from openaoc.exchange.takedowns.clocks import takedown_rules
from openaoc.exchange.takedowns.model import (
    NoSuchTakedown,
    State,
    Step,
    Takedown,
    TakedownMark,
    after_step,
)
from openaoc.kernel.events import Event
from openaoc.storage.unit_of_work import Transaction


def found(tx: Transaction, takedown_id: str, *, lock: bool = False) -> Takedown:
    """The take-down. Raises NoSuchTakedown."""
    one = store.find(tx.connection, takedown_id, lock=lock)
    if one is None:
        raise NoSuchTakedown(takedown_id[:80])
    return one


def moved(
    tx: Transaction, before: Takedown, step: Step, *, reason: str = "", **changes: object
) -> Takedown:
    """The take-down after this step, kept, journalled and told.

    Raises WrongTakedownStep.
    """
    after = msgspec.structs.replace(
        before, state=after_step(before.state, step), changed_at=tx.now, **changes
    )
    store.save(tx.connection, after, due_at=due_at(after, now=tx.now))
    action = f"exchange.takedown.{after.state.value}"
    written(tx, after, action=action, before=before, reason=reason)
    facts: dict[str, str | int] = {"partner": after.partner, "target": after.target.value}
    tx.emit(Event(name=action, subject=after.id, at=tx.now, facts=facts))
    return after


def kept(
    tx: Transaction,
    after: Takedown,
    *,
    action: str,
    reason: str = "",
    due: datetime | None = None,
) -> Takedown:
    """A change without a step, kept and journalled; `due` where the clock's own time is not it."""
    when = due or due_at(after, now=tx.now)
    store.save(tx.connection, after, due_at=when)
    written(tx, after, action=action, reason=reason)
    return after


def written(
    tx: Transaction,
    after: Takedown,
    *,
    action: str,
    before: Takedown | None = None,
    reason: str = "",
) -> None:
    """A row in the journal."""
    tx.journal(
        action=action,
        subject=after.id,
        before=None if before is None else mark(before),
        after=mark(after),
        reason=reason,
        authority=after.legal_basis,
    )


def mark(one: Takedown) -> TakedownMark:
    """The take-down in the journal."""
    last = one.receipts[-1] if one.receipts else None
    return TakedownMark(
        partner=one.partner,
        target=one.target.value,
        identifier_kind=one.identifier_kind,
        state=one.state.value,
        revision=one.revision,
        done=() if last is None else tuple(done.value for done in last.receipt.done),
        wrong=one.wrong,
        signed_by=None if last is None else last.kid,
    )


def due_at(one: Takedown, *, now: datetime) -> datetime | None:
    """When the clock asks for it next; None: only a person or the partner can move it."""
    if one.state in (State.APPROVED, State.REOPENED):
        return now
    if one.state not in (State.SENT, State.ACKNOWLEDGED):
        return None
    clock = one.acknowledge_by if one.state is State.SENT else one.act_by
    assert clock is not None, "what is sent has clocks"
    if one.reminded_at is not None and one.reminded_at >= clock:
        return one.reminded_at + timedelta(hours=takedown_rules().remind_hours)
    return clock
