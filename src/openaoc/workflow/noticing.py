"""Workflow: reports become indicators, and public answers wait until a case's holds are answered.

Each duty may run at any time, and twice. Never makes a report wait: reports are taken afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from openaoc.holds.model import WAITING, OrderState
from openaoc.holds.service import Holds
from openaoc.indicators.model import SAID_AT_ONCE_MAX
from openaoc.indicators.service import EXPIRED_AT_ONCE_MAX, Indicators
from openaoc.indicators.taking import said_in
from openaoc.kernel.events import Event
from openaoc.kernel.limits import INDICATORS_PER_REPORT_MAX, PAYMENTS_PER_REPORT_MAX
from openaoc.parties.pooled import PooledAccounts
from openaoc.reports.service import FILED, Reports
from openaoc.storage.unit_of_work import Transaction, UnitOfWork

REPORTS_AT_ONCE_MAX: Final = SAID_AT_ONCE_MAX // (
    PAYMENTS_PER_REPORT_MAX + INDICATORS_PER_REPORT_MAX
)
"""So that reports as long as they may be are still heard together."""
CASES_AT_ONCE_MAX: Final = 500
ENDED_EVERY: Final = timedelta(minutes=10)
UNANSWERED: Final = WAITING | {OrderState.DRAFTED}
"""Orders whose account's holder must not learn of the case yet."""


class Noticing:
    """The work between reports, holds and indicators. One instance per centre."""

    def __init__(
        self,
        *,
        indicators: Indicators,
        reports: Reports,
        holds: Holds,
        pooled: PooledAccounts,
        region: str,
    ) -> None:
        self._indicators = indicators
        self._reports = reports
        self._holds = holds
        self._pooled = pooled
        self._region = region
        self._looked = ""
        self._ended_at: datetime | None = None

    def listen(self, uow: UnitOfWork) -> None:
        """Remember every report that is filed, in its own transaction."""

        def filed(tx: Transaction, event: Event) -> None:
            self._indicators.wait_for(tx, [event.subject])

        uow.subscribe(FILED, filed)

    def take_due(self, tx: Transaction) -> int:
        """Take the identifiers of reports that wait; how many reports."""
        waiting = self._indicators.waiting(tx, limit=REPORTS_AT_ONCE_MAX)
        if not waiting:
            return 0
        whole = self._reports.whole(tx, waiting)
        pooled = {(one.institution, one.account) for one in self._pooled.confirmed(tx)}
        pursued = self._pursued(tx, [report.case_id for report, *_ in whole])
        said = [
            one
            for report, payments, named in whole
            for one in said_in(
                report,
                payments=payments,
                named=named,
                region=self._region,
                pooled=lambda bank, account: (bank, account) in pooled,
                held_back=report.case_id in pursued,
            )
        ]
        self._indicators.hear(tx, said)
        return len(waiting)

    def let_out_due(self, tx: Transaction) -> int:
        """Cases whose holds are answered may show in public answers; looks at some at a time."""
        cases = self._indicators.held_back_cases(tx, after=self._looked, limit=CASES_AT_ONCE_MAX)
        full = len(cases) == CASES_AT_ONCE_MAX
        self._looked = cases[-1] if full else ""
        pursued = self._pursued(tx, cases)
        self._indicators.let_out(tx, [one for one in cases if one not in pursued])
        return 0  # the rest is for the next look, however many there are

    def expire_due(self, tx: Transaction) -> int:
        """Opinions whose time is over expire; how many, at most EXPIRED_AT_ONCE_MAX.

        Every ENDED_EVERY also what we said ourselves, where partners' words keep it alive.
        """
        expired = self._indicators.expire_due(tx)
        if self._ended_at is not None and tx.now - self._ended_at < ENDED_EVERY:
            return expired
        ended = self._indicators.end_ours_due(tx)
        if ended < EXPIRED_AT_ONCE_MAX:
            self._ended_at = tx.now
        return max(expired, ended)

    def _pursued(self, tx: Transaction, cases: Sequence[str]) -> set[str]:
        orders = self._holds.orders_of(tx, cases) if cases else ()
        return {order.case_id for order in orders if order.state in UNANSWERED}
