"""Simulation: what does everybody else do? Ordinary transfers in batches of thousands, vectorised.

Pure: the same seed and stretch of time give the same transfers. Knows nothing of scams.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from openaoc.ledger.arrays import CHANNELS
from openaoc.simulation.population import BAHT, Population

NOWHERE: Final = -1
"""The creditor of a payment that leaves the nation's accounts."""
TRANSFER: Final = CHANNELS.index("transfer")
CASH: Final = CHANNELS.index("cash_withdrawal")
CRYPTO: Final = CHANNELS.index("crypto_purchase")
ABROAD: Final = CHANNELS.index("cross_border")
BILL: Final = CHANNELS.index("bill_payment")


class Batch(NamedTuple):
    """Transfers in time order: debtor and creditor are accounts, creditor NOWHERE for an exit.

    time_us is i64, debtor and creditor i32, amount_minor i64, channel u8.
    """

    time_us: NDArray[np.int64]
    debtor: NDArray[np.int32]
    creditor: NDArray[np.int32]
    amount_minor: NDArray[np.int64]
    channel: NDArray[np.uint8]

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> Batch:
        """The named rows, or those where a mask is true."""
        return Batch(
            self.time_us[rows],
            self.debtor[rows],
            self.creditor[rows],
            self.amount_minor[rows],
            self.channel[rows],
        )


class _Habit(NamedTuple):
    """One kind of ordinary payment: who to whom, how often of 1, median baht, spread."""

    payer: str
    payee: str
    share: float
    median_baht: float
    sigma: float
    channel: int = TRANSFER


NEIGHBOURHOOD: Final = 0.001
"""How far from home, as a share of the nation, people usually pay."""
ANYWHERE_SHARE: Final = 0.01
"""Payments to anybody in the nation."""

HABITS: Final = (
    _Habit("people", "shops", 0.57, 150, 0.9),
    _Habit("people", "people", 0.22, 700, 1.1),
    _Habit("shops", "wage_payers", 0.03, 1_500, 1.0),
    _Habit("wage_payers", "people", 0.03, 9_000, 0.5),
    _Habit("people", "", 0.06, 400, 0.8, BILL),
    _Habit("people", "", 0.035, 1_500, 0.7, CASH),
    _Habit("people", "exchange_people", 0.004, 3_000, 1.0),
    _Habit("exchange_people", "", 0.004, 2_500, 1.0, CRYPTO),
    _Habit("exchange_people", "people", 0.004, 3_000, 1.0),
    _Habit("mules", "people", 0.015, 200, 0.8),
    _Habit("people", "mules", 0.018, 250, 0.8),
    _Habit("wage_payers", "shops", 0.01, 2_000, 0.8),
)
"""Everyday payments. All `size` figures: they make a lively ledger, not a model of an economy."""


def ordinary_transfers(
    population: Population, *, count: int, from_us: int, to_us: int, seed: tuple[int, ...]
) -> Batch:
    """`count` ordinary transfers spread evenly over [from_us, to_us), in time order.

    Life is local: whoever pays does so mostly near home, where the pools are laid out side by
    side, and some shops there are more popular than others.
    """
    rng = np.random.default_rng([*seed, 2])
    pools = {name: np.ravel(getattr(population, name)) for name in _pool_names()}
    habits = [
        habit
        for habit in HABITS
        if len(pools[habit.payer]) and (not habit.payee or len(pools[habit.payee]))
    ]
    shares = np.array([habit.share for habit in habits])
    habit_of = rng.choice(len(habits), size=count, p=shares / shares.sum())
    debtor = np.empty(count, np.int32)
    creditor = np.full(count, NOWHERE, np.int32)
    channel = np.empty(count, np.uint8)
    median = np.array([habit.median_baht for habit in habits])[habit_of]
    sigma = np.array([habit.sigma for habit in habits])[habit_of]
    for number, habit in enumerate(habits):
        rows = np.flatnonzero(habit_of == number)
        payers = pools[habit.payer]
        home = rng.random(len(rows))
        debtor[rows] = payers[(home * len(payers)).astype(np.int64)]
        channel[rows] = habit.channel
        if habit.payee:
            creditor[rows] = _near(pools[habit.payee], home, rng)
    baht = median * np.exp(sigma * rng.standard_normal(count))
    amount = np.maximum(np.round(np.minimum(baht, 1e8)), 1).astype(np.int64) * BAHT
    time_us = np.sort(rng.integers(from_us, max(to_us, from_us + 1), size=count))
    batch = Batch(time_us, debtor, creditor, amount, channel)
    return batch.take(debtor != creditor)


def _pool_names() -> set[str]:
    return {name for habit in HABITS for name in (habit.payer, habit.payee) if name}


def _near(
    pool: NDArray[np.int64], home: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Somebody of the pool near each home (places in [0, 1)); the square makes near ones usual."""
    draw = rng.random(len(home))
    away = (
        np.maximum(NEIGHBOURHOOD, 2 / len(pool))
        * draw
        * draw
        * np.sign(rng.random(len(home)) - 0.5)
    )
    abroad = rng.random(len(home)) < ANYWHERE_SHARE
    place = np.where(abroad, rng.random(len(home)), home + away) % 1.0
    return pool[np.minimum((place * len(pool)).astype(np.int64), len(pool) - 1)]
