"""Public: the page of the public report: what partners asked and what became of holds, in counts.

Formats and decides nothing else; what is too small to be told is not told to it either.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from litestar import Response, get

from openaoc.kernel.actor import SYSTEM
from openaoc.public.forms import Language, PageRequest, language_of, page_response
from openaoc.statistics.public_report import PublicReport
from openaoc.web.pages import environment
from openaoc.web.words import words, write_money, write_seconds

ADDRESS: Final = "/report"


def render(report: PublicReport, *, language: str) -> str:
    """The page."""
    text = words(language)
    return (
        environment()
        .get_template("report.html")
        .render(
            language=language,
            text=text,
            address=ADDRESS,
            report=report,
            span=text["report_span"].format(begins=report.begins, ends=report.ends),
            few=text["report_few"].format(least=report.cell_min),
            amount=partial(write_money, currency=report.currency, language=language),
            seconds=write_seconds,
            money=[(name, getattr(report, name)) for name in _MONEY],
        )
    )


_MONEY: Final = ("held", "wrong", "released", "returned")


@get(ADDRESS, include_in_schema=False, sync_to_thread=True)
def report_page(request: PageRequest, lang: Language = None) -> Response[str]:
    """The report of the last year's closed days; `lang` is th or en."""
    centre = request.app.state.centre
    with centre.uow.read(SYSTEM, purpose="the public report") as tx:
        report: PublicReport = centre.public_reports.report(tx)
    language = language_of(request, lang)
    return page_response(render(report, language=language), language=language)


ROUTES: Final = (report_page,)
