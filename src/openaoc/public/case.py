"""Public: the page on which a victim follows the case, by its number and secret, without a login.

Shows sums, the hours that are left to complain to the police, and the complaint, drafted; takes the
code by which the victim proves to control the paying account. Nothing of anybody else's account.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from litestar import Response

from openaoc.cases.model import UNDER_WORK, CaseView, NoSuchCase, WrongCaseTransition
from openaoc.kernel.actor import CITIZEN
from openaoc.kernel.errors import BadInput
from openaoc.kernel.ids import read_number
from openaoc.public.forms import FormPage, PageRequest, Sent, Values
from openaoc.reports.control import ControlNotProven
from openaoc.web.pages import FORM_HEADERS
from openaoc.web.rates import CASES_FOLLOWED
from openaoc.web.words import write_exactly, write_time
from openaoc.workflow.complaint import ComplaintDraft
from openaoc.workflow.control import AccountControl

KEY: Final = ("case", "secret", "code")
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


def _shown(
    language: str,
    view: CaseView | None = None,
    *,
    asked: Sequence[AccountControl] = (),
    proven: bool = False,
) -> Values:
    shown: Values = {"view": view, "asked": asked, "proven": proven, "time": write_time}
    if view is None:
        return shown | {"unproven": False}
    return shown | {
        "unproven": view.standing == "needs_person" and view.state in UNDER_WORK,
        "sums": _sums(view, language),
        "orders": _orders(view),
    }


PAGE: Final = FormPage(
    address="/case",
    template="case.html",
    fields=(*KEY, "do"),
    rate=CASES_FOLLOWED,
    refusals=(
        (NoSuchCase, "case_wrong", 404),
        (ControlNotProven, "case_code_wrong", 403),
        (WrongCaseTransition, "case_over", 409),
        (BadInput, "case_wrong", 400),
    ),
    blank=_shown,
)


def _followed(sent: Sent) -> Values | Response[str]:
    """How the case stands, after what was asked for; or the complaint as a page to print."""
    case, secret, code = (sent.given.get(name, "") for name in KEY)
    do = sent.given.get("do")
    if max(len(case), len(secret), len(code)) > FIELD_CHARACTERS_MAX:
        raise NoSuchCase
    case = read_number(case)
    if do == "draft":
        return _draft(sent.request, case, secret)
    control = sent.request.app.state.centre.matter.control
    asked: Sequence[AccountControl] = ()
    if do == "ask":
        asked = control.ask(case, actor=CITIZEN, secret=secret).accounts
    if do == "prove":
        control.prove(case, secret=secret, code=code)
    view = _look(sent.request, case, secret)
    shown = _shown(sent.language, view, asked=asked, proven=do == "prove")
    return {"given": {"case": case, "secret": secret}, **shown}


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


def _sums(view: CaseView, language: str) -> list[tuple[str, str]]:
    """Each sum's name and amount; what came back only where something did."""
    found = [(name, getattr(view, f"{name}_minor")) for name in SUMS]
    return [
        (name, write_exactly(amount, view.currency, language))
        for name, amount in found
        if amount or name != "restituted"
    ]


def _orders(view: CaseView) -> list[tuple[str, int]]:
    """How many orders are in each state; none in shadow, where nobody is told of one."""
    shown = view.orders if view.mode == "live" else []
    return sorted(Counter(order.state for order in shown).items())


ROUTES: Final = PAGE.routes(_followed)
