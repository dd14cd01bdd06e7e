"""Public: the page on which a victim follows the case, by its number and secret, without a login.

Shows sums, the hours that are left to complain to the police, and the complaint, drafted; takes the
code by which the victim proves to control the paying account. Nothing of anybody else's account.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from litestar import Response, get, post
from litestar.params import RawBody

from openaoc.cases.model import UNDER_WORK, CaseView, NoSuchCase, WrongCaseTransition
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
from openaoc.reports.control import ControlNotProven
from openaoc.web.pages import FORM_HEADERS, environment
from openaoc.web.rates import CASES_FOLLOWED, RateLimited
from openaoc.web.words import choose_language, words, write_exactly
from openaoc.workflow.complaint import ComplaintDraft
from openaoc.workflow.control import AccountControl

ADDRESS: Final = "/case"
SENT: Final = "/case/sent"
"""A path of its own: the framework wraps handlers that share one twice."""
FIELDS: Final = ("case", "secret", "code")
FIELD_CHARACTERS_MAX: Final = 128
SUMS: Final = ("loss", "held", "located", "exited", "restituted")
DRAFT_HEADERS: Final = {
    **FORM_HEADERS,
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
}
"""For the draft, which carries its own style to be kept as one file, and no script."""
_FAULTS: Final[tuple[tuple[type[OpenAOCError], str, int], ...]] = (
    (NoSuchCase, "case_wrong", 404),
    (ControlNotProven, "case_code_wrong", 403),
    (WrongCaseTransition, "case_over", 409),
    (RateLimited, "contest_often", 429),
    (BadInput, "case_wrong", 400),
    (Busy, "contest_later", 503),
    (Unavailable, "contest_later", 503),
)
"""What is said of each refusal, and with which status; first match counts."""


@get(ADDRESS, include_in_schema=False, sync_to_thread=True)
def case_page(request: PageRequest, lang: Language = None) -> Response[str]:
    """The empty form."""
    return _page(request, lang, given={})


@post(
    SENT,
    include_in_schema=False,
    sync_to_thread=True,
    status_code=200,
    request_max_body_size=FORM_BYTES_MAX,
)
def case_sent(request: PageRequest, body: RawBody, lang: Language = None) -> Response[str]:
    """How the case stands, after what was asked for; or the complaint as a page to print."""
    given: dict[str, str] = {}
    asked: list[AccountControl] = []
    try:
        limit(request, CASES_FOLLOWED)
        given = read_form(request, body)
        case, secret, code = (given.get(name, "").strip() for name in FIELDS)
        case, do = case.upper(), given.get("do")
        if max(len(case), len(secret), len(code)) > FIELD_CHARACTERS_MAX:
            raise NoSuchCase
        if do == "draft":
            return _draft(request, case, secret)
        control = request.app.state.centre.matter.control
        if do == "ask":
            asked = control.ask(case, actor=CITIZEN, secret=secret).accounts
        if do == "prove":
            control.prove(case, secret=secret, code=code)
        view = _look(request, case, secret)
    except OpenAOCError as error:
        for kind, name, status in _FAULTS:
            if isinstance(error, kind):
                return _page(request, lang, given=given, fault=name, status_code=status)
        raise
    keep = {**given, "code": ""}
    return _page(request, lang, given=keep, view=view, asked=asked, proven=do == "prove")


def _look(request: PageRequest, case: str, secret: str) -> CaseView:
    centre = request.app.state.centre
    with centre.uow.read(CITIZEN, purpose="follow one's case") as tx:
        view: CaseView = centre.matter.cases.show(tx, case, secret=secret)
    return view


def _draft(request: PageRequest, case: str, secret: str) -> Response[str]:
    centre = request.app.state.centre
    with centre.uow.begin(CITIZEN, purpose="draft a complaint") as tx:
        made: ComplaintDraft = centre.matter.complaints.draft(tx, case, secret=secret)
    return Response(made.html, media_type="text/html", headers=DRAFT_HEADERS)


def _page(
    request: PageRequest,
    lang: str | None,
    *,
    given: dict[str, str],
    view: CaseView | None = None,
    asked: Sequence[AccountControl] = (),
    proven: bool = False,
    fault: str | None = None,
    status_code: int = 200,
) -> Response[str]:
    language = choose_language(lang, request.headers.get("accept-language"))
    text = words(language)
    clock = None if view is None else view.complaint
    page = (
        environment()
        .get_template("case.html")
        .render(
            language=language,
            text=text,
            address=ADDRESS,
            given={name: given.get(name, "") for name in FIELDS},
            fault=text[fault] if fault else "",
            view=view,
            unproven=view is not None
            and view.standing == "needs_person"
            and view.state in UNDER_WORK,
            asked=asked,
            proven=proven,
            sums=[] if view is None else _sums(view, language),
            orders=[] if view is None else sorted(Counter(o.state for o in view.orders).items()),
            clock=clock,
            hours="" if clock is None else f"{clock.hours_left:.1f}",
            time=_time,
        )
    )
    return page_response(page, language=language, status_code=status_code)


def _sums(view: CaseView, language: str) -> list[tuple[str, str]]:
    """Each sum's name and amount; what came back only where something did."""
    found = [(name, getattr(view, f"{name}_minor")) for name in SUMS]
    return [
        (name, write_exactly(amount, view.currency, language))
        for name, amount in found
        if amount or name != "restituted"
    ]


def _time(moment: datetime) -> str:
    return moment.astimezone(BANGKOK).strftime("%Y-%m-%d %H:%M +07:00")


ROUTES: Final = (case_page, case_sent)
