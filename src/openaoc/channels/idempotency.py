"""Channels: a request repeated with its Idempotency-Key has its effect once and one answer.

Keeps answers, never secrets: what is shown once (a key, a secret) is left out before it is kept.
"""

from __future__ import annotations

import hashlib
from typing import TypeVar

import msgspec

from openaoc.channels import store
from openaoc.channels.model import RepeatedDifferently
from openaoc.storage.unit_of_work import Transaction

Response = TypeVar("Response", bound=msgspec.Struct)


class Once(msgspec.Struct, frozen=True, kw_only=True):
    """One request by one actor on one route under one key; `digest` is of its whole content."""

    actor: str
    route: str
    key: str
    digest: bytes

    def earlier(self, tx: Transaction, kind: type[Response]) -> Response | None:
        """The earlier answer; None when this is the first time, which is now claimed.

        Raises RepeatedDifferently when the key came with other content.
        """
        row = store.add_request(
            tx.connection,
            actor=self.actor,
            route=self.route,
            key=self.key,
            digest=self.digest,
            now=tx.now,
        )
        return None if row is None else self._same(row, kind)

    def seen(self, tx: Transaction, kind: type[Response]) -> Response | None:
        """The earlier answer, without claiming anything: a read will do."""
        row = store.find_request(tx.connection, actor=self.actor, route=self.route, key=self.key)
        return None if row is None else self._same(row, kind)

    def _same(self, row: store.EarlierRequest, kind: type[Response]) -> Response:
        if row.digest != self.digest:
            raise RepeatedDifferently(
                "use a fresh key for another request", where="Idempotency-Key"
            )
        return msgspec.json.decode(row.response, type=kind)

    def answered(self, tx: Transaction, response: msgspec.Struct) -> None:
        """Keep the answer with the effect, in the same transaction."""
        store.set_response(
            tx.connection,
            actor=self.actor,
            route=self.route,
            key=self.key,
            response=msgspec.json.encode(response),
        )


def once(*, actor: str, route: str, key: str, content: bytes) -> Once:
    """The request of these bytes."""
    return Once(actor=actor, route=route, key=key, digest=hashlib.sha256(content).digest())
