"""Simulation, trials: the arm with a centre that gets no feed: it learns hop by hop, from answers.

Institutions say what became of the money asked for, from their own books alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from openaoc.holds.model import Answer, OnwardTransfer, Order, OrderView
from openaoc.kernel.clock import from_us, to_us
from openaoc.kernel.limits import ONWARD_PER_ANSWER_MAX
from openaoc.ledger.arrays import CHANNELS
from openaoc.simulation.blocking import account_at
from openaoc.simulation.feed import TERMINALS, transfer_id
from openaoc.simulation.population import Population, account_number
from openaoc.simulation.trial.centre import CentreArm
from openaoc.simulation.trial.desks import Done
from openaoc.simulation.trial.joining import machines_of
from openaoc.simulation.world import Tick
from openaoc.workflow.confirming import AskedPayment, ConfirmationRequest

MINUTE_US: Final = 60_000_000
MESSAGE_S: Final = 2.0
"""An answer with onward transfers is traced as soon as it is in."""


class Debit(NamedTuple):
    """One payment out of an account, as its institution has booked it."""

    number: int
    at_us: int
    creditor: int
    amount_minor: int
    channel: int
    at_machine: bool


class OwnBooks:
    """What each institution's own accounts have paid. Asked only for an institution's own."""

    def __init__(self, population: Population, *, machines: str | None) -> None:
        self._population = population
        self._machines = machines
        self._debits: dict[int, list[Debit]] = defaultdict(list)

    def remember(self, tick: Tick) -> None:
        """Book what was paid."""
        rows = tick.rows
        columns = zip(
            rows.debtor.tolist(),
            rows.time_us.tolist(),
            rows.creditor.tolist(),
            rows.amount_minor.tolist(),
            rows.channel.tolist(),
            tick.at_machine.tolist(),
            strict=True,
        )
        for number, (debtor, *debit) in enumerate(columns, start=tick.first_transfer):
            self._debits[debtor].append(Debit(number, *debit))

    def onward(self, account: int, *, since: datetime, amount_minor: int) -> list[OnwardTransfer]:
        """The account's payments from then on until they make up the amount."""
        found: list[OnwardTransfer] = []
        left = amount_minor
        for debit in self._debits[account]:
            if left <= 0 or len(found) >= ONWARD_PER_ANSWER_MAX:
                break
            if debit.at_us >= to_us(since):
                found.append(self._told(account, debit))
                left -= debit.amount_minor
        return found

    def confirmed(self, account: int, asked: AskedPayment) -> OnwardTransfer | None:
        """The customer's payment of this minute, payee and amount."""
        minute = to_us(asked.booked_at) // MINUTE_US
        for debit in self._debits[account]:
            told = self._told(account, debit)
            if (
                debit.at_us // MINUTE_US == minute
                and debit.amount_minor == asked.amount_minor
                and told.creditor_account == asked.creditor_account
            ):
                return told
        return None

    def _told(self, account: int, debit: Debit) -> OnwardTransfer:
        population = self._population
        bank = population.codes[population.institution[account]]
        payee_bank = payee = None
        if debit.creditor >= 0:
            payee_bank = population.codes[population.institution[debit.creditor]]
            payee = account_number(debit.creditor)
        elif debit.at_machine and self._machines is not None:
            payee_bank, payee = self._machines, f"ATM{account % TERMINALS:04d}"
        return OnwardTransfer(
            transfer_id=transfer_id(debit.number),
            booked_at=from_us(debit.at_us),
            debtor_bank=bank,
            debtor_account=account_number(account),
            creditor_bank=payee_bank,
            creditor_account=payee,
            amount_minor=debit.amount_minor,
            currency=population.currency,
            channel=CHANNELS[debit.channel],
        )


class HopArm(CentreArm):
    """One nation with a centre and without a feed."""

    after_answer_s = MESSAGE_S

    def begin(self) -> None:
        """Institutions join; what was before, nobody tells."""
        self._own = OwnBooks(self.life.population, machines=machines_of(self.life))
        self._latest: dict[str, Answer] = {}
        self._lookups = 0
        super().begin()

    def tell_past(self) -> None:
        """Neither openings nor the past: institutions keep them to themselves."""
        for tick in self.life.live_past():
            self._own.remember(tick)

    def moved(self, tick: Tick) -> None:
        """Institutions book it and tell nobody."""
        self._own.remember(tick)

    def tell_ledger(self) -> None:
        """There is no feed."""

    def transfers_of(self, asked: ConfirmationRequest) -> Sequence[OnwardTransfer]:
        """The payer's institution finds its customers' payments in its books."""
        found = []
        for payment in asked.payments:
            account = account_at(self.life.population, asked.institution, payment.debtor_account)
            told = None if account is None else self._own.confirmed(account, payment)
            if told is not None:
                found.append(told)
        return found

    def completed(self, done: Done, order: Order, answer: Answer) -> tuple[Answer, float]:
        """The answer says where the rest went, a while after the money was blocked."""
        self._latest[order.order] = answer
        missing = order.amount_minor - answer.applied_minor
        if done.account is None or missing <= 0 or order.received_at is None:
            return answer, 0.0
        onward = self._own.onward(done.account, since=order.received_at, amount_minor=missing)
        if not onward:
            return answer, 0.0
        self._lookups += 1
        mean_s = self.life.parameters.machines.onward_mean_s.value
        wait_s = float(self.chance(13, self._lookups).exponential(mean_s))
        return msgspec.structs.replace(answer, onward=onward), wait_s

    def give(self, institution: str, order: str, answer: Answer) -> None:
        """What the institution has done last, if a revision came while it looked the rest up."""
        latest = msgspec.structs.replace(self._latest[order], onward=answer.onward)
        super().give(institution, order, latest)

    def wave_of(self, order: OrderView) -> tuple[str, float]:
        """Every layer counts from the report: no order goes out with it but the first."""
        return "hop by hop", self.told_s(order.case)
