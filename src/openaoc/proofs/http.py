"""Proofs: the small centre's real application, asked over HTTP without a socket."""

from __future__ import annotations

from typing import Any, Final

import httpx

from openaoc.api.app import build_app
from openaoc.proofs.small_centre import SmallCentre
from openaoc.public.routes import ROUTES

BASE: Final = "http://centre"
SECONDS_MAX: Final = 30.0


def client_of(small: SmallCentre) -> httpx.AsyncClient:
    """A client of the application over this centre, as one address; close it after use."""
    app: Any = build_app(small.centre, pages=ROUTES)  # ASGI, typed more narrowly than httpx knows
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 1))
    return httpx.AsyncClient(transport=transport, base_url=BASE, timeout=SECONDS_MAX)
