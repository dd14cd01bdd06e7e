"""Holds: held money that was paid back to whom it belongs leaves the hold. Nothing else moves.

The institution paid it; the transfer it names takes nothing more from the account (tracing).
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from openaoc.holds.book import OrderBook
from openaoc.holds.model import HOLDING, OrderState, WrongTransition
from openaoc.holds.record import OrderRecord, PaidBy
from openaoc.kernel.actor import Actor
from openaoc.kernel.errors import BadInput
from openaoc.storage.unit_of_work import Transaction


def restitute(
    tx: Transaction,
    book: OrderBook,
    order: OrderRecord,
    *,
    amount_minor: int,
    at: datetime,
    paid: PaidBy,
    actor: Actor,
) -> OrderRecord:
    """The order holding less; with nothing left its life ends as restituted.

    An order that was converted stays so: another's measure held the money. Raises WrongTransition
    when nothing is held, BadInput for more than is.
    """
    if order.state not in HOLDING and order.state is not OrderState.CONVERTED:
        raise WrongTransition(f"an order that is {order.state} holds nothing")
    if not 0 < amount_minor <= order.held_minor:
        raise BadInput(f"between 1 and {order.held_minor}", where="$.amount_minor")
    reason = f"paid back by transfer {paid.transfer_id}"
    left = msgspec.structs.replace(order, held_minor=order.held_minor - amount_minor)
    if left.held_minor == 0 and order.state in HOLDING:
        left = book.step(tx, order, OrderState.RESTITUTED, actor=actor, reason=reason, changes=left)
    else:
        book.amend(tx, order, left, action="holds.order.part_restituted", reason=reason)
    book.note_money(tx, order, kind="restitution", amount_minor=amount_minor, at=at, paid=paid)
    return left
