"""Channels: one HTTP request to an institution, bounded in time and size, never redirected."""

from __future__ import annotations

from typing import Protocol

import httpx
import msgspec

from openaoc.channels.model import (
    CONNECT_SECONDS_MAX,
    REPLY_BYTES_MAX,
    REPLY_SECONDS_MAX,
)
from openaoc.channels.patience import BoundedTransport
from openaoc.kernel.errors import Unavailable


class NotReached(Unavailable):
    """The institution's system cannot be reached."""


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What came back; `signature` is the reply's own OpenAOC-Signature header, if any."""

    status: int
    body: bytes
    signature: str | None


class Transport(Protocol):
    """Sends one signed request; tests bring their own."""

    def post(self, url: str, *, body: bytes, headers: dict[str, str]) -> Reply:
        """Send and wait for the whole reply. Raises NotReached."""
        ...

    def close(self) -> None:
        """Give back connections."""
        ...


class HttpTransport:
    """httpx with limits: connections, time to connect, time and bytes of a reply, no redirects.

    Proxies of the environment are not used: where orders go is set in the centre alone.
    """

    def __init__(self, *, connections_max: int) -> None:
        self._client = httpx.Client(
            transport=BoundedTransport(
                seconds_max=CONNECT_SECONDS_MAX + REPLY_SECONDS_MAX,
                connections_max=connections_max,
            ),
            timeout=httpx.Timeout(REPLY_SECONDS_MAX, connect=CONNECT_SECONDS_MAX),
            follow_redirects=False,
            trust_env=False,
        )

    def post(self, url: str, *, body: bytes, headers: dict[str, str]) -> Reply:
        """Send and wait for the whole reply.

        Raises NotReached, with the kind of failure but nothing of what was sent.
        """
        signature_name = "openaoc-signature"
        try:
            with self._client.stream("POST", url, content=body, headers=headers) as response:
                received = bytearray()
                for chunk in response.iter_raw():
                    received += chunk
                    if len(received) > REPLY_BYTES_MAX:
                        raise NotReached(f"the reply is larger than {REPLY_BYTES_MAX} bytes")
                return Reply(
                    status=response.status_code,
                    body=bytes(received),
                    signature=response.headers.get(signature_name),
                )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NotReached(type(error).__name__) from error

    def close(self) -> None:
        """Close idle connections."""
        self._client.close()
