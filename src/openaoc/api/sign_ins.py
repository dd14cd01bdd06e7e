"""API: who a key belongs to, remembered for a moment so that a busy machine is not looked up again.

Forgets everything when any key or user changes here: a revoked key is refused at once.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from typing import Final

from openaoc.kernel.actor import Actor

KEPT_SECONDS: Final = 1.0
KEPT_MAX: Final = 10_000


class SignIns:
    """Actors by the hash of their key. One instance per application; thread-safe."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._known: dict[bytes, tuple[float, Actor]] = {}
        self._changes = 0

    def actor(self, key: str, look_up: Callable[[], Actor]) -> Actor:
        """The key's actor; `look_up` says it, and raises for a key that is none."""
        digest = hashlib.sha256(key.encode("utf-8")).digest()
        now = self._monotonic()
        with self._lock:
            found = self._known.get(digest)
            if found is not None and found[0] > now:
                return found[1]
            changes = self._changes
        actor = look_up()
        with self._lock:
            if changes == self._changes:
                if len(self._known) >= KEPT_MAX:
                    self._known.clear()
                self._known[digest] = (now + KEPT_SECONDS, actor)
        return actor

    def forget(self) -> None:
        """A key or a user changed: look everybody up again."""
        with self._lock:
            self._changes += 1
            self._known.clear()
