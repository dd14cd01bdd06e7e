"""API: the legal rules of all jurisdictions side by side; public, as law is."""

from __future__ import annotations

from typing import Annotated, Final

from litestar import get
from litestar.params import QueryParameter

from openaoc.api.access import centre_of, limited
from openaoc.api.problems import ApiRequest, described, problems
from openaoc.api.rates import PUBLIC_FIGURES
from openaoc.holds.comparing import Comparison, compare

Codes = Annotated[
    list[str] | None,
    QueryParameter(
        name="jurisdiction",
        max_items=50,
        required=False,
        description="Only these jurisdictions; may stand more than once.",
    ),
]


@get(
    "/v1/rules",
    guards=[limited(PUBLIC_FIGURES)],
    security=[{}],
    tags=["rules"],
    summary="Compare the legal rules of jurisdictions",
    description=(
        "Every ground of a hold with its longest time, who says so, and whether somebody "
        "answerable has confirmed it. A jurisdiction with a rule that is not confirmed cannot go "
        "live."
    ),
    responses={**described(Comparison, "The rules in force today"), **problems(404)},
    sync_to_thread=True,
)
def list_rules(request: ApiRequest, jurisdiction: Codes = None) -> Comparison:
    """The rules in force today, side by side."""
    today = centre_of(request).clock.now().date()
    return compare(jurisdiction or (), on=today)


HANDLERS: Final = (list_rules,)
