"""Public: the page of legal rules side by side, to read and to print.

Shows this centre's own files, as law is anybody's; what partners sent is for the staff.
"""

from __future__ import annotations

from typing import Annotated, Final

from litestar import Response, get
from litestar.params import QueryParameter

from openaoc.holds.comparing import compare
from openaoc.public.forms import Language, PageRequest, language_of, page_response
from openaoc.web.law import ADDRESS, render_law

Codes = Annotated[list[str] | None, QueryParameter(max_items=50, required=False)]


@get(ADDRESS, include_in_schema=False, sync_to_thread=True)
def law_page(
    request: PageRequest, lang: Language = None, jurisdiction: Codes = None
) -> Response[str]:
    """The rules in force today; `lang` is th or en, `jurisdiction` may stand more than once."""
    language = language_of(request, lang)
    today = request.app.state.centre.clock.now().date()
    page = render_law(compare(jurisdiction or (), on=today), language=language, whole=False)
    return page_response(page, language=language)


ROUTES: Final = (law_page,)
