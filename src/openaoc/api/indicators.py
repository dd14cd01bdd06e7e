"""API: indicators: list, show, confirm, withdraw. Decides nothing: who may, stands in the stage."""

from __future__ import annotations

from typing import Annotated, Final

from litestar import get
from litestar.params import QueryParameter

from openaoc.api.access import BEARER, centre_of, signed_in
from openaoc.api.decisions import Deciding, Thing, decision, look
from openaoc.api.paging import Cursor, Limit
from openaoc.api.problems import ApiRequest, described, problems
from openaoc.api.wire import Why
from openaoc.indicators.model import Indicator, IndicatorPage, IndicatorView, Status
from openaoc.kernel.identifiers.kinds import Kind

BODY_BYTES_MAX: Final = 16 << 10

OneKind = Annotated[Kind | None, QueryParameter(name="kind", required=False)]
OneStatus = Annotated[Status | None, QueryParameter(name="status", required=False)]
INDICATOR: Final = Thing("indicator", "indicator")


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


@look(
    "/v1/indicators/{indicator:str}",
    on=INDICATOR,
    words="At most 200 sources",
    purpose="show an indicator",
    summary="One indicator with who said so",
)
def show_indicator(on: Deciding) -> IndicatorView:
    """One indicator."""
    return on.centre.matter.indicators.show(on.tx, on.id)


@decision(
    "/v1/indicators/{indicator:str}/confirm",
    on=INDICATOR,
    words="Confirmed",
    purpose="confirm an indicator",
    summary="Agree with it, as a person who looked",
)
def confirm_indicator(on: Deciding, said: Why) -> Indicator:
    """Its sources were right."""
    return on.centre.matter.indicators.confirm(on.tx, on.id, reason=said.reason)


@decision(
    "/v1/indicators/{indicator:str}/withdraw",
    on=INDICATOR,
    words="Withdrawn",
    purpose="withdraw an indicator",
    summary="Say that it is wrong; it stays so until a person confirms it",
)
def withdraw_indicator(on: Deciding, said: Why) -> Indicator:
    """Its sources were wrong."""
    return on.centre.matter.indicators.withdraw(on.tx, on.id, reason=said.reason)


HANDLERS: Final = (list_indicators, show_indicator, confirm_indicator, withdraw_indicator)
