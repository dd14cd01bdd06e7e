"""A small centre for the crash tests: opens a data folder, writes, says so, and waits.

`python centre_script.py FOLDER [linger]`: prints one JSON line when it is ready, then commits a
row for each line it reads and answers with the row's number. With `linger` its PostgreSQL does
not stop by itself when the centre is killed. Processes are killed here, not machines: no fsync.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from pathlib import Path
from unittest import mock

import sqlalchemy as sa
import structlog

from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.clock import SystemClock
from openaoc.kernel.settings import Settings
from openaoc.storage import database as database_module
from openaoc.storage import postgres_identity
from openaoc.storage.postgres import EmbeddedPostgres
from tests.storage.journal_now import written_now


def let_linger() -> None:
    """Take the death signal out of the command, as on systems that have none."""
    with_signal = postgres_identity.Identity.command

    def command(
        self: postgres_identity.Identity, program: list[str], *, folder: Path, **_: bool
    ) -> list[str]:
        return with_signal(self, program, folder=folder)

    mock.patch.object(postgres_identity.Identity, "command", command).start()


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    without_sync = functools.partial(EmbeddedPostgres, durable=False)
    mock.patch.object(database_module, "EmbeddedPostgres", without_sync).start()
    if "linger" in sys.argv:
        let_linger()
    database = database_module.open_database(Settings(data_dir=sys.argv[1]), clock=SystemClock())
    assert database.server is not None
    database.migrate()
    with database.uow.read(SYSTEM) as tx:
        rows = tx.connection.execute(sa.text("SELECT count(*) FROM journal_rows")).scalar_one()
    said = {"uid": os.geteuid(), "rows": rows, "postgres": database.server.pid}
    say(json.dumps(said))
    for line in sys.stdin:
        with database.uow.begin(SYSTEM) as tx:
            tx.journal(action="test.crash", subject=line.strip())
            [row] = written_now(tx)
        say(str(row))
    database.close()


if __name__ == "__main__":
    main()
