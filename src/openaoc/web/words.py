"""Web: the words of the pages in each language, and how numbers are written.

Never decides what is shown.
"""

from __future__ import annotations

import tomllib
from datetime import datetime, timedelta, timezone
from functools import cache
from importlib import resources
from typing import Final

from openaoc.kernel.money import exponents, format_money

LANGUAGES: Final = ("th", "en")
ZONE: Final = timezone(timedelta(hours=7), "+07:00")
"""The zone of every time on a page, which is named beside it."""
MILLION: Final = 1_000_000
ACCEPT_CHARACTERS_MAX: Final = 200


@cache
def words(language: str) -> dict[str, str]:
    """Key → text, for one of LANGUAGES."""
    text = resources.files("openaoc.web").joinpath("words.toml").read_text("utf-8")
    found: dict[str, str] = tomllib.loads(text)[language]
    return found


def choose_language(asked: str | None, accepted: str | None) -> str:
    """The language asked for in the address, else the first acceptable one, else Thai."""
    if asked in LANGUAGES:
        return asked
    for part in (accepted or "")[:ACCEPT_CHARACTERS_MAX].split(","):
        tag = part.partition(";")[0].strip().lower().partition("-")[0]
        if tag in LANGUAGES:
            return tag
    return LANGUAGES[0]


def write_seconds(seconds: float) -> str:
    """Two digits that say something: `0.42`, `4.2`, `42`."""
    if seconds < 1:
        return f"{seconds:.2f}"
    return f"{seconds:.1f}" if seconds < 10 else f"{seconds:,.0f}"  # noqa: PLR2004 # two digits


def write_money(amount_minor: int, currency: str, language: str) -> str:
    """Whole units below a million, else millions with two decimals."""
    text = words(language)
    name = text["baht"] if currency == "THB" else currency
    units = amount_minor // 10 ** exponents().get(currency, 2)
    if abs(units) < MILLION:
        return f"{units:,} {name}" if language == "th" else f"{name} {units:,}"
    return text["million"].format(value=f"{units / MILLION:,.2f}", currency=name)


def write_exactly(amount_minor: int, currency: str, language: str) -> str:
    """The amount to the minor unit, for whoever it belongs to."""
    number = format_money(amount_minor, currency).rpartition(" ")[0]
    name = words(language)["baht"] if currency == "THB" else currency
    return f"{number} {name}" if language == "th" else f"{name} {number}"


def write_time(moment: datetime) -> str:
    """To the minute, with its zone: `2026-01-08 10:00 +07:00`."""
    return moment.astimezone(ZONE).strftime("%Y-%m-%d %H:%M %Z")
