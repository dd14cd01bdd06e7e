"""Which life of the centre this is (its epoch), and whether it may send to institutions.

A restore and a promotion begin a new epoch. After a restore the centre reconciles: it takes
reports and plans orders, and sends nothing until a person says so.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec
import sqlalchemy as sa

from openaoc.kernel.errors import Conflict
from openaoc.storage.tables import centre_state
from openaoc.storage.unit_of_work import Transaction

SUBJECT: Final = "centre"


class NotReconciling(Conflict):
    """The centre delivers already."""


class CentreState(msgspec.Struct, frozen=True, kw_only=True):
    """The centre's standing.

    `epoch` counts its lives; messages carry it, so that a receiver can tell an earlier one.
    `reconciling_since` is set while delivery waits for a person, `backup_at` says from when the
    data is that the centre was restored with.
    """

    epoch: int
    changed_at: datetime
    reconciling_since: datetime | None
    backup_at: datetime | None
    why: str

    @property
    def delivers(self) -> bool:
        """Whether messages may leave."""
        return self.reconciling_since is None


_READ: Final = sa.select(
    centre_state.c.epoch,
    centre_state.c.changed_at,
    centre_state.c.reconciling_since,
    centre_state.c.backup_at,
    centre_state.c.why,
)


def read_state(connection: sa.Connection) -> CentreState:
    """The state as this transaction sees it."""
    row = connection.execute(_READ).one()
    return CentreState(**row._mapping)  # noqa: SLF001 - SQLAlchemy's documented way to the names


def begin_epoch(tx: Transaction, *, why: str, backup_at: datetime | None = None) -> CentreState:
    """A new life of the centre; with `backup_at` it begins in reconciling. Journalled."""
    before = _locked(tx)
    reconciling = tx.now if backup_at is not None else before.reconciling_since
    tx.connection.execute(
        sa.update(centre_state).values(
            epoch=before.epoch + 1,
            changed_at=tx.now,
            reconciling_since=reconciling,
            backup_at=backup_at if backup_at is not None else before.backup_at,
            why=why,
        )
    )
    after = read_state(tx.connection)
    tx.journal(
        action="storage.centre.epoch_began", subject=SUBJECT, before=before, after=after, reason=why
    )
    return after


def end_reconciling(tx: Transaction, *, reason: str) -> CentreState:
    """Deliver again. Journalled. Raises NotReconciling."""
    before = _locked(tx)
    if before.delivers:
        raise NotReconciling("nothing is held back")
    tx.connection.execute(
        sa.update(centre_state).values(reconciling_since=None, changed_at=tx.now, why=reason)
    )
    after = read_state(tx.connection)
    tx.journal(
        action="storage.centre.delivery_resumed",
        subject=SUBJECT,
        before=before,
        after=after,
        reason=reason,
    )
    return after


def _locked(tx: Transaction) -> CentreState:
    row = tx.connection.execute(_READ.with_for_update()).one()
    return CentreState(**row._mapping)  # noqa: SLF001 - SQLAlchemy's documented way to the names


def latest_moment(connection: sa.Connection) -> datetime | None:
    """The newest moment that was kept, None before the first."""
    query = sa.select(
        sa.case((sa.func.isfinite(centre_state.c.latest_at), centre_state.c.latest_at))
    )
    moment: datetime | None = connection.execute(query).scalar_one()
    return moment


def keep_moment(tx: Transaction) -> None:
    """Remember that this moment was, for a start with a clock that is behind."""
    later = sa.func.greatest(centre_state.c.latest_at, tx.now)
    tx.connection.execute(sa.update(centre_state).values(latest_at=later))
