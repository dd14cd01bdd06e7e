"""Stage tracing: how the kernels come by their arrays: the interpreter is given them as they are.

compiled.py puts functions of views.py in the place of these: compiled code is given notes of where
the arrays stand, because to accept an array takes it longer than to follow a transfer.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from openaoc.ledger.arrays import LedgerArrays
from openaoc.tracing.scratch import Books, Scratch

T = TypeVar("T", bound=np.generic)
Tuple = TypeVar("Tuple", bound=tuple[object, ...])


def ledger_at(given: LedgerArrays) -> LedgerArrays:
    """The ledger's arrays."""
    return given


def scratch_at(given: Scratch) -> Scratch:
    """A thread's scratch."""
    return given


def books_at(given: Books) -> Books:
    """A thread's books."""
    return given


def uncounted(values: Tuple) -> Tuple:
    """The tuple; in compiled code its arrays are owned by nobody, so that nothing is counted."""
    return values


def soon(array: NDArray[T], place: int) -> None:
    """Nothing; in compiled code the processor begins to load what will be read there."""
