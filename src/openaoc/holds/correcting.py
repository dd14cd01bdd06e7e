"""Holds: an institution's word comes after an earlier one: heard by telephone, or of less.

The institution's own word counts. Nothing is held twice, and nothing beyond what was ordered.
"""

from __future__ import annotations

from typing import Final

import msgspec

from openaoc.holds.answering import check_form
from openaoc.holds.book import RELEASE, OrderBook
from openaoc.holds.model import HOLDING, Answer, MoreThanOrdered, OrderState
from openaoc.holds.record import OrderRecord
from openaoc.holds.words import ending
from openaoc.kernel.actor import SYSTEM
from openaoc.storage.unit_of_work import Transaction

HEARD_WRONGLY: Final = "the institution's own answer corrects what was heard by telephone"
OWNER_CHANGED: Final = "what the institution says of the block that went over to this order"
SAID_MORE: Final = "the institution blocks more than it said before"


def correct(
    tx: Transaction,
    book: OrderBook,
    order: OrderRecord,
    answer: Answer,
    *,
    why: str,
    ask_again: bool = False,
) -> OrderRecord:
    """The order as the institution's own answer leaves it; saved by the caller.

    Less than was heard: the rest was never blocked, and is asked for nowhere; with `ask_again` it
    is, for where a block did not go over it may be blocked anew. More: what was not expected is
    given back; as far as it was missed before, it may be ordered anew. Raises
    MoreThanOrdered, BadInput.
    """
    check_form(answer)
    if answer.applied_minor > order.ceiling_minor:
        raise MoreThanOrdered(
            f"{answer.applied_minor} applied, {order.ceiling_minor} ordered",
            where="$.applied_minor",
        )
    said = msgspec.structs.replace(
        order, applied_minor=answer.applied_minor, available_minor=answer.available_minor
    )
    if order.state in HOLDING and answer.applied_minor < order.held_minor:
        missing = 0 if ask_again else order.held_minor - answer.applied_minor
        return _less(tx, book, order, said, why=why, missing_minor=missing)
    more = answer.applied_minor - order.held_minor
    if more <= 0:
        book.note(tx, order, said, action="holds.order.confirmed", reason=why)
        return said
    # What a person gave free since is not missed, and is not asked for again.
    missed = max(answer.applied_minor - order.applied_minor, 0)
    changed = msgspec.structs.replace(said, short_minor=max(order.short_minor - missed, 0))
    book.note(tx, order, changed, action="holds.order.corrected", reason=why)
    book.tell_end(
        tx,
        changed,
        kind=RELEASE,
        amount_minor=more,
        remaining_minor=order.held_minor,
        words=ending("surplus"),
    )
    return changed


def _less(
    tx: Transaction,
    book: OrderBook,
    order: OrderRecord,
    said: OrderRecord,
    *,
    why: str,
    missing_minor: int,
) -> OrderRecord:
    """What was heard and not blocked was never held: later traces see a smaller hold."""
    held = said.applied_minor
    changed = msgspec.structs.replace(
        said, held_minor=held, short_minor=order.short_minor + missing_minor
    )
    if held == 0:
        changed = book.stepped(
            tx, order, OrderState.RELEASED, actor=SYSTEM, reason=why, changes=changed
        )
    else:
        book.note(tx, order, changed, action="holds.order.corrected", reason=why)
    book.note_money(tx, order, kind="excess", amount_minor=order.held_minor - held)
    return changed
