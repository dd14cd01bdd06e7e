"""Exchange, TAXII 2.1: one request to a partner's server, bounded in time and size.

Believes nothing of what comes back: pages are bytes until they are checked. Never redirected.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from typing import Final, TypeVar

import httpx
import msgspec

from openaoc.channels.keys import EXERCISE_HEADER
from openaoc.channels.patience import BoundedTransport
from openaoc.exchange.taxii.model import MEDIA_TYPE, Collections, CollectionView, taxii_time
from openaoc.kernel.clock import parse_time
from openaoc.kernel.errors import BadInput, Refused, Unavailable

CONNECT_SECONDS_MAX: Final = 10.0
REPLY_SECONDS_MAX: Final = 60.0
REPLY_BYTES_MAX: Final = 32 << 20
ASKED_AT_ONCE: Final = 1_000
NEXT_CHARACTERS_MAX: Final = 2_000
_LAST: Final = "x-taxii-date-added-last"
Kind = TypeVar("Kind", bound=msgspec.Struct)


class NotAnswered(Unavailable):
    """The partner's server did not answer as TAXII 2.1 asks."""


class NotPermitted(Refused):
    """The partner's server refuses."""


class RemotePage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a partner's collection; `last`: when the last of it was added there."""

    objects: list[msgspec.Raw] = []
    more: bool = False
    next: str | None = None
    last: datetime | None = None


class RemoteList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of what a partner's collection has, by id; `last`: as of a page of objects."""

    ids: list[str]
    more: bool
    next: str | None
    last: datetime | None


class _Envelope(msgspec.Struct, frozen=True):
    objects: list[msgspec.Raw] = []
    more: bool = False
    next: str | None = None


class _Record(msgspec.Struct, frozen=True):
    id: str


class _Manifest(msgspec.Struct, frozen=True):
    objects: list[_Record] = []
    more: bool = False
    next: str | None = None


class RemoteStatus(msgspec.Struct, frozen=True):
    """What the partner's server did with objects."""

    id: str = ""
    status: str = ""
    success_count: int = 0
    failure_count: int = 0
    pending_count: int = 0


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """A partner's API root and who we are there."""

    url: str
    username: str
    secret: str


class TaxiiClient:
    """Speaks to partners' servers. One instance per centre; thread-safe."""

    def __init__(
        self, transport: httpx.BaseTransport | None = None, *, exercise: bool = False
    ) -> None:
        """`transport`: in place of the network, for tests. `exercise`: whether we are in one."""
        self._http = httpx.Client(
            event_hooks={"response": [of_our_kind(exercise=exercise)]},
            transport=transport
            or BoundedTransport(seconds_max=CONNECT_SECONDS_MAX + REPLY_SECONDS_MAX),
            timeout=httpx.Timeout(REPLY_SECONDS_MAX, connect=CONNECT_SECONDS_MAX),
            follow_redirects=False,
            trust_env=False,
        )

    def collections(self, server: Server) -> list[CollectionView]:
        """What the server offers to us. Raises NotAnswered, NotPermitted."""
        _, body = self._ask(server, "GET", "collections/")
        return _decoded(body, Collections).collections

    def page(
        self,
        server: Server,
        collection: str,
        *,
        added_after: datetime | None,
        following: str | None,
    ) -> RemotePage:
        """One page. Raises NotAnswered, NotPermitted."""
        path = f"collections/{collection}/objects/"
        query = _asked(added_after=added_after, following=following)
        headers, body = self._ask(server, "GET", path, query=query)
        envelope = _decoded(body, _Envelope)
        return RemotePage(
            objects=envelope.objects,
            more=envelope.more,
            next=_following(envelope.next),
            last=_moment(headers.get(_LAST)),
        )

    def listed(
        self,
        server: Server,
        collection: str,
        *,
        added_after: datetime | None,
        following: str | None,
    ) -> RemoteList:
        """One page of what is there. Raises NotAnswered, NotPermitted."""
        path = f"collections/{collection}/manifest/"
        query = _asked(added_after=added_after, following=following)
        headers, body = self._ask(server, "GET", path, query=query)
        manifest = _decoded(body, _Manifest)
        return RemoteList(
            ids=[one.id for one in manifest.objects],
            more=manifest.more,
            next=_following(manifest.next),
            last=_moment(headers.get(_LAST)),
        )

    def add(self, server: Server, collection: str, envelope: bytes) -> RemoteStatus:
        """Send objects; what became of them. Raises NotAnswered, NotPermitted."""
        path = f"collections/{collection}/objects/"
        _, body = self._ask(server, "POST", path, content=envelope)
        return _decoded(body, RemoteStatus)

    def close(self) -> None:
        """Close idle connections."""
        self._http.close()

    def _ask(
        self,
        server: Server,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        content: bytes | None = None,
    ) -> tuple[httpx.Headers, bytes]:
        until = time.monotonic() + CONNECT_SECONDS_MAX + REPLY_SECONDS_MAX
        headers = {"Accept": MEDIA_TYPE}
        if content is not None:
            headers["Content-Type"] = MEDIA_TYPE
        try:
            with self._http.stream(
                method,
                f"{server.url}/{path}",
                params=query,
                content=content,
                headers=headers,
                auth=httpx.BasicAuth(server.username, server.secret),
            ) as response:
                body = read_reply(response, until=until, bytes_max=REPLY_BYTES_MAX)
                _check(response, wanted=(HTTPStatus.OK, HTTPStatus.ACCEPTED))
                return response.headers, body
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NotAnswered(type(error).__name__) from error


def of_our_kind(*, exercise: bool) -> Callable[[httpx.Response], None]:
    """A look at every answer: an exercise and a real centre take nothing of each other."""

    def look(response: httpx.Response) -> None:
        marked = response.headers.get(EXERCISE_HEADER) == "true"
        if response.is_success and marked is not exercise:
            raise NotAnswered("an exercise and a real centre take nothing of each other")

    return look


def read_reply(response: httpx.Response, *, until: float, bytes_max: int) -> bytes:
    """The whole of a reply. Raises NotAnswered for one that is too long, or takes too long."""
    received = bytearray()
    for chunk in response.iter_bytes():
        received += chunk
        if len(received) > bytes_max:
            raise NotAnswered(f"more than {bytes_max} bytes")
        if time.monotonic() > until:
            raise NotAnswered("took too long")
    return bytes(received)


def _check(response: httpx.Response, *, wanted: tuple[HTTPStatus, ...]) -> None:
    status = response.status_code
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND):
        raise NotPermitted(f"HTTP {status}")
    if status not in wanted:
        raise NotAnswered(f"HTTP {status}")
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != MEDIA_TYPE.partition(";")[0]:
        raise NotAnswered("another media type than TAXII's")


def _decoded(body: bytes, kind: type[Kind]) -> Kind:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise NotAnswered("not what TAXII 2.1 answers") from error


def _asked(*, added_after: datetime | None, following: str | None) -> dict[str, str]:
    query = {"limit": str(ASKED_AT_ONCE)}
    if added_after is not None:
        query["added_after"] = taxii_time(added_after)
    if following is not None:
        query["next"] = following
    return query


def _following(cursor: str | None) -> str | None:
    if cursor is not None and len(cursor) > NEXT_CHARACTERS_MAX:
        raise NotAnswered("a cursor that is too long")
    return cursor


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return parse_time(text)
    except BadInput as error:
        raise NotAnswered("a moment that is none") from error
