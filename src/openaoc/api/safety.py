"""API: breakers, undo, and orders read over the telephone.

Decides nothing: who may stop, take back or answer by voice stands in the stages.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from litestar import Response, get, post
from litestar.params import Parameter

from openaoc.api.access import (
    BEARER,
    IdempotencyKey,
    centre_of,
    limited,
    need_id,
    need_key,
    signed_in,
)
from openaoc.api.bodies import Body
from openaoc.api.paging import Cursor, Limit
from openaoc.api.problems import ApiRequest, described, problems
from openaoc.api.reports import REPLAYED
from openaoc.api.wire import CaseDecision
from openaoc.channels.idempotency import once
from openaoc.holds.model import HolderNotice, OrderView
from openaoc.holds.notices import own_notice
from openaoc.holds.telephone import Checked, OrderCheck, Paper, PhoneAnswer
from openaoc.kernel.actor import CITIZEN
from openaoc.safety.model import (
    Breaker,
    BreakerChange,
    BreakerList,
    Preview,
    RunList,
    RunView,
    Selection,
    TouchedPage,
    UndoRequest,
)
from openaoc.web.paper import render_paper
from openaoc.web.rates import ORDER_CHECKS
from openaoc.web.words import LANGUAGES

BODY_BYTES_MAX: Final = 16 << 10
HTML: Final = "text/html; charset=utf-8"


@get(
    "/v1/breakers",
    guards=[signed_in],
    security=BEARER,
    tags=["safety"],
    summary="Every breaker there ever was, the open ones first, and the limits",
    responses={**described(BreakerList, "Now"), **problems(401, 403)},
    sync_to_thread=True,
)
def list_breakers(request: ApiRequest) -> BreakerList:
    """The breakers."""
    centre = centre_of(request)
    with centre.uow.read(request.user, purpose="list breakers") as tx:
        return centre.matter.breakers.list(tx)


@post(
    "/v1/breakers/open",
    guards=[signed_in],
    dto=Body[BreakerChange],
    return_dto=None,
    status_code=200,
    request_max_body_size=BODY_BYTES_MAX,
    security=BEARER,
    tags=["safety"],
    summary="Stop automatic orders of a scope at once; one person is enough",
    responses={**described(Breaker, "Open"), **problems(401, 403, 413, 415)},
    sync_to_thread=True,
)
def open_breaker(request: ApiRequest, data: BreakerChange) -> Breaker:
    """What would go out by itself waits for a person from now on."""
    centre = centre_of(request)
    with centre.uow.begin(request.user, purpose="open a breaker") as tx:
        return centre.matter.breakers.open(tx, data.scope, reason=data.reason)


@post(
    "/v1/breakers/close",
    guards=[signed_in],
    dto=Body[BreakerChange],
    return_dto=None,
    status_code=200,
    request_max_body_size=BODY_BYTES_MAX,
    security=BEARER,
    tags=["safety"],
    summary="Let automatic orders of a scope go out again",
    responses={**described(Breaker, "Closed"), **problems(401, 403, 409, 413, 415)},
    sync_to_thread=True,
)
def close_breaker(request: ApiRequest, data: BreakerChange) -> Breaker:
    """With `resume` what it caught goes out too, where it still stands."""
    centre = centre_of(request)
    with centre.uow.begin(request.user, purpose="close a breaker") as tx:
        return centre.matter.breakers.close(tx, data.scope, reason=data.reason, resume=data.resume)


@post(
    "/v1/undo/preview",
    guards=[signed_in],
    dto=Body[Selection],
    return_dto=None,
    status_code=200,
    request_max_body_size=BODY_BYTES_MAX,
    security=BEARER,
    tags=["safety"],
    summary="What an undo would touch now; changes nothing",
    responses={**described(Preview, "Sums and the first orders"), **problems(401, 403, 413, 415)},
    sync_to_thread=True,
)
def preview_undo(request: ApiRequest, data: Selection) -> Preview:
    """The dry run."""
    centre = centre_of(request)
    with centre.uow.read(request.user, purpose="preview an undo") as tx:
        return centre.matter.undo.preview(tx, data)


@post(
    "/v1/undo",
    guards=[signed_in],
    dto=Body[UndoRequest],
    return_dto=None,
    request_max_body_size=BODY_BYTES_MAX,
    security=BEARER,
    tags=["safety"],
    summary="Propose to take back what a rule, reporter, partner or institution caused",
    responses={**described(RunView, "Proposed", 201), **problems(401, 403, 409, 413, 415)},
    sync_to_thread=True,
)
def propose_undo(
    request: ApiRequest, data: UndoRequest, idempotency_key: IdempotencyKey = None
) -> Response[RunView]:
    """Nothing happens before a second person agrees."""
    centre = centre_of(request)
    asked = once(
        actor=request.user.id,
        route="undo",
        key=need_key(idempotency_key),
        content=msgspec.json.encode(data),
    )
    with centre.uow.begin(request.user, purpose="propose an undo") as tx:
        earlier = asked.earlier(tx, RunView)
        if earlier is not None:
            return Response(earlier, status_code=201, headers={REPLAYED: "true"})
        proposed = centre.matter.undo.propose(tx, data)
        asked.answered(tx, proposed)
    return Response(proposed, status_code=201)


@get(
    "/v1/undo",
    guards=[signed_in],
    security=BEARER,
    tags=["safety"],
    summary="The newest undos",
    responses={**described(RunList, "At most 100"), **problems(401, 403)},
    sync_to_thread=True,
)
def list_undos(request: ApiRequest) -> RunList:
    """Proposed, running and done."""
    centre = centre_of(request)
    with centre.uow.read(request.user, purpose="list undos") as tx:
        return centre.matter.undo.list(tx)


@get(
    "/v1/undo/{undo:str}",
    guards=[signed_in],
    security=BEARER,
    tags=["safety"],
    summary="How far an undo is",
    responses={**described(RunView, "Now"), **problems(401, 403, 404)},
    sync_to_thread=True,
)
def show_undo(request: ApiRequest, undo: str) -> RunView:
    """One undo."""
    run_id, centre = need_id(undo, what="undo"), centre_of(request)
    with centre.uow.read(request.user, purpose="show an undo") as tx:
        return centre.matter.undo.show(tx, run_id)


@get(
    "/v1/undo/{undo:str}/touched",
    guards=[signed_in],
    security=BEARER,
    tags=["safety"],
    summary="Whom an undo touched, in the order in which it did",
    responses={**described(TouchedPage, "One page"), **problems(401, 403, 404)},
    sync_to_thread=True,
)
def touched(
    request: ApiRequest, undo: str, cursor: Cursor = None, limit: Limit = 50
) -> TouchedPage:
    """Orders with their accounts and amounts."""
    run_id, centre = need_id(undo, what="undo"), centre_of(request)
    with centre.uow.read(request.user, purpose="list whom an undo touched") as tx:
        return centre.matter.undo.touched(tx, run_id, cursor=cursor, limit=limit)


@post(
    "/v1/undo/{undo:str}/approve",
    guards=[signed_in],
    status_code=200,
    security=BEARER,
    tags=["safety"],
    summary="Agree to an undo as the second person: it begins",
    responses={**described(RunView, "Running"), **problems(401, 403, 404, 409)},
    sync_to_thread=True,
)
def approve_undo(request: ApiRequest, undo: str) -> RunView:
    """What caused it is stopped in the same transaction."""
    run_id, centre = need_id(undo, what="undo"), centre_of(request)
    with centre.uow.begin(request.user, purpose="approve an undo") as tx:
        started = centre.matter.undo.approve(tx, run_id)
        tx.after_commit(centre.matter.duties.wake_all)
        return started


@post(
    "/v1/undo/{undo:str}/drop",
    guards=[signed_in],
    dto=Body[CaseDecision],
    return_dto=None,
    status_code=200,
    request_max_body_size=BODY_BYTES_MAX,
    security=BEARER,
    tags=["safety"],
    summary="Take a proposed undo back",
    responses={**described(RunView, "Dropped"), **problems(401, 403, 404, 409, 413, 415)},
    sync_to_thread=True,
)
def drop_undo(request: ApiRequest, undo: str, data: CaseDecision) -> RunView:
    """Only before it runs."""
    run_id, centre = need_id(undo, what="undo"), centre_of(request)
    with centre.uow.begin(request.user, purpose="drop an undo") as tx:
        return centre.matter.undo.drop(tx, run_id, reason=data.reason)


@get(
    "/v1/holds/{order:str}/notice",
    guards=[signed_in],
    security=BEARER,
    tags=["holds"],
    summary="What the holder is to be told, with the contest code: for the holder's institution",
    responses={**described(HolderNotice, "Pass it on"), **problems(401, 403, 404)},
    sync_to_thread=True,
)
def notice(request: ApiRequest, order: str) -> HolderNotice:
    """The notice that went out with the order, for a liaison without a system."""
    order_id, centre = need_id(order, what="order"), centre_of(request)
    with centre.uow.read(request.user, purpose="read a holder's notice") as tx:
        return own_notice(tx, order_id, centre.matter.holds.codes)


@post(
    "/v1/holds/{order:str}/paper",
    guards=[signed_in],
    status_code=200,
    security=BEARER,
    tags=["safety"],
    summary="An order to read over the telephone, with its check code; journalled",
    responses={**described(Paper, "As it stands now"), **problems(401, 403, 404, 409)},
    sync_to_thread=True,
)
def paper(request: ApiRequest, order: str) -> Paper:
    """The order as data."""
    order_id, centre = need_id(order, what="order"), centre_of(request)
    with centre.uow.begin(request.user, purpose="print an order") as tx:
        return centre.matter.telephone.paper(tx, order_id)


@post(
    "/v1/holds/{order:str}/paper.html",
    guards=[signed_in],
    status_code=200,
    security=BEARER,
    tags=["safety"],
    summary="The same as a page to print (A4); `lang` is th or en",
    media_type=HTML,
    responses=problems(401, 403, 404, 409),
    sync_to_thread=True,
)
def paper_page(
    request: ApiRequest,
    order: str,
    lang: Annotated[str | None, Parameter(query="lang", max_length=2, required=False)] = None,
) -> Response[str]:
    """One self-contained page: it asks for nothing from anywhere."""
    order_id, centre = need_id(order, what="order"), centre_of(request)
    with centre.uow.begin(request.user, purpose="print an order") as tx:
        printed = centre.matter.telephone.paper(tx, order_id)
    language = lang if lang in LANGUAGES else LANGUAGES[0]
    return Response(render_paper(printed, language=language), media_type=HTML)


@post(
    "/v1/holds/{order:str}/telephone-answer",
    guards=[signed_in],
    dto=Body[PhoneAnswer],
    return_dto=None,
    status_code=200,
    request_max_body_size=BODY_BYTES_MAX,
    security=BEARER,
    tags=["safety"],
    summary="Type in what a silent institution answered by telephone",
    description="Its system's own answer, when it comes, is the one that counts.",
    responses={**described(OrderView, "The order now"), **problems(401, 403, 404, 409, 413, 415)},
    sync_to_thread=True,
)
def telephone_answer(request: ApiRequest, order: str, data: PhoneAnswer) -> OrderView:
    """Who was spoken to is sealed; who typed it is journalled."""
    order_id, centre = need_id(order, what="order"), centre_of(request)
    with centre.uow.begin(request.user, purpose="an answer by telephone") as tx:
        view = centre.matter.telephone.answer(tx, order_id, data)
        centre.channels.settle(tx, subject=order_id)
        return view


@post(
    "/v1/orders/check",
    guards=[limited(ORDER_CHECKS)],
    dto=Body[OrderCheck],
    return_dto=None,
    status_code=200,
    request_max_body_size=BODY_BYTES_MAX,
    tags=["safety"],
    summary="Whether an order read over the telephone stands as it was read: valid or not",
    responses={**described(Checked, "No more than that"), **problems(413, 415)},
    sync_to_thread=True,
)
def check_order(request: ApiRequest, data: OrderCheck) -> Checked:
    """For a bank's desk, without a key."""
    centre = centre_of(request)
    with centre.uow.read(CITIZEN, purpose="check an order read by telephone") as tx:
        return centre.matter.telephone.check(tx, data)


HANDLERS: Final = (
    notice,
    list_breakers,
    open_breaker,
    close_breaker,
    preview_undo,
    propose_undo,
    list_undos,
    show_undo,
    touched,
    approve_undo,
    drop_undo,
    paper,
    paper_page,
    telephone_answer,
    check_order,
)
