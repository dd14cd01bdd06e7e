"""Public: what a person's browser is shown where there is no page: where to go from here.

Says nothing of what there might be. A program is answered by the API, in its own words.
"""

from __future__ import annotations

from typing import Final

from litestar import Response

from openaoc.public.forms import PageRequest, language_of, page_response
from openaoc.web.pages import environment
from openaoc.web.words import words

HOME: Final = "/"
"""Where the page's own links begin: never at the address that was typed."""


def missing_page(request: PageRequest) -> Response[str] | None:
    """The page, in the browser's language; None for who did not ask for pages."""
    if "text/html" not in request.headers.get("accept", ""):
        return None
    language = language_of(request, None)
    template = environment().get_template("missing.html")
    page = template.render(text=words(language), language=language, address=HOME)
    return page_response(page, language=language, status_code=404)
