"""Continuity: a witness over HTTP: takes heads, gives its book and its key. Nothing else is asked.

Everything it says is public: heads hold no row and no person.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

import msgspec
import structlog

from openaoc.continuity.witness import Behind, HeadOffer, HistoryRewritten, UnknownCentre, Witness
from openaoc.kernel.errors import BadInput, NotFound, OpenAOCError, Unavailable

BODY_BYTES_MAX: Final = 4 << 20
"""A head, a proof and the successions of a centre's keys."""
SECONDS_MAX: Final = 10
_LOG = structlog.get_logger(__name__)


class WitnessInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Who this witness is: its public key in base64, and the centres it knows."""

    key: str
    centres: list[str]


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why a head was not taken; `size` is where the witness stands, when that is the reason."""

    code: str
    detail: str
    size: int | None = None


class WitnessServer(ThreadingHTTPServer):
    """One witness on one address."""

    daemon_threads = True

    def __init__(self, witness: Witness, *, host: str, port: int) -> None:
        self.witness = witness
        super().__init__((host, port), _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = SECONDS_MAX

    @property
    def _witness(self) -> Witness:
        assert isinstance(self.server, WitnessServer), "made by WitnessServer"
        return self.server.witness

    def do_GET(self) -> None:
        """`/v1/witness`, `/v1/heads/CENTRE` (the newest), `/v1/book/CENTRE` (everything)."""
        match self.path.strip("/").split("/"):
            case ["v1", "witness"]:
                self._say(self._info)
            case ["v1", "heads", centre]:
                self._say(lambda: self._witness.newest(centre))
            case ["v1", "book", centre]:
                self._say(lambda: self._witness.book(centre))
            case _:
                self._answer(404, Refusal(code="not-found", detail="no such page"))

    def do_POST(self) -> None:
        """`/v1/heads`: a HeadOffer."""
        length = self.headers.get("content-length", "")
        if self.path != "/v1/heads" or not length.isdigit() or int(length) > BODY_BYTES_MAX:
            self.close_connection = True
            self._answer(404, Refusal(code="not-found", detail="no such page, or too large"))
            return
        body = self.rfile.read(int(length))
        self._say(lambda: self._witness.take(msgspec.json.decode(body, type=HeadOffer)))

    def _info(self) -> WitnessInfo:
        return WitnessInfo(key=self._witness.public_key, centres=self._witness.centres())

    def _say(self, ask: Callable[[], object]) -> None:
        try:
            self._answer(200, ask())
        except Behind as error:
            refusal = Refusal(code=error.code, detail=error.title, size=int(error.detail))
            self._answer(409, refusal)
        except OpenAOCError as error:
            self._answer(_status(error), Refusal(code=error.code, detail=str(error)))
            _LOG.warning("continuity.witness.refused", code=error.code)
        except msgspec.MsgspecError as error:
            self._answer(400, Refusal(code="bad-input", detail=str(error)))

    def _answer(self, status: int, document: object) -> None:
        body = msgspec.json.encode(document)
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Heads are few; refusals are logged above."""


def _status(error: OpenAOCError) -> int:
    known = {UnknownCentre: 403, HistoryRewritten: 422, NotFound: 404}
    return known.get(type(error)) or (400 if isinstance(error, BadInput) else 503)


@contextmanager
def serving(witness: Witness, *, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """The witness in a thread of this process; its address. Raises Unavailable if it may not."""
    try:
        server = WitnessServer(witness, host=host, port=port)
    except OSError as error:
        raise Unavailable(error.strerror or "cannot listen", where=f"{host}:{port}") from error
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://{host}:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
