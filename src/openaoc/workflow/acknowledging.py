"""Workflow: orders that an institution's system has are acknowledged, a moment later and together.

Most institutions answer within that moment; their orders need no acknowledgement any more. Never
stands in the way of a delivery: what is forgotten here is at worst still called issued.
"""

from __future__ import annotations

import functools
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from openaoc.channels.delivery import ORDER_KIND
from openaoc.channels.model import OutboxMessage
from openaoc.holds.service import Holds
from openaoc.kernel.actor import SYSTEM
from openaoc.storage.ticker import Ticker
from openaoc.storage.unit_of_work import UnitOfWork, retrying

AFTER_SECONDS: Final = 1.0
TOGETHER_MAX: Final = 500
WAITING_MAX: Final = 100_000
EVERY_SECONDS: Final = 0.5


class Acknowledging:
    """Takes delivered messages and acknowledges their orders. One instance per centre."""

    def __init__(
        self, *, uow: UnitOfWork, holds: Holds, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._uow = uow
        self._holds = holds
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._waiting: deque[tuple[float, str]] = deque(maxlen=WAITING_MAX)
        self._ticker = Ticker("acknowledge", self.run_due, every_s=EVERY_SECONDS)

    def start(self) -> None:
        """Begin."""
        self._ticker.start()

    def stop(self) -> None:
        """End; orders still waiting here keep the state `issued`."""
        self._ticker.stop()

    def delivered(self, messages: Sequence[OutboxMessage]) -> None:
        """These messages are in an institution's system; never waits."""
        due = self._monotonic() + AFTER_SECONDS
        with self._lock:
            self._waiting.extend((due, m.subject) for m in messages if m.kind == ORDER_KIND)

    def run_due(self) -> int:
        """Acknowledge what is due, in transactions of TOGETHER_MAX; how many orders changed."""
        total = 0
        while orders := self._take():
            total += retrying(functools.partial(self._acknowledge, orders))
        return total

    def _take(self) -> list[str]:
        now = self._monotonic()
        orders: list[str] = []
        with self._lock:
            while self._waiting and self._waiting[0][0] <= now and len(orders) < TOGETHER_MAX:
                orders.append(self._waiting.popleft()[1])
        return orders

    def _acknowledge(self, orders: list[str]) -> int:
        with self._uow.begin(SYSTEM, purpose="orders reached an institution") as tx:
            return self._holds.acknowledge(tx, orders)
