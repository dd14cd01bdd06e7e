"""Workflow: which accounts hold money of an open case, and whether one of them has sent since.

Numbers in, case numbers out; never traces. Not thread-safe: whoever keeps it guards it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from openaoc.ledger.arrays import LedgerArrays

SMALL: Final = 1024
"""Accounts there is room for to begin with."""


class Watch:
    """The accounts where cases' money rests and how many outflows each had, in flat arrays.

    One pass over them finds the cases with an account that has sent.
    """

    def __init__(self) -> None:
        self._spans: dict[str, tuple[int, int]] = {}
        self._keys: list[str | None] = [None] * SMALL
        """By place: the case, None where nobody watches any more."""
        self._account = np.zeros(SMALL, np.int64)
        self._sent = np.full(SMALL, -1, np.int64)
        """Outflows when last looked at; -1 where nobody watches."""
        self._end = 0
        self._live = 0

    def put(self, key: str, sent: Sequence[tuple[int, int]]) -> None:
        """Watch these (account, outflows so far) for the case, in place of what was watched."""
        self.drop(key)
        count = len(sent)
        if not count:
            return
        if self._end + count > len(self._account):
            self._make_room(count)
        start, end = self._end, self._end + count
        self._account[start:end] = [account for account, _ in sent]
        self._sent[start:end] = [outflows for _, outflows in sent]
        self._keys[start:end] = [key] * count
        self._spans[key] = (start, end)
        self._end, self._live = end, self._live + count

    def drop(self, key: str) -> None:
        """Watch for the case no more."""
        start, end = self._spans.pop(key, (0, 0))
        self._sent[start:end] = -1
        self._keys[start:end] = [None] * (end - start)
        self._live -= end - start

    def moved(self, arrays: LedgerArrays) -> list[str]:
        """The cases with an account that has other outflows than it had, each once."""
        known = self._sent[: self._end]
        now = arrays.out_len[self._account[: self._end]]
        places = np.flatnonzero((now != known) & (known >= 0))
        found = (self._keys[place] for place in places.tolist())
        return list(dict.fromkeys(key for key in found if key is not None))

    def _make_room(self, count: int) -> None:
        """Leave out what is dead, and keep at least half free."""
        size = max(SMALL, 2 * (self._live + count))
        order = [place for first, last in self._spans.values() for place in range(first, last)]
        end = len(order)
        account, sent = np.zeros(size, np.int64), np.full(size, -1, np.int64)
        account[:end], sent[:end] = self._account[order], self._sent[order]
        self._keys = [self._keys[place] for place in order] + [None] * (size - end)
        self._account, self._sent = account, sent
        spans: dict[str, tuple[int, int]] = {}
        place = 0
        for key, (first, last) in self._spans.items():
            spans[key] = (place, place + last - first)
            place += last - first
        self._spans, self._end = spans, end
