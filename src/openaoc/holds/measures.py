"""Holds: an order made longer by the measure of a court or authority, which names its own end.

Never makes it longer by itself, and never changes its amount.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from openaoc.holds.book import OrderBook
from openaoc.holds.drafting import reworded
from openaoc.holds.legal import LegalRule
from openaoc.holds.model import HOLDING, WrongTransition
from openaoc.holds.record import OrderRecord
from openaoc.kernel.errors import BadInput
from openaoc.storage.unit_of_work import Transaction


def extend_by_measure(
    tx: Transaction,
    book: OrderBook,
    order: OrderRecord,
    *,
    rule: LegalRule,
    until: datetime,
    authority: str,
    reason: str,
) -> OrderRecord:
    """The order in a new revision that ends when the measure does; its institution is told.

    `rule` is the jurisdiction's for measures; `authority` names this one (court, number, date).
    Raises WrongTransition when nothing is held, BadInput for an end that is not later or further
    away than one entry may state.
    """
    if order.state not in HOLDING:
        raise WrongTransition(f"an order that is {order.state} holds nothing")
    if not order.ends_at < until <= tx.now + rule.longest:
        raise BadInput(
            f"later than {order.ends_at.isoformat()}, at most {rule.longest_hours} hours from now",
            where="until",
        )
    longer = msgspec.structs.replace(order, revision=order.revision + 1, ends_at=until)
    longer = reworded(longer, rule)
    book.amend(
        tx,
        order,
        longer,
        action="holds.order.extended",
        reason=reason,
        authority=f"{rule.id}: {authority}",
    )
    book.send(tx, longer)
    return longer
