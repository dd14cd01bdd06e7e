"""API: the OpenAPI document as it is given out: what the framework cannot be told stands here.

Never describes what a route does not do.
"""

from __future__ import annotations

from typing import Any, Final

from litestar import Request
from litestar.openapi.plugins import JsonRenderPlugin

IDEMPOTENCY_KEY: Final = "Idempotency-Key"


class Description(JsonRenderPlugin):
    """The document as JSON, with what creates in need of its key.

    Were the header declared so, the framework would refuse first, in its words, without our code.
    """

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """The document's bytes."""
        for ways in openapi_schema["paths"].values():
            for operation in ways.values():
                for parameter in operation.get("parameters", ()):
                    if parameter["name"] == IDEMPOTENCY_KEY:
                        parameter["required"] = True
        return super().render(request, openapi_schema)
