"""Exchange: what a partner has now, out of the ledger of releases in PostgreSQL.

SQL only; private to the stage.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from openaoc.exchange.ledger_model import Received
from openaoc.exchange.objects import BETWEEN_CENTRES, ObjectKind
from openaoc.exchange.release_store import BODY, CURRENT, releases

_CREATED: Final = '"created":"'
_DAY_CHARACTERS: Final = len("2026-01-05")
created_day: Final = sa.func.substr(
    releases.c.body,
    sa.func.strpos(releases.c.body, _CREATED) + len(_CREATED),
    _DAY_CHARACTERS,
)
"""The first place of the body that is called so is the object's own: only its id stands before."""
_BETWEEN_CENTRES: Final = sorted(kind.value for kind in BETWEEN_CENTRES)


def view(
    connection: Connection,
    partner: str,
    *,
    agreement: str,
    after: int,
    limit: int,
    kinds: Collection[ObjectKind] | None = None,
    day: str | None = None,
) -> list[Received]:
    """What the partner has now that may leave under the agreement, in order.

    Of these kinds; by default of all that a polled view shows. `day`: created on that day alone.
    """
    query = (
        sa.select(releases.c.place, releases.c.released_at, releases.c.body)
        .where(*_shown(partner, agreement=agreement, kinds=kinds), releases.c.place > after)
        .order_by(releases.c.place)
        .limit(limit)
    )
    if day is not None:
        query = query.where(created_day == day)
    return [
        Received(sequence=row.place, released_at=row.released_at, object=BODY.decode(row.body))
        for row in connection.execute(query)
    ]


def days(
    connection: Connection, partner: str, *, agreement: str, kinds: Collection[ObjectKind]
) -> dict[str, int]:
    """By day of creation, how many objects the view shows."""
    query = (
        sa.select(created_day.label("day"), sa.func.count().label("objects"))
        .where(*_shown(partner, agreement=agreement, kinds=kinds))
        .group_by(created_day)
    )
    return {row.day: row.objects for row in connection.execute(query)}


def _shown(
    partner: str, *, agreement: str, kinds: Collection[ObjectKind] | None
) -> tuple[sa.ColumnElement[bool], ...]:
    """Whether a release is in the partner's view."""
    wanted = releases.c.kind.not_in(_BETWEEN_CENTRES)
    if kinds is not None:
        wanted = releases.c.kind.in_(sorted(kind.value for kind in kinds))
    return (
        releases.c.partner == partner,
        CURRENT,
        releases.c.confirmed == agreement,
        wanted,
        releases.c.body.is_not(None),
    )
