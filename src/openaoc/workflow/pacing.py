"""Workflow: when an institution is asked its next question, so that it gets no more than it reads.

Beyond so many an hour a question waits its turn; none is lost. Never asks itself.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, Protocol
from weakref import WeakKeyDictionary

from openaoc.storage.unit_of_work import Transaction

HOUR: Final = timedelta(hours=1)


class Asked(Protocol):
    """What is needed of the outbox to know what was asked before."""

    def nth_newest(
        self, tx: Transaction, *, institution: str, kind: str, count: int
    ) -> datetime | None:
        """By when the `count`-th last message of the kind is to be answered."""
        ...


class Pace:
    """Counts the questions of one kind, each to be answered so long after it is asked.

    Used only while the matter is held: nobody else asks meanwhile.
    """

    def __init__(self, outbox: Asked, *, kind: str, within: timedelta, per_hour: int) -> None:
        assert per_hour > 0, "a question an hour at least"
        self._outbox, self._kind, self._within, self._per_hour = outbox, kind, within, per_hour
        self._here: WeakKeyDictionary[Transaction, dict[str, list[datetime]]] = WeakKeyDictionary()
        """What one transaction has asked already, which its outbox does not show yet."""

    def next_at(self, tx: Transaction, institution: str) -> datetime:
        """When the next question may be asked: now, or an hour after the one so many before it."""
        here = self._here.setdefault(tx, {}).setdefault(institution, [])
        before = self._per_hour - len(here)
        if before > 0:
            by = self._outbox.nth_newest(tx, institution=institution, kind=self._kind, count=before)
            first = None if by is None else by - self._within
        else:
            first = here[-self._per_hour]
        at = tx.now if first is None else max(tx.now, first + HOUR)
        here.append(at)
        return at
