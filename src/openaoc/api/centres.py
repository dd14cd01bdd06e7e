"""API: what other centres ask of this one, signed; and what staff see of requests and matches.

Another centre is known by its signature alone: it needs no key of ours, and learns nothing without.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from litestar import Response, post
from litestar.params import FromPath, HeaderParameter, JSONBody, RawBody
from msgspec import Meta

from openaoc.api.access import BEARER, centre_of, limited, need_id, signed_in
from openaoc.api.bodies import Body
from openaoc.api.decisions import Deciding, Thing, decision, look
from openaoc.api.problems import ApiRequest, described, problems
from openaoc.api.rates import CENTRES
from openaoc.api.signatures import Signature
from openaoc.api.wire import Reason, Why
from openaoc.exchange.crossborder.model import PATH, ReceivedRequest, Requests
from openaoc.exchange.gate import BODY_BYTES_MAX
from openaoc.exchange.line import SENDER
from openaoc.exchange.matching.model import ASKED_AT_ONCE_MAX, Hit, HitPage, Matched
from openaoc.exchange.matching.sets import KIND_CHARACTERS_MAX, VALUE_BYTES_MAX, Identifier
from openaoc.kernel.identifiers.kinds import kind_named, normalise
from openaoc.kernel.limits import REPORTER_CHARACTERS_MAX, TRANSFER_ID_CHARACTERS_MAX
from openaoc.parties.permissions import Permission, require

SMALL_BODY_BYTES_MAX: Final = 16 << 10
ASKED_BY_HAND_MAX: Final = 1_000
assert ASKED_BY_HAND_MAX <= ASKED_AT_ONCE_MAX, "a person asks for less than the schedule"

Code = Annotated[str, Meta(min_length=1, max_length=32)]
Sender = Annotated[
    str | None,
    HeaderParameter(name=SENDER, required=False, description="The code of the centre that asks."),
]
MATCH: Final = Thing("hit", "match")


class OneIdentifier(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An identifier to match: its kind, by any name in use, and its value as people write it."""

    kind: Annotated[str, Meta(min_length=1, max_length=KIND_CHARACTERS_MAX)]
    value: Annotated[str, Meta(min_length=1, max_length=VALUE_BYTES_MAX)]

    def normalised(self, *, region: str) -> Identifier:
        """In the form both sides compute with. Raises BadInput, also for an unknown kind."""
        kind = kind_named(self.kind)
        return Identifier(kind=kind.value, value=normalise(kind, self.value, region=region))


class MatchAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """With whom to match, and what; null: all that the centre holds an opinion on."""

    partner: Code
    identifiers: Annotated[list[OneIdentifier], Meta(max_length=ASKED_BY_HAND_MAX)] | None = None


class PaymentNamed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which payment of our ledger a partner's request means."""

    partner: Code
    reported_by: Annotated[str, Meta(min_length=1, max_length=REPORTER_CHARACTERS_MAX)]
    transfer_id: Annotated[str, Meta(min_length=1, max_length=TRANSFER_ID_CHARACTERS_MAX)]


class RequestRefused(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a partner's request cannot be met; the partner reads it."""

    partner: Code
    reason: Reason


@post(
    f"{PATH}/{{place:path}}",
    guards=[limited(CENTRES)],
    status_code=200,
    request_max_body_size=BODY_BYTES_MAX,
    tags=["centres"],
    summary="What another centre asks, signed; the answer is signed too",
    description=(
        "Places: hello, requests, answers, match/set, match/page, match/evaluate, match/hit. The "
        "body is the place's JSON message. Whoever has no agreement in force gets 401."
    ),
    responses=problems(400, 401, 403, 404, 409, 413, 429, 503),
    sync_to_thread=True,
)
def ask(
    request: ApiRequest,
    place: FromPath[str],
    body: RawBody,
    sender: Sender = None,
    signature: Signature = None,
) -> Response[Any]:
    """The signed answer of the gate."""
    answered = centre_of(request).between.gate.answer(
        PATH + place, sender=sender or "", header=signature, body=body
    )
    return Response(
        answered.body,
        media_type="application/json",
        headers={"OpenAOC-Signature": answered.signature},
    )


@look(
    "/v1/requests",
    paged=True,
    words="One page of both sides",
    purpose="look at requests across borders",
    summary="Requests to follow money across borders, ours and the partners', newest first",
    tag="centres",
)
def requests(on: Deciding) -> Requests:
    """The newest of both sides together."""
    return on.centre.between.crossing.requests(on.tx, on.page)


@post(
    "/v1/requests/{name:str}/payment",
    guards=[signed_in],
    dto=Body[PaymentNamed],
    return_dto=None,
    status_code=200,
    request_max_body_size=SMALL_BODY_BYTES_MAX,
    security=BEARER,
    tags=["centres"],
    summary="Say which payment a partner's request means: our own case is opened",
    responses={
        **described(ReceivedRequest, "The request now"),
        **problems(400, 401, 403, 404, 409, 413, 415),
    },
    sync_to_thread=True,
)
def identify(
    request: ApiRequest, name: FromPath[str], data: JSONBody[PaymentNamed]
) -> ReceivedRequest:
    """A person's word on which payment it is."""
    return centre_of(request).between.crossing.identify(
        request.user,
        partner=data.partner,
        request=_need_request(name),
        reported_by=data.reported_by,
        transfer_id=data.transfer_id,
    )


@post(
    "/v1/requests/{name:str}/refuse",
    guards=[signed_in],
    dto=Body[RequestRefused],
    return_dto=None,
    status_code=200,
    request_max_body_size=SMALL_BODY_BYTES_MAX,
    security=BEARER,
    tags=["centres"],
    summary="Refuse a partner's request, with a reason the partner reads",
    responses={
        **described(ReceivedRequest, "The request now"),
        **problems(400, 401, 403, 404, 409, 413, 415),
    },
    sync_to_thread=True,
)
def refuse(
    request: ApiRequest, name: FromPath[str], data: JSONBody[RequestRefused]
) -> ReceivedRequest:
    """A person's word that our law does not let it be met."""
    return centre_of(request).between.crossing.refuse(
        request.user, partner=data.partner, request=_need_request(name), why=data.reason
    )


@post(
    "/v1/matches",
    guards=[signed_in],
    dto=Body[MatchAsked],
    return_dto=None,
    status_code=200,
    request_max_body_size=BODY_BYTES_MAX,
    security=BEARER,
    tags=["centres"],
    summary="Match with a partner without showing; hits are told to its contact point",
    responses={
        **described(Matched, "In numbers"),
        **problems(400, 401, 403, 404, 413, 415, 503),
    },
    sync_to_thread=True,
)
def match(request: ApiRequest, data: JSONBody[MatchAsked]) -> Matched:
    """Ask now."""
    require(request.user, Permission.CASE_WORK)
    asking = centre_of(request).between.asking
    if data.identifiers is None:
        return asking.match_known(data.partner)
    region = centre_of(request).settings.jurisdiction
    wanted = [one.normalised(region=region) for one in data.identifiers]
    return asking.match(data.partner, wanted)


@look(
    "/v1/matches",
    words="One page",
    purpose="look at matches",
    summary="Identifiers that a partner and this centre both know, newest first",
    tag="centres",
    paged=True,
)
def hits(on: Deciding) -> HitPage:
    """One page."""
    return on.centre.between.asking.hits(on.tx, on.page)


@decision(
    "/v1/matches/{hit:str}/close",
    on=MATCH,
    words="The hit now",
    purpose="close a match",
    summary="Close a hit that was dealt with",
    tag="centres",
)
def close(on: Deciding, said: Why) -> Hit:
    """A person has dealt with it."""
    return on.centre.between.asking.close(on.tx, on.id, why=said.reason)


def _need_request(name: str) -> str:
    return need_id(name, what="request")


HANDLERS: Final = (ask, requests, identify, refuse, match, hits, close)
