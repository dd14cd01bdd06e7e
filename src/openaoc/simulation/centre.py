"""Simulation: how the institutions and the hotline reach the centre: HTTP, keys, signatures.

Says what became of a request; never gives up on its own.
"""

from __future__ import annotations

import enum
from typing import Final

import httpx
import msgspec

from openaoc.channels.signer import Signer
from openaoc.channels.signing import SigningKey
from openaoc.kernel.clock import Clock

CONNECTIONS_MAX: Final = 24
CONNECT_SECONDS_MAX: Final = 5.0
ANSWER_SECONDS_MAX: Final = 60.0
JSON: Final = "application/json"
ARROW: Final = "application/vnd.apache.arrow.stream"
_LATER: Final = frozenset({401, 403, 404, 408, 425, 429})
"""Refusals that may pass: a centre that is starting, or not yet knowing a key."""


class Fate(enum.Enum):
    """What became of a request."""

    TAKEN = "taken"
    REFUSED = "refused"
    """For good: the same request will not be taken later."""
    LATER = "later"
    """Not reached or busy: the same request again."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The fate, and the body of the reply; `status` is 0 when there was none."""

    fate: Fate
    status: int = 0
    body: bytes = b""


class Centre:
    """One connection pool for all of them."""

    def __init__(self, url: str, *, clock: Clock) -> None:
        self._clock = clock
        self._client = httpx.Client(
            base_url=url,
            timeout=httpx.Timeout(ANSWER_SECONDS_MAX, connect=CONNECT_SECONDS_MAX),
            limits=httpx.Limits(
                max_connections=CONNECTIONS_MAX, max_keepalive_connections=CONNECTIONS_MAX
            ),
            trust_env=False,
        )

    def post(
        self,
        path: str,
        body: bytes,
        *,
        key: str,
        idempotency_key: str,
        content_type: str = JSON,
        signer: SigningKey | None = None,
        secret: str | None = None,
    ) -> Outcome:
        """Send once, signed when a signing key is given; `secret` opens a case to its reporter."""
        headers = {
            "Authorization": f"Bearer {key}",
            "Content-Type": content_type,
            "Idempotency-Key": idempotency_key,
        }
        if secret is not None:
            headers["OpenAOC-Case-Secret"] = secret
        if signer is not None:
            headers |= Signer(signer, clock=self._clock).headers(body, path=path)
        try:
            response = self._client.post(path, content=body, headers=headers)
        except httpx.HTTPError:
            return Outcome(fate=Fate.LATER)
        if response.is_success:
            fate = Fate.TAKEN
        elif response.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
            fate = Fate.LATER
        else:
            fate = Fate.LATER if response.status_code in _LATER else Fate.REFUSED
        return Outcome(fate=fate, status=response.status_code, body=response.content)

    def close(self) -> None:
        """Close idle connections."""
        self._client.close()
