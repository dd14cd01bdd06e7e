"""Statistics: the public report: what partners asked, and what became of holds, for anybody.

Counts, amounts and times of closed days; a cell that is too small to be published is left out.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Final

import msgspec

from openaoc.kernel.settings import Settings
from openaoc.kernel.small_cells import CELL_MIN, Line, hidden_cells
from openaoc.parties.permissions import Permission, require
from openaoc.statistics import public_store as store
from openaoc.statistics.model import Spread
from openaoc.statistics.service import CURRENCIES
from openaoc.storage.unit_of_work import Transaction

DAYS_DEFAULT: Final = 365
DAYS_MAX: Final = 3_660
_ENDS: Final = ("met", "refused", "open")
_ALL: Final = ""


class CountryFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Requests of one country's partners; null: too few to be told."""

    jurisdiction: str
    received: int | None
    met: int | None
    refused: int | None
    open: int | None
    """Not ended, or taken back."""


class ReasonCount(msgspec.Struct, frozen=True, kw_only=True):
    """Why requests were refused; null: too few to be told."""

    reason: str
    count: int | None


class Money(msgspec.Struct, frozen=True, kw_only=True):
    """How often, and how much in minor units; both null: too few to be told."""

    count: int | None
    amount_minor: int | None


class PublicReport(msgspec.Struct, frozen=True, kw_only=True):
    """The report over whole days, from the first to before the last. Amounts in `currency`.

    `held` over orders that an institution applied; `wrong` of contests that were upheld and of
    blind reviews; `answer`: a request received until it was met or refused.
    """

    begins: date
    ends: date
    currency: str
    cell_min: int
    total: CountryFigures
    countries: list[CountryFigures]
    reasons: list[ReasonCount]
    answer: Spread | None
    held: Money
    wrong: Money
    released: Money
    returned: Money


class PublicReports:
    """One instance per centre."""

    def __init__(self, settings: Settings) -> None:
        self._currency = CURRENCIES.get(settings.jurisdiction, "USD")

    def report(self, tx: Transaction, *, days: int = DAYS_DEFAULT) -> PublicReport:
        """The report of the last so many closed days (UTC). Raises NotPermitted."""
        require(tx.actor, Permission.STATUS_READ)
        assert 0 < days <= DAYS_MAX, "a bounded number of days"
        ends = tx.now.date()
        begins = ends - timedelta(days=days)
        span = store.Span(_midnight(begins), _midnight(ends))
        by_country = store.requests(tx.connection, span)
        total, countries = _countries(by_country)
        answer = store.answer_times(tx.connection, span)
        money = store.money(tx.connection, span, currency=self._currency)
        enough = answer.events >= CELL_MIN and answer.p50_s is not None
        return PublicReport(
            begins=begins,
            ends=ends,
            currency=self._currency,
            cell_min=CELL_MIN,
            total=total,
            countries=countries,
            reasons=_reasons(store.reasons(tx.connection, span)),
            answer=Spread(
                count=answer.events, p50_s=round(answer.p50_s, 3), p95_s=round(answer.p95_s, 3)
            )
            if enough and answer.p50_s is not None and answer.p95_s is not None
            else None,
            held=_money(money["held"]),
            wrong=_money(money["wrong"]),
            released=_money(money["released"]),
            returned=_money(money["returned"]),
        )


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=UTC)


def _countries(
    rows: dict[str, dict[str, int]],
) -> tuple[CountryFigures, list[CountryFigures]]:
    """Each country and the total, with what is too small left out, and what would tell of it."""
    counts = {
        (country, name): rows[country][name] if name != "open" else _open(rows[country])
        for country in rows
        for name in ("received", *_ENDS)
    }
    for name in ("received", *_ENDS):
        counts[_ALL, name] = sum(counts[country, name] for country in rows)
    every = [*rows, _ALL]
    lines = [
        *(Line([(one, name) for name in _ENDS], (one, "received")) for one in every),
        *(Line([(one, name) for one in rows], (_ALL, name)) for name in ("received", *_ENDS)),
    ]
    hidden = hidden_cells(counts, lines)
    made = [
        CountryFigures(
            jurisdiction=one,
            **{
                name: None if (one, name) in hidden else counts[one, name]
                for name in ("received", *_ENDS)
            },
        )
        for one in every
    ]
    return made[-1], made[:-1]


def _open(row: dict[str, int]) -> int:
    return max(row["received"] - row["met"] - row["refused"], 0)


def _reasons(rows: dict[str, int]) -> list[ReasonCount]:
    counts = {**rows, _ALL: sum(rows.values())}
    hidden = hidden_cells(counts, [Line([*rows], _ALL)])
    return [
        ReasonCount(reason=reason, count=None if reason in hidden else count)
        for reason, count in rows.items()
    ]


def _money(found: store.Sum) -> Money:
    if found.events < CELL_MIN:
        return Money(count=None, amount_minor=None)
    return Money(count=found.events, amount_minor=found.minor)
