"""API: the public report: requests of partners and holds, in counts; for anybody."""

from __future__ import annotations

from typing import Annotated, Final

from litestar import get
from litestar.params import QueryParameter

from openaoc.api.access import BEARER, centre_of, limited, signed_in
from openaoc.api.problems import ApiRequest, described, problems
from openaoc.api.rates import PUBLIC_FIGURES
from openaoc.kernel.actor import SYSTEM
from openaoc.statistics.joint import MONTHS_DEFAULT, MONTHS_MAX, JointTable, StatisticsAnswer
from openaoc.statistics.public_report import DAYS_DEFAULT, DAYS_MAX, PublicReport

Days = Annotated[
    int,
    QueryParameter(
        name="days",
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


Months = Annotated[
    int,
    QueryParameter(
        name="months",
        ge=1,
        le=MONTHS_MAX,
        required=False,
        description="So many closed months (UTC).",
    ),
]


@get(
    "/v1/joint-statistics",
    guards=[signed_in],
    security=BEARER,
    tags=["status"],
    summary="Our months beside those of every partner centre that agreed to it",
    description="Asks them now; says who answered. Small counts are left out by each centre.",
    responses={**described(JointTable, "One table"), **problems(401, 403)},
    sync_to_thread=True,
)
def joint_statistics(request: ApiRequest, months: Months = MONTHS_DEFAULT) -> JointTable:
    """Asked of everybody."""
    together = centre_of(request).between.together
    return together.joint.table(request.user, months=months, line=together.line)


@get(
    "/v1/joint-statistics/ours",
    guards=[signed_in],
    security=BEARER,
    tags=["status"],
    summary="Our months, for a partner's user: all that researchers may be granted",
    responses={**described(StatisticsAnswer, "What may leave"), **problems(401, 403, 404)},
    sync_to_thread=True,
)
def our_statistics(request: ApiRequest, months: Months = MONTHS_DEFAULT) -> StatisticsAnswer:
    """Under the partner's agreement, entered in the ledger of releases."""
    joint = centre_of(request).between.together.joint
    return joint.for_partner(request.user, months=months)


HANDLERS: Final = (public_report, joint_statistics, our_statistics)
