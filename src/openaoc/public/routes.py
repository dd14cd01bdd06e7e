"""Public: the routes anybody may open without signing in: the status page and the forms.

Reads published figures; what a holder or a bank sends is passed on by the forms' own modules.
"""

from __future__ import annotations

from typing import Annotated, Final

from litestar import Response, Router, get
from litestar.exceptions import NotFoundException
from litestar.params import PathParameter
from litestar.types import ControllerRouterHandler

from openaoc.public import case, check_order, contest, law, report
from openaoc.public.forms import Language, PageRequest, language_of, page_response
from openaoc.public.status_page import render
from openaoc.statistics.model import LiveFigures
from openaoc.web.pages import ASSET_TYPES, SECURITY_HEADERS, asset

ASSET_SECONDS: Final = 365 * 86_400

AssetName = Annotated[str, PathParameter()]


def _page(request: PageRequest, lang: str | None, *, whole: bool) -> Response[str]:
    figures: LiveFigures = request.app.state.centre.figures()
    language = language_of(request, lang)
    return page_response(render(figures, language=language, whole=whole), language=language)


@get("/", include_in_schema=False, sync_to_thread=True)
def status_page(request: PageRequest, lang: Language = None) -> Response[str]:
    """The status page; `lang` is th or en."""
    return _page(request, lang, whole=True)


@get("/figures", include_in_schema=False, sync_to_thread=True)
def figures_part(request: PageRequest, lang: Language = None) -> Response[str]:
    """The part of the page that changes."""
    return _page(request, lang, whole=False)


@get("/assets/{name:str}", include_in_schema=False, sync_to_thread=False)
def asset_file(name: AssetName) -> Response[bytes]:
    """A style sheet, script or picture of the page; its address changes with its content."""
    if name not in ASSET_TYPES:
        raise NotFoundException("no such file")
    headers = {
        **SECURITY_HEADERS,
        "Cache-Control": f"public, max-age={ASSET_SECONDS}, immutable",
    }
    return Response(asset(name), media_type=ASSET_TYPES[name], headers=headers)


# In one router: registered one by one, Litestar wraps a handler that shares its path twice.
ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (
    Router(
        "/",
        route_handlers=[
            status_page,
            figures_part,
            asset_file,
            *case.ROUTES,
            *contest.ROUTES,
            *check_order.ROUTES,
            *report.ROUTES,
            *law.ROUTES,
        ],
    ),
)
