"""Exchange, feeds: what a partner that was restored from a backup does not know of any more.

Reads the list of what its server still has and compares what came from there. What it has not,
nobody there can correct or withdraw: it is taken back here. Touches no other source's word.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Final, Protocol

import msgspec
import structlog

from openaoc.exchange.stix.model import Lost
from openaoc.exchange.taxii import feed_store, store
from openaoc.exchange.taxii.client import NotAnswered, RemoteList, Server, TaxiiClient
from openaoc.exchange.taxii.handing import record_batch
from openaoc.exchange.taxii.model import Collection, Feed
from openaoc.exchange.taxii.service import PostMark, deleted_by, last_word
from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.clock import EPOCH
from openaoc.kernel.errors import OpenAOCError
from openaoc.storage.unit_of_work import Transaction, UnitOfWork, retrying

AGAIN: Final = EPOCH
"""`added_after` of a feed whose partner was restored: what came of it is compared, then all read
again."""
PAGES_PER_RUN_MAX: Final = 20
"""Pages of the list, and of ours, before other feeds have their turn."""
COMPARED_AT_ONCE_MAX: Final = 1_000
KNOWN_MAX: Final = 500_000
"""Objects that are compared; a longer list is not, and what came in says so."""
TOO_LONG: Final = Lost(
    path="$", reason=f"restored: more than {KNOWN_MAX} objects, not compared with what came before"
)
_DIGEST_BYTES: Final = 16
_PURPOSE: Final = "compare with a restored partner"
_LOG = structlog.get_logger(__name__)


class Listing(Protocol):
    """One form of feed: who says what its server still has, and takes back the rest."""

    def listed(
        self, feed: Feed, server: Server, *, added_after: datetime | None, following: str | None
    ) -> RemoteList:
        """One page of the ids that are there. Raises NotAnswered, NotPermitted."""
        ...

    def let_go(self, tx: Transaction, one: Collection, bodies: Sequence[bytes]) -> int:
        """Their receiver hears that these rows are revoked, each in the version it had; how many.

        Said again by the partner, one stands again.
        """
        ...


class Objects:
    """TAXII's form: the manifest, and a last word that waits beside the collection."""

    def __init__(self, client: TaxiiClient) -> None:
        self._client = client

    def listed(
        self, feed: Feed, server: Server, *, added_after: datetime | None, following: str | None
    ) -> RemoteList:
        """A page of the manifest."""
        return self._client.listed(
            server, feed.remote, added_after=added_after, following=following
        )

    def let_go(self, tx: Transaction, one: Collection, bodies: Sequence[bytes]) -> int:
        """A row each in the collection of last words."""
        words = (last_word(body, now=tx.now, same_version=True) for body in bodies)
        rows = [row for row in words if row is not None]
        hidden = deleted_by(tx, one.partner)
        added, last = store.add_rows(tx.connection, hidden, rows, now=tx.now)
        after = msgspec.structs.replace(hidden, last_added=last)
        store.update_collection(tx.connection, after, "last_added")
        return added


class _Place:
    """How far one comparison came; a restart begins anew."""

    def __init__(self) -> None:
        self.known: set[bytes] = set()
        self.whole = False
        self.after: datetime | None = None
        self.following: str | None = None
        self.compared = EPOCH

    def saw(self, page: RemoteList) -> None:
        """Note what is there, and where the list goes on. Raises NotAnswered where it does not."""
        self.known.update(_digest(one) for one in page.ids)
        self.whole = not page.more
        if self.whole:
            return
        if page.next is not None and page.next != self.following:
            self.following = page.next
        elif page.last is not None and (self.after is None or page.last > self.after):
            self.after, self.following = page.last, None
        else:
            raise NotAnswered("its pages do not go on")


class Forgotten:
    """Compares feeds with their servers. One instance per centre."""

    def __init__(self, *, uow: UnitOfWork) -> None:
        self._uow = uow
        self._places: dict[str, _Place] = {}

    def begin(self, tx: Transaction, feed: Feed) -> None:
        """Compare it from the beginning; the feed is locked by the caller."""
        self._places.pop(feed.collection, None)
        again = msgspec.structs.replace(feed, added_after=AGAIN, next_at=tx.now)
        feed_store.update_feed(tx.connection, again)

    def compare(self, feed: Feed, server: Server, listing: Listing) -> None:
        """One bounded part of it; after the last the feed is read from its beginning.

        Raises NotAnswered, NotPermitted: the list begins anew, and nothing is concluded from it.
        """
        place = self._places.setdefault(feed.collection, _Place())
        for _ in range(PAGES_PER_RUN_MAX):
            if len(place.known) > KNOWN_MAX:
                self._done(feed.collection, place, lost=[TOO_LONG])
                return
            if not place.whole:
                self._read(feed, server, place, listing)
            elif not self._compared(feed.collection, place, listing):
                self._done(feed.collection, place)
                return

    def _read(self, feed: Feed, server: Server, place: _Place, listing: Listing) -> None:
        try:
            page = listing.listed(feed, server, added_after=place.after, following=place.following)
            place.saw(page)
        except OpenAOCError:
            self._places.pop(feed.collection, None)
            raise

    def _compared(self, collection_id: str, place: _Place, listing: Listing) -> bool:
        """Take back what is not known of the next of ours; whether there were any."""
        with self._uow.read(SYSTEM, purpose=_PURPOSE) as tx:
            there = store.last_after(
                tx.connection, collection_id, after=place.compared, limit=COMPARED_AT_ONCE_MAX
            )
        gone = [number for number, _ in there if _digest(number) not in place.known]
        if gone:
            retrying(functools.partial(self._take_back, collection_id, gone, listing))
        if there:
            place.compared = there[-1][1]
        return bool(there)

    def _done(self, collection_id: str, place: _Place, *, lost: Sequence[Lost] = ()) -> None:
        with self._uow.begin(SYSTEM, purpose=_PURPOSE) as tx:
            feed = feed_store.find_feed(tx.connection, collection_id, lock=True)
            # Restored once more meanwhile: another comparison is due.
            if feed is None or self._places.get(collection_id) is not place:
                return
            feed_store.update_feed(tx.connection, msgspec.structs.replace(feed, added_after=None))
            one = store.find_collection(tx.connection, collection_id)
            if lost and one is not None:
                record_batch(tx, one, objects=0, kept=0, lost=lost)
            del self._places[collection_id]

    def _take_back(self, collection_id: str, ids: Sequence[str], listing: Listing) -> None:
        """Remove these from the feed's collection; their receiver hears that they are revoked."""
        with self._uow.begin(SYSTEM, purpose=_PURPOSE) as tx:
            tx.lock(f"exchange.handing.{collection_id}")
            one = store.find_collection(tx.connection, collection_id, lock=True)
            if one is None:
                return
            gone = store.take_out(tx.connection, one.id, ids)
            added = listing.let_go(tx, one, gone)
            mark = PostMark(collection=one.id, objects=len(ids), added=added, refused=0)
            tx.journal(action="exchange.objects.forgotten", subject=one.partner, after=mark)
        _LOG.warning("exchange.feed.forgotten", feed=collection_id, objects=len(ids))


def _digest(number: str) -> bytes:
    return blake2b(number.encode(), digest_size=_DIGEST_BYTES).digest()
