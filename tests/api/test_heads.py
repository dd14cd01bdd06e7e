"""API: HEAD, as monitors and proxies ask."""

from __future__ import annotations

import pytest

from tests.cli.world import World


@pytest.mark.parametrize(
    "path", ["/", "/health", "/contest", "/case/sent", "/v1/status", "/no-such", "/v1/reports"]
)
def test_head_is_answered_as_get_without_the_body(world: World, path: str) -> None:
    nobody = world.as_("nobody")
    whole, head = nobody.get(path), nobody.head(path)
    assert (head.status_code, head.content) == (whole.status_code, b"")
    for name in ("content-type", "content-security-policy", "location", "allow"):
        assert head.headers.get(name) == whole.headers.get(name), name
    assert nobody.get("/health").json()["status"] == "ok", "the connection goes on"
