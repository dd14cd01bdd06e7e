"""Public: the status page's HTML from the live figures. Pure; formats and decides nothing else."""

from __future__ import annotations

from functools import partial
from typing import Final, NamedTuple

from openaoc.kernel.clock import format_time
from openaoc.statistics.model import LiveFigures
from openaoc.web.pages import environment
from openaoc.web.words import ZONE, words, write_money, write_seconds

BAR_UNITS: Final = 1_000
"""The width of the bar's drawing."""
STATES: Final = (
    "applied",
    "applied_in_part",
    "issued",
    "acknowledged",
    "drafted",
    "refused",
    "withdrawn",
    "released",
    "expired",
    "converted",
    "restituted",
)


class MoneyPart(NamedTuple):
    """One segment of the bar: units of BAR_UNITS, and its amount and share in words."""

    name: str
    start: int
    width: int
    amount: str
    share: str


class StateCount(NamedTuple):
    """One state of orders in words."""

    name: str
    orders: int


def money_parts(figures: LiveFigures, *, language: str) -> list[MoneyPart]:
    """held, found but not held, gone: in that order, together the whole bar."""
    held = min(figures.held_minor, figures.located_minor)
    amounts = {
        "held": held,
        "located": figures.located_minor - held,
        "exited": figures.exited_minor,
    }
    whole = sum(amounts.values())
    parts: list[MoneyPart] = []
    before = 0
    for name, amount in amounts.items():
        start = before * BAR_UNITS // whole if whole else 0
        before += amount
        end = before * BAR_UNITS // whole if whole else 0
        share = f"{amount / whole:.1%}" if whole else ""
        text = write_money(amount, figures.currency, language)
        parts.append(MoneyPart(name, start, end - start, text, share))
    return parts


def render(figures: LiveFigures, *, language: str, whole: bool) -> str:
    """The whole page, or only the part that changes."""
    text = words(language)
    first = figures.report_to_first_applied
    loss = write_money(figures.loss_minor, figures.currency, language)
    template = environment().get_template("status.html" if whole else "figures.html")
    return template.render(
        figures=figures,
        language=language,
        text=text,
        address="/",
        seconds=write_seconds,
        amount=partial(write_money, currency=figures.currency, language=language),
        money=money_parts(figures, language=language),
        money_note=text["money_note"].format(loss=loss),
        speed_note=text["speed_note"].format(
            count=f"{first.count if first else 0:,}", hours=figures.window_hours
        ),
        states=[
            StateCount(text[f"state_{state}"], figures.orders_by_state[state])
            for state in STATES
            if figures.orders_by_state.get(state)
        ],
        at_machine=format_time(figures.at.replace(microsecond=0)),
        at_person=figures.at.astimezone(ZONE).strftime("%Y-%m-%d %H:%M:%S %Z"),
    )
