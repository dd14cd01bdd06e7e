"""Simulation: what an institution does with the centre's messages: block, give back, answer.

Blocks amounts on its own books, never more than is free, and answers what it really did. Of what it
does not know it takes note alone: it holds nothing on its own suspicion, and nothing matures here.
"""

from __future__ import annotations

from typing import Final

import msgspec

from openaoc.channels.model import Delivery
from openaoc.holds.model import Order, OrderEnd
from openaoc.kernel.clock import Clock, to_us
from openaoc.kernel.errors import BadInput
from openaoc.simulation.blocking import account_at, carry_out, go_over, keep_less, take_end
from openaoc.simulation.errands import Errands, wait_us
from openaoc.simulation.line import Line
from openaoc.simulation.nation import Nation
from openaoc.simulation.orders_store import OrdersStore
from openaoc.simulation.store import WaitingMessage
from openaoc.workflow.confirming import PAYMENT_CONFIRM
from openaoc.workflow.control import CONTROL_CHECK

ORDER: Final = "hold.order"
ENDS: Final = frozenset({"hold.withdrawal", "hold.release"})
QUESTIONS: Final = frozenset({PAYMENT_CONFIRM, CONTROL_CHECK})


class _About(msgspec.Struct):
    """The case a question is about."""

    case: str


class Desk:
    """All institutions' desks for hold orders."""

    def __init__(self, nation: Nation, *, seed: int, clock: Clock) -> None:
        self._nation = nation
        self._clock = clock
        self.orders = OrdersStore(nation.store)
        self.errands = Errands(nation.store)
        answers = nation.parameters.answers
        self.lines = {
            one.code: Line(answers, seed=seed, number=number)
            for number, one in enumerate(nation.parameters.institutions)
        }

    def reachable(self, institution: str) -> bool:
        """Whether the institution's system is up at this moment."""
        return self.lines[institution].reachable(to_us(self._clock.now()) / 1e6)

    def take_in(self, institution: str, body: bytes) -> int:
        """Keep a delivery; returns how many messages were new. Raises BadInput."""
        try:
            delivery = msgspec.json.decode(body, type=Delivery)
        except msgspec.MsgspecError as error:
            raise BadInput(str(error)) from error
        now_us = to_us(self._clock.now())
        line = self.lines[institution]
        rows = [
            (
                message.idempotency_key,
                institution,
                message.kind,
                bytes(message.body),
                now_us + (int(line.delay_s() * 1e6) if message.kind == ORDER else 0),
            )
            for message in delivery.messages
        ]
        return self.orders.take_in(rows)

    def work(self) -> int:
        """Deal with every message that is due, and end what is over; returns how many."""
        now_us = to_us(self._clock.now())
        messages = self.orders.due_messages(now_us=now_us)
        for message in messages:
            with self._nation.lock:
                if message.kind == ORDER:
                    self._order(message, now_us)
                elif message.kind in ENDS:
                    self._end(message)
                elif message.kind in QUESTIONS:
                    self._asked(message, now_us)
                else:
                    self.orders.save(None, message=message.key)
        over = self.orders.over(now_us=now_us)
        for held in over:
            with self._nation.lock:
                done = keep_less(
                    self._nation.books,
                    held,
                    remaining_minor=0,
                    revision=held.revision,
                    ended=True,
                )
                self.orders.save(done)
        return len(messages) + len(over)

    def _order(self, message: WaitingMessage, now_us: int) -> None:
        order = msgspec.json.decode(message.body, type=Order)
        account = account_at(self._nation.population, message.institution, order.account)
        held, old = self.orders.order(order.order), None
        if held is None and order.continues:
            old = self.orders.order(order.continues)
            if old is not None:
                old, held = go_over(old, by=order.order, amount_minor=order.amount_minor)
        kept, answer = carry_out(self._nation.books, order, held=held, account=account)
        self.orders.save(
            kept, also=old, message=message.key, answer=msgspec.json.encode(answer), due_us=now_us
        )

    def _asked(self, message: WaitingMessage, now_us: int) -> None:
        """Somebody will look at it: the institution's people, or the account's holder."""
        wait = wait_us(message.kind)
        if wait is not None:
            self.errands.add(
                message.key,
                institution=message.institution,
                kind=message.kind,
                case=msgspec.json.decode(message.body, type=_About).case,
                body=message.body,
                due_us=now_us + wait,
            )
        self.orders.save(None, message=message.key)

    def _end(self, message: WaitingMessage) -> None:
        end = msgspec.json.decode(message.body, type=OrderEnd)
        account = account_at(self._nation.population, message.institution, end.account)
        held, fresh = self.orders.order(end.order), None
        if held is not None and end.continued_by and not self.orders.order(end.continued_by):
            over = held.blocked_minor - end.remaining_minor
            held, fresh = go_over(held, by=end.continued_by, amount_minor=over)
        kept = take_end(self._nation.books, end, held=held, account=account)
        self.orders.save(kept, also=fresh, message=message.key)
