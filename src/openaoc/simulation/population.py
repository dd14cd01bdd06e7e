"""Simulation: who lives in the nation? People, wage payers, shops and mules with their accounts.

Pure: the same seed and parameters give the same nation. Knows nothing of the centre.
"""

from __future__ import annotations

import enum
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from openaoc.kernel.errors import BadInput
from openaoc.simulation.parameters import Parameters

ACCOUNTS_LEAST: Final = 2_000
ACCOUNTS_MAX: Final = 5_000_000
NUMBER_PRIME: Final = 9_999_999_967
"""The largest prime below 10^10: account numbers are its multiplicative group, so that they look
like account numbers and lead back to the account without a table.
"""
NUMBER_FACTOR: Final = 7_318_264_093
BAHT: Final = 100
MULES_PER_GANG_LEAST: Final = 8
"""A small nation has fewer gangs, not gangs without accounts."""


class Kind(enum.IntEnum):
    """What an account's holder is."""

    PERSON = 0
    WAGE_PAYER = 1
    SHOP = 2
    MULE = 3


class Population(NamedTuple):
    """The nation's accounts; arrays of one entry per account.

    institution: position in `codes`; kind: Kind; opening_minor: balance at the nation's birth.
    The lists of account numbers: people, wage_payers, shops, mules (at banks and wallets, in the
    order in which gangs use them, one row per gang), exchange_people, exchange_mules.
    """

    codes: tuple[str, ...]
    currency: str
    institution: NDArray[np.int8]
    kind: NDArray[np.int8]
    opening_minor: NDArray[np.int64]
    people: NDArray[np.int64]
    wage_payers: NDArray[np.int64]
    shops: NDArray[np.int64]
    mules: NDArray[np.int64]
    exchange_people: NDArray[np.int64]
    exchange_mules: NDArray[np.int64]

    @property
    def size(self) -> int:
        """How many accounts there are."""
        return len(self.institution)


def account_number(index: int) -> str:
    """The ten digits of account `index`."""
    return f"{(index + 1) * NUMBER_FACTOR % NUMBER_PRIME:010d}"


_INVERSE: Final = pow(NUMBER_FACTOR, -1, NUMBER_PRIME)


def account_index(number: str, *, size: int) -> int | None:
    """The account with these digits, or None when the nation has none such."""
    if len(number) != len("0123456789") or not (number.isascii() and number.isdigit()):
        return None
    index = int(number) * _INVERSE % NUMBER_PRIME - 1
    return index if 0 <= index < size else None


def account_numbers(size: int) -> pa.Array:
    """All account numbers as an Arrow string array, to be taken from by index."""
    return pa.array([account_number(index) for index in range(size)], pa.string())


def make_population(parameters: Parameters, *, accounts: int, seed: int) -> Population:
    """The nation of `accounts` accounts. Raises BadInput outside ACCOUNTS_LEAST…ACCOUNTS_MAX."""
    if not ACCOUNTS_LEAST <= accounts <= ACCOUNTS_MAX:
        raise BadInput(f"a nation has {ACCOUNTS_LEAST:,} to {ACCOUNTS_MAX:,} accounts")
    rng = np.random.default_rng([seed, 1])
    shares = [institution.share for institution in parameters.institutions]
    institution = rng.choice(len(shares), size=accounts, p=shares).astype(np.int8)
    exchange = np.isin(
        institution,
        [i for i, one in enumerate(parameters.institutions) if one.kind == "exchange"],
    )
    kind = _kinds(parameters, exchange, rng)
    mules = rng.permutation(np.flatnonzero((kind == Kind.MULE) & ~exchange))
    gangs = max(min(parameters.mules.gangs.value, len(mules) // MULES_PER_GANG_LEAST), 1)
    mules = mules[: len(mules) // gangs * gangs].reshape(gangs, -1)
    return Population(
        codes=tuple(one.code for one in parameters.institutions),
        currency=parameters.currency,
        institution=institution,
        kind=kind,
        opening_minor=_openings(parameters, kind, rng),
        people=np.flatnonzero((kind == Kind.PERSON) & ~exchange),
        wage_payers=np.flatnonzero(kind == Kind.WAGE_PAYER),
        shops=np.flatnonzero(kind == Kind.SHOP),
        mules=mules,
        exchange_people=np.flatnonzero((kind == Kind.PERSON) & exchange),
        exchange_mules=np.flatnonzero((kind == Kind.MULE) & exchange),
    )


def _kinds(
    parameters: Parameters, exchange: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.int8]:
    """Shops and wage payers bank at banks and wallets; mules hold accounts everywhere."""
    draw = rng.random(len(exchange))
    mule_share = parameters.mules.account_share.value
    shop_share = parameters.nation.shop_share.value
    wage_share = parameters.nation.wage_payer_share.value
    kind = np.full(len(exchange), Kind.PERSON, np.int8)
    kind[draw < mule_share] = Kind.MULE
    kind[(draw >= mule_share) & (draw < mule_share + shop_share) & ~exchange] = Kind.SHOP
    kind[(draw > 1 - wage_share) & ~exchange] = Kind.WAGE_PAYER
    return kind


def _openings(
    parameters: Parameters, kind: NDArray[np.int8], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Opening balances: lognormal by kind of holder, whole baht; freshly opened mules have none."""
    size = len(kind)
    median_baht = np.array([20_000, 50_000_000, 60_000, 500], np.float64)
    sigma = np.array([1.2, 0.8, 1.0, 1.0], np.float64)
    baht = median_baht[kind] * np.exp(sigma[kind] * rng.standard_normal(size))
    fresh = rng.random(size) < parameters.mules.recently_opened_share.value
    baht[(kind == Kind.MULE) & fresh] = 0
    return np.minimum(baht, 1e10).astype(np.int64) * BAHT
