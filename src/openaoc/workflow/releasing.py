"""Workflow: staff give held money back, take an order back or drop a case, unless it is contested.

A contest may need two persons, for most come from mules: one person's word does not go round
them. What ends a hold otherwise (its institution, review, undo, its time) never asks here.
"""

from __future__ import annotations

from openaoc.appeals.waiting import leave_to_contest
from openaoc.holds.ending import Ending
from openaoc.holds.lock import hold_matter, join_matter
from openaoc.holds.model import OrderView
from openaoc.holds.service import Holds
from openaoc.parties.permissions import Permission, require
from openaoc.storage.unit_of_work import Transaction
from openaoc.workflow.pursuit import Pursuit


class Releasing:
    """How one person ends a hold. One instance per centre."""

    def __init__(self, *, holds: Holds, ending: Ending, pursuit: Pursuit) -> None:
        self._holds = holds
        self._ending = ending
        self._pursuit = pursuit

    def release(
        self, tx: Transaction, order_id: str, reason: str, *, amount_minor: int | None = None
    ) -> OrderView:
        """As `Holds.release`. Raises ContestOpen for staff while a contest of the hold is open."""
        require(tx.actor, Permission.HOLD_RELEASE)
        self._leave_to_contest(tx, order_id)
        return self._holds.release(tx, order_id, reason, amount_minor=amount_minor)

    def withdraw(self, tx: Transaction, order_id: str, reason: str) -> OrderView:
        """As `Holds.withdraw`. Raises ContestOpen while a contest of the order is open."""
        require(tx.actor, Permission.HOLD_WITHDRAW)
        self._leave_to_contest(tx, order_id)
        return self._holds.withdraw(tx, order_id, reason)

    def drop(self, tx: Transaction, case_id: str, *, reason: str) -> int:
        """As `Pursuit.drop`. Raises ContestOpen while a contest of one of its holds is open."""
        require(tx.actor, Permission.CASE_WORK)
        hold_matter(tx)
        for order in self._holds.orders_of(tx, [case_id]):
            if order.active_minor:
                leave_to_contest(tx, order.id)
        return self._pursuit.drop(tx, case_id, reason=reason)

    def _leave_to_contest(self, tx: Transaction, order_id: str) -> None:
        if tx.actor.institution is not None:
            return  # it answers for its own holds, and sees no contest
        join_matter(tx)
        if self._ending.order(tx, order_id, lock=True) is not None:
            leave_to_contest(tx, order_id)
