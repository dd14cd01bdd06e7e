"""Simulation, trials: how often what guesses about holders and money is right, by the truth.

Nations in which nobody stops the money; each report is traced as a centre traces it, and every
account it leads to is judged as a centre judges it. Holds nothing and changes no trial.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np

from openaoc.appeals.persons import suspect
from openaoc.holds.merchant import judge
from openaoc.holds.plan import HORIZON, Place, chance_to_move
from openaoc.kernel.clock import from_us
from openaoc.ledger.arrays import EXIT, SELF, LedgerArrays
from openaoc.ledger.bulk import build_arrays
from openaoc.simulation.parameters import Parameters
from openaoc.simulation.population import Kind, Population
from openaoc.simulation.scams import Scam
from openaoc.simulation.trial.life import Life, stamp
from openaoc.simulation.trial.scenario import Scenario, figure
from openaoc.simulation.world import VICTIM, Tick
from openaoc.tracing.conduct import conduct
from openaoc.tracing.engine import trace_cases
from openaoc.tracing.model import Claim, Located, Rule
from openaoc.workflow.placing import trade_of

HORIZON_US: Final = int(HORIZON.total_seconds() * 1e6)
SHORT_PAST_DAYS: Final = 1.0
"""A ledger that was turned on the day before."""
BINS: Final = (0.0, 0.1, 0.5, 1.0)
"""Where the chances that are told together begin and end."""


class OfHolders(msgspec.Struct, frozen=True, kw_only=True):
    """Accounts that traces led to, of one kind of holder, and what was guessed of them."""

    holder: str
    accounts: int
    likely_innocent: int
    """By the merchant test."""
    likely_mule: int
    """By the signs of a mule."""


class OfRanking(msgspec.Struct, frozen=True, kw_only=True):
    """Places whose chance to move was said to lie between these two, and what became of them."""

    from_chance: float
    to_chance: float
    places: int
    said: float | None
    """The mean chance that was said."""
    moved: float | None
    """The mean share of the money that had moved when the horizon was over."""


class GuessFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One scenario over some seeds. `brier`: the mean squared error of the chances.

    past_days: ordinary life that the ledger knows from before the first scam.
    """

    scenario: str
    past_days: float
    seeds: int
    reports: int
    horizon_s: float
    holders: list[OfHolders]
    ranking: list[OfRanking]
    brier: float | None


class _Guess(NamedTuple):
    """One account that a report's trace led to."""

    holder: Kind
    likely_innocent: bool
    likely_mule: bool
    chance: float
    moved: float


def measure_guesses(
    parameters: Parameters,
    scenario: Scenario,
    *,
    seeds: Sequence[int],
    past_days: float | None = None,
) -> GuessFigures:
    """Live one nation for each seed and judge every account its reports lead to.

    `past_days`: a ledger that began so many days before the first scam; by default the nation's.
    """
    usual = parameters.nation.past_days.value
    days = usual if past_days is None else past_days
    told = round(parameters.trial.past_transfers.value * days / usual)
    nation = figure(figure(parameters, "nation", past_days=days), "trial", past_transfers=told)
    found: list[_Guess] = []
    reports = 0
    for seed in seeds:
        for guesses in _Lived(nation, scenario, seed=seed).reports():
            reports += 1
            found += guesses
    errors = [(guess.chance - guess.moved) ** 2 for guess in found]
    return GuessFigures(
        scenario=scenario.name,
        past_days=days,
        seeds=len(seeds),
        reports=reports,
        horizon_s=HORIZON.total_seconds(),
        holders=[_of_holders(kind, found) for kind in Kind],
        ranking=[_of_ranking(low, high, found) for low, high in itertools.pairwise(BINS)],
        brier=float(np.mean(errors)) if errors else None,
    )


def _of_holders(kind: Kind, found: Sequence[_Guess]) -> OfHolders:
    own = [guess for guess in found if guess.holder is kind]
    return OfHolders(
        holder=kind.name.lower(),
        accounts=len(own),
        likely_innocent=sum(guess.likely_innocent for guess in own),
        likely_mule=sum(guess.likely_mule for guess in own),
    )


def _of_ranking(low: float, high: float, found: Sequence[_Guess]) -> OfRanking:
    own = [g for g in found if low <= g.chance < high or (high == BINS[-1] == g.chance)]
    return OfRanking(
        from_chance=low,
        to_chance=high,
        places=len(own),
        said=float(np.mean([guess.chance for guess in own])) if own else None,
        moved=float(np.mean([guess.moved for guess in own])) if own else None,
    )


class _Lived:
    """One nation lived to its end, as the ledger of a centre that was told everything."""

    def __init__(self, parameters: Parameters, scenario: Scenario, *, seed: int) -> None:
        life = Life(parameters, scenario, seed=seed)
        ticks = life.live_past()
        until_s = life.parameters.trial.until_s.value
        while (when_s := life.next_s()) <= until_s:
            ticks.append(life.live(when_s))
        self._population = life.population
        self._telling_s = life.parameters.people.telling_s.value
        self._arrays = _ledger(life.population, ticks)
        self._noticed = [scam for tick in ticks for scam in tick.noticed]
        self._paid: dict[int, list[int]] = defaultdict(list)
        for move in (move for tick in ticks for move in tick.moves):
            if move.step == VICTIM and move.amount_minor:
                self._paid[move.scam].append(move.transfer - 1)
        self._cases: dict[int, int] = defaultdict(int)

    def reports(self) -> Iterator[list[_Guess]]:
        """Of each report, in the order in which they come, every account it leads to."""
        for scam in self._noticed:
            if self._paid[scam.number]:
                yield self._guesses(scam)

    def _guesses(self, scam: Scam) -> list[_Guess]:
        at_us = stamp(scam.notice_s + self._telling_s)
        later = {one.account: one.amount_minor for one in self._located(scam, at_us + HORIZON_US)}
        return [
            self._guess(one, at_us=at_us, later_minor=later.get(one.account, 0))
            for one in self._located(scam, at_us)
            if not one.returned
        ]

    def _located(self, scam: Scam, at_us: int) -> tuple[Located, ...]:
        paid = [row for row in self._paid[scam.number] if self._arrays.time_us[row] <= at_us]
        traces = trace_cases(
            self._arrays, [Claim(row) for row in paid], rule=Rule.FIFO, at_us=at_us
        )
        return traces[0].located if traces else ()

    def _guess(self, found: Located, *, at_us: int, later_minor: int) -> _Guess:
        account = found.account
        before = conduct(self._arrays, account, before_us=found.received_at_us)
        trade = trade_of(before)
        innocent = judge(trade).likely_innocent
        self._cases[account] += 1
        suspicion = suspect(trade, likely_innocent=innocent, cases_on_account=self._cases[account])
        place = Place(
            bank=self._population.codes[self._population.institution[account]],
            account=str(account),
            currency=self._population.currency,
            located_minor=found.amount_minor,
            layer=found.layer,
            received_at=from_us(found.received_at_us),
            exits_seen=before.exits > 0,
            half_life=trade.dwell_median,
        )
        return _Guess(
            holder=Kind(self._population.kind[account]),
            likely_innocent=innocent,
            likely_mule=suspicion.likely_mule,
            chance=chance_to_move(place, now=from_us(at_us)),
            moved=max(found.amount_minor - later_minor, 0) / found.amount_minor,
        )


def _ledger(population: Population, ticks: Sequence[Tick]) -> LedgerArrays:
    """Every transfer of the nation, row n being its transfer n + 1."""
    assert ticks[0].first_transfer == 1, "rows are numbered from the first tick on"
    columns = zip(*(tick.rows for tick in ticks), strict=True)
    time_us, debtor, creditor, amount, channel = (np.concatenate(column) for column in columns)
    own = np.where(debtor == creditor, SELF, 0)
    return build_arrays(
        time_us=time_us,
        debtor=debtor,
        creditor=creditor,
        amount=amount,
        flags=np.where((channel != 0) | (creditor < 0), EXIT, own).astype(np.uint8),
        channel=channel,
        opening=population.opening_minor,
    )
