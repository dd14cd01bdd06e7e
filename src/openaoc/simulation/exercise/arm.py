"""Simulation, exercises: a side of two that is watched. Lives exactly as every trial's does."""

from __future__ import annotations

from collections import Counter

from openaoc.exchange.crossborder.model import SentRequest, SentState
from openaoc.holds.model import OrderState, OrderView
from openaoc.kernel.clock import to_us
from openaoc.simulation.blocking import account_at
from openaoc.simulation.exercise.model import Asked, Ordered, Origin, SideSeen
from openaoc.simulation.exercise.watch import AccountTally, Watch
from openaoc.simulation.trial.life import BORN_US
from openaoc.simulation.trial.linked import LinkedArm
from openaoc.simulation.trial.pair_model import CountryFigures
from openaoc.simulation.world import Tick


class ExerciseArm(LinkedArm):
    """One nation of two, with a centre that is in an exercise."""

    def begin(self) -> None:
        """As every side; and watched from the first moment on."""
        life = self.life
        self.watch = Watch(
            life.population,
            country=self.country,
            next_door=self._pair.other(self.country),
            scam=life.scams.scam,
            steps=self._steps,
        )
        self.tally = self._accounts = AccountTally(life.population, life.books, life.truth)
        self._taken_out_minor = 0
        self._answered_s: dict[str, float] = {}
        super().begin()

    def left(self, tick: Tick) -> None:
        """As every side."""
        self.watch.saw(tick, across=self._other().watch.layer_there)
        super().left(tick)

    def speak(self) -> None:
        """As every side; which requests have an answer now."""
        super().speak()
        if self._exchanges:
            for one in self.sent():
                if one.answered_at is not None:
                    self._answered_s.setdefault(one.id, self.now_s)

    def seen(self, figures: CountryFigures) -> SideSeen:
        """What was seen, at the end."""
        truth = self.life.truth
        return SideSeen(
            country=self.country,
            figures=figures,
            movements=self.watch.movements,
            orders=self._ordered(),
            requests=self._asked(),
            found_minor=self._found(),
            told_s=dict(self.reported_s),
            held_minor=self._accounts.held_minor,
            lies_minor=int(truth.scam.sum()),
            returned_minor=truth.returned_minor,
            taken_out_minor=self._taken_out_minor,
        )

    def sent(self) -> list[SentRequest]:
        """What this side's centre asked next door."""
        return self._requests().sent

    def origin_of(self, case: str) -> Origin | None:
        """Whose case it is; None for one that another centre's word opened."""
        return (self.country, self.number_of(case)) if case in self._scam_of else None

    def _take_out(self, account: int, amount_minor: int) -> None:
        before = self.life.truth.gone_minor
        super()._take_out(account, amount_minor)
        self._taken_out_minor += self.life.truth.gone_minor - before

    def _other(self) -> ExerciseArm:
        other = self.border.other(self)
        assert isinstance(other, ExerciseArm), "both sides are in the exercise"
        return other

    def _ordered(self) -> list[Ordered]:
        whence, orders = self._from_next_door(), self.orders_of()
        passed_on = {order.continues for order in orders}
        return [
            self._as_ordered(order, whence.get(order.case), passed_on=order.order in passed_on)
            for order in orders
            if order.mode == "live" and order.state is not OrderState.DRAFTED
        ]

    def _as_ordered(
        self, order: OrderView, whence: tuple[Origin | None, int] | None, *, passed_on: bool
    ) -> Ordered:
        """`passed_on`: its block went over to another order, and counts there."""
        origin, more = whence or (self.origin_of(order.case), 0)
        sent_s = self.desks.sent_s.get(order.order)
        return Ordered(
            origin=origin,
            layer=order.layer + more,
            account=account_at(self.life.population, order.institution, order.account),
            amount_minor=0 if passed_on else order.amount_minor,
            applied_minor=0 if passed_on else order.applied_minor,
            told_s=0.0 if sent_s is None else self.told_s(order.case),
            sent_s=sent_s,
            applied_s=self._applied_s.get(order.order),
        )

    def _from_next_door(self) -> dict[str, tuple[Origin | None, int]]:
        """Of our cases on the neighbour's word: whose money it is, and how many layers before."""
        other = self._other()
        sent = {one.id: one for one in other.sent()}
        found: dict[str, tuple[Origin | None, int]] = {}
        for received in self._requests().received:
            asked = sent.get(received.id)
            if received.case is not None and asked is not None:
                layer = other.watch.crossed.get(asked.exit.transfer_id, 1)
                found[received.case] = other.origin_of(asked.case), layer - 1
        return found

    def _asked(self) -> list[Asked]:
        return [
            Asked(
                amount_minor=one.exit.amount_minor,
                asked_s=(to_us(one.opened_at) - BORN_US) / 1e6 - self.told_s(one.case),
                answered_s=self._after(one.id, since_us=to_us(one.opened_at)),
                withdrawn=one.state is SentState.WITHDRAWN,
                held_most_minor=self._most_held.get(one.id, 0),
                amounts=one.amounts,
            )
            for one in self.sent()
        ]

    def _after(self, request: str, *, since_us: int) -> float | None:
        answered_s = self._answered_s.get(request)
        return None if answered_s is None else answered_s - (since_us - BORN_US) / 1e6

    def _found(self) -> dict[str, int]:
        """What the centre's traces carry over each transfer, all cases together."""
        carried: Counter[int] = Counter()
        for case in self.centre.tracing.registered():
            for one in self.centre.tracing.look(case).numbers.transfers:
                carried[one.row] += one.amount_minor
        ledger = self.centre.ledger
        return {ledger.transfer(row).transfer_id: amount for row, amount in carried.items()}
