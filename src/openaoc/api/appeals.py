"""API: contests of holds: the holder's without a login, the reviewers' with their keys.

Decides nothing: who may do what with a contest stands in the stage.
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
    key_or_citizen,
    need_id,
    need_key,
    signed_in,
)
from openaoc.api.bodies import Body
from openaoc.api.paging import Cursor, Limit
from openaoc.api.problems import ApiRequest, described, problems
from openaoc.api.reports import REPLAYED
from openaoc.appeals.model import (
    AppealPage,
    AppealState,
    AppealView,
    BlindList,
    BlindTask,
    BlindVerdict,
    BlindView,
    CompensationPage,
    Contest,
    ContestKey,
    ContestView,
    Decision,
    DrawList,
    Lateness,
    SecondWord,
    StatementList,
)
from openaoc.channels.idempotency import once
from openaoc.kernel.actor import CITIZEN
from openaoc.web.rates import CONTESTS

BODY_BYTES_MAX: Final = 32 << 10


@post(
    "/v1/appeals",
    guards=[key_or_citizen(CONTESTS)],
    dto=Body[Contest],
    return_dto=None,
    request_max_body_size=BODY_BYTES_MAX,
    security=[*BEARER, {}],
    tags=["appeals"],
    summary="Contest a hold with the order's number and the contest code of its notice",
    description=(
        "No login: who has the notice has the code. A wrong number and a wrong code are refused "
        "in the same words. While a contest is open, another adds its statement to it."
    ),
    responses={**described(ContestView, "Filed", 201), **problems(404, 409, 413, 415)},
    sync_to_thread=True,
)
def contest(
    request: ApiRequest, data: Contest, idempotency_key: IdempotencyKey = None
) -> Response[ContestView]:
    """Take a holder's contest, from themselves or from whoever passes it on."""
    centre = centre_of(request)
    asked = once(
        actor=request.user.id,
        route="appeals",
        key=need_key(idempotency_key),
        content=msgspec.json.encode(data),
    )
    with centre.uow.begin(CITIZEN, purpose="contest a hold") as tx:
        earlier = asked.earlier(tx, ContestView)
        if earlier is not None:
            return Response(earlier, status_code=201, headers={REPLAYED: "true"})
        filed = centre.matter.appeals.file(tx, data)
        asked.answered(tx, filed)
    return Response(filed, status_code=201)


@post(
    "/v1/appeals/status",
    guards=[key_or_citizen(CONTESTS)],
    dto=Body[ContestKey],
    return_dto=None,
    status_code=200,
    request_max_body_size=BODY_BYTES_MAX,
    security=[*BEARER, {}],
    tags=["appeals"],
    summary="How the contest of a hold stands, for its holder",
    description="A POST, so that the code stays out of addresses and logs.",
    responses={**described(ContestView, "Now"), **problems(404, 413, 415)},
    sync_to_thread=True,
)
def contest_status(request: ApiRequest, data: ContestKey) -> ContestView:
    """The newest contest of the hold."""
    centre = centre_of(request)
    with centre.uow.read(CITIZEN, purpose="look at one's contest") as tx:
        return centre.matter.appeals.status(tx, data)


@get(
    "/v1/appeals",
    guards=[signed_in],
    security=BEARER,
    tags=["appeals"],
    summary="List contests in order of filing; without a state those that are open",
    responses={**described(AppealPage, "One page"), **problems(401, 403)},
    sync_to_thread=True,
)
def list_appeals(
    request: ApiRequest,
    appeal_state: Annotated[AppealState | None, Parameter(query="state", required=False)] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> AppealPage:
    """One page of contests."""
    centre = centre_of(request)
    with centre.uow.read(request.user, purpose="list contests") as tx:
        return centre.matter.appeals.list(tx, state=appeal_state, cursor=cursor, limit=limit)


@get(
    "/v1/appeals/{appeal:str}",
    guards=[signed_in],
    security=BEARER,
    tags=["appeals"],
    summary="Show a contest with its evidence, without the holder's words",
    responses={**described(AppealView, "The contest"), **problems(401, 403, 404)},
    sync_to_thread=True,
)
def show_appeal(request: ApiRequest, appeal: str) -> AppealView:
    """One contest."""
    appeal_id, centre = need_id(appeal, what="contest"), centre_of(request)
    with centre.uow.read(request.user, purpose="show a contest") as tx:
        return centre.matter.appeals.show(tx, appeal_id)


@post(
    "/v1/appeals/{appeal:str}/statements",
    guards=[signed_in],
    dto=Body[Lateness],
    return_dto=None,
    status_code=200,
    request_max_body_size=BODY_BYTES_MAX,
    security=BEARER,
    tags=["appeals"],
    summary="Read the holder's words and contact; each look is journalled with its reason",
    responses={**described(StatementList, "Unsealed"), **problems(401, 403, 404, 413, 415)},
    sync_to_thread=True,
)
def statements(request: ApiRequest, appeal: str, data: Lateness) -> StatementList:
    """Unseal what the holder wrote."""
    appeal_id, centre = need_id(appeal, what="contest"), centre_of(request)
    with centre.uow.begin(request.user, purpose="read a holder's statement") as tx:
        return centre.matter.appeals.statements(tx, appeal_id, reason=data.reason)


@post(
    "/v1/appeals/{appeal:str}/take",
    guards=[signed_in],
    status_code=200,
    security=BEARER,
    tags=["appeals"],
    summary="Take a contest as its reviewer",
    responses={**described(AppealView, "Now"), **problems(401, 403, 404, 409)},
    sync_to_thread=True,
)
def take(request: ApiRequest, appeal: str) -> AppealView:
    """What the ledger says now is kept with the contest."""
    appeal_id, centre = need_id(appeal, what="contest"), centre_of(request)
    with centre.uow.begin(request.user, purpose="take a contest") as tx:
        return centre.matter.appeals.take(tx, appeal_id)


@post(
    "/v1/appeals/{appeal:str}/decision",
    guards=[signed_in],
    dto=Body[Decision],
    return_dto=None,
    status_code=200,
    request_max_body_size=BODY_BYTES_MAX,
    security=BEARER,
    tags=["appeals"],
    summary="Decide a contest, or propose a decision that needs a second person",
    responses={**described(AppealView, "Now"), **problems(401, 403, 404, 409, 413, 415)},
    sync_to_thread=True,
)
def decide(request: ApiRequest, appeal: str, data: Decision) -> AppealView:
    """Uphold, in whole or part, or refuse."""
    appeal_id, centre = need_id(appeal, what="contest"), centre_of(request)
    with centre.uow.begin(request.user, purpose="decide a contest") as tx:
        return centre.matter.appeals.decide(tx, appeal_id, data)


@post(
    "/v1/appeals/{appeal:str}/second",
    guards=[signed_in],
    dto=Body[SecondWord],
    return_dto=None,
    status_code=200,
    request_max_body_size=BODY_BYTES_MAX,
    security=BEARER,
    tags=["appeals"],
    summary="Agree to a proposed decision as the second person, or send it back",
    responses={**described(AppealView, "Now"), **problems(401, 403, 404, 409, 413, 415)},
    sync_to_thread=True,
)
def second(request: ApiRequest, appeal: str, data: SecondWord) -> AppealView:
    """The second person's word."""
    appeal_id, centre = need_id(appeal, what="contest"), centre_of(request)
    with centre.uow.begin(request.user, purpose="second a decision on a contest") as tx:
        return centre.matter.appeals.second(tx, appeal_id, data)


@post(
    "/v1/appeals/{appeal:str}/lateness",
    guards=[signed_in],
    dto=Body[Lateness],
    return_dto=None,
    status_code=200,
    request_max_body_size=BODY_BYTES_MAX,
    security=BEARER,
    tags=["appeals"],
    summary="Say why a contest is answered late",
    responses={**described(AppealView, "Now"), **problems(401, 403, 404, 413, 415)},
    sync_to_thread=True,
)
def explain_lateness(request: ApiRequest, appeal: str, data: Lateness) -> AppealView:
    """Counted among the late ones that have a reason."""
    appeal_id, centre = need_id(appeal, what="contest"), centre_of(request)
    with centre.uow.begin(request.user, purpose="explain a late answer") as tx:
        return centre.matter.appeals.explain_lateness(tx, appeal_id, data.reason)


@get(
    "/v1/compensations",
    guards=[signed_in],
    security=BEARER,
    tags=["appeals"],
    summary="Wrongful holds: how much, how long, what led to them; the newest first",
    responses={**described(CompensationPage, "The newest"), **problems(401, 403)},
    sync_to_thread=True,
)
def compensations(request: ApiRequest) -> CompensationPage:
    """The newest records."""
    centre = centre_of(request)
    with centre.uow.read(request.user, purpose="list wrongful holds") as tx:
        return centre.matter.appeals.compensations(tx)


@get(
    "/v1/blind-reviews",
    guards=[signed_in],
    security=BEARER,
    tags=["appeals"],
    summary="Holds drawn for blind review, those without a verdict first",
    responses={**described(BlindList, "At most 200"), **problems(401, 403)},
    sync_to_thread=True,
)
def blind_reviews(request: ApiRequest) -> BlindList:
    """Drawn holds."""
    centre = centre_of(request)
    with centre.uow.read(request.user, purpose="list blind reviews") as tx:
        return centre.matter.blind.list(tx)


@get(
    "/v1/blind-reviews/draws",
    guards=[signed_in],
    security=BEARER,
    tags=["appeals"],
    summary="The draws: each day's commitment, and its seed once it is made",
    responses={**described(DrawList, "At most 200"), **problems(401, 403)},
    sync_to_thread=True,
)
def draws(request: ApiRequest) -> DrawList:
    """The newest draws."""
    centre = centre_of(request)
    with centre.uow.read(request.user, purpose="list draws") as tx:
        return centre.matter.blind.draws(tx)


@post(
    "/v1/blind-reviews/{review:str}/take",
    guards=[signed_in],
    status_code=200,
    security=BEARER,
    tags=["appeals"],
    summary="Take a drawn hold: its facts, without the decision's reasons",
    responses={**described(BlindTask, "The facts"), **problems(401, 403, 404, 409)},
    sync_to_thread=True,
)
def take_blind(request: ApiRequest, review: str) -> BlindTask:
    """Whoever takes it judges it."""
    review_id, centre = need_id(review, what="review"), centre_of(request)
    with centre.uow.begin(request.user, purpose="take a blind review") as tx:
        return centre.matter.blind.take(tx, review_id)


@post(
    "/v1/blind-reviews/{review:str}/verdict",
    guards=[signed_in],
    dto=Body[BlindVerdict],
    return_dto=None,
    status_code=200,
    request_max_body_size=BODY_BYTES_MAX,
    security=BEARER,
    tags=["appeals"],
    summary="Judge a drawn hold",
    responses={**described(BlindView, "Judged"), **problems(401, 403, 404, 409, 413, 415)},
    sync_to_thread=True,
)
def judge_blind(request: ApiRequest, review: str, data: BlindVerdict) -> BlindView:
    """Record the verdict; a hold found wrong is contested for its holder."""
    review_id, centre = need_id(review, what="review"), centre_of(request)
    with centre.uow.begin(request.user, purpose="judge a hold blind") as tx:
        return centre.matter.blind.judge(tx, review_id, data)


HANDLERS: Final = (
    contest,
    contest_status,
    list_appeals,
    show_appeal,
    statements,
    take,
    decide,
    second,
    explain_lateness,
    compensations,
    blind_reviews,
    draws,
    take_blind,
    judge_blind,
)
