"""Bench: a ledger of numbers with mule chains in it: honest trade, and money that runs through it.

Synthetic and repeatable; names nobody.
"""

from __future__ import annotations

import math
import random
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from openaoc.ledger.arrays import EXIT, SELF, LedgerArrays
from openaoc.ledger.bulk import build_arrays
from openaoc.ledger.memory import HUGE_PAGES_FROM_BYTES, keep_near

PER_SECOND: Final = 868
"""75 million transfers a day, a nation's."""
ACCOUNTS_PER_TRANSFER: Final = 0.2
SHOPS: Final = 0.01
TO_SHOPS: Final = 0.25
EXITS: Final = 0.12
TRANSFERS_PER_CHAIN: Final = 5_000
"""Far more chains than in life, so that there are enough to measure."""
CHAINS_MIN: Final = 300
CHAIN_TRANSFERS_MAX: Final = 60
LAYERS: Final = (3, 7)
NEW_MULES: Final = 0.7
THROUGH_HONEST: Final = 0.1
KNOWN_OPENINGS: Final = 0.5
DWELL_SECONDS: Final = 260.0
_MEDIAN_MINOR: Final = 50_000.0
_LOSS_MINOR: Final = 1_600_000.0
_SIGMA: Final = 1.48
_AMOUNT_MAX: Final = 490_000_000
_SECOND: Final = 1_000_000


class World(NamedTuple):
    """A ledger, and the rows of the payments that victims lost."""

    arrays: LedgerArrays
    origins: NDArray[np.int64]


class _Rows:
    """Columns of the chains while they are drawn."""

    def __init__(self) -> None:
        self.time: list[int] = []
        self.debtor: list[int] = []
        self.creditor: list[int] = []
        self.amount: list[int] = []
        self.origin: list[bool] = []

    def add(self, *, time: int, debtor: int, creditor: int, amount: int, origin: bool) -> None:
        self.time.append(time)
        self.debtor.append(debtor)
        self.creditor.append(creditor)
        self.amount.append(amount)
        self.origin.append(origin)


def mule_world(transfers: int, *, seed: int = 1) -> World:
    """About `transfers` rows in order of time, and their origins in order of time."""
    rng = np.random.default_rng(seed)
    accounts = max(int(transfers * ACCOUNTS_PER_TRANSFER), 1_000)
    chains = max(transfers // TRANSFERS_PER_CHAIN, CHAINS_MIN)
    span = transfers * _SECOND // PER_SECOND
    drawn = _Rows()
    dice = random.Random(seed)  # noqa: S311 - a simulation, repeatable by its seed
    newest = accounts
    for _ in range(chains):
        newest = _chain(dice, drawn, accounts=accounts, newest=newest, span=span)
    honest = max(transfers - len(drawn.time), 0)
    shops = rng.integers(0, max(int(accounts * SHOPS), 1), honest)
    to_shop = rng.random(honest) < TO_SHOPS
    out = rng.random(honest) < EXITS
    creditor = np.where(to_shop, shops, rng.integers(0, accounts, honest))
    columns = {
        "time": np.concatenate([rng.integers(0, span, honest), drawn.time]),
        "debtor": np.concatenate([rng.integers(0, accounts, honest), drawn.debtor]),
        "creditor": np.concatenate([np.where(out, -1, creditor), drawn.creditor]),
        "amount": np.concatenate([_amounts(rng, honest), drawn.amount]),
        "origin": np.concatenate([np.zeros(honest, bool), drawn.origin]),
    }
    order = np.argsort(columns["time"], kind="stable")
    time, debtor, payee, amount, origin = (column[order] for column in columns.values())
    flags = np.where(payee < 0, EXIT, np.where(payee == debtor, SELF, 0)).astype(np.uint8)
    arrays = build_arrays(
        time_us=time,
        debtor=debtor.astype(np.int32),
        creditor=payee.astype(np.int32),
        amount=amount,
        flags=flags,
        channel=(payee < 0).astype(np.uint8),
        opening=np.where(rng.random(newest) < KNOWN_OPENINGS, _amounts(rng, newest), 0),
    )
    for array in arrays:
        owner = array if array.base is None else np.asarray(array.base)
        if owner.nbytes >= HUGE_PAGES_FROM_BYTES:
            keep_near(owner)
    return World(arrays, np.flatnonzero(origin & ((flags & SELF) == 0)))


def _amounts(rng: np.random.Generator, count: int) -> NDArray[np.int64]:
    drawn = rng.lognormal(math.log(_MEDIAN_MINOR), _SIGMA, count)
    return np.clip(drawn, 100, _AMOUNT_MAX).astype(np.int64)


def _chain(dice: random.Random, rows: _Rows, *, accounts: int, newest: int, span: int) -> int:
    """One victim's payment and what becomes of it; returns the newest account number."""
    lost = int(min(max(dice.lognormvariate(math.log(_LOSS_MINOR), _SIGMA), 10_000), _AMOUNT_MAX))
    time = dice.randrange(max(span * 9 // 10, 1))
    victim, depth = dice.randrange(accounts), dice.randint(*LAYERS)
    holders = [(victim, lost, time, 0)]
    drawn = 0
    while holders and drawn < CHAIN_TRANSFERS_MAX:
        account, amount, time, layer = holders.pop(0)
        parts = 1 if layer == 0 else dice.randint(1, 3)
        for part in range(parts):
            sent = amount // parts if part + 1 < parts else amount - (parts - 1) * (amount // parts)
            at = time + int(dice.expovariate(1 / DWELL_SECONDS) * _SECOND) + 1
            leaves = layer >= depth
            if dice.random() < NEW_MULES:
                payee, newest = newest, newest + 1
            else:
                payee = dice.randrange(accounts)
            rows.add(
                time=at,
                debtor=account,
                creditor=-1 if leaves else payee,
                amount=max(sent, 1),
                origin=layer == 0,
            )
            drawn += 1
            honest = layer > 0 and dice.random() < THROUGH_HONEST
            if not leaves and not honest:
                holders.append((payee, max(sent, 1), at, layer + 1))
    return newest
