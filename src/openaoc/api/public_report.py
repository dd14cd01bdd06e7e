"""API: the public report: requests of partners and holds, in counts; for anybody."""

from __future__ import annotations

from typing import Annotated, Final

from litestar import get
from litestar.params import Parameter

from openaoc.api.access import centre_of, limited
from openaoc.api.problems import ApiRequest, described, problems
from openaoc.api.rates import PUBLIC_FIGURES
from openaoc.kernel.actor import SYSTEM
from openaoc.statistics.public_report import DAYS_DEFAULT, DAYS_MAX, PublicReport

Days = Annotated[
    int,
    Parameter(
        query="days",
        ge=1,
        le=DAYS_MAX,
        required=False,
        description="So many closed days (UTC) up to the last midnight.",
    ),
]


@get(
    "/v1/public-report",
    guards=[limited(PUBLIC_FIGURES)],
    security=[{}],
    tags=["status"],
    summary="Requests received, met and refused by country; holds, wrong ones, what was returned",
    description="A count that is too small to be published is null, and so is what would tell it.",
    responses={**described(PublicReport, "Of closed days"), **problems()},
    sync_to_thread=True,
)
def public_report(request: ApiRequest, days: Days = DAYS_DEFAULT) -> PublicReport:
    """For anybody."""
    centre = centre_of(request)
    with centre.uow.read(SYSTEM, purpose="the public report") as tx:
        return centre.public_reports.report(tx, days=days)


HANDLERS: Final = (public_report,)
