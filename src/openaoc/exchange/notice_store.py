"""Exchange: notices to partners in PostgreSQL. SQL only; private to the stage."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from openaoc.exchange.ledger_model import Notice, RecallKind
from openaoc.exchange.release_store import next_place
from openaoc.storage.tables import metadata, moment

notices: Final = sa.Table(
    "exchange_notices",
    metadata,
    sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("partner", sa.Text, nullable=False),
    sa.Column("place", sa.BigInteger, nullable=False),
    sa.Column("object_id", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("at", moment, nullable=False),
    sa.Column("delivered_at", moment),
)


def add(
    connection: Connection,
    told: Sequence[tuple[str, str]],
    *,
    kind: RecallKind,
    reason: str,
    at: datetime,
) -> None:
    """One notice for each partner and object; these partners are locked by the caller."""
    said = {"kind": kind.value, "reason": reason, "at": at}
    for partner in sorted({code for code, _ in told}):
        theirs = [object_id for code, object_id in told if code == partner]
        first = next_place(connection, notices, partner, at=at)
        connection.execute(
            sa.insert(notices),
            [
                {"partner": partner, "place": place, "object_id": object_id, **said}
                for place, object_id in enumerate(theirs, start=first)
            ],
        )


def after_number(
    connection: Connection, partner: str | None, *, after: int, waiting: bool, limit: int
) -> list[Notice]:
    """Notices after this number, in order; with `waiting` those not delivered yet.

    By the partner's own numbers, or over all partners by the centre's.
    """
    number = notices.c.sequence if partner is None else notices.c.place
    query = sa.select(notices, number.label("number")).where(number > after)
    if partner is not None:
        query = query.where(notices.c.partner == partner)
    if waiting:
        query = query.where(notices.c.delivered_at.is_(None))
    return [
        Notice(
            sequence=row.number,
            partner=row.partner,
            object_id=row.object_id,
            kind=RecallKind(row.kind),
            reason=row.reason,
            at=row.at,
            delivered_at=row.delivered_at,
        )
        for row in connection.execute(query.order_by(number).limit(limit))
    ]


def delivered(
    connection: Connection, partner: str, *, sequences: Sequence[int], at: datetime
) -> int:
    """The partner has them; how many were still open."""
    done = connection.execute(
        sa.update(notices)
        .where(
            notices.c.partner == partner,
            notices.c.delivered_at.is_(None),
            notices.c.place.in_(list(sequences)),
        )
        .values(delivered_at=at)
    )
    return done.rowcount
