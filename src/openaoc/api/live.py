"""API: what is live: proposed by one person, approved by another, stopped by anybody entitled."""

from __future__ import annotations

from typing import Final

from litestar import get

from openaoc.api.access import BEARER, centre_of, signed_in
from openaoc.api.decisions import Deciding, decision
from openaoc.api.problems import ApiRequest, described, problems
from openaoc.api.wire import LiveScope, ShadowScope, SwitchList
from openaoc.parties.model import Switch


@decision(
    "/v1/live/propose",
    on=None,
    words="The switch now",
    purpose="switch live",
    summary="Propose that orders go out for real",
)
def propose(made: Deciding, asked: LiveScope) -> Switch:
    """The first person's word."""
    return made.centre.parties.propose_live(made.tx, asked.scope)


@decision(
    "/v1/live/approve",
    on=None,
    words="The switch now",
    purpose="switch live",
    summary="Approve the proposal, as another person",
)
def approve(made: Deciding, asked: LiveScope) -> Switch:
    """The second person's word: live from now on."""
    return made.centre.parties.approve_live(made.tx, asked.scope)


@decision(
    "/v1/live/shadow",
    on=None,
    words="The switch now",
    purpose="back to shadow",
    summary="Back to shadow; one person is enough",
)
def shadow(made: Deciding, asked: ShadowScope) -> Switch:
    """Stop sending for the scope."""
    return made.centre.parties.back_to_shadow(made.tx, asked.scope, reason=asked.reason)


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
