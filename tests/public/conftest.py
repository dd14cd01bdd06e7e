"""A centre of its own for each test that asks for one, live for all banks."""

from __future__ import annotations

from tests.workflow.conftest import centre, shadow_centre

__all__ = ["centre", "shadow_centre"]
