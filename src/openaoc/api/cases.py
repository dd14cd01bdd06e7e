"""API: cases for those who work on them, and one case for the citizen who has its secret.

Decides nothing: who may do what with a case stands in the stages.
"""

from __future__ import annotations

from typing import Annotated, Final

from litestar import get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, HeaderParameter, QueryParameter, RawBody

from openaoc.api.access import (
    BEARER,
    centre_of,
    key_or_citizen,
    limits_of,
    need_id,
    signed_in,
)
from openaoc.api.again import again
from openaoc.api.bodies import decode
from openaoc.api.decisions import CASE, Deciding, decision
from openaoc.api.paging import Cursor, Limit
from openaoc.api.problems import ApiRequest, problems
from openaoc.api.rates import CASE_BY_SECRET, CASES_SHOWN
from openaoc.api.signatures import Signature, check_signature
from openaoc.api.wire import ComplaintRequest, Confirmation, ToldPayments, Why
from openaoc.cases.model import CasePage, CaseState, CaseView, NoSuchCase
from openaoc.kernel.actor import CITIZEN

SECRET_CHARACTERS_MAX: Final = 128
CaseSecret = Annotated[
    str | None,
    HeaderParameter(
        name="OpenAOC-Case-Secret",
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
@again
def show(request: ApiRequest, case_id: FromPath[str], secret: CaseSecret = None) -> CaseView:
    """The case as the actor may see it."""
    case = need_id(case_id, what="case")
    centre = centre_of(request)
    if secret is not None and len(secret) > SECRET_CHARACTERS_MAX:
        raise NoSuchCase
    with centre.uow.begin(request.user, purpose="show a case") as tx:
        if request.user == CITIZEN:
            return centre.matter.cases.show(tx, case, secret=secret or "")
        limits_of(request).take(CASES_SHOWN, request.user.id)
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
    case_state: Annotated[CaseState | None, QueryParameter(name="state", required=False)] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> CasePage:
    """One page of cases."""
    centre = centre_of(request)
    with centre.uow.read(request.user, purpose="list cases") as tx:
        return centre.matter.cases.list(tx, state=case_state, cursor=cursor, limit=limit)


@decision(
    "/v1/cases/{case_id:str}/complaint",
    on=CASE,
    words="The case now",
    purpose="note a complaint",
    summary="Note the victim's complaint to the police",
    description=(
        "Orders that are out go over to the legal rule for a complaint: their time runs from it. "
        "Of several complaints the earliest counts."
    ),
)
def complain(on: Deciding, said: ComplaintRequest) -> CaseView:
    """Put the case's holds under the rule for a complaint, told again to their institutions."""
    on.centre.matter.holds.complain(
        on.tx, on.id, complained_at=said.complained_at, reference=said.reference
    )
    return on.centre.matter.cases.show(on.tx, on.id)


@post(
    "/v1/cases/{case_id:str}/confirmation",
    guards=[signed_in],
    status_code=200,
    security=BEARER,
    tags=["cases"],
    summary="Confirm a customer's payment",
    description=(
        "The machine of the payer's institution confirms its customers' payments of the case. "
        'Where it tells no feed, an optional JSON body `{"transfers": [...]}` tells the payments '
        "themselves. Again, it changes nothing. An institution that registered a public key signs."
    ),
    responses={
        200: ResponseSpec(Confirmation, description="Its standing now", generate_examples=False),
        **problems(401, 403, 404, 409),
    },
    sync_to_thread=True,
)
def confirm(
    request: ApiRequest, case_id: FromPath[str], body: RawBody, signature: Signature = None
) -> Confirmation:
    """Take the confirmation; who confirms sees nothing of the case but whether it stands."""
    case = need_id(case_id, what="case")
    told = decode(body or b"{}", ToldPayments)
    centre = centre_of(request)
    with centre.uow.begin(request.user, purpose="check who confirms") as tx:
        check_signature(request, tx, body=body, header=signature)
    # Alone: the signature is used up, and payments told again change nothing.
    confirm = again(centre.matter.confirming.confirm)
    standing = confirm(case, actor=request.user, transfers=told.transfers)
    return Confirmation(case=case, standing=standing.kind)


@decision(
    "/v1/cases/{case_id:str}/close",
    on=CASE,
    words="The case now",
    purpose="close a case",
    summary="Close a case",
)
def close(on: Deciding, said: Why) -> CaseView:
    """End a case for which nothing more can be done; its orders have ended."""
    on.centre.matter.pursuit.close(on.tx, on.id, reason=said.reason)
    return on.centre.matter.cases.show(on.tx, on.id)


@decision(
    "/v1/cases/{case_id:str}/drop",
    on=CASE,
    words="The case now",
    purpose="drop a false report",
    summary="Drop a false report",
    description=(
        "409 `contest-open` while a contest of one of its holds is open: decide it first, and "
        "release the other holds meanwhile."
    ),
)
def drop(on: Deciding, said: Why) -> CaseView:
    """End the case and every order it caused."""
    on.centre.matter.releasing.drop(on.tx, on.id, reason=said.reason)
    return on.centre.matter.cases.show(on.tx, on.id)


@decision(
    "/v1/cases/{case_id:str}/reopen",
    on=CASE,
    words="The case now",
    purpose="reopen a case",
    summary="Reopen a closed case",
)
def reopen(on: Deciding, said: Why) -> CaseView:
    """Decide the case again on new facts, and trace it."""
    on.centre.matter.pursuit.reopen(on.tx, on.id, reason=said.reason)
    return on.centre.matter.cases.show(on.tx, on.id)


HANDLERS: Final = (show, list_cases, complain, confirm, close, drop, reopen)
