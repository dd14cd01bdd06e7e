"""API: hold orders: what institutions see and answer, and what people of the centre decide.

Row-level security shows an institution its own orders alone, whatever a handler asks for.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from litestar import get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import Parameter
from msgspec import Meta

from openaoc.api.access import BEARER, centre_of, need_id, signed_in
from openaoc.api.bodies import Body
from openaoc.api.decisions import ORDER, Deciding, decision
from openaoc.api.paging import Cursor, Limit
from openaoc.api.problems import ApiRequest, Problem, problem_of, problems
from openaoc.api.signatures import Signature, read_signature
from openaoc.api.wire import ConversionRequest, ExtensionRequest, ReleaseRequest
from openaoc.channels.model import InlineAnswer
from openaoc.holds.model import Answer, OrderPage, OrderState, OrderView
from openaoc.kernel.errors import OpenAOCError
from openaoc.kernel.limits import BANK_CHARACTERS_MAX
from openaoc.parties.permissions import Permission, require
from openaoc.workflow.answering import given_of

ANSWER_BODY_BYTES_MAX: Final = 1 << 20
ANSWERS_BODY_BYTES_MAX: Final = 4 << 20
ANSWERS_PER_REQUEST_MAX: Final = 200

CaseFilter = Annotated[str | None, Parameter(query="case", max_length=64, required=False)]
InstitutionFilter = Annotated[
    str | None, Parameter(query="institution", max_length=BANK_CHARACTERS_MAX, required=False)
]


class AnswerList(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Answers to several orders; each `answer` has the form of a single one's body."""

    answers: Annotated[list[InlineAnswer], Meta(min_length=1, max_length=ANSWERS_PER_REQUEST_MAX)]


class AnswerOutcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one answer: the order's state and what is held now, or why it was refused."""

    order: str
    state: str | None = None
    held_minor: int | None = None
    refused: Problem | None = None


class AnswerOutcomes(msgspec.Struct, frozen=True, kw_only=True):
    """One for each answer, in their order."""

    answers: list[AnswerOutcome]


@get(
    "/v1/holds",
    guards=[signed_in],
    security=BEARER,
    tags=["holds"],
    summary="List hold orders, newest first",
    description="A liaison's desk: an institution's people see the orders addressed to it.",
    responses={
        200: ResponseSpec(OrderPage, description="One page", generate_examples=False),
        **problems(401, 403),
    },
    sync_to_thread=True,
)
def list_holds(
    request: ApiRequest,
    case: CaseFilter = None,
    institution: InstitutionFilter = None,
    order_state: Annotated[OrderState | None, Parameter(query="state", required=False)] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> OrderPage:
    """One page of the orders that the actor may see."""
    centre = centre_of(request)
    with centre.uow.read(request.user, purpose="list orders") as tx:
        return centre.matter.holds.list(
            tx, case=case, institution=institution, state=order_state, cursor=cursor, limit=limit
        )


@get(
    "/v1/holds/{order:str}",
    guards=[signed_in],
    security=BEARER,
    tags=["holds"],
    summary="Show a hold order",
    description="To an institution, another's order is not there.",
    responses={
        200: ResponseSpec(OrderView, description="The order", generate_examples=False),
        **problems(401, 403, 404),
    },
    sync_to_thread=True,
)
def show_hold(request: ApiRequest, order: str) -> OrderView:
    """One order as the actor may see it."""
    order_id = need_id(order, what="order")
    centre = centre_of(request)
    with centre.uow.read(request.user, purpose="show an order") as tx:
        return centre.matter.holds.show(tx, order_id)


@post(
    "/v1/holds/{order:str}/answers",
    guards=[signed_in],
    dto=Body[Answer],
    return_dto=None,
    status_code=200,
    request_max_body_size=ANSWER_BODY_BYTES_MAX,
    security=BEARER,
    tags=["holds"],
    summary="Answer an order",
    description=(
        "The same answer again changes nothing. An institution that registered a public key signs "
        "each request anew: a signature is accepted once."
    ),
    responses={
        200: ResponseSpec(OrderView, description="The order now", generate_examples=False),
        **problems(401, 403, 404, 409, 413, 415),
    },
    sync_to_thread=True,
)
def answer(
    request: ApiRequest, order: str, data: Answer, body: bytes, signature: Signature = None
) -> OrderView:
    """Take an institution's answer, in the transaction of its signature's nonce."""
    order_id = need_id(order, what="order")
    require(request.user, Permission.HOLD_ANSWER)
    verified = read_signature(request, body=body, header=signature)
    return centre_of(request).answering.answer(
        order_id, data, actor=request.user, verified=verified
    )


@post(
    "/v1/holds/answers",
    guards=[signed_in],
    dto=Body[AnswerList],
    return_dto=None,
    status_code=200,
    request_max_body_size=ANSWERS_BODY_BYTES_MAX,
    security=BEARER,
    tags=["holds"],
    summary="Answer many orders at once",
    description=(
        f"At most {ANSWERS_PER_REQUEST_MAX} answers, signed together. Each is taken or refused for "
        "itself, as if it had come alone: look at `refused` of each."
    ),
    responses={
        200: ResponseSpec(AnswerOutcomes, description="By answer", generate_examples=False),
        **problems(401, 403, 413, 415),
    },
    sync_to_thread=True,
)
def answer_many(
    request: ApiRequest, data: AnswerList, body: bytes, signature: Signature = None
) -> AnswerOutcomes:
    """Take an institution's answers, in one transaction with the nonce of their signature."""
    require(request.user, Permission.HOLD_ANSWER)
    verified = read_signature(request, body=body, header=signature)
    taken = centre_of(request).answering.answer_many(
        map(given_of, data.answers), actor=request.user, verified=verified
    )
    return AnswerOutcomes(
        answers=[
            AnswerOutcome(order=told.order, refused=problem_of(result))
            if isinstance(result, OpenAOCError)
            else AnswerOutcome(
                order=result.id, state=result.state.value, held_minor=result.held_minor
            )
            for told, result in zip(data.answers, taken, strict=True)
        ]
    )


@decision(
    "/v1/holds/{order:str}/release",
    on=ORDER,
    words="The order now",
    purpose="release a hold",
    summary="Release a hold",
)
def release(made: Deciding, asked: ReleaseRequest) -> OrderView:
    """Give the money back to its holder; one person is enough."""
    return made.centre.matter.holds.release(made.tx, made.id, asked.reason)


@post(
    "/v1/holds/{order:str}/approve",
    guards=[signed_in],
    status_code=200,
    security=BEARER,
    tags=["holds"],
    summary="Approve an order that waits for a person",
    responses={
        200: ResponseSpec(OrderView, description="The order now", generate_examples=False),
        **problems(401, 403, 404, 409),
    },
    sync_to_thread=True,
)
def approve(request: ApiRequest, order: str) -> OrderView:
    """Agree to a drafted order; it goes out when all whom its rule asks for have agreed."""
    order_id = need_id(order, what="order")
    centre = centre_of(request)
    with centre.uow.begin(request.user, purpose="approve an order") as tx:
        return centre.matter.holds.approve(tx, order_id)


@decision(
    "/v1/holds/{order:str}/withdraw",
    on=ORDER,
    words="The order now",
    purpose="withdraw an order",
    summary="Withdraw an order that is not answered yet",
)
def withdraw(made: Deciding, asked: ReleaseRequest) -> OrderView:
    """Take an order back before it is applied."""
    return made.centre.matter.holds.withdraw(made.tx, made.id, asked.reason)


@decision(
    "/v1/holds/{order:str}/convert",
    on=ORDER,
    words="The order now",
    purpose="convert a hold",
    summary="Convert a hold into a court's or authority's measure",
)
def convert(made: Deciding, asked: ConversionRequest) -> OrderView:
    """End our hold where a court's or authority's measure stands in its place."""
    return made.centre.matter.holds.convert(
        made.tx, made.id, authority=asked.authority, reason=asked.reason
    )


@decision(
    "/v1/holds/{order:str}/extend",
    on=ORDER,
    words="The order now",
    purpose="make a hold longer",
    summary="Make a hold longer by a court's or authority's measure",
)
def extend(made: Deciding, asked: ExtensionRequest) -> OrderView:
    """The hold stands until the measure ends; the institution gets a new revision."""
    return made.centre.matter.holds.extend(
        made.tx, made.id, until=asked.until, authority=asked.authority, reason=asked.reason
    )


HANDLERS: Final = (
    list_holds,
    show_hold,
    answer,
    answer_many,
    release,
    approve,
    withdraw,
    convert,
    extend,
)
