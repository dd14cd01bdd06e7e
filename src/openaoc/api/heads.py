"""API: HEAD is answered as GET, for monitors, proxies and links that are previewed.

Leaves out no body itself: the server does, for it knows what was asked.
"""

from __future__ import annotations

from typing import Any

Application = Any
"""An ASGI application: the framework and the server name its type differently."""


def with_heads(app: Application) -> Application:
    """The application, which is told GET where HEAD was asked."""

    async def asked(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
        await app(scope, receive, send)

    return asked
