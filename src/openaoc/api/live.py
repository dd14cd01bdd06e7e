"""API: what is live: proposed by one person, approved by another, stopped by anybody entitled."""

from __future__ import annotations

from typing import Final

from litestar import get, post

from openaoc.api.access import BEARER, centre_of, signed_in
from openaoc.api.bodies import Body
from openaoc.api.problems import ApiRequest, described, problems
from openaoc.api.wire import LiveScope, ShadowScope, SwitchList
from openaoc.parties.model import Switch

SMALL_BODY_BYTES_MAX: Final = 16 << 10


@post(
    "/v1/live/propose",
    guards=[signed_in],
    dto=Body[LiveScope],
    return_dto=None,
    status_code=200,
    request_max_body_size=SMALL_BODY_BYTES_MAX,
    security=BEARER,
    tags=["live"],
    summary="Propose that orders go out for real",
    responses={
        **described(Switch, "The switch now"),
        **problems(401, 403, 404, 409, 413, 415),
    },
    sync_to_thread=True,
)
def propose(request: ApiRequest, data: LiveScope) -> Switch:
    """The first person's word."""
    centre = centre_of(request)
    with centre.uow.begin(request.user, purpose="switch live") as tx:
        return centre.parties.propose_live(tx, data.scope)


@post(
    "/v1/live/approve",
    guards=[signed_in],
    dto=Body[LiveScope],
    return_dto=None,
    status_code=200,
    request_max_body_size=SMALL_BODY_BYTES_MAX,
    security=BEARER,
    tags=["live"],
    summary="Approve the proposal, as another person",
    responses={
        **described(Switch, "The switch now"),
        **problems(401, 403, 404, 409, 413, 415),
    },
    sync_to_thread=True,
)
def approve(request: ApiRequest, data: LiveScope) -> Switch:
    """The second person's word: live from now on."""
    centre = centre_of(request)
    with centre.uow.begin(request.user, purpose="switch live") as tx:
        return centre.parties.approve_live(tx, data.scope)


@post(
    "/v1/live/shadow",
    guards=[signed_in],
    dto=Body[ShadowScope],
    return_dto=None,
    status_code=200,
    request_max_body_size=SMALL_BODY_BYTES_MAX,
    security=BEARER,
    tags=["live"],
    summary="Back to shadow; one person is enough",
    responses={
        **described(Switch, "The switch now"),
        **problems(401, 403, 404, 409, 413, 415),
    },
    sync_to_thread=True,
)
def shadow(request: ApiRequest, data: ShadowScope) -> Switch:
    """Stop sending for the scope."""
    centre = centre_of(request)
    with centre.uow.begin(request.user, purpose="back to shadow") as tx:
        return centre.parties.back_to_shadow(tx, data.scope, reason=data.reason)


@get(
    "/v1/live",
    guards=[signed_in],
    security=BEARER,
    tags=["live"],
    summary="List what is live",
    responses={**described(SwitchList, "Every switch"), **problems(401, 403)},
    sync_to_thread=True,
)
def list_switches(request: ApiRequest) -> SwitchList:
    """Every switch anybody ever touched."""
    centre = centre_of(request)
    with centre.uow.read(request.user) as tx:
        return SwitchList(switches=centre.parties.switches(tx))


HANDLERS: Final = (propose, approve, shadow, list_switches)
