"""Exchange: reads partners' collections and MISP feeds on a schedule, writes ours into theirs.

Each page is kept with how far one got in one transaction; what comes twice is known by its id and
version. Objects wait in the feed's collection for their receiver. Nothing is read or written
without an agreement in force.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Annotated, Final, Literal

import msgspec
import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Meta

from openaoc.exchange.agreeing import Agreements
from openaoc.exchange.misp.client import check_secrecy
from openaoc.exchange.misp.feed import MANIFEST
from openaoc.exchange.misp.polling import EventFeeds
from openaoc.exchange.stix.model import Lost, Profile
from openaoc.exchange.stix.reading import LOST_MAX
from openaoc.exchange.taxii import feed_store, store
from openaoc.exchange.taxii.client import (
    NotAnswered,
    RemotePage,
    Server,
    TaxiiClient,
)
from openaoc.exchange.taxii.forgotten import AGAIN, Forgotten, Listing, Objects
from openaoc.exchange.taxii.model import (
    TITLE_CHARACTERS_MAX,
    Collection,
    CollectionKind,
    Feed,
    Receipt,
)
from openaoc.exchange.taxii.query import Query
from openaoc.exchange.taxii.service import new_collection, new_row
from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.errors import BadInput, Corrupt, NotFound, OpenAOCError
from openaoc.parties.model import check_endpoint
from openaoc.parties.permissions import Permission, require
from openaoc.storage.keyring import Keyring
from openaoc.storage.unit_of_work import Transaction, UnitOfWork, retrying

FEEDS_MAX: Final = 200
FEEDS_AT_ONCE_MAX: Final = 10
PAGES_AT_ONCE_MAX: Final = 20
OVERLAP: Final = timedelta(seconds=1)
"""Servers that give many objects one moment lose some behind a cursor: so much is read again."""
PAUSE_MAX: Final = timedelta(hours=6)
EVERY_S_MIN: Final = 10
SENT_AT_ONCE_MAX: Final = 500
SECRET_LABEL: Final = "openaoc feed secrets v1"  # noqa: S105 - names the purpose, is not a secret
USERNAME: Final = "openaoc"
"""Who we are at a TAXII server that was not told otherwise."""
_NONCE_BYTES: Final = 12
_PURPOSE: Final = "read partners' collections"
_LOG = structlog.get_logger(__name__)


class NoSuchFeed(NotFound):
    """There is no such feed."""


class NewFeed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A collection of a partner's server to read, or with `publish` to write to; or its MISP feed.

    `url`: of the API root; of a MISP feed: where its manifest lies, and no collection. `secret`:
    the password or key the partner gave us. `username`: with it as in Basic; of a MISP feed
    without one the secret is the whole of the `Authorization` header.
    """

    partner: Annotated[str, Meta(min_length=1, max_length=32)]
    url: Annotated[str, Meta(max_length=500)]
    form: Literal["taxii", "misp"] = "taxii"
    collection: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{0,64}\Z")] = ""
    username: Annotated[str, Meta(pattern=r"^[^:\x00-\x1f]{0,200}\Z")] | None = None
    secret: Annotated[str, Meta(max_length=1_000)]
    publish: bool = False
    every_s: Annotated[int, Meta(ge=EVERY_S_MIN, le=86_400)] = 60


class FeedView(msgspec.Struct, frozen=True, kw_only=True):
    """A feed as people see it: without its secret."""

    id: str
    partner: str
    form: Literal["taxii", "misp"]
    url: str
    collection: str
    publish: bool
    every_s: int
    added_after: datetime | None
    next_at: datetime
    failures: int
    last_error: str | None


class FeedList(msgspec.Struct, frozen=True, kw_only=True):
    """Every feed."""

    feeds: list[FeedView]


class FeedMark(msgspec.Struct, frozen=True, kw_only=True):
    """A feed in the journal: no secret."""

    partner: str
    url: str
    remote: str
    publish: bool


class Polling:
    """Reads and writes feeds. One instance per centre."""

    def __init__(
        self,
        *,
        uow: UnitOfWork,
        agreements: Agreements,
        client: TaxiiClient,
        events: EventFeeds,
        keys: Keyring,
    ) -> None:
        self._uow = uow
        self._events = events
        self._agreements = agreements
        self._client = client
        self._keys = keys
        self._objects = Objects(client)
        self._forgotten = Forgotten(uow=uow)

    # For the centre's people

    def add(self, tx: Transaction, new: NewFeed) -> FeedView:
        """A new feed, read at once. Raises NoSuchPartner, BadInput."""
        require(tx.actor, Permission.PARTNER_MANAGE)
        partner = self._agreements.partners.found(tx, new.partner, lock=True)
        url = check_endpoint(new.url)
        if url is None or len(feed_store.list_feeds(tx.connection)) >= FEEDS_MAX:
            raise BadInput(f"an address, and at most {FEEDS_MAX} feeds", where="url")
        remote, username = _remote(new, url), new.username
        if username is None:
            username = "" if new.form == "misp" else USERNAME
        one = new_collection(
            partner=partner.code,
            kind=CollectionKind.FEED,
            title=f"{url} {remote}"[:TITLE_CHARACTERS_MAX],
            profile=Profile.CORE,
            now=tx.now,
        )
        store.add_collection(tx.connection, one)
        feed = Feed(
            collection=one.id,
            url=url,
            remote=remote,
            username=username,
            secret=self._sealed(one.id, new.secret),
            publish=new.publish,
            every_s=new.every_s,
            added_after=None,
            next_at=tx.now,
            failures=0,
            last_error=None,
        )
        feed_store.add_feed(tx.connection, feed)
        mark = FeedMark(partner=partner.code, url=url, remote=remote, publish=new.publish)
        tx.journal(action="exchange.feed.added", subject=one.id, after=mark)
        return _view(feed, partner.code)

    def list(self, tx: Transaction) -> FeedList:
        """Every feed, by when it is due."""
        require(tx.actor, Permission.EXCHANGE_READ)
        kinds = (CollectionKind.FEED,)
        owners = {one.id: one.partner for one in store.list_collections(tx.connection, kinds=kinds)}
        found = feed_store.list_feeds(tx.connection)
        return FeedList(feeds=[_view(one, owners[one.collection]) for one in found])

    def remove(self, tx: Transaction, feed_id: str) -> None:
        """It is read no more; what was read stays. Raises NoSuchFeed."""
        require(tx.actor, Permission.PARTNER_MANAGE)
        if not feed_store.delete_feed(tx.connection, feed_id):
            raise NoSuchFeed
        tx.journal(action="exchange.feed.removed", subject=feed_id)

    def begin_again(self, tx: Transaction, partner: str) -> None:
        """The partner was restored from a backup: write into its collections from the beginning.

        What it still has it knows again by id and version. Of what was read from its collections
        and feeds, it is asked what it still has; the rest is taken back.
        """
        kinds = (CollectionKind.FEED,)
        for one in store.list_collections(tx.connection, partner=partner, kinds=kinds):
            feed = feed_store.find_feed(tx.connection, one.id, lock=True)
            if feed is None:
                continue
            if feed.publish:
                again = msgspec.structs.replace(feed, added_after=None, next_at=tx.now)
                feed_store.update_feed(tx.connection, again)
            else:
                self._forgotten.begin(tx, feed)

    # On schedule

    def poll_due(self) -> int:
        """Read from and write to every feed whose time has come; how many feeds."""
        with self._uow.read(SYSTEM, purpose=_PURPOSE) as tx:
            due = feed_store.due_feeds(tx.connection, now=tx.now, limit=FEEDS_AT_ONCE_MAX)
        for feed in due:
            try:
                again = self._publish(feed) if feed.publish else self._poll(feed)
            except OpenAOCError as error:
                _LOG.warning("exchange.feed.failed", feed=feed.collection, code=error.code)
                self._after(feed.collection, failed=f"{error.title}: {error.detail}"[:200])
            else:
                self._after(feed.collection, again=again)
        return len(due)

    def _poll(self, feed: Feed) -> bool:
        """Read pages until there are no more, or as many as at once; whether there are more."""
        if feed.added_after == AGAIN:
            if not self._in_force(feed):
                return False
            listing: Listing = self._events if feed.remote == MANIFEST else self._objects
            self._forgotten.compare(feed, self._server(feed), listing)
            return True
        if feed.remote == MANIFEST:
            return self._events.poll(feed, self._server(feed))
        after = None if feed.added_after is None else feed.added_after - OVERLAP
        following: str | None = None
        for _ in range(PAGES_AT_ONCE_MAX):
            if not self._in_force(feed):
                return False
            page = self._client.page(
                self._server(feed), feed.remote, added_after=after, following=following
            )
            fresh = self._keep(feed.collection, page)
            if not page.more:
                return False
            if page.next is not None and page.next != following:
                following = page.next
            elif page.last is not None and (after is None or page.last > after):
                after, following = page.last, None
            elif not fresh:
                raise NotAnswered("its pages do not go on")
        return True

    def _keep(self, collection_id: str, page: RemotePage) -> int:
        """Keep what is new of a page, and how far it goes; how many objects were new."""

        def once() -> int:
            with self._uow.begin(SYSTEM, purpose=_PURPOSE) as tx:
                one = store.find_collection(tx.connection, collection_id, lock=True)
                feed = feed_store.find_feed(tx.connection, collection_id, lock=True)
                if one is None or feed is None:
                    return 0
                rows, lost = _rows(tx, one, page)
                added, last = store.add_rows(tx.connection, one, rows, now=tx.now)
                after = msgspec.structs.replace(one, last_added=last)
                store.update_collection(tx.connection, after, "last_added")
                if page.last is not None and feed.added_after != AGAIN:
                    # A clock ahead of ours may be set back: what is added then is not to be missed.
                    last_there = min(page.last, tx.now)
                    reached = max(last_there, feed.added_after or last_there)
                    feed = msgspec.structs.replace(feed, added_after=reached)
                    feed_store.update_feed(tx.connection, feed)
                if lost:
                    _report(tx, one, lost)
                return added

        return retrying(once)

    def _publish(self, feed: Feed) -> bool:
        """Send one page of what the partner may have; whether there is more."""
        with self._uow.read(SYSTEM, purpose=_PURPOSE) as tx:
            one = store.find_collection(tx.connection, feed.collection)
            agreement = None if one is None else self._agreements.in_force(tx, one.partner)
            if one is None or agreement is None:
                return False
            kinds = (CollectionKind.RELEASED,)
            released = [
                found
                for found in store.list_collections(tx.connection, partner=one.partner, kinds=kinds)
                if found.agreement == agreement.id
            ]
            if not released:
                return False
            query = Query(after=feed.added_after, limit=SENT_AT_ONCE_MAX)
            page, more = store.read_page(tx.connection, released[0].id, query)
        if page.last is None:
            return False
        status = self._client.add(
            self._server(feed), feed.remote, b'{"objects":[' + page.body + b"]}"
        )
        self._sent(feed, page.last, refused=status.failure_count)
        return more

    def _sent(self, sent: Feed, last: datetime, *, refused: int) -> None:
        with self._uow.begin(SYSTEM, purpose=_PURPOSE) as tx:
            feed = feed_store.find_feed(tx.connection, sent.collection, lock=True)
            one = store.find_collection(tx.connection, sent.collection)
            # Told meanwhile to begin again, it does: the partner forgot what was sent.
            if feed is None or one is None or feed.added_after != sent.added_after:
                return
            feed_store.update_feed(tx.connection, msgspec.structs.replace(feed, added_after=last))
            if refused:
                reason = f"{refused} objects were refused by the partner's server"
                _report(tx, one, [Lost(path="$", reason=reason)])

    def _after(self, collection_id: str, *, again: bool = False, failed: str | None = None) -> None:
        """When the feed is due next: at once for more, later after each failure."""
        with self._uow.begin(SYSTEM, purpose=_PURPOSE) as tx:
            feed = feed_store.find_feed(tx.connection, collection_id, lock=True)
            if feed is None:
                return
            failures = 0 if failed is None else feed.failures + 1
            pause = timedelta(seconds=0 if again else feed.every_s)
            if failures:
                pause = min(timedelta(seconds=feed.every_s * 2 ** min(failures, 12)), PAUSE_MAX)
            feed_store.update_feed(
                tx.connection,
                msgspec.structs.replace(
                    feed, failures=failures, last_error=failed, next_at=tx.now + pause
                ),
            )

    def _in_force(self, feed: Feed) -> bool:
        with self._uow.read(SYSTEM, purpose=_PURPOSE) as tx:
            one = store.find_collection(tx.connection, feed.collection)
            return one is not None and self._agreements.in_force(tx, one.partner) is not None

    def _server(self, feed: Feed) -> Server:
        secret = self._opened(feed.collection, feed.secret)
        return Server(url=feed.url, username=feed.username, secret=secret)

    def _cipher(self) -> AESGCM:
        return AESGCM(self._keys.derived(SECRET_LABEL))

    def _sealed(self, collection_id: str, secret: str) -> bytes:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._cipher().encrypt(nonce, secret.encode(), collection_id.encode())
        return nonce + sealed

    def _opened(self, collection_id: str, sealed: bytes) -> str:
        try:
            nonce, rest = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
            return self._cipher().decrypt(nonce, rest, collection_id.encode()).decode()
        except InvalidTag as error:
            raise Corrupt("a feed's secret was changed", where=collection_id) from error


def _remote(new: NewFeed, url: str) -> str:
    """What is read there: a collection's id, or MISP's manifest, which is never one."""
    if new.form == "taxii":
        if not new.collection:
            raise BadInput("which collection", where="collection")
        return new.collection
    if new.collection or new.publish:
        raise BadInput("a MISP feed has no collections, and is only read", where="collection")
    check_secrecy(url)
    return MANIFEST


def _rows(
    tx: Transaction, one: Collection, page: RemotePage
) -> tuple[list[store.NewRow], list[Lost]]:
    """What of the page is new and whole, and what is not."""
    found: list[store.NewRow] = []
    versionless: list[str] = []
    lost: list[Lost] = []
    for raw in page.objects:
        try:
            row, versioned = new_row(bytes(raw), now=tx.now)
        except BadInput as error:
            lost.append(Lost(path=error.where, reason=error.detail))
            continue
        found.append(row)
        if not versioned:
            versionless.append(row.object_id)
    there = store.newest(tx.connection, one.id, versionless) if versionless else {}
    bodies = {row.body for row in found}
    same = {number for number, (_, body) in there.items() if body in bodies}
    return [row for row in found if row.object_id not in same], lost


def _report(tx: Transaction, one: Collection, lost: list[Lost]) -> None:
    feed_store.add_receipt(
        tx.connection,
        Receipt(
            sequence=0,
            collection=one.id,
            partner=one.partner,
            at=tx.now,
            objects=len(lost),
            kept=0,
            lost=len(lost),
            report=tuple(lost[:LOST_MAX]),
        ),
    )


def _view(one: Feed, partner: str) -> FeedView:
    return FeedView(
        id=one.collection,
        partner=partner,
        form="misp" if one.remote == MANIFEST else "taxii",
        url=one.url,
        collection="" if one.remote == MANIFEST else one.remote,
        publish=one.publish,
        every_s=one.every_s,
        added_after=None if one.added_after == AGAIN else one.added_after,
        next_at=one.next_at,
        failures=one.failures,
        last_error=one.last_error,
    )
