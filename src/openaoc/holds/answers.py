"""Holds: an institution's answers, kept and carried out.

The rules stand in answering.py; here they meet the order's row, the ledger and the outbox.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from openaoc.holds import phone_store, store
from openaoc.holds.answering import Asked, Effect, effect_of, repeats, says_more
from openaoc.holds.book import RELEASE, OrderBook
from openaoc.holds.correcting import HEARD_WRONGLY, OWNER_CHANGED, SAID_MORE, correct
from openaoc.holds.model import ENDED, Answer, NoSuchOrder, OrderState
from openaoc.holds.onward import OnwardSink, check_onward
from openaoc.holds.record import OrderRecord
from openaoc.holds.words import ending
from openaoc.kernel.actor import Actor
from openaoc.kernel.errors import BadInput, OpenAOCError
from openaoc.storage.unit_of_work import Transaction

CLOCK_DIFFERENCE_MAX: Final = timedelta(minutes=5)
"""How far an institution's clock may be from ours when it says when it blocked the money."""


ANSWERS_TOGETHER_MAX: Final = 500
"""Answers in one transaction: others wait for its rows no longer than they take."""


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """An answer and the order it is for."""

    order: str
    answer: Answer


class Desk:
    """Takes one institution's answers and keeps them together, in a few statements for all.

    Each answer is judged for itself, on the order as those before it left it: what is wrong with
    one refuses that one alone.
    """

    def __init__(
        self,
        tx: Transaction,
        given: Sequence[Given],
        *,
        who: Actor,
        book: OrderBook,
        onward: OnwardSink | None,
    ) -> None:
        """Lock the institution's orders among those that are answered."""
        assert len(given) <= ANSWERS_TOGETHER_MAX, "the caller takes them in parts"
        assert who.institution is not None, "checked before"
        self._tx = tx
        self._who = who
        self._book = book
        self._onward = onward
        wanted = sorted({one.order for one in given})
        self._orders = {
            order.id: order
            for order in store.many(tx.connection, wanted, lock=True)
            if addressed(order, who.institution)
        }
        before = [o.id for o in self._orders.values() if o.answered_at or o.state in ENDED]
        self._known = store.answered(tx.connection, before) if before else set()
        self._by_voice = phone_store.unconfirmed(
            tx.connection, [o.id for o in self._orders.values() if o.answered_at is not None]
        )
        self._confirmed: list[str] = []
        self._changed: dict[str, OrderRecord] = {}
        self._kept: list[store.KeptAnswer] = []
        self.new: list[tuple[Given, OrderRecord]] = []
        """What was not said before, and the order as it left it."""

    def result(self, one: Given) -> OrderRecord | OpenAOCError:
        """The order as the answer leaves it, or what refuses the answer."""
        try:
            order, new = self._take(one.order, one.answer)
        except OpenAOCError as error:
            return error
        if new:
            self.new.append((one, order))
        return order

    def keep(self) -> None:
        """Write the answers and the orders they changed: two statements."""
        store.add_answers(self._tx, self._kept)
        store.save(self._tx.connection, list(self._changed.values()))
        phone_store.confirm(self._tx.connection, self._confirmed, at=self._tx.now)

    def _take(self, order_id: str, answer: Answer) -> tuple[OrderRecord, bool]:
        """The order now, and whether the answer was a new one."""
        order = self._orders.get(order_id)
        if order is None:
            raise NoSuchOrder(order_id[:64])
        digest = hashlib.sha256(msgspec.json.encode(answer)).digest()
        if (order.id, digest) in self._known:
            return order, False
        asked = _asked(order)
        again = repeats(asked, answer)
        by_voice, presumed = order.id in self._by_voice, order.presumed
        if by_voice and again:
            self._confirmed.append(order.id)
        if again and not answer.onward:
            return order, False
        corrects = presumed or (not again and (by_voice or says_more(asked, answer)))
        effect = None if again or corrects else effect_of(asked, answer)
        at = None if effect is None or effect.late else self._applied_at(answer, order)
        rows = check_onward(answer.onward or [], institution=order.institution)
        if rows and self._onward is not None:
            self._onward.take(self._tx, rows, actor=self._who)
        if corrects:
            changed = self._correct(order, answer, by_voice=by_voice)
            if by_voice:
                self._by_voice.discard(order.id)
                self._confirmed.append(order.id)
        else:
            changed = self._carry_out(order, answer, effect, at=at)
        self._orders[order.id] = self._changed[order.id] = changed
        self._known.add((order.id, digest))
        self._kept.append(_kept(order, answer, digest=digest, who=self._who, at=self._tx.now))
        return changed, True

    def _correct(self, order: OrderRecord, answer: Answer, *, by_voice: bool) -> OrderRecord:
        if not order.presumed:
            why = HEARD_WRONGLY if by_voice else SAID_MORE
            return correct(self._tx, self._book, order, answer, why=why)
        told = msgspec.structs.replace(order, available_minor=answer.available_minor)
        if answer.applied_minor in (order.applied_minor, order.held_minor):
            self._book.note(
                self._tx, order, told, action="holds.order.confirmed", reason=OWNER_CHANGED
            )
        else:
            told = correct(self._tx, self._book, order, answer, why=OWNER_CHANGED, ask_again=True)
        return msgspec.structs.replace(told, answered_at=self._tx.now)

    def _carry_out(
        self, order: OrderRecord, answer: Answer, effect: Effect | None, *, at: datetime | None
    ) -> OrderRecord:
        tx, book = self._tx, self._book
        if effect is None:
            book.note(tx, order, order, action="holds.order.onward_told", reason=answer.outcome)
            return order
        if effect.late:
            late = msgspec.structs.replace(order, available_minor=answer.available_minor)
            book.note(tx, order, late, action="holds.order.answered_late", reason=answer.outcome)
            if order.answered_at is not None and effect.applied_minor:
                self._nothing_remains(late, blocked_minor=effect.applied_minor)
            return late
        answered = msgspec.structs.replace(
            order,
            applied_minor=effect.applied_minor,
            held_minor=effect.held_minor,
            short_minor=effect.short_minor,
            available_minor=answer.available_minor,
            answered_at=tx.now,
        )
        changed = book.stepped(
            tx,
            order,
            effect.state,
            actor=self._who,
            reason=answer.reason or answer.outcome,
            changes=answered,
        )
        book.note_money(tx, changed, kind="hold", amount_minor=effect.held_minor, at=at)
        if effect.surplus_minor:
            book.tell_end(
                tx,
                changed,
                kind=RELEASE,
                amount_minor=effect.surplus_minor,
                remaining_minor=effect.held_minor,
                words=ending("surplus"),
            )
        return changed

    def _nothing_remains(self, order: OrderRecord, *, blocked_minor: int) -> None:
        """What it says it blocks for an order that is over was told to be over: once more."""
        self._book.tell_end(
            self._tx,
            order,
            kind=RELEASE,
            amount_minor=blocked_minor,
            remaining_minor=0,
            words=ending("surplus"),
        )

    def _applied_at(self, answer: Answer, order: OrderRecord) -> datetime:
        """When the money was blocked: the institution's word in the order's life, else now."""
        now = self._tx.now
        if answer.applied_at is None:
            return now
        if answer.applied_at > now + CLOCK_DIFFERENCE_MAX:
            raise BadInput("applied in the future", where="$.applied_at")
        return min(max(answer.applied_at, order.issued_at), now)


def addressed(order: OrderRecord, institution: str) -> bool:
    """Whether an institution may know of the order: its own, live, and sent."""
    sent = order.mode == "live" and order.state is not OrderState.DRAFTED
    return sent and order.institution == institution and bool(order.issued_at)


def _asked(order: OrderRecord) -> Asked:
    return Asked(
        state=order.state,
        amount_minor=order.amount_minor,
        ceiling_minor=order.ceiling_minor,
        applied_minor=order.applied_minor,
        held_minor=order.held_minor,
        answered=order.answered_at is not None,
    )


def _kept(
    order: OrderRecord, answer: Answer, *, digest: bytes, who: Actor, at: datetime
) -> store.KeptAnswer:
    return store.KeptAnswer(
        order_id=order.id,
        institution=order.institution,
        actor=who.id,
        at=at,
        digest=digest,
        outcome=answer.outcome,
        applied_minor=answer.applied_minor,
        available_minor=answer.available_minor,
        reason=answer.reason,
        bank_case_id=answer.bank_case_id,
    )
