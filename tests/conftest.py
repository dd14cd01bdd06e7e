"""What every test may ask for: one PostgreSQL for the whole run, a fresh database for each test.

The server is the embedded one, without fsync: a crash of the machine may lose a test's data, a
crash of the server (which some tests cause) may not. Databases are copied from one that was
migrated once.
"""

from __future__ import annotations

import itertools
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import hypothesis
import pytest
import structlog
from psycopg import conninfo, sql

from openaoc.kernel.clock import ManualClock
from openaoc.storage import migrate, roles
from openaoc.storage.database import Database, connect_database
from openaoc.storage.keyring import Keyring
from openaoc.storage.postgres import EmbeddedPostgres
from openaoc.storage.unit_of_work import UnitOfWork

TEMPLATE = "openaoc_template"
START = datetime(2026, 1, 5, 3, 0, tzinfo=UTC)
"""A Monday, ten in the morning in Bangkok."""
MEMORY_DISK = Path("/dev/shm")  # noqa: S108 - mkdtemp makes a private folder in it
MEMORY_BYTES_MIN = 4 << 30
"""A test run needs some 200 MB; on a machine with less to spare the ordinary disk will do."""
_numbers = itertools.count(1)

# A machine may stand still for a moment: how long an example takes says nothing. The same examples
# every time, until a test changes; `make test-long` looks for others.
hypothesis.settings.register_profile(
    "steady",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    derandomize=True,
)
hypothesis.settings.register_profile(
    "search", hypothesis.settings.get_profile("steady"), derandomize=False
)
hypothesis.settings.load_profile("steady")


def fast_folder() -> Path | None:
    """Where a copy of a database takes 20 ms instead of 200, if there is room."""
    if not os.access(MEMORY_DISK, os.W_OK):
        return None
    return MEMORY_DISK if shutil.disk_usage(MEMORY_DISK).free > MEMORY_BYTES_MIN else None


@pytest.fixture(scope="session", autouse=True)
def logs_as_they_are() -> Iterator[None]:
    """A command that a test calls in this process does not set up the logs that others capture.

    And a thousand lines of answered requests do not hide why a test failed.
    """
    logging.getLogger("httpx").setLevel(logging.WARNING)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(structlog, "configure", lambda **_: None)
        yield


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands still until a test moves it."""
    return ManualClock(START)


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """The server of this test run, with a migrated template database."""
    home = Path(tempfile.mkdtemp(prefix="openaoc-test-", dir=fast_folder()))
    server = EmbeddedPostgres(home, keys=Keyring(home / "keys"), durable=False)
    try:
        server.start()
        with server.superuser() as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE)))
            roles.ensure_application(connection, database=TEMPLATE, password="unused")
        migrate.migrate(server.parameters(database=TEMPLATE))
        yield server
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def make_owner(postgres: EmbeddedPostgres) -> Iterator[Callable[[], dict[str, str]]]:
    """A call that makes a fresh migrated database and gives its owner's connection parameters."""
    yield from _owners(postgres)


@pytest.fixture(scope="module")
def make_shared_owner(postgres: EmbeddedPostgres) -> Iterator[Callable[[], dict[str, str]]]:
    """As `make_owner`, for databases that a whole module's tests share."""
    yield from _owners(postgres)


def _owners(postgres: EmbeddedPostgres) -> Iterator[Callable[[], dict[str, str]]]:
    names: list[str] = []

    def make() -> dict[str, str]:
        name = f"test_{next(_numbers)}"
        names.append(name)
        with postgres.superuser() as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(
                    sql.Identifier(name), sql.Identifier(TEMPLATE)
                )
            )
        return postgres.parameters(database=name)

    yield make
    with postgres.superuser() as connection:
        for name in names:
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            )
            role = sql.Identifier(roles.application_role(name))
            connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(role))


@pytest.fixture
def dsn(make_owner: Callable[[], dict[str, str]]) -> str:
    """A fresh migrated database as an owner's connection string, for `Settings.dsn`."""
    return conninfo.make_conninfo(**make_owner())


@pytest.fixture
def keys(tmp_path: Path) -> Keyring:
    """A folder of keys for this test."""
    return Keyring(tmp_path / "keys")


@pytest.fixture
def database(
    make_owner: Callable[[], dict[str, str]], keys: Keyring, clock: ManualClock
) -> Iterator[Database]:
    """A fresh migrated database, on the test's clock."""
    opened = connect_database(make_owner(), keys=keys, clock=clock)
    yield opened
    opened.close()


@pytest.fixture
def uow(database: Database) -> UnitOfWork:
    """The unit of work of the test's database."""
    return database.uow
