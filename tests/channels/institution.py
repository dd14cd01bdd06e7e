"""An institution's system for tests: a real HTTP server that verifies, records and answers.

Effects are counted by idempotency key, as a bank's books would: a repeat changes nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec

from openaoc.channels.signing import HEADER, BadSignature, PublicJwk, verify
from tests.cli.server import free_port


class Stub:
    """What the institution saw and what it replies; thread-safe enough for tests."""

    def __init__(self, code: str) -> None:
        self.code = code
        self.keys: dict[str, PublicJwk] = {}
        self.batches: list[list[dict[str, Any]]] = []
        self.effects: dict[str, dict[str, Any]] = {}
        self.epochs: list[int] = []
        self.bad_signatures = 0
        self.status = 202
        self.reply: bytes = b""
        self.reply_headers: dict[str, str] = {}
        self.refuse: Callable[[dict[str, Any]], bool] = lambda _: False
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.on_batch: Callable[[list[dict[str, Any]]], None] = lambda _: None
        self.lock = threading.Lock()
        self.url = ""

    def take(self, path: str, headers: Any, body: bytes) -> int:
        """One request from the centre: the status to answer with."""
        if self.keys:
            try:
                verify(
                    body,
                    header=headers.get(HEADER),
                    keys=self.keys,
                    method="POST",
                    path=path,
                    now=self.now(),
                    audience=self.code,
                )
            except BadSignature:
                self.bad_signatures += 1
                return 401
        delivery = msgspec.json.decode(body)
        messages = delivery["messages"]
        with self.lock:
            self.epochs.append(delivery.get("epoch", 1))
            self.batches.append(messages)
            if any(self.refuse(message) for message in messages):
                return 422
            if self.status < 300:
                for message in messages:
                    self.effects.setdefault(message["idempotency_key"], message)
        if self.status < 300:  # what a bank says it has not taken, it does not act on
            self.on_batch(messages)
        return self.status


@contextmanager
def serving(stub: Stub) -> Iterator[Stub]:
    """The stub on a port that no other of this run had: what is sent to an ended one is lost."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers.get("content-length", "0"))
            body = self.rfile.read(length)
            if len(body) < length:  # who sent it was killed in the middle: nothing was said
                self.close_connection = True
                return
            status = stub.take(self.path, self.headers, body)
            self.send_response(status)
            for name, value in stub.reply_headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(stub.reply)))
            self.end_headers()
            self.wfile.write(stub.reply)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            """Tests are quiet."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

    port = free_port()
    server = Server(("127.0.0.1", port), Handler)
    stub.url = f"http://127.0.0.1:{port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
