"""Channels: connections on which nobody waits beyond a request's end, whatever trickles in.

httpx bounds every single read and write: who sends a byte now and then would hold a thread for
days, and with it all that thread does for others. Never decides how long is long enough.
"""

from __future__ import annotations

import math
import ssl
import threading
import time
from collections.abc import Iterable
from typing import Any, Final

import httpcore
import httpx

CONNECTIONS_MAX: Final = 100
KEPT_SECONDS: Final = 5.0
"""A connection at rest is closed after this."""
PIECE_BYTES: Final = 64 << 10
"""So much is written before it is looked whether time is left."""


class BoundedTransport(httpx.HTTPTransport):
    """httpx's own, with an end for each request as a whole: connecting, sending and the reply.

    The reply is read by the thread that sent the request.
    """

    def __init__(self, *, seconds_max: float, connections_max: int = CONNECTIONS_MAX) -> None:
        verify = httpx.create_ssl_context(trust_env=False)
        super().__init__(verify=verify, trust_env=False)
        self._seconds_max = seconds_max
        self._end = _End()
        self._pool = httpcore.ConnectionPool(
            ssl_context=verify,
            max_connections=connections_max,
            max_keepalive_connections=connections_max,
            keepalive_expiry=KEPT_SECONDS,
            network_backend=_Network(self._end),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """As httpx's; raises its timeouts also when the request as a whole takes too long."""
        self._end.at = time.monotonic() + self._seconds_max
        return super().handle_request(request)


class _End(threading.local):
    """When the request of this thread must be over."""

    at: float = math.inf

    def within(self, seconds: float | None, over: type[httpcore.TimeoutException]) -> float:
        """So long one step of it may take; raises `over` when there is no time left."""
        left = self.at - time.monotonic()
        if left <= 0:
            raise over("the request as a whole took too long")
        return left if seconds is None else min(seconds, left)


class _Network(httpcore.SyncBackend):
    def __init__(self, end: _End) -> None:
        self._end = end

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        stream = super().connect_tcp(
            host,
            port,
            timeout=self._end.within(timeout, httpcore.ConnectTimeout),
            local_address=local_address,
            socket_options=socket_options,
        )
        return _Stream(stream, self._end)


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream, end: _End) -> None:
        self._stream, self._end = stream, end

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        within = self._end.within(timeout, httpcore.ReadTimeout)
        return self._stream.read(max_bytes, timeout=within)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for first in range(0, len(buffer), PIECE_BYTES):
            within = self._end.within(timeout, httpcore.WriteTimeout)
            self._stream.write(buffer[first : first + PIECE_BYTES], timeout=within)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        within = self._end.within(timeout, httpcore.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, within), self._end)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
