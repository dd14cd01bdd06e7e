"""Exchange, MISP: one file of a partner's feed over HTTP, bounded in time and size.

Believes nothing of what comes back: files are bytes until they are read. Never redirected.
"""

from __future__ import annotations

import ipaddress
import time
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

import httpx

from openaoc.channels.patience import BoundedTransport
from openaoc.exchange.taxii.client import (
    CONNECT_SECONDS_MAX,
    REPLY_SECONDS_MAX,
    NotAnswered,
    NotPermitted,
    Server,
    of_our_kind,
    read_reply,
)
from openaoc.kernel.errors import BadInput, NotFound

_REFUSED: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_GONE: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})


class NotThere(NotFound):
    """The partner's feed has no such file."""


class MispClient:
    """Fetches files of feeds. One instance per centre; thread-safe."""

    def __init__(
        self, transport: httpx.BaseTransport | None = None, *, exercise: bool = False
    ) -> None:
        """`transport`: in place of the network, for tests. `exercise`: whether we are in one."""
        self._http = httpx.Client(
            event_hooks={"response": [of_our_kind(exercise=exercise)]},
            transport=transport
            or BoundedTransport(seconds_max=CONNECT_SECONDS_MAX + REPLY_SECONDS_MAX),
            timeout=httpx.Timeout(REPLY_SECONDS_MAX, connect=CONNECT_SECONDS_MAX),
            follow_redirects=False,
            trust_env=False,
        )

    def fetch(self, server: Server, name: str, *, bytes_max: int) -> bytes:
        """The file's bytes. Raises NotAnswered, NotPermitted, NotThere."""
        until = time.monotonic() + CONNECT_SECONDS_MAX + REPLY_SECONDS_MAX
        headers = [(b"accept", b"application/json")]
        auth = httpx.BasicAuth(server.username, server.secret) if server.username else None
        if auth is None:
            headers.append((b"authorization", server.secret.encode("utf-8")))
        try:
            with self._http.stream(
                "GET", f"{server.url}/{name}", headers=headers, auth=auth
            ) as response:
                _check(response)
                return read_reply(response, until=until, bytes_max=bytes_max)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NotAnswered(type(error).__name__) from error


def _check(response: httpx.Response) -> None:
    status = response.status_code
    if status in _REFUSED:
        raise NotPermitted(f"HTTP {status}")
    if status in _GONE:
        raise NotThere
    if status != HTTPStatus.OK:
        raise NotAnswered(f"HTTP {status}")


def check_secrecy(url: str) -> str:
    """The address itself. Raises BadInput unless it is https, or this machine's own.

    A feed is not signed, and the key goes with every request.
    """
    parts = urlsplit(url)
    if parts.scheme != "https" and not _is_loopback(parts.hostname or ""):
        raise BadInput("a MISP feed is read over https", where="url")
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
