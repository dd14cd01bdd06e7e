"""API: the application: routes, limits and error handling over one centre."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, Final

from litestar import Litestar, Response, Router
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme
from litestar.types import ControllerRouterHandler

import openaoc
from openaoc.api import (
    advisories,
    agreements,
    appeals,
    campaigns,
    cases,
    centres,
    complaint,
    continuity,
    control,
    exchange,
    exchange_files,
    feeds,
    holds,
    indicators,
    iso20022,
    journal,
    ledger,
    live,
    misp,
    notice_delays,
    operations,
    parties,
    plain,
    pooled,
    practice,
    protection,
    public_report,
    reports,
    restitution,
    rules,
    safety,
    spreadsheets,
    status,
    suspicions,
    takedowns,
    taxii,
    witnesses,
)
from openaoc.api.description import Description
from openaoc.api.exercise import marking
from openaoc.api.metrics import Metrics
from openaoc.api.problems import HANDLERS as ERROR_HANDLERS
from openaoc.api.problems import ApiRequest
from openaoc.api.sign_ins import SignIns
from openaoc.bootstrap import Centre
from openaoc.web.rates import RateLimits

DEFAULT_BODY_BYTES_MAX: Final = 64 << 10
HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
}

ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (
    *reports.HANDLERS,
    *cases.HANDLERS,
    *complaint.HANDLERS,
    *control.HANDLERS,
    *holds.HANDLERS,
    *notice_delays.HANDLERS,
    *appeals.HANDLERS,
    *safety.HANDLERS,
    *iso20022.HANDLERS,
    *spreadsheets.HANDLERS,
    *ledger.HANDLERS,
    *parties.HANDLERS,
    *pooled.HANDLERS,
    *live.HANDLERS,
    *rules.HANDLERS,
    *suspicions.HANDLERS,
    *indicators.HANDLERS,
    *restitution.HANDLERS,
    *agreements.HANDLERS,
    *exchange.HANDLERS,
    *exchange_files.HANDLERS,
    *takedowns.HANDLERS,
    *advisories.HANDLERS,
    *campaigns.HANDLERS,
    *plain.HANDLERS,
    *taxii.HANDLERS,
    *misp.HANDLERS,
    *feeds.HANDLERS,
    *journal.HANDLERS,
    *status.HANDLERS,
    *public_report.HANDLERS,
    *continuity.HANDLERS,
    *witnesses.HANDLERS,
    *centres.HANDLERS,
    *practice.HANDLERS,
    *protection.HANDLERS,
    *operations.HANDLERS,
)


def build_app(
    centre: Centre,
    *,
    pages: Sequence[ControllerRouterHandler] = (),
    missing: Callable[[ApiRequest], Response[str] | None] = lambda _: None,
) -> Litestar:
    """The ASGI application over a started centre; `pages` are other packages' routes.

    `missing`: the page for who asks for one that is not there, None for who did not ask for pages.
    """
    metrics = Metrics()

    def on_http_error(request: ApiRequest, error: HTTPException) -> Response[Any]:
        nowhere = error.status_code == HTTPStatus.NOT_FOUND and not taxii.is_asked(request)
        page = missing(request) if nowhere else None
        return taxii.on_http_error(request, error) if page is None else page

    return Litestar(
        # In one router: registered one by one, Litestar wraps a handler that shares its path twice.
        route_handlers=[Router("/", route_handlers=[*ROUTES]), *pages],
        exception_handlers={**ERROR_HANDLERS, HTTPException: on_http_error},
        request_max_body_size=DEFAULT_BODY_BYTES_MAX,
        response_headers=HEADERS,
        middleware=[metrics.middleware, *([marking] if centre.settings.exercise else [])],
        state=State(
            {"centre": centre, "rates": RateLimits(), "metrics": metrics, "sign_ins": SignIns()}
        ),
        openapi_config=OpenAPIConfig(
            title="OpenAOC",
            version=openaoc.__version__,
            description="An open operation centre against online scams.",
            path="/schema",
            render_plugins=[Description()],
            components=Components(
                security_schemes={"bearer": SecurityScheme(type="http", scheme="bearer")}
            ),
        ),
        debug=False,
        logging_config=None,
    )
