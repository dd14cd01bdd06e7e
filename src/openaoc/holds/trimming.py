"""Holds: how orders shrink when the money has left, or was never there.

Writes through the book; never lets a case's orders stay above its money.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from openaoc.holds.book import RELEASE, WITHDRAWAL, OrderBook
from openaoc.holds.drafting import reworded
from openaoc.holds.legal import LegalRule
from openaoc.holds.model import HOLDING, WAITING, OrderState
from openaoc.holds.record import OrderRecord
from openaoc.holds.words import ending
from openaoc.kernel.actor import SYSTEM
from openaoc.storage.unit_of_work import Transaction

BY_ITSELF: Final = frozenset({"moved", "continued"})
"""Withdrawn because of what the trace says, by nobody."""

RuleOf = Callable[[OrderRecord], LegalRule]


def not_again(order: OrderRecord, *, amount_minor: int) -> OrderRecord:
    """What a hold's end, or a person, gave free is not asked for again while it lies there.

    Without this the next trace would order it anew and no hold would have an end.
    """
    return msgspec.structs.replace(order, short_minor=order.short_minor + amount_minor)


def lower_unanswered(
    tx: Transaction,
    book: OrderBook,
    orders: Iterable[OrderRecord],
    *,
    excess_minor: int,
    rule_of: RuleOf,
    kind: str = "moved",
) -> list[OrderRecord]:
    """Take `excess_minor` off unanswered orders: drafts first, then the newest; the changed ones.

    An order that loses all of its amount is withdrawn, another goes out in a new revision. `kind`
    names the words: the money has moved, or another order continues a block on it.
    """
    unanswered = [o for o in orders if o.state is OrderState.DRAFTED or o.state in WAITING]
    unanswered.sort(key=lambda o: (o.state is not OrderState.DRAFTED, -o.sequence))
    changed: list[OrderRecord] = []
    left = excess_minor
    for order in unanswered:
        if left <= 0:
            break
        cut = min(order.amount_minor, left)
        left -= cut
        if cut == order.amount_minor:
            changed.append(withdraw(tx, book, order, kind=kind))
            continue
        lowered = msgspec.structs.replace(
            order, revision=order.revision + 1, amount_minor=order.amount_minor - cut
        )
        lowered = reworded(lowered, rule_of(order))
        book.amend(tx, order, lowered, action="holds.order.lowered", reason=ending(kind).en)
        if order.state in WAITING:
            book.send(tx, lowered)
        changed.append(lowered)
    return changed


def withdraw(
    tx: Transaction, book: OrderBook, order: OrderRecord, *, kind: str, reason: str = ""
) -> OrderRecord:
    """Withdraw an order nobody has answered; the institution is told if it was sent."""
    words = ending(kind, detail=reason)
    by_itself = kind in BY_ITSELF
    kept = order if by_itself else not_again(order, amount_minor=order.amount_minor)
    ended = book.step(
        tx,
        order,
        OrderState.WITHDRAWN,
        actor=SYSTEM if by_itself else tx.actor,
        reason=reason or words.en,
        changes=kept,
    )
    if order.state in WAITING:
        book.tell_end(
            tx,
            ended,
            kind=WITHDRAWAL,
            amount_minor=order.amount_minor,
            remaining_minor=0,
            words=words,
        )
    return ended


def give_back(
    tx: Transaction,
    book: OrderBook,
    order: OrderRecord,
    *,
    amount_minor: int,
    kind: str,
    reason: str = "",
) -> OrderRecord:
    """Release `amount_minor` of what an order holds; with nothing left the order is released.

    `kind` excess means that the hold never found this part, so that later traces see a smaller
    hold from its beginning.
    """
    assert order.state in HOLDING, "only what is applied can be given back"
    assert 0 < amount_minor <= order.held_minor, "no more than is held"
    words = ending(kind, detail=reason)
    left = order.held_minor - amount_minor
    changed = msgspec.structs.replace(order, revision=order.revision + 1, held_minor=left)
    if kind != "excess":
        changed = not_again(changed, amount_minor=amount_minor)
    if left == 0:
        actor = SYSTEM if kind == "excess" else tx.actor
        changed = book.step(
            tx,
            order,
            OrderState.RELEASED,
            actor=actor,
            reason=reason or words.en,
            changes=changed,
        )
    else:
        book.amend(
            tx, order, changed, action="holds.order.part_released", reason=reason or words.en
        )
    book.note_money(
        tx, order, kind="excess" if kind == "excess" else "release", amount_minor=amount_minor
    )
    book.tell_end(
        tx, changed, kind=RELEASE, amount_minor=amount_minor, remaining_minor=left, words=words
    )
    return changed


def settle_excess(
    tx: Transaction, book: OrderBook, order: OrderRecord, *, amount_minor: int
) -> OrderRecord:
    """Give back what a hold never found of its case's money, as far as it is held still.

    Of a hold that has ended it is only noted, so that its end frees no other hold's money. What
    another's measure holds is not ours to give back: it only counts as this case's no more.
    """
    held = min(amount_minor, order.held_minor)
    book.note_money(tx, order, kind="excess", amount_minor=amount_minor - held)
    if held and order.state in HOLDING:
        return give_back(tx, book, order, amount_minor=held, kind="excess")
    if held:
        left = msgspec.structs.replace(order, held_minor=order.held_minor - held)
        book.amend(tx, order, left, action="holds.order.part_released", reason=ending("excess").en)
        book.note_money(tx, order, kind="excess", amount_minor=held)
        return left
    return order
