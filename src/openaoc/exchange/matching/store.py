"""Matching: the SQL of counts and hits. Private to matching."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec
import sqlalchemy as sa

from openaoc.exchange.matching.model import Hit
from openaoc.kernel.paging import Asked

COUNTS_KEPT: Final = timedelta(days=30)

_COUNT: Final = sa.text(
    "INSERT INTO match_counts (partner, hour, questions) VALUES (:partner, :hour, :by)"
    " ON CONFLICT (partner, hour) DO UPDATE SET questions = match_counts.questions + :by"
    " RETURNING questions"
)
_ADD: Final = sa.text(
    "INSERT INTO match_hits (id, partner, direction, kind, value, epoch, token, contact, found_at,"
    " told_at) VALUES (:id, :partner, :direction, :kind, :value, :epoch, :token, :contact,"
    " :found_at, :told_at)"
    " ON CONFLICT (partner, direction, kind, value) WHERE closed_at IS NULL DO NOTHING"
)
_OPEN: Final = sa.text(
    "SELECT * FROM match_hits WHERE partner = :partner AND direction = :direction"
    " AND kind = :kind AND value = :value AND closed_at IS NULL"
)
_TOLD: Final = sa.text("UPDATE match_hits SET told_at = :at, reference = :reference WHERE id = :id")
_CLOSE: Final = sa.text(
    "UPDATE match_hits SET closed_at = :at, closed_by = :by, why_closed = :why"
    " WHERE id = :id AND closed_at IS NULL"
)


def count(connection: sa.Connection, partner: str, *, hour: datetime, by: int) -> int:
    """Add to a partner's questions of the hour; how many they are now."""
    return int(
        connection.execute(_COUNT, {"partner": partner, "hour": hour, "by": by}).scalar_one()
    )


def forget_counts(connection: sa.Connection, *, now: datetime) -> None:
    """Remove old hours."""
    statement = sa.text("DELETE FROM match_counts WHERE hour < :before")
    connection.execute(statement, {"before": now - COUNTS_KEPT})


def add_hit(connection: sa.Connection, hit: Hit) -> tuple[Hit, bool]:
    """The hit as kept, and whether it is new; one that is open for the same stays as it is."""
    values = {name: getattr(hit, name) for name in hit.__struct_fields__}
    values["direction"] = hit.direction.value
    fresh = connection.execute(_ADD, values).rowcount > 0
    same = {name: values[name] for name in ("partner", "direction", "kind", "value")}
    return _hit(connection.execute(_OPEN, same).one()), fresh


def told(connection: sa.Connection, hit_id: str, *, reference: str, at: datetime) -> None:
    """The other side works on it under this number."""
    connection.execute(_TOLD, {"id": hit_id, "reference": reference, "at": at})


def close(connection: sa.Connection, hit_id: str, *, by: str, why: str, at: datetime) -> bool:
    """Close an open hit; False when there is none of this id."""
    return connection.execute(_CLOSE, {"id": hit_id, "by": by, "why": why, "at": at}).rowcount > 0


def get(connection: sa.Connection, hit_id: str) -> Hit | None:
    """The hit of this id."""
    row = connection.execute(sa.text("SELECT * FROM match_hits WHERE id = :id"), {"id": hit_id})
    found = row.first()
    return None if found is None else _hit(found)


def newest(connection: sa.Connection, asked: Asked) -> list[Hit]:
    """The newest hits first: a page, and one more where there are more."""
    place = asked.place
    after = "" if place is None else " WHERE (found_at, id) < (:at, :name)"
    statement = sa.text(
        f"SELECT * FROM match_hits{after}"  # noqa: S608 - our own words
        " ORDER BY found_at DESC, id DESC LIMIT :limit"
    )
    values = {"limit": asked.size + 1} | ({} if place is None else place._asdict())
    return [_hit(row) for row in connection.execute(statement, values)]


def untold(connection: sa.Connection, *, partner: str, limit: int) -> Sequence[Hit]:
    """Hits of ours that the partner was not told yet, the oldest first."""
    statement = sa.text(
        "SELECT * FROM match_hits WHERE partner = :partner AND told_at IS NULL"
        " AND closed_at IS NULL ORDER BY found_at, id LIMIT :limit"
    )
    return [
        _hit(row) for row in connection.execute(statement, {"partner": partner, "limit": limit})
    ]


def _hit(row: sa.Row[tuple[object, ...]]) -> Hit:
    named = row._mapping  # noqa: SLF001 - SQLAlchemy's documented way to a row's names
    return msgspec.convert({str(name): value for name, value in named.items()}, Hit)
