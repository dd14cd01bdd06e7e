"""Workflow: what institutions' answers and reports tell the ledger, and each batch's journal row.

Durable before the answer is: the ledger takes rows first, and takes a repeat of them as nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

import msgspec

from openaoc.kernel.actor import SYSTEM, Actor
from openaoc.ledger.model import Batch, IngestReceipt
from openaoc.ledger.table import TransferRow, TransferTable, transfers_from_rows
from openaoc.storage.journal_rows import written
from openaoc.storage.unit_of_work import Transaction, UnitOfWork

JOURNALLED: Final = "ledger.batch.taken"
BATCHES_PER_RUN_MAX: Final = 500


class LedgerTaking(Protocol):
    """What is needed of the ledger to tell it something."""

    def ingest(self, table: TransferTable, *, told_by: str, live: bool) -> IngestReceipt:
        """Take the rows; durable and applied when it returns."""
        ...

    def unjournalled(self) -> Sequence[Batch]:
        """Batches whose journal row is not known to be written."""
        ...

    def journalled(self, batch: Batch) -> None:
        """The batch's journal row is committed."""
        ...


class Onward:
    """Takes onward transfers of an answer into the ledger."""

    def __init__(self, ledger: LedgerTaking, *, corrected: Callable[[], None]) -> None:
        self._ledger = ledger
        self._corrected = corrected

    def take(self, tx: Transaction, rows: Sequence[TransferRow], *, actor: Actor) -> None:
        """Keep the rows durably; a repeat of known rows is nothing.

        They stay when the transaction does not commit: what an institution told is true of it
        in any case.
        """
        assert not tx.read_only, "an answer changes something"
        table = transfers_from_rows(list(rows))
        receipt = self._ledger.ingest(table, told_by=actor.institution or actor.id, live=True)
        if receipt.corrected:
            self._corrected()


class BatchMark(msgspec.Struct, frozen=True, kw_only=True):
    """A batch in the journal: who told how much, its digest and its place in the log."""

    told_by: str
    accepted: int
    corrected: int
    digest: str
    position: int


class LedgerJournal:
    """Writes exactly one journal row for each batch the ledger took."""

    def __init__(self, *, uow: UnitOfWork, ledger: LedgerTaking) -> None:
        self._uow = uow
        self._ledger = ledger

    def reconcile(self) -> int:
        """Journal what is not journalled yet; how many batches. At start and periodically.

        A crash between commit and mark leaves a row without its mark: it is found by its subject
        and only marked.
        """
        waiting = list(self._ledger.unjournalled())[:BATCHES_PER_RUN_MAX]
        if not waiting:
            return 0
        with self._uow.begin(SYSTEM, purpose="journal the ledger's batches") as tx:
            tx.lock("workflow.ledger_journal")
            subjects = [batch.subject for batch in waiting]
            done = written(tx.connection, action=JOURNALLED, subjects=subjects)
            for batch in waiting:
                if batch.subject in done:
                    continue
                mark = BatchMark(
                    told_by=batch.told_by,
                    accepted=batch.accepted,
                    corrected=batch.corrected,
                    digest=batch.digest,
                    position=batch.position,
                )
                tx.journal(
                    action=JOURNALLED,
                    subject=batch.subject,
                    after=mark,
                    authority=f"told by {batch.told_by}",
                )
        for batch in waiting:
            self._ledger.journalled(batch)
        return len(waiting)
