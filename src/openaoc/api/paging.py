"""API: cursor paging, the same on every list."""

from __future__ import annotations

from typing import Annotated, Final

from litestar.params import QueryParameter

from openaoc.kernel.limits import PAGE_MAX

CURSOR_CHARACTERS_MAX: Final = 256

Cursor = Annotated[
    str | None,
    QueryParameter(
        name="cursor",
        max_length=CURSOR_CHARACTERS_MAX,
        required=False,
        description="The `cursor` of the page before; absent for the first page.",
    ),
]
Limit = Annotated[
    int,
    QueryParameter(name="limit", ge=1, le=PAGE_MAX, required=False, description="Items on a page."),
]
