"""Simulation: when an institution can be reached, and how long it takes to answer.

Pure: by seed and wall clock. Machines are not sped up with the simulated clock.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from openaoc.simulation.parameters import Answers

OUTAGE_SHARE_OF_PERIOD_MAX: Final = 0.9


class Line:
    """The line to one institution, and the pace of its people and machines."""

    def __init__(self, answers: Answers, *, seed: int, number: int) -> None:
        self._answers = answers
        self._seed = seed
        self._number = number
        self._rng = np.random.default_rng([seed, 8, number])

    def reachable(self, wall_s: float) -> bool:
        """Whether the institution's system answers at this moment.

        One outage per stretch of time, at a random place and of exponential length, so that the
        share of time out of reach is the parameters'.
        """
        share = self._answers.out_of_reach_share.value
        if share <= 0:
            return True
        period_s = self._answers.out_of_reach_mean_s.value / share
        stretch, into = divmod(wall_s, period_s)
        rng = np.random.default_rng([self._seed, 9, self._number, int(stretch)])
        length_s = min(
            float(rng.exponential(self._answers.out_of_reach_mean_s.value)),
            period_s * OUTAGE_SHARE_OF_PERIOD_MAX,
        )
        starts_s = float(rng.random()) * (period_s - length_s)
        return not starts_s <= into < starts_s + length_s

    def delay_s(self) -> float:
        """How long the institution takes over one order: mostly a machine, now and then slow."""
        answers = self._answers
        fast = self._rng.random() < answers.fast_share.value
        median = answers.fast_median_s.value if fast else answers.slow_median_s.value
        return median * math.exp(answers.sigma_log.value * float(self._rng.standard_normal()))
