"""API: cases for those who work on them, and one case for the citizen who has its secret."""

from __future__ import annotations

from typing import Annotated, Final

from litestar import get
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import Parameter

from openaoc.api.access import (
    BEARER,
    centre_of,
    key_or_citizen,
    need_id,
    signed_in,
)
from openaoc.api.paging import Cursor, Limit
from openaoc.api.problems import ApiRequest, problems
from openaoc.api.rates import CASE_BY_SECRET
from openaoc.cases.model import CasePage, CaseState, CaseView, NoSuchCase
from openaoc.kernel.actor import CITIZEN

SECRET_CHARACTERS_MAX: Final = 128
CaseSecret = Annotated[
    str | None,
    Parameter(
        header="OpenAOC-Case-Secret",
        required=False,
        description="The secret of the report's receipt; opens the case without a key.",
    ),
]


@get(
    "/v1/cases/{case_id:str}",
    guards=[key_or_citizen(CASE_BY_SECRET)],
    security=[*BEARER, {}],
    tags=["cases"],
    summary="Show a case",
    responses={
        200: ResponseSpec(CaseView, description="The case", generate_examples=False),
        **problems(401, 403, 404),
    },
    sync_to_thread=True,
)
def show(request: ApiRequest, case_id: str, secret: CaseSecret = None) -> CaseView:
    """The case as the actor may see it."""
    case = need_id(case_id, what="case")
    centre = centre_of(request)
    if secret is not None and len(secret) > SECRET_CHARACTERS_MAX:
        raise NoSuchCase
    with centre.uow.begin(request.user, purpose="show a case") as tx:
        if request.user == CITIZEN:
            return centre.matter.cases.show(tx, case, secret=secret or "")
        return centre.matter.cases.show(tx, case)


@get(
    "/v1/cases",
    guards=[signed_in],
    security=BEARER,
    tags=["cases"],
    summary="List cases, newest first",
    responses={
        200: ResponseSpec(CasePage, description="One page", generate_examples=False),
        **problems(401, 403),
    },
    sync_to_thread=True,
)
def list_cases(
    request: ApiRequest,
    case_state: Annotated[CaseState | None, Parameter(query="state", required=False)] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> CasePage:
    """One page of cases."""
    centre = centre_of(request)
    with centre.uow.read(request.user, purpose="list cases") as tx:
        return centre.matter.cases.list(tx, state=case_state, cursor=cursor, limit=limit)


HANDLERS: Final = (show, list_cases)
