"""Exchange, MISP: reads the events of a partner's feed that are new or changed.

Each event is taken in one transaction with its time, so none is missed or taken twice, and what
it held is remembered. Nothing is read without an agreement in force; what is read is its sender's
word.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec
import structlog

from openaoc.exchange.agreeing import Agreements
from openaoc.exchange.misp.client import MispClient, NotThere
from openaoc.exchange.misp.feed import MANIFEST, MANIFEST_BYTES_MAX, events_in
from openaoc.exchange.misp.reading import Reading, read_event
from openaoc.exchange.model import NoAgreement
from openaoc.exchange.objects import ReleasedObject
from openaoc.exchange.receiving import RECEIVED_AT_ONCE_MAX, Receiver
from openaoc.exchange.stix.model import Lost
from openaoc.exchange.taxii import feed_store, store
from openaoc.exchange.taxii.client import NotAnswered, RemoteList, Server
from openaoc.exchange.taxii.forgotten import AGAIN
from openaoc.exchange.taxii.handing import UNMARKED, record_batch
from openaoc.exchange.taxii.model import Collection, Feed
from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.clock import from_us
from openaoc.kernel.errors import BadInput, Conflict, NotFound, OpenAOCError, Refused
from openaoc.storage.unit_of_work import Transaction, UnitOfWork, retrying

EVENTS_AT_ONCE_MAX: Final = 50
ASKED_AT_ONCE_MAX: Final = 200
LISTED_AT_ONCE_MAX: Final = 10
EVENT_BYTES_MAX: Final = 32 << 20
EVENT_OBJECTS_MAX: Final = 20_000
LATEST_SECONDS: Final = 4_102_444_800
"""The year 2100: a time beyond is no time."""
TYPE: Final = "misp-event"
"""What a row that remembers an event is called; its content went to the receiver."""
_EVENT: Final = b"{}"
_OBJECT: Final = msgspec.json.Decoder(ReleasedObject)
_ITS_OWN: Final = (BadInput, Conflict, NotFound, Refused)
"""Errors that come from an event and will come again; others pass."""
_PURPOSE: Final = "read partners' MISP feeds"
_LOG = structlog.get_logger(__name__)


class EventFeeds:
    """Reads events. One instance per centre."""

    def __init__(
        self,
        *,
        uow: UnitOfWork,
        agreements: Agreements,
        client: MispClient,
        receiver: Receiver,
        country: str,
    ) -> None:
        """`country`: of numbers that name none."""
        self._uow = uow
        self._agreements = agreements
        self._client = client
        self._receiver = receiver
        self._country = country
        self._listings: dict[str, list[str]] = {}
        """By feed that is compared, its events as they were when that began."""

    def poll(self, feed: Feed, server: Server) -> bool:
        """Take what is new, the newest first, as many as at once; whether there is more.

        Raises NotAnswered, NotPermitted.
        """
        if not self._in_force(feed.collection):
            return False
        due = self._due(feed.collection, self._events(server))
        taken = missing = 0
        for event, at in due[:ASKED_AT_ONCE_MAX]:
            try:
                data = self._client.fetch(server, f"{event}.json", bytes_max=EVENT_BYTES_MAX)
            except NotThere:
                missing += 1
                continue
            if not self._kept(feed.collection, event, at, data):
                return False
            taken += 1
            if taken == EVENTS_AT_ONCE_MAX:
                return len(due) > taken + missing
        if missing:
            raise NotAnswered(f"{missing} events of its manifest are not there")
        return len(due) > taken

    def listed(
        self, feed: Feed, server: Server, *, added_after: datetime | None, following: str | None
    ) -> RemoteList:
        """The objects of the next events. Raises NotAnswered, NotPermitted.

        No event itself is among them: each is read anew afterwards.
        """
        assert added_after is None, "events are followed by number"
        if following is None:
            self._listings[feed.collection] = sorted(self._events(server))
        events = self._listings[feed.collection]
        left = [one for one in events if following is None or one > following]
        part, ids = left[:LISTED_AT_ONCE_MAX], list[str]()
        for event in part:
            try:
                data = self._client.fetch(server, f"{event}.json", bytes_max=EVENT_BYTES_MAX)
                read = read_event(data, region=self._country, otherwise=UNMARKED)
            except (NotThere, BadInput):
                # It holds nothing now; once it does, it is read as any new one.
                continue
            ids += [one.id for one in read.objects]
        more = len(left) > len(part)
        if not more:
            del self._listings[feed.collection]
        return RemoteList(ids=ids, more=more, next=part[-1] if more else None, last=None)

    def let_go(self, tx: Transaction, one: Collection, bodies: Sequence[bytes]) -> int:
        """The receiver hears at once that these are revoked. Raises NoAgreement."""
        agreement = self._agreements.in_force(tx, one.partner)
        if agreement is None:
            raise NoAgreement
        objects = [_OBJECT.decode(body) for body in bodies if body != _EVENT]
        for start in range(0, len(objects), RECEIVED_AT_ONCE_MAX):
            batch = objects[start : start + RECEIVED_AT_ONCE_MAX]
            self._receiver.receive(tx, agreement=agreement, objects=batch)
        return len(objects)

    def _events(self, server: Server) -> dict[str, datetime]:
        """The events of the feed, and when each last changed."""
        try:
            found = events_in(self._client.fetch(server, MANIFEST, bytes_max=MANIFEST_BYTES_MAX))
        except (BadInput, NotThere) as error:
            raise NotAnswered(f"no manifest: {error.detail}"[:200]) from error
        return {
            event: from_us(min(max(seconds, 0), LATEST_SECONDS) * 1_000_000)
            for event, seconds in found.items()
        }

    def _due(self, collection_id: str, events: dict[str, datetime]) -> list[tuple[str, datetime]]:
        """Those that were not taken as they are now, the newest first."""
        with self._uow.read(SYSTEM, purpose=_PURPOSE) as tx:
            there = store.newest(tx.connection, collection_id, [_row_id(one) for one in events])
        known = {number: version for number, (version, _) in there.items()}
        due = [one for one in events.items() if known.get(_row_id(one[0])) != one[1]]
        return sorted(due, key=lambda one: (one[1], one[0]), reverse=True)

    def _kept(self, collection_id: str, event: str, at: datetime, data: bytes) -> bool:
        """Take the event; False when the agreement ended meanwhile."""
        refused = ""
        try:
            read = read_event(data, region=self._country, otherwise=UNMARKED)
            if len(read.objects) > EVENT_OBJECTS_MAX:
                refused = f"more than {EVENT_OBJECTS_MAX} objects"
        except BadInput as error:
            read, refused = Reading(objects=(), lost=(), lost_count=0), error.detail
        take = functools.partial(self._take, collection_id, event, at, read)
        try:
            return retrying(functools.partial(take, refused=refused))
        except _ITS_OWN as error:
            # One event must not keep the others waiting: it is reported as not kept.
            _LOG.warning("exchange.feed.event_refused", code=error.code)
            return retrying(functools.partial(take, refused=_words(error)))

    def _take(
        self, collection_id: str, event: str, at: datetime, read: Reading, *, refused: str
    ) -> bool:
        with self._uow.begin(SYSTEM, purpose=_PURPOSE) as tx:
            one = store.find_collection(tx.connection, collection_id, lock=True)
            feed = feed_store.find_feed(tx.connection, collection_id, lock=True)
            agreement = None if one is None else self._agreements.in_force(tx, one.partner)
            if one is None or feed is None or agreement is None:
                return False
            lost = [Lost(path=f"{event}: {part.path}", reason=part.reason) for part in read.lost]
            lost = [Lost(path=event, reason=refused)] if refused else lost
            objects = () if refused else read.objects
            gone: set[str] = set()
            for start in range(0, len(objects), RECEIVED_AT_ONCE_MAX):
                batch = objects[start : start + RECEIVED_AT_ONCE_MAX]
                not_taken = self._receiver.receive(tx, agreement=agreement, objects=batch)
                gone |= {part.path for part in not_taken}
                lost += [Lost(path=part.path, reason=part.reason) for part in not_taken]
            store.delete_origins(tx.connection, one.id, [event])
            row = store.NewRow(
                object_id=_row_id(event), version=at, type=TYPE, body=_EVENT, origin=event
            )
            kept = [part for part in objects if part.id not in gone]
            rows = [row, *map(_remembered, kept)]
            _, last = store.add_rows(tx.connection, one, rows, now=tx.now)
            after = msgspec.structs.replace(one, last_added=last, handed=last)
            store.update_collection(tx.connection, after, "last_added", "handed")
            if feed.added_after != AGAIN:
                reached = max(at, feed.added_after or at)
                feed = msgspec.structs.replace(feed, added_after=reached)
                feed_store.update_feed(tx.connection, feed)
            record_batch(tx, one, objects=len(read.objects), kept=len(kept), lost=lost)
            return True

    def _in_force(self, collection_id: str) -> bool:
        with self._uow.read(SYSTEM, purpose=_PURPOSE) as tx:
            one = store.find_collection(tx.connection, collection_id)
            return one is not None and self._agreements.in_force(tx, one.partner) is not None


def _row_id(event: str) -> str:
    return f"{TYPE}--{event}"


def _remembered(one: ReleasedObject) -> store.NewRow:
    """The row that says which object came, in which version, and nothing of what it said."""
    gone = msgspec.structs.replace(one, fields={}, revoked=True)
    return store.NewRow(
        object_id=one.id, version=one.modified, type=one.kind.value, body=msgspec.json.encode(gone)
    )


def _words(error: OpenAOCError) -> str:
    return f"{error.title}: {error.detail}"[:200]
