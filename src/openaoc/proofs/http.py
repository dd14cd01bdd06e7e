"""Proofs: the small centre's real application, asked over HTTP without a socket."""

from __future__ import annotations

from typing import Any, Final

import httpx

from openaoc.api.app import build_app
from openaoc.proofs.small_centre import SmallCentre
from openaoc.public.routes import ROUTES
from openaoc.web.rates import RateLimits

BASE: Final = "http://centre"
SECONDS_MAX: Final = 30.0


def client_of(small: SmallCentre, *, limits: RateLimits | None = None) -> httpx.AsyncClient:
    """A client of the application over this centre, as one address; close it after use.

    `limits`: on requests, in place of those of the machine's clock.
    """
    app: Any = build_app(small.centre, pages=ROUTES)  # ASGI, typed more narrowly than httpx knows
    if limits is not None:
        app.state.rates = limits
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 1))
    return httpx.AsyncClient(transport=transport, base_url=BASE, timeout=SECONDS_MAX)
