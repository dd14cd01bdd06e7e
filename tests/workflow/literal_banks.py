"""Institutions that do to the letter what they are told, and what each of them blocks then.

Two of each: one goes by what an order's end says to give back, one by what it says remains; a
revision of what they answered they carry out anew, up to its amount. Both have to block what the
centre believes is held.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import sqlalchemy as sa

from openaoc.holds.model import Order, OrderEnd, OrderState
from openaoc.kernel.actor import SYSTEM
from tests.workflow.centre import Centre
from tests.workflow.invariants import all_orders

ANSWERS = (
    "select sequence, order_id, applied_minor from hold_answers where sequence > :after"
    " order by sequence"
)
PAYMENTS = (
    "select sequence, order_id, amount_minor from hold_events where sequence > :after"
    " and kind = 'restitution' order by sequence"
)


class Blocked(msgspec.Struct):
    """What is blocked for one order, by each reading; `over` once nothing remains."""

    revision: int = 0
    answered: bool = False
    by_amount: int = 0
    by_remaining: int = 0
    over: bool = False


class Row(NamedTuple):
    sequence: int
    order: str
    amount_minor: int


class LiteralBanks:
    """Reads every message in the order it was sent, and what was answered and paid between."""

    def __init__(self, centre: Centre) -> None:
        self._centre = centre
        self.orders: dict[str, Blocked] = {}
        self._read = 0
        self._heard = self._answers_after = self._payments_after = 0

    def catch_up(self) -> None:
        """Read and do what came since."""
        answers = self._rows(ANSWERS, self._answers_after)
        heard = self._centre.outbox.heard[self._heard :]
        assert [order for _, order in heard] == [row.order for row in answers]
        for (place, _), row in zip(heard, answers, strict=True):
            self._follow(place)
            known = self.orders[row.order]
            known.answered = True
            known.by_amount = known.by_remaining = 0 if known.over else row.amount_minor
            self._answers_after = row.sequence
        self._heard += len(heard)
        for row in self._rows(PAYMENTS, self._payments_after):
            known = self.orders[row.order]
            known.by_amount -= row.amount_minor
            known.by_remaining -= row.amount_minor
            self._payments_after = row.sequence
        self._follow(len(self._centre.outbox.sent))

    def _follow(self, place: int) -> None:
        for message in self._centre.outbox.sent[self._read : place]:
            if isinstance(message.body, Order):
                self._order(message.body)
            elif isinstance(message.body, OrderEnd):
                self._end(message.body)
        self._read = max(self._read, place)

    def _order(self, order: Order) -> None:
        known = self.orders.setdefault(order.order, Blocked())
        assert order.revision > known.revision, "a revision was sent twice, or an older one"
        assert order.amount_minor > 0, "an order of nothing"
        assert not known.over, "an order that was over is sent again"
        if order.continues and not known.revision:  # blocked already, under the other order
            known.by_amount = known.by_remaining = order.amount_minor
        known.revision = order.revision
        if known.answered:
            known.by_amount = known.by_remaining = order.amount_minor

    def _end(self, end: OrderEnd) -> None:
        known = self.orders[end.order]
        assert end.amount_minor > 0, "nothing is given back"
        known.by_amount = max(known.by_amount - end.amount_minor, 0)
        known.by_remaining = min(known.by_remaining, end.remaining_minor)
        known.over |= end.remaining_minor == 0

    def _rows(self, statement: str, after: int) -> list[Row]:
        with self._centre.database.uow.read(SYSTEM) as tx:
            return [
                Row(*row) for row in tx.connection.execute(sa.text(statement), {"after": after})
            ]

    def check(self) -> None:
        """What they block is what the centre holds; of a converted order nothing is told more."""
        self.catch_up()
        for order in all_orders(self._centre):
            known = self.orders.get(order.id, Blocked())
            if order.state is not OrderState.CONVERTED:
                assert known.by_remaining == order.held_minor, f"{known} blocked, {order}"
                assert known.by_amount == order.held_minor, f"{known} blocked, {order}"
