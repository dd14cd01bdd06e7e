"""Public: the page on which a bank checks an order that was read to it over the telephone.

Says valid or not valid, and nothing else of any order.
"""

from __future__ import annotations

from typing import Final

import msgspec
from litestar import Response, get, post
from litestar.params import RawBody

from openaoc.holds.telephone import OrderCheck
from openaoc.kernel.actor import CITIZEN
from openaoc.kernel.errors import BadInput
from openaoc.public.forms import (
    FORM_BYTES_MAX,
    Language,
    PageRequest,
    limit,
    page_response,
    read_form,
)
from openaoc.web.pages import environment
from openaoc.web.rates import ORDER_CHECKS, RateLimited
from openaoc.web.words import choose_language, words

ADDRESS: Final = "/check-order"
SENT: Final = "/check-order/sent"
"""A path of its own: the framework wraps handlers that share one twice."""


@get(ADDRESS, include_in_schema=False, sync_to_thread=True)
def check_page(request: PageRequest, lang: Language = None) -> Response[str]:
    """The empty form."""
    return _page(request, lang)


@post(
    SENT,
    include_in_schema=False,
    sync_to_thread=True,
    status_code=200,
    request_max_body_size=FORM_BYTES_MAX,
)
def check_sent(request: PageRequest, body: RawBody, lang: Language = None) -> Response[str]:
    """Valid or not."""
    try:
        limit(request, ORDER_CHECKS)
        given = read_form(request, body)
        asked = msgspec.convert(
            {name: given.get(name, "").strip() for name in ("order", "code")}, OrderCheck
        )
    except RateLimited:
        return _page(request, lang, fault="contest_often", status_code=429)
    except (BadInput, msgspec.ValidationError):
        return _page(request, lang, valid=False)
    centre = request.app.state.centre
    with centre.uow.read(CITIZEN, purpose="check an order read by telephone") as tx:
        valid: bool = centre.matter.telephone.check(tx, asked).valid
    return _page(request, lang, order=asked.order, valid=valid)


def _page(
    request: PageRequest,
    lang: str | None,
    *,
    order: str = "",
    valid: bool | None = None,
    fault: str | None = None,
    status_code: int = 200,
) -> Response[str]:
    language = choose_language(lang, request.headers.get("accept-language"))
    text = words(language)
    page = (
        environment()
        .get_template("check_order.html")
        .render(
            language=language,
            text=text,
            address=ADDRESS,
            given={"order": order},
            valid=valid,
            fault=text[fault] if fault else "",
        )
    )
    return page_response(page, language=language, status_code=status_code)


ROUTES: Final = (check_page, check_sent)
