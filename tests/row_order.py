"""Who changes many rows at once takes them by id: two such changes never wait for each other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

import sqlalchemy as sa

from openaoc.kernel.actor import SYSTEM
from openaoc.storage.unit_of_work import Transaction, UnitOfWork

WAIT_SECONDS_MAX: Final = 60.0
_WAITING: Final = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")


def until_somebody_waits(tx: Transaction) -> None:
    """Until another transaction waits for a lock."""
    until = time.monotonic() + WAIT_SECONDS_MAX
    while not tx.connection.execute(_WAITING).scalar_one():
        assert time.monotonic() < until, "nobody waits for a lock"
        time.sleep(0.01)


def check_rows_are_taken_by_id(
    uow: UnitOfWork,
    table: sa.Table,
    ids: Sequence[str],
    change: Callable[[Transaction, Sequence[str]], object],
) -> None:
    """While the first row by id is another's, the change has taken none of the rest."""
    first, *rest = sorted(ids)
    assert rest, "an order needs two"
    with uow.begin(SYSTEM) as tx:
        # Written again it lies last: whoever takes rows as they lie takes it last.
        tx.connection.execute(sa.update(table).where(table.c.id == first).values(id=first))

    def run() -> None:
        with uow.begin(SYSTEM) as tx:
            change(tx, ids)

    changing = threading.Thread(target=run)
    rows = sa.select(table.c.id).with_for_update(nowait=True)
    with uow.begin(SYSTEM) as tx:
        assert tx.connection.execute(rows.where(table.c.id == first)).all()
        changing.start()
        until_somebody_waits(tx)
        assert len(tx.connection.execute(rows.where(table.c.id.in_(rest))).all()) == len(rest)
    changing.join(WAIT_SECONDS_MAX)
    assert not changing.is_alive()
