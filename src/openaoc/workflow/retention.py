"""Workflow: raw transfers expire by rule (design: the ledger is not browsable).

Answers how old a transfer may get. What a case under work traces stays; may be called at any time.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol

import msgspec

from openaoc.cases.service import Cases
from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.clock import from_us
from openaoc.ledger.model import Expired, Transfer
from openaoc.storage.journal_rows import written
from openaoc.storage.unit_of_work import UnitOfWork

EVERY: Final = timedelta(hours=1)
JOURNALLED: Final = "ledger.days.expired"


class LedgerExpiring(Protocol):
    """What is needed of the ledger to let transfers expire."""

    def find(self, *, reported_by: str, transfer_id: str) -> int | None:
        """The number of the transfer with this name, if it is there."""
        ...

    def transfer(self, number: int, /) -> Transfer:
        """One transfer as evidence."""
        ...

    def expire(self, before: datetime, *, told_before: datetime) -> Expired | None:
        """Let go what was booked before, and told before; what went, if anything did."""
        ...

    def expired(self) -> Sequence[Expired]:
        """What expired and whose journal row is not known to be written."""
        ...

    def expiry_journalled(self, expired: Expired) -> None:
        """Its journal row is committed."""
        ...


class ExpiryMark(msgspec.Struct, frozen=True, kw_only=True):
    """Expired transfers in the journal: how many, of which time; never what they said."""

    transfers: int
    accounts: int
    first_booked: datetime
    booked_before: datetime
    position: int


class Retention:
    """Lets transfers expire after so many days; with 0 days none does."""

    def __init__(self, *, uow: UnitOfWork, ledger: LedgerExpiring, cases: Cases, days: int) -> None:
        self._uow, self._ledger, self._cases = uow, ledger, cases
        self._days = days
        self._next: datetime | None = None

    def run_due(self) -> None:
        """Let go what is too old, and write in the journal how much that was."""
        self.reconcile()
        if self._days <= 0:
            return
        with self._uow.read(SYSTEM, purpose="which transfers cases need") as tx:
            now = tx.now
            if self._next is not None and now < self._next:
                return
            origins = self._cases.origins_under_work(tx)
        self._next = now + EVERY
        too_old = now - timedelta(days=self._days)
        before = min([too_old, *self._booked(origins)])
        if self._ledger.expire(before, told_before=too_old) is not None:
            self.reconcile()

    def _booked(self, origins: Sequence[tuple[str, str]]) -> list[datetime]:
        """When the transfers were booked, as far as the ledger has them."""
        found = [self._ledger.find(reported_by=who, transfer_id=what) for who, what in origins]
        return [self._ledger.transfer(row).booked_at for row in found if row is not None]

    def reconcile(self) -> int:
        """Journal what expired and is not journalled yet, each once; how many."""
        waiting = self._ledger.expired()
        if not waiting:
            return 0
        with self._uow.begin(SYSTEM, purpose="journal what expired") as tx:
            tx.lock("workflow.retention")
            subjects = [item.subject for item in waiting]
            done = written(tx.connection, action=JOURNALLED, subjects=subjects)
            for item in waiting:
                if item.subject not in done:
                    tx.journal(
                        action=JOURNALLED,
                        subject=item.subject,
                        after=_mark(item),
                        authority=f"transfers are kept for {self._days} days",
                    )
        for item in waiting:
            self._ledger.expiry_journalled(item)
        return len(waiting)


def _mark(item: Expired) -> ExpiryMark:
    return ExpiryMark(
        transfers=item.transfers,
        accounts=item.accounts,
        first_booked=from_us(item.first_us),
        booked_before=from_us(item.before_us),
        position=item.position,
    )
