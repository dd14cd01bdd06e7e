"""Stage tracing: views of arrays that the compiled kernels may pass about without counting.

A compiled function counts the references to every array of every tuple it is given, each by an
atomic step, twice a call; in a walk that was nine tenths of the time. The entrances hold the
arrays anyway. To the interpreter a view is the array itself.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from openaoc.ledger.arrays import LedgerArrays
from openaoc.tracing.scratch import Books, Scratch

T = TypeVar("T", bound=np.generic)


def uncounted(array: NDArray[T]) -> NDArray[T]:
    """The array; compiled.py puts a view without an owner in the place of this function."""
    return array


def soon(array: NDArray[T], place: int) -> None:
    """Nothing; in compiled code the processor begins to load what will be read there."""


def uncounted_ledger(ledger: LedgerArrays) -> LedgerArrays:
    """A ledger of views."""
    return LedgerArrays(
        uncounted(ledger.time_us),
        uncounted(ledger.debtor),
        uncounted(ledger.creditor),
        uncounted(ledger.amount),
        uncounted(ledger.flags),
        uncounted(ledger.channel),
        uncounted(ledger.out_start),
        uncounted(ledger.in_start),
        uncounted(ledger.base_in),
        uncounted(ledger.base_out),
        uncounted(ledger.out_off),
        uncounted(ledger.out_len),
        uncounted(ledger.in_off),
        uncounted(ledger.in_len),
        uncounted(ledger.out_rows),
        uncounted(ledger.out_starts),
        uncounted(ledger.in_rows),
        uncounted(ledger.bare),
        uncounted(ledger.unseen),
    )


def uncounted_scratch(s: Scratch) -> Scratch:
    """Scratch of views."""
    return Scratch(
        uncounted(s.counts),
        uncounted(s.heap),
        uncounted(s.items),
        uncounted(s.free),
        uncounted(s.pieces),
        uncounted(s.others),
        uncounted(s.table),
        uncounted(s.used),
        uncounted(s.records),
        uncounted(s.found),
    )


def uncounted_books(b: Books) -> Books:
    """Books of views."""
    return Books(uncounted(b.accounts), uncounted(b.lots), uncounted(b.free))
