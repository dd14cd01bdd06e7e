"""A transaction's journal rows before its end, for tests that need their ids."""

from __future__ import annotations

from openaoc.storage import journal_rows
from openaoc.storage.unit_of_work import Transaction


def written_now(tx: Transaction) -> list[int]:
    """Write the journal's rows now; their ids."""
    rows, tx._rows = tx._rows, []
    statement, values = journal_rows.inserting(rows, at=tx.now, who=tx.actor.id)
    return sorted(int(row[0]) for row in tx.connection.execute(statement, values))
