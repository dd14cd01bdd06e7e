"""API: marks of possible victims of trafficking, and referrals to who protects them.

Decides nothing: who is trained for it stands in the stage. Nobody else learns that there is a mark.
"""

from __future__ import annotations

from typing import Final

import msgspec
from litestar import post

from openaoc.api.access import BEARER, centre_of, need_id, signed_in
from openaoc.api.bodies import Body
from openaoc.api.decisions import Deciding, look
from openaoc.api.problems import ApiRequest, described, problems
from openaoc.api.wire import Reason
from openaoc.exchange.objects import check_object_id
from openaoc.exchange.protection.model import (
    Mark,
    Marked,
    MarkList,
    NewMark,
    NewReferral,
    OpenedMark,
    Referral,
    ReferralApproval,
    ReferralList,
    ReferralSheet,
)
from openaoc.workflow.sharing import Sharing

BODY_BYTES_MAX: Final = 64 << 10


class Why(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why; kept in the journal: write no name into it."""

    reason: Reason


def _sharing(request: ApiRequest) -> Sharing:
    return centre_of(request).matter.sharing


@post(
    "/v1/protection/marks",
    guards=[signed_in],
    dto=Body[NewMark],
    return_dto=None,
    status_code=201,
    request_max_body_size=BODY_BYTES_MAX,
    security=BEARER,
    tags=["protection"],
    summary="Mark somebody who may be a victim of trafficking",
    description="Nothing about the person leaves any more; what had left is withdrawn at once.",
    responses={**described(Marked, "Marked", 201), **problems(401, 403, 413, 415)},
    sync_to_thread=True,
)
def mark(request: ApiRequest, data: NewMark) -> Marked:
    """One trained person is enough to protect."""
    with centre_of(request).uow.begin(request.user, purpose="protect a possible victim") as tx:
        return _sharing(request).marking.mark(tx, data)


@look(
    "/v1/protection/marks",
    words="The newest",
    purpose="list marks",
    summary="Marks, newest first, without who is meant",
)
def list_marks(on: Deciding) -> MarkList:
    """For trained people."""
    return on.centre.matter.sharing.marking.list(on.tx)


@post(
    "/v1/protection/marks/{name:str}/open",
    guards=[signed_in],
    dto=Body[Why],
    return_dto=None,
    status_code=200,
    request_max_body_size=BODY_BYTES_MAX,
    security=BEARER,
    tags=["protection"],
    summary="See who is meant, for a reason that is kept",
    responses={**described(OpenedMark, "The person"), **problems(401, 403, 404, 413, 415)},
    sync_to_thread=True,
)
def open_mark(request: ApiRequest, name: str, data: Why) -> OpenedMark:
    """Each look is in the journal."""
    with centre_of(request).uow.begin(request.user, purpose="look at a mark") as tx:
        return _sharing(request).marking.open(tx, need_id(name, what="mark"), reason=data.reason)


@post(
    "/v1/protection/marks/{name:str}/lift",
    guards=[signed_in],
    dto=Body[Why],
    return_dto=None,
    status_code=200,
    request_max_body_size=BODY_BYTES_MAX,
    security=BEARER,
    tags=["protection"],
    summary="Say that a mark was a mistake; the second person's word lifts it",
    responses={**described(Mark, "The mark now"), **problems(401, 403, 404, 409, 413, 415)},
    sync_to_thread=True,
)
def lift_mark(request: ApiRequest, name: str, data: Why) -> Mark:
    """Two persons."""
    with centre_of(request).uow.begin(request.user, purpose="lift a mark") as tx:
        return _sharing(request).marking.lift(tx, need_id(name, what="mark"), reason=data.reason)


@post(
    "/v1/protection/referrals",
    guards=[signed_in],
    dto=Body[NewReferral],
    return_dto=None,
    status_code=201,
    request_max_body_size=BODY_BYTES_MAX,
    security=BEARER,
    tags=["protection"],
    summary="Propose to refer a marked person to who protects victims",
    responses={**described(Referral, "Proposed", 201), **problems(401, 403, 404, 409, 413, 415)},
    sync_to_thread=True,
)
def propose_referral(request: ApiRequest, data: NewReferral) -> Referral:
    """Nothing leaves by it."""
    with centre_of(request).uow.begin(request.user, purpose="propose a referral") as tx:
        return _sharing(request).referring.propose(tx, data)


@look(
    "/v1/protection/referrals",
    words="The newest",
    purpose="list referrals",
    summary="Referrals, newest first",
)
def list_referrals(on: Deciding) -> ReferralList:
    """For trained people."""
    return on.centre.matter.sharing.referring.list(on.tx)


@post(
    "/v1/protection/referrals/{name:str}/approve",
    guards=[signed_in],
    dto=Body[ReferralApproval],
    return_dto=None,
    status_code=200,
    request_max_body_size=BODY_BYTES_MAX,
    security=BEARER,
    tags=["protection"],
    summary="Approve a referral by name: it is released, and what left is given",
    responses={
        **described(ReferralSheet, "What left, to be handed over"),
        **problems(401, 403, 404, 409, 413, 415),
    },
    sync_to_thread=True,
)
def approve_referral(request: ApiRequest, name: str, data: ReferralApproval) -> ReferralSheet:
    """Another person than the one who proposed it."""
    with centre_of(request).uow.begin(request.user, purpose="approve a referral") as tx:
        return _sharing(request).referring.approve(tx, _need_referral(name), data)


@post(
    "/v1/protection/referrals/{name:str}/carry",
    guards=[signed_in],
    return_dto=None,
    status_code=200,
    security=BEARER,
    tags=["protection"],
    summary="Carry an approved referral to the partner's centre",
    responses={
        **described(Referral, "The referral now"),
        **problems(401, 403, 404, 409, 503),
    },
    sync_to_thread=True,
)
def carry_referral(request: ApiRequest, name: str) -> Referral:
    """Again, it is there once."""
    centre = centre_of(request)
    referring = _sharing(request).referring
    return referring.carry(request.user, _need_referral(name), line=centre.between.together.line)


def _need_referral(name: str) -> str:
    return check_object_id(name)


HANDLERS: Final = (
    mark,
    list_marks,
    open_mark,
    lift_mark,
    propose_referral,
    list_referrals,
    approve_referral,
    carry_referral,
)
