"""API: joint operations of centres: opened, decided on, recorded, looked at.

Decides nothing: who may and what leaves stands in the stage.
"""

from __future__ import annotations

from typing import Final

from openaoc.api.decisions import Deciding, Thing, creation, decision, look
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

BODY_BYTES_MAX: Final = 64 << 10
OPERATION: Final = Thing("name", "operation", check_object_id)


@creation(
    "/v1/operations",
    words="Drafted",
    purpose="open an operation",
    summary="Draft a joint operation with partner centres, as its lead",
    description="It narrows the standing agreements and widens none; two persons approve it.",
    body_bytes_max=BODY_BYTES_MAX,
)
def open_operation(on: Deciding, said: NewOperation) -> Operation:
    """Nobody hears of it yet."""
    return on.centre.between.together.operations.open(on.tx, said)


@look(
    "/v1/operations",
    words="One page",
    purpose="list operations",
    summary="Joint operations, newest first",
    paged=True,
)
def list_operations(on: Deciding) -> OperationList:
    """Of those this person may see."""
    return on.centre.between.together.operations.list(on.tx, on.page)


@look(
    "/v1/operations/{name:str}",
    on=OPERATION,
    words="As known here now",
    purpose="look at an operation",
    summary="An operation with its members, timeline and results",
)
def show_operation(on: Deciding) -> OperationView:
    """The timeline is the same in each centre that may have its entries."""
    return on.centre.between.together.operations.show(on.tx, on.id)


@decision(
    "/v1/operations/{name:str}/act",
    on=OPERATION,
    words="The operation now",
    purpose="decide on an operation",
    summary="Approve, accept, refuse, leave or close an operation",
    description="Approving, accepting and closing take two persons; leaving and refusing one.",
    body_bytes_max=BODY_BYTES_MAX,
)
def act_on_operation(on: Deciding, said: ActSaid) -> Operation:
    """A person's word."""
    return on.centre.between.together.operations.act(on.tx, on.id, said)


@creation(
    "/v1/operations/{name:str}/entries",
    on=OPERATION,
    words="Recorded",
    purpose="record an operation",
    summary="Record what was done; partners get of it what may leave",
    body_bytes_max=BODY_BYTES_MAX,
)
def record_entry(on: Deciding, said: NewEntry) -> Entry:
    """An entry of ours."""
    return on.centre.between.together.operations.record(on.tx, on.id, said)


HANDLERS: Final = (
    open_operation,
    list_operations,
    show_operation,
    act_on_operation,
    record_entry,
)
