"""CLI: two simulated supervisors of a centre, who decide on what a partner asks.

A partner's word alone holds nothing: each order waits for two persons, and these take some
seconds over it. They act over the centre's HTTP interface under keys of their own.
"""

from __future__ import annotations

import random
import threading
import time
from typing import Final

import msgspec

from openaoc.cli.client import CentreClient, FromCentre
from openaoc.cli.demo_agree import Side, Staff
from openaoc.exchange.crossborder.model import ReceivedState, Requests
from openaoc.holds.model import OrderPage
from openaoc.kernel.errors import OpenAOCError
from openaoc.kernel.limits import PAGE_MAX

LOOK_SECONDS: Final = 1.0
MEAN_SECONDS: Final = 15.0
"""How long they take over an order, on the wall; assumed, as for the people at institutions."""
JOIN_SECONDS: Final = 12.0


def newest_requests(client: CentreClient) -> Requests:
    """Of a centre, as many as one page has. Raises FromCentre, Unavailable."""
    return msgspec.convert(client.get("/v1/requests", limit=PAGE_MAX), Requests, strict=False)


class Officers:
    """Two people at their desk, as a thread."""

    def __init__(self, side: Side, staff: Staff, *, stop: threading.Event) -> None:
        self._first = CentreClient(side.url, staff.supervisor)
        self._second = CentreClient(side.url, staff.second)
        self._stop = stop
        self._cases: set[str] = set()
        self._due: dict[str, float] = {}
        self._thread = threading.Thread(target=self._run, name="officers", daemon=True)
        self.approved = 0

    def start(self) -> None:
        """They begin to work."""
        self._thread.start()

    def join(self) -> None:
        """They finish what they are at; what waits, waits for the next day."""
        self._thread.join(JOIN_SECONDS)

    def _run(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            try:
                self.look(time.monotonic())
            except OpenAOCError:
                continue  # the centre is busy, or gone: they look again

    def look(self, now_s: float) -> None:
        """Take up what is new, and agree to what was thought over. Raises OpenAOCError."""
        requests = newest_requests(self._first)
        self._cases.update(
            one.case
            for one in requests.received
            if one.case is not None and one.state is ReceivedState.OPENED
        )
        found = self._first.get("/v1/holds", state="drafted", limit=PAGE_MAX)
        drafted = [
            order.order
            for order in msgspec.convert(found, OrderPage, strict=False).orders
            if order.case in self._cases and not order.paused_by
        ]
        think_s = random.expovariate(1 / MEAN_SECONDS)
        for order in drafted:
            self._due.setdefault(order, now_s + think_s)
        for order in [one for one in drafted if self._due[one] <= now_s]:
            self._agree(order)
        self._due = {order: due for order, due in self._due.items() if order in drafted}

    def _agree(self, order: str) -> None:
        try:
            for person in (self._first, self._second):
                person.post(f"/v1/holds/{order}/approve")
            self.approved += 1
        except FromCentre:
            return  # it has changed meanwhile: it is looked at again, if it still waits
