"""Web: an order as a page to print and read aloud. Pure; complete in itself."""

from __future__ import annotations

from openaoc.holds.telephone import Paper
from openaoc.web.pages import environment
from openaoc.web.words import words, write_exactly, write_time


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
            ends=write_time(order.ends_at),
            answer_by=write_time(order.answer_by),
            printed=write_time(paper.printed_at),
        )
    )
