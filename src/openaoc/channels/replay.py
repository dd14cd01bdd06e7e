"""Channels: whether a signed message was here before: nonces in PostgreSQL for the window.

Never decides who signed; signing.py did. Bounded per key and minute, and swept when expired.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
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
        self.count(verified.kid, tx.now)
        expires_at = verified.issued_at + 2 * WINDOW
        if not store.add_nonce(
            tx.connection, kid=verified.kid, nonce=verified.nonce, expires_at=expires_at
        ):
            raise BadSignature("this signed message was already received", where=HEADER)

    def count(self, kid: str, now: datetime) -> None:
        """Count a signed message of this key. Raises TooManySigned past the minute's limit."""
        with self._lock:
            if self._minute is None or now >= self._minute + _MINUTE or now < self._minute:
                self._minute = now
                self._counts.clear()
            self._counts[kid] = self._counts.get(kid, 0) + 1
            if self._counts[kid] > SIGNED_PER_KEY_AND_MINUTE_MAX:
                raise TooManySigned(f"limit {SIGNED_PER_KEY_AND_MINUTE_MAX} a minute", where=kid)


def accept_together(
    tx: Transaction, verified: Sequence[Verified | None]
) -> list[BadSignature | None]:
    """Accept each signature once, in this transaction: by place, what refuses it.

    Where nothing was signed, nothing is refused. Raises nothing: one that was used before must
    not refuse its neighbours.
    """
    fresh = {(v.kid, v.nonce): v.issued_at + 2 * WINDOW for v in verified if v is not None}
    added: set[tuple[str, str]] = set()
    if fresh:
        rows = [(kid, nonce, end) for (kid, nonce), end in fresh.items()]
        added = store.add_nonces(tx.connection, rows)
    results: list[BadSignature | None] = []
    for one in verified:
        if one is None:
            results.append(None)
        elif (one.kid, one.nonce) in added:
            added.remove((one.kid, one.nonce))
            results.append(None)
        else:
            results.append(BadSignature("this signed message was already received", where=HEADER))
    return results
