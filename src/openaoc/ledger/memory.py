"""Arrays that grow without ever moving: address space is reserved once, memory is used as touched.

Readers therefore need no lock when the ledger grows. Never frees a part of an array.
"""

from __future__ import annotations

import ctypes
import mmap
import sys
from typing import Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

from openaoc.kernel.errors import Unavailable

_NORESERVE: Final = 0x4000 if sys.platform == "linux" else 0x40
"""MAP_NORESERVE, which the standard library names only from Python 3.13 on."""
_ON_FAULT: Final = 1
"""MLOCK_ONFAULT: what was never used takes no memory."""
HUGE_PAGES_FROM_BYTES: Final = 32 << 20
"""Smaller reservations stay on small pages: a test's ledger should not take 2 MiB an array."""


def reserve(count: int, dtype: DTypeLike, *, shared_file: int | None = None) -> NDArray[np.generic]:
    """A zeroed array of `count` items in private address space, or over a file that is shared.

    The file behind descriptor `shared_file` must be at least as long as the array. Raises
    Unavailable when the system refuses the address space.
    """
    kind = np.dtype(dtype)
    size = max(count * kind.itemsize, mmap.PAGESIZE)
    try:
        if shared_file is not None:
            area = mmap.mmap(shared_file, size)
        else:
            flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NORESERVE
            area = mmap.mmap(-1, size, flags=flags)
            if size >= HUGE_PAGES_FROM_BYTES and hasattr(mmap, "MADV_HUGEPAGE"):
                area.madvise(mmap.MADV_HUGEPAGE)
    except OSError as error:
        raise Unavailable(
            f"the system refused {size:,} bytes of address space ({error}); lower "
            "ledger_rows_max and ledger_accounts_max, or allow overcommit"
        ) from error
    array = np.frombuffer(area, dtype=kind, count=count)
    if shared_file is None and size >= HUGE_PAGES_FROM_BYTES:
        keep_near(array)
    return array


def keep_near(array: NDArray[np.generic]) -> bool:
    """Ask the system to leave the array's memory as it is, from each page's first use on.

    A system that looks for idle memory takes huge pages apart, and the first trace after a quiet
    hour then takes five times as long. False where the process may not ask (`ulimit -l`).
    """
    if sys.platform != "linux":
        return False
    library = ctypes.CDLL(None)
    ask = getattr(library, "mlock2", None)
    if ask is None:
        return False
    address, size = ctypes.c_void_p(array.ctypes.data), ctypes.c_size_t(array.nbytes)
    return int(ask(address, size, _ON_FAULT)) == 0
