"""The queue's own tables and functions, as the installed procrastinate wants them.

Its upgrades come as files between two of its versions; the version in place is kept beside them.
"""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path
from typing import Final

import psycopg
import sqlalchemy as sa
from procrastinate.schema import SchemaManager

_FILE: Final = re.compile(r"(\d+)\.(\d+)\.(\d+)_(\d+)_.*\.sql")
Version = tuple[int, ...]


def _installed() -> str:
    return importlib.metadata.version("procrastinate")


def _version(text: str) -> Version:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


def _run(connection: sa.Connection, script: str) -> None:
    """A whole script of many statements: the driver's own simple query, in our transaction."""
    raw = connection.connection.driver_connection
    assert isinstance(raw, psycopg.Connection), "the psycopg driver"
    raw.execute(script.encode("utf-8"))


def install(connection: sa.Connection) -> None:
    """Make them in an empty database and note the version."""
    _run(connection, SchemaManager.get_schema())
    connection.execute(
        sa.text("CREATE TABLE procrastinate_version (version text PRIMARY KEY)"),
    )
    connection.execute(
        sa.text("INSERT INTO procrastinate_version VALUES (:v)"), {"v": _installed()}
    )


def missing(noted: str) -> list[Path]:
    """Procrastinate's migration files after the noted version up to the installed one, in order."""
    found = []
    for path in Path(SchemaManager.get_migrations_path()).glob("*.sql"):
        match = _FILE.fullmatch(path.name)
        if match is None:
            continue
        numbers = tuple(int(part) for part in match.groups())
        if _version(noted) < numbers[:3] <= _version(_installed()):
            found.append((numbers, path))
    return [path for _, path in sorted(found)]


def upgrade(connection: sa.Connection) -> None:
    """Apply what the installed version adds to the noted one."""
    noted = connection.execute(sa.text("SELECT version FROM procrastinate_version")).scalar_one()
    if _version(str(noted)) >= _version(_installed()):
        return
    for path in missing(str(noted)):
        _run(connection, path.read_text("utf-8"))
    connection.execute(
        sa.text("UPDATE procrastinate_version SET version = :v"), {"v": _installed()}
    )
