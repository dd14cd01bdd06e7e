"""API: what was released to partners, why, what would be; recalls and canaries.

Decides nothing: who may release and look stands in the stage. A partner's user sees its own.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from litestar import get, post
from litestar.params import JSONBody, QueryParameter

from openaoc.api.access import BEARER, centre_of, signed_in
from openaoc.api.again import again
from openaoc.api.agreements import BODY_BYTES_MAX, PartnerFilter
from openaoc.api.bodies import Body
from openaoc.api.decisions import Deciding, creation, decision, look
from openaoc.api.paging import Cursor, Limit
from openaoc.api.problems import ApiRequest, count_guesses, described, problems
from openaoc.exchange.canaries import CanaryList, CanarySeen, Leak, NewCanaries
from openaoc.exchange.ledger_model import (
    ApprovalView,
    AskedExplanation,
    Explanation,
    NewApproval,
    NewRecall,
    NoticeList,
    Recalled,
    ReleasedPage,
)
from openaoc.exchange.model import Reason
from openaoc.exchange.objects import ObjectId, ReleasedObject
from openaoc.exchange.requests import RequestFigures
from openaoc.kernel.actor import SYSTEM
from openaoc.parties.permissions import Permission, require
from openaoc.workflow.sharing import Sharing

ObjectFilter = Annotated[str | None, QueryParameter(name="object", max_length=80, required=False)]
After = Annotated[int, QueryParameter(name="after", ge=0, le=2**63 - 1, required=False)]


NoticeNumber = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]


class ToRelease(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One object to one partner, on a person's word, with what was approved for it."""

    object: ObjectId
    partner: Annotated[str, msgspec.Meta(min_length=1, max_length=32)]
    reason: Reason


class NoticesDelivered(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Notices a partner has."""

    sequences: Annotated[tuple[NoticeNumber, ...], msgspec.Meta(min_length=1, max_length=200)]


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """How many."""

    count: int


def _sharing(request: ApiRequest) -> Sharing:
    return centre_of(request).matter.sharing


@decision(
    "/v1/exchange/explain",
    on=None,
    words="Field by field",
    purpose="explain a release",
    summary="What of an object would leave to a partner, and why not the rest",
    body_bytes_max=BODY_BYTES_MAX,
    changes=False,
)
def explain(on: Deciding, said: AskedExplanation) -> Explanation:
    """Releases nothing."""
    return on.centre.matter.sharing.exchange.explain(on.tx, said)


@decision(
    "/v1/exchange/releases",
    on=None,
    words="What left",
    purpose="release an object",
    summary="Release one object to one partner, with what was approved for it",
    body_bytes_max=BODY_BYTES_MAX,
)
def release(on: Deciding, said: ToRelease) -> ReleasedObject:
    """What leaves, to be handed over; the same again leaves nothing that is not there."""
    return on.centre.matter.sharing.exchange.release_published(
        on.tx, said.object, partner=said.partner, why=said.reason
    )


@get(
    "/v1/exchange/releases",
    guards=[signed_in],
    security=BEARER,
    tags=["exchange"],
    summary="The ledger of releases, newest first",
    description="Which fields of what left, to whom, under which agreement, why, when.",
    responses={**described(ReleasedPage, "One page"), **problems(401, 403, 404)},
    sync_to_thread=True,
)
def list_releases(
    request: ApiRequest,
    partner: PartnerFilter = None,
    object_id: ObjectFilter = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> ReleasedPage:
    """A partner's user sees its own."""
    if object_id is not None:
        count_guesses(request, 1)
    with centre_of(request).uow.read(request.user, purpose="list releases") as tx:
        return _sharing(request).exchange.released(
            tx, partner=partner, object_id=object_id, cursor=cursor, limit=limit
        )


@creation(
    "/v1/exchange/approvals",
    words="Approved; the next release uses it",
    purpose="approve a release",
    summary="Approve that fields which name a person leave to one partner, once",
    body_bytes_max=BODY_BYTES_MAX,
)
def approve_personal(on: Deciding, said: NewApproval) -> ApprovalView:
    """It names the law and ends after a day."""
    return on.centre.matter.sharing.approving.approve(on.tx, said)


@decision(
    "/v1/exchange/recalls",
    on=None,
    words="Who was told",
    purpose="recall an object",
    summary="Tell everybody who received an object that it was wrong or is over",
    body_bytes_max=BODY_BYTES_MAX,
)
def recall(on: Deciding, said: NewRecall) -> Recalled:
    """Everybody who has it, and nobody else."""
    return on.centre.matter.sharing.exchange.recalling.recall(on.tx, said)


@get(
    "/v1/exchange/notices",
    guards=[signed_in],
    security=BEARER,
    tags=["exchange"],
    summary="Corrections, withdrawals and expiries of what was received, in order",
    responses={**described(NoticeList, "After the sequence"), **problems(401, 403)},
    sync_to_thread=True,
)
def list_notices(
    request: ApiRequest, partner: PartnerFilter = None, after: After = 0
) -> NoticeList:
    """A partner's user sees its own, also when its agreement is over."""
    with centre_of(request).uow.read(request.user, purpose="list notices") as tx:
        recalling = _sharing(request).exchange.recalling
        return recalling.notices(tx, partner=partner, after=after)


@post(
    "/v1/exchange/notices/delivered",
    guards=[signed_in],
    dto=Body[NoticesDelivered],
    return_dto=None,
    status_code=200,
    request_max_body_size=BODY_BYTES_MAX,
    security=BEARER,
    tags=["exchange"],
    summary="A partner says that it has these notices",
    responses={**described(Count, "How many were open"), **problems(401, 403, 413, 415)},
    sync_to_thread=True,
)
@again
def notices_delivered(request: ApiRequest, data: JSONBody[NoticesDelivered]) -> Count:
    """Its own, whoever says so."""
    require(request.user, Permission.EXCHANGE_RECEIVE)
    partner, sharing = request.user.partner or "", _sharing(request)
    with centre_of(request).uow.begin(SYSTEM, purpose=f"notices of {partner}") as tx:
        done = sharing.exchange.recalling.delivered(tx, partner, data.sequences)
    return Count(count=done)


@creation(
    "/v1/exchange/canaries",
    words="They leave with its next objects",
    purpose="plant canaries",
    summary="Give canaries to a partner: indicators that nobody else has",
    body_bytes_max=BODY_BYTES_MAX,
)
def plant(on: Deciding, said: NewCanaries) -> CanaryList:
    """Make them."""
    return on.centre.matter.sharing.canaries.plant(on.tx, said)


@get(
    "/v1/exchange/canaries",
    guards=[signed_in],
    security=BEARER,
    tags=["exchange"],
    summary="A partner's canaries; without a partner, those that were seen again",
    responses={**described(CanaryList, "Where each was first seen"), **problems(401, 403, 404)},
    sync_to_thread=True,
)
def list_canaries(request: ApiRequest, partner: PartnerFilter = None) -> CanaryList:
    """Who passed on what it was given."""
    with centre_of(request).uow.read(request.user, purpose="list canaries") as tx:
        return _sharing(request).canaries.list(tx, partner)


@decision(
    "/v1/exchange/canaries/seen",
    on=None,
    words="Which partner passed it on",
    purpose="a canary was seen",
    summary="Whose canary a value is that was seen somewhere",
    body_bytes_max=BODY_BYTES_MAX,
)
def canary_seen(on: Deciding, said: CanarySeen) -> Leak:
    """The journal keeps that it was seen."""
    return on.centre.matter.sharing.canaries.seen(on.tx, said)


@look(
    "/v1/exchange/requests/figures",
    words="By country",
    purpose="look at requests by country",
    summary="Requests of partners received, met and refused, by country, as of now",
    description="For the centre's people: the public report leaves out what is too small.",
)
def request_figures(on: Deciding) -> RequestFigures:
    """Exact."""
    return on.centre.matter.sharing.requests.figures(on.tx)


HANDLERS: Final = (
    explain,
    release,
    list_releases,
    approve_personal,
    recall,
    list_notices,
    notices_delivered,
    plant,
    list_canaries,
    canary_seen,
    request_figures,
)
