"""API: every error as problem details (RFC 9457), with the JSON path of what is wrong.

Never shows a trace, a query or somebody's data.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec
import structlog
from litestar import Request, Response
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import ParameterKwarg

from openaoc.api.choices import with_choices
from openaoc.api.rates import PARTNER_GUESSES
from openaoc.kernel.actor import Actor
from openaoc.kernel.errors import (
    BadInput,
    Busy,
    Conflict,
    NotFound,
    NotSignedIn,
    OpenAOCError,
    Refused,
    TooLarge,
    Unavailable,
)
from openaoc.kernel.limits import REFUSED_ROWS_SHOWN_MAX
from openaoc.ledger.refusals import RefusedRow, RefusedRows
from openaoc.web.rates import RateLimited, RateLimits

log = structlog.get_logger("openaoc.api")

MEDIA_TYPE: Final = "application/problem+json"
TYPE_BASE: Final = "urn:openaoc:problem:"
RETRY_AFTER_S: Final = 1
DETAIL_CHARACTERS_MAX: Final = 500
BODY: Final = "data"
"""The framework's name for a request's body."""

ApiRequest = Request[Actor, None, State]


class UnsupportedType(BadInput):
    """This content type is not understood here."""


class KeyMissing(BadInput):
    """This request needs an Idempotency-Key header."""


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One thing wrong with the input: where (JSON path or header name), and why."""

    path: str
    reason: str


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Problem details. `code` is stable for machines; `title` and `detail` are for people.

    `rows` are refused rows of a file of transfers; `incident` finds an unexpected error in the log.
    """

    type: str
    title: str
    status: int
    code: str
    detail: str = ""
    errors: list[Fault] = []
    rows: list[RefusedRow] = []
    incident: str | None = None


_STATUS: Final[tuple[tuple[type[OpenAOCError], HTTPStatus], ...]] = (
    (RateLimited, HTTPStatus.TOO_MANY_REQUESTS),
    (UnsupportedType, HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
    (TooLarge, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (BadInput, HTTPStatus.BAD_REQUEST),
    (NotFound, HTTPStatus.NOT_FOUND),
    (NotSignedIn, HTTPStatus.UNAUTHORIZED),
    (Refused, HTTPStatus.FORBIDDEN),
    (Conflict, HTTPStatus.CONFLICT),
    (Busy, HTTPStatus.SERVICE_UNAVAILABLE),
    (Unavailable, HTTPStatus.SERVICE_UNAVAILABLE),
)
"""First match counts, so subclasses stand before their bases; the rest is 500."""


def status_of(error: OpenAOCError) -> HTTPStatus:
    """The HTTP status of one of our errors."""
    for kind, status in _STATUS:
        if isinstance(error, kind):
            return status
    return HTTPStatus.INTERNAL_SERVER_ERROR


def problem_of(error: OpenAOCError) -> Problem:
    """Our error as problem details."""
    status = status_of(error)
    shown = str(error) if error.where else error.detail
    return Problem(
        type=TYPE_BASE + error.code,
        title=error.title,
        status=int(status),
        code=error.code,
        detail=shown[:DETAIL_CHARACTERS_MAX],
        errors=[Fault(path=error.where, reason=error.detail or error.title)] if error.where else [],
        rows=error.rows[:REFUSED_ROWS_SHOWN_MAX] if isinstance(error, RefusedRows) else [],
    )


def _respond(problem: Problem, headers: Mapping[str, str] | None = None) -> Response[Problem]:
    return Response(
        problem, status_code=problem.status, media_type=MEDIA_TYPE, headers=dict(headers or {})
    )


def count_guesses(request: ApiRequest, count: int) -> None:
    """Count ids that a partner tried; what others ask for counts nothing here."""
    actor: Actor | None = request.scope.get("user")
    if actor is not None and actor.partner is not None:
        limits: RateLimits = request.app.state.rates
        limits.charge(PARTNER_GUESSES, actor.partner, count)


def on_our_error(request: ApiRequest, error: OpenAOCError) -> Response[Problem]:
    """Our own errors; denied attempts are logged with the route, never with what was sent."""
    if isinstance(error, NotFound):
        count_guesses(request, 1)
    problem = problem_of(error)
    headers: dict[str, str] = {}
    if problem.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="openaoc"'
    if problem.status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        headers["Retry-After"] = str(RETRY_AFTER_S)
    if problem.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        log_denied(request, problem.code)
    if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("request_failed", route=route_of(request), code=problem.code, error=str(error))
    return _respond(problem, headers)


def _fault(request: ApiRequest, item: dict[str, Any]) -> Fault:
    """What is wrong with a parameter, under the name that the caller knows it by."""
    name, reason = str(item.get("key", "")), str(item.get("message", ""))
    if name == BODY:
        return Fault(path="$", reason="the body is empty")  # all else is said by our decoder
    handler = request.scope.get("route_handler")
    known = handler.parsed_fn_signature.parameters if handler is not None else {}
    if name not in known:
        return Fault(path=name, reason=reason)
    kind = known[name].kwarg_definition
    asked_as = kind.name if isinstance(kind, ParameterKwarg) else None
    return Fault(path=asked_as or name, reason=with_choices(reason, known[name].annotation))


def on_http_error(request: ApiRequest, error: HTTPException) -> Response[Problem]:
    """What the framework itself refuses: no such route, wrong method, a parameter's type."""
    status = HTTPStatus(error.status_code)
    extra = error.extra if isinstance(error.extra, list) else []
    faults = [_fault(request, item) for item in extra if isinstance(item, dict)]
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        limit = request.route_handler.resolve_request_max_body_size()
        faults = [Fault(path="$", reason=f"the body is longer than {limit} bytes")]
    code = status.phrase.lower().replace(" ", "-")
    shown = f"{faults[0].path}: {faults[0].reason}" if faults else error.detail
    problem = Problem(
        type=TYPE_BASE + code,
        title=status.phrase,
        status=int(status),
        code=code,
        detail=shown[:DETAIL_CHARACTERS_MAX],
        errors=faults,
    )
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("request_failed", route=route_of(request), code=code)
    return _respond(problem, error.headers)


def on_unexpected(request: ApiRequest, error: Exception) -> Response[Problem]:
    """A fault of ours: a number for the log, nothing else to the outside."""
    incident = secrets.token_hex(6)
    log.error("unexpected", route=route_of(request), incident=incident, exc_info=error)
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    return _respond(
        Problem(
            type=TYPE_BASE + "unexpected",
            title="Something went wrong here",
            status=int(status),
            code="unexpected",
            incident=incident,
        )
    )


def route_of(request: ApiRequest) -> str:
    """The route's template: it carries no id and no data."""
    handler = request.scope.get("route_handler")
    paths = sorted(handler.paths) if handler is not None and hasattr(handler, "paths") else []
    return f"{request.method} {request.scope.get('path_template') or (paths or ['?'])[0]}"


def log_denied(request: ApiRequest, code: str) -> None:
    """A denied attempt, for the audit: who (if known), which route, why; no personal data."""
    user = request.scope.get("user")
    who = user.id if isinstance(user, Actor) else "unknown"
    log.warning("denied", route=route_of(request), who=who, code=code)


HANDLERS: Final[dict[type[Exception] | int, Callable[..., Response[Problem]]]] = {
    OpenAOCError: on_our_error,
    HTTPException: on_http_error,
    Exception: on_unexpected,
}

_WORDS: Final = {
    400: "The input is not valid",
    401: "A valid key or signature is needed",
    403: "This is not permitted",
    404: "There is no such thing",
    409: "This contradicts what is already known",
    413: "The body is larger than the limit",
    415: "This content type is not understood here",
    429: "Too many requests from here",
    503: "At a limit or not reachable; try again later",
}


def described(kind: type[msgspec.Struct], words: str, status: int = 200) -> dict[int, ResponseSpec]:
    """The good response of a route, for OpenAPI."""
    return {status: ResponseSpec(kind, description=words, generate_examples=False)}


def problems(*statuses: int) -> dict[int, ResponseSpec]:
    """The error responses of a route, for OpenAPI: those named and those any route may give."""
    return {
        status: ResponseSpec(
            data_container=Problem,
            description=_WORDS[status],
            media_type=MEDIA_TYPE,
            generate_examples=False,
        )
        for status in sorted({400, 429, 503, *statuses})
    }
