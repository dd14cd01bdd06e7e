"""Brings a database's tables to what this version of the program knows; nobody else does."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Final

import psycopg
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from openaoc.kernel.errors import Conflict
from openaoc.storage.errors import translated
from openaoc.storage.keyring import Keyring
from openaoc.storage.roles import connection_string
from openaoc.storage.vault import bind_master

LOCK_NUMBER: Final = 0x0A0C_D81A
"""The advisory lock under which one process at a time migrates."""
LOCK_SECONDS_MAX: Final = 120


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "openaoc.storage:migrations")
    return config


def newest() -> str:
    """The newest revision this program carries."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    assert revision is not None, "the chain has a head"
    return revision


def knows(revision: str) -> bool:
    """Whether this program can bring a database of that revision up to date."""
    known = {one.revision for one in ScriptDirectory.from_config(_config()).walk_revisions()}
    return revision in known


@contextlib.contextmanager
def _owner(parameters: Mapping[str, str]) -> Iterator[sa.Connection]:
    engine = sa.create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(connection_string(parameters)),
        poolclass=sa.NullPool,
    )
    try:
        with translated(), engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def current(parameters: Mapping[str, str]) -> str | None:
    """The database's revision, or None before the first migration."""
    with _owner(parameters) as connection:
        return MigrationContext.configure(connection).get_current_revision()


def migrate(
    parameters: Mapping[str, str], *, keys: Keyring | None = None, revision: str = "head"
) -> tuple[str | None, str]:
    """Apply every missing migration as the owner, all or none; revision before and after.

    `revision` stops at an earlier one.

    A second process waits until the first is done. With `keys`, the database is tied to their
    master key (see vault.bind_master). Raises Conflict when the database is newer than the
    program, Unavailable when the master key is not the database's.
    """
    config = _config()
    with _owner(parameters) as connection, connection.begin():
        connection.execute(sa.text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS_MAX}s'"))
        # The tables do not wait for a standby; what is later written into them does.
        connection.execute(sa.text("SET LOCAL synchronous_commit = local"))
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:n)"), {"n": LOCK_NUMBER})
        before = MigrationContext.configure(connection).get_current_revision()
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, revision)
        except CommandError as error:
            raise Conflict(
                "the database was made by a newer version", where=before or ""
            ) from error
        if keys is not None:
            bind_master(connection, keys)
        after = MigrationContext.configure(connection).get_current_revision()
        assert after is not None, "upgraded to the head"
        return before, after
