"""Bench: the institutions of the report measurement, in a process of their own.

Takes batches over real HTTP, notes when each order arrived, answers each, signed. Its clock is the
machine's monotonic one, the same in every process.
"""

from __future__ import annotations

import json
import queue
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import httpx
import msgspec

from openaoc.channels.signer import Signer
from openaoc.channels.signing import SigningKey, signing_key
from openaoc.kernel.clock import SystemClock

ANSWERERS_PER_BANK: Final = 2
ATTEMPTS_MAX: Final = 20
QUEUE_MAX: Final = 100_000
BACKLOG: Final = 256


class Desk:
    """One institution: its orders by arrival, and threads that answer them."""

    def __init__(self, *, centre: str, api_key: str, key: SigningKey) -> None:
        self.centre, self.api_key, self.key = centre, api_key, key
        self.arrived: dict[str, int] = {}
        self.answered: dict[str, int] = {}
        self.waiting: queue.Queue[dict[str, Any] | None] = queue.Queue(QUEUE_MAX)

    def take(self, body: bytes) -> None:
        """Note the arrival of each new order and pass it on to be answered."""
        now = time.monotonic_ns()
        for message in msgspec.json.decode(body)["messages"]:
            order = message["body"].get("order")
            if message["kind"] == "hold.order" and order not in self.arrived:
                self.arrived[order] = now
                self.waiting.put(message["body"])

    def answer_all(self) -> None:
        """Answer orders until told to end."""
        signer = Signer(self.key, clock=SystemClock())
        with httpx.Client(base_url=self.centre, trust_env=False, timeout=30) as client:
            while (order := self.waiting.get()) is not None:
                path = f"/v1/holds/{order['order']}/answers"
                body = {"outcome": "applied", "applied_minor": order["amount_minor"]}
                content = msgspec.json.encode(body)
                for _ in range(ATTEMPTS_MAX):
                    headers = {
                        "Content-Type": "application/json",
                        "Authorization": f"Bearer {self.api_key}",
                        **signer.headers(content, path=path),
                    }
                    if client.post(path, content=content, headers=headers).is_success:
                        self.answered[order["order"]] = time.monotonic_ns()
                        break


def _server(desk: Desk) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            desk.take(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(202)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            """The measurement writes nothing while it runs."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = BACKLOG

    return Server(("127.0.0.1", 0), Handler)


def main() -> None:
    """Read settings from stdin's first line, say the ports, note until stdin closes."""
    setup = json.loads(sys.stdin.readline())
    desks: dict[str, Desk] = {}
    ports: dict[str, int] = {}
    threads: list[threading.Thread] = []
    for code, keys in setup["desks"].items():
        key = signing_key(kid=keys["kid"], secret=bytes.fromhex(keys["secret"]))
        desk = desks[code] = Desk(centre=setup["centre"], api_key=keys["api_key"], key=key)
        server = _server(desk)
        ports[code] = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for _ in range(ANSWERERS_PER_BANK):
            thread = threading.Thread(target=desk.answer_all, daemon=True)
            thread.start()
            threads.append(thread)
    sys.stdout.write(json.dumps(ports) + "\n")
    sys.stdout.flush()
    for line in sys.stdin:
        if line.strip() == "times":
            arrived = {o: t for d in desks.values() for o, t in list(d.arrived.items())}
            answered = {o: t for d in desks.values() for o, t in list(d.answered.items())}
            sys.stdout.write(json.dumps({"arrived": arrived, "answered": answered}) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
