"""API: the centre's public keys, its figures, its health, and metrics for the operator."""

from __future__ import annotations

from typing import Final

from litestar import Response, get, post
from litestar.openapi.datastructures import ResponseSpec

from openaoc.api.access import BEARER, centre_of, limited, metrics_of, signed_in
from openaoc.api.problems import ApiRequest, problems
from openaoc.api.rates import PUBLIC_FIGURES
from openaoc.api.wire import Health, LineList
from openaoc.channels.signing import Jwks, PublicJwk
from openaoc.continuity.standby_model import FollowState
from openaoc.kernel.actor import SYSTEM, Role
from openaoc.parties.permissions import NotPermitted, Permission, require
from openaoc.statistics.model import LiveFigures

METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


@get(
    "/.well-known/jwks.json",
    guards=[limited(PUBLIC_FIGURES)],
    tags=["keys"],
    summary="The keys this centre signs with",
    responses={
        200: ResponseSpec(Jwks, description="Valid now, newest first", generate_examples=False),
        **problems(429),
    },
    sync_to_thread=False,
)
def jwks(request: ApiRequest) -> Response[Jwks]:
    """The centre's public keys."""
    headers = {"Cache-Control": "public, max-age=60"}
    return Response(centre_of(request).channels.jwks(), headers=headers)


@post(
    "/v1/keys/signing/rotate",
    guards=[signed_in],
    status_code=200,
    security=BEARER,
    tags=["keys"],
    summary="Sign with a fresh key; the old one stays valid for a week",
    responses={
        200: ResponseSpec(PublicJwk, description="The key that signs now", generate_examples=False),
        **problems(401, 403),
    },
    sync_to_thread=True,
)
def rotate_signing_key(request: ApiRequest) -> PublicJwk:
    """Rotate the centre's own signing key."""
    centre = centre_of(request)
    with centre.uow.begin(request.user, purpose="rotate the signing key") as tx:
        require(tx.actor, Permission.INSTITUTION_MANAGE)
        return centre.channels.rotate_key(tx)


@get(
    "/v1/status",
    guards=[limited(PUBLIC_FIGURES)],
    tags=["status"],
    summary="How the centre does: counts, amounts and times only",
    responses={
        200: ResponseSpec(LiveFigures, description="Now", generate_examples=False),
        **problems(429),
    },
    sync_to_thread=True,
)
def status(request: ApiRequest) -> LiveFigures:
    """The figures the centre publishes about itself."""
    return centre_of(request).figures()


@get(
    "/v1/lines",
    guards=[signed_in],
    security=BEARER,
    tags=["status"],
    summary="Lines to institutions that fail or have messages waiting",
    responses={
        200: ResponseSpec(LineList, description="Now", generate_examples=False),
        **problems(401, 403),
    },
    sync_to_thread=True,
)
def lines(request: ApiRequest) -> LineList:
    """How the way to each institution is."""
    centre = centre_of(request)
    with centre.uow.read(SYSTEM, purpose="look at the lines") as tx:
        require(request.user, Permission.INSTITUTION_READ)
        return LineList(lines=centre.channels.lines(tx))


@get(
    "/health",
    tags=["status"],
    summary="Whether the centre serves",
    responses={
        200: ResponseSpec(Health, description="It does", generate_examples=False),
        **problems(),
    },
    sync_to_thread=True,
)
def health(request: ApiRequest) -> Health:
    """Answers when the database and the ledger do; 503 otherwise."""
    centre = centre_of(request)
    state = centre.check_health()
    return Health(
        status="ok",
        epoch=state.epoch,
        delivery="on" if state.delivers else "reconciling",
        clock_off_s=centre.time.off_s(),
        standby=centre.line.status().state if centre.line is not None else FollowState.NONE,
    )


_OPERATORS: Final = frozenset({Role.ADMINISTRATOR, Role.OVERSIGHT, Role.SUPERVISOR})


@get(
    "/metrics",
    guards=[signed_in],
    include_in_schema=False,
    sync_to_thread=True,
)
def metrics(request: ApiRequest) -> Response[bytes]:
    """Prometheus metrics: counts and times, no person, account or institution's customer."""
    if not request.user.roles & _OPERATORS:
        raise NotPermitted("metrics are for operators")
    return Response(metrics_of(request).render(), media_type=METRICS_TYPE)


HANDLERS: Final = (jwks, rotate_signing_key, status, lines, health, metrics)
