"""Web: legal rules of jurisdictions side by side, as a page to read and to print. Pure.

Marks what nobody confirmed; never says what a rule ought to be.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

from openaoc.holds.comparing import Comparison, JurisdictionRules, RuleView
from openaoc.web.pages import asset, environment
from openaoc.web.words import words, write_exactly

ADDRESS: Final = "/rules"
STYLE: Final = "law.css"
HOURS_OF_DAYS_MIN: Final = 96
"""From here on whole days are written as days."""
HOURS_PER_DAY: Final = 24


def render_law(found: Comparison, *, language: str, whole: bool) -> str:
    """The page in one of the languages. `whole`: with its style in it, as a file to pass on."""
    text = words(language)

    def longest(rule: RuleView) -> str:
        if rule.longest_from == "measure":
            return text["law_by_measure"]
        days, rest = divmod(rule.longest_hours, HOURS_PER_DAY)
        if not rest and rule.longest_hours >= HOURS_OF_DAYS_MIN:
            return text["law_days"].format(days=days)
        return text["law_hours"].format(hours=rule.longest_hours)

    def floor(one: JurisdictionRules) -> str:
        return write_exactly(one.floor_minor, one.currency, language)

    ours = [one.jurisdiction for one in found.jurisdictions if one.sent is None]
    asked = urlencode([("jurisdiction", code) for code in ours])
    return (
        environment()
        .get_template("law.html")
        .render(
            language=language,
            text=text,
            style=asset(STYLE).decode("utf-8") if whole else None,
            address=f"{ADDRESS}?{asked}&",
            on=text["law_on"].format(on=found.on),
            sheets=found.jurisdictions,
            grounds=found.grounds,
            longest=longest,
            floor=floor,
        )
    )
