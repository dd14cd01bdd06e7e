"""Continuity: the SQL of witnesses and their signatures. Private to witnessing."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from openaoc.continuity.model import WitnessStatus
from openaoc.continuity.witness import Cosigned
from openaoc.storage.tables import journal_cosignatures, journal_witnesses

WITNESSES_MAX = 32


def add(connection: sa.Connection, *, url: str, key: str, now: datetime) -> bool:
    """Keep a witness; False when it is there already."""
    statement = (
        insert(journal_witnesses)
        .values(url=url, key=key, added_at=now, size=0)
        .on_conflict_do_nothing()
        .returning(journal_witnesses.c.url)
    )
    return connection.execute(statement).first() is not None


def remove(connection: sa.Connection, url: str) -> bool:
    """Forget a witness; its signatures stay."""
    statement = sa.delete(journal_witnesses).where(journal_witnesses.c.url == url)
    return connection.execute(statement).rowcount > 0


def witnesses(connection: sa.Connection) -> list[WitnessStatus]:
    """Every witness, by its address."""
    statement = sa.select(journal_witnesses).order_by(journal_witnesses.c.url).limit(WITNESSES_MAX)
    return [
        WitnessStatus(**row._mapping)  # noqa: SLF001 - SQLAlchemy's documented way to the names
        for row in connection.execute(statement)
    ]


def seen(connection: sa.Connection, url: str, *, size: int, now: datetime) -> None:
    """The witness stands at this size."""
    connection.execute(
        sa.update(journal_witnesses)
        .where(journal_witnesses.c.url == url)
        .values(size=size, seen_at=now, failing_since=None, last_error=None)
    )


def failed(connection: sa.Connection, url: str, *, error: str, now: datetime) -> None:
    """The witness could not be reached, or refused."""
    since = sa.func.coalesce(journal_witnesses.c.failing_since, now)
    connection.execute(
        sa.update(journal_witnesses)
        .where(journal_witnesses.c.url == url)
        .values(failing_since=since, last_error=error)
    )


def keep(connection: sa.Connection, url: str, one: Cosigned) -> None:
    """Keep a witness's signature; a repeat is nothing."""
    values = {"url": url, "size": one.head.size, "at": one.at, "signature": one.signature}
    connection.execute(insert(journal_cosignatures).values(**values).on_conflict_do_nothing())
