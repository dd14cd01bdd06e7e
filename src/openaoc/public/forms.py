"""Public: the shape of every page: its headers, and a form that is empty, refused or answered.

What is sent is small plain text, and nothing that was not asked for. Decides and keeps nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final, NamedTuple
from urllib.parse import parse_qsl

from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter, RawBody

from openaoc.kernel.errors import BadInput, Busy, OpenAOCError, Unavailable
from openaoc.web.pages import FORM_HEADERS, SECURITY_HEADERS, environment
from openaoc.web.rates import Rate, RateLimited, RateLimits
from openaoc.web.words import LANGUAGES, choose_language, words

FORM_TYPE: Final = "application/x-www-form-urlencoded"
FORM_BYTES_MAX: Final = 64 << 10
FIELDS_MAX: Final = 12

PageRequest = Request[Any, Any, Any]
Language = Annotated[str | None, QueryParameter(required=False)]
Values = dict[str, Any]
"""What a template shows, by name."""
Refusal = tuple[type[OpenAOCError], str, int]
"""An error, the name of the words that are said of it, and the status."""
_ALWAYS: Final[tuple[Refusal, ...]] = (
    (RateLimited, "form_often", 429),
    (Busy, "form_later", 503),
    (Unavailable, "form_later", 503),
)


class Sent(NamedTuple):
    """A form as it came in: the request, its fields without spaces around, the page's language."""

    request: PageRequest
    given: dict[str, str]
    language: str


class FormPage(NamedTuple):
    """A page with a form at an address; the form is sent to `/sent` below it.

    `refusals`: what is said of each error; first match counts. `blank`: what the template shows
    in a language before anything is answered.
    """

    address: str
    template: str
    fields: tuple[str, ...]
    rate: Rate
    refusals: tuple[Refusal, ...]
    blank: Callable[[str], Values]

    def routes(
        self, answer: Callable[[Sent], Values | Response[str]]
    ) -> tuple[HTTPRouteHandler, ...]:
        """The empty form; the form with the answer to what was sent; the way back to it.

        `answer` gives what the template shows instead of `blank`, `given` among it for what stays
        in the fields, or another page. A refusal keeps everything that was typed.
        """

        @get(self.address, include_in_schema=False, sync_to_thread=True)
        def empty(request: PageRequest, lang: Language = None) -> Response[str]:
            return self._page(language_of(request, lang), {})

        @get(f"{self.address}/sent", include_in_schema=False, sync_to_thread=False)
        def back(lang: Language = None) -> Response[str]:
            """A bookmark of an answer, or a tab that is restored: to the empty form."""
            asked = f"?lang={lang}" if lang in LANGUAGES else ""
            headers = {"Location": self.address + asked, "Cache-Control": "no-store"}
            return Response("", status_code=303, media_type="text/html", headers=headers)

        @post(
            f"{self.address}/sent",
            include_in_schema=False,
            sync_to_thread=True,
            status_code=200,
            request_max_body_size=FORM_BYTES_MAX,
        )
        def sent(request: PageRequest, body: RawBody, lang: Language = None) -> Response[str]:
            language, given = language_of(request, lang), dict[str, str]()
            try:
                given = _read(request, body)
                _count(request, self.rate)
                answered = answer(Sent(request, given, language))
            except OpenAOCError as error:
                for kind, name, status in (*self.refusals, *_ALWAYS):
                    if isinstance(error, kind):
                        return self._page(language, given, fault=name, status_code=status)
                raise
            return answered if isinstance(answered, Response) else self._page(language, **answered)

        return empty, back, sent

    def _page(
        self,
        language: str,
        given: dict[str, str],
        *,
        fault: str | None = None,
        status_code: int = 200,
        **shown: Any,
    ) -> Response[str]:
        text = words(language)
        page = (
            environment()
            .get_template(self.template)
            .render(
                **{**self.blank(language), **shown},
                language=language,
                text=text,
                address=self.address,
                given={name: given.get(name, "") for name in self.fields},
                fault=text[fault] if fault else "",
            )
        )
        return page_response(page, language=language, status_code=status_code, form=True)


def language_of(request: PageRequest, asked: str | None) -> str:
    """The page's language: as asked for in its address, else as the browser would have it."""
    return choose_language(asked, request.headers.get("accept-language"))


def page_response(
    page: str, *, language: str, status_code: int = 200, form: bool = False
) -> Response[str]:
    """A page: never kept, never framed; what a form in it sends, goes to this centre alone."""
    headers = {
        **(FORM_HEADERS if form else SECURITY_HEADERS),
        "Content-Language": language,
        "Vary": "Accept-Language",
    }
    return Response(page, media_type="text/html", status_code=status_code, headers=headers)


def _read(request: PageRequest, body: bytes) -> dict[str, str]:
    """The form's fields, a new line as one character, as the browser counted it.

    Raises BadInput for another content type, NUL or broken UTF-8.
    """
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
    return {name: value.replace("\r\n", "\n").strip() for name, value in pairs}


def _count(request: PageRequest, rate: Rate) -> None:
    """Count one form of this address. Raises RateLimited."""
    rates: RateLimits = request.app.state.rates
    rates.take(rate, request.client.host if request.client else "unknown")
