"""Simulation, trials: what is blocked, measured against the truth, moment by moment.

The measures' definitions stand in docs/outcome.md; here is how they are counted. Never told to
anybody but the measures.
"""

from __future__ import annotations

import enum
from collections import Counter
from typing import Final

import numpy as np
from numpy.typing import NDArray

from openaoc.simulation.books import Books
from openaoc.simulation.population import Kind, Population
from openaoc.simulation.truth import Truth

HOUR_S: Final = 3_600.0
FELT_MINOR: Final = 100_000
"""Clean money of an innocent holder from which on a hold is felt: 1,000 baht."""


class Cause(enum.StrEnum):
    """Why more or less stolen money is under a hold than a moment before."""

    APPLIED = "applied"
    """An institution blocked it, or it arrived where the block was waiting."""
    MOVED = "moved"
    """Money moved on, into or out of what is blocked."""
    CORRECTED = "corrected"
    """The centre gave back by itself what it had learnt to be too much."""
    PERSON = "person"
    """A person released it."""
    EXPIRED = "expired"
    """The hold's time was over."""
    RETURNED = "returned"
    """It was paid back to a victim."""


HELD: Final = (Cause.APPLIED, Cause.MOVED, Cause.CORRECTED)
"""What these come to together is what counts as held."""


class Reason(enum.IntEnum):
    """Why clean money is blocked; of an account, the last reason seen."""

    NONE = 0
    OWN = 1
    """A mule's own money: the rule of tracing says that it is what is left of the victim's."""
    FALSE_REPORT = 2
    """Somebody reported an honest seller."""
    GOODS = 3
    """A shop was paid with stolen money for goods: its till holds honest earnings."""
    PASSED_ON = 4
    """A shop the money passed through had paid on already."""
    RECEIVED = 5
    """Somebody was paid by a mule out of what the rule says was the victim's."""


class Tally:
    """Counts for one arm. Times are simulated seconds; amounts minor units."""

    def __init__(self, population: Population, books: Books, truth: Truth) -> None:
        self._books = books
        self._truth = truth
        self._innocent: NDArray[np.bool_] = population.kind != Kind.MULE
        self._reason = np.zeros(population.size, np.int8)
        self._since_s = 0.0
        self._rightly = 0
        self.by_cause: Counter[Cause] = Counter()
        self.baht_hours = np.zeros(len(Reason))
        """Minor unit hours of clean money by reason; of stolen money under NONE."""
        self.clean_minor: Counter[Reason] = Counter()
        """Clean money at the moment it was blocked, by reason."""
        self.touched: set[int] = set()
        """Innocent holders of whose accounts anything was blocked."""
        self.touched_clean: set[int] = set()
        """Those of whose own money something was blocked."""
        self.touched_felt: set[int] = set()
        """Those of whose own money FELT_MINOR or more were blocked at one time."""

    def wait(self, to_s: float) -> None:
        """Time passes; nothing changes until then."""
        hours = (to_s - self._since_s) / HOUR_S
        self._since_s = to_s
        blocked = self._books.blocked
        where = np.flatnonzero(blocked)
        if hours <= 0 or not len(where):
            return
        rightly = np.minimum(blocked[where], self._truth.scam[where])
        clean = blocked[where] - rightly
        self.baht_hours += np.bincount(
            self._reason[where], weights=clean * hours, minlength=len(Reason)
        )
        self.baht_hours[Reason.NONE] += float(rightly.sum()) * hours

    def note(self, cause: Cause) -> int:
        """Something has changed for this cause; how much less stolen money is under a hold now."""
        rightly = int(np.minimum(self._books.blocked, self._truth.scam).sum())
        change = rightly - self._rightly
        self._rightly = rightly
        self.by_cause[cause] += change
        return -change

    def blocked(self, account: int, *, before_minor: int, reason: Reason) -> None:
        """An institution has blocked more on the account than `before_minor`."""
        now = int(self._books.blocked[account])
        if now <= before_minor:
            return
        innocent = bool(self._innocent[account])
        why = reason if innocent else Reason.OWN
        self._reason[account] = why
        scam = int(self._truth.scam[account])
        clean = max(now - scam, 0) - max(before_minor - scam, 0)
        self.clean_minor[why] += clean
        if innocent:
            self.touched.add(account)
            if clean:
                self.touched_clean.add(account)
            if now - scam >= FELT_MINOR:
                self.touched_felt.add(account)

    def is_innocent(self, account: int) -> bool:
        """Whether the account's holder is no mule."""
        return bool(self._innocent[account])

    @property
    def rightly_minor(self) -> int:
        """Stolen money under a hold now."""
        return self._rightly

    @property
    def blocked_minor(self) -> int:
        """All that is blocked now."""
        return int(self._books.blocked.sum())
