"""What PostgreSQL's refusals mean in the project's own words; SQL and values stay out of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

import psycopg
import sqlalchemy.exc
from psycopg import errors as pg

from openaoc.kernel.errors import BadInput, Busy, Conflict, OpenAOCError, Refused, Unavailable


class TryAgain(Busy):
    """Two changes met; the same call again will do."""


class DatabaseDown(Unavailable):
    """The database cannot be reached."""


_BY_CLASS: Final[tuple[tuple[type[psycopg.Error], type[OpenAOCError], str], ...]] = (
    (pg.SerializationFailure, TryAgain, "another change came between"),
    (pg.DeadlockDetected, TryAgain, "another change came between"),
    (pg.LockNotAvailable, TryAgain, "another change holds what this one needs"),
    (pg.QueryCanceled, Busy, "the database took too long"),
    (pg.IdleInTransactionSessionTimeout, Busy, "the change took too long"),
    (pg.TooManyConnections, Busy, "the database has no connection left"),
    (pg.DiskFull, Unavailable, "the database's disk is full"),
    (pg.UniqueViolation, Conflict, "this exists already"),
    (pg.ForeignKeyViolation, Conflict, "this refers to something that is not there"),
    (pg.ExclusionViolation, Conflict, "this overlaps with something that exists"),
    (pg.CheckViolation, BadInput, "a value breaks a rule of the database"),
    (pg.NotNullViolation, BadInput, "a value is missing"),
    (pg.InsufficientPrivilege, Refused, "the database does not permit this"),
    (pg.ReadOnlySqlTransaction, Refused, "this was opened for reading only"),
)
"""First match counts, so subclasses stand before their bases."""


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """A block whose database errors leave it as the project's."""
    try:
        yield
    except Exception as error:
        ours = translate(error)
        if ours is None:
            raise
        raise ours from error


def translate(error: Exception) -> OpenAOCError | None:
    """The project's error for a database error, or None when it is none.

    A violated constraint is named (a name, never a value), for whoever reads the log.
    """
    if isinstance(error, sqlalchemy.exc.TimeoutError):
        return Busy("no free database connection")
    cause = error.orig if isinstance(error, sqlalchemy.exc.DBAPIError) else error
    if not isinstance(cause, psycopg.Error):
        return None
    for kind, ours, text in _BY_CLASS:
        if isinstance(cause, kind):
            name = cause.diag.constraint_name
            return ours(f"{text} ({name})" if name else text)
    if isinstance(cause, psycopg.OperationalError | psycopg.InterfaceError):
        return DatabaseDown()
    if isinstance(cause, psycopg.DataError):
        return BadInput("a value cannot be stored")
    return None
