"""Simulation: what an institution does with the centre's messages: block, give back, answer.

Blocks amounts on its own books, never more than is free, and answers what it really did.
"""

from __future__ import annotations

from typing import Final

import msgspec

from openaoc.channels.model import Delivery
from openaoc.holds.model import Answer, Order, OrderEnd
from openaoc.kernel.clock import Clock, to_us
from openaoc.kernel.errors import BadInput
from openaoc.simulation.line import Line
from openaoc.simulation.nation import Nation
from openaoc.simulation.orders_store import OrdersStore
from openaoc.simulation.population import account_index
from openaoc.simulation.store import HeldOrder, WaitingMessage

ORDER: Final = "hold.order"
ENDS: Final = frozenset({"hold.withdrawal", "hold.release"})


class Desk:
    """All institutions' desks for hold orders."""

    def __init__(self, nation: Nation, *, seed: int, clock: Clock) -> None:
        self._nation = nation
        self._clock = clock
        self.orders = OrdersStore(nation.store)
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
                else:
                    self.orders.save(None, message=message.key)
        over = self.orders.over(now_us=now_us)
        for held in over:
            with self._nation.lock:
                self._keep(held, remaining_minor=0, revision=held.revision, ended=1)
        return len(messages) + len(over)

    def _order(self, message: WaitingMessage, now_us: int) -> None:
        order = msgspec.json.decode(message.body, type=Order)
        held = self.orders.order(order.order)
        if held is not None and (held.ended or held.revision >= order.revision):
            answer = self._too_late(held, order.revision)
            self.orders.save(
                held, message=message.key, answer=msgspec.json.encode(answer), due_us=now_us
            )
            return
        account = self._account(message.institution, order.account)
        blocked = held.blocked_minor if held is not None else 0
        available = applied = 0
        if account is not None:
            books = self._nation.books
            available = books.free(account) + blocked
            if blocked > order.amount_minor:
                books.unblock(account, blocked - order.amount_minor)
                applied = order.amount_minor
            else:
                applied = blocked + books.block(account, order.amount_minor - blocked)
        now_held = HeldOrder(
            order.order,
            message.institution,
            account,
            order.revision,
            applied,
            to_us(order.ends_at),
            ended=0,
        )
        answer = _answer(account, applied=applied, available=available, order=order)
        self.orders.save(
            now_held, message=message.key, answer=msgspec.json.encode(answer), due_us=now_us
        )

    def _too_late(self, held: HeldOrder, revision: int) -> Answer:
        if held.ended and held.revision >= revision:
            return Answer(outcome="refused", reason="withdrawn before it was applied")
        return Answer(outcome="applied", applied_minor=held.blocked_minor)

    def _end(self, message: WaitingMessage) -> None:
        """Give back what the centre gives back; a withdrawal may overtake its order."""
        end = msgspec.json.decode(message.body, type=OrderEnd)
        held = self.orders.order(end.order)
        if held is None:
            account = self._account(message.institution, end.account)
            held = HeldOrder(end.order, message.institution, account, 0, 0, 0, ended=0)
        over = end.remaining_minor == 0
        self._keep(
            held,
            remaining_minor=end.remaining_minor,
            revision=max(held.revision, end.revision),
            ended=int(held.ended or over),
        )
        self.orders.save(None, message=message.key)

    def _keep(self, held: HeldOrder, *, remaining_minor: int, revision: int, ended: int) -> None:
        back = held.blocked_minor - remaining_minor
        if back > 0 and held.account is not None:
            self._nation.books.unblock(held.account, back)
        blocked = min(held.blocked_minor, remaining_minor)
        self.orders.save(held._replace(blocked_minor=blocked, revision=revision, ended=ended))

    def _account(self, institution: str, number: str) -> int | None:
        population = self._nation.population
        account = account_index(number, size=population.size)
        if account is None or population.codes[population.institution[account]] != institution:
            return None
        return account


def _answer(account: int | None, *, applied: int, available: int, order: Order) -> Answer:
    if account is None:
        return Answer(outcome="unknown_account", reason="no such account here")
    if applied == 0:
        reason = "nothing is free on the account"
        return Answer(outcome="refused", available_minor=available, reason=reason)
    return Answer(
        outcome="applied",
        applied_minor=applied,
        available_minor=available,
        bank_case_id=f"H-{order.order[-8:]}",
    )
