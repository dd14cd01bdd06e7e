"""Holds: a standing block goes over from one case's order to another's. Nothing comes free.

An earlier payment, filed later, prevails on money that is held already: the institution goes on
blocking it, and only the order it is blocked under changes. Never decides whose the money is.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from openaoc.holds.book import RELEASE, OrderBook
from openaoc.holds.model import HOLDING, OrderState
from openaoc.holds.record import MoneyEvent, OrderRecord
from openaoc.holds.words import ending
from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.events import Event
from openaoc.storage.unit_of_work import Transaction


class Takeover(msgspec.Struct, frozen=True, kw_only=True):
    """A block that changes its owner.

    `old` is the order that holds it, `fresh` the one that will; `since` is when the institution
    blocked it. `agreed` is a drafted order of the new owner that persons agreed to: what it asked
    for is asked for no more.
    """

    old: OrderRecord
    fresh: OrderRecord
    since: datetime
    agreed: OrderRecord | None = None

    @property
    def amount_minor(self) -> int:
        """How much of the block goes over."""
        return self.fresh.held_minor

    @property
    def cases(self) -> tuple[str, str]:
        """Whose block it was, and whose it is."""
        return self.old.case_id, self.fresh.case_id

    def foreseen(self) -> list[MoneyEvent]:
        """What later traces will be told: the old order never held it, the new one always did."""
        return [
            self._event(self.old, kind="excess", at=self.fresh.issued_at),
            self._event(self.fresh, kind="hold", at=self.since),
        ]

    def _event(
        self, order: OrderRecord, *, kind: Literal["hold", "excess"], at: datetime
    ) -> MoneyEvent:
        return MoneyEvent(
            order_id=order.id,
            case_id=order.case_id,
            bank=order.institution,
            account=order.account,
            currency=order.currency,
            kind=kind,
            amount_minor=self.amount_minor,
            at=at,
        )


def taking_over(drafted: OrderRecord, old: OrderRecord) -> OrderRecord:
    """The order as it is born: it holds all it asks for, by the block of the old one.

    Its institution has not spoken: `answered_at` stays open until it does.
    """
    return msgspec.structs.replace(
        drafted,
        state=OrderState.APPLIED,
        applied_minor=drafted.amount_minor,
        held_minor=drafted.amount_minor,
        continues=old.id,
        why=[*drafted.why, f"goes on with what {old.id} blocked: an earlier payment prevails"],
    )


def take_over(tx: Transaction, book: OrderBook, one: Takeover, *, authority: str) -> OrderRecord:
    """Write the new order, take the amount off the old one, and tell the institution both.

    The new order goes out first: an institution that knows nothing of blocks that go over blocks
    anew before it gives back. The old order as it stands then: ended where nothing is left of it.
    """
    old, fresh, amount = one.old, one.fresh, one.amount_minor
    assert {old.state, fresh.state} <= HOLDING, "a block goes over, not a request"
    assert 0 < amount <= old.held_minor, "no more than is held"
    assert (old.place, old.mode) == (fresh.place, "live"), "on the same account, really blocked"
    book.write(tx, [(fresh, authority)])
    book.note_money(tx, fresh, kind="hold", amount_minor=amount, at=one.since)
    book.send(tx, fresh, first=True)
    words = ending("continued", detail=fresh.id)
    left = msgspec.structs.replace(
        old, revision=old.revision + 1, held_minor=old.held_minor - amount
    )
    book.amend(tx, old, left, action="holds.order.continued", reason=words.en, authority=authority)
    book.note_money(tx, old, kind="excess", amount_minor=amount)
    book.tell_end(
        tx,
        left,
        kind=RELEASE,
        amount_minor=amount,
        remaining_minor=left.held_minor,
        words=words,
        continued_by=fresh.id,
    )
    tx.emit(
        Event(
            name="holds.order.continued",
            subject=old.id,
            at=tx.now,
            facts={
                "case": old.case_id,
                "institution": old.institution,
                "by": fresh.id,
                "by_case": fresh.case_id,
                "amount_minor": amount,
                "held_minor": left.held_minor,
            },
        )
    )
    if left.held_minor:
        return left
    return book.step(tx, left, OrderState.RELEASED, actor=SYSTEM, reason=words.en)
