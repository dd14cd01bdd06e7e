"""Simulation: what happens in the nation between two moments? Ordinary life and scams, booked.

Pure but for its own memory: no file, no network, no clock. Times are simulated seconds since the
nation's birth; the caller says which moment on the wall each of them is.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from openaoc.simulation.background import (
    ABROAD,
    CASH,
    NOWHERE,
    TRANSFER,
    Batch,
    ordinary_transfers,
)
from openaoc.simulation.books import Books
from openaoc.simulation.neighbour import NUMBERS_FROM, Arrival, abroad, is_abroad, number_of, there
from openaoc.simulation.population import Kind, Population
from openaoc.simulation.scams import Scam, Scams, Step, scam_of
from openaoc.simulation.truth import Truth

Stamp = Callable[[float], int]
"""Simulated seconds to microseconds since 1970 on the wall."""
VICTIM: Final = -1
"""In place of a step's number: the victim's own payment."""
REPORT: Final = -2
"""In place of a payment's number: the victim notices."""
SAVINGS_LEAD_S: Final = 1.0
"""A victim short of money moves savings in so long before paying."""


Stops = Callable[[Scam, int, float], bool]
"""Whether the victim of a scam is stopped before this payment (by number), at this moment."""


class Move(NamedTuple):
    """One movement of scam money that was booked; `transfer` is the number of its row.

    `amount_minor` is 0 when nothing was free: the money stays where it is.
    """

    scam: int
    payment: int
    step: int
    at_s: float
    at_us: int
    amount_minor: int
    transfer: int


class Tick(NamedTuple):
    """What happened: rows numbered from `first_transfer` in time order, and their causes.

    at_machine: per row, a withdrawal at the ATM network. noticed: scams whose victims report now;
    closed: scams of which nothing more will happen. arrived: money that came from next door, and
    when; its rows are not among the others, for its payer is not among the nation's accounts.
    """

    first_transfer: int
    rows: Batch
    at_machine: NDArray[np.bool_]
    moves: list[Move]
    started: list[int]
    noticed: list[Scam]
    closed: list[int]
    arrived: tuple[tuple[int, Arrival], ...] = ()


NextDoor = Callable[[int, int], int]
"""Which account next door money really goes to: planned account, number of the movement there."""


class _Row(NamedTuple):
    at_us: int
    debtor: int
    creditor: int
    amount_minor: int
    channel: int
    at_machine: bool


def split(amount_minor: int, shares: Iterable[float]) -> list[int]:
    """Whole minor units in these shares (which add up to 1), adding up to the amount."""
    parts: list[int] = []
    share_before, before = 0.0, 0
    for share in shares:
        share_before += share
        end = min(round(share_before * amount_minor), amount_minor)
        parts.append(end - before)
        before = end
    if parts:
        parts[-1] += amount_minor - before
    return parts


def _never(scam: Scam, payment: int, at_s: float) -> bool:
    """Nobody warns anybody."""
    del scam, payment, at_s
    return False


_NOTHING: Final = Batch(
    np.zeros(0, np.int64),
    np.zeros(0, np.int32),
    np.zeros(0, np.int32),
    np.zeros(0, np.int64),
    np.zeros(0, np.uint8),
)


class _Tree(NamedTuple):
    """A payment's steps, and which steps follow each (VICTIM: the payment itself)."""

    steps: list[Step]
    after: dict[int, list[int]]


class World:
    """The nation's life. Not thread-safe: the caller's lock guards it and the books."""

    def __init__(
        self, population: Population, scams: Scams, books: Books, truth: Truth, *, seed: int
    ) -> None:
        self.population = population
        self.scams = scams
        self.books = books
        self.truth = truth
        self.now_s = 0.0
        self.next_scam = 0
        self.next_transfer = 1
        self.ticks = 0
        self.stops: Stops = _never
        self.burnt: NDArray[np.bool_] | None = None
        """Accounts the scammers do not use any more; None: they do not mind."""
        self.payees: dict[tuple[int, int], int] = {}
        """Where a payment (scam, number) went that was planned to go to a burnt account."""
        self._went: dict[int, dict[tuple[int, int], int]] = {}
        self._seed = seed
        self._heap: list[tuple[float, int, int, int, int, int]] = []
        self._order = itertools.count()
        self._open: Counter[int] = Counter()
        self._known: dict[int, Scam] = {}
        self._trees: dict[tuple[int, int], _Tree] = {}
        self._rows: list[_Row] = []
        self._moves: list[Move] = []
        self.next_door: NextDoor | None = None
        self.border_open = True
        """Whether the neighbour hears of what goes there; else nothing more is known of it."""
        self._foreign: dict[int, Scam] = {}
        self._arrivals: dict[int, Arrival] = {}
        self._arrived: list[tuple[int, Arrival]] = []

    def scam(self, number: int) -> Scam:
        """One of the nation's own scams, or what came from next door under that number."""
        return self._foreign.get(number) or self.scams.scam(number)

    def expect(self, arrival: Arrival, *, at_s: float) -> None:
        """Know this money from next door, without bringing it: it came before."""
        self._foreign[arrival.number] = scam_of(arrival, at_s=at_s)
        self._arrivals[arrival.number] = arrival

    def arrive(self, arrival: Arrival, *, at_s: float) -> None:
        """Money from next door comes at this moment, and runs on from there."""
        at_s = max(at_s, self.now_s)
        self.expect(arrival, at_s=at_s)
        self._plan(at_s, arrival.number, 0, VICTIM, arrival.amount_minor)

    def fresh_for(self, account: int, number: int) -> int:
        """Where money from next door, meant for this account, had better go."""
        return self._used(number, 0, VICTIM, account, not_to=NOWHERE)

    def step(self, *, to_s: float, count: int, stamp: Stamp) -> Tick:
        """Live until `to_s`, with `count` ordinary transfers; returns what happened."""
        assert to_s >= self.now_s, "time does not run back"
        ordinary = self._ordinary(count, from_us=stamp(self.now_s), to_us=stamp(to_s))
        started, noticed, closed = self._live_scams(to_s, stamp)
        self.ticks += 1
        return self._finish(ordinary, started, noticed, closed)

    def _live_scams(self, to_s: float, stamp: Stamp) -> tuple[list[int], list[Scam], list[int]]:
        """Scams that started, whose victims notice, and that are over, by `to_s`."""
        started = self._start_scams(to_s)
        self._clear()
        noticed: list[Scam] = []
        closed: list[int] = []
        while self._heap and self._heap[0][0] <= to_s:
            at_s, _, number, payment, step, planned = heapq.heappop(self._heap)
            if payment == REPORT:
                noticed.append(self._known[number])
            elif number in self._arrivals and step == VICTIM:
                started.append(number)
                self._comes_in(number, at_s, stamp)
            elif step == VICTIM:
                self._victim_pays(self._known[number], payment, at_s, stamp)
            else:
                self._money_moves(number, payment, step, at_s, planned, stamp)
            self._open[number] -= 1
            if not self._open[number]:
                closed.append(number)
                self._forget(number)
        self.now_s = to_s
        return started, noticed, closed

    def live_past(self, *, count: int, from_us: int, to_us: int) -> Tick:
        """Ordinary life alone, between two moments on the wall before the nation's birth."""
        assert self.now_s == 0, "the past is before everything else"
        return self.live_ordinary(count=count, from_us=from_us, to_us=to_us)

    def live_ordinary(self, *, count: int, from_us: int, to_us: int) -> Tick:
        """Ordinary life alone, settled at once; the n-th such stretch is always the same."""
        ordinary = self._ordinary(count, from_us=from_us, to_us=to_us)
        self._clear()
        self.ticks += 1
        return self._finish(ordinary, [], [], [])

    def next_s(self) -> float:
        """When the next thing happens in a scam: a payment, a movement, a victim who notices."""
        starts_s = self.scams.starts_at(self.next_scam)
        return min(self._heap[0][0], starts_s) if self._heap else starts_s

    def live_scams(self, *, to_s: float, stamp: Stamp) -> Tick:
        """The scams alone until `to_s`, ordinary life standing still."""
        assert to_s >= self.now_s, "time does not run back"
        started, noticed, closed = self._live_scams(to_s, stamp)
        return self._finish(_NOTHING, started, noticed, closed)

    def take_out(self, *, account: int, amount_minor: int, at_s: float, stamp: Stamp) -> Tick:
        """Scam money that came free again is taken out as cash, as far as it is there."""
        self._clear()
        there = min(amount_minor, int(self.truth.scam[account]))
        moved = self._book(stamp(at_s), account, NOWHERE, there, CASH)
        self.truth.gone(debtor=account, amount_minor=moved)
        return self._finish(_NOTHING, [], [], [])

    def pay_back(
        self, *, debtor: int, creditor: int, amount_minor: int, at_s: float, stamp: Stamp
    ) -> tuple[Tick, int]:
        """A bank pays from a mule's account to a victim's; how much of it was scam money.

        As far as it is free: a block on it ends before.
        """
        self._clear()
        moved = self._book(stamp(at_s), debtor, creditor, amount_minor, TRANSFER)
        stolen = self.truth.returned(debtor=debtor, amount_minor=moved)
        return self._finish(_NOTHING, [], [], []), stolen

    def _clear(self) -> None:
        self._rows, self._moves, self._arrived = [], [], []

    def _ordinary(self, count: int, *, from_us: int, to_us: int) -> Batch:
        ordinary = ordinary_transfers(
            self.population,
            count=count,
            from_us=from_us,
            to_us=to_us,
            seed=(self._seed, self.ticks),
        )
        return ordinary.take(self.books.settle(ordinary, kept=self.truth.scam))

    def resume(self, *, opened: Iterable[int], moves: Iterable[Move], reported: set[int]) -> None:
        """Take up the scams that were under way, from what has been done of them."""
        done: dict[tuple[int, int, int], Move] = {(m.scam, m.payment, m.step): m for m in moves}
        for number in opened:
            scam = self._known[number] = self.scam(number)
            if number not in reported and number < NUMBERS_FROM:
                self._plan(scam.notice_s, number, REPORT, 0, 0)
            for place, payment in enumerate(scam.payments):
                move = done.get((number, place, VICTIM))
                if move is None:
                    self._plan(payment.at_s, number, place, VICTIM, payment.amount_minor)
                else:
                    self._resume_below(scam, move, done)

    def _resume_below(self, scam: Scam, move: Move, done: dict[tuple[int, int, int], Move]) -> None:
        waiting = [move]
        while waiting:
            parent = waiting.pop()
            for at_s, step, planned in self._children(scam, parent):
                later = done.get((scam.number, parent.payment, step))
                if later is None:
                    self._plan(at_s, scam.number, parent.payment, step, planned)
                else:
                    waiting.append(later)

    def _plan(self, at_s: float, number: int, payment: int, step: int, planned: int) -> None:
        self._open[number] += 1
        heapq.heappush(self._heap, (at_s, next(self._order), number, payment, step, planned))

    def _start_scams(self, to_s: float) -> list[int]:
        started: list[int] = []
        while self.scams.starts_at(self.next_scam) <= to_s:
            number = self.next_scam
            self.next_scam += 1
            scam = self._known[number] = self.scams.scam(number)
            for place, payment in enumerate(scam.payments):
                self._plan(payment.at_s, number, place, VICTIM, payment.amount_minor)
            self._plan(scam.notice_s, number, REPORT, 0, 0)
            started.append(number)
        return started

    def _forget(self, number: int) -> None:
        payments = len(self._known.pop(number).payments)
        del self._open[number]
        self._went.pop(number, None)
        for payment in range(payments):
            self._trees.pop((number, payment), None)

    def _victim_pays(self, scam: Scam, place: int, at_s: float, stamp: Stamp) -> None:
        """The victim's own payment, out of savings where the account does not bear it."""
        payment = scam.payments[place]
        if not scam.false and self.stops(scam, place, at_s):
            self.truth.averted(amount_minor=payment.amount_minor)
            self._done(scam, Move(scam.number, place, VICTIM, at_s, stamp(at_s), 0, 0))
            return
        spare = self.books.free(scam.victim) - int(self.truth.scam[scam.victim])
        missing = payment.amount_minor - max(spare, 0)
        payers = self.population.wage_payers
        if missing > 0 and len(payers):
            house = int(payers[scam.victim % len(payers)])
            saved_us = stamp(max(at_s - SAVINGS_LEAD_S, self.now_s))
            self._book(saved_us, house, scam.victim, missing, TRANSFER)
            spare = self.books.free(scam.victim) - int(self.truth.scam[scam.victim])
        amount = max(min(payment.amount_minor, spare), 0)
        at_us = stamp(at_s)
        payee = self._used(scam.number, place, VICTIM, payment.payee, not_to=scam.victim)
        if payee != payment.payee:
            self.payees[scam.number, place] = payee
        leaves = payee < 0
        channel = ABROAD if leaves else TRANSFER
        moved = self._book(at_us, scam.victim, payee, amount, channel)
        if leaves:
            self.truth.stolen_abroad(amount_minor=moved)
        elif not scam.false:
            self.truth.stolen(mule=payee, amount_minor=moved)
        self._done(scam, Move(scam.number, place, VICTIM, at_s, at_us, moved, 0))

    def _comes_in(self, number: int, at_s: float, stamp: Stamp) -> None:
        """Money from next door is booked to its account here."""
        arrival, at_us = self._arrivals[number], stamp(at_s)
        scam = self._known[number] = self._foreign[number]
        self.books.receive(arrival.creditor, arrival.amount_minor)
        self.truth.arrived(mule=arrival.creditor, amount_minor=arrival.amount_minor)
        self._arrived.append((at_us, arrival))
        self._done(scam, Move(number, 0, VICTIM, at_s, at_us, arrival.amount_minor, 0), row=NOWHERE)

    def _money_moves(
        self, number: int, payment: int, step: int, at_s: float, planned: int, stamp: Stamp
    ) -> None:
        """The scammers move what is free of the money they planned to move."""
        scam = self._known[number]
        what = self._tree(scam, payment).steps[step]
        debtor = self._went.get(number, {}).get((payment, what.parent), what.debtor)
        creditor = self._used(number, payment, step, what.creditor, not_to=debtor)
        what = what._replace(debtor=debtor, creditor=creditor)
        at_us = stamp(at_s)
        # What was taken out, or given back to a victim, before cannot be moved any more.
        planned = min(planned, int(self.truth.scam[what.debtor]))
        moved = self._book(
            at_us, what.debtor, what.creditor, planned, what.channel, at_machine=what.at_machine
        )
        if is_abroad(what.creditor):
            self.truth.crossed(debtor=what.debtor, amount_minor=moved)
        elif what.gone:
            self.truth.gone(debtor=what.debtor, amount_minor=moved)
        else:
            self.truth.moved(debtor=what.debtor, creditor=what.creditor, amount_minor=moved)
        self._done(scam, Move(number, payment, step, at_s, at_us, moved, 0))

    def _used(self, number: int, payment: int, step: int, planned: int, *, not_to: int) -> int:
        """The account the money goes to: the planned one, or a fresh one when that is burnt."""
        if is_abroad(planned):
            if not self.border_open:
                return NOWHERE
            if self.next_door is None:
                return planned
            name = number_of(scam=number, payment=payment, step=step)
            return abroad(self.next_door(there(planned), name))
        if self.burnt is None or planned < 0 or self.population.kind[planned] != Kind.MULE:
            return planned
        account = planned
        if self.burnt[planned] or planned == not_to:
            exchange = np.isin(planned, self.population.exchange_mules)
            pool = self.population.exchange_mules if exchange else self.population.mules.ravel()
            fresh = pool[~self.burnt[pool] & (pool != not_to)]
            if len(fresh):
                rng = np.random.default_rng([self._seed, 6, number, payment, step + 2])
                account = int(rng.choice(fresh))
        if account != planned:
            self._went.setdefault(number, {})[payment, step] = account
        return account

    def _book(
        self,
        at_us: int,
        debtor: int,
        creditor: int,
        amount_minor: int,
        channel: int,
        *,
        at_machine: bool = False,
    ) -> int:
        moved = self.books.pay(debtor=debtor, creditor=creditor, amount_minor=amount_minor)
        if moved:
            self._rows.append(_Row(at_us, debtor, creditor, moved, channel, at_machine))
        return moved

    def _done(self, scam: Scam, move: Move, *, row: int | None = None) -> None:
        """Note what was done; its row, if any, is the last one booked."""
        if row is None:
            row = len(self._rows) - 1 if move.amount_minor else NOWHERE
        self._moves.append(move._replace(transfer=row))
        for at_s, step, planned in self._children(scam, move):
            self._plan(at_s, scam.number, move.payment, step, planned)

    def _children(self, scam: Scam, move: Move) -> list[tuple[float, int, int]]:
        """When, which and how much: what follows once this money has arrived."""
        if not move.amount_minor:
            return []
        tree = self._tree(scam, move.payment)
        numbers = tree.after.get(move.step, [])
        parts = split(move.amount_minor, (tree.steps[number].share for number in numbers))
        return [
            (move.at_s + tree.steps[number].wait_s, number, part)
            for number, part in zip(numbers, parts, strict=True)
            if part
        ]

    def _tree(self, scam: Scam, payment: int) -> _Tree:
        key = (scam.number, payment)
        tree = self._trees.get(key)
        if tree is None:
            steps = self.scams.steps(scam, payment)
            after: dict[int, list[int]] = {}
            for number, step in enumerate(steps):
                after.setdefault(step.parent, []).append(number)
            tree = self._trees[key] = _Tree(steps, after)
        return tree

    def _finish(
        self, ordinary: Batch, started: list[int], noticed: list[Scam], closed: list[int]
    ) -> Tick:
        """Bring ordinary and scam rows into one time order and number them."""
        own = len(self._rows)
        rows = np.array(self._rows, np.int64).reshape(own, len(_Row._fields))
        merged = Batch(
            np.concatenate([rows[:, 0], ordinary.time_us]),
            np.concatenate([rows[:, 1].astype(np.int32), ordinary.debtor]),
            np.concatenate([rows[:, 2].astype(np.int32), ordinary.creditor]),
            np.concatenate([rows[:, 3], ordinary.amount_minor]),
            np.concatenate([rows[:, 4].astype(np.uint8), ordinary.channel]),
        )
        order = np.argsort(merged.time_us, kind="stable")
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        machine = merged.channel == CASH
        machine[:own] = rows[:, 5] != 0
        first = self.next_transfer
        self.next_transfer += len(order)
        moves = [
            move._replace(transfer=first + int(place[move.transfer]) if move.transfer >= 0 else 0)
            for move in self._moves
        ]
        return Tick(
            first,
            merged.take(order),
            machine[order],
            moves,
            started,
            noticed,
            closed,
            tuple(self._arrived),
        )
