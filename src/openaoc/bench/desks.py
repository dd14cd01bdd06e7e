"""Bench: the institutions of the report measurement, in a process of their own.

Takes batches over real HTTP, notes when each order arrived, answers each, signed, many in one
request or each in its own. Its clock is the machine's monotonic one, the same in every process.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import deque
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from openaoc.bench.http1 import Connection, Loop, Message, request
from openaoc.channels.signer import Signer
from openaoc.channels.signing import signing_key
from openaoc.kernel.clock import SystemClock

ANSWER_AFTER_SECONDS: Final = 0.2
"""What an institution takes to block the money; what arrives meanwhile is answered together."""
ANSWERS_TOGETHER_MAX: Final = 200
CONNECTIONS_SINGLY: Final = 2
"""An institution that answers each order in its own request does so over so many connections."""
AGAIN_SECONDS: Final = 0.5
ACCEPTED: Final = b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n"


class _Body(msgspec.Struct):
    order: str
    amount_minor: int = 0


class _Message(msgspec.Struct):
    kind: str
    body: _Body


class _Delivery(msgspec.Struct):
    messages: list[_Message]


_delivery = msgspec.json.Decoder(_Delivery)


class Desk:
    """One institution: its orders by arrival, and what it still has to answer."""

    def __init__(
        self, loop: Loop, *, centre: str, api_key: str, signer: Signer, singly: bool
    ) -> None:
        self._loop = loop
        parts = urlsplit(centre)
        self._address = (parts.hostname or "", parts.port or 80)
        self._api_key = api_key
        self._signer = signer
        self._singly = singly
        self._waiting: deque[tuple[float, _Body]] = deque()
        self._asked: dict[Connection, list[_Body]] = {}
        self._idle = [
            loop.connect(self._address, self._answered)
            for _ in range(CONNECTIONS_SINGLY if singly else 1)
        ]
        self.arrived: dict[str, int] = {}
        self.answered: dict[str, int] = {}

    def take(self, connection: Connection, message: Message) -> None:
        """Note the arrival of each new order, to be answered a little later."""
        now = time.monotonic_ns()
        due = now / 1e9 + ANSWER_AFTER_SECONDS
        for one in _delivery.decode(message.body).messages:
            if one.kind == "hold.order" and one.body.order not in self.arrived:
                self.arrived[one.body.order] = now
                self._waiting.append((due, one.body))
        self._loop.send(connection, ACCEPTED)

    def answer_due(self) -> None:
        """Answer what is due over the connections that are free."""
        most = 1 if self._singly else ANSWERS_TOGETHER_MAX
        while self._idle:
            orders: list[_Body] = []
            now = time.monotonic()
            while self._waiting and self._waiting[0][0] <= now and len(orders) < most:
                orders.append(self._waiting.popleft()[1])
            if not orders:
                return
            connection = self._idle.pop()
            self._asked[connection] = orders
            self._loop.send(connection, self._request(orders))

    def _request(self, orders: list[_Body]) -> bytes:
        answers = [{"outcome": "applied", "applied_minor": one.amount_minor} for one in orders]
        if self._singly:
            path, body = f"/v1/holds/{orders[0].order}/answers", msgspec.json.encode(answers[0])
        else:
            path = "/v1/holds/answers"
            named = zip(orders, answers, strict=True)
            body = msgspec.json.encode(
                {"answers": [{"order": one.order, "answer": answer} for one, answer in named]}
            )
        headers = {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {self._api_key}",
            **self._signer.headers(body, path=path),
        }
        return request("POST", path, body, headers)

    def _answered(self, connection: Connection, message: Message) -> None:
        """Note which answers were taken; the others are given again."""
        orders = self._asked.pop(connection)
        self._idle.append(connection)
        now = time.monotonic_ns()
        taken = {orders[0].order} if self._singly else _taken(message)
        if message.status != 200:  # noqa: PLR2004 - HTTP's own number
            taken = set()
        for one in orders:
            if one.order in taken:
                self.answered[one.order] = now
            else:
                self._waiting.append((now / 1e9 + AGAIN_SECONDS, one))


def _taken(message: Message) -> set[str]:
    outcomes: list[dict[str, Any]] = json.loads(message.body).get("answers", [])
    return {one["order"] for one in outcomes if "refused" not in one}


def main() -> None:
    """Read settings from stdin's first line, say the ports, note until stdin closes."""
    setup = json.loads(sys.stdin.readline())
    loop = Loop()
    desks: dict[str, Desk] = {}
    for code, keys in setup["desks"].items():
        key = signing_key(kid=keys["kid"], secret=bytes.fromhex(keys["secret"]))
        desks[code] = Desk(
            loop,
            centre=setup["centre"],
            api_key=keys["api_key"],
            signer=Signer(key, clock=SystemClock()),
            singly=setup["singly"],
        )
    ports = {code: loop.listen(desk.take) for code, desk in desks.items()}
    _say(ports)
    alive = True

    def told() -> None:
        nonlocal alive
        alive = bool(os.read(sys.stdin.fileno(), 64))
        if alive:
            arrived = {o: t for d in desks.values() for o, t in d.arrived.items()}
            answered = {o: t for d in desks.values() for o, t in d.answered.items()}
            _say({"arrived": arrived, "answered": answered})

    loop.watch(sys.stdin.fileno(), told)
    while alive:
        loop.turn(0.02)
        for desk in desks.values():
            desk.answer_due()


def _say(document: object) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
