"""Simulation: the institutions' HTTP endpoints, one path per institution on one loopback port.

Takes nothing that the centre has not signed for that institution, and nothing twice.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final, Protocol

import httpx
import msgspec

from openaoc.channels.signing import HEADER, WINDOW, BadSignature, Jwks, PublicJwk, verify
from openaoc.kernel.clock import Clock
from openaoc.kernel.errors import BadInput, OpenAOCError, Refused, Unavailable
from openaoc.simulation.next_door import PATH, TOKEN

BODY_BYTES_MAX: Final = 16 << 20
NONCES_MAX: Final = 200_000
KEYS_AGAIN_S: Final = 2.0
"""The centre's keys are asked for at most this often."""
REQUEST_SECONDS_MAX: Final = 30.0


class Institutions(Protocol):
    """What the endpoint asks of the institutions behind it."""

    def reachable(self, institution: str) -> bool:
        """Whether the institution's system is up."""
        ...

    def take_in(self, institution: str, body: bytes) -> int:
        """Keep a delivery; returns how many messages were new."""
        ...

    def from_next_door(self, body: bytes, token: str) -> None:
        """Keep what banks next door say is on its way here. Raises Refused, BadInput."""
        ...

    def figures(self) -> bytes:
        """The nation's measures as JSON."""
        ...


class CentreKeys:
    """The centre's published keys, asked for again when an unknown one is named."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/.well-known/jwks.json"
        self._keys: dict[str, PublicJwk] = {}
        self._asked = -KEYS_AGAIN_S
        self._lock = threading.Lock()

    def current(self, *, again: bool = False) -> dict[str, PublicJwk]:
        """Key id → key. Raises Unavailable when the centre cannot be asked."""
        with self._lock:
            due = time.monotonic() - self._asked >= KEYS_AGAIN_S
            if not self._keys or (again and due):
                self._asked = time.monotonic()
                try:
                    reply = httpx.get(self._url, timeout=5.0, trust_env=False)
                    reply.raise_for_status()
                    found = msgspec.json.decode(reply.content, type=Jwks)
                except (httpx.HTTPError, msgspec.MsgspecError) as error:
                    raise Unavailable("the centre's keys cannot be read") from error
                self._keys = {key.kid: key for key in found.keys}
            return self._keys


class Door:
    """Checks signatures and repeats for all institutions."""

    def __init__(self, keys: CentreKeys, clock: Clock) -> None:
        self._keys = keys
        self._clock = clock
        self._nonces: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()

    def check(self, body: bytes, *, header: str | None, path: str, institution: str) -> None:
        """Raises BadSignature for what is not the centre's fresh word to this institution."""
        now = self._clock.now()
        for again in (False, True):
            try:
                verified = verify(
                    body,
                    header=header,
                    keys=self._keys.current(again=again),
                    method="POST",
                    path=path,
                    now=now,
                    audience=institution,
                    window=WINDOW,
                )
                break
            except BadSignature:
                if again:
                    raise
        with self._lock:
            if verified.nonce in self._nonces:
                raise BadSignature("the message was sent before", where=HEADER)
            self._nonces[verified.nonce] = None
            while len(self._nonces) > NONCES_MAX:
                self._nonces.popitem(last=False)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = REQUEST_SECONDS_MAX
    server: Endpoint
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        if self.path == "/figures":
            self._reply(200, self.server.institutions.figures())
        else:
            self._reply(404, b"{}")

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > BODY_BYTES_MAX:
            self.close_connection = True
            self._reply(413, b"{}")
            return
        body = self.rfile.read(int(length))
        if self.path == PATH:
            self._from_next_door(body)
            return
        institution, _, rest = self.path.lstrip("/").partition("/")
        if rest != "v1/holds" or institution not in self.server.codes:
            self._reply(404, b"{}")
            return
        if not self.server.institutions.reachable(institution):
            self.close_connection = True
            self._reply(503, b"{}")
            return
        try:
            self.server.door.check(
                body, header=self.headers.get(HEADER), path=self.path, institution=institution
            )
            self.server.institutions.take_in(institution, body)
        except BadSignature as error:
            self._reply(401, msgspec.json.encode({"detail": str(error)}))
        except BadInput as error:
            self._reply(400, msgspec.json.encode({"detail": str(error)}))
        except OpenAOCError as error:
            self._reply(503, msgspec.json.encode({"detail": str(error)}))
        else:
            self._reply(202, b'{"answers":[]}')

    def _from_next_door(self, body: bytes) -> None:
        try:
            self.server.institutions.from_next_door(body, self.headers.get(TOKEN, ""))
        except Refused:
            self._reply(401, b"{}")
        except BadInput as error:
            self._reply(400, msgspec.json.encode({"detail": str(error)}))
        else:
            self._reply(200, b"{}")

    def _reply(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 # inherited name
        """Say nothing: requests carry account numbers."""


class Endpoint(ThreadingHTTPServer):
    """The server; `port` 0 takes any free one."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self, institutions: Institutions, *, codes: frozenset[str], door: Door, port: int
    ) -> None:
        self.institutions = institutions
        self.codes = codes
        self.door = door
        super().__init__(("127.0.0.1", port), _Handler)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.server_address[1])
