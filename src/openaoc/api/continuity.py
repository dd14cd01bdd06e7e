"""API: after a restore: what is uncertain, what a person decides about it, and delivery again.

A backup itself is never taken over the network: it holds every transfer.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from litestar import get, post
from litestar.params import JSONBody
from msgspec import Meta

from openaoc.api.access import BEARER, centre_of, signed_in
from openaoc.api.again import again
from openaoc.api.bodies import Body
from openaoc.api.problems import ApiRequest, described, problems
from openaoc.api.wire import Reason, Why
from openaoc.channels.model import Uncertain
from openaoc.parties.permissions import Permission, require
from openaoc.storage.centre_state import CentreState, end_reconciling, read_state

DECISIONS_MAX: Final = 10_000
BODY_BYTES_MAX: Final = 1 << 20


class Reconciliation(msgspec.Struct, frozen=True, kw_only=True):
    """Where the centre stands after a restore, and the messages that wait for a person."""

    state: CentreState
    uncertain: list[Uncertain]


class UncertainDecision(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What becomes of uncertain messages: sent under the keys they had, or done."""

    messages: Annotated[
        list[Annotated[str, Meta(max_length=64)]], Meta(min_length=1, max_length=DECISIONS_MAX)
    ]
    send: bool
    reason: Reason


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """How many messages the decision concerned."""

    messages: int


@get(
    "/v1/reconciliation",
    guards=[signed_in],
    security=BEARER,
    tags=["continuity"],
    summary="What is uncertain since a restore",
    responses={**described(Reconciliation, "Now"), **problems(401, 403)},
    sync_to_thread=True,
)
def show(request: ApiRequest) -> Reconciliation:
    """The state and every uncertain message."""
    require(request.user, Permission.DELIVERY_RESUME)
    centre = centre_of(request)
    with centre.uow.read(request.user, purpose="look at what is uncertain") as tx:
        uncertain = centre.channels.uncertain(tx)
        return Reconciliation(state=read_state(tx.connection), uncertain=uncertain)


@post(
    "/v1/reconciliation/decisions",
    guards=[signed_in],
    dto=Body[UncertainDecision],
    return_dto=None,
    status_code=200,
    request_max_body_size=BODY_BYTES_MAX,
    security=BEARER,
    tags=["continuity"],
    summary="Send uncertain messages, or let them be",
    responses={**described(Decided, "Decided"), **problems(401, 403, 409, 413, 415)},
    sync_to_thread=True,
)
@again
def decide(request: ApiRequest, data: JSONBody[UncertainDecision]) -> Decided:
    """A person knows from the institution whether it has the message."""
    require(request.user, Permission.UNCERTAIN_DECIDE)
    centre = centre_of(request)
    with centre.uow.begin(request.user, purpose="decide on uncertain messages") as tx:
        count = centre.channels.decide(tx, data.messages, send=data.send, reason=data.reason)
    return Decided(messages=count)


@post(
    "/v1/reconciliation/resume",
    guards=[signed_in],
    dto=Body[Why],
    return_dto=None,
    status_code=200,
    request_max_body_size=BODY_BYTES_MAX,
    security=BEARER,
    tags=["continuity"],
    summary="Deliver again after a restore",
    responses={**described(CentreState, "The state now"), **problems(401, 403, 409, 413, 415)},
    sync_to_thread=True,
)
@again
def resume(request: ApiRequest, data: JSONBody[Why]) -> CentreState:
    """New messages leave from now on; uncertain ones stay set aside until decided."""
    require(request.user, Permission.DELIVERY_RESUME)
    centre = centre_of(request)
    with centre.uow.begin(request.user, purpose="deliver again after a restore") as tx:
        return end_reconciling(tx, reason=data.reason)


HANDLERS: Final = (show, decide, resume)
