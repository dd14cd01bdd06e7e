"""API: marks of possible victims of trafficking, and referrals to who protects them.

Decides nothing: who is trained for it stands in the stage. Nobody else learns that there is a mark.
"""

from __future__ import annotations

from typing import Final

from litestar import post
from litestar.params import FromPath

from openaoc.api.access import BEARER, centre_of, signed_in
from openaoc.api.decisions import Deciding, Thing, creation, decision, look
from openaoc.api.problems import ApiRequest, described, problems
from openaoc.api.wire import Why
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
MARK: Final = Thing("name", "mark")
REFERRAL: Final = Thing("name", "referral", check_object_id)


def _sharing(request: ApiRequest) -> Sharing:
    return centre_of(request).matter.sharing


@creation(
    "/v1/protection/marks",
    words="Marked",
    purpose="protect a possible victim",
    summary="Mark somebody who may be a victim of trafficking",
    description="Nothing about the person leaves any more; what had left is withdrawn at once.",
    body_bytes_max=BODY_BYTES_MAX,
)
def mark(on: Deciding, said: NewMark) -> Marked:
    """One trained person is enough to protect."""
    return on.centre.matter.sharing.marking.mark(on.tx, said)


@look(
    "/v1/protection/marks",
    words="One page",
    purpose="list marks",
    summary="Marks, newest first, without who is meant",
    paged=True,
)
def list_marks(on: Deciding) -> MarkList:
    """For trained people."""
    return on.centre.matter.sharing.marking.list(on.tx, on.page)


@decision(
    "/v1/protection/marks/{name:str}/open",
    on=MARK,
    words="The person",
    purpose="look at a mark",
    summary="See who is meant, for a reason that is kept",
    body_bytes_max=BODY_BYTES_MAX,
)
def open_mark(on: Deciding, said: Why) -> OpenedMark:
    """Each look is in the journal."""
    return on.centre.matter.sharing.marking.open(on.tx, on.id, reason=said.reason)


@decision(
    "/v1/protection/marks/{name:str}/lift",
    on=MARK,
    words="The mark now",
    purpose="lift a mark",
    summary="Say that a mark was a mistake; the second person's word lifts it",
    body_bytes_max=BODY_BYTES_MAX,
)
def lift_mark(on: Deciding, said: Why) -> Mark:
    """Two persons."""
    return on.centre.matter.sharing.marking.lift(on.tx, on.id, reason=said.reason)


@creation(
    "/v1/protection/referrals",
    words="Proposed",
    purpose="propose a referral",
    summary="Propose to refer a marked person to who protects victims",
    body_bytes_max=BODY_BYTES_MAX,
)
def propose_referral(on: Deciding, said: NewReferral) -> Referral:
    """Nothing leaves by it."""
    return on.centre.matter.sharing.referring.propose(on.tx, said)


@look(
    "/v1/protection/referrals",
    words="One page",
    purpose="list referrals",
    summary="Referrals, newest first",
    paged=True,
)
def list_referrals(on: Deciding) -> ReferralList:
    """For trained people."""
    return on.centre.matter.sharing.referring.list(on.tx, on.page)


@decision(
    "/v1/protection/referrals/{name:str}/approve",
    on=REFERRAL,
    words="What left, to be handed over",
    purpose="approve a referral",
    summary="Approve a referral by name: it is released, and what left is given",
    body_bytes_max=BODY_BYTES_MAX,
)
def approve_referral(on: Deciding, said: ReferralApproval) -> ReferralSheet:
    """Another person than the one who proposed it."""
    return on.centre.matter.sharing.referring.approve(on.tx, on.id, said)


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
def carry_referral(request: ApiRequest, name: FromPath[str]) -> Referral:
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
