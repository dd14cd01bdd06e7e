"""Continuity: PostgreSQL's own pg_dump and pg_restore, called with as little as they need.

Answers with files and errors; knows nothing of what is in the tables.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from openaoc.continuity.model import DamagedBackup
from openaoc.kernel.errors import Unavailable
from openaoc.storage.postgres_identity import binaries

DUMP_SECONDS_MAX: Final = 24 * 3600
LIST_SECONDS_MAX: Final = 600
BUNDLED_MAJOR: Final = 16
COMPRESSION: Final = "gzip:1"
_VARIABLES: Final = {
    "host": "PGHOST",
    "hostaddr": "PGHOSTADDR",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "dbname": "PGDATABASE",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
}


def dump_database(
    parameters: Mapping[str, str], *, snapshot: str, target: Path, server_major: int
) -> None:
    """Write the database as of the exported snapshot into `target` (pg_dump's custom format).

    Raises Unavailable with PostgreSQL's reason; nothing of a value is in it.
    """
    program = _program("pg_dump", server_major)
    arguments = ["--format=custom", f"--compress={COMPRESSION}", f"--snapshot={snapshot}"]
    _run([program, *arguments, f"--file={target}"], parameters, what="the dump failed")


def restore_database(parameters: Mapping[str, str], *, source: Path, server_major: int) -> None:
    """Fill the empty database, whole or not at all. Raises Unavailable."""
    program = _program("pg_restore", server_major)
    arguments = ["--no-owner", "--exit-on-error", "--single-transaction", "--no-comments"]
    command = [program, *arguments, f"--dbname={parameters['dbname']}", str(source)]
    _run(command, parameters, what="the database was not restored")


def check_dump(source: Path) -> None:
    """Raises DamagedBackup when the dump has no readable table of contents."""
    done = subprocess.run(  # noqa: S603 - PostgreSQL's own program
        [_program("pg_restore", 0), "--list", str(source)],
        capture_output=True,
        timeout=LIST_SECONDS_MAX,
        check=False,
    )
    if done.returncode != 0:
        raise DamagedBackup("the database's dump cannot be read", where=str(source))


def _program(name: str, server_major: int) -> str:
    """The bundled program, or the system's for a server that is newer than the bundled ones."""
    if server_major <= BUNDLED_MAJOR:
        return str(binaries() / name)
    found = shutil.which(name)
    if found is None:
        raise Unavailable(
            f"this server is PostgreSQL {server_major}; install its {name} and put it in PATH"
        )
    return found


def _run(command: Sequence[str], parameters: Mapping[str, str], *, what: str) -> None:
    known = {_VARIABLES[name]: value for name, value in parameters.items() if name in _VARIABLES}
    done = subprocess.run(  # noqa: S603 - PostgreSQL's own programs
        list(command),
        capture_output=True,
        env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", **known},
        umask=0o077,
        timeout=DUMP_SECONDS_MAX,
        check=False,
    )
    if done.returncode != 0:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        told = [line for line in lines if "error:" in line] or lines
        raise Unavailable(f"{what}: {_short(told[:1])}")


def _short(lines: Sequence[str]) -> str:
    """PostgreSQL's message without the values that its details would show."""
    return " ".join(lines).partition("DETAIL:")[0].strip()[:300]
