"""Simulation, trials: what both arms have in common: time, victims, and what is measured.

An arm is one nation with somebody who tries to stop the money; who that is, its own file says.
"""

from __future__ import annotations

import functools
import heapq
import itertools
from collections import defaultdict
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np

from openaoc.simulation.background import TRANSFER
from openaoc.simulation.population import Kind
from openaoc.simulation.scams import Scam, Step
from openaoc.simulation.trial.life import Life
from openaoc.simulation.trial.model import ArmFigures, Clean, Ended, LayerTimes
from openaoc.simulation.trial.scenario import Scenario
from openaoc.simulation.trial.tally import HELD, HOUR_S, Cause, Reason, Tally
from openaoc.simulation.world import VICTIM, Move, Tick

PERCENTILES: Final = (50, 90)


class Back(NamedTuple):
    """Money was given back: by whom, after so many seconds of being held, how much was stolen."""

    by: str
    after_s: float
    stolen_minor: int


class Timed(NamedTuple):
    """How long one order took, in seconds from the report; None: not sent, not applied."""

    wave: str
    layer: int
    sent_s: float | None
    applied_s: float | None


class Arm:
    """Time and victims. `run` lives the whole trial."""

    def __init__(self, life: Life, scenario: Scenario, *, seed: int) -> None:
        self.life = life
        self.scenario = scenario
        self.now_s = 0.0
        self.tally = Tally(life.population, life.books, life.truth)
        self.backs: list[Back] = []
        self.timed: list[Timed] = []
        self.paid: dict[int, dict[int, Move]] = defaultdict(dict)
        self.reported_s: dict[int, float] = {}
        self.orders = 0
        self._seed = seed
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._why: dict[int, Reason] = {}
        self._steps = functools.lru_cache(maxsize=4_096)(self._steps_of)
        self._heeds: dict[int, bool] = {}
        life.world.stops = self._stops
        life.world.burnt = np.zeros(life.population.size, np.bool_)

    # What an arm does in its own way.

    def begin(self) -> None:
        """Before the first moment."""

    def moved(self, tick: Tick) -> None:
        """Money has moved."""

    def left(self, tick: Tick) -> None:
        """Some of it may have gone to a country next door; without one nobody asks."""

    def told(self, scam: Scam) -> None:
        """A victim has told it all; now it can be acted on."""
        raise NotImplementedError

    def known(self, account: int) -> bool:
        """Whether payers of this account can be warned."""
        del account
        return False

    def telling_s(self) -> float:
        """How long telling takes a victim who calls now, with the time spent waiting for it."""
        raise NotImplementedError

    # Time.

    def at(self, when_s: float, act: Callable[[], None]) -> None:
        """Do this then."""
        heapq.heappush(self._queue, (max(when_s, self.now_s), next(self._order), act))

    def run(self) -> ArmFigures:
        """Live until the end; the measures."""
        until_s = self.life.parameters.trial.settled_s.value
        self.begin()
        while (when_s := self.next_s()) <= until_s:
            self.step(when_s)
        return self.end()

    def next_s(self) -> float:
        """When something happens next."""
        lives_s = self.life.next_s()
        return min(lives_s, self._queue[0][0]) if self._queue else lives_s

    def step(self, when_s: float) -> None:
        """Wait until then, and let everything happen that happens then."""
        lives_s = self.life.next_s()
        self.wait(when_s)
        if lives_s <= when_s:
            self._live(when_s)
        while self._queue and self._queue[0][0] <= when_s:
            heapq.heappop(self._queue)[2]()

    def wait(self, until_s: float) -> None:
        """Nothing happens until then."""
        self.tally.wait(until_s)
        self._go_to(until_s)

    def end(self) -> ArmFigures:
        """The trial's days are over; the measures."""
        self.wait(self.life.parameters.trial.settled_s.value)
        return self._figures()

    def _go_to(self, when_s: float) -> None:
        self.now_s = when_s

    def _live(self, when_s: float) -> None:
        tick = self.life.live(when_s)
        for move in tick.moves:
            if move.step == VICTIM:
                self.paid[move.scam][move.payment] = move
            elif move.amount_minor:
                self._note_way(self._steps(move.scam, move.payment)[move.step])
        self.moved(tick)
        self.left(tick)
        self.tally.note(Cause.MOVED)
        for scam in tick.noticed:
            if any(move.amount_minor for move in self.paid[scam.number].values()):
                self.at(when_s + self.telling_s(), functools.partial(self._tell, scam))

    def _tell(self, scam: Scam) -> None:
        self.reported_s[scam.number] = self.now_s
        went = self.life.world.payees
        payments = tuple(
            payment._replace(payee=went.get((scam.number, place), payment.payee))
            for place, payment in enumerate(scam.payments)
        )
        self.told(scam._replace(payments=payments))

    def burn(self, account: int) -> None:
        """Something is blocked there: its holder is told, and the scammers use another."""
        assert self.life.world.burnt is not None, "scammers of a trial react"
        self.life.world.burnt[account] = True

    def is_burnt(self, account: int) -> bool:
        """Whether the scammers do not use the account any more."""
        assert self.life.world.burnt is not None, "scammers of a trial react"
        return bool(self.life.world.burnt[account])

    # Victims and scammers.

    def chance(self, *key: int) -> np.random.Generator:
        """Chance that is the same in both arms for the same key."""
        return np.random.default_rng([self._seed, 40, *key])

    def draw_s(self, mean_s: float, *key: int) -> float:
        """An exponential time of this mean, the same in both arms for the same key."""
        return float(self.chance(*key).exponential(mean_s))

    def _stops(self, scam: Scam, payment: int, at_s: float) -> bool:
        """Whether the victim is warned and heeds, or the gang has given up for what is blocked.

        Whether one does is settled once for all.
        """
        del at_s
        payee = scam.payments[payment].payee
        if self.is_burnt(payee):  # the victim is told another account, where the gang goes on
            return bool(self.chance(3, payee).random() >= self.scenario.resuming)
        if not self.scenario.heeding or not self.known(payee):
            return False
        if scam.number not in self._heeds:
            draw = self.chance(1, scam.number).random()
            self._heeds[scam.number] = bool(draw < self.scenario.heeding)
        return self._heeds[scam.number]

    def freed(self, account: int, *, stolen_minor: int) -> None:
        """Stolen money came free on this account: its mule takes it out before long."""
        if stolen_minor <= 0 or self.tally.is_innocent(account):
            return
        mean_s = self.life.parameters.machines.take_out_mean_s.value
        wait_s = float(self.chance(2, account, int(self.now_s)).exponential(mean_s))
        self.at(self.now_s + wait_s, functools.partial(self._take_out, account, stolen_minor))

    def _take_out(self, account: int, amount_minor: int) -> None:
        tick = self.life.take_out(account=account, amount_minor=amount_minor, at_s=self.now_s)
        self.moved(tick)
        self.tally.note(Cause.MOVED)

    def _steps_of(self, scam: int, payment: int) -> list[Step]:
        return self.life.scams.steps(self.life.world.scam(scam), payment)

    def _note_way(self, step: Step) -> None:
        if step.creditor < 0 or self.life.population.kind[step.creditor] != Kind.SHOP:
            return
        sold = step.gone and step.channel == TRANSFER
        self._why[step.creditor] = Reason.GOODS if sold else Reason.PASSED_ON

    def reason_of(self, account: int, scam: Scam | None) -> Reason:
        """Why money on this account may be thought to be a victim's."""
        if scam is not None and scam.false:
            return Reason.FALSE_REPORT
        return self._why.get(account, Reason.RECEIVED)

    def court_takes(self, account: int) -> bool:
        """Whether a court takes over what lies there: a mule's always, an innocent's by mistake."""
        if not self.tally.is_innocent(account):
            return True
        right = self.life.parameters.people.upheld_share.value
        return bool(self.chance(9, account).random() >= right)

    # Measures.

    def _figures(self) -> ArmFigures:
        life, tally = self.life, self.tally
        attempted = life.attempted_minor()
        stolen, averted = life.truth.stolen_minor, life.truth.averted_minor
        reports = len(self.reported_s)
        hours = tally.baht_hours
        innocent_hours = sum(float(hours[r]) for r in Reason if r > Reason.OWN) / 100
        per_1000 = 1_000 / max(reports, 1)
        clean = [
            Clean(
                reason=reason.name.lower(),
                blocked_minor=tally.clean_minor[reason],
                baht_hours=round(float(hours[reason]) / 100, 1),
            )
            for reason in Reason
            if reason
        ]
        held = sum(tally.by_cause[cause] for cause in HELD)
        return ArmFigures(
            attempted_minor=attempted,
            stolen_minor=stolen,
            averted_minor=averted,
            unpaid_minor=attempted - stolen - averted,
            held_minor=held,
            standing_minor=tally.rightly_minor,
            returned_minor=int(held * life.parameters.people.returned_share.value),
            returned_clean_minor=0,
            blocked_minor=held + sum(item.blocked_minor for item in clean),
            stolen_baht_hours=round(float(hours[Reason.NONE]) / 100, 1),
            clean=clean,
            reports=reports,
            false_reports=sum(life.scams.scam(number).false for number in self.reported_s),
            innocents=len(tally.touched),
            innocents_clean=len(tally.touched_clean),
            innocents_felt=len(tally.touched_felt),
            innocents_per_1000=round(len(tally.touched) * per_1000, 1),
            innocent_baht_hours=round(innocent_hours, 1),
            innocent_baht_hours_per_1000=round(innocent_hours * per_1000, 1),
            orders=self.orders,
            ended=self._ended(),
            times=self._times(),
        )

    def _ended(self) -> list[Ended]:
        found = []
        for who in sorted({back.by for back in self.backs}):
            backs = [back for back in self.backs if back.by == who]
            middle, late = percentiles([back.after_s / HOUR_S for back in backs])
            found.append(
                Ended(
                    by=who,
                    count=len(backs),
                    hours_p50=middle,
                    hours_p90=late,
                    stolen_minor=sum(back.stolen_minor for back in backs),
                )
            )
        return found

    def _times(self) -> list[LayerTimes]:
        rows = []
        for wave, layer in sorted({(timed.wave, timed.layer) for timed in self.timed}):
            own = [t for t in self.timed if (t.wave, t.layer) == (wave, layer)]
            sent = percentiles([t.sent_s for t in own if t.sent_s is not None])
            applied = percentiles([t.applied_s for t in own if t.applied_s is not None])
            rows.append(
                LayerTimes(
                    wave=wave,
                    layer=layer,
                    orders=len(own),
                    sent_p50_s=sent[0],
                    sent_p90_s=sent[1],
                    applied_p50_s=applied[0],
                    applied_p90_s=applied[1],
                )
            )
        return rows


def percentiles(values: list[float]) -> tuple[float | None, float | None]:
    """The 50th and the 90th percentile, rounded; None of nothing."""
    if not values:
        return None, None
    middle, late = np.percentile(values, PERCENTILES).tolist()
    return round(middle, 1), round(late, 1)
