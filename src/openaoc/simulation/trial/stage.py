"""Simulation, trials: a real centre to live with: its database, ledger and stages, a clock we set.

The database is a real PostgreSQL of this run's own; nothing of it outlives the run.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from psycopg import conninfo, sql

from openaoc.kernel.settings import Settings
from openaoc.storage import migrate, roles
from openaoc.storage.files import private_folder, write_once
from openaoc.storage.keyring import KEY_BYTES, MASTER_NAME, Keyring
from openaoc.storage.postgres import EmbeddedPostgres

TEMPLATE: Final = "openaoc_trial"
MEMORY_DISK: Final = Path("/dev/shm")  # noqa: S108 - mkdtemp makes a private folder in it
MEMORY_BYTES_MIN: Final = 2 << 30
"""A run needs some 300 MB; with less to spare than this the ordinary disk will do."""
LEDGER_ROWS_MAX: Final = 2_000_000
LEDGER_ACCOUNTS_MAX: Final = 1_000_000
KEY_LABEL: Final = "a simulated centre's key"


def _fast_folder() -> Path | None:
    if not os.access(MEMORY_DISK, os.W_OK):
        return None
    return MEMORY_DISK if shutil.disk_usage(MEMORY_DISK).free > MEMORY_BYTES_MIN else None


class Stage:
    """One PostgreSQL for any number of trials, each on a fresh copy of a migrated database."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._numbers = 0
        # Without fsync: a trial that the machine interrupts is run again.
        self._server = EmbeddedPostgres(home, keys=Keyring(home / "keys"), durable=False)

    def start(self) -> None:
        """Start the server and make the template."""
        self._server.start()
        with self._server.superuser() as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE)))
            nobody_logs_in = secrets.token_hex(16)
            roles.ensure_application(connection, database=TEMPLATE, password=nobody_logs_in)
        migrate.migrate(self._server.parameters(database=TEMPLATE))

    def stop(self) -> None:
        """Stop the server."""
        self._server.stop()

    @contextlib.contextmanager
    def fresh(
        self, *, rule: str, name: str, seed: int, hop_by_hop: bool = False
    ) -> Iterator[Settings]:
        """Settings of a centre with a database and a folder of its own, gone afterwards.

        Its master key follows from `name` and `seed`: what a centre draws or names under it, such
        as the holds it reviews blind, is the same each time.
        """
        self._numbers += 1
        database = f"trial_{self._numbers}"
        folder = self._home / database
        with self._server.superuser() as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(
                    sql.Identifier(database), sql.Identifier(TEMPLATE)
                )
            )
        try:
            settings = Settings(
                data_dir=str(folder),
                dsn=conninfo.make_conninfo(**self._server.parameters(database=database)),
                rule=rule,
                hop_by_hop=hop_by_hop,
                ledger_rows_max=LEDGER_ROWS_MAX,
                ledger_accounts_max=LEDGER_ACCOUNTS_MAX,
            )
            _same_key(settings, name=name, seed=seed)
            yield settings
        finally:
            with self._server.superuser() as connection:
                connection.execute(
                    sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database))
                )
                role = sql.Identifier(roles.application_role(database))
                connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(role))
            shutil.rmtree(folder, ignore_errors=True)


def _same_key(settings: Settings, *, name: str, seed: int) -> None:
    secret = hashlib.sha256(f"{KEY_LABEL} {name} {seed}".encode()).digest()[:KEY_BYTES]
    private_folder(settings.keys_path)
    write_once(settings.keys_path / MASTER_NAME, base64.b64encode(secret))


@contextlib.contextmanager
def stage() -> Iterator[Stage]:
    """A stage in a temporary folder that is removed at the end, whatever happens."""
    home = Path(tempfile.mkdtemp(prefix="openaoc-trial-", dir=_fast_folder()))
    made = Stage(home)
    try:
        made.start()
        yield made
    finally:
        made.stop()
        shutil.rmtree(home, ignore_errors=True)
