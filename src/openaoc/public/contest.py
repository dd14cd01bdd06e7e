"""Public: the page on which a holder contests a hold, in Thai and English, without a login.

Shows and passes on; whether a hold was right is decided elsewhere, by persons.
"""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any, Final

import msgspec
from litestar import Response, get, post
from litestar.params import RawBody

from openaoc.appeals.model import (
    OPEN,
    STATEMENT_CHARACTERS_MAX,
    AppealState,
    Contest,
    ContestKey,
    ContestView,
    HoldOver,
    NoSuchAppeal,
    NoSuchHold,
    TooManyContests,
)
from openaoc.channels.idempotency import once
from openaoc.kernel.actor import CITIZEN
from openaoc.kernel.errors import BadInput, Busy, OpenAOCError, Unavailable
from openaoc.public.forms import (
    FORM_BYTES_MAX,
    Language,
    PageRequest,
    limit,
    page_response,
    read_form,
)
from openaoc.public.status_page import BANGKOK
from openaoc.storage.unit_of_work import retrying
from openaoc.web.pages import environment
from openaoc.web.rates import CONTESTS, RateLimited
from openaoc.web.words import choose_language, words, write_exactly

ADDRESS: Final = "/contest"
SENT: Final = "/contest/sent"
"""A path of its own: the framework wraps handlers that share one twice."""
FIELDS: Final = ("order", "code", "statement", "contact")
KEPT: Final = ("order", "code")
MAY_ADD: Final = OPEN | {AppealState.REFUSED, AppealState.UPHELD_IN_PART}
"""The form is shown again: for more to an open contest, or for a new one."""
ONCE_BYTES: Final = 16
ONCE_CHARACTERS_MAX: Final = 64
_FAULTS: Final[tuple[tuple[type[OpenAOCError], str, int], ...]] = (
    (NoSuchHold, "contest_wrong", 404),
    (NoSuchAppeal, "contest_none", 404),
    (HoldOver, "contest_over", 409),
    (TooManyContests, "contest_limit", 409),
    (RateLimited, "contest_often", 429),
    (BadInput, "contest_input", 400),
    (Busy, "contest_later", 503),
    (Unavailable, "contest_later", 503),
)
"""What is said of each refusal, and with which status; first match counts."""


@get(ADDRESS, include_in_schema=False, sync_to_thread=True)
def contest_page(request: PageRequest, lang: Language = None) -> Response[str]:
    """The empty form."""
    return _page(request, lang, given={})


@post(
    SENT,
    include_in_schema=False,
    sync_to_thread=True,
    status_code=200,
    request_max_body_size=FORM_BYTES_MAX,
)
def contest_sent(request: PageRequest, body: RawBody, lang: Language = None) -> Response[str]:
    """Files the contest, or shows how it stands; a form sent twice has its effect once."""
    given: dict[str, str] = {}
    try:
        limit(request, CONTESTS)
        given = read_form(request, body)
        view = _look(request, given) if given.get("do") == "status" else _file(request, given, lang)
    except OpenAOCError as error:
        for kind, name, status in _FAULTS:
            if isinstance(error, kind):
                return _page(request, lang, given=given, fault=name, status_code=status)
        raise
    keep = {name: value for name, value in given.items() if name in KEPT}
    return _page(request, lang, given=keep, found=view)


def _file(request: PageRequest, given: dict[str, str], lang: str | None) -> ContestView:
    language = choose_language(lang, request.headers.get("accept-language"))
    values = {name: given.get(name, "").strip() for name in FIELDS}
    contest = _converted({**values, "language": language}, Contest)
    centre = request.app.state.centre
    asked = once(
        actor=CITIZEN.id,
        route="contest page",
        key=given.get("once", "")[:ONCE_CHARACTERS_MAX] or secrets.token_hex(ONCE_BYTES),
        content=msgspec.json.encode(contest),
    )

    def take() -> ContestView:
        with centre.uow.begin(CITIZEN, purpose="contest a hold") as tx:
            earlier = asked.earlier(tx, ContestView)
            if earlier is not None:
                return earlier
            filed: ContestView = centre.matter.appeals.file(tx, contest)
            asked.answered(tx, filed)
            return filed

    return retrying(take)


def _look(request: PageRequest, given: dict[str, str]) -> ContestView:
    values = {name: given.get(name, "").strip() for name in ("order", "code")}
    key = _converted(values, ContestKey)
    centre = request.app.state.centre
    with centre.uow.read(CITIZEN, purpose="look at one's contest") as tx:
        view: ContestView = centre.matter.appeals.status(tx, key)
    return view


def _converted(values: dict[str, str], kind: type[Any]) -> Any:
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        raise BadInput(str(error)) from error


def _page(
    request: PageRequest,
    lang: str | None,
    *,
    given: dict[str, str],
    found: ContestView | None = None,
    fault: str | None = None,
    status_code: int = 200,
) -> Response[str]:
    language = choose_language(lang, request.headers.get("accept-language"))
    text = words(language)
    page = (
        environment()
        .get_template("contest.html")
        .render(
            language=language,
            text=text,
            address=ADDRESS,
            once=secrets.token_hex(ONCE_BYTES),
            given={name: given.get(name, "") for name in FIELDS},
            fault=text[fault] if fault else "",
            statement_max=STATEMENT_CHARACTERS_MAX,
            found=None if found is None else msgspec.to_builtins(found) | {"state": found.state},
            open=found is not None and found.state in OPEN,
            again=found is not None and found.state in MAY_ADD,
            held=_money(found, "held_minor", language),
            released=_money(found, "released_minor", language),
            answer_by="" if found is None else _time(found.answer_by),
            last_at="" if found is None else _time(found.last_at),
        )
    )
    return page_response(page, language=language, status_code=status_code)


def _money(found: ContestView | None, name: str, language: str) -> str:
    return "" if found is None else write_exactly(getattr(found, name), found.currency, language)


def _time(moment: datetime) -> str:
    return moment.astimezone(BANGKOK).strftime("%Y-%m-%d %H:%M +07:00")


ROUTES: Final = (contest_page, contest_sent)
