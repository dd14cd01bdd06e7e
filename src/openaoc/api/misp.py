"""API: a partner's MISP feed at `/misp/`, as MISP servers fetch one.

What a partner sees is decided in the exchange; here nothing is added to it.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from litestar import Response, get
from litestar.handlers import BaseRouteHandler
from litestar.params import PathParameter

from openaoc.api.access import (
    API_KEY_CHARACTERS_MAX,
    Connection,
    centre_of,
    limits_of,
    sign_in,
)
from openaoc.api.problems import ApiRequest
from openaoc.api.rates import MISP_WHOLE
from openaoc.api.taxii import partner_signed_in
from openaoc.exchange.misp.feed import HASHES, MANIFEST
from openaoc.exchange.misp.serving import NoSuchEvent
from openaoc.kernel.actor import Role
from openaoc.kernel.errors import NotSignedIn, Refused

ROOT: Final = "/misp"
JSON: Final = "application/json"
CSV: Final = "text/csv"
_EVENT: Final = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.json")
_HEADERS: Final = {"Cache-Control": "no-store"}


def misp_signed_in(connection: Connection, handler: BaseRouteHandler) -> None:
    """A partner's key alone, as MISP sends keys; or as TAXII takes it. Raises NotSignedIn."""
    header = connection.headers.get("authorization", "").strip()
    if " " in header:
        partner_signed_in(connection, handler)
        return
    if not 0 < len(header) <= API_KEY_CHARACTERS_MAX:
        raise NotSignedIn("a partner's key is needed in the header Authorization")
    actor = sign_in(connection, header)
    connection.scope["user"] = actor
    if not actor.has(Role.PARTNER):
        raise Refused("this is for partners")


def _route(summary: str) -> dict[str, Any]:
    """What all routes share; MISP's core format describes them, so OpenAPI does not."""
    return {
        "guards": [misp_signed_in],
        "summary": summary,
        "include_in_schema": False,
        "sync_to_thread": True,
    }


def _count_whole(request: ApiRequest) -> None:
    """One look at all a partner has. Raises RateLimited."""
    limits_of(request).take(MISP_WHOLE, request.user.partner or "")


@get(f"{ROOT}/{MANIFEST}", **_route("The manifest of a partner's MISP feed"))
def manifest(request: ApiRequest) -> Response[bytes]:
    """The events there are, and when each last changed."""
    _count_whole(request)
    centre = centre_of(request)
    with centre.uow.read(request.user, purpose="a partner reads its MISP feed") as tx:
        found = centre.matter.collecting.misp.manifest(tx)
    return Response(found, media_type=JSON, headers=_HEADERS)


@get(f"{ROOT}/{HASHES}", **_route("What a partner's MISP feed can be searched by"))
def hashes(request: ApiRequest) -> Response[bytes]:
    """MD5 of each value, with its event."""
    _count_whole(request)
    centre = centre_of(request)
    with centre.uow.read(request.user, purpose="a partner reads its MISP feed") as tx:
        found = centre.matter.collecting.misp.hashes(tx)
    return Response(found, media_type=CSV, headers=_HEADERS)


@get(ROOT + "/{name:str}", **_route("An event of a partner's MISP feed"))
def event(request: ApiRequest, name: Annotated[str, PathParameter()]) -> Response[bytes]:
    """One of the manifest's; what is not there and what is another's are the same."""
    number = _EVENT.fullmatch(name)
    if number is None:
        raise NoSuchEvent
    centre = centre_of(request)
    with centre.uow.read(request.user, purpose="a partner reads its MISP feed") as tx:
        found = centre.matter.collecting.misp.event(tx, number[1])
    return Response(found, media_type=JSON, headers=_HEADERS)


HANDLERS: Final = (manifest, hashes, event)
