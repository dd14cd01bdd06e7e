"""API: staff open a partner's collections, name its feeds, and see what came in and was lost.

Partners themselves speak TAXII, which is served beside it.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from litestar import delete, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from openaoc.api.access import BEARER, centre_of, need_id, signed_in
from openaoc.api.again import again
from openaoc.api.agreements import BODY_BYTES_MAX, PartnerFilter
from openaoc.api.bodies import Body
from openaoc.api.decisions import Deciding, creation, look
from openaoc.api.exchange import After
from openaoc.api.paging import Cursor, Limit
from openaoc.api.problems import ApiRequest, described, problems
from openaoc.exchange.context import ToldPage
from openaoc.exchange.objects import ObjectKind
from openaoc.exchange.stix.model import Profile
from openaoc.exchange.taxii.model import ReceiptPage
from openaoc.exchange.taxii.polling import FeedList, FeedView, NewFeed
from openaoc.kernel.limits import PAGE_MAX
from openaoc.workflow.collecting import Collecting

KindFilter = Annotated[ObjectKind | None, QueryParameter(name="kind", required=False)]


class NewCollections(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose collections, and in which profile of STIX."""

    partner: Annotated[str, msgspec.Meta(min_length=1, max_length=32)]
    profile: Profile = Profile.CORE


class OpenedCollection(msgspec.Struct, frozen=True, kw_only=True):
    """A collection as the partner finds it at its TAXII address."""

    id: str
    kind: str
    profile: Profile
    title: str


class OpenedCollections(msgspec.Struct, frozen=True, kw_only=True):
    """A partner's collections."""

    collections: list[OpenedCollection]


def _collecting(request: ApiRequest) -> Collecting:
    return centre_of(request).matter.collecting


@post(
    "/v1/exchange/collections",
    guards=[signed_in],
    dto=Body[NewCollections],
    return_dto=None,
    status_code=200,
    request_max_body_size=BODY_BYTES_MAX,
    security=BEARER,
    tags=["exchange"],
    summary="Open a partner's TAXII collections, or set their profile",
    description="One with what is released to it, one it writes to. A new profile writes anew.",
    responses={**described(OpenedCollections, "Both"), **problems(401, 403, 404, 413, 415)},
    sync_to_thread=True,
)
@again
def open_collections(request: ApiRequest, data: JSONBody[NewCollections]) -> OpenedCollections:
    """They are filled while an agreement is in force."""
    with centre_of(request).uow.begin(request.user, purpose="open collections") as tx:
        found = _collecting(request).taxii.open_for(tx, data.partner, profile=data.profile)
    return OpenedCollections(
        collections=[
            OpenedCollection(id=o.id, kind=o.kind.value, profile=o.profile, title=o.title)
            for o in found
        ]
    )


@creation(
    "/v1/exchange/feeds",
    words="The feed",
    purpose="add a feed",
    summary="Read a partner's collection or MISP feed on schedule, or write ours into it",
    description=(
        "`form` `misp`: a MISP feed, its `url` where its manifest lies, over https; without "
        "`username` the `secret` is the whole `Authorization` header."
    ),
    body_bytes_max=BODY_BYTES_MAX,
)
def add_feed(on: Deciding, said: NewFeed) -> FeedView:
    """Its secret is sealed and never shown again."""
    return on.centre.matter.collecting.polling.add(on.tx, said)


@look(
    "/v1/exchange/feeds",
    words="All of them",
    purpose="list feeds",
    summary="Feeds, how far each was read, and what went wrong last",
)
def list_feeds(on: Deciding) -> FeedList:
    """By when they are due."""
    return on.centre.matter.collecting.polling.list(on.tx)


@delete(
    "/v1/exchange/feeds/{feed:str}",
    guards=[signed_in],
    security=BEARER,
    tags=["exchange"],
    summary="Read a feed no more",
    responses=problems(401, 403, 404),
    sync_to_thread=True,
)
@again
def remove_feed(request: ApiRequest, feed: FromPath[str]) -> None:
    """What was read stays."""
    with centre_of(request).uow.begin(request.user, purpose="remove a feed") as tx:
        _collecting(request).polling.remove(tx, need_id(feed, what="feed"))


@get(
    "/v1/exchange/received",
    guards=[signed_in],
    security=BEARER,
    tags=["exchange"],
    summary="What partners sent, and what of it could not be kept and why",
    description="With `released`: what of ours the partner's profile has no place for, by field.",
    responses={**described(ReceiptPage, "Batches, oldest first"), **problems(401, 403)},
    sync_to_thread=True,
)
def list_received(
    request: ApiRequest, partner: PartnerFilter = None, after: After = 0
) -> ReceiptPage:
    """At most 200 after a sequence."""
    with centre_of(request).uow.read(request.user, purpose="list what came in") as tx:
        return _collecting(request).handing.received(tx, partner=partner, after=after)


@get(
    "/v1/exchange/context",
    guards=[signed_in],
    security=BEARER,
    tags=["exchange"],
    summary="What partners told beside indicators: campaigns, reports, what to do",
    description="Their word, for people to read: nothing acts on it, and nobody else gets it.",
    responses={**described(ToldPage, "The last that was new first"), **problems(401, 403)},
    sync_to_thread=True,
)
def list_context(
    request: ApiRequest,
    partner: PartnerFilter = None,
    kind: KindFilter = None,
    cursor: Cursor = None,
    limit: Limit = PAGE_MAX,
) -> ToldPage:
    """A page of it."""
    centre = centre_of(request)
    with centre.uow.read(request.user, purpose="read what partners told") as tx:
        return centre.matter.sharing.context.page(
            tx, partner=partner, kind=kind, cursor=cursor, limit=limit
        )


HANDLERS: Final = (
    open_collections,
    add_feed,
    list_feeds,
    remove_feed,
    list_received,
    list_context,
)
