"""Simulation: who is scammed, of how much, and how does the money run on.

Pure: scam number k of a seed is always the same scam, whatever else happens; so a nation that is
started again needs to remember only what has been done of it.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final, Literal, NamedTuple

import numpy as np

from openaoc.simulation.background import ABROAD, CASH, CRYPTO, NOWHERE, TRANSFER
from openaoc.simulation.losses import age_factors, log_median
from openaoc.simulation.neighbour import (
    NEVER,
    NUMBERS_FROM,
    Arrival,
    Neighbour,
    abroad,
    is_abroad,
    mule_abroad,
)
from openaoc.simulation.parameters import Parameters
from openaoc.simulation.population import BAHT, Population

ARRIVALS_PER_BLOCK: Final = 1_000
PAYMENTS_MAX: Final = 40
PIECES_MAX: Final = 50
STEPS_MAX: Final = 5_000
FALSE_CLAIM_MEDIAN_BAHT: Final = 2_000
DAY_S: Final = 86_400
PIECE_SECONDS: Final = 45.0
"""Between two withdrawals at one machine."""

Exit = Literal["crypto", "atm", "counter", "goods", "abroad"]
EXITS: Final[tuple[Exit, ...]] = ("crypto", "atm", "counter", "goods", "abroad")


class Payment(NamedTuple):
    """What the victim pays: simulated seconds since the nation's birth, minor units, to whom."""

    at_s: float
    amount_minor: int
    payee: int


class Step(NamedTuple):
    """One onward movement of a payment's money.

    parent: the step whose money this is, -1 for the victim's payment; share: of what arrived
    there; wait_s: after it arrived; gone: the scammers no longer have it after this.
    """

    parent: int
    debtor: int
    creditor: int
    channel: int
    share: float
    wait_s: float
    gone: bool
    at_machine: bool = False


class Scam(NamedTuple):
    """One victim's case. `false` ones are honest purchases reported as scams."""

    number: int
    kind: int
    victim: int
    older: bool
    false: bool
    by_bank: bool
    payments: tuple[Payment, ...]
    notice_s: float


class Scams:
    """The endless list of scams of one nation and seed."""

    def __init__(
        self,
        parameters: Parameters,
        population: Population,
        *,
        seed: int,
        neighbour: Neighbour | None = None,
    ) -> None:
        """`neighbour`: where money that leaves goes; without one it is gone."""
        self._neighbour = neighbour
        self._parameters = parameters
        self._population = population
        self._seed = seed
        self._log_medians = [log_median(parameters, kind) for kind in parameters.types]
        self._shares = [kind.share.value for kind in parameters.types]
        payments = sum(kind.share.value * kind.payments.value for kind in parameters.types)
        until_burnt = parameters.mules.payments_until_burnt.value
        self._cases_per_mule = max(round(until_burnt / payments), 1)
        self._block = lru_cache(maxsize=8)(self._arrivals)

    def _arrivals(self, block: int) -> list[float]:
        """Starts of one block of scams: even in number, random in time, like a Poisson process."""
        rng = np.random.default_rng([self._seed, 3, block])
        length_s = ARRIVALS_PER_BLOCK / self._parameters.cases.a_day.value * DAY_S
        draws = np.sort(rng.random(ARRIVALS_PER_BLOCK))
        starts: list[float] = ((block + draws) * length_s).tolist()
        return starts

    def starts_at(self, number: int) -> float:
        """When the scam's first payment is made: simulated seconds since the nation's birth."""
        block, place = divmod(number, ARRIVALS_PER_BLOCK)
        return self._block(block)[place]

    def scam(self, number: int) -> Scam:
        """Scam number `number`, from 0."""
        rng = np.random.default_rng([self._seed, 4, number])
        cases = self._parameters.cases
        kind = int(rng.choice(len(self._shares), p=self._shares))
        older = bool(rng.random() < cases.older_share.value)
        false = bool(rng.random() < cases.false_report_share.value)
        by_bank = bool(rng.random() < cases.by_bank_share.value) and not false
        victim = int(rng.choice(self._population.people))
        if false:
            payments = self._false_claim(number, rng)
        else:
            payments = self._payments(number, kind, older=older, rng=rng)
        return Scam(
            number=number,
            kind=kind,
            victim=victim,
            older=older,
            false=false,
            by_bank=by_bank,
            payments=payments,
            notice_s=payments[-1].at_s + self._notice(rng),
        )

    def _false_claim(self, number: int, rng: np.random.Generator) -> tuple[Payment, ...]:
        baht = max(int(FALSE_CLAIM_MEDIAN_BAHT * math.exp(rng.standard_normal())), 100)
        shop = int(rng.choice(self._population.shops))
        return (Payment(self.starts_at(number), baht * BAHT, shop),)

    def _payments(
        self, number: int, kind: int, *, older: bool, rng: np.random.Generator
    ) -> tuple[Payment, ...]:
        parameters = self._parameters
        factor = age_factors(parameters.cases)[0 if older else 1]
        draw = math.exp(
            self._log_medians[kind] + parameters.sigma_log.value * rng.standard_normal()
        )
        cap, floor = parameters.loss_cap_minor.value, parameters.loss_floor_minor.value
        loss_minor = int(min(max(draw * factor, floor), cap))
        more = parameters.types[kind].payments.value - 1
        count = min(1 + int(rng.poisson(more)), PAYMENTS_MAX, loss_minor // floor)
        parts = (rng.dirichlet(np.full(count, 2.0)) * loss_minor).astype(np.int64)
        amounts = [max(int(part) // BAHT * BAHT, BAHT) for part in parts]
        amounts[0] += max(loss_minor - sum(amounts), 0)
        gang, turn = number % len(self._population.mules), number // len(self._population.mules)
        roster = self._population.mules[gang]
        mule = int(roster[turn // self._cases_per_mule % len(roster)])
        if self._neighbour is not None and self._pays_abroad(number):
            there = mule_abroad(self._neighbour, scam=number, cases_per_mule=self._cases_per_mule)
            mule = abroad(there)
        waits = rng.exponential(parameters.cases.between_payments_s.value, size=count)
        waits[0] = 0
        times = self.starts_at(number) + np.cumsum(waits)
        return tuple(Payment(float(t), a, mule) for t, a in zip(times, amounts, strict=True))

    def _pays_abroad(self, number: int) -> bool:
        assert self._neighbour is not None, "asked with a neighbour alone"
        draw = np.random.default_rng([self._seed, 8, number]).random()
        return bool(draw < self._neighbour.victims_share)

    def _notice(self, rng: np.random.Generator) -> float:
        notice = self._parameters.notice
        group = int(rng.choice(len(notice.shares.value), p=notice.shares.value))
        spread = math.exp(notice.sigma_log.value * rng.standard_normal())
        return float(notice.medians_s.value[group]) * spread

    def steps(self, scam: Scam, payment: int) -> list[Step]:
        """How the money of one payment runs on, parents before children.

        At most STEPS_MAX movements: a chain that would grow past it leaves the nation earlier.
        """
        if scam.false or is_abroad(scam.payments[payment].payee):
            return []
        rng = np.random.default_rng([self._seed, 5, scam.number, payment])
        own = scam.number < NUMBERS_FROM
        chain = _Chain(
            self._parameters,
            self._population,
            scam,
            rng,
            neighbour=self._neighbour if own else None,
        )
        return chain.run(scam.payments[payment])


def scam_of(arrival: Arrival, *, at_s: float) -> Scam:
    """Money from abroad as a scam here, whose victim is elsewhere."""
    return Scam(
        number=arrival.number,
        kind=0,
        victim=NOWHERE,
        older=False,
        false=False,
        by_bank=False,
        payments=(Payment(at_s, arrival.amount_minor, arrival.creditor),),
        notice_s=NEVER,
    )


class _Chain:
    """Grows the tree of one payment's movements."""

    def __init__(
        self,
        parameters: Parameters,
        population: Population,
        scam: Scam,
        rng: np.random.Generator,
        *,
        neighbour: Neighbour | None,
    ) -> None:
        self._neighbour = neighbour
        self._parameters = parameters
        self._population = population
        self._rng = rng
        self._steps: list[Step] = []
        exits = parameters.exits
        self._exit_shares = [getattr(exits, f"{name}_share").value for name in EXITS]
        rings = min(parameters.mules.rings.value, len(population.mules))
        self._ring = population.mules[scam.number % len(population.mules) % rings :: rings]

    def run(self, payment: Payment) -> list[Step]:
        layers = self._parameters.layers
        depth = int(self._rng.choice(layers.counts.value, p=layers.count_shares.value))
        self._lot(-1, payment.payee, float(payment.amount_minor), layer=1, depth=depth, rests_in=0)
        return self._steps

    def _lot(
        self, parent: int, account: int, amount: float, *, layer: int, depth: int, rests_in: int
    ) -> None:
        """What happens to the money that step `parent` brought to `account` in this layer."""
        layers = self._parameters.layers
        if layer == rests_in:
            more = self._rng.exponential(layers.at_rest_more_mean_s.value)
            self._leave(parent, account, amount, layers.at_rest_least_s.value + more)
            return
        wait_s = self._dwell(layer)
        if layer >= depth or len(self._steps) >= STEPS_MAX:
            self._leave(parent, account, amount, wait_s)
            return
        ways = 1
        if amount >= layers.split_least_minor.value:
            ways = int(self._rng.choice(layers.fan_out.value, p=layers.fan_out_shares.value))
        shares = self._rng.dirichlet(np.full(ways, 4.0)) if ways > 1 else np.ones(1)
        for share in shares.tolist():
            rests = rests_in
            if layer == 1 and self._rng.random() < layers.at_rest_share.value:
                rests = int(self._rng.integers(2, depth + 1))
            self._onward(
                Step(parent, account, self._mule(account), TRANSFER, share, wait_s, gone=False),
                amount * share,
                layer=layer + 1,
                depth=depth,
                rests_in=rests,
            )

    def _onward(self, step: Step, amount: float, *, layer: int, depth: int, rests_in: int) -> None:
        """One hop, now and then by way of an honest shop that pays on."""
        here = self._add(step)
        honest = self._parameters.layers.honest_hop_share.value
        if layer < depth and layer != rests_in and self._rng.random() < honest:
            shop = int(self._rng.choice(self._population.shops))
            self._steps[here] = step._replace(creditor=shop)
            mule = self._mule(shop)
            wait_s = self._dwell(layer)
            here = self._add(Step(here, shop, mule, TRANSFER, 1.0, wait_s, gone=False))
            step, layer = self._steps[here], layer + 1
            rests_in = max(rests_in, layer) if rests_in else 0
        self._lot(here, step.creditor, amount, layer=layer, depth=depth, rests_in=rests_in)

    def _leave(self, parent: int, account: int, amount: float, wait_s: float) -> None:
        """The scammers take the money out."""
        way = EXITS[int(self._rng.choice(len(EXITS), p=self._exit_shares))]
        if way == "crypto":
            self._leave_by_exchange(parent, account, wait_s)
        elif way == "atm":
            limit = self._parameters.exits.atm_limit_minor.value
            pieces = min(max(math.ceil(amount / limit), 1), PIECES_MAX)
            for piece in range(pieces):
                later_s = wait_s + piece * PIECE_SECONDS
                cash = Step(parent, account, NOWHERE, CASH, 1 / pieces, later_s, gone=True)
                self._add(cash._replace(at_machine=True))
        elif way == "goods":
            shop = int(self._rng.choice(self._population.shops))
            self._add(Step(parent, account, shop, TRANSFER, 1.0, wait_s, gone=True))
        else:
            channel = CASH if way == "counter" else ABROAD
            to = NOWHERE if way == "counter" else self._payee_abroad()
            self._add(Step(parent, account, to, channel, 1.0, wait_s, gone=True))

    def _payee_abroad(self) -> int:
        """A mule's account next door, or nobody of whom anything is known."""
        if self._neighbour is None:
            return NOWHERE
        return abroad(int(self._rng.choice(self._neighbour.population.mules.ravel())))

    def _leave_by_exchange(self, parent: int, account: int, wait_s: float) -> None:
        exchange = self._population.exchange_mules
        if not len(exchange):
            self._add(Step(parent, account, NOWHERE, CRYPTO, 1.0, wait_s, gone=True))
            return
        wallet = int(self._rng.choice(exchange))
        sent = self._add(Step(parent, account, wallet, TRANSFER, 1.0, wait_s, gone=False))
        self._add(Step(sent, wallet, NOWHERE, CRYPTO, 1.0, self._dwell(2), gone=True))

    def _add(self, step: Step) -> int:
        self._steps.append(step)
        return len(self._steps) - 1

    def _mule(self, other_than: int) -> int:
        """An account of the ring, not the one the money is on."""
        ring = self._ring
        rows, columns = ring.shape
        row, column = int(self._rng.integers(rows)), int(self._rng.integers(columns))
        mule = int(ring[row, column])
        if mule == other_than and ring.size > 1:
            mule = int(ring[row, (column + 1) % columns] if columns > 1 else ring[row - 1, 0])
        return mule

    def _dwell(self, layer: int) -> float:
        layers = self._parameters.layers
        half_life = layers.dwell_first_half_life_s.value
        if layer > 1:
            low, high = layers.dwell_later_half_life_s.value
            half_life = float(self._rng.uniform(low, high))
        return float(self._rng.exponential(half_life / math.log(2)))
