"""Exchange, TAXII 2.1: the server's verbs: what a partner may list, read, write and delete.

A partner sees its own collections while its agreement is in force, and nothing of anybody else:
what is not there and what is another's get the same answer.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import msgspec

from openaoc.exchange.agreeing import Agreements
from openaoc.exchange.agreement import Agreement
from openaoc.exchange.stix.model import DomainObject, MarkingDefinition, Profile
from openaoc.exchange.stix.reading import NotKept, check_object
from openaoc.exchange.taxii import store
from openaoc.exchange.taxii.model import (
    ENVELOPE_OBJECTS_MAX,
    FORGOTTEN_AT_ONCE_MAX,
    POSTED_PER_DAY_MAX,
    RECEIVED_KEPT_DAYS,
    STATUS_KEPT_DAYS,
    STIX_TYPE,
    TITLE_CHARACTERS_MAX,
    Collection,
    CollectionKind,
    Collections,
    CollectionView,
    Manifest,
    NoSuchCollection,
    NoSuchStatus,
    NoSuchStored,
    NotWritable,
    Page,
    Status,
    StatusDetail,
    Unprocessable,
    Versions,
    cursor_text,
    taxii_time,
)
from openaoc.exchange.taxii.query import Query
from openaoc.kernel.clock import EPOCH, parse_time
from openaoc.kernel.errors import BadInput, Busy, Refused, TooLarge
from openaoc.kernel.randomness import random_bytes
from openaoc.parties.permissions import Permission, require
from openaoc.storage.unit_of_work import Transaction

_ENCODER: Final = msgspec.json.Encoder()
_SHOWN: Final = (CollectionKind.RELEASED, CollectionKind.INBOX)
_WORDS: Final = {
    CollectionKind.RELEASED: "What the agreement in force lets you have. Keep each object at most"
    " {days} days. Onward sharing: {onward}.",
    CollectionKind.INBOX: "What you send to this centre.",
}
DELETED: Final = "deleted by the partner"
FAILURE_CHARACTERS_MAX: Final = 300
FORGET_EVERY: Final = timedelta(minutes=10)


class _Envelope(msgspec.Struct, frozen=True):
    objects: list[msgspec.Raw] = []


_ENVELOPE: Final = msgspec.json.Decoder(_Envelope)


class CollectionMark(msgspec.Struct, frozen=True, kw_only=True):
    """A collection in the journal."""

    partner: str
    kind: str
    profile: str
    title: str


class PostMark(msgspec.Struct, frozen=True, kw_only=True):
    """What a partner wrote, in the journal: counts alone."""

    collection: str
    objects: int
    added: int
    refused: int


class Taxii:
    """The server's verbs. One instance per centre."""

    def __init__(self, agreements: Agreements) -> None:
        self._agreements = agreements
        self._wake: Callable[[], object] = lambda: None
        self._forgotten_at: datetime | None = None
        """When nothing was left to forget."""

    def wake_with(self, call: Callable[[], object]) -> None:
        """Call this after objects were written that somebody has to read."""
        self._wake = call

    # For the centre's people

    def open_for(self, tx: Transaction, partner: str, *, profile: Profile) -> list[Collection]:
        """The partner's two collections, made or set to another profile. Raises NoSuchPartner.

        A new profile writes everything anew.
        """
        require(tx.actor, Permission.PARTNER_MANAGE)
        found = self._agreements.partners.found(tx, partner, lock=True)
        there = {one.kind: one for one in store.list_collections(tx.connection, partner=found.code)}
        for kind in _SHOWN:
            one = there.get(kind)
            if one is None:
                title = f"{found.name}: {kind.value}"[:TITLE_CHARACTERS_MAX]
                one = new_collection(
                    partner=found.code, kind=kind, title=title, profile=profile, now=tx.now
                )
                store.add_collection(tx.connection, one)
            elif one.profile is not profile:
                one = msgspec.structs.replace(one, profile=profile, agreement=None, cursor=0)
                store.update_collection(tx.connection, one, "profile", "agreement", "cursor")
            else:
                continue
            mark = CollectionMark(
                partner=one.partner, kind=kind.value, profile=profile.value, title=one.title
            )
            tx.journal(action="exchange.collection.opened", subject=one.id, after=mark)
        tx.after_commit(self._wake)
        return store.list_collections(tx.connection, partner=found.code, kinds=_SHOWN)

    def forget_statuses(self, tx: Transaction) -> int:
        """Delete what nobody asks for any more; how many."""
        oldest = tx.now.replace(hour=0, minute=0, second=0, microsecond=0)
        before = oldest - timedelta(days=STATUS_KEPT_DAYS)
        return store.delete_statuses(tx.connection, before=before)

    def forget_received(self, tx: Transaction) -> int:
        """Delete what was handed on and is older than the days agreed on; how many rows.

        What was made of it stands by its own rules. Looks every FORGET_EVERY.
        """
        if self._forgotten_at is not None and tx.now - self._forgotten_at < FORGET_EVERY:
            return 0
        days = {one.partner: one.terms.retention_days for one in self._agreements.all_in_force(tx)}
        gone = 0
        kinds = (CollectionKind.INBOX, CollectionKind.FEED)
        for one in store.list_collections(tx.connection, kinds=kinds):
            kept = timedelta(days=days.get(one.partner, RECEIVED_KEPT_DAYS))
            until = min(one.handed, tx.now - kept)
            gone += store.forget(tx.connection, one.id, until=until, limit=FORGOTTEN_AT_ONCE_MAX)
        if not gone:
            self._forgotten_at = tx.now
        return gone

    # For partners

    def collections(self, tx: Transaction) -> Collections:
        """The partner's own collections; none without an agreement in force."""
        partner, agreement = self._partner(tx)
        if agreement is None:
            return Collections()
        found = store.list_collections(tx.connection, partner=partner, kinds=_SHOWN)
        return Collections(collections=[_view(one, agreement) for one in found])

    def collection(self, tx: Transaction, collection_id: str) -> CollectionView:
        """One of them. Raises NoSuchCollection, for another partner's too."""
        return _view(*self._own(tx, collection_id))

    def objects(self, tx: Transaction, collection_id: str, query: Query) -> Page:
        """A page of objects as an envelope. Raises NoSuchCollection, Busy while it is filled."""
        one = self._readable(tx, collection_id)
        page, more = store.read_page(tx.connection, one.id, query)
        return _enveloped(page, more=more)

    def object(self, tx: Transaction, collection_id: str, object_id: str, query: Query) -> Page:
        """The versions asked for of one object. Raises NoSuchStored when there is none of it."""
        one = self._readable(tx, collection_id)
        asked = msgspec.structs.replace(query, ids=(object_id,))
        page, more = store.read_page(tx.connection, one.id, asked)
        if page.first is None and not store.has_object(tx.connection, one.id, object_id):
            raise NoSuchStored
        return _enveloped(page, more=more)

    def manifest(self, tx: Transaction, collection_id: str, query: Query) -> Page:
        """A page of what there is, without the objects themselves."""
        one = self._readable(tx, collection_id)
        records, ends, more = store.read_manifest(tx.connection, one.id, query)
        following = cursor_text(ends.last) if more and ends.last is not None else None
        return _page(Manifest(more=more, next=following, objects=records), ends)

    def versions(self, tx: Transaction, collection_id: str, object_id: str, query: Query) -> Page:
        """A page of one object's versions. Raises NoSuchStored."""
        one = self._readable(tx, collection_id)
        asked = msgspec.structs.replace(query, ids=(object_id,), all=True)
        records, ends, more = store.read_manifest(tx.connection, one.id, asked)
        if not records and not store.has_object(tx.connection, one.id, object_id):
            raise NoSuchStored
        following = cursor_text(ends.last) if more and ends.last is not None else None
        named = [record.version for record in records]
        return _page(Versions(more=more, next=following, versions=named), ends)

    def add(self, tx: Transaction, collection_id: str, body: bytes) -> Status:
        """Keep the envelope's objects; what is wrong with one is in the status, the others stay.

        Raises NoSuchCollection, NotWritable, Unprocessable, Busy for more than a day's volume.
        """
        one = self._writable(tx, collection_id)
        raws = _objects_of(body)
        today = tx.now.replace(hour=0, minute=0, second=0, microsecond=0)
        posted = one.posted if one.posted_on == today else 0
        if posted + len(raws) > POSTED_PER_DAY_MAX:
            raise Busy(f"more than {POSTED_PER_DAY_MAX} objects in a day")
        rows, failures = _rows(tx, one, raws)
        added, last = store.add_rows(tx.connection, one, rows, now=tx.now)
        after = msgspec.structs.replace(
            one, last_added=last, posted_on=today, posted=posted + len(raws)
        )
        store.update_collection(tx.connection, after, "last_added", "posted_on", "posted")
        status = Status(
            id=str(uuid.UUID(bytes=random_bytes(16), version=4)),
            status="complete",
            request_timestamp=taxii_time(tx.now),
            total_count=len(raws),
            success_count=len(raws) - len(failures),
            failure_count=len(failures),
            pending_count=0,
            failures=failures,
        )
        store.add_status(
            tx.connection,
            status_id=status.id,
            partner=one.partner,
            at=tx.now,
            body=_ENCODER.encode(status),
        )
        mark = PostMark(collection=one.id, objects=len(raws), added=added, refused=len(failures))
        tx.journal(action="exchange.objects.received", subject=one.partner, after=mark)
        tx.after_commit(self._wake)
        return status

    def status(self, tx: Transaction, status_id: str) -> Page:
        """What became of a request. Raises NoSuchStatus, for another partner's too."""
        partner, _ = self._partner(tx)
        body = store.find_status(tx.connection, status_id=status_id, partner=partner)
        if body is None:
            raise NoSuchStatus
        return Page(body=body)

    def delete(self, tx: Transaction, collection_id: str, object_id: str, query: Query) -> None:
        """Take back what the partner itself wrote; who received it is told as of a revocation.

        Raises NoSuchCollection, NotWritable, NoSuchStored.
        """
        one = self._writable(tx, collection_id)
        if not store.has_object(tx.connection, one.id, object_id):
            raise NoSuchStored
        gone = store.delete_versions(tx.connection, one.id, object_id, query)
        words = (last_word(body, now=tx.now) for body in gone)
        revoked = [row for row in words if row is not None]
        hidden = deleted_by(tx, one.partner)
        added, last = store.add_rows(tx.connection, hidden, revoked, now=tx.now)
        after = msgspec.structs.replace(hidden, last_added=last)
        store.update_collection(tx.connection, after, "last_added")
        mark = PostMark(collection=one.id, objects=0, added=added, refused=0)
        tx.journal(action="exchange.object.deleted", subject=one.partner, after=mark)
        tx.after_commit(self._wake)

    # Whose it is

    def _partner(self, tx: Transaction) -> tuple[str, Agreement | None]:
        require(tx.actor, Permission.EXCHANGE_RECEIVE)
        if tx.actor.partner is None:
            raise Refused("this is for partners")
        return tx.actor.partner, self._agreements.in_force(tx, tx.actor.partner)

    def _own(
        self, tx: Transaction, collection_id: str, *, lock: bool = False
    ) -> tuple[Collection, Agreement]:
        partner, agreement = self._partner(tx)
        found = store.find_collection(tx.connection, collection_id, lock=lock)
        if found is None or found.partner != partner or found.kind not in _SHOWN:
            raise NoSuchCollection
        if agreement is None:
            raise NoSuchCollection
        return found, agreement

    def _readable(self, tx: Transaction, collection_id: str) -> Collection:
        one, agreement = self._own(tx, collection_id)
        if one.kind is CollectionKind.RELEASED and one.agreement != agreement.id:
            raise Busy("the collection is being filled under the agreement in force")
        return one

    def _writable(self, tx: Transaction, collection_id: str) -> Collection:
        one, _ = self._own(tx, collection_id, lock=True)
        if one.kind is not CollectionKind.INBOX:
            raise NotWritable
        return one


def deleted_by(tx: Transaction, partner: str) -> Collection:
    """Where the last word on what a partner deleted waits for its receiver; shown to nobody."""
    feeds = store.list_collections(tx.connection, partner=partner, kinds=(CollectionKind.FEED,))
    for one in feeds:
        if one.title == DELETED:
            found = store.find_collection(tx.connection, one.id, lock=True)
            assert found is not None, "collections are never deleted"
            return found
    made = new_collection(
        partner=partner,
        kind=CollectionKind.FEED,
        title=DELETED,
        profile=Profile.CORE,
        now=tx.now,
    )
    store.add_collection(tx.connection, made)
    return made


def new_collection(
    *, partner: str, kind: CollectionKind, title: str, profile: Profile, now: datetime
) -> Collection:
    """An empty collection with a fresh random id."""
    return Collection(
        id=str(uuid.UUID(bytes=random_bytes(16), version=4)),
        partner=partner,
        kind=kind,
        title=title,
        profile=profile,
        agreement=None,
        last_added=EPOCH,
        cursor=0,
        swept_at=None,
        handed=EPOCH,
        posted_on=now.replace(hour=0, minute=0, second=0, microsecond=0),
        posted=0,
    )


def _view(one: Collection, agreement: Agreement) -> CollectionView:
    return CollectionView(
        id=one.id,
        title=one.title,
        description=_WORDS[one.kind].format(
            days=agreement.terms.retention_days, onward=agreement.terms.onward.words
        ),
        can_read=True,
        can_write=one.kind is CollectionKind.INBOX,
        media_types=[STIX_TYPE],
    )


def _page(resource: msgspec.Struct, ends: Page) -> Page:
    return msgspec.structs.replace(ends, body=_ENCODER.encode(resource))


def _enveloped(page: Page, *, more: bool) -> Page:
    """The envelope around the objects (§3.7); an empty one has no `objects`."""
    if page.last is None:
        return msgspec.structs.replace(page, body=b"{}")
    head = b'"more":false,'
    if more:
        head = b'"more":true,"next":"' + cursor_text(page.last).encode("ascii") + b'",'
    return msgspec.structs.replace(
        page, body=b"".join((b"{", head, b'"objects":[', page.body, b"]}"))
    )


def _objects_of(body: bytes) -> list[msgspec.Raw]:
    try:
        envelope = _ENVELOPE.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unprocessable("not a TAXII envelope in JSON", where="$") from error
    if not envelope.objects:
        raise Unprocessable("no objects", where="$.objects")
    if len(envelope.objects) > ENVELOPE_OBJECTS_MAX:
        raise TooLarge(f"more than {ENVELOPE_OBJECTS_MAX} objects", where="$.objects")
    return envelope.objects


def _rows(
    tx: Transaction, one: Collection, raws: list[msgspec.Raw]
) -> tuple[list[store.NewRow], list[StatusDetail]]:
    rows: list[store.NewRow] = []
    failures: list[StatusDetail] = []
    versionless: list[int] = []
    for raw in raws:
        try:
            row, versioned = new_row(bytes(raw), now=tx.now)
        except BadInput as error:
            failures.append(_failure(raw, error))
            continue
        if not versioned:
            versionless.append(len(rows))
        rows.append(row)
    same = _unchanged(tx, one, [rows[place] for place in versionless])
    return [row for row in rows if row.object_id not in same], failures


def new_row(body: bytes, *, now: datetime) -> tuple[store.NewRow, bool]:
    """The row of an object, and whether it names its version. Raises BadInput.

    Without `modified` the version is `created`, without that the moment it came (§3.3).
    """
    found = check_object(body).object
    versioned, version = True, now
    if isinstance(found, DomainObject):
        version = parse_time(found.modified, where="$.modified")
    elif isinstance(found, MarkingDefinition):
        version = parse_time(found.created, where="$.created")
    else:
        versioned = False
    kind = found.id.partition("--")[0]
    return store.NewRow(object_id=found.id, version=version, type=kind, body=body), versioned


def _unchanged(tx: Transaction, one: Collection, rows: list[store.NewRow]) -> set[str]:
    """Objects without versions that are there already, byte for byte."""
    if not rows:
        return set()
    there = store.newest(tx.connection, one.id, [row.object_id for row in rows])
    return {
        row.object_id
        for row in rows
        if row.object_id in there and there[row.object_id][1] == row.body
    }


class _Named(msgspec.Struct, frozen=True):
    id: str = ""
    modified: str | None = None
    created: str | None = None


def _failure(raw: msgspec.Raw, error: BadInput) -> StatusDetail:
    try:
        named = msgspec.json.decode(raw, type=_Named)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        named = _Named()
    return StatusDetail(
        id=named.id[:110],
        version=(named.modified or named.created or "")[:40],
        message=str(error)[:FAILURE_CHARACTERS_MAX],
    )


def last_word(body: bytes, *, now: datetime, same_version: bool = False) -> store.NewRow | None:
    """The last word on an object that is gone; None for what cannot be revoked.

    `same_version`: it revokes the version it had, and none that is said later.
    """
    try:
        found = check_object(body).object
    except NotKept:
        return None
    if not isinstance(found, DomainObject):
        return None
    version = max(now, parse_time(found.modified))
    gone = msgspec.structs.replace(
        found, revoked=True, modified=found.modified if same_version else taxii_time(version)
    )
    kind = found.id.partition("--")[0]
    return store.NewRow(object_id=found.id, version=version, type=kind, body=_ENCODER.encode(gone))
