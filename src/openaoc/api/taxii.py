"""API: TAXII 2.1 at `/taxii2/`: media types, filters, headers and errors as the standard asks.

What a partner sees is decided in the exchange; here nothing is added to it.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec
import structlog
from litestar import Response, Router, delete, get, post
from litestar.exceptions import HTTPException
from litestar.handlers import BaseRouteHandler
from litestar.params import FromPath, RawBody

from openaoc.api.access import (
    API_KEY_CHARACTERS_MAX,
    ID_CHARACTERS_MAX,
    Connection,
    centre_of,
    sign_in,
)
from openaoc.api.again import again
from openaoc.api.problems import ApiRequest, count_guesses, log_denied, route_of, status_of
from openaoc.api.problems import on_http_error as on_plain_http_error
from openaoc.exchange.taxii.model import (
    ENVELOPE_BYTES_MAX,
    MEDIA_TYPE,
    ApiRoot,
    Discovery,
    ErrorMessage,
    NoSuchCollection,
    NoSuchStatus,
    NoSuchStored,
    Page,
    Status,
    Unprocessable,
    taxii_time,
)
from openaoc.exchange.taxii.query import Query, read_query
from openaoc.kernel.actor import Role
from openaoc.kernel.errors import NotFound, NotSignedIn, OpenAOCError, Refused
from openaoc.storage.unit_of_work import retrying

log = structlog.get_logger("openaoc.api")

DISCOVERY: Final = "/taxii2"
ROOT: Final = f"{DISCOVERY}/centre"
OBJECT_ID_CHARACTERS_MAX: Final = 128
DETAIL_CHARACTERS_MAX: Final = 300
_ENCODER: Final = msgspec.json.Encoder()
_FILTERS: Final = frozenset(
    {"added_after", "limit", "next", "match[id]", "match[type]", "match[version]",
     "match[spec_version]"}
)  # fmt: skip
_OF_ONE: Final = _FILTERS - {"match[id]", "match[type]"}
_OF_VERSIONS: Final = _OF_ONE - {"match[version]"}
_OF_DELETE: Final = frozenset({"match[version]", "match[spec_version]"})


class NotAcceptable(OpenAOCError):
    """Only TAXII 2.1 is spoken here."""


class WrongContent(OpenAOCError):
    """Only TAXII 2.1 is understood here."""


# Before a request is read


def _spoken(header: str) -> bool:
    """Whether a media type or range takes in ours, of version 2.1 or of none."""
    kind, *parameters = (part.strip().lower() for part in header.split(";"))
    if kind not in ("application/taxii+json", "application/*", "*/*"):
        return False
    named = dict(part.partition("=")[::2] for part in parameters)
    refused = named.get("q", "1").strip("0.") == ""
    return not refused and named.get("version", "2.1").strip('"') == "2.1"


def accepts_taxii(connection: Connection, _: BaseRouteHandler) -> None:
    """The client takes our media type (§3.1.1). Raises NotAcceptable."""
    header = connection.headers.get("accept", "*/*")
    if not any(map(_spoken, header.split(","))):
        raise NotAcceptable(f"ask for {MEDIA_TYPE}", where="Accept")


def sends_taxii(connection: Connection, _: BaseRouteHandler) -> None:
    """The body is of our media type. Raises WrongContent."""
    header = connection.headers.get("content-type", "")
    if "*" in header or not _spoken(header):
        raise WrongContent(f"send {MEDIA_TYPE}", where="Content-Type")


def partner_signed_in(connection: Connection, _: BaseRouteHandler) -> None:
    """A partner's API key as the password of Basic, or as Bearer (§3.9). Raises NotSignedIn."""
    scheme, _space, given = connection.headers.get("authorization", "").partition(" ")
    key = given.strip()
    if scheme.lower() == "basic":
        try:
            text = base64.b64decode(key, validate=True).decode("utf-8")
        except (binascii.Error, ValueError) as error:
            raise NotSignedIn("not a user and a password") from error
        key = text.partition(":")[2]
    elif scheme.lower() != "bearer":
        raise NotSignedIn("a partner's key is needed: as password, or as Bearer")
    if not 0 < len(key) <= API_KEY_CHARACTERS_MAX:
        raise NotSignedIn("a partner's key is needed: as password, or as Bearer")
    actor = sign_in(connection, key)
    connection.scope["user"] = actor
    if not actor.has(Role.PARTNER):
        raise Refused("this is for partners")


# Answers

_STATUS: Final[dict[type[OpenAOCError], HTTPStatus]] = {
    NotAcceptable: HTTPStatus.NOT_ACCEPTABLE,
    WrongContent: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    Unprocessable: HTTPStatus.UNPROCESSABLE_ENTITY,
}


def _answer(
    body: bytes, *, status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> Response[bytes]:
    return Response(body, status_code=status, media_type=MEDIA_TYPE, headers=dict(headers or {}))


def _resource(value: msgspec.Struct, *, status: int = HTTPStatus.OK) -> Response[bytes]:
    return _answer(_ENCODER.encode(value), status=status)


def _paged(page: Page) -> Response[bytes]:
    """The page, with when its first and last were added (§3.4)."""
    headers = {}
    if page.first is not None and page.last is not None:
        headers["X-TAXII-Date-Added-First"] = taxii_time(page.first)
        headers["X-TAXII-Date-Added-Last"] = taxii_time(page.last)
    return _answer(page.body, headers=headers)


def _message(
    status: HTTPStatus, *, title: str, code: str, detail: str = "", incident: str | None = None
) -> Response[bytes]:
    message = ErrorMessage(
        title=title,
        description=detail[:DETAIL_CHARACTERS_MAX] or None,
        error_code=code,
        error_id=incident,
        http_status=str(int(status)),
    )
    headers = {}
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Basic realm="openaoc"'
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        headers["Retry-After"] = "1"
    return _answer(_ENCODER.encode(message), status=status, headers=headers)


def _on_our_error(request: ApiRequest, error: OpenAOCError) -> Response[bytes]:
    status = _STATUS.get(type(error)) or status_of(error)
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        log_denied(request, error.code)
    if isinstance(error, NotFound):
        count_guesses(request, 1)
        # One answer, word for word, for what is not there and for what is another's.
        return _message(HTTPStatus.NOT_FOUND, title=NotFound().title, code="not-found")
    detail = str(error) if error.where else error.detail
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("request_failed", route=route_of(request), code=error.code, error=str(error))
    return _message(status, title=error.title, code=error.code, detail=detail)


def _on_http_error(_: ApiRequest, error: HTTPException) -> Response[bytes]:
    status = HTTPStatus(error.status_code)
    code = status.phrase.lower().replace(" ", "-")
    answer = _message(status, title=status.phrase, code=code)
    answer.headers |= error.headers or {}
    return answer


def is_asked(request: ApiRequest) -> bool:
    """Whether the address is one of TAXII's, a route or not."""
    asked = request.url.path
    return asked == DISCOVERY or asked.startswith(f"{DISCOVERY}/")


def on_http_error(request: ApiRequest, error: HTTPException) -> Response[Any]:
    """What the framework refuses before a route is found, in the words of whoever asked."""
    if is_asked(request):
        return _on_http_error(request, error)
    return on_plain_http_error(request, error)


def _on_unexpected(request: ApiRequest, error: Exception) -> Response[bytes]:
    incident = secrets.token_hex(6)
    log.error("unexpected", route=route_of(request), incident=incident, exc_info=error)
    return _message(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        title="Something went wrong here",
        code="unexpected",
        incident=incident,
    )


_HANDLERS: Final[dict[type[Exception] | int, Callable[..., Response[bytes]]]] = {
    OpenAOCError: _on_our_error,
    HTTPException: _on_http_error,
    Exception: _on_unexpected,
}

# Routes

_GUARDS: Final[list[Any]] = [partner_signed_in, accepts_taxii]
_READING: Final = "a partner reads"


def _query(request: ApiRequest, allowed: frozenset[str]) -> Query:
    query = read_query(list(request.query_params.multi_items()), allowed=allowed)
    count_guesses(request, len(query.ids or ()))
    return query


def _collection_id(text: str) -> str:
    if not 0 < len(text) <= ID_CHARACTERS_MAX or not text.isascii() or not text.isprintable():
        raise NoSuchCollection
    return text


def _object_id(text: str) -> str:
    if not 0 < len(text) <= OBJECT_ID_CHARACTERS_MAX or not text.isprintable():
        raise NoSuchStored
    return text


def _route(summary: str) -> dict[str, Any]:
    """What all routes share; the standard describes them, so OpenAPI does not."""
    return {
        "guards": _GUARDS,
        "summary": summary,
        "media_type": MEDIA_TYPE,
        "include_in_schema": False,
        "sync_to_thread": True,
    }


@get(DISCOVERY, **_route("Discovery"))
def discovery(request: ApiRequest) -> Response[bytes]:
    """What is served here (§4.1)."""
    centre = centre_of(request)
    root = f"{centre.settings.base_url}{ROOT}/"
    return _resource(
        Discovery(
            title=centre.settings.centre_code,
            description="An operation centre against online scams.",
            contact=centre.settings.contact or None,
            default=root,
            api_roots=[root],
        )
    )


@get(ROOT, **_route("API root"))
def api_root(request: ApiRequest) -> Response[bytes]:
    """The one API root (§4.2)."""
    assert request.user, "a partner is signed in"
    return _resource(
        ApiRoot(
            title="Exchange",
            description="Collections as views through an agreement.",
            versions=[MEDIA_TYPE],
            max_content_length=ENVELOPE_BYTES_MAX,
        )
    )


@get(ROOT + "/status/{status:str}", **_route("Status of a request"))
def status_of_request(request: ApiRequest, status: FromPath[str]) -> Response[bytes]:
    """What became of objects that were added (§4.3)."""
    centre = centre_of(request)
    if len(status) > ID_CHARACTERS_MAX:
        raise NoSuchStatus
    with centre.uow.read(request.user, purpose=_READING) as tx:
        return _answer(centre.matter.collecting.taxii.status(tx, status).body)


@get(ROOT + "/collections", **_route("Collections"))
def collections(request: ApiRequest) -> Response[bytes]:
    """The partner's collections (§5.1)."""
    centre = centre_of(request)
    with centre.uow.read(request.user, purpose=_READING) as tx:
        return _resource(centre.matter.collecting.taxii.collections(tx))


@get(ROOT + "/collections/{collection:str}", **_route("A collection"))
def collection_info(request: ApiRequest, collection: FromPath[str]) -> Response[bytes]:
    """One of them (§5.2)."""
    centre = centre_of(request)
    with centre.uow.read(request.user, purpose=_READING) as tx:
        return _resource(centre.matter.collecting.taxii.collection(tx, _collection_id(collection)))


@get(ROOT + "/collections/{collection:str}/manifest", **_route("Manifest"))
def manifest(request: ApiRequest, collection: FromPath[str]) -> Response[bytes]:
    """What there is, without the objects (§5.3)."""
    centre, query = centre_of(request), _query(request, _FILTERS)
    with centre.uow.read(request.user, purpose=_READING) as tx:
        return _paged(
            centre.matter.collecting.taxii.manifest(tx, _collection_id(collection), query)
        )


@get(ROOT + "/collections/{collection:str}/objects", **_route("Objects"))
def objects(request: ApiRequest, collection: FromPath[str]) -> Response[bytes]:
    """A page of objects (§5.4)."""
    centre, query = centre_of(request), _query(request, _FILTERS)
    with centre.uow.read(request.user, purpose=_READING) as tx:
        return _paged(centre.matter.collecting.taxii.objects(tx, _collection_id(collection), query))


@post(
    ROOT + "/collections/{collection:str}/objects",
    **{**_route("Add objects"), "guards": [*_GUARDS, sends_taxii]},
    status_code=HTTPStatus.ACCEPTED,
    request_max_body_size=ENVELOPE_BYTES_MAX,
)
def add_objects(request: ApiRequest, collection: FromPath[str], body: RawBody) -> Response[bytes]:
    """Take objects into the inbox (§5.5); they are kept when this is answered."""
    centre = centre_of(request)

    def once() -> Status:
        with centre.uow.begin(request.user, purpose="a partner writes") as tx:
            return centre.matter.collecting.taxii.add(tx, _collection_id(collection), body)

    return _resource(retrying(once), status=HTTPStatus.ACCEPTED)


@get(ROOT + "/collections/{collection:str}/objects/{number:str}", **_route("An object"))
def one_object(
    request: ApiRequest, collection: FromPath[str], number: FromPath[str]
) -> Response[bytes]:
    """The versions asked for of one object (§5.6)."""
    centre, query = centre_of(request), _query(request, _OF_ONE)
    with centre.uow.read(request.user, purpose=_READING) as tx:
        return _paged(
            centre.matter.collecting.taxii.object(
                tx, _collection_id(collection), _object_id(number), query
            )
        )


@delete(
    ROOT + "/collections/{collection:str}/objects/{number:str}",
    **_route("Delete an object"),
    status_code=HTTPStatus.OK,
)
@again
def delete_object(
    request: ApiRequest, collection: FromPath[str], number: FromPath[str]
) -> Response[bytes]:
    """Take back what the partner wrote (§5.7)."""
    centre, query = centre_of(request), _query(request, _OF_DELETE)
    everything = msgspec.structs.replace(query, all=True)
    asked = query if "match[version]" in request.query_params else everything
    with centre.uow.begin(request.user, purpose="a partner takes back") as tx:
        centre.matter.collecting.taxii.delete(
            tx, _collection_id(collection), _object_id(number), asked
        )
    return _answer(b"{}")


@get(ROOT + "/collections/{collection:str}/objects/{number:str}/versions", **_route("Versions"))
def versions(
    request: ApiRequest, collection: FromPath[str], number: FromPath[str]
) -> Response[bytes]:
    """When each version of an object was made (§5.8)."""
    centre, query = centre_of(request), _query(request, _OF_VERSIONS)
    with centre.uow.read(request.user, purpose=_READING) as tx:
        return _paged(
            centre.matter.collecting.taxii.versions(
                tx, _collection_id(collection), _object_id(number), query
            )
        )


HANDLERS: Final = (
    Router(
        "/",
        route_handlers=[
            discovery,
            api_root,
            status_of_request,
            collections,
            collection_info,
            manifest,
            objects,
            add_objects,
            one_object,
            delete_object,
            versions,
        ],
        exception_handlers=_HANDLERS,
    ),
)
