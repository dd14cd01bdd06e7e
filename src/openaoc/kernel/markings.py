"""Markings of the Traffic Light Protocol 2.0: how far what is shared may go on.

They are ordered: a higher marking may go to fewer people.
"""

from __future__ import annotations

import enum
from typing import Final


class Marking(enum.StrEnum):
    """TLP 2.0 (FIRST, August 2022), spelled as it is written on documents, in small letters."""

    CLEAR = "clear"
    """The world."""
    GREEN = "green"
    """The receiver's community."""
    AMBER = "amber"
    """The receiver's organisation and its clients, on a need-to-know basis."""
    AMBER_STRICT = "amber+strict"
    """The receiver's organisation alone."""
    RED = "red"
    """The named persons alone."""

    @property
    def rank(self) -> int:
        """0 for clear to 4 for red."""
        return _RANKS[self]

    def within(self, highest: Marking) -> bool:
        """Whether somebody who may receive `highest` may receive this."""
        return self.rank <= highest.rank


_RANKS: Final[dict[Marking, int]] = {marking: rank for rank, marking in enumerate(Marking)}


def strictest(first: Marking, *others: Marking) -> Marking:
    """The highest of them: what is put together carries it."""
    return max((first, *others), key=_RANKS.__getitem__)
