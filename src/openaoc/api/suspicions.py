"""API: holds that institutions made on their own suspicion: told, released, made longer, ended.

Row-level security shows an institution its own alone.
"""

from __future__ import annotations

from typing import Final

from litestar import Response, get, post
from litestar.params import JSONBody, RawBody

from openaoc.api.access import BEARER, REPLAYED, IdempotencyKey, centre_of, need_key, signed_in
from openaoc.api.again import again
from openaoc.api.bodies import Body
from openaoc.api.decisions import SUSPICION, Deciding, decision
from openaoc.api.paging import Cursor, Limit
from openaoc.api.problems import ApiRequest, described, problems
from openaoc.api.signatures import Signature, check_signature
from openaoc.api.wire import ConversionRequest, ExtensionRequest, Why
from openaoc.channels.idempotency import once
from openaoc.holds.suspicion_model import NewSuspicion, Suspicion, SuspicionPage

SMALL_BODY_BYTES_MAX: Final = 16 << 10


@post(
    "/v1/suspicions",
    guards=[signed_in],
    dto=Body[NewSuspicion],
    return_dto=None,
    status_code=201,
    request_max_body_size=SMALL_BODY_BYTES_MAX,
    security=BEARER,
    tags=["suspicions"],
    summary="Tell of a hold on an institution's own suspicion",
    description=(
        "The law gives it a longest time, counted from `held_at`; then it ends by itself and the "
        "money goes back. An institution that registered a public key signs it."
    ),
    responses={
        **described(Suspicion, "It is kept; `ends_at` says until when", 201),
        **problems(401, 403, 409, 413, 415),
    },
    sync_to_thread=True,
)
@again
def tell(
    request: ApiRequest,
    data: JSONBody[NewSuspicion],
    body: RawBody,
    idempotency_key: IdempotencyKey = None,
    signature: Signature = None,
) -> Response[Suspicion]:
    """Keep what the institution told, once for each Idempotency-Key."""
    key = need_key(idempotency_key)
    centre, actor = centre_of(request), request.user
    asked = once(actor=actor.id, route="suspicions", key=key, content=body)
    with centre.uow.begin(actor, purpose="a hold on suspicion") as tx:
        check_signature(request, tx, body=body, header=signature)
        earlier = asked.earlier(tx, Suspicion)
        if earlier is not None:
            return Response(earlier, status_code=201, headers={REPLAYED: "true"})
        made = centre.matter.suspicions.tell(tx, data)
        asked.answered(tx, made)
        return Response(made, status_code=201)


@get(
    "/v1/suspicions",
    guards=[signed_in],
    security=BEARER,
    tags=["suspicions"],
    summary="List holds on suspicion, newest first",
    responses={**described(SuspicionPage, "One page"), **problems(401, 403)},
    sync_to_thread=True,
)
def list_suspicions(request: ApiRequest, cursor: Cursor = None, limit: Limit = 50) -> SuspicionPage:
    """One page of those the actor may see."""
    centre = centre_of(request)
    with centre.uow.read(request.user, purpose="list holds on suspicion") as tx:
        return centre.matter.suspicions.list(tx, cursor=cursor, limit=limit)


@decision(
    "/v1/suspicions/{suspicion:str}/release",
    on=SUSPICION,
    words="It now",
    purpose="release a hold on suspicion",
    summary="Release a hold on suspicion: there is no evidence",
)
def release(on: Deciding, said: Why) -> Suspicion:
    """Give the money back; the institution or one person of the centre is enough."""
    return on.centre.matter.suspicions.release(on.tx, on.id, reason=said.reason)


@decision(
    "/v1/suspicions/{suspicion:str}/extend",
    on=SUSPICION,
    words="It now",
    purpose="make a hold on suspicion longer",
    summary="Make a hold on suspicion longer by a court's or authority's measure",
)
def extend(on: Deciding, said: ExtensionRequest) -> Suspicion:
    """It stands until the measure ends."""
    return on.centre.matter.suspicions.extend(
        on.tx, on.id, until=said.until, authority=said.authority, reason=said.reason
    )


@decision(
    "/v1/suspicions/{suspicion:str}/convert",
    on=SUSPICION,
    words="It now",
    purpose="convert a hold on suspicion",
    summary="End a hold on suspicion whose place a seizure takes",
)
def convert(on: Deciding, said: ConversionRequest) -> Suspicion:
    """The money stays blocked by another's word."""
    return on.centre.matter.suspicions.convert(
        on.tx, on.id, authority=said.authority, reason=said.reason
    )


HANDLERS: Final = (tell, list_suspicions, release, extend, convert)
