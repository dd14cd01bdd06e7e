"""Simulation, trials: one of two countries without a centre: banks telephone across the border."""

from __future__ import annotations

import functools

from openaoc.simulation.countries import TwoCountries
from openaoc.simulation.neighbour import NUMBERS_FROM, is_abroad, there
from openaoc.simulation.scams import Scam
from openaoc.simulation.trial.arm import Timed
from openaoc.simulation.trial.border import Border
from openaoc.simulation.trial.life import Life
from openaoc.simulation.trial.scenario import Scenario
from openaoc.simulation.trial.telephone import Out, TelephoneArm
from openaoc.simulation.world import Tick


class CallingArm(TelephoneArm):
    """One nation of two, without a centre."""

    def __init__(self, life: Life, scenario: Scenario, *, seed: int, pair: TwoCountries) -> None:
        super().__init__(life, scenario, seed=seed)
        self.border: Border[CallingArm]
        self._pair = pair

    def left(self, tick: Tick) -> None:
        """The other country's banks hear of what is on its way to them."""
        self.border.carry(self, tick)

    def is_burnt(self, account: int) -> bool:
        """An account next door is burnt when it is there."""
        if is_abroad(account):
            return self.border.other(self).is_burnt(there(account))
        return super().is_burnt(account)

    def call_abroad(self, scam: Scam, out: Out, *, hop: int) -> None:
        """A bank next door is reached after hours or days, or not at all."""
        calls = self._pair.telephone
        account = there(out.creditor)
        draw = self.chance(14, scam.number, account, hop)
        if draw.random() < calls.out_of_reach_share.value:
            self.timed.append(Timed("telephone", hop, None, None))
            return
        low_s, high_s = calls.abroad_s.value
        other = self.border.other(self)
        foreign = scam._replace(number=NUMBERS_FROM + scam.number)
        other.told_s[foreign.number] = self.told_s[scam.number]
        other.at(
            self.now_s + float(draw.uniform(low_s, high_s)),
            functools.partial(
                other.hop,
                foreign,
                account,
                since_us=out.at_us,
                amount=out.amount_minor,
                hop=hop,
            ),
        )
