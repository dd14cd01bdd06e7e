"""Statistics: how the centre does right now, for the status page and whoever asks.

Answers with counts, amounts and times; never with anything that leads to a person or an account.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from openaoc.appeals.figures import blind_figures, contest_figures
from openaoc.kernel.settings import Settings
from openaoc.parties.permissions import Permission, require
from openaoc.safety.breakers import figures as breaker_figures
from openaoc.statistics import store
from openaoc.statistics.model import InstitutionFigures, LiveFigures, Spread
from openaoc.storage.unit_of_work import Transaction

WINDOW_HOURS: Final = 24
REVIEW_DAYS: Final = 30
"""Contests and blind reviews are few: their figures need a longer window."""
CURRENCIES: Final = {
    "TH": "THB",
    "SG": "SGD",
    "MY": "MYR",
    "VN": "VND",
    "CN": "CNY",
    "US": "USD",
}
"""The currency in which a jurisdiction counts its losses."""


class Statistics:
    """The measures, read in the caller's transaction so that they are of one moment."""

    def __init__(self, settings: Settings) -> None:
        self._jurisdiction = settings.jurisdiction
        self._currency = CURRENCIES.get(settings.jurisdiction, "USD")

    def live(self, tx: Transaction) -> LiveFigures:
        """The figures as of the transaction's moment. Eleven statements; milliseconds.

        A liaison or machine sees the rows of its own institution alone (row-level security), so
        public figures are read as the centre itself. Raises NotPermitted.
        """
        require(tx.actor, Permission.STATUS_READ)
        since = tx.now - timedelta(hours=WINDOW_HOURS)
        reviews_since = tx.now - timedelta(days=REVIEW_DAYS)
        counts = store.counts(
            tx.connection, currency=self._currency, hour=tx.now - timedelta(hours=1)
        )
        states = store.states(tx.connection, currency=self._currency)
        first, last = store.times(tx.connection, since=since)
        answer = store.answers(tx.connection, since=since)
        live = store.is_live(tx.connection, jurisdiction=self._jurisdiction)
        return LiveFigures(
            at=tx.now,
            mode="live" if live else "shadow",
            currency=self._currency,
            window_hours=WINDOW_HOURS,
            reports=counts.reports,
            reports_last_hour=counts.reports_last_hour,
            cases=counts.cases,
            orders=sum(count for count, _ in states.values()),
            orders_by_state={state: count for state, (count, _) in states.items()},
            order_to_answer=_spread(answer),
            report_to_first_applied=_spread(first),
            report_to_last_applied=_spread(last),
            loss_minor=counts.loss_minor,
            located_minor=counts.inside_minor,
            held_minor=sum(held for _, held in states.values()),
            exited_minor=max(counts.loss_minor - counts.inside_minor, 0),
            contests=contest_figures(tx, since=reviews_since, currency=self._currency),
            blind=blind_figures(tx, since=reviews_since),
            review_days=REVIEW_DAYS,
            breakers=breaker_figures(tx),
            institutions=[
                InstitutionFigures(
                    code=row.code,
                    name=row.name,
                    live=row.live,
                    orders=row.orders,
                    answered=row.answered,
                    held_minor=row.held_minor,
                    answer=_spread(row.times),
                )
                for row in store.institutions(tx.connection, currency=self._currency, since=since)
            ],
        )


def _spread(times: store.Times) -> Spread | None:
    if times.p50_s is None or times.p95_s is None:
        return None
    return Spread(count=times.events, p50_s=round(times.p50_s, 3), p95_s=round(times.p95_s, 3))
