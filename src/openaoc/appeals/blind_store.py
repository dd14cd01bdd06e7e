"""Appeals: draws and blind reviews in PostgreSQL. SQL only; private to the stage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Connection

from openaoc.storage.tables import metadata, moment

POPULATION_PAGE: Final = 10_000

draws: Final = sa.Table(
    "blind_draws",
    metadata,
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("commitment", sa.LargeBinary, nullable=False),
    sa.Column("committed_at", moment, nullable=False),
    sa.Column("seed", sa.LargeBinary),
    sa.Column("drawn_at", moment),
    sa.Column("population", sa.Integer, nullable=False),
    sa.Column("drawn", sa.Integer, nullable=False),
)

reviews: Final = sa.Table(
    "blind_reviews",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), unique=True),
    sa.Column("order_id", sa.Text, nullable=False),
    sa.Column("day", sa.Date, nullable=False),
    sa.Column("drawn_at", moment, nullable=False),
    sa.Column("verdict", sa.Text),
    sa.Column("wrong_minor", sa.BigInteger, nullable=False),
    sa.Column("note", sa.Text),
    sa.Column("reviewed_by", sa.Text),
    sa.Column("reviewed_at", moment),
)


class DrawRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `blind_draws`."""

    day: date
    commitment: bytes
    committed_at: datetime
    seed: bytes | None
    drawn_at: datetime | None
    population: int
    drawn: int


class ReviewRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `blind_reviews`. `reviewed_by` is set when somebody takes it."""

    id: str
    order_id: str
    day: date
    drawn_at: datetime
    verdict: str | None
    wrong_minor: int
    note: str | None
    reviewed_by: str | None
    reviewed_at: datetime | None
    sequence: int


def _named(row: sa.Row[tuple[object, ...]]) -> dict[str, object]:
    named = row._mapping  # noqa: SLF001 - SQLAlchemy's documented way to a row's names
    return {str(name): value for name, value in named.items()}


def commit(connection: Connection, day: date, *, commitment: bytes, at: datetime) -> bool:
    """Add a day's commitment; False when it stands already."""
    statement = (
        postgresql.insert(draws)
        .values(day=day, commitment=commitment, committed_at=at, population=0, drawn=0)
        .on_conflict_do_nothing(index_elements=[draws.c.day])
        .returning(draws.c.day)
    )
    return connection.execute(statement).first() is not None


def undrawn(connection: Connection, *, before: date) -> list[DrawRow]:
    """Days that are over and not drawn yet, locked, the oldest first."""
    statement = (
        sa.select(draws)
        .where(draws.c.day < before, draws.c.drawn_at.is_(None))
        .order_by(draws.c.day)
        .with_for_update(skip_locked=True)
    )
    return [msgspec.convert(_named(row), DrawRow) for row in connection.execute(statement)]


def drawn(
    connection: Connection, day: date, *, seed: bytes, at: datetime, population: int, count: int
) -> None:
    """Keep what a draw gave."""
    values = {"seed": seed, "drawn_at": at, "population": population, "drawn": count}
    connection.execute(sa.update(draws).where(draws.c.day == day).values(values))


_UNCONTESTED: Final = sa.text("""
    SELECT o.id FROM hold_orders o
    WHERE o.answered_at >= :since AND o.answered_at < :until AND o.applied_minor > 0
      AND o.mode = 'live' AND o.id > :last
      AND NOT EXISTS (SELECT 1 FROM appeals a WHERE a.order_id = o.id)
    ORDER BY o.id LIMIT :page
""")


def uncontested(connection: Connection, day: date) -> Iterator[str]:
    """The live holds applied on a day (UTC) that nobody contested, by number."""
    since = datetime.combine(day, time(), tzinfo=UTC)
    last = ""
    while True:
        values = {
            "since": since,
            "until": since + timedelta(days=1),
            "last": last,
            "page": POPULATION_PAGE,
        }
        found = [str(row.id) for row in connection.execute(_UNCONTESTED, values)]
        yield from found
        if len(found) < POPULATION_PAGE:
            return
        last = found[-1]


def add(
    connection: Connection, fresh: Sequence[tuple[str, str]], *, day: date, at: datetime
) -> None:
    """Insert drawn holds (review, order): one statement."""
    if fresh:
        rows = [
            {"id": review, "order_id": order, "day": day, "drawn_at": at, "wrong_minor": 0}
            for review, order in fresh
        ]
        connection.execute(sa.insert(reviews), rows)


def get(connection: Connection, review_id: str, *, lock: bool = False) -> ReviewRow | None:
    """One review, locked when asked."""
    statement = sa.select(reviews).where(reviews.c.id == review_id)
    if lock:
        statement = statement.with_for_update()
    row = connection.execute(statement).first()
    return None if row is None else msgspec.convert(_named(row), ReviewRow)


def save(connection: Connection, row: ReviewRow) -> None:
    """Write a review's verdict, or who took it."""
    values = {
        "verdict": row.verdict,
        "wrong_minor": row.wrong_minor,
        "note": row.note,
        "reviewed_by": row.reviewed_by,
        "reviewed_at": row.reviewed_at,
    }
    connection.execute(sa.update(reviews).where(reviews.c.id == row.id).values(values))


def waiting_first(connection: Connection, *, limit: int) -> list[ReviewRow]:
    """Reviews, those without a verdict first, each kind by age."""
    statement = (
        sa.select(reviews).order_by(reviews.c.verdict.is_not(None), reviews.c.sequence).limit(limit)
    )
    return [msgspec.convert(_named(row), ReviewRow) for row in connection.execute(statement)]


def newest_draws(connection: Connection, *, limit: int) -> list[DrawRow]:
    """The newest draws."""
    statement = sa.select(draws).order_by(draws.c.day.desc()).limit(limit)
    return [msgspec.convert(_named(row), DrawRow) for row in connection.execute(statement)]
