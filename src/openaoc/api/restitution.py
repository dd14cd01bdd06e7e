"""API: restitution: proposed, published, objected to, decided, paid; and what was returned.

What an institution says is taken in a transaction of the centre's own, on its word; what it sees is
read in one of its own, where row-level security shows it its payments alone.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from litestar import Response, get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody, PathParameter, QueryParameter, RawBody

from openaoc.api.access import (
    BEARER,
    REPLAYED,
    IdempotencyKey,
    centre_of,
    limited,
    need_id,
    need_key,
    signed_in,
)
from openaoc.api.again import again
from openaoc.api.bodies import Body
from openaoc.api.decisions import Deciding, Thing, act, creation, decision
from openaoc.api.paging import Cursor, Limit
from openaoc.api.problems import ApiRequest, described, problems
from openaoc.api.rates import PUBLIC_FIGURES
from openaoc.api.signatures import Signature, check_signature
from openaoc.channels.idempotency import once
from openaoc.kernel.actor import SYSTEM
from openaoc.restitution.model import (
    EndReason,
    NewObjection,
    NewRestitution,
    ObjectionDecision,
    PaymentMade,
    PublishedLines,
    Restitution,
    RestitutionPage,
    RestitutionState,
    ReturnedFigures,
)

SMALL_BODY_BYTES_MAX: Final = 16 << 10
CaseFilter = Annotated[str | None, QueryParameter(name="case", max_length=64, required=False)]
Number = Annotated[int, PathParameter(ge=1, le=1_000_000)]
Form = Annotated[
    Literal["csv", "pacs.008"],
    QueryParameter(name="form", required=False, description="The file's format."),
]
RESTITUTION: Final = Thing("restitution", "restitution")


def _seen(request: ApiRequest, restitution: str) -> Restitution:
    """The restitution as the one who asks may see it."""
    centre = centre_of(request)
    with centre.uow.read(request.user, purpose="show a restitution") as tx:
        return centre.matter.returning.restitutions.show(tx, restitution)


@creation(
    "/v1/restitutions",
    words="Proposed; a second person publishes it",
    purpose="propose a restitution",
    summary="Propose a restitution",
    description="From all that is held for the case now, to the accounts its loss was paid from.",
    tag="restitution",
)
def propose(on: Deciding, said: NewRestitution) -> Restitution:
    """Nobody outside sees it."""
    case = need_id(said.case, what="case")
    return on.centre.matter.returning.restitutions.propose(on.tx, case)


@get(
    "/v1/restitutions",
    guards=[signed_in],
    security=BEARER,
    tags=["restitution"],
    summary="List restitutions, newest first",
    description="An institution's people see published ones with payments of theirs.",
    responses={**described(RestitutionPage, "One page"), **problems(401, 403)},
    sync_to_thread=True,
)
def list_restitutions(
    request: ApiRequest,
    case: CaseFilter = None,
    restitution_state: Annotated[
        RestitutionState | None, QueryParameter(name="state", required=False)
    ] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> RestitutionPage:
    """One page of those the actor may see."""
    centre = centre_of(request)
    with centre.uow.read(request.user, purpose="list restitutions") as tx:
        return centre.matter.returning.restitutions.list(
            tx, case=case, state=restitution_state, cursor=cursor, limit=limit
        )


@get(
    "/v1/restitutions/{restitution:str}",
    guards=[signed_in],
    security=BEARER,
    tags=["restitution"],
    summary="Show a restitution",
    responses={**described(Restitution, "It"), **problems(401, 403, 404)},
    sync_to_thread=True,
)
def show(request: ApiRequest, restitution: FromPath[str]) -> Restitution:
    """One with its payments and objections."""
    return _seen(request, need_id(restitution, what="restitution"))


@act(
    "/v1/restitutions/{restitution:str}/publish",
    on=RESTITUTION,
    words="It now",
    purpose="publish a restitution",
    summary="Publish a restitution, as another person",
    tag="restitution",
)
def publish(on: Deciding) -> Restitution:
    """From now on third parties may object, as long as the jurisdiction's rule says."""
    return on.centre.matter.returning.restitutions.publish(on.tx, on.id)


@post(
    "/v1/restitutions/{restitution:str}/objections",
    guards=[signed_in],
    dto=Body[NewObjection],
    return_dto=None,
    status_code=201,
    request_max_body_size=SMALL_BODY_BYTES_MAX,
    security=BEARER,
    tags=["restitution"],
    summary="Object to a restitution",
    description="Staff for who came to them, or the institution that holds, for its holder.",
    responses={
        **described(Restitution, "It now", 201),
        **problems(401, 403, 404, 409, 413, 415),
    },
    sync_to_thread=True,
)
@again
def object_to(
    request: ApiRequest,
    restitution: FromPath[str],
    data: JSONBody[NewObjection],
    body: RawBody,
    idempotency_key: IdempotencyKey = None,
) -> Response[Restitution]:
    """Take the objection, once for each Idempotency-Key."""
    key = need_key(idempotency_key)
    found = need_id(restitution, what="restitution")
    centre, actor = centre_of(request), request.user
    asked = once(actor=actor.id, route=f"restitutions/{found}/objections", key=key, content=body)
    with centre.uow.begin(SYSTEM, purpose=f"objection by {actor.id}") as tx:
        earlier = asked.earlier(tx, NewObjection)
        if earlier is None:
            centre.matter.returning.objections.file(tx, found, data, actor=actor)
            asked.answered(tx, data)
    replayed = {REPLAYED: "true"} if earlier is not None else {}
    return Response(_seen(request, found), status_code=201, headers=replayed)


@post(
    "/v1/restitutions/{restitution:str}/objections/{number:int}/decision",
    guards=[signed_in],
    dto=Body[ObjectionDecision],
    return_dto=None,
    status_code=200,
    request_max_body_size=SMALL_BODY_BYTES_MAX,
    security=BEARER,
    tags=["restitution"],
    summary="Decide an objection; it stands when a second person says the same",
    responses={**described(Restitution, "It now"), **problems(401, 403, 404, 409, 413, 415)},
    sync_to_thread=True,
)
@again
def decide(
    request: ApiRequest,
    restitution: FromPath[str],
    number: Number,
    data: JSONBody[ObjectionDecision],
) -> Restitution:
    """How much of it is upheld: one person's word, or the second that lets it stand."""
    found = need_id(restitution, what="restitution")
    centre = centre_of(request)
    with centre.uow.begin(request.user, purpose="decide an objection") as tx:
        return centre.matter.returning.objections.decide(tx, found, number, data)


@post(
    "/v1/restitutions/{restitution:str}/payments/{number:int}",
    guards=[signed_in],
    dto=Body[PaymentMade],
    return_dto=None,
    status_code=200,
    request_max_body_size=SMALL_BODY_BYTES_MAX,
    security=BEARER,
    tags=["restitution"],
    summary="Confirm that a payment was made",
    description=(
        "By the institution that holds, naming the transfer. The same again changes nothing. An "
        "institution that registered a public key signs it."
    ),
    responses={**described(Restitution, "It now"), **problems(401, 403, 404, 409, 413, 415)},
    sync_to_thread=True,
)
def confirm(
    request: ApiRequest,
    restitution: FromPath[str],
    number: Number,
    data: JSONBody[PaymentMade],
    body: RawBody,
    signature: Signature = None,
) -> Restitution:
    """Take the institution's word; the money leaves the hold as restituted."""
    found = need_id(restitution, what="restitution")
    centre, actor = centre_of(request), request.user
    with centre.uow.begin(actor, purpose="check who confirms a payment") as tx:
        check_signature(request, tx, body=body, header=signature)

    @again  # alone: the signature is used up
    def once_signed() -> None:
        with centre.uow.begin(SYSTEM, purpose=f"payment confirmed by {actor.id}") as tx:
            centre.matter.returning.payments.confirm(tx, found, number, data, actor=actor)

    once_signed()
    return _seen(request, found)


@decision(
    "/v1/restitutions/{restitution:str}/end",
    on=RESTITUTION,
    words="It now",
    purpose="end a restitution",
    summary="End a restitution; what is paid stays paid",
    tag="restitution",
)
def end(on: Deciding, said: EndReason) -> Restitution:
    """No ground is left."""
    return on.centre.matter.returning.restitutions.end(on.tx, on.id, reason=said.reason)


@get(
    "/v1/restitutions/{restitution:str}/payable",
    guards=[signed_in],
    security=BEARER,
    tags=["restitution"],
    summary="The payments to be made, as CSV or pacs.008",
    description="An institution gets its own. It names accounts: each look is in the journal.",
    responses={
        200: ResponseSpec(
            bytes,
            description="The file",
            media_type="application/octet-stream",
            generate_examples=False,
        ),
        **problems(401, 403, 404, 409),
    },
    media_type="application/octet-stream",
    sync_to_thread=True,
)
@again
def payable(request: ApiRequest, restitution: FromPath[str], form: Form = "csv") -> Response[bytes]:
    """The file, under its name."""
    found = need_id(restitution, what="restitution")
    centre = centre_of(request)
    with centre.uow.begin(request.user, purpose="list payments to be made") as tx:
        made = centre.matter.returning.payments.file(tx, found, form=form)
    return Response(
        made.content,
        media_type="application/octet-stream",
        headers={"Content-Disposition": f'attachment; filename="{made.name}"'},
    )


@get(
    "/v1/restitutions/published",
    guards=[limited(PUBLIC_FIGURES)],
    security=[{}],
    tags=["restitution"],
    summary="What is published and may be objected to",
    description="No person, no case, the end of an account: enough for its holder to know it.",
    responses={**described(PublishedLines, "Soonest end first"), **problems()},
    sync_to_thread=True,
)
def published(request: ApiRequest) -> PublishedLines:
    """For anybody."""
    centre = centre_of(request)
    with centre.uow.read(SYSTEM, purpose="published restitutions") as tx:
        return centre.matter.returning.restitutions.published(tx)


@get(
    "/v1/restitutions/returned",
    guards=[limited(PUBLIC_FIGURES)],
    security=[{}],
    tags=["restitution"],
    summary="Returned ÷ held, by jurisdiction",
    responses={**described(ReturnedFigures, "By jurisdiction and currency"), **problems()},
    sync_to_thread=True,
)
def returned(request: ApiRequest) -> ReturnedFigures:
    """For anybody."""
    centre = centre_of(request)
    with centre.uow.read(SYSTEM, purpose="what was returned") as tx:
        return centre.matter.returning.restitutions.returned(tx)


HANDLERS: Final = (
    propose,
    list_restitutions,
    show,
    publish,
    object_to,
    decide,
    confirm,
    end,
    payable,
    published,
    returned,
)
