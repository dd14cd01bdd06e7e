"""API: the application: routes, limits and error handling over one centre."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from litestar import Litestar, Router
from litestar.config.app import AppConfig
from litestar.datastructures import State
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.types import ControllerRouterHandler

import openaoc
from openaoc.api import cases, holds, journal, ledger, parties, reports, status
from openaoc.api.metrics import Metrics
from openaoc.api.problems import HANDLERS as ERROR_HANDLERS
from openaoc.api.rates import RateLimits
from openaoc.bootstrap import Centre

DEFAULT_BODY_BYTES_MAX: Final = 64 << 10
HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
}

ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (
    *reports.HANDLERS,
    *cases.HANDLERS,
    *holds.HANDLERS,
    *ledger.HANDLERS,
    *parties.HANDLERS,
    *journal.HANDLERS,
    *status.HANDLERS,
)


def build_app(centre: Centre, *, pages: Sequence[ControllerRouterHandler] = ()) -> Litestar:
    """The ASGI application over a started centre; `pages` are other packages' routes."""
    metrics = Metrics()
    state = State({"centre": centre, "rates": RateLimits(), "metrics": metrics})
    config = AppConfig(
        route_handlers=[Router("/", route_handlers=[*ROUTES]), *pages],
        exception_handlers=ERROR_HANDLERS,
        request_max_body_size=DEFAULT_BODY_BYTES_MAX,
        middleware=[metrics.middleware],
        state=state,
        openapi_config=OpenAPIConfig(
            title="OpenAOC",
            version=openaoc.__version__,
            description="An open operation centre against online scams.",
            path="/schema",
            render_plugins=[JsonRenderPlugin()],
            components=Components(
                security_schemes={"bearer": SecurityScheme(type="http", scheme="bearer")}
            ),
        ),
        debug=False,
        logging_config=None,
    )
    config.response_headers = [*_headers()]
    return Litestar.from_config(config)
