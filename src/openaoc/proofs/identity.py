"""Proofs: identity apart, against somebody who has every file of the data and every backup."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from openaoc.continuity.backup import make_backup
from openaoc.continuity.keys_backup import open_keys, seal_keys
from openaoc.continuity.restore import restore
from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.clock import SystemClock
from openaoc.kernel.errors import OpenAOCError
from openaoc.proofs.frame import Steps
from openaoc.proofs.scratch import (
    Scratch,
    scratch_database,
    scratch_ledger,
    scratch_settings,
    transfers,
)
from openaoc.storage.database import Database
from openaoc.storage.vault import Vault

NAME: Final = "Somchai Jaidee of Soi Sukhumvit 101/1"
SUBJECT: Final = "victim"
PASSPHRASE: Final = "a passphrase for this proof alone"  # noqa: S105 - protects a scratch folder
CHUNK_BYTES: Final = 1 << 22


def prove(place: Scratch, steps: Steps) -> None:
    """Seal an identity, search every file for it, erase it, restore everything, try again."""
    scratch = place.folder
    settings = scratch_settings(scratch / "centre")
    clock = SystemClock()
    early, late = scratch / "backup-before", scratch / "backup-after"
    sealed = scratch / "keys.sealed"
    with scratch_database(settings) as database, scratch_ledger(settings) as ledger:
        vault = Vault(keys=database.keys, uow=database.uow)
        with database.uow.begin(SYSTEM, purpose="proof") as tx:
            vault.seal(tx, SUBJECT, NAME.encode())
        ledger.ingest(transfers(1, count=10), live=True)
        apart = (settings.data_path, settings.keys_path)
        make_backup(early, database=database, ledger=ledger, apart_from=apart)
        seal_keys(settings.keys_path, sealed, passphrase=PASSPHRASE, now=clock.now())
        known = _open(database, vault)
        steps.check("opened it with a reason", found="it is there", ok=known == NAME)
    for words, folder in (("the data folder", settings.data_path), ("a backup", early)):
        found = _files_with(folder, NAME.encode())
        steps.check(
            f"searched every file of {words} for the name",
            found=f"{len(found)} files hold it",
            ok=not found,
        )
    keys = [path.read_bytes() for path in (settings.keys_path / "identities").rglob("*.key")]
    found = [path for key in keys for path in _files_with(early, key)]
    steps.check(
        "searched the backup for its key", found=f"{len(found)} files hold it", ok=not found
    )
    with scratch_database(settings) as database, scratch_ledger(settings) as ledger:
        vault = Vault(keys=database.keys, uow=database.uow)
        with database.uow.begin(SYSTEM, purpose="proof") as tx:
            vault.shred(tx, SUBJECT, reason="the victim asked")
        make_backup(late, database=database, ledger=ledger, apart_from=())
    left = list((settings.keys_path / "identities").rglob("*.key"))
    steps.check("erased it", found=f"{len(left)} keys are left", ok=not left)
    _restored(scratch, steps, early, words="the backup of before, with today's keys", keys=None)
    _restored(scratch, steps, late, words="today's backup, with the keys of before", keys=sealed)


def _restored(scratch: Path, steps: Steps, backup: Path, *, words: str, keys: Path | None) -> None:
    """Whether the identity comes back with a restore; it must not."""
    target = scratch_settings(scratch / f"restored-{backup.name}")
    if keys is not None:
        open_keys(keys, target.keys_path, passphrase=PASSPHRASE)
    else:
        today = scratch_settings(scratch / "centre").keys_path
        fresh = scratch / "keys-today.sealed"
        seal_keys(today, fresh, passphrase=PASSPHRASE, now=SystemClock().now())
        open_keys(fresh, target.keys_path, passphrase=PASSPHRASE)
    restore(backup, settings=target, clock=SystemClock())
    with scratch_database(target) as database:
        found = _open(database, Vault(keys=database.keys, uow=database.uow))
    steps.check(f"restored {words}", found=found or "the identity is gone", ok=found != NAME)


def _open(database: Database, vault: Vault) -> str:
    """The identity, or why there is none."""
    try:
        with database.uow.begin(SYSTEM, purpose="proof") as tx:
            return vault.open(tx, SUBJECT, reason="a proof of what is left").decode()
    except OpenAOCError as error:
        return error.title


def _files_with(folder: Path, needle: bytes) -> list[Path]:
    """Files that hold these bytes, also across the pieces they are read in."""
    return [path for path in folder.rglob("*") if path.is_file() and _holds(path, needle)]


def _holds(path: Path, needle: bytes) -> bool:
    kept = b""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            if needle in kept + chunk:
                return True
            kept = chunk[-len(needle) :]
    return False
