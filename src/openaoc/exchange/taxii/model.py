"""Exchange, TAXII 2.1: resources as they go over the wire, collections as they are kept, limits."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Final

import msgspec

from openaoc.exchange.stix.model import Lost, Profile
from openaoc.kernel.clock import from_us, to_us
from openaoc.kernel.errors import BadInput, NotFound, Refused

MEDIA_TYPE: Final = "application/taxii+json;version=2.1"
STIX_TYPE: Final = "application/stix+json;version=2.1"
ENVELOPE_BYTES_MAX: Final = 16 << 20
ENVELOPE_OBJECTS_MAX: Final = 20_000
PAGE_DEFAULT: Final = 1_000
PAGE_OBJECTS_MAX: Final = 10_000
PAGE_BYTES_MAX: Final = 16 << 20
"""A page ends before it; an object alone may be a little larger."""
POSTED_PER_DAY_MAX: Final = 2_000_000
"""Objects a partner may write into its inbox in a day."""
STATUS_KEPT_DAYS: Final = 7
RECEIVED_KEPT_DAYS: Final = 30
"""What a partner sent, where no agreement says how long."""
FORGOTTEN_AT_ONCE_MAX: Final = 5_000
TITLE_CHARACTERS_MAX: Final = 200


class NoSuchCollection(NotFound):
    """There is no such collection, or it is not yours."""


class NoSuchStored(NotFound):
    """There is no such object in this collection."""


class NoSuchStatus(NotFound):
    """There is no such status, or it is not yours."""


class NotWritable(Refused):
    """This collection cannot be written to."""


class Unprocessable(BadInput):
    """The content is not a TAXII envelope of objects."""


class CollectionKind(enum.StrEnum):
    """Where a collection's objects come from."""

    RELEASED = "released"
    """What an agreement lets the partner have."""
    INBOX = "inbox"
    """What the partner wrote here."""
    FEED = "feed"
    """What was read from the partner's own server; shown to nobody."""


class Collection(msgspec.Struct, frozen=True, kw_only=True):
    """One collection of one partner.

    `agreement`: under which it was filled. `last_added`: of its newest row; every row has a later
    one than those before it. `cursor`: how far its source was read. `handed`: up to which row its
    objects were handed to their receiver.
    """

    id: str
    partner: str
    kind: CollectionKind
    title: str
    profile: Profile
    agreement: str | None
    last_added: datetime
    cursor: int
    swept_at: datetime | None
    handed: datetime
    posted_on: datetime
    posted: int


class Discovery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The discovery resource (§4.1.1)."""

    title: str
    description: str
    contact: str | None = None
    default: str
    api_roots: list[str]


class ApiRoot(msgspec.Struct, frozen=True, kw_only=True):
    """The API root resource (§4.2.1)."""

    title: str
    description: str
    versions: list[str]
    max_content_length: int


class CollectionView(msgspec.Struct, frozen=True, kw_only=True):
    """The collection resource (§5.2.1)."""

    id: str
    title: str
    description: str
    can_read: bool
    can_write: bool
    media_types: list[str]


class Collections(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The collections resource (§5.1.1)."""

    collections: list[CollectionView] = []


class ManifestRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One version of one object (§5.3.1)."""

    id: str
    date_added: str
    version: str
    media_type: str = STIX_TYPE


class Manifest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The manifest resource (§5.3.1)."""

    more: bool
    next: str | None = None
    objects: list[ManifestRecord] = []


class Versions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The versions resource (§5.8.1)."""

    more: bool
    next: str | None = None
    versions: list[str] = []


class StatusDetail(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One object of a request (§4.3.1)."""

    id: str
    version: str
    message: str | None = None


class Status(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of a request to add objects (§4.3.1). Counts are always there."""

    id: str
    status: str
    request_timestamp: str
    total_count: int
    success_count: int
    failure_count: int
    pending_count: int
    failures: list[StatusDetail] = []


class ErrorMessage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The error message (§3.6.1)."""

    title: str
    description: str | None = None
    error_id: str | None = None
    error_code: str | None = None
    http_status: str


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A response's body, ready to be sent, and when the first and last of it were added."""

    body: bytes
    first: datetime | None = None
    last: datetime | None = None


def taxii_time(moment: datetime) -> str:
    """RFC 3339 in UTC with exactly six digits after the second (§3.6)."""
    text = moment.isoformat(timespec="microseconds")
    return text.replace("+00:00", "Z")


def version_text(moment: datetime) -> str:
    """A version as an object's `modified` is written: three digits, more only where they count.

    TAXII 2.1 §5.3.1: the property is the version, so that readers may compare the two as texts.
    """
    head, fraction = taxii_time(moment)[:-1].split(".")
    return f"{head}.{fraction.rstrip('0').ljust(3, '0')}Z"


def cursor_text(moment: datetime) -> str:
    """Where the next page begins: behind the row that was added at this moment."""
    return str(to_us(moment))


def read_cursor(text: str) -> datetime:
    """The moment of a cursor. Raises BadInput for what is none of ours."""
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(2**53))):
        raise BadInput("not a place in this list", where="next")
    return from_us(int(text))


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """A batch that came in: how many objects, how many were kept, and what was lost and why.

    `lost` counts all; `report` names the first of them. `released`: it is one of ours that was
    written into the partner's collection, and `report` counts by field what has no place there.
    """

    sequence: int
    collection: str
    partner: str
    at: datetime
    objects: int
    kept: int
    lost: int
    report: tuple[Lost, ...]
    released: bool = False


class ReceiptPage(msgspec.Struct, frozen=True, kw_only=True):
    """Batches in the order in which they were taken."""

    receipts: list[Receipt]


class Feed(msgspec.Struct, frozen=True, kw_only=True):
    """A collection of a partner's server that is read, or written to, on a schedule.

    `url`: of its API root; `remote`: the collection's id there. `secret`: the password or key,
    sealed. `publish`: what we release is sent there too. `added_after`: how far it was read.
    """

    collection: str
    url: str
    remote: str
    username: str
    secret: bytes
    publish: bool
    every_s: int
    added_after: datetime | None
    next_at: datetime
    failures: int
    last_error: str | None
