"""Load on a centre that may die at any moment, and the record of what it acknowledged."""

from __future__ import annotations

import queue
import random
import secrets
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import httpx
import msgspec

from openaoc.channels.signing import HEADER, SigningKey, new_signing_key, sign
from tests.channels.institution import Stub
from tests.cli.server import Server
from tests.cli.world import ndjson, report, transfer

PAUSE_SECONDS = 0.15
GIVE_UP_SECONDS = 300.0


class Record:
    """What was acknowledged with a 2xx; only that counts."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.batches: list[list[dict[str, Any]]] = []
        self.receipts: list[tuple[str, dict[str, Any], dict[str, Any]]] = []
        self.answers: dict[str, int] = {}
        self.problems: list[str] = []
        self.retries = 0


def pair(content: bytes, headers: dict[str, str]) -> tuple[bytes, dict[str, str]]:
    """What every attempt sends alike."""
    return content, headers


class Load:
    """Threads that tell transfers, report them and answer orders, each until acknowledged."""

    def __init__(self, server: Server, keys: dict[str, str], bank: Stub, key: SigningKey) -> None:
        self.server, self.keys, self.bank, self.key = server, keys, bank, key
        self.record = Record()
        self.stopping = threading.Event()
        self.orders: queue.Queue[dict[str, Any]] = queue.Queue()
        self.answered: set[str] = set()
        self.threads: list[threading.Thread] = []
        self.number = 20_000_000
        bank.on_batch = self._arrived

    def start(self, *, reporters: int = 4, answerers: int = 2) -> None:
        """Begin."""
        work: list[Callable[[], None]] = [self._report] * reporters + [self._answer] * answerers
        for target in work:
            thread = threading.Thread(target=self._guarded, args=(target,), daemon=True)
            thread.start()
            self.threads.append(thread)

    def stop(self) -> None:
        """Finish what was begun, then end."""
        self.stopping.set()
        for thread in self.threads:
            thread.join(GIVE_UP_SECONDS)
            assert not thread.is_alive(), "a client could not finish"

    def _guarded(self, target: Callable[[], None]) -> None:
        try:
            target()
        except Exception as error:  # noqa: BLE001 - told by the test at the end
            self.record.problems.append(f"{target.__name__}: {error!r}")

    def _next(self) -> str:
        with self.record.lock:
            self.number += 1
            return str(self.number)

    def _send(self, who: str, path: str, make: Callable[[], tuple[bytes, dict[str, str]]]) -> Any:
        """Post until acknowledged; a refusal that is no outage is a fault of the centre."""
        until = time.monotonic() + GIVE_UP_SECONDS
        while time.monotonic() < until:
            content, headers = make()
            try:
                with self.server.client(self.keys[who]) as client:
                    answer = client.post(path, content=content, headers=headers)
            except httpx.TransportError:
                self.record.retries += 1
                time.sleep(PAUSE_SECONDS * (1 + random.random()))  # noqa: S311 - not for secrets
                continue
            if answer.is_success:
                return answer.json()
            if answer.status_code in (429, 503):
                self.record.retries += 1
                time.sleep(PAUSE_SECONDS)
                continue
            raise AssertionError(f"{path}: {answer.status_code} {answer.text[:300]}")
        raise AssertionError(f"{path}: not acknowledged in {GIVE_UP_SECONDS} s")

    def _report(self) -> None:
        while not self.stopping.is_set():
            rows = [transfer(self._next(), reported_by="KBANK") for _ in range(3)]
            told = {"Content-Type": "application/x-ndjson", "Idempotency-Key": secrets.token_hex(8)}
            body = ndjson(*rows)
            self._send("feed", "/v1/ledger/transfers", partial(pair, body, told))
            with self.record.lock:
                self.record.batches.append(rows)
            key = secrets.token_hex(8)
            headers = {"Content-Type": "application/json", "Idempotency-Key": key}
            content = msgspec.json.encode(report(rows[0]))
            receipt = self._send("machine", "/v1/reports", partial(pair, content, headers))
            with self.record.lock:
                self.record.receipts.append((key, rows[0], receipt))
            time.sleep(0.02)

    def _arrived(self, messages: list[dict[str, Any]]) -> None:
        for message in messages:
            if message["kind"] == "hold.order":
                self.orders.put(message["body"])

    def _answer(self) -> None:
        while not (self.stopping.is_set() and self.orders.empty()):
            try:
                order = self.orders.get(timeout=0.2)
            except queue.Empty:
                continue
            with self.record.lock:
                if order["order"] in self.answered:
                    continue
                self.answered.add(order["order"])
            path = f"/v1/holds/{order['order']}/answers"
            body = {"outcome": "applied", "applied_minor": order["amount_minor"]}
            content = msgspec.json.encode(body)

            def make(content: bytes = content, path: str = path) -> tuple[bytes, dict[str, str]]:
                # Each attempt is signed anew: a signature is accepted once.
                header = sign(
                    content, key=self.key, method="POST", path=path, now=datetime.now(UTC)
                )
                return content, {"Content-Type": "application/json", HEADER: header}

            self._send("bank", path, make)
            with self.record.lock:
                self.record.answers[order["order"]] = order["amount_minor"]


def bank_key() -> SigningKey:
    """The bank's own signing key."""
    return new_signing_key(kid="scb-1")
