"""Who told us which rows and when: one record per batch, and which still wait for the journal.

Never holds a transfer.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from openaoc.kernel.clock import from_us
from openaoc.ledger.memory import reserve
from openaoc.ledger.model import Batch, Expired
from openaoc.ledger.store import Vocabulary

TELLERS_MAX: Final = 65_535


class Batches:
    """Columns over the batches that brought rows, in order, and the batches not journalled."""

    def __init__(self, batches_max: int) -> None:
        self.count = 0
        self.first_row = reserve(batches_max, np.int32).view(np.int32)
        self.told_at = reserve(batches_max, np.int64).view(np.int64)
        self.teller = reserve(batches_max, np.uint16).view(np.uint16)
        self.position = reserve(batches_max, np.int64).view(np.int64)
        self.tellers = Vocabulary(TELLERS_MAX, "tellers")
        self.waiting: dict[int, Batch] = {}
        self.expired: dict[int, Expired] = {}
        """Of what expired, too, that which waits for its journal row."""

    def add(self, batch: Batch, *, first_row: int, told_at_us: int) -> None:
        """Keep a durable batch; `first_row`: where its rows begin in the hot arrays."""
        self.waiting[batch.position] = batch
        if not batch.accepted:
            return
        at = self.count
        self.first_row[at], self.told_at[at] = first_row, told_at_us
        self.teller[at] = self.tellers.number(batch.told_by)
        self.position[at] = batch.position
        self.count = at + 1

    def replace(self, columns: dict[str, NDArray[np.generic]]) -> None:
        """Keep these batches instead: the rows were numbered anew."""
        self.count = columns["first_row"].size
        for name, column in columns.items():
            getattr(self, name)[: self.count] = column

    def of_row(self, row: int) -> Batch:
        """The batch that brought the row; its counts are those of its rows, without a digest."""
        at = int(np.searchsorted(self.first_row[: self.count], row, side="right")) - 1
        assert at >= 0, "every row came in a batch"
        return Batch(
            position=int(self.position[at]),
            told_by=self.tellers.words[int(self.teller[at])],
            accepted=0,
            corrected=0,
            first_row=int(self.first_row[at]),
            digest="",
            told_at=from_us(int(self.told_at[at])),
        )
