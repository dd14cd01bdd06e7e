"""API: joint operations of centres: opened, decided on, recorded, looked at.

Decides nothing: who may and what leaves stands in the stage.
"""

from __future__ import annotations

from typing import Final

from litestar import get, post

from openaoc.api.access import BEARER, centre_of, signed_in
from openaoc.api.bodies import Body
from openaoc.api.decisions import Deciding, look
from openaoc.api.problems import ApiRequest, described, problems
from openaoc.exchange.objects import check_object_id
from openaoc.exchange.operations.model import (
    ActSaid,
    Entry,
    NewEntry,
    NewOperation,
    Operation,
    OperationList,
    OperationView,
)
from openaoc.exchange.operations.service import Operations

BODY_BYTES_MAX: Final = 64 << 10


def _operations(request: ApiRequest) -> Operations:
    return centre_of(request).between.together.operations


@post(
    "/v1/operations",
    guards=[signed_in],
    dto=Body[NewOperation],
    return_dto=None,
    status_code=201,
    request_max_body_size=BODY_BYTES_MAX,
    security=BEARER,
    tags=["operations"],
    summary="Draft a joint operation with partner centres, as its lead",
    description="It narrows the standing agreements and widens none; two persons approve it.",
    responses={**described(Operation, "Drafted", 201), **problems(401, 403, 404, 409, 413, 415)},
    sync_to_thread=True,
)
def open_operation(request: ApiRequest, data: NewOperation) -> Operation:
    """Nobody hears of it yet."""
    with centre_of(request).uow.begin(request.user, purpose="open an operation") as tx:
        return _operations(request).open(tx, data)


@look(
    "/v1/operations",
    words="Those you may see",
    purpose="list operations",
    summary="Joint operations, newest first",
)
def list_operations(on: Deciding) -> OperationList:
    """Those this person may see."""
    return on.centre.between.together.operations.list(on.tx)


@get(
    "/v1/operations/{name:str}",
    guards=[signed_in],
    security=BEARER,
    tags=["operations"],
    summary="An operation with its members, timeline and results",
    responses={**described(OperationView, "As known here now"), **problems(401, 403, 404)},
    sync_to_thread=True,
)
def show_operation(request: ApiRequest, name: str) -> OperationView:
    """The timeline is the same in each centre that may have its entries."""
    with centre_of(request).uow.read(request.user, purpose="look at an operation") as tx:
        return _operations(request).show(tx, check_object_id(name))


@post(
    "/v1/operations/{name:str}/act",
    guards=[signed_in],
    dto=Body[ActSaid],
    return_dto=None,
    status_code=200,
    request_max_body_size=BODY_BYTES_MAX,
    security=BEARER,
    tags=["operations"],
    summary="Approve, accept, refuse, leave or close an operation",
    description="Approving, accepting and closing take two persons; leaving and refusing one.",
    responses={
        **described(Operation, "The operation now"),
        **problems(401, 403, 404, 409, 413, 415),
    },
    sync_to_thread=True,
)
def act_on_operation(request: ApiRequest, name: str, data: ActSaid) -> Operation:
    """A person's word."""
    with centre_of(request).uow.begin(request.user, purpose="decide on an operation") as tx:
        return _operations(request).act(tx, check_object_id(name), data)


@post(
    "/v1/operations/{name:str}/entries",
    guards=[signed_in],
    dto=Body[NewEntry],
    return_dto=None,
    status_code=201,
    request_max_body_size=BODY_BYTES_MAX,
    security=BEARER,
    tags=["operations"],
    summary="Record what was done; partners get of it what may leave",
    responses={**described(Entry, "Recorded", 201), **problems(401, 403, 404, 409, 413, 415)},
    sync_to_thread=True,
)
def record_entry(request: ApiRequest, name: str, data: NewEntry) -> Entry:
    """An entry of ours."""
    with centre_of(request).uow.begin(request.user, purpose="record an operation") as tx:
        return _operations(request).record(tx, check_object_id(name), data)


HANDLERS: Final = (
    open_operation,
    list_operations,
    show_operation,
    act_on_operation,
    record_entry,
)
