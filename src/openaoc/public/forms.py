"""Public: a page's form as it comes in: small, plain text, nothing it did not ask for."""

from __future__ import annotations

from typing import Annotated, Any, Final
from urllib.parse import parse_qsl

from litestar import Request, Response
from litestar.params import QueryParameter

from openaoc.kernel.errors import BadInput
from openaoc.web.pages import FORM_HEADERS
from openaoc.web.rates import Rate, RateLimits

FORM_TYPE: Final = "application/x-www-form-urlencoded"
FORM_BYTES_MAX: Final = 64 << 10
FIELDS_MAX: Final = 12

PageRequest = Request[Any, Any, Any]
Language = Annotated[str | None, QueryParameter(required=False)]


def read_form(request: PageRequest, body: bytes) -> dict[str, str]:
    """The form's fields. Raises BadInput for another content type, NUL or broken UTF-8."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != FORM_TYPE:
        raise BadInput(f"send {FORM_TYPE}", where="Content-Type")
    try:
        text = body.decode("ascii")
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=FIELDS_MAX, errors="strict")
    except ValueError as error:
        raise BadInput("not a form") from error
    if any("\0" in value for _, value in pairs):
        raise BadInput("contains a NUL character")
    return dict(pairs)


def limit(request: PageRequest, rate: Rate) -> None:
    """Count one request of this address. Raises RateLimited."""
    rates: RateLimits = request.app.state.rates
    rates.take(rate, request.client.host if request.client else "unknown")


def page_response(page: str, *, language: str, status_code: int = 200) -> Response[str]:
    """A page with a form: never kept, never framed, sent nowhere else."""
    headers = {**FORM_HEADERS, "Content-Language": language, "Vary": "Accept-Language"}
    return Response(page, media_type="text/html", status_code=status_code, headers=headers)
