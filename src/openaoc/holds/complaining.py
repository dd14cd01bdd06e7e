"""Holds: what a complaint to the police changes of a case's orders, by the rules of law.

Of two complaints the earlier counts: time that runs from it ends sooner, and doubt favours the
holder. Never decides which complaint a case rests on; cases/ keeps that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

import msgspec

from openaoc.holds.book import OrderBook
from openaoc.holds.drafting import reworded
from openaoc.holds.legal import LegalRule, Rulebook
from openaoc.holds.model import ACTIVE, NotYours, OrderState
from openaoc.holds.record import OrderRecord
from openaoc.kernel.errors import BadInput
from openaoc.storage.unit_of_work import Transaction


class Complaint(msgspec.Struct, frozen=True, kw_only=True):
    """The complaint that counts. `first`: the case had none before."""

    at: datetime
    reference: str
    first: bool


def follow_complaint(
    tx: Transaction,
    book: OrderBook,
    orders: Iterable[OrderRecord],
    complaint: Complaint,
    *,
    rules: Rulebook,
    rule_of: Callable[[OrderRecord], LegalRule],
) -> list[OrderRecord]:
    """Put a case's orders that went out under the rule for a complaint, or correct those that are.

    A draft under that rule, which nobody was told of, is corrected too: it must not go out for
    longer than the rule has. The changed orders. Raises NotYours for a role the rule does not name,
    BadInput for a first complaint whose time is over already.
    """
    changed = []
    for order in orders:
        if order.state not in ACTIVE:
            continue
        rule = rule_of(order)
        if rule.extends_to is not None:
            if order.state is OrderState.DRAFTED:
                continue
            after = rules.named(rule.extends_to, on=tx.now.date())
            over = complaint.at + after.longest <= tx.now
            if complaint.first or not over:
                changed.append(_extend(tx, book, order, complaint, rule=rule, after=after))
        elif rule.counts_from == "complaint" and complaint.at + rule.longest < order.ends_at:
            changed.append(_correct(tx, book, order, complaint, rule=rule))
    return changed


def _extend(
    tx: Transaction,
    book: OrderBook,
    order: OrderRecord,
    complaint: Complaint,
    *,
    rule: LegalRule,
    after: LegalRule,
) -> OrderRecord:
    if not rule.may_extend & tx.actor.roles:
        raise NotYours(f"extending is for {', '.join(sorted(rule.may_extend))}")
    end = complaint.at + after.longest
    if end <= tx.now:
        raise BadInput("the time from this complaint is over", where="complained_at")
    longer = msgspec.structs.replace(
        order,
        revision=order.revision + 1,
        ends_at=end,
        answer_by=tx.now + after.answer_within,
    )
    longer = reworded(longer, after)
    book.amend(
        tx,
        order,
        longer,
        action="holds.order.extended",
        reason=complaint.reference,
        authority=after.id,
    )
    book.send(tx, longer)
    return longer


def _correct(
    tx: Transaction, book: OrderBook, order: OrderRecord, complaint: Complaint, *, rule: LegalRule
) -> OrderRecord:
    """An earlier complaint came to light: the order ends sooner, at once where it is over."""
    end = complaint.at + rule.longest
    shorter = msgspec.structs.replace(order, revision=order.revision + 1, ends_at=max(end, tx.now))
    shorter = reworded(shorter, rule)
    book.amend(
        tx,
        order,
        shorter,
        action="holds.order.corrected",
        reason=complaint.reference,
        authority=rule.id,
    )
    # One that is over ends by itself at the next look, and its institution is told that.
    if end > tx.now and order.state is not OrderState.DRAFTED:
        book.send(tx, shorter)
    return shorter
