"""Continuity: the words of a backup: its manifest, its files, and what may be wrong with one."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from openaoc.kernel.errors import BadInput, Conflict, Corrupt, Refused

FORMAT: Final = 1
MANIFEST_NAME: Final = "backup.json"
DUMP_NAME: Final = "database.dump"
LEDGER_FOLDER: Final = "ledger"
MANIFEST_PURPOSE: Final = "openaoc backup v1"
MANIFEST_BYTES_MAX: Final = 64 << 20
FILES_MAX: Final = 100_000
TABLES_MAX: Final = 1_000


class BadTarget(BadInput):
    """This folder cannot take it."""


class NotABackup(BadInput):
    """This folder is not a whole backup."""


class DamagedBackup(Corrupt):
    """The backup is not what was written."""


class WrongVersion(Conflict):
    """The backup was made by another version."""


class WrongKeys(Refused):
    """These keys are not the ones of this backup."""


class BackupFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a backup; `name` is its path in the folder, with `/`."""

    name: str
    bytes: int
    sha256: str


class TableRows(msgspec.Struct, frozen=True, kw_only=True):
    """How many rows a table had."""

    table: str
    rows: int


class BackupManifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup consists of and what the centre was when it was taken.

    Database and ledger are of one moment: the database knows of no batch behind
    `ledger_position`. `journal_size` and `journal_root` are of the newest signed head,
    `waiting` counts journal rows without a place yet. `master` is a one-way value of the master
    key under which the identities are: the keys themselves are not here.
    """

    purpose: str = MANIFEST_PURPOSE
    format: int = FORMAT
    id: str
    made_at: datetime
    version: str
    revision: str
    postgres: int
    epoch: int
    ledger_position: int
    ledger_transfers: int
    journal_size: int
    journal_root: str
    waiting: int
    master: str
    tables: list[TableRows]
    files: list[BackupFile]

    @property
    def bytes(self) -> int:
        """Of all files together."""
        return sum(file.bytes for file in self.files)


class SealedManifest(msgspec.Struct, frozen=True, kw_only=True):
    """`backup.json`: the manifest as canonical JSON text, signed with the journal's key."""

    manifest: str
    key_id: str
    signature: str


class BackupReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """What `openaoc backup` says."""

    id: str
    folder: str
    made_at: datetime
    bytes: int
    files: int
    ledger_position: int
    ledger_transfers: int
    journal_size: int


class RestoreReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """What `openaoc restore` says: the centre as it is now.

    `set_aside` messages wait for a person; `unjournalled` batches of the ledger get their journal
    rows at the first start.
    """

    id: str
    data_dir: str
    made_at: datetime
    epoch: int
    ledger_position: int
    ledger_transfers: int
    journal_size: int
    set_aside: int
    unjournalled: int


class WitnessStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A witness as the centre knows it: its pinned key (base64) and how far it has signed."""

    url: str
    key: str
    added_at: datetime
    size: int
    seen_at: datetime | None
    failing_since: datetime | None
    last_error: str | None
