"""API: hold orders: what institutions see and answer, and what people of the centre decide.

Row-level security shows an institution its own orders alone, whatever a handler asks for.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from litestar import get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody, QueryParameter, RawBody
from msgspec import Meta

from openaoc.api.access import BEARER, centre_of, need_id, signed_in
from openaoc.api.bodies import Body
from openaoc.api.decisions import ORDER, Deciding, act, decision, look
from openaoc.api.paging import Cursor, Limit
from openaoc.api.problems import ApiRequest, Problem, problem_of, problems
from openaoc.api.signatures import Signature, read_signature
from openaoc.api.wire import ConversionRequest, ExtensionRequest, Why
from openaoc.channels.model import InlineAnswer
from openaoc.holds.model import Answer, OrderPage, OrderState, OrderView
from openaoc.kernel.errors import OpenAOCError
from openaoc.kernel.limits import BANK_CHARACTERS_MAX
from openaoc.parties.permissions import Permission, require
from openaoc.workflow.answering import given_of

ANSWER_BODY_BYTES_MAX: Final = 1 << 20
ANSWERS_BODY_BYTES_MAX: Final = 4 << 20
ANSWERS_PER_REQUEST_MAX: Final = 200

CaseFilter = Annotated[str | None, QueryParameter(name="case", max_length=64, required=False)]
InstitutionFilter = Annotated[
    str | None, QueryParameter(name="institution", max_length=BANK_CHARACTERS_MAX, required=False)
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
    order_state: Annotated[OrderState | None, QueryParameter(name="state", required=False)] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> OrderPage:
    """One page of the orders that the actor may see."""
    centre = centre_of(request)
    with centre.uow.read(request.user, purpose="list orders") as tx:
        return centre.matter.holds.list(
            tx, case=case, institution=institution, state=order_state, cursor=cursor, limit=limit
        )


@look(
    "/v1/holds/{order:str}",
    on=ORDER,
    words="The order",
    purpose="show an order",
    summary="Show a hold order",
    description="To an institution, another's order is not there.",
)
def show_hold(on: Deciding) -> OrderView:
    """One order as the actor may see it."""
    return on.centre.matter.holds.show(on.tx, on.id)


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
    request: ApiRequest,
    order: FromPath[str],
    data: JSONBody[Answer],
    body: RawBody,
    signature: Signature = None,
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
    request: ApiRequest, data: JSONBody[AnswerList], body: RawBody, signature: Signature = None
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
    description=(
        "Staff of the centre get 409 `contest-open` while a contest of the hold is open: its "
        "decision may need two persons. An institution may release its own at any time."
    ),
)
def release(on: Deciding, said: Why) -> OrderView:
    """Give the money back to its holder; one person is enough while no contest of it is open."""
    return on.centre.matter.releasing.release(on.tx, on.id, said.reason)


@act(
    "/v1/holds/{order:str}/approve",
    on=ORDER,
    words="The order now",
    purpose="approve an order",
    summary="Approve an order that waits for a person",
)
def approve(on: Deciding) -> OrderView:
    """Agree to a drafted order; it goes out when all whom its rule asks for have agreed."""
    return on.centre.matter.holds.approve(on.tx, on.id)


@decision(
    "/v1/holds/{order:str}/withdraw",
    on=ORDER,
    words="The order now",
    purpose="withdraw an order",
    summary="Withdraw an order that is not answered yet",
    description="409 `contest-open` while a contest of the order is open: its decision ends it.",
)
def withdraw(on: Deciding, said: Why) -> OrderView:
    """Take an order back before it is applied."""
    return on.centre.matter.releasing.withdraw(on.tx, on.id, said.reason)


@decision(
    "/v1/holds/{order:str}/convert",
    on=ORDER,
    words="The order now",
    purpose="convert a hold",
    summary="Convert a hold into a court's or authority's measure",
)
def convert(on: Deciding, said: ConversionRequest) -> OrderView:
    """End our hold where a court's or authority's measure stands in its place."""
    return on.centre.matter.holds.convert(
        on.tx, on.id, authority=said.authority, reason=said.reason
    )


@decision(
    "/v1/holds/{order:str}/extend",
    on=ORDER,
    words="The order now",
    purpose="make a hold longer",
    summary="Make a hold longer by a court's or authority's measure",
)
def extend(on: Deciding, said: ExtensionRequest) -> OrderView:
    """The hold stands until the measure ends; the institution gets a new revision."""
    return on.centre.matter.holds.extend(
        on.tx, on.id, until=said.until, authority=said.authority, reason=said.reason
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
