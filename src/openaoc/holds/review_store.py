"""Holds: which holds are due for a review, in PostgreSQL. SQL only; private to the stage."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Connection

from openaoc.holds.model import HOLDING
from openaoc.holds.store import orders
from openaoc.storage.tables import metadata, moment

reviews: Final = sa.Table(
    "hold_reviews",
    metadata,
    sa.Column("order_id", sa.Text, primary_key=True),
    sa.Column("reviewed_at", moment, nullable=False),
)

_HOLDING: Final = sorted(state.value for state in HOLDING)


def due(connection: Connection, *, before: datetime, limit: int) -> list[str]:
    """Live holds not looked at since `before`, the longest waiting first."""
    last = sa.func.coalesce(reviews.c.reviewed_at, orders.c.answered_at)
    statement = (
        sa.select(orders.c.id)
        .select_from(orders.outerjoin(reviews, reviews.c.order_id == orders.c.id))
        .where(orders.c.state.in_(_HOLDING), orders.c.mode == "live", last < before)
        .order_by(last, orders.c.id)
        .limit(limit)
    )
    return [str(row.id) for row in connection.execute(statement)]


def done(connection: Connection, order_ids: Sequence[str], *, at: datetime) -> None:
    """These were looked at now: one statement."""
    if not order_ids:
        return
    statement = postgresql.insert(reviews).values(
        [{"order_id": order_id, "reviewed_at": at} for order_id in order_ids]
    )
    changed = {"reviewed_at": statement.excluded.reviewed_at}
    connection.execute(
        statement.on_conflict_do_update(index_elements=[reviews.c.order_id], set_=changed)
    )


def cases_on(connection: Connection, place: tuple[str, str, str]) -> int:
    """How many cases' orders there ever were on an account."""
    statement = sa.select(sa.func.count(sa.distinct(orders.c.case_id))).where(
        orders.c.institution == place[0],
        orders.c.account == place[1],
        orders.c.currency == place[2],
    )
    return int(connection.execute(statement).scalar_one())
