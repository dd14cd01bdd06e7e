"""Appeals: how fast a contest is answered, and the words of its answers: data per jurisdiction.

Never knows an hour or a reason itself.
"""

from __future__ import annotations

import tomllib
from datetime import date, datetime, timedelta
from functools import cache
from importlib import resources
from typing import Final, Literal

import msgspec

from openaoc.holds.model import Words
from openaoc.kernel.errors import BadInput

PACKAGE: Final = "openaoc.appeals.rules"
ANY: Final = "default"
DAYS_LOOKED_AT_MAX: Final = 60
"""No country has so many days off in a row."""


class Reason(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One reason a decision may give, in the holder's languages."""

    code: str
    outcome: Literal["uphold", "refuse"]
    th: str
    en: str


class AppealRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rules for contests in one jurisdiction."""

    jurisdiction: str
    confirmed: bool
    source: str
    answer_hours: int
    working_days_max: int
    working_weekdays: list[int]
    holidays: list[date]
    utc_offset_hours: int
    alone_minor: int
    lapse_releases_likely_innocent: bool
    next: Words
    reason: list[Reason]

    def answer_by(self, filed_at: datetime) -> datetime:
        """When the answer is promised."""
        return filed_at + timedelta(hours=self.answer_hours)

    def last_at(self, filed_at: datetime) -> datetime:
        """The latest an answer may come: as late on the day so many working days on."""
        offset = timedelta(hours=self.utc_offset_hours)
        day = filed_at
        left = self.working_days_max
        for _ in range(DAYS_LOOKED_AT_MAX):
            day += timedelta(days=1)
            local = (day + offset).date()
            if local.isoweekday() in self.working_weekdays and local not in self.holidays:
                left -= 1
            if left <= 0:
                break
        return max(day, self.answer_by(filed_at))

    def words_of(self, code: str, *, outcome: Literal["uphold", "refuse"]) -> Words:
        """A reason's words. Raises BadInput for a code that is not of this outcome."""
        for reason in self.reason:
            if reason.code == code and reason.outcome == outcome:
                return Words(th=reason.th, en=reason.en)
        known = ", ".join(r.code for r in self.reason if r.outcome == outcome)
        raise BadInput(f"{code[:40]!r} is not one of {known}", where="reasons")


@cache
def appeal_rules(jurisdiction: str) -> AppealRules:
    """The jurisdiction's rules, or those for any. Raises BadInput for a broken file."""
    folder = resources.files(PACKAGE)
    own = folder.joinpath(f"{jurisdiction}.toml")
    named = jurisdiction.isalpha() and jurisdiction.isascii() and own.is_file()
    file = own if named else folder.joinpath(f"{ANY}.toml")
    try:
        return msgspec.convert(tomllib.loads(file.read_text("utf-8")), AppealRules)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise BadInput(str(error), where=file.name) from error
