"""API: indicators: list, show, confirm, withdraw. Decides nothing: who may, stands in the stage."""

from __future__ import annotations

from typing import Annotated, Final

from litestar import get, post
from litestar.params import Parameter

from openaoc.api.access import BEARER, centre_of, need_id, signed_in
from openaoc.api.bodies import Body
from openaoc.api.paging import Cursor, Limit
from openaoc.api.problems import ApiRequest, described, problems
from openaoc.api.wire import CaseDecision
from openaoc.indicators.model import Indicator, IndicatorPage, IndicatorView, Status
from openaoc.kernel.identifiers.kinds import Kind

BODY_BYTES_MAX: Final = 16 << 10

OneKind = Annotated[Kind | None, Parameter(query="kind", required=False)]
OneStatus = Annotated[Status | None, Parameter(query="status", required=False)]


@get(
    "/v1/indicators",
    guards=[signed_in],
    security=BEARER,
    tags=["indicators"],
    summary="Identifiers the centre holds an opinion on, the last changed first",
    responses={**described(IndicatorPage, "One page"), **problems(401, 403)},
    sync_to_thread=True,
)
def list_indicators(
    request: ApiRequest,
    kind: OneKind = None,
    status: OneStatus = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> IndicatorPage:
    """One page."""
    centre = centre_of(request)
    with centre.uow.read(request.user, purpose="list indicators") as tx:
        return centre.matter.indicators.page(
            tx, kind=kind, status=status, cursor=cursor, limit=limit
        )


@get(
    "/v1/indicators/{indicator:str}",
    guards=[signed_in],
    security=BEARER,
    tags=["indicators"],
    summary="One indicator with who said so",
    responses={**described(IndicatorView, "At most 200 sources"), **problems(401, 403, 404)},
    sync_to_thread=True,
)
def show_indicator(request: ApiRequest, indicator: str) -> IndicatorView:
    """One indicator."""
    found, centre = need_id(indicator, what="indicator"), centre_of(request)
    with centre.uow.read(request.user, purpose="show an indicator") as tx:
        return centre.matter.indicators.show(tx, found)


@post(
    "/v1/indicators/{indicator:str}/confirm",
    guards=[signed_in],
    dto=Body[CaseDecision],
    return_dto=None,
    status_code=200,
    request_max_body_size=BODY_BYTES_MAX,
    security=BEARER,
    tags=["indicators"],
    summary="Agree with it, as a person who looked",
    responses={**described(Indicator, "Confirmed"), **problems(401, 403, 404, 409, 413, 415)},
    sync_to_thread=True,
)
def confirm_indicator(request: ApiRequest, indicator: str, data: CaseDecision) -> Indicator:
    """Its sources were right."""
    found, centre = need_id(indicator, what="indicator"), centre_of(request)
    with centre.uow.begin(request.user, purpose="confirm an indicator") as tx:
        return centre.matter.indicators.confirm(tx, found, reason=data.reason)


@post(
    "/v1/indicators/{indicator:str}/withdraw",
    guards=[signed_in],
    dto=Body[CaseDecision],
    return_dto=None,
    status_code=200,
    request_max_body_size=BODY_BYTES_MAX,
    security=BEARER,
    tags=["indicators"],
    summary="Say that it is wrong; it stays so until a person confirms it",
    responses={**described(Indicator, "Withdrawn"), **problems(401, 403, 404, 409, 413, 415)},
    sync_to_thread=True,
)
def withdraw_indicator(request: ApiRequest, indicator: str, data: CaseDecision) -> Indicator:
    """Its sources were wrong."""
    found, centre = need_id(indicator, what="indicator"), centre_of(request)
    with centre.uow.begin(request.user, purpose="withdraw an indicator") as tx:
        return centre.matter.indicators.withdraw(tx, found, reason=data.reason)


HANDLERS: Final = (list_indicators, show_indicator, confirm_indicator, withdraw_indicator)
