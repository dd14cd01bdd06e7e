"""API: contests of holds: the holder's without a login, the reviewers' with their keys.

Decides nothing: who may do what with a contest stands in the stage.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from litestar import Response, get, post
from litestar.params import JSONBody, QueryParameter

from openaoc.api.access import (
    BEARER,
    REPLAYED,
    IdempotencyKey,
    centre_of,
    key_or_citizen,
    need_key,
    signed_in,
)
from openaoc.api.again import again
from openaoc.api.bodies import Body
from openaoc.api.decisions import Deciding, Thing, act, decision, look
from openaoc.api.paging import Cursor, Limit
from openaoc.api.problems import ApiRequest, described, problems
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
CONTEST: Final = Thing("appeal", "contest")
REVIEW: Final = Thing("review", "review")


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
@again
def contest(
    request: ApiRequest, data: JSONBody[Contest], idempotency_key: IdempotencyKey = None
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
def contest_status(request: ApiRequest, data: JSONBody[ContestKey]) -> ContestView:
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
    appeal_state: Annotated[
        AppealState | None, QueryParameter(name="state", required=False)
    ] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> AppealPage:
    """One page of contests."""
    centre = centre_of(request)
    with centre.uow.read(request.user, purpose="list contests") as tx:
        return centre.matter.appeals.list(tx, state=appeal_state, cursor=cursor, limit=limit)


@look(
    "/v1/appeals/{appeal:str}",
    on=CONTEST,
    words="The contest",
    purpose="show a contest",
    summary="Show a contest with its evidence, without the holder's words",
)
def show_appeal(on: Deciding) -> AppealView:
    """One contest."""
    return on.centre.matter.appeals.show(on.tx, on.id)


@decision(
    "/v1/appeals/{appeal:str}/statements",
    on=CONTEST,
    words="Unsealed",
    purpose="read a holder's statement",
    summary="Read the holder's words and contact; each look is journalled with its reason",
    body_bytes_max=BODY_BYTES_MAX,
)
def statements(on: Deciding, said: Lateness) -> StatementList:
    """Unseal what the holder wrote."""
    return on.centre.matter.appeals.statements(on.tx, on.id, reason=said.reason)


@act(
    "/v1/appeals/{appeal:str}/take",
    on=CONTEST,
    words="Now",
    purpose="take a contest",
    summary="Take a contest as its reviewer",
)
def take(on: Deciding) -> AppealView:
    """What the ledger says now is kept with the contest."""
    return on.centre.matter.appeals.take(on.tx, on.id)


@decision(
    "/v1/appeals/{appeal:str}/decision",
    on=CONTEST,
    words="Now",
    purpose="decide a contest",
    summary="Decide a contest, or propose a decision that needs a second person",
    body_bytes_max=BODY_BYTES_MAX,
)
def decide(on: Deciding, said: Decision) -> AppealView:
    """Uphold, in whole or part, or refuse."""
    return on.centre.matter.appeals.decide(on.tx, on.id, said)


@decision(
    "/v1/appeals/{appeal:str}/second",
    on=CONTEST,
    words="Now",
    purpose="second a decision on a contest",
    summary="Agree to a proposed decision as the second person, or send it back",
    body_bytes_max=BODY_BYTES_MAX,
)
def second(on: Deciding, said: SecondWord) -> AppealView:
    """The second person's word."""
    return on.centre.matter.appeals.second(on.tx, on.id, said)


@decision(
    "/v1/appeals/{appeal:str}/lateness",
    on=CONTEST,
    words="Now",
    purpose="explain a late answer",
    summary="Say why a contest is answered late",
    body_bytes_max=BODY_BYTES_MAX,
)
def explain_lateness(on: Deciding, said: Lateness) -> AppealView:
    """Counted among the late ones that have a reason."""
    return on.centre.matter.appeals.explain_lateness(on.tx, on.id, said.reason)


@look(
    "/v1/compensations",
    words="The newest",
    purpose="list wrongful holds",
    summary="Wrongful holds: how much, how long, what led to them; the newest first",
    tag="appeals",
)
def compensations(on: Deciding) -> CompensationPage:
    """The newest records."""
    return on.centre.matter.appeals.compensations(on.tx)


@look(
    "/v1/blind-reviews",
    words="At most 200",
    purpose="list blind reviews",
    summary="Holds drawn for blind review, those without a verdict first",
    tag="appeals",
)
def blind_reviews(on: Deciding) -> BlindList:
    """Drawn holds."""
    return on.centre.matter.blind.list(on.tx)


@look(
    "/v1/blind-reviews/draws",
    words="At most 200",
    purpose="list draws",
    summary="The draws: each day's commitment, and its seed once it is made",
    tag="appeals",
)
def draws(on: Deciding) -> DrawList:
    """The newest draws."""
    return on.centre.matter.blind.draws(on.tx)


@act(
    "/v1/blind-reviews/{review:str}/take",
    on=REVIEW,
    words="The facts",
    purpose="take a blind review",
    summary="Take a drawn hold: its facts, without the decision's reasons",
    tag="appeals",
)
def take_blind(on: Deciding) -> BlindTask:
    """Whoever takes it judges it."""
    return on.centre.matter.blind.take(on.tx, on.id)


@decision(
    "/v1/blind-reviews/{review:str}/verdict",
    on=REVIEW,
    words="Judged",
    purpose="judge a hold blind",
    summary="Judge a drawn hold",
    tag="appeals",
    body_bytes_max=BODY_BYTES_MAX,
)
def judge_blind(on: Deciding, said: BlindVerdict) -> BlindView:
    """Record the verdict; a hold found wrong is contested for its holder."""
    return on.centre.matter.blind.judge(on.tx, on.id, said)


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
