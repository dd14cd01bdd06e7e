"""API: what was released to partners, why, what would be; recalls and canaries.

Decides nothing: who may release and look stands in the stage. A partner's user sees its own.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from litestar import get, post
from litestar.params import Parameter

from openaoc.api.access import BEARER, centre_of, limited, signed_in
from openaoc.api.agreements import BODY_BYTES_MAX, PartnerFilter
from openaoc.api.bodies import Body
from openaoc.api.paging import Cursor, Limit
from openaoc.api.problems import ApiRequest, count_guesses, described, problems
from openaoc.api.rates import PUBLIC_FIGURES
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

ObjectFilter = Annotated[str | None, Parameter(query="object", max_length=80, required=False)]
After = Annotated[int, Parameter(query="after", ge=0, le=2**63 - 1, required=False)]


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


@post(
    "/v1/exchange/explain",
    guards=[signed_in],
    dto=Body[AskedExplanation],
    return_dto=None,
    status_code=200,
    request_max_body_size=BODY_BYTES_MAX,
    security=BEARER,
    tags=["exchange"],
    summary="What of an object would leave to a partner, and why not the rest",
    responses={**described(Explanation, "Field by field"), **problems(401, 403, 404, 413, 415)},
    sync_to_thread=True,
)
def explain(request: ApiRequest, data: AskedExplanation) -> Explanation:
    """Releases nothing."""
    with centre_of(request).uow.read(request.user, purpose="explain a release") as tx:
        return _sharing(request).exchange.explain(tx, data)


@post(
    "/v1/exchange/releases",
    guards=[signed_in],
    dto=Body[ToRelease],
    return_dto=None,
    status_code=200,
    request_max_body_size=BODY_BYTES_MAX,
    security=BEARER,
    tags=["exchange"],
    summary="Release one object to one partner, with what was approved for it",
    responses={**described(ReleasedObject, "What left"), **problems(401, 403, 404, 413, 415)},
    sync_to_thread=True,
)
def release(request: ApiRequest, data: ToRelease) -> ReleasedObject:
    """What leaves, to be handed over; the same again leaves nothing that is not there."""
    with centre_of(request).uow.begin(request.user, purpose="release an object") as tx:
        return _sharing(request).exchange.release_published(
            tx, data.object, partner=data.partner, why=data.reason
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


@post(
    "/v1/exchange/approvals",
    guards=[signed_in],
    dto=Body[NewApproval],
    return_dto=None,
    status_code=201,
    request_max_body_size=BODY_BYTES_MAX,
    security=BEARER,
    tags=["exchange"],
    summary="Approve that fields which name a person leave to one partner, once",
    responses={
        **described(ApprovalView, "Approved; the next release uses it", 201),
        **problems(401, 403, 404, 413, 415),
    },
    sync_to_thread=True,
)
def approve_personal(request: ApiRequest, data: NewApproval) -> ApprovalView:
    """It names the law and ends after a day."""
    with centre_of(request).uow.begin(request.user, purpose="approve a release") as tx:
        return _sharing(request).approving.approve(tx, data)


@post(
    "/v1/exchange/recalls",
    guards=[signed_in],
    dto=Body[NewRecall],
    return_dto=None,
    status_code=200,
    request_max_body_size=BODY_BYTES_MAX,
    security=BEARER,
    tags=["exchange"],
    summary="Tell everybody who received an object that it was wrong or is over",
    responses={**described(Recalled, "Who was told"), **problems(401, 403, 413, 415)},
    sync_to_thread=True,
)
def recall(request: ApiRequest, data: NewRecall) -> Recalled:
    """Everybody who has it, and nobody else."""
    with centre_of(request).uow.begin(request.user, purpose="recall an object") as tx:
        return _sharing(request).exchange.recalling.recall(tx, data)


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
def notices_delivered(request: ApiRequest, data: NoticesDelivered) -> Count:
    """Its own, whoever says so."""
    require(request.user, Permission.EXCHANGE_RECEIVE)
    partner, sharing = request.user.partner or "", _sharing(request)
    with centre_of(request).uow.begin(SYSTEM, purpose=f"notices of {partner}") as tx:
        done = sharing.exchange.recalling.delivered(tx, partner, data.sequences)
    return Count(count=done)


@post(
    "/v1/exchange/canaries",
    guards=[signed_in],
    dto=Body[NewCanaries],
    return_dto=None,
    status_code=201,
    request_max_body_size=BODY_BYTES_MAX,
    security=BEARER,
    tags=["exchange"],
    summary="Give canaries to a partner: indicators that nobody else has",
    responses={
        **described(CanaryList, "They leave with its next objects", 201),
        **problems(401, 403, 404, 409, 413, 415),
    },
    sync_to_thread=True,
)
def plant(request: ApiRequest, data: NewCanaries) -> CanaryList:
    """Make them."""
    with centre_of(request).uow.begin(request.user, purpose="plant canaries") as tx:
        return _sharing(request).canaries.plant(tx, data)


@post(
    "/v1/exchange/canaries/seen",
    guards=[signed_in],
    dto=Body[CanarySeen],
    return_dto=None,
    status_code=200,
    request_max_body_size=BODY_BYTES_MAX,
    security=BEARER,
    tags=["exchange"],
    summary="Whose canary a value is that was seen somewhere",
    responses={**described(Leak, "Which partner passed it on"), **problems(401, 403, 413, 415)},
    sync_to_thread=True,
)
def canary_seen(request: ApiRequest, data: CanarySeen) -> Leak:
    """The journal keeps that it was seen."""
    with centre_of(request).uow.begin(request.user, purpose="a canary was seen") as tx:
        return _sharing(request).canaries.seen(tx, data)


@get(
    "/v1/exchange/requests/figures",
    guards=[limited(PUBLIC_FIGURES)],
    security=[{}],
    tags=["exchange"],
    summary="Requests of partners received, met and refused, by country",
    responses={**described(RequestFigures, "By country"), **problems()},
    sync_to_thread=True,
)
def request_figures(request: ApiRequest) -> RequestFigures:
    """For anybody."""
    with centre_of(request).uow.read(SYSTEM, purpose="requests by country") as tx:
        return _sharing(request).requests.figures(tx)


HANDLERS: Final = (
    explain,
    release,
    list_releases,
    approve_personal,
    recall,
    list_notices,
    notices_delivered,
    plant,
    canary_seen,
    request_figures,
)
