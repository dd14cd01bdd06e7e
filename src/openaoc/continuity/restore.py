"""Continuity: a centre from a backup, in a new place, checked before and after, sending nothing.

Refuses a target that holds anything. A restore that does not finish leaves a mark that no centre
starts beside.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import psycopg
import structlog

from openaoc.channels.service import set_aside_waiting
from openaoc.continuity.backup import count_rows
from openaoc.continuity.dump import restore_database
from openaoc.continuity.files import copy_file
from openaoc.continuity.manifest import check_backup, check_seal, read_manifest
from openaoc.continuity.model import (
    DUMP_NAME,
    LEDGER_FOLDER,
    BackupManifest,
    BadTarget,
    DamagedBackup,
    RestoreReceipt,
    WrongKeys,
)
from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.clock import Clock, format_time
from openaoc.kernel.settings import Settings
from openaoc.ledger.service import Ledger
from openaoc.storage import roles
from openaoc.storage.centre_state import begin_epoch
from openaoc.storage.database import Database, open_database
from openaoc.storage.files import private_folder, sync_folder, write_once
from openaoc.storage.journal import JournalService
from openaoc.storage.journal_keys import JournalKeys
from openaoc.storage.keyring import Keyring
from openaoc.storage.marks import RESTORE_MARK
from openaoc.storage.vault import FINGERPRINT_LABEL

Progress = Callable[[str], None]
CENTRE_LOCK: Final = "centre.lock"
REMEMBERED: Final = ("exchange_releases", "exchange_notices")
"""Tables whose sequence partners keep, to read on from there."""
FORGOTTEN_MAX: Final = 10**9
"""More numbers than a centre gives out between two backups."""
_LOG = structlog.get_logger(__name__)


def check(
    folder: Path, *, settings: Settings, progress: Progress = lambda _: None
) -> BackupManifest:
    """Whether the backup is whole and these keys are its keys; changes nothing.

    Raises NotABackup, DamagedBackup, WrongVersion, WrongKeys.
    """
    manifest, sealed = read_manifest(folder)
    check_backup(folder, manifest, progress=progress)
    keys = Keyring(settings.keys_path)
    if not keys.has_master():
        raise WrongKeys(
            "there is no master key; put the keys back first (they are not in this backup)",
            where=str(keys.folder),
        )
    if keys.derived(FINGERPRINT_LABEL).hex() != manifest.master:
        raise WrongKeys("another master key than the backup's", where=str(keys.folder))
    check_seal(sealed, JournalKeys(keys).public())
    return manifest


def restore(
    folder: Path, *, settings: Settings, clock: Clock, progress: Progress = lambda _: None
) -> RestoreReceipt:
    """Make the centre of the backup in the settings' empty data folder; it sends nothing yet.

    Everything is checked first. Raises BadTarget for a target that holds anything, and what
    `check` raises; DiskFull, Unavailable.
    """
    manifest = check(folder, settings=settings, progress=progress)
    if settings.dsn is not None:
        with roles.connect(roles.parse_dsn(settings.dsn)) as connection:
            _refuse_filled(connection)
    data = _empty_target(settings)
    mark = data / RESTORE_MARK
    write_once(mark, f"{manifest.id}\n".encode("ascii"))
    progress("copying the ledger")
    for file in manifest.files:
        if file.name.startswith(f"{LEDGER_FOLDER}/"):
            copy_file(folder / file.name, data / file.name, name=file.name, size=file.bytes)
    progress("filling the database")
    database = open_database(settings, clock=clock)
    try:
        _fill(folder, manifest, database)
        _number_on(database)
        progress("checking the journal and the ledger")
        _check_journal(manifest, database)
        unjournalled = _check_ledger(manifest, settings, clock)
        with database.uow.begin(SYSTEM, purpose="restore from a backup") as tx:
            why = f"restored from {manifest.id} of {format_time(manifest.made_at)}"
            state = begin_epoch(tx, why=why, backup_at=manifest.made_at)
            aside = set_aside_waiting(tx)
    finally:
        database.close()
    mark.unlink()
    sync_folder(data)
    _LOG.info("continuity.restore.done", id=manifest.id, epoch=state.epoch, set_aside=aside)
    return RestoreReceipt(
        id=manifest.id,
        data_dir=str(data),
        made_at=manifest.made_at,
        epoch=state.epoch,
        ledger_position=manifest.ledger_position,
        ledger_transfers=manifest.ledger_transfers,
        journal_size=manifest.journal_size,
        set_aside=aside,
        unjournalled=unjournalled,
    )


def _empty_target(settings: Settings) -> Path:
    """The data folder, made if need be; nothing but the keys may lie in it."""
    data, keys = settings.data_path, settings.keys_path
    if data.exists():
        for entry in data.iterdir():
            if entry != keys and entry.name != CENTRE_LOCK:
                raise BadTarget(
                    "the data folder is not empty; restore into a new one", where=str(entry)
                )
    return private_folder(data)


def _fill(folder: Path, manifest: BackupManifest, database: Database) -> None:
    with roles.connect(database.owner) as connection:
        _refuse_filled(connection)
        major = connection.info.server_version // 10_000
    restore_database(database.owner, source=folder / DUMP_NAME, server_major=major)
    with roles.connect(database.owner) as connection:
        connection.execute("ANALYZE")
        _compare_rows(manifest, connection)
    database.migrate()


def _number_on(database: Database) -> None:
    """Go on behind every number given out after the backup: a partner reads on from the last."""
    statement = (
        "SELECT setval(name::regclass, nextval(name::regclass) + %s)"
        " FROM pg_get_serial_sequence(%s, 'sequence') AS found(name)"
    )
    with roles.connect(database.owner) as connection:
        for table in REMEMBERED:
            connection.execute(statement, [FORGOTTEN_MAX, table])


def _refuse_filled(connection: psycopg.Connection) -> None:
    if count_rows(connection):
        raise BadTarget("the database is not empty; restore into a new one")


def _compare_rows(manifest: BackupManifest, connection: psycopg.Connection) -> None:
    found = {one.table: one.rows for one in count_rows(connection)}
    for one in manifest.tables:
        rows = found.get(one.table)
        if rows != one.rows:
            raise DamagedBackup(f"table {one.table} has {rows} rows instead of {one.rows}")


def _check_journal(manifest: BackupManifest, database: Database) -> None:
    """The restored journal is whole, up to the head that the manifest names."""
    verdict = JournalService(database).verify()
    if not verdict.ok:
        reason = verdict.fault.reason if verdict.fault else "no reason"
        raise DamagedBackup(f"the restored journal is not whole: {reason}")
    root = verdict.root if verdict.size else ""
    if (verdict.size, root) != (manifest.journal_size, manifest.journal_root):
        raise DamagedBackup("the restored journal is not the one of the manifest")


def _check_ledger(manifest: BackupManifest, settings: Settings, clock: Clock) -> int:
    """The ledger opens at the position of the manifest; how many batches wait for the journal."""
    ledger = Ledger.open(settings.data_path / LEDGER_FOLDER, settings=settings, clock=clock)
    try:
        stats = ledger.stats()
    finally:
        ledger.close()
    found = (stats.position, stats.transfers)
    if found != (manifest.ledger_position, manifest.ledger_transfers):
        raise DamagedBackup(
            f"the ledger ends at entry {found[0]} with {found[1]} transfers instead of entry"
            f" {manifest.ledger_position} with {manifest.ledger_transfers}"
        )
    return stats.unjournalled
