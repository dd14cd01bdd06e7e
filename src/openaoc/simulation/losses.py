"""Simulation: how much does a victim lose? Lognormal losses whose mean is the published one.

Pure arithmetic: the cap and the floor bend a lognormal's mean, so its median is solved for.
"""

from __future__ import annotations

import math
from typing import Final

from openaoc.simulation.parameters import CaseFigures, Parameters, ScamType

BISECTIONS: Final = 80


def age_factors(cases: CaseFigures) -> tuple[float, float]:
    """Mean loss of older and of younger victims, over the mean of all."""
    share, loss = cases.older_share.value, cases.older_loss_share.value
    return loss / share, (1 - loss) / (1 - share)


def _normal(z: float) -> float:
    return 0.5 * (1 + math.erf(z / math.sqrt(2)))


def clipped_mean(mu: float, *, sigma: float, floor: float, cap: float) -> float:
    """The mean of exp(mu + sigma Z), Z standard normal, clipped to [floor, cap]."""
    mean = math.exp(mu + sigma * sigma / 2)
    above, below = (math.log(cap) - mu) / sigma, (math.log(floor) - mu) / sigma
    inside = mean * (_normal(above - sigma) - _normal(below - sigma))
    return inside + cap * (1 - _normal(above)) + floor * _normal(below)


def log_median(parameters: Parameters, kind: ScamType) -> float:
    """The mu for which losses of this type, over both age groups, have the type's mean."""
    older, younger = age_factors(parameters.cases)
    share = parameters.cases.older_share.value
    low, high = 0.0, math.log(parameters.loss_cap_minor.value)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        mean = sum(
            weight
            * clipped_mean(
                middle + math.log(factor),
                sigma=parameters.sigma_log.value,
                floor=parameters.loss_floor_minor.value,
                cap=parameters.loss_cap_minor.value,
            )
            for weight, factor in ((share, older), (1 - share, younger))
        )
        low, high = (middle, high) if mean < kind.mean_minor.value else (low, middle)
    return low
