"""Exchange: what partners told beside indicators, in PostgreSQL. SQL only; private to the stage."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection

from openaoc.exchange.objects import ObjectKind, ReleasedObject
from openaoc.storage.tables import metadata, moment

context: Final = sa.Table(
    "partner_context",
    metadata,
    sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), unique=True),
    sa.Column("partner", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("modified", moment, nullable=False),
    sa.Column("taken_at", moment, nullable=False),
    sa.Column("keep_until", moment, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
)
_BODY: Final = msgspec.json.Decoder(ReleasedObject)


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One object of a partner's, as it said it last. Not ours to pass on."""

    sequence: int
    partner: str
    taken_at: datetime
    keep_until: datetime
    object: ReleasedObject


def count(connection: Connection, partner: str) -> int:
    """How many there are of the partner's."""
    query = sa.select(sa.func.count()).where(context.c.partner == partner)
    return int(connection.execute(query).scalar_one())


def known(connection: Connection, partner: str, ids: Collection[str]) -> set[str]:
    """Those of the ids that are there."""
    query = sa.select(context.c.id).where(context.c.partner == partner, context.c.id.in_(ids))
    return set(connection.execute(query).scalars())


def put(
    connection: Connection, partner: str, one: ReleasedObject, *, now: datetime, until: datetime
) -> None:
    """The partner's last word; an older one changes nothing."""
    values = {
        "kind": one.kind.value,
        "modified": one.modified,
        "taken_at": now,
        "keep_until": until,
        "body": msgspec.json.encode(one).decode("utf-8"),
    }
    connection.execute(
        insert(context)
        .values(partner=partner, id=one.id, **values)
        .on_conflict_do_update(
            index_elements=["partner", "id"],
            set_=values,
            where=context.c.modified <= one.modified,
        )
    )


def take_back(connection: Connection, partner: str, one: ReleasedObject) -> None:
    """The partner took it back: nothing of it is kept."""
    connection.execute(
        sa.delete(context).where(
            context.c.partner == partner,
            context.c.id == one.id,
            context.c.modified <= one.modified,
        )
    )


def forget(connection: Connection, *, now: datetime, limit: int) -> int:
    """Remove what may not be kept any longer; how many."""
    old = (
        sa.select(context.c.sequence)
        .where(context.c.keep_until <= now)
        .order_by(context.c.keep_until)
        .limit(limit)
    )
    gone = sa.delete(context).where(context.c.sequence.in_(old.scalar_subquery()))
    return connection.execute(gone).rowcount


def page(
    connection: Connection,
    *,
    partner: str | None,
    kind: ObjectKind | None,
    before: int | None,
    limit: int,
) -> list[Told]:
    """The last that was new first."""
    query = sa.select(context).order_by(context.c.sequence.desc()).limit(limit)
    if partner is not None:
        query = query.where(context.c.partner == partner)
    if kind is not None:
        query = query.where(context.c.kind == kind.value)
    if before is not None:
        query = query.where(context.c.sequence < before)
    return [
        Told(
            sequence=row.sequence,
            partner=row.partner,
            taken_at=row.taken_at,
            keep_until=row.keep_until,
            object=_BODY.decode(row.body),
        )
        for row in connection.execute(query)
    ]
