"""API: breakers, undo, and orders read over the telephone.

Decides nothing: who may stop, take back or answer by voice stands in the stages.
"""

from __future__ import annotations

from typing import Annotated, Final

from litestar import Response, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from openaoc.api.access import (
    BEARER,
    centre_of,
    limited,
    need_id,
    signed_in,
)
from openaoc.api.again import again
from openaoc.api.bodies import Body
from openaoc.api.decisions import ORDER, Deciding, Thing, act, creation, decision, look
from openaoc.api.paging import Cursor, Limit
from openaoc.api.problems import ApiRequest, described, problems
from openaoc.api.wire import Why
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
UNDO: Final = Thing("undo", "undo")


@look(
    "/v1/breakers",
    words="Now",
    purpose="list breakers",
    summary="Every breaker there ever was, the open ones first, and the limits",
    tag="safety",
)
def list_breakers(on: Deciding) -> BreakerList:
    """The breakers."""
    return on.centre.matter.breakers.list(on.tx)


@decision(
    "/v1/breakers/open",
    on=None,
    words="Open",
    purpose="open a breaker",
    summary="Stop automatic orders of a scope at once; one person is enough",
    tag="safety",
)
def open_breaker(on: Deciding, said: BreakerChange) -> Breaker:
    """What would go out by itself waits for a person from now on."""
    return on.centre.matter.breakers.open(on.tx, said.scope, reason=said.reason)


@decision(
    "/v1/breakers/close",
    on=None,
    words="Closed",
    purpose="close a breaker",
    summary="Let automatic orders of a scope go out again",
    tag="safety",
)
def close_breaker(on: Deciding, said: BreakerChange) -> Breaker:
    """With `resume` what it caught goes out too, where it still stands."""
    return on.centre.matter.breakers.close(
        on.tx, said.scope, reason=said.reason, resume=said.resume
    )


@decision(
    "/v1/undo/preview",
    on=None,
    words="Sums and the first orders",
    purpose="preview an undo",
    summary="What an undo would touch now; changes nothing",
    tag="safety",
    changes=False,
)
def preview_undo(on: Deciding, said: Selection) -> Preview:
    """The dry run."""
    return on.centre.matter.undo.preview(on.tx, said)


@creation(
    "/v1/undo",
    words="Proposed",
    purpose="propose an undo",
    summary="Propose to take back what a rule, reporter, partner or institution caused",
    tag="safety",
)
def propose_undo(on: Deciding, said: UndoRequest) -> RunView:
    """Nothing happens before a second person agrees."""
    return on.centre.matter.undo.propose(on.tx, said)


@look(
    "/v1/undo",
    words="At most 100",
    purpose="list undos",
    summary="The newest undos",
    tag="safety",
)
def list_undos(on: Deciding) -> RunList:
    """Proposed, running and done."""
    return on.centre.matter.undo.list(on.tx)


@look(
    "/v1/undo/{undo:str}",
    on=UNDO,
    words="Now",
    purpose="show an undo",
    summary="How far an undo is",
    tag="safety",
)
def show_undo(on: Deciding) -> RunView:
    """One undo."""
    return on.centre.matter.undo.show(on.tx, on.id)


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
    request: ApiRequest, undo: FromPath[str], cursor: Cursor = None, limit: Limit = 50
) -> TouchedPage:
    """Orders with their accounts and amounts."""
    run_id, centre = need_id(undo, what="undo"), centre_of(request)
    with centre.uow.read(request.user, purpose="list whom an undo touched") as tx:
        return centre.matter.undo.touched(tx, run_id, cursor=cursor, limit=limit)


@act(
    "/v1/undo/{undo:str}/approve",
    on=UNDO,
    words="Running",
    purpose="approve an undo",
    summary="Agree to an undo as the second person: it begins",
    tag="safety",
)
def approve_undo(on: Deciding) -> RunView:
    """What caused it is stopped in the same transaction."""
    started = on.centre.matter.undo.approve(on.tx, on.id)
    on.tx.after_commit(on.centre.matter.duties.wake_all)
    return started


@decision(
    "/v1/undo/{undo:str}/drop",
    on=UNDO,
    words="Dropped",
    purpose="drop an undo",
    summary="Take a proposed undo back",
    tag="safety",
)
def drop_undo(on: Deciding, said: Why) -> RunView:
    """Only before it runs."""
    return on.centre.matter.undo.drop(on.tx, on.id, reason=said.reason)


@look(
    "/v1/holds/{order:str}/notice",
    on=ORDER,
    words="Pass it on",
    purpose="read a holder's notice",
    summary="What the holder is to be told, with the contest code: for the holder's institution",
)
def notice(on: Deciding) -> HolderNotice:
    """The notice that went out with the order, for a liaison without a system."""
    return own_notice(on.tx, on.id, on.centre.matter.holds.codes)


@act(
    "/v1/holds/{order:str}/paper",
    on=ORDER,
    words="As it stands now",
    purpose="print an order",
    summary="An order to read over the telephone, with its check code; journalled",
    tag="safety",
)
def paper(on: Deciding) -> Paper:
    """The order as data."""
    return on.centre.matter.telephone.paper(on.tx, on.id)


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
@again
def paper_page(
    request: ApiRequest,
    order: FromPath[str],
    lang: Annotated[str | None, QueryParameter(name="lang", max_length=2, required=False)] = None,
) -> Response[str]:
    """One self-contained page: it asks for nothing from anywhere."""
    order_id, centre = need_id(order, what="order"), centre_of(request)
    with centre.uow.begin(request.user, purpose="print an order") as tx:
        printed = centre.matter.telephone.paper(tx, order_id)
    language = lang if lang in LANGUAGES else LANGUAGES[0]
    return Response(render_paper(printed, language=language), media_type=HTML)


@decision(
    "/v1/holds/{order:str}/telephone-answer",
    on=ORDER,
    words="The order now",
    purpose="an answer by telephone",
    summary="Type in what a silent institution answered by telephone",
    description="Its system's own answer, when it comes, is the one that counts.",
    tag="safety",
)
def telephone_answer(on: Deciding, said: PhoneAnswer) -> OrderView:
    """Who was spoken to is sealed; who typed it is journalled."""
    view = on.centre.matter.telephone.answer(on.tx, on.id, said)
    on.centre.channels.settle(on.tx, subject=on.id)
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
def check_order(request: ApiRequest, data: JSONBody[OrderCheck]) -> Checked:
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
