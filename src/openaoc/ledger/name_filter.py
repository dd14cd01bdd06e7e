"""Stage ledger, cold: a filter in memory that knows which names are certainly not cold.

Every new transfer is asked for, so the answer is mostly no and costs one wait for memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from openaoc.ledger.kernels_cold import FILTER_WORDS, filter_add, filter_ask

BYTES_PER_NAME: Final = 2
"""About one name in 700 that is not cold has to be looked up on disk."""
NAMES_MIN: Final = 1 << 12


class NameFilter:
    """Keys of names, forgetful about which; made anew at twice the size when it is full."""

    def __init__(self) -> None:
        self._blocks = np.zeros(0, np.uint64)
        self._names = 0

    def add(self, keys: NDArray[np.uint64], every: Sequence[NDArray[np.uint64]]) -> None:
        """Note the keys; `every`: all there are, these included."""
        self._names += keys.size
        if self._names * BYTES_PER_NAME <= self._blocks.nbytes:
            filter_add(self._blocks, np.ascontiguousarray(keys))
            return
        self._names = sum(known.size for known in every)
        size = 2 * BYTES_PER_NAME * max(self._names, NAMES_MIN)
        blocks = np.zeros(size // (8 * FILTER_WORDS) * FILTER_WORDS, np.uint64)
        for known in every:
            filter_add(blocks, np.ascontiguousarray(known))
        self._blocks = blocks

    def ask(self, keys: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Whether each key may have been noted."""
        found = np.zeros(keys.size, np.bool_)
        if self._blocks.size:
            filter_ask(self._blocks, np.ascontiguousarray(keys), found)
        return found
