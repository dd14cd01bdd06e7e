"""API: plain JSON for companies, and how useful each partnership is.

Decides nothing: what leaves and what is taken stands in the exchange.
"""

from __future__ import annotations

from typing import Annotated, Final

from litestar import get, post
from litestar.params import QueryParameter, RawBody

from openaoc.api.access import BEARER, centre_of, own_partner, signed_in
from openaoc.api.again import again
from openaoc.api.agreements import PartnerFilter
from openaoc.api.bodies import media_type
from openaoc.api.exchange import After
from openaoc.api.problems import ApiRequest, UnsupportedType, described, problems
from openaoc.api.signatures import Signature
from openaoc.exchange.ledger_model import ReceivedPage
from openaoc.exchange.plain import PATH, PlainReceipt
from openaoc.exchange.usefulness import Usefulness
from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.errors import BadInput
from openaoc.kernel.limits import PAGE_MAX

BODY_BYTES_MAX: Final = 1 << 20
ObjectLimit = Annotated[int, QueryParameter(name="limit", ge=1, le=PAGE_MAX, required=False)]


@get(
    PATH,
    guards=[signed_in],
    security=BEARER,
    tags=["exchange"],
    summary="What a partner may have, as plain JSON, in order",
    description=(
        "`after` is the last `sequence` of the page before; `more`: there is more now. What is "
        "`revoked` was wrong or is withdrawn: delete it. Nothing without an agreement in force."
    ),
    responses={**described(ReceivedPage, "One page"), **problems(401, 403)},
    sync_to_thread=True,
)
def list_objects(
    request: ApiRequest,
    partner: PartnerFilter = None,
    after: After = 0,
    limit: ObjectLimit = PAGE_MAX,
) -> ReceivedPage:
    """A partner's user gets its own; staff name the partner."""
    code = request.user.partner or (partner or "").upper()
    if not code:
        raise BadInput("name the partner", where="partner")
    centre = centre_of(request)
    with centre.uow.read(request.user, purpose="a partner's objects") as tx:
        return centre.matter.sharing.exchange.view(tx, code, after=after, limit=limit)


@post(
    PATH,
    guards=[signed_in],
    status_code=200,
    request_max_body_size=BODY_BYTES_MAX,
    security=BEARER,
    tags=["exchange"],
    summary="What a partner knows, as plain JSON: indicators and sightings",
    description=(
        '`{"indicators": [{"ref", "identifier_kind", "value", "scam_types", "first_seen", '
        '"last_seen", "valid_until", "marking", "revoked"}], "sightings": [{"ref", "of", '
        '"last_seen", "first_seen", "count", "revoked"}]}`, at most 500 of each. `ref` is your own '
        "name of it: said again, it takes the place of the first. Signed with a verified key, the "
        "receipt says so."
    ),
    responses={**described(PlainReceipt, "What became of it"), **problems(401, 403, 413, 415)},
    sync_to_thread=True,
)
@again
def tell_objects(request: ApiRequest, body: RawBody, signature: Signature = None) -> PlainReceipt:
    """Each object is taken as its sender's word, within its agreement."""
    own, centre = own_partner(request), centre_of(request)
    if media_type(request) != "application/json":
        raise UnsupportedType("send application/json", where="Content-Type")
    with centre.uow.begin(SYSTEM, purpose=f"what {own} tells") as tx:
        return centre.between.outreach.plain.take(
            tx, own, body=body, signature=signature, by=request.user.id
        )


@get(
    "/v1/exchange/usefulness",
    guards=[signed_in],
    security=BEARER,
    tags=["exchange"],
    summary="What each partner gave that hit, what was wrong, and what of ours hit there",
    description="Officers see every partner; a partner itself, and others as sums by kind.",
    responses={**described(Usefulness, "In whole numbers"), **problems(401, 403)},
    sync_to_thread=True,
)
def usefulness(request: ApiRequest) -> Usefulness:
    """Counts over all partners; small ones of others are not told."""
    centre = centre_of(request)
    with centre.uow.read(SYSTEM, purpose="how useful partnerships are") as tx:
        return centre.between.outreach.measuring.figures(tx, viewer=request.user)


HANDLERS: Final = (list_objects, tell_objects, usefulness)
