"""Exchange: partners' sightings in PostgreSQL. SQL only; private to the stage."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection

from openaoc.storage.tables import metadata, moment

sightings: Final = sa.Table(
    "partner_sightings",
    metadata,
    sa.Column("partner", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("object_id", sa.Text, nullable=False),
    sa.Column("first_seen", moment, nullable=False),
    sa.Column("last_seen", moment, nullable=False),
    sa.Column("count", sa.BigInteger, nullable=False),
    sa.Column("said_at", moment, nullable=False),
    sa.Column("taken_at", moment, nullable=False),
    sa.Column("revoked", sa.Boolean, nullable=False),
)


class Sighting(msgspec.Struct, frozen=True, kw_only=True):
    """A partner saw an object of ours, so often, in this time."""

    partner: str
    id: str
    object_id: str
    first_seen: datetime
    last_seen: datetime
    count: int
    said_at: datetime
    taken_at: datetime
    revoked: bool


def put(connection: Connection, one: Sighting) -> None:
    """The partner's last word on it; an older one changes nothing."""
    values = msgspec.structs.asdict(one)
    statement = insert(sightings).values(values)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["partner", "id"],
            set_={n: statement.excluded[n] for n in values if n not in ("partner", "id")},
            where=sightings.c.said_at <= statement.excluded.said_at,
        )
    )
