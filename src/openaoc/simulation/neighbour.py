"""Simulation: the country next door, as this nation's scammers and banks see it.

Pure. An account there is a number below NOWHERE here, and money that comes from there is followed
as a scam with a number of its own, so that every nation still follows from its seed.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import msgspec
import numpy as np

from openaoc.simulation.background import NOWHERE
from openaoc.simulation.population import Population, account_number

FIRST: Final = NOWHERE - 1
NUMBERS_FROM: Final = 1 << 40
"""Scams of a nation's own have numbers below."""
PAYMENTS: Final = 64
STEPS: Final = 8_192
"""Movements of one payment, the victim's own included; more than there ever are."""


class Neighbour(NamedTuple):
    """The other nation. `victims_share`: scams whose victims pay a mule there."""

    country: str
    population: Population
    victims_share: float
    arrives_mean_s: float


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """Money from abroad: from which account there, to which of ours, under which reference."""

    number: int
    bank: str
    account: str
    creditor: int
    amount_minor: int
    reference: str


def abroad(account: int) -> int:
    """The number here of an account there."""
    return FIRST - account


def is_abroad(creditor: int) -> bool:
    """Whether it is an account there."""
    return creditor <= FIRST


def there(creditor: int) -> int:
    """The number there of an account that is abroad."""
    assert is_abroad(creditor), "an account of this nation"
    return FIRST - creditor


def number_of(*, scam: int, payment: int, step: int) -> int:
    """The number under which money of this movement is followed abroad."""
    assert 0 <= scam < NUMBERS_FROM, "what came from abroad does not leave again"
    assert payment < PAYMENTS, "more payments than there ever are"
    assert step + 1 < STEPS, "more movements than there ever are"
    return NUMBERS_FROM + (scam * PAYMENTS + payment) * STEPS + step + 1


def scam_there(number: int) -> int:
    """The scam next door whose money this is."""
    assert number >= NUMBERS_FROM, "a scam of this nation"
    return (number - NUMBERS_FROM) // STEPS // PAYMENTS


def bank_abroad(neighbour: Neighbour, account: int) -> tuple[str, str]:
    """Institution, with its country before it, and number of the neighbour's account."""
    population = neighbour.population
    code = population.codes[population.institution[account]]
    return f"{neighbour.country}.{code}", account_number(account)


def arrives_after_s(neighbour: Neighbour, number: int, *, seed: int) -> float:
    """How long this money is under way, in simulated seconds."""
    rng = np.random.default_rng([seed, 9, number])
    return float(rng.exponential(neighbour.arrives_mean_s))


def mule_abroad(neighbour: Neighbour, *, scam: int, cases_per_mule: int) -> int:
    """The account that the gang next door uses for its own victims at about this time."""
    mules = neighbour.population.mules
    gang, turn = scam % len(mules), scam // len(mules)
    return int(mules[gang][turn // cases_per_mule % mules.shape[1]])


NEVER: Final = math.inf
"""When somebody notices whose money came from abroad: not here."""
