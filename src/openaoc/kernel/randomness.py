"""Random bytes from the operating system, fetched ahead.

Each call to the system gives the interpreter's lock away, which a busy process gets back late:
one fetch serves many ids. A forked child fetches its own.
"""

from __future__ import annotations

import os
import threading
from typing import Final

FETCHED_BYTES: Final = 16 << 10

_lock: Final = threading.Lock()
_ahead: bytes = b""
_place: int = 0


def random_bytes(count: int) -> bytes:
    """`count` random bytes, given to nobody else."""
    global _ahead, _place
    if count > FETCHED_BYTES:
        return os.urandom(count)
    with _lock:
        if _place + count > len(_ahead):
            _ahead, _place = os.urandom(FETCHED_BYTES), 0
        start, _place = _place, _place + count
        return _ahead[start:_place]


def _begin_anew() -> None:
    global _ahead  # noqa: PLW0603 - a child must not repeat what its parent gives out
    _ahead = b""


os.register_at_fork(after_in_child=_begin_anew)
