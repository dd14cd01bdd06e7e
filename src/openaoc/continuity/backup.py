"""Continuity: a backup of database and ledger at one consistent point, from a running centre.

Holds no key: what makes identities readable is never in it. Stops nothing while it is taken.
"""

from __future__ import annotations

import base64
import contextlib
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec
import psycopg
import structlog
from psycopg import sql

from openaoc import __version__
from openaoc.continuity.dump import dump_database
from openaoc.continuity.files import DiskFull, copy_file, fresh_folder, hash_file, write_durably
from openaoc.continuity.model import (
    DUMP_NAME,
    LEDGER_FOLDER,
    MANIFEST_NAME,
    TABLES_MAX,
    BackupFile,
    BackupManifest,
    BackupReceipt,
    BadTarget,
    SealedManifest,
    TableRows,
)
from openaoc.ledger.copying import HeldCopy
from openaoc.ledger.service import Ledger
from openaoc.storage import roles
from openaoc.storage.canonical import canonical_json
from openaoc.storage.database import Database
from openaoc.storage.errors import translated
from openaoc.storage.files import PRIVATE_FOLDER
from openaoc.storage.journal_heads import key_id
from openaoc.storage.vault import FINGERPRINT_LABEL

Progress = Callable[[str], None]
_LOG = structlog.get_logger(__name__)


class _Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What the database says of itself in the snapshot that is dumped."""

    revision: str
    epoch: int
    journal_size: int
    journal_root: str
    waiting: int
    tables: list[TableRows]
    server_major: int


def make_backup(
    folder: Path,
    *,
    database: Database,
    ledger: Ledger,
    apart_from: tuple[Path, ...],
    progress: Progress = lambda _: None,
) -> BackupReceipt:
    """Write a backup into the new or empty folder; durable when it returns.

    The centre goes on meanwhile; ingest waits only while the database takes its snapshot (a few
    milliseconds). Raises BadTarget, DiskFull, Unavailable; then the folder is empty again.
    """
    place = fresh_folder(folder, apart_from=apart_from)
    try:
        (place / LEDGER_FOLDER).mkdir(mode=PRIVATE_FOLDER)
    except FileExistsError as error:
        raise BadTarget("another backup is being written into it", where=str(place)) from error
    except OSError as error:
        raise DiskFull(error.strerror or "not written", where=str(place)) from error
    try:
        manifest = _write(place, database, ledger, progress)
    except BaseException:  # whatever it is, half a backup must not lie about as a whole one
        _empty(place)
        raise
    _LOG.info("continuity.backup.made", id=manifest.id, position=manifest.ledger_position)
    return BackupReceipt(
        id=manifest.id,
        folder=str(place),
        made_at=manifest.made_at,
        bytes=manifest.bytes,
        files=len(manifest.files),
        ledger_position=manifest.ledger_position,
        ledger_transfers=manifest.ledger_transfers,
        journal_size=manifest.journal_size,
    )


def _write(place: Path, database: Database, ledger: Ledger, progress: Progress) -> BackupManifest:
    made_at = database.clock.now()
    with _snapshot_to_be(database) as connection, contextlib.ExitStack() as stack:
        names: list[str] = []
        held = stack.enter_context(
            ledger.held_copy(at_instant=lambda _: names.append(_export(connection)))
        )
        progress("copying the ledger")
        files = _copy_ledger(held, place / LEDGER_FOLDER)
        progress("dumping the database")
        facts = _facts(connection)
        dump = place / DUMP_NAME
        dump_database(
            database.owner, snapshot=names[0], target=dump, server_major=facts.server_major
        )
    files.append(hash_file(dump, name=DUMP_NAME))
    manifest = BackupManifest(
        id=f"bak_{secrets.token_hex(8)}",
        made_at=made_at,
        version=__version__,
        revision=facts.revision,
        postgres=facts.server_major,
        epoch=facts.epoch,
        ledger_position=held.position,
        ledger_transfers=held.transfers,
        journal_size=facts.journal_size,
        journal_root=facts.journal_root,
        waiting=facts.waiting,
        master=database.keys.derived(FINGERPRINT_LABEL).hex(),
        tables=facts.tables,
        files=files,
    )
    write_durably(place / MANIFEST_NAME, msgspec.json.encode(_seal(manifest, database)))
    return manifest


@contextlib.contextmanager
def _snapshot_to_be(database: Database) -> Iterator[psycopg.Connection]:
    """The owner's transaction that has not looked at anything yet: its first look is its moment."""
    with translated(), roles.connect(database.owner) as connection:
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield connection
        connection.execute("ROLLBACK")


def _export(connection: psycopg.Connection) -> str:
    return str(_one(connection, "SELECT pg_export_snapshot()"))


def _one(connection: psycopg.Connection, query: str) -> object:
    row = connection.execute(query.encode("ascii")).fetchone()
    return None if row is None else row[0]


_TABLES: Final = (
    "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    " AND relkind = 'r' ORDER BY relname"
)


def count_rows(connection: psycopg.Connection) -> list[TableRows]:
    """Every table of the centre with the number of its rows."""
    names = [str(row[0]) for row in connection.execute(_TABLES)]
    assert len(names) <= TABLES_MAX, "a bounded number of tables"
    counts = []
    for name in names:
        query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(name))
        row = connection.execute(query).fetchone()
        counts.append(TableRows(table=name, rows=int(row[0]) if row else 0))
    return counts


def _facts(connection: psycopg.Connection) -> _Facts:
    head = connection.execute(
        "SELECT size, root FROM journal_heads ORDER BY size DESC LIMIT 1"
    ).fetchone()
    waiting = _one(connection, "SELECT count(*) FROM journal_waiting")
    epoch = _one(connection, "SELECT epoch FROM centre_state")
    return _Facts(
        revision=str(_one(connection, "SELECT version_num FROM alembic_version")),
        epoch=int(str(epoch)),
        journal_size=int(head[0]) if head else 0,
        journal_root=bytes(head[1]).hex() if head else "",
        waiting=int(str(waiting)),
        tables=count_rows(connection),
        server_major=connection.info.server_version // 10_000,
    )


def _copy_ledger(held: HeldCopy, target: Path) -> list[BackupFile]:
    return [
        copy_file(
            file.path, target / file.name, name=f"{LEDGER_FOLDER}/{file.name}", size=file.size
        )
        for file in held.files
    ]


def _seal(manifest: BackupManifest, database: Database) -> SealedManifest:
    signer = database.journal_keys.signer()
    text = canonical_json(manifest)
    return SealedManifest(
        manifest=text.decode("utf-8"),
        key_id=key_id(signer.public_key()),
        signature=base64.b64encode(signer.sign(text)).decode("ascii"),
    )


def _empty(place: Path) -> None:
    for path in place.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
