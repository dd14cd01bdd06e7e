"""API: take-downs: staff draft, approve, look and take back; partners read theirs and answer.

Decides nothing: who may, stands in the stage. A partner's user sees its own alone.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath, HeaderParameter, QueryParameter, RawBody

from openaoc.api.access import BEARER, centre_of, need_id, own_partner, signed_in
from openaoc.api.again import again
from openaoc.api.agreements import BODY_BYTES_MAX, PartnerFilter
from openaoc.api.bodies import media_type
from openaoc.api.decisions import Deciding, Thing, creation, decision, look
from openaoc.api.paging import Cursor, Limit
from openaoc.api.problems import ApiRequest, UnsupportedType, described, problems
from openaoc.api.wire import Why
from openaoc.channels.keys import EXERCISE
from openaoc.exchange.model import PartnerCode, Reason
from openaoc.exchange.takedowns.documents import Form, document
from openaoc.exchange.takedowns.model import (
    RECEIPT_BYTES_MAX,
    Answer,
    NewTakedown,
    PartnerTakedown,
    PartnerTakedowns,
    ReceivedTakedown,
    ReceivedTakedowns,
    State,
    Takedown,
    TakedownList,
)
from openaoc.exchange.takedowns.receipts import Receipts
from openaoc.kernel.actor import SYSTEM
from openaoc.parties.permissions import Permission, require
from openaoc.workflow.outreach import Outreach

TAKEDOWN: Final = Thing("takedown", "take-down")
RECEIPT_SIGNATURE: Final = "Receipt-Signature"
OneState = Annotated[State | None, QueryParameter(name="state", required=False)]
Overdue = Annotated[
    bool,
    QueryParameter(
        name="overdue", required=False, description="Only what a clock has run out for."
    ),
]
OneForm = Annotated[Form, QueryParameter(name="form", description="In which form.")]
Signed = Annotated[
    str | None,
    HeaderParameter(
        name=RECEIPT_SIGNATURE,
        max_length=4_096,
        required=False,
        description=(
            "Detached JWS over the body by a verified key of the partner, method `RECEIPT`, path "
            "the take-down's id: the receipt is then the partner's own signed word."
        ),
    ),
]


class Looked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a person saw: it is gone, or there still or again."""

    gone: bool
    reason: Reason


class TakenBack(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why it is taken back; `wrong`: it should not have been asked, and is counted as wrong."""

    reason: Reason
    wrong: bool


class ObjectionDecision(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether the owner was right, and why."""

    upheld: bool
    reason: Reason


class ReceivedAnswer(Answer, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was done here about a partner's request."""

    partner: PartnerCode


def _outreach(request: ApiRequest) -> Outreach:
    return centre_of(request).between.outreach


@creation(
    "/v1/takedowns",
    words="A draft; nobody outside sees it",
    purpose="draft a take-down",
    summary="Draft a take-down of a confirmed indicator, to one partner",
    body_bytes_max=BODY_BYTES_MAX,
)
def draft_takedown(on: Deciding, said: NewTakedown) -> Takedown:
    """Nothing leaves before a person approves it."""
    return on.centre.between.outreach.takedowns.asking.draft(on.tx, said)


@get(
    "/v1/takedowns",
    guards=[signed_in],
    security=BEARER,
    tags=["takedowns"],
    summary="Take-downs, newest first",
    responses={**described(TakedownList, "One page"), **problems(401, 403)},
    sync_to_thread=True,
)
def list_takedowns(
    request: ApiRequest,
    partner: PartnerFilter = None,
    asked_state: OneState = None,
    cursor: Cursor = None,
    limit: Limit = 50,
    *,
    overdue: Overdue = False,
) -> TakedownList:
    """One page."""
    with centre_of(request).uow.read(request.user, purpose="list take-downs") as tx:
        return _outreach(request).takedowns.asking.page(
            tx, partner=partner, state=asked_state, overdue=overdue, cursor=cursor, limit=limit
        )


@look(
    "/v1/takedowns/received",
    words="One page",
    purpose="list take-downs received",
    summary="What partners' centres ask to be taken down here, newest first",
    paged=True,
)
def received_takedowns(on: Deciding) -> ReceivedTakedowns:
    """One page."""
    return on.centre.between.outreach.takedowns.receiving.page(on.tx, on.page)


@look(
    "/v1/takedowns/{takedown:str}",
    on=TAKEDOWN,
    words="One",
    purpose="show a take-down",
    summary="One take-down with its receipts",
)
def show_takedown(on: Deciding) -> Takedown:
    """One."""
    return on.centre.between.outreach.takedowns.asking.show(on.tx, on.id)


@get(
    "/v1/takedowns/{takedown:str}/document",
    guards=[signed_in],
    security=BEARER,
    tags=["takedowns"],
    summary="The request as a document to hand over: XARF 4 JSON, or a letter",
    media_type="text/plain; charset=utf-8",
    responses=problems(401, 403, 404, 409),
    sync_to_thread=True,
)
@again
def takedown_document(request: ApiRequest, takedown: FromPath[str], form: OneForm) -> Response[str]:
    """Of what was released to the partner, and nothing else; that it was made is journalled."""
    centre, found = centre_of(request), need_id(takedown, what="take-down")
    require(request.user, Permission.TAKEDOWN_WORK)
    with centre.uow.begin(request.user, purpose="hand over a take-down") as tx:
        one = _outreach(request).takedowns.asking.show(tx, found)
        named = centre.settings.centre_code
        if centre.settings.exercise:
            named = EXERCISE + named
        text = document(one, form=form, centre=named, contact=centre.settings.contact)
        tx.journal(action="exchange.takedown.handed_over", subject=one.id, reason=form.value)
    kind = "application/json" if form is Form.XARF else "text/plain; charset=utf-8"
    return Response(text, media_type=kind)


@decision(
    "/v1/takedowns/{takedown:str}/approve",
    on=TAKEDOWN,
    words="The take-down now",
    purpose="approve a take-down",
    summary="Agree that it is sent; two persons where `two_persons` says why",
)
def approve_takedown(on: Deciding, said: Why) -> Takedown:
    """One person's word."""
    return on.centre.between.outreach.takedowns.asking.approve(on.tx, on.id, words=said.reason)


@decision(
    "/v1/takedowns/{takedown:str}/look",
    on=TAKEDOWN,
    words="Verified, or asked once more",
    purpose="look whether it is gone",
    summary="Say that it is gone, or there still or again",
)
def look_at_takedown(on: Deciding, said: Looked) -> Takedown:
    """A person looked."""
    takedowns = on.centre.between.outreach.takedowns.asking
    return takedowns.look(on.tx, on.id, gone=said.gone, words=said.reason)


@decision(
    "/v1/takedowns/{takedown:str}/withdraw",
    on=TAKEDOWN,
    words="Withdrawn",
    purpose="withdraw a take-down",
    summary="Take it back; a partner that did something is told to restore it",
)
def withdraw_takedown(on: Deciding, said: TakenBack) -> Takedown:
    """Who received it hears of it."""
    takedowns = on.centre.between.outreach.takedowns.asking
    return takedowns.withdraw(on.tx, on.id, words=said.reason, wrong=said.wrong)


@decision(
    "/v1/takedowns/{takedown:str}/objections",
    on=TAKEDOWN,
    words="With the objection and its clock",
    purpose="record an owner's objection",
    summary="An owner objects: record it, without the owner's name",
)
def object_to_takedown(on: Deciding, said: Why) -> Takedown:
    """Somebody else decides."""
    return on.centre.between.outreach.takedowns.asking.object(on.tx, on.id, words=said.reason)


@decision(
    "/v1/takedowns/{takedown:str}/objections/decide",
    on=TAKEDOWN,
    words="Upheld: withdrawn as wrong",
    purpose="decide an owner's objection",
    summary="Decide the open objections; upheld, it is withdrawn and restoring is asked",
)
def decide_objection(on: Deciding, said: ObjectionDecision) -> Takedown:
    """Not by whoever approved it."""
    takedowns = on.centre.between.outreach.takedowns.asking
    return takedowns.decide(on.tx, on.id, upheld=said.upheld, words=said.reason)


@decision(
    "/v1/takedowns/{takedown:str}/answer",
    on=TAKEDOWN,
    words="With the receipt",
    purpose="type in a partner's answer",
    summary="Type in what a partner without a system told; you answer for it",
)
def type_answer(on: Deciding, said: Answer) -> Takedown:
    """Nobody signed it."""
    return on.centre.between.outreach.takedowns.receipts.typed(on.tx, on.id, said)


@decision(
    "/v1/takedowns/received/{takedown:str}/answer",
    on=TAKEDOWN,
    words="With our receipt, signed and carried to who asked",
    purpose="answer a partner's take-down",
    summary="Say what was done here about a partner's request",
)
def answer_received(on: Deciding, said: ReceivedAnswer) -> ReceivedTakedown:
    """The partner's centre gets a signed receipt."""
    answer = Answer(**{name: getattr(said, name) for name in Answer.__struct_fields__})
    return on.centre.between.outreach.takedowns.receiving.answer(
        on.tx, on.id, answer, partner=said.partner
    )


# Partners.


@get(
    "/v1/exchange/takedowns",
    guards=[signed_in],
    security=BEARER,
    tags=["exchange"],
    summary="What a partner was asked to take down, newest first",
    responses={**described(PartnerTakedowns, "Its own"), **problems(401, 403)},
    sync_to_thread=True,
)
def partner_takedowns(
    request: ApiRequest, cursor: Cursor = None, limit: Limit = 50
) -> PartnerTakedowns:
    """For the partner's own users and systems."""
    own = own_partner(request)
    with centre_of(request).uow.read(request.user, purpose="a partner's take-downs") as tx:
        return _outreach(request).takedowns.asking.of_partner(tx, own, cursor=cursor, limit=limit)


@post(
    "/v1/exchange/takedowns/{takedown:str}/receipts",
    guards=[signed_in],
    status_code=200,
    request_max_body_size=RECEIPT_BYTES_MAX,
    security=BEARER,
    tags=["exchange"],
    summary="A partner's receipt: acknowledged, done, partly, refused, restored",
    description=(
        "JSON: takedown, number (1, 2, … of your words on it), outcome, done (for done and partly: "
        "removed, suspended, blocked, number-disconnected, reviewed, account-restricted, "
        "account-frozen), at, reason, reference. The same receipt again changes nothing."
    ),
    responses={
        **described(PartnerTakedown, "The take-down now"),
        **problems(401, 403, 404, 409, 413, 415),
    },
    sync_to_thread=True,
)
@again
def partner_receipt(
    request: ApiRequest, takedown: FromPath[str], body: RawBody, signature: Signed = None
) -> PartnerTakedown:
    """Kept to the byte, with its signature."""
    own, centre = own_partner(request), centre_of(request)
    if media_type(request) != "application/json":
        raise UnsupportedType("send application/json", where="Content-Type")
    receipts: Receipts = _outreach(request).takedowns.receipts
    with centre.uow.begin(SYSTEM, purpose=f"a receipt of {own}") as tx:
        receipts.take(
            tx,
            own,
            body=body,
            signature=signature,
            by=request.user.id,
            about=need_id(takedown, what="take-down"),
        )
    with centre.uow.read(request.user, purpose="a partner's take-down") as tx:
        return _outreach(request).takedowns.asking.asked_of(tx, own, takedown)


HANDLERS: Final = (
    draft_takedown,
    list_takedowns,
    received_takedowns,
    show_takedown,
    takedown_document,
    approve_takedown,
    look_at_takedown,
    withdraw_takedown,
    object_to_takedown,
    decide_objection,
    type_answer,
    answer_received,
    partner_takedowns,
    partner_receipt,
)
