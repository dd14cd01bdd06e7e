"""Holds: how an order ends before its time, whatever state it is in: for contests and for undo.

Works in the caller's transaction, which has joined the matter. Who may do it is asked before.
"""

from __future__ import annotations

from openaoc.cases.service import Cases
from openaoc.holds import store
from openaoc.holds.book import OrderBook
from openaoc.holds.model import ENDED, HOLDING, WrongTransition
from openaoc.holds.record import OrderRecord
from openaoc.holds.trimming import give_back, withdraw
from openaoc.kernel.errors import BadInput
from openaoc.storage.unit_of_work import Transaction


class Ending:
    """Gives held money back, takes unanswered orders back. One instance per centre."""

    def __init__(self, book: OrderBook, *, cases: Cases) -> None:
        self._book = book
        self._cases = cases

    def order(self, tx: Transaction, order_id: str, *, lock: bool = False) -> OrderRecord | None:
        """The order as kept, locked when asked; None when there is none."""
        return store.get(tx.connection, order_id, lock=lock)

    def orders_of(self, tx: Transaction, case_id: str) -> list[str]:
        """The numbers of a case's orders; none of a case that there is not."""
        return [order.id for order in store.of_cases(tx.connection, [case_id])]

    def end(
        self,
        tx: Transaction,
        order: OrderRecord,
        *,
        kind: str,
        reason: str = "",
        amount_minor: int | None = None,
    ) -> int:
        """Give back what is held, all of it by default, or take an unanswered order back whole.

        The amount that came free; `kind` names the words its holder reads. It is not asked for
        again while it lies there. Raises WrongTransition for an order that has ended, BadInput
        for more than is held.
        """
        if order.state in ENDED:
            raise WrongTransition(f"the order is {order.state}")
        if order.state not in HOLDING:
            if amount_minor not in (None, order.amount_minor):
                raise WrongTransition("its institution has not answered yet: only all of it")
            withdraw(tx, self._book, order, kind=kind, reason=reason)
            freed = order.amount_minor
        else:
            freed = order.held_minor if amount_minor is None else amount_minor
            if not 0 < freed <= order.held_minor:
                raise BadInput(f"between 1 and {order.held_minor}", where="release_minor")
            give_back(tx, self._book, order, amount_minor=freed, kind=kind, reason=reason)
        self._cases.mark_due(tx, [order.case_id], at=tx.now)
        return freed
