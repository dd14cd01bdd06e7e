"""API: the reporter proves to control the paying account: codes asked for, and given back."""

from __future__ import annotations

from typing import Final

from litestar import post
from litestar.params import FromPath, JSONBody

from openaoc.api.access import BEARER, centre_of, key_or_citizen, need_id
from openaoc.api.bodies import Body
from openaoc.api.cases import SECRET_CHARACTERS_MAX, CaseSecret
from openaoc.api.decisions import DECISION_BODY_BYTES_MAX
from openaoc.api.problems import ApiRequest, described, problems
from openaoc.api.rates import CONTROL_BY_SECRET
from openaoc.api.wire import ControlCode
from openaoc.cases.model import NoSuchCase
from openaoc.reports.control import ControlNotProven
from openaoc.workflow.control import ControlAsked, ControlProven


@post(
    "/v1/cases/{case_id:str}/control-checks",
    guards=[key_or_citizen(CONTROL_BY_SECRET)],
    status_code=200,
    security=[*BEARER, {}],
    tags=["cases"],
    summary="Have codes sent to the holders of the paying accounts",
    description=(
        "Each paying account's institution shows its holder a code; `POST …/control` takes it. By "
        "the case's secret, or by an agent, investigator or supervisor. Again while a code is "
        "valid, it changes nothing."
    ),
    responses={**described(ControlAsked, "Every paying account"), **problems(401, 403, 404, 409)},
    sync_to_thread=True,
)
def ask(request: ApiRequest, case_id: FromPath[str], secret: CaseSecret = None) -> ControlAsked:
    """Ask for codes."""
    case = need_id(case_id, what="case")
    if secret is not None and len(secret) > SECRET_CHARACTERS_MAX:
        raise NoSuchCase
    return centre_of(request).matter.control.ask(case, actor=request.user, secret=secret)


@post(
    "/v1/cases/{case_id:str}/control",
    guards=[key_or_citizen(CONTROL_BY_SECRET)],
    dto=Body[ControlCode],
    return_dto=None,
    status_code=200,
    request_max_body_size=DECISION_BODY_BYTES_MAX,
    security=[*BEARER, {}],
    tags=["cases"],
    summary="Give back the code that the paying account's institution showed",
    description=(
        "Needs the case's secret, whoever sends it. A wrong case, secret or code is refused in the "
        "same words, and so is a code whose time or attempts are used up."
    ),
    responses={**described(ControlProven, "Proven"), **problems(401, 403, 413, 415)},
    sync_to_thread=True,
)
def prove(
    request: ApiRequest,
    case_id: FromPath[str],
    data: JSONBody[ControlCode],
    secret: CaseSecret = None,
) -> ControlProven:
    """Take a code: with the last one needed, drafted orders go out."""
    if not secret or len(secret) > SECRET_CHARACTERS_MAX:
        raise ControlNotProven
    return centre_of(request).matter.control.prove(case_id, secret=secret, code=data.code)


HANDLERS: Final = (ask, prove)
