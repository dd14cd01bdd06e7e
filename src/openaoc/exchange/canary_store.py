"""Exchange: canaries in PostgreSQL. SQL only; private to the stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from openaoc.storage.tables import metadata, moment

canaries: Final = sa.Table(
    "exchange_canaries",
    metadata,
    sa.Column("object_id", sa.Text, primary_key=True),
    sa.Column("partner", sa.Text, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("identifier_kind", sa.Text, nullable=False),
    sa.Column("value", sa.Text, nullable=False),
    sa.Column("planted_by", sa.Text, nullable=False),
    sa.Column("planted_at", moment, nullable=False),
    sa.Column("seen_at", moment),
    sa.Column("seen_where", sa.Text),
)


def last_number(connection: Connection, partner: str) -> int:
    """How many the partner was given."""
    query = sa.select(sa.func.coalesce(sa.func.max(canaries.c.number), 0)).where(
        canaries.c.partner == partner
    )
    return int(connection.execute(query).scalar_one())


def add(connection: Connection, rows: Sequence[Mapping[str, object]]) -> None:
    """New ones, a mapping of column to value each."""
    connection.execute(sa.insert(canaries), list(rows))


def of(
    connection: Connection, partner: str, *, limit: int
) -> Sequence[sa.Row[*tuple[object, ...]]]:
    """The partner's, in order."""
    query = sa.select(canaries).where(canaries.c.partner == partner)
    return connection.execute(query.order_by(canaries.c.number).limit(limit)).all()


def seen_again(connection: Connection, *, limit: int) -> Sequence[sa.Row[*tuple[object, ...]]]:
    """Those of any partner that were seen again, the last first."""
    query = sa.select(canaries).where(canaries.c.seen_at.is_not(None))
    order = (canaries.c.seen_at.desc(), canaries.c.object_id)
    return connection.execute(query.order_by(*order).limit(limit)).all()


def among(connection: Connection, ids: Sequence[str]) -> set[str]:
    """Those of the objects that are canaries."""
    query = sa.select(canaries.c.object_id).where(canaries.c.object_id.in_(list(ids)))
    return set(connection.execute(query).scalars())


def by_value(connection: Connection, values: Sequence[str]) -> sa.Row[*tuple[object, ...]] | None:
    """The one of any of these values."""
    wanted = [value for value in values if value]
    return connection.execute(sa.select(canaries).where(canaries.c.value.in_(wanted))).first()


def seen(connection: Connection, object_id: str, *, at: datetime, where: str) -> None:
    """It was seen again; the first time is kept."""
    connection.execute(
        sa.update(canaries)
        .where(canaries.c.object_id == object_id, canaries.c.seen_at.is_(None))
        .values(seen_at=at, seen_where=where)
    )
