"""Transactions: whole or not at all, errors in our own words, events and jobs inside."""

from __future__ import annotations

import sqlalchemy as sa

from openaoc.kernel.actor import SYSTEM
from openaoc.storage.tables import journal_rows
from openaoc.storage.unit_of_work import UnitOfWork


def test_a_change_and_its_journal_row_commit_together(uow: UnitOfWork) -> None:
    with uow.begin(SYSTEM, purpose="test") as tx:
        row = tx.journal(action="test.thing.done", subject="thing")
        tx.defer(job="test.job", key="K", payload={"a": 1})
    with uow.read(SYSTEM) as tx:
        found = tx.connection.execute(sa.select(journal_rows)).one()
    assert found.id == row
