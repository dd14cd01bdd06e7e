"""Exchange: letters to partners' centres in PostgreSQL. SQL only; private to the stage."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection

from openaoc.storage.tables import metadata, moment

TAKEN: Final = datetime(9999, 1, 1, tzinfo=UTC)
"""When a letter is due that was taken: not before its receiver has forgotten it."""

letters: Final = sa.Table(
    "exchange_letters",
    metadata,
    sa.Column("partner", sa.Text, primary_key=True),
    sa.Column("path", sa.Text, primary_key=True),
    sa.Column("matter", sa.Text, primary_key=True),
    sa.Column("word", sa.BigInteger, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("written_at", moment, nullable=False),
    sa.Column("due_at", moment, nullable=False),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("last_error", sa.Text, nullable=False),
)


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """A letter that waits. `word` rises with each newer word on the matter."""

    partner: str
    path: str
    matter: str
    word: int
    body: bytes
    failures: int


def put(
    connection: Connection, *, partner: str, path: str, matter: str, body: bytes, now: datetime
) -> None:
    """Keep the last word."""
    fresh = {"body": body, "written_at": now, "due_at": now, "failures": 0, "last_error": ""}
    statement = insert(letters).values(partner=partner, path=path, matter=matter, word=1, **fresh)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["partner", "path", "matter"],
            set_={**fresh, "word": letters.c.word + 1},
        )
    )


def due(connection: Connection, *, now: datetime, limit: int) -> list[Letter]:
    """Those to be carried now, the longest waiting first."""
    query = (
        sa.select(letters)
        .where(letters.c.due_at <= now)
        .order_by(letters.c.due_at, letters.c.partner, letters.c.matter)
        .limit(limit)
    )
    return [
        Letter(
            partner=row.partner,
            path=row.path,
            matter=row.matter,
            word=row.word,
            body=bytes(row.body),
            failures=row.failures,
        )
        for row in connection.execute(query)
    ]


def _this(letter: Letter) -> sa.ColumnElement[bool]:
    return sa.and_(
        letters.c.partner == letter.partner,
        letters.c.path == letter.path,
        letters.c.matter == letter.matter,
        letters.c.word == letter.word,
    )


def done(connection: Connection, letter: Letter) -> None:
    """It was taken; a newer word written meanwhile stays due."""
    connection.execute(
        sa.update(letters).where(_this(letter)).values(due_at=TAKEN, failures=0, last_error="")
    )


def failed(connection: Connection, letter: Letter, *, error: str, due_at: datetime) -> None:
    """It was not taken; a newer word written meanwhile goes out as it is due."""
    connection.execute(
        sa.update(letters)
        .where(_this(letter))
        .values(failures=letter.failures + 1, last_error=error, due_at=due_at)
    )


def say_again(connection: Connection, partner: str, *, now: datetime) -> int:
    """What the partner took is due once more; how many letters."""
    taken = sa.and_(letters.c.partner == partner, letters.c.due_at == TAKEN)
    return connection.execute(sa.update(letters).where(taken).values(due_at=now)).rowcount


def forget(connection: Connection, *, before: datetime) -> None:
    """Remove what was taken and was written before then."""
    old = sa.and_(letters.c.due_at == TAKEN, letters.c.written_at < before)
    connection.execute(sa.delete(letters).where(old))
