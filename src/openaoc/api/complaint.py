"""API: the victim's complaint to the police, drafted; for the reporter or staff with a reason."""

from __future__ import annotations

from typing import Annotated, Final

from litestar import get
from litestar.params import FromPath, QueryParameter

from openaoc.api.access import BEARER, centre_of, key_or_citizen, need_id
from openaoc.api.again import again
from openaoc.api.cases import SECRET_CHARACTERS_MAX, CaseSecret
from openaoc.api.problems import ApiRequest, described, problems
from openaoc.api.rates import CASE_BY_SECRET
from openaoc.cases.model import NoSuchCase
from openaoc.kernel.actor import CITIZEN
from openaoc.workflow.complaint import REASON_CHARACTERS_MAX, ComplaintDraft

Why = Annotated[
    str | None,
    QueryParameter(
        name="reason",
        max_length=REASON_CHARACTERS_MAX,
        required=False,
        description="Required with a key: why the reporter's identity is opened. Journalled.",
    ),
]


@get(
    "/v1/cases/{case_id:str}/complaint-draft",
    guards=[key_or_citizen(CASE_BY_SECRET)],
    security=[*BEARER, {}],
    tags=["cases"],
    summary="Draft the complaint to the police",
    description=(
        "In Thai and English, from what was reported: nothing is told again. Names the reporter; "
        "each look is in the journal."
    ),
    responses={**described(ComplaintDraft, "The draft"), **problems(401, 403, 404)},
    sync_to_thread=True,
)
@again
def complaint_draft(
    request: ApiRequest, case_id: FromPath[str], reason: Why = None, secret: CaseSecret = None
) -> ComplaintDraft:
    """The draft; a citizen needs the case's secret, staff a reason."""
    case = need_id(case_id, what="case")
    centre = centre_of(request)
    if secret is not None and len(secret) > SECRET_CHARACTERS_MAX:
        raise NoSuchCase
    own = (secret or "") if request.user == CITIZEN else None
    with centre.uow.begin(request.user, purpose="draft a complaint") as tx:
        return centre.matter.complaints.draft(tx, case, secret=own, reason=reason or "")


HANDLERS: Final = (complaint_draft,)
