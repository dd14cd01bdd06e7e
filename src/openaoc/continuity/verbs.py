"""Continuity: what an operator may ask of the running centre through its control socket."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import msgspec

from openaoc.continuity.backup import make_backup
from openaoc.continuity.control import Say, Verb
from openaoc.continuity.model import BackupReceipt
from openaoc.continuity.primary import StandbyLine
from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.errors import NotFound
from openaoc.kernel.settings import Settings
from openaoc.ledger.service import Ledger
from openaoc.storage.database import Database


class Running(Protocol):
    """The centre as far as an operator's verbs concern it."""

    settings: Settings
    database: Database
    ledger: Ledger
    line: StandbyLine | None


class BackupArguments(msgspec.Struct, frozen=True, kw_only=True):
    """Where to."""

    folder: str


def control_verbs(centre: Running) -> dict[str, Verb]:
    """The verbs by name."""

    def backup(raw: msgspec.Raw, say: Say) -> object:
        arguments = msgspec.json.decode(raw, type=BackupArguments)
        return back_up(centre, Path(arguments.folder), say)

    def standby_status(_: msgspec.Raw, __: Say) -> object:
        return _line(centre).status()

    def standby_forget(_: msgspec.Raw, __: Say) -> object:
        return _line(centre).forget()

    return {
        "backup": backup,
        "standby-status": standby_status,
        "standby-forget": standby_forget,
    }


def _line(centre: Running) -> StandbyLine:
    if centre.line is None:
        raise NotFound("this centre listens for no standby; set standby_listen")
    return centre.line


def back_up(centre: Running, folder: Path, say: Say) -> BackupReceipt:
    """A backup of the centre, journalled. Raises as `make_backup`."""
    receipt = make_backup(
        folder,
        database=centre.database,
        ledger=centre.ledger,
        apart_from=(centre.settings.data_path, centre.settings.keys_path),
        progress=say,
    )
    with centre.database.uow.begin(SYSTEM, purpose="back up the centre") as tx:
        after = msgspec.structs.replace(receipt, folder="")
        tx.journal(action="continuity.backup.made", subject=receipt.id, after=after)
    return receipt
