"""Holds: looks again at standing holds and gives back what is no longer certain.

Writes through the book, in the caller's transaction; what is kept is decided by review.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from openaoc.holds import review_store, store
from openaoc.holds.book import OrderBook
from openaoc.holds.drafting import reworded
from openaoc.holds.legal import LegalRule
from openaoc.holds.model import HOLDING
from openaoc.holds.record import OrderRecord
from openaoc.holds.review import HeldFacts, keep
from openaoc.holds.trimming import give_back
from openaoc.storage.unit_of_work import Transaction

REVIEW_EVERY: Final = timedelta(hours=1)
"""A standing hold is looked at again this often; what its trace loses is given back at once,
without waiting for this.
"""
REVIEWS_PER_RUN_MAX: Final = 20


class Reviewing:
    """The verb that reviews holds. One instance per centre."""

    def __init__(self, book: OrderBook, *, rule_of: Callable[[OrderRecord], LegalRule]) -> None:
        self._book = book
        self._rule_of = rule_of

    def due(self, tx: Transaction, *, limit: int = REVIEWS_PER_RUN_MAX) -> list[str]:
        """Holds that nobody looked at for REVIEW_EVERY."""
        return review_store.due(tx.connection, before=tx.now - REVIEW_EVERY, limit=limit)

    def cases_on(self, tx: Transaction, place: tuple[str, str, str]) -> int:
        """How many cases' orders there ever were on an account."""
        return review_store.cases_on(tx.connection, place)

    def together(self, tx: Transaction, order_id: str) -> Sequence[OrderRecord]:
        """The hold and its case's other holds on the account, locked; none once it has ended."""
        asked = store.get(tx.connection, order_id)
        if asked is None:
            return []
        return [
            order
            for order in store.of_cases(tx.connection, [asked.case_id], lock=True)
            if order.place == asked.place and order.state in HOLDING and order.mode == "live"
        ]

    def review(
        self,
        tx: Transaction,
        together: Sequence[OrderRecord],
        facts: HeldFacts,
        *,
        floor_minor: int,
    ) -> int:
        """Give back what may not stand any more of one case's holds on one account; how much.

        What a person approved stays: the newest of what went out by itself is given back first.
        """
        by_itself = [o for o in together if o.standing == "automatic" and not o.approvals]
        review_store.done(tx.connection, [order.id for order in together], at=tx.now)
        if not by_itself:
            return 0
        active = sum(order.held_minor for order in by_itself)
        kept = keep(
            facts,
            active_minor=active,
            floor_minor=floor_minor,
            known_innocent=any(order.likely_innocent for order in by_itself),
        )
        excess = active - kept.amount_minor
        for order in sorted(by_itself, key=lambda o: -o.sequence):
            noted = self._note(tx, order, facts, kept.why) if kept.in_doubt else order
            cut = min(noted.held_minor, excess)
            if cut:
                excess -= cut
                reason = "; ".join(kept.why)
                give_back(tx, self._book, noted, amount_minor=cut, kind="reviewed", reason=reason)
        return active - kept.amount_minor

    def _note(
        self, tx: Transaction, order: OrderRecord, facts: HeldFacts, why: tuple[str, ...]
    ) -> OrderRecord:
        """Keep on the order what the review found: its figures, and the shorter clock of doubt."""
        end = self._end_in_doubt(order, now=tx.now)
        newly = facts.verdict.likely_innocent and not order.likely_innocent
        if not newly and not why and end == order.ends_at:
            return order
        changed = msgspec.structs.replace(
            order,
            amounts=facts.amounts,
            likely_innocent=facts.verdict.likely_innocent or order.likely_innocent,
            why=list(dict.fromkeys([*order.why, *why, *facts.verdict.why])),
            ends_at=end,
        )
        sooner = end < order.ends_at
        if sooner:
            changed = reworded(
                msgspec.structs.replace(changed, revision=order.revision + 1),
                self._rule_of(order),
            )
        self._book.amend(
            tx, order, changed, action="holds.order.reviewed", reason="; ".join(why) or "in doubt"
        )
        if sooner and end > tx.now:
            self._book.send(tx, changed)
        return changed

    def _end_in_doubt(self, order: OrderRecord, *, now: datetime) -> datetime:
        """In doubt a hold on a victim's word has the shortest clock; a complaint is a person's."""
        rule = self._rule_of(order)
        if rule.ground != "victim_report":
            return order.ends_at
        return min(order.ends_at, max(order.issued_at + rule.doubtful, now))
