"""Simulation, trials: the arm without a centre: telephone, spreadsheet, whole accounts frozen.

As it is done today: bank after bank is asked, and each freezes every account the money reached.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from typing import Final, NamedTuple

import numpy as np

from openaoc.simulation.neighbour import is_abroad
from openaoc.simulation.population import Kind
from openaoc.simulation.scams import Scam
from openaoc.simulation.trial.arm import Arm, Back, Timed
from openaoc.simulation.trial.life import Life
from openaoc.simulation.trial.persons import waiting_s
from openaoc.simulation.trial.scenario import Scenario
from openaoc.simulation.trial.tally import Cause
from openaoc.simulation.world import Tick

COMPLAINT_S: Final = 7 * 86_400.0
"""A freeze stands so long from the complaint, and without one so long from its beginning:"""
FIRST_S: Final = 72 * 3_600.0


class Out(NamedTuple):
    """One transfer as its payer's bank has it."""

    at_us: int
    creditor: int
    amount_minor: int


class TelephoneArm(Arm):
    """One nation without a centre."""

    def __init__(self, life: Life, scenario: Scenario, *, seed: int) -> None:
        super().__init__(life, scenario, seed=seed)
        self._out: dict[int, list[Out]] = defaultdict(list)
        self._frozen: dict[int, float] = {}
        """Account → since when it is frozen."""
        self._until: dict[int, float] = {}
        self._asked: set[tuple[int, int]] = set()
        self._seized: set[int] = set()
        self.told_s: dict[int, float] = {}
        """Scam → when its victim told it, here or next door."""

    def begin(self) -> None:
        """The same ordinary past."""
        for tick in self.life.live_past():
            self._remember(tick)

    def moved(self, tick: Tick) -> None:
        """Banks remember what their customers paid; what reaches a frozen account stays there."""
        self._remember(tick)
        self._keep_frozen()

    def _remember(self, tick: Tick) -> None:
        rows = tick.rows
        for at_us, debtor, creditor, amount in zip(
            rows.time_us.tolist(),
            rows.debtor.tolist(),
            rows.creditor.tolist(),
            rows.amount_minor.tolist(),
            strict=True,
        ):
            self._out[debtor].append(Out(at_us, creditor, amount))

    def _keep_frozen(self) -> None:
        where = np.fromiter(self._frozen, np.int64, len(self._frozen))
        self.life.books.blocked[where] = self.life.books.balance[where]

    def telling_s(self) -> float:
        """Telling it is part of the minutes until the first freeze; a surge makes callers wait."""
        headroom = self.life.parameters.people.headroom.value
        return waiting_s(self.scenario, headroom, self.now_s)

    def told(self, scam: Scam) -> None:
        """The receiving bank of each payment is called."""
        self.told_s[scam.number] = self.now_s
        low_s, high_s = self.life.parameters.telephone.first_hop_s.value
        for place, move in sorted(self.paid[scam.number].items()):
            if not move.amount_minor:
                continue
            draw = self.chance(7, scam.number, place)
            after_s = float(draw.uniform(low_s, high_s))
            account = scam.payments[place].payee
            if is_abroad(account):
                self.call_abroad(scam, Out(move.at_us, account, move.amount_minor), hop=1)
                continue
            self.at(
                self.now_s + after_s,
                functools.partial(
                    self.hop,
                    scam,
                    account,
                    since_us=move.at_us,
                    amount=move.amount_minor,
                    hop=1,
                ),
            )

    def call_abroad(self, scam: Scam, out: Out, *, hop: int) -> None:
        """Money went to a country next door; without one, nobody is called."""

    def hop(self, scam: Scam, account: int, *, since_us: int, amount: int, hop: int) -> None:
        """One bank freezes the account and says where the money went on to."""
        telephone = self.life.parameters.telephone
        draw = self.chance(8, scam.number, account, hop)
        if draw.random() < telephone.out_of_reach_share.value:
            self.timed.append(Timed("telephone", hop, None, None))
            return
        self.orders += 1
        told_s = self.told_s[scam.number]
        self.timed.append(Timed("telephone", hop, self.now_s - told_s, self.now_s - told_s))
        self._freeze(scam, account)
        if hop >= telephone.hops_max.value:
            return
        low_s, high_s = telephone.later_hop_s.value
        left = amount
        for out in self._out[account]:
            if out.at_us < since_us or left <= 0:
                continue
            went = min(out.amount_minor, left)
            left -= went
            if went < telephone.follow_least_minor.value:
                continue
            if is_abroad(out.creditor):
                self.call_abroad(scam, out._replace(amount_minor=went), hop=hop + 1)
            if out.creditor < 0:
                continue
            if (scam.number, out.creditor) in self._asked or self._spared(out.creditor):
                continue
            self._asked.add((scam.number, out.creditor))
            after_s = float(draw.uniform(low_s, high_s))
            self.at(
                self.now_s + after_s,
                functools.partial(
                    self.hop, scam, out.creditor, since_us=out.at_us, amount=went, hop=hop + 1
                ),
            )

    def _spared(self, account: int) -> bool:
        """A large employer's account is not frozen whole; the chain is not followed through it."""
        return bool(self.life.population.kind[account] == Kind.WAGE_PAYER)

    def _freeze(self, scam: Scam, account: int) -> None:
        before = int(self.life.books.blocked[account])
        self._frozen.setdefault(account, self.now_s)
        self.burn(account)
        self._keep_frozen()
        self.tally.note(Cause.APPLIED)
        self.tally.blocked(account, before_minor=before, reason=self.reason_of(account, scam))
        people, telephone = self.life.parameters.people, self.life.parameters.telephone
        draw = self.chance(5, scam.number)
        share, after_s = draw.random(), float(draw.exponential(people.complaint_mean_s.value))
        complains = not scam.false and share < people.complaint_share.value
        told_s = self.told_s[scam.number]
        until_s = self.now_s + FIRST_S
        if complains and told_s + after_s < until_s:
            until_s = told_s + after_s + COMPLAINT_S
            if self.chance(6, scam.number).random() < people.authority_share.value:
                self._seized.add(account)
        if until_s > self._until.get(account, 0.0):
            self._until[account] = until_s
            self.at(until_s, functools.partial(self._lapse, account))
        if self.tally.is_innocent(account) and before == 0:
            mean_s = telephone.release_mean_s.value
            draw = self.chance(4, account)
            if draw.random() < people.contest_share.value * people.upheld_share.value:
                wait_s = float(draw.exponential(mean_s))
                self.at(self.now_s + wait_s, functools.partial(self._release, account, "person"))

    def _lapse(self, account: int) -> None:
        if self._until.get(account, 0.0) > self.now_s:
            return
        if account not in self._seized or not self.court_takes(account):
            self._release(account, "expired")
        elif self.tally.is_innocent(account):
            people = self.life.parameters.people
            draw = self.chance(11, account)
            wait_s = float(draw.exponential(people.objection_mean_s.value))
            if draw.random() < people.contest_share.value * people.upheld_share.value:
                self.at(self.now_s + wait_s, functools.partial(self._release, account, "person"))

    def _release(self, account: int, by: str) -> None:
        since_s = self._frozen.pop(account, None)
        if since_s is None:
            return
        self._until.pop(account, None)
        self.life.books.unblock(account, int(self.life.books.blocked[account]))
        stolen = self.tally.note(Cause.PERSON if by == "person" else Cause.EXPIRED)
        self.backs.append(Back(by, self.now_s - since_s, max(stolen, 0)))
        self.freed(account, stolen_minor=stolen)
