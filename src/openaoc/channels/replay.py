"""Channels: whether a signed message was here before: nonces in PostgreSQL for the window.

Never decides who signed; signing.py did. Bounded per key and minute, and swept when expired.
"""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from typing import Final

from openaoc.channels import store
from openaoc.channels.model import SIGNED_PER_KEY_AND_MINUTE_MAX
from openaoc.channels.signing import HEADER, WINDOW, BadSignature, Verified
from openaoc.kernel.errors import Busy
from openaoc.storage.unit_of_work import Transaction

_MINUTE: Final = timedelta(minutes=1)


class TooManySigned(Busy):
    """More signed messages under one key than a minute may bring."""


class Replay:
    """Remembers nonces. One instance per process; the table is shared."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._minute: datetime | None = None
        self._counts: dict[str, int] = {}

    def remember(self, tx: Transaction, verified: Verified) -> None:
        """Accept this signature once, in the transaction of what it signs.

        Raises BadSignature when it was used before, TooManySigned past the minute's limit. When
        the transaction fails nothing was taken and the nonce is free again.
        """
        self._count(verified.kid, tx.now)
        expires_at = verified.issued_at + 2 * WINDOW
        if not store.add_nonce(
            tx.connection, kid=verified.kid, nonce=verified.nonce, expires_at=expires_at
        ):
            raise BadSignature("this signed message was already received", where=HEADER)

    def _count(self, kid: str, now: datetime) -> None:
        with self._lock:
            if self._minute is None or now >= self._minute + _MINUTE or now < self._minute:
                self._minute = now
                self._counts.clear()
            self._counts[kid] = self._counts.get(kid, 0) + 1
            if self._counts[kid] > SIGNED_PER_KEY_AND_MINUTE_MAX:
                raise TooManySigned(f"limit {SIGNED_PER_KEY_AND_MINUTE_MAX} a minute", where=kid)
