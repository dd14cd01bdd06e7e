"""Web: an order as a page to print and read aloud. Pure; complete in itself."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Final

from openaoc.holds.telephone import Paper
from openaoc.web.pages import environment
from openaoc.web.words import words, write_exactly

LOCAL: Final = timezone(timedelta(hours=7), "+07:00")


def render_paper(paper: Paper, *, language: str) -> str:
    """The page in one of the languages; the holder's words and the law in both."""
    order = paper.order
    return (
        environment()
        .get_template("paper.html")
        .render(
            language=language,
            text=words(language),
            paper=paper,
            order=order,
            amount=write_exactly(order.amount_minor, order.currency, language),
            spelled=" ".join(order.account),
            ends=_time(order.ends_at),
            answer_by=_time(order.answer_by),
            printed=_time(paper.printed_at),
        )
    )


def _time(moment: datetime) -> str:
    return moment.astimezone(LOCAL).strftime("%Y-%m-%d %H:%M %Z")
