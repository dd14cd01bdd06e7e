"""CLI: what is between the two centres of a demonstration: their agreement, requests and releases.

Reads what each centre's staff see; simulated officers decide on what waits for two persons.
"""

from __future__ import annotations

import secrets
import statistics
import threading
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Final

import msgspec

from openaoc.cli.client import CentreClient
from openaoc.cli.demo_agree import Side, Staff, agree, let_banks_read
from openaoc.cli.demo_country import Country
from openaoc.cli.demo_officers import Officers, newest_requests
from openaoc.exchange.crossborder.model import (
    ReceivedRequest,
    ReceivedState,
    SentRequest,
    SentState,
)
from openaoc.exchange.crossborder.sums import Amounts
from openaoc.exchange.ledger_model import ReleasedPage
from openaoc.exchange.taxii.model import ReceiptPage
from openaoc.holds.model import OrderPage
from openaoc.kernel.errors import OpenAOCError
from openaoc.simulation.next_door import Door, forget_door, save_door

KNOWN_MAX: Final = 20_000
"""Requests of one side that are remembered; a demonstration has some hundreds."""
PAGES_MAX: Final = 40
TIMED_AT_ONCE_MAX: Final = 5
"""Holds abroad whose times are asked for in one look."""


class ReleasedCount(msgspec.Struct, frozen=True, kw_only=True):
    """What was released of one kind: how many objects, and which fields left."""

    kind: str
    objects: int
    fields: list[str]


class OneWay(msgspec.Struct, frozen=True, kw_only=True):
    """What one centre asked of the other, what came of it, and what it released to it.

    Amounts in minor units, of requests that stand. `told`: objects that the other one read.
    `hold_p50_s`: from the report here to the first amount blocked there, over `holds` requests.
    """

    sender: str
    receiver: str
    waiting: int = 0
    asked: int = 0
    answered: int = 0
    agree: int = 0
    asked_minor: int = 0
    amounts: Amounts = Amounts()
    received: dict[str, int] = {}
    released: list[ReleasedCount] = []
    told: int = 0
    holds: int = 0
    hold_p50_s: float | None = None
    hold_max_s: float | None = None


class BetweenView(msgspec.Struct, frozen=True, kw_only=True):
    """Both ways."""

    ways: list[OneWay]
    approved: int = 0
    """Orders that two persons agreed to, for a partner's word alone holds nothing."""


class Between:
    """The line between two countries, as their staff see it."""

    def __init__(self, one: Country, other: Country, *, say: Callable[[str], None]) -> None:
        self._countries = (one, other)
        self._say = say
        self._ways: list[Way] = []
        self._officers: list[Officers] = []
        self._stop = threading.Event()
        self.view = BetweenView(ways=[])

    def close_doors(self) -> None:
        """Before the nations start: nobody listens next door yet."""
        for country in self._countries:
            forget_door(country.folder)

    def begin(self, stop: threading.Event) -> None:
        """Both nations hear of each other, both centres agree, officers begin to work."""
        one, other = self._countries
        token = secrets.token_urlsafe()
        for country, neighbour in ((one, other), (other, one)):
            save_door(country.folder, Door(url=neighbour.nation_url, token=token))
        if stop.is_set():
            return
        self._say("The centres agree: terms approved by two persons each, keys compared")
        sides = [
            Side(country=c.code, code=c.centre_code, url=c.url, data=c.data)
            for c in self._countries
        ]
        staff = agree(sides[0], sides[1])
        let_banks_read(sides[0], sides[1], staff)
        self._ways = [
            Way(sides[0], staff[0], sides[1], staff[1]),
            Way(sides[1], staff[1], sides[0], staff[0]),
        ]
        for side, people in zip(sides, staff, strict=True):
            officers = Officers(side, people, stop=self._stop)
            officers.start()
            self._officers.append(officers)

    def look(self) -> None:
        """The figures now; where a centre does not answer, as they were."""
        try:
            ways = [way.look() for way in self._ways]
        except OpenAOCError:
            return
        approved = sum(one.approved for one in self._officers)
        self.view = BetweenView(ways=ways, approved=approved)

    def end(self) -> None:
        """Officers go home."""
        self._stop.set()
        for officers in self._officers:
            officers.join()


class Way:
    """One direction: remembers what pages do not show any more."""

    def __init__(self, sender: Side, people: Staff, receiver: Side, their_people: Staff) -> None:
        self._sender = sender
        self._receiver = receiver
        self._here = CentreClient(sender.url, people.supervisor)
        self._there = CentreClient(receiver.url, their_people.supervisor)
        self._sent: dict[str, SentRequest] = {}
        self._received: dict[str, ReceivedRequest] = {}
        self._objects: Counter[str] = Counter()
        self._fields: dict[str, set[str]] = {}
        self._last = 0
        self._receipts = 0
        self._told = 0
        self._took_s: dict[str, float] = {}

    def look(self) -> OneWay:
        """What there is now. Raises FromCentre, Unavailable."""
        here, there = newest_requests(self._here), newest_requests(self._there)
        mine = {r.id: r for r in here.sent if r.partner == self._receiver.code}
        theirs = {r.id: r for r in there.received if r.partner == self._sender.code}
        if len(self._sent) < KNOWN_MAX:
            self._sent |= mine
            self._received |= theirs
        self._count_released()
        self._count_told()
        self._time_holds()
        return self._figures()

    def _figures(self) -> OneWay:
        standing = [r for r in self._sent.values() if r.state is not SentState.WITHDRAWN]
        said = [r.amounts for r in standing if r.amounts is not None]
        times = sorted(self._took_s.values())
        return OneWay(
            sender=self._sender.code,
            receiver=self._receiver.code,
            waiting=sum(r.state is SentState.WAITING for r in standing),
            asked=sum(r.state is not SentState.WAITING for r in standing),
            answered=sum(r.state is SentState.ANSWERED for r in standing),
            agree=sum(r.agrees is True for r in standing),
            asked_minor=sum(r.exit.amount_minor for r in standing),
            amounts=Amounts(
                **{
                    name: sum(getattr(one, name) for one in said)
                    for name in Amounts.__struct_fields__
                }
            ),
            received=dict(Counter(r.state.value for r in self._received.values())),
            released=[
                ReleasedCount(kind=kind, objects=count, fields=sorted(self._fields[kind]))
                for kind, count in sorted(self._objects.items())
            ],
            told=self._told,
            holds=len(times),
            hold_p50_s=round(statistics.median(times), 1) if times else None,
            hold_max_s=round(times[-1], 1) if times else None,
        )

    def _count_released(self) -> None:
        """What was entered in the ledger of releases since the last look."""
        cursor: str | None = None
        newest = self._last
        for _ in range(PAGES_MAX):
            said = self._here.get(
                "/v1/exchange/releases", partner=self._receiver.code, cursor=cursor
            )
            page = msgspec.convert(said, ReleasedPage, strict=False)
            fresh = [row for row in page.releases if row.sequence > self._last]
            for row in fresh:
                self._objects[row.kind.value] += 1
                self._fields.setdefault(row.kind.value, set()).update(row.fields)
                newest = max(newest, row.sequence)
            cursor = page.cursor
            if cursor is None or len(fresh) < len(page.releases):
                break
        self._last = newest

    def _count_told(self) -> None:
        """Objects the other side read over TAXII, as it says itself."""
        said = self._there.get(
            "/v1/exchange/received", partner=self._sender.code, after=self._receipts
        )
        for one in msgspec.convert(said, ReceiptPage, strict=False).receipts:
            self._receipts = max(self._receipts, one.sequence)
            self._told += 0 if one.released else one.kept

    def _time_holds(self) -> None:
        """From the report here to the first amount blocked there."""
        fresh = [
            r
            for r in self._sent.values()
            if r.id not in self._took_s and r.amounts is not None and r.amounts.held_minor
        ]
        for request in fresh[:TIMED_AT_ONCE_MAX]:
            there = self._received.get(request.id)
            if there is None or there.case is None or there.state is not ReceivedState.OPENED:
                continue
            told_at = _reported_at(self._here, request.case)
            page = msgspec.convert(
                self._there.get("/v1/holds", case=there.case), OrderPage, strict=False
            )
            blocked = [
                o.answered_at for o in page.orders if o.applied_minor and o.answered_at is not None
            ]
            if blocked:
                self._took_s[request.id] = (min(blocked) - told_at).total_seconds()


class _Case(msgspec.Struct):
    opened_at: datetime


def _reported_at(client: CentreClient, case: str) -> datetime:
    return msgspec.convert(client.get(f"/v1/cases/{case}"), _Case, strict=False).opened_at
