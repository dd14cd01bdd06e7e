"""CLI: `openaoc backup`: database and ledger at one moment; the keys apart, if at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import rich_click as click

from openaoc.cli.output import json_option, note, say, show_json
from openaoc.continuity.model import BackupReceipt
from openaoc.kernel.settings import Settings


@click.command(help="Back up a running or a stopped centre.")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), required=False)
@click.option(
    "--keys",
    "keys_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also seal the keys into this new file, on another medium.",
)
@json_option
def command(folder: Path | None, keys_file: Path | None, *, as_json: bool) -> None:
    """Write the database and the ledger of this machine's centre into the new or empty FOLDER.

    The centre goes on meanwhile. No key is in it. With --keys FILE, and with or without FOLDER, the
    keys are sealed under the passphrase in OPENAOC_KEYS_PASSPHRASE, or one that is asked for.
    """
    from openaoc.cli.logs import configure
    from openaoc.kernel.settings import load_settings

    if folder is None and keys_file is None:
        raise click.UsageError("name a FOLDER, or --keys FILE, or both")
    configure(level="warning")
    settings = load_settings()
    document: dict[str, object] = {}
    if keys_file is not None:
        _refuse_together(folder, keys_file)
    if folder is not None:
        progress = (lambda _: None) if as_json else note
        document["backup"] = receipt = _back_up(settings, folder.absolute(), progress)
        if not as_json:
            _tell(receipt)
    if keys_file is not None:
        document["keys"] = _seal(settings, keys_file, quiet=as_json)
    if as_json:
        show_json(document)


def _refuse_together(folder: Path | None, keys_file: Path) -> None:
    from openaoc.continuity.model import BadTarget

    if folder is not None and folder.absolute() in keys_file.absolute().parents:
        raise BadTarget(
            "data and keys in one place undo every erasure; put the keys on another medium",
            where=str(keys_file),
        )


def _back_up(settings: Settings, folder: Path, progress: Callable[[str], None]) -> BackupReceipt:
    """By the running centre, or by ourselves where none runs."""
    from openaoc.continuity.control import call, is_running

    if is_running(settings.data_path):
        raw = call(settings.data_path, "backup", {"folder": str(folder)}, progress=progress)
        return msgspec.json.decode(raw, type=BackupReceipt)
    return _back_up_stopped(settings, folder, progress)


def _back_up_stopped(
    settings: Settings, folder: Path, progress: Callable[[str], None]
) -> BackupReceipt:
    from openaoc.bootstrap import LEDGER_FOLDER, data_folder, end_process
    from openaoc.continuity.backup import make_backup
    from openaoc.continuity.model import BadTarget
    from openaoc.kernel.clock import SystemClock
    from openaoc.ledger.service import Ledger
    from openaoc.storage.database import open_database
    from openaoc.storage.marks import check_marks

    clock = SystemClock()
    if not (settings.data_path / LEDGER_FOLDER).is_dir():
        raise BadTarget("there is no centre to back up", where=str(settings.data_path))
    with data_folder(settings):
        check_marks(settings.data_path)
        database = open_database(settings, clock=clock)
        try:
            database.migrate()
            database.claim(on_lost=end_process)
            path = settings.data_path / LEDGER_FOLDER
            ledger = Ledger.open(path, settings=settings, clock=clock)
            try:
                apart = (settings.data_path, settings.keys_path)
                return make_backup(
                    folder, database=database, ledger=ledger, apart_from=apart, progress=progress
                )
            finally:
                ledger.close()
        finally:
            database.close()


def _tell(receipt: BackupReceipt) -> None:
    say(f"backup {receipt.id} in {receipt.folder}")
    say(
        f"  {receipt.files} files, {receipt.bytes / 1e6:.1f} MB; {receipt.ledger_transfers:,}"
        f" transfers, {receipt.journal_size:,} journal rows"
    )
    say("  No key is in it: `openaoc backup --keys FILE` seals them for another place.")


def _seal(settings: Settings, keys_file: Path, *, quiet: bool) -> object:
    from openaoc.cli.passphrase import keys_passphrase
    from openaoc.continuity.keys_backup import seal_keys
    from openaoc.continuity.model import BadTarget
    from openaoc.kernel.clock import SystemClock

    if not settings.keys_path.is_dir():
        raise BadTarget("there are no keys", where=str(settings.keys_path))
    passphrase = keys_passphrase(fresh=True)
    now = SystemClock().now()
    receipt = seal_keys(settings.keys_path, keys_file, passphrase=passphrase, now=now)
    if not quiet:
        say(f"{receipt.keys} keys sealed in {receipt.file}")
        say("  An erased identity's key is in every older file: destroy those after an erasure.")
    return receipt
