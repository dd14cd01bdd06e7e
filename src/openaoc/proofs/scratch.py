"""Proofs: an empty place to prove things in: a folder, fresh databases, a ledger.

Databases of one run stand on one embedded server, started when the first is asked for; a proof that
kills servers or rewrites history has one of its own.
"""

from __future__ import annotations

import contextlib
import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Final, NamedTuple

from psycopg import conninfo, sql

from openaoc.kernel.clock import SystemClock, format_time
from openaoc.kernel.settings import Settings
from openaoc.ledger.service import Ledger
from openaoc.ledger.table import TransferRow, TransferTable, transfers_from_rows
from openaoc.storage import migrate, roles
from openaoc.storage.database import Database, open_database
from openaoc.storage.keyring import Keyring
from openaoc.storage.postgres import EmbeddedPostgres

ROWS_MAX: Final = 20_000
MINUTE: Final = timedelta(minutes=1)
TEMPLATE: Final = "openaoc_proofs"


class Scratch(NamedTuple):
    """Where one proof is made: an empty folder, and a call for the DSN of an empty database."""

    folder: Path
    fresh_dsn: Callable[[], str]


class ScratchServer:
    """The embedded server of one run of proofs, started when it is first needed.

    Without fsync: a proof that needs what a crash leaves starts a server of its own.
    """

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._home: Path | None = None
        self._server: EmbeddedPostgres | None = None

    def fresh_dsn(self) -> str:
        """The owner's connection string of a new, migrated database."""
        if self._server is None:
            self._server = self._start()
        name = f"proof_{next(self._numbers)}"
        with self._server.superuser() as connection:
            names = (sql.Identifier(name), sql.Identifier(TEMPLATE))
            statement = "CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy"
            connection.execute(sql.SQL(statement).format(*names))
        return conninfo.make_conninfo(**self._server.parameters(database=name))

    def close(self) -> None:
        """Stop the server, if it ran, and remove its data."""
        if self._server is not None:
            self._server.stop()
        if self._home is not None:
            shutil.rmtree(self._home, ignore_errors=True)

    def _start(self) -> EmbeddedPostgres:
        self._home = Path(tempfile.mkdtemp(prefix="openaoc-proofs-"))
        server = EmbeddedPostgres(self._home, keys=Keyring(self._home / "keys"), durable=False)
        server.start()
        with server.superuser() as connection:
            statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE))
            connection.execute(statement)
            password = "unused"  # noqa: S105 - nobody logs in to it
            roles.ensure_application(connection, database=TEMPLATE, password=password)
        migrate.migrate(server.parameters(database=TEMPLATE))
        return server


def scratch_settings(folder: Path) -> Settings:
    """Settings of a centre whose data and keys lie apart in this folder."""
    return Settings(
        data_dir=str(folder / "data"),
        keys_dir=str(folder / "keys"),
        ledger_rows_max=ROWS_MAX,
        ledger_accounts_max=ROWS_MAX,
    )


@contextlib.contextmanager
def scratch_database(settings: Settings) -> Iterator[Database]:
    """The migrated database of the settings, closed at the end."""
    database = open_database(settings, clock=SystemClock())
    try:
        database.migrate()
        yield database
    finally:
        database.close()


@contextlib.contextmanager
def scratch_ledger(settings: Settings) -> Iterator[Ledger]:
    """The ledger of the settings, closed at the end."""
    path = settings.data_path / "ledger"
    ledger = Ledger.open(path, settings=settings, clock=SystemClock())
    try:
        yield ledger
    finally:
        ledger.close()


def transfers(first: int, *, count: int) -> TransferTable:
    """So many transfers with numbers from `first` on."""
    booked = format_time(SystemClock().now() - MINUTE)
    return transfers_from_rows(
        [
            TransferRow(
                transfer_id=f"proof-{number}",
                booked_at=booked,
                debtor_bank="BANKA",
                debtor_account=str(number % 97),
                creditor_bank="BANKB",
                creditor_account=str(number % 89),
                amount_minor=100 + number,
                currency="THB",
            )
            for number in range(first, first + count)
        ]
    )
