"""Continuity: reading a backup's manifest and checking every file against it, before any use.

Changes nothing.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature

from openaoc.continuity.dump import check_dump
from openaoc.continuity.files import check_file
from openaoc.continuity.model import (
    DUMP_NAME,
    FILES_MAX,
    FORMAT,
    MANIFEST_BYTES_MAX,
    MANIFEST_NAME,
    MANIFEST_PURPOSE,
    BackupManifest,
    DamagedBackup,
    NotABackup,
    SealedManifest,
    WrongKeys,
    WrongVersion,
)
from openaoc.storage import migrate
from openaoc.storage.journal_keys import KeySet

Progress = Callable[[str], None]
_PARTS_FORBIDDEN: Final = frozenset({"", ".", ".."})


def read_manifest(folder: Path) -> tuple[BackupManifest, SealedManifest]:
    """What the backup says of itself. Raises NotABackup, DamagedBackup, WrongVersion."""
    path = folder / MANIFEST_NAME
    if not path.is_file():
        raise NotABackup(
            f"there is no {MANIFEST_NAME}; was the backup interrupted?", where=str(folder)
        )
    if path.stat().st_size > MANIFEST_BYTES_MAX:
        raise DamagedBackup("the manifest is too large", where=str(path))
    try:
        sealed = msgspec.json.decode(path.read_bytes(), type=SealedManifest)
        manifest = msgspec.json.decode(sealed.manifest, type=BackupManifest)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise DamagedBackup(f"the manifest cannot be read: {error}", where=str(path)) from error
    if manifest.format > FORMAT:
        raise WrongVersion(f"made by version {manifest.version}; use that or a newer one")
    if manifest.purpose != MANIFEST_PURPOSE or len(manifest.files) > FILES_MAX:
        raise DamagedBackup("the manifest is none of a backup", where=str(path))
    for file in manifest.files:
        if file.name.startswith("/") or _PARTS_FORBIDDEN & set(file.name.split("/")):
            raise DamagedBackup("the manifest names a file outside", where=str(path))
    return manifest, sealed


def check_backup(folder: Path, manifest: BackupManifest, *, progress: Progress) -> None:
    """Every file is there and is what was written. Raises DamagedBackup, WrongVersion."""
    if not migrate.knows(manifest.revision):
        raise WrongVersion(
            f"made by version {manifest.version} with tables {manifest.revision}, which this"
            f" version does not know (it is at {migrate.newest()}); use that or a newer one"
        )
    for number, file in enumerate(manifest.files, 1):
        progress(f"checking file {number} of {len(manifest.files)}")
        check_file(folder, file)
    known = {file.name for file in manifest.files} | {MANIFEST_NAME}
    if DUMP_NAME not in known:
        raise DamagedBackup("the manifest names no database", where=str(folder))
    for path in folder.rglob("*"):
        if path.is_file() and path.relative_to(folder).as_posix() not in known:
            raise DamagedBackup("the manifest does not name this file", where=str(path))
    check_dump(folder / DUMP_NAME)


def check_seal(sealed: SealedManifest, keys: KeySet) -> None:
    """Raises WrongKeys when no key of this centre's journal signed the manifest."""
    key = keys.find(sealed.key_id)
    if key is None:
        raise WrongKeys("the backup was sealed with a key that is not in this keys folder")
    try:
        key.verify(base64.b64decode(sealed.signature, validate=True), sealed.manifest.encode())
    except (InvalidSignature, binascii.Error) as error:
        raise DamagedBackup("the manifest was changed after it was signed") from error
