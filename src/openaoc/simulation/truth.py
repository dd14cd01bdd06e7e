"""Simulation: whose money is really where? The yardstick for what the centre traces and holds.

Follows the scammers' own control over the money, which no centre can see. Never told to anybody
but the measures.

Scam money is scam money from the victim's payment until it leaves: by an exit, or as the price of
goods at a shop, whose till then holds honest earnings. A shop used as a stop on the way holds scam
money until it pays on.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from openaoc.simulation.population import Kind


class TruthFigures(NamedTuple):
    """Minor units over all scams so far.

    stolen = inside + gone; held = rightly_held + wrongly_held. wrongly_held: blocked on accounts
    beyond the scam money there, a mule's own money included; wrongly_from_honest: of it, on
    accounts whose holder is no mule. held_from_honest: all that is blocked on those.
    """

    stolen: int
    inside: int
    gone: int
    held: int
    rightly_held: int
    wrongly_held: int
    wrongly_from_honest: int
    held_from_honest: int


class Truth:
    """Scam money per account, in minor units. Guarded by the nation's lock."""

    def __init__(self, accounts: int) -> None:
        self.scam = np.zeros(accounts, np.int64)
        self.stolen_minor = 0
        self.gone_minor = 0
        self.averted_minor = 0
        self.returned_minor = 0
        self.crossed_minor = 0
        """Sent on to the country next door; it is followed there."""
        self.arrived_minor = 0
        """Stolen next door, and come here."""

    def averted(self, *, amount_minor: int) -> None:
        """A victim was stopped before paying."""
        self.averted_minor += amount_minor

    def stolen(self, *, mule: int, amount_minor: int) -> None:
        """A victim paid."""
        self.scam[mule] += amount_minor
        self.stolen_minor += amount_minor

    def stolen_abroad(self, *, amount_minor: int) -> None:
        """A victim paid an account in the country next door."""
        self.stolen_minor += amount_minor
        self.crossed_minor += amount_minor

    def crossed(self, *, debtor: int, amount_minor: int) -> None:
        """The scammers sent money on to the country next door."""
        self._take(debtor, amount_minor)
        self.crossed_minor += amount_minor

    def arrived(self, *, mule: int, amount_minor: int) -> None:
        """Scam money came from the country next door."""
        self.scam[mule] += amount_minor
        self.arrived_minor += amount_minor

    def moved(self, *, debtor: int, creditor: int, amount_minor: int) -> None:
        """The scammers moved money on to another account."""
        self._take(debtor, amount_minor)
        self.scam[creditor] += amount_minor

    def gone(self, *, debtor: int, amount_minor: int) -> None:
        """The scammers turned money into cash, coins, goods or money abroad."""
        self._take(debtor, amount_minor)
        self.gone_minor += amount_minor

    def returned(self, *, debtor: int, amount_minor: int) -> int:
        """An amount went back to a victim; how much of it was scam money."""
        scam = min(amount_minor, int(self.scam[debtor]))
        self._take(debtor, scam)
        self.returned_minor += scam
        return scam

    def _take(self, account: int, amount_minor: int) -> None:
        assert 0 <= amount_minor <= self.scam[account], "more scam money leaves than is there"
        self.scam[account] -= amount_minor

    def figures(self, *, blocked: NDArray[np.int64], kind: NDArray[np.int8]) -> TruthFigures:
        """Measure what is blocked against what is true."""
        honest = kind != Kind.MULE
        held = int(blocked.sum())
        rightly = int(np.minimum(blocked, self.scam).sum())
        return TruthFigures(
            stolen=self.stolen_minor,
            inside=int(self.scam.sum()),
            gone=self.gone_minor,
            held=held,
            rightly_held=rightly,
            wrongly_held=held - rightly,
            wrongly_from_honest=int(np.maximum(blocked - self.scam, 0)[honest].sum()),
            held_from_honest=int(blocked[honest].sum()),
        )
