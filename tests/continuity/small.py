"""A small centre of storage and ledger on an embedded server, and a full disk to try it on."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.clock import Clock, ManualClock
from openaoc.kernel.settings import Settings
from openaoc.ledger.service import Ledger
from openaoc.storage.database import Database, open_database
from openaoc.storage.journal import Sequencer
from openaoc.storage.vault import Vault
from tests.conftest import START
from tests.ledger.worlds import row, table


def settings_for(folder: Path) -> Settings:
    """Settings of a small centre in this folder."""
    return Settings(
        data_dir=str(folder / "data"),
        keys_dir=str(folder / "keys"),
        ledger_rows_max=20_000,
        ledger_accounts_max=5_000,
    )


@contextlib.contextmanager
def opened(settings: Settings, *, clock: Clock | None = None) -> Iterator[tuple[Database, Ledger]]:
    """Database and ledger of the folder, migrated, closed at the end."""
    clock = clock or ManualClock(START)
    database = open_database(settings, clock=clock)
    try:
        database.migrate()
        ledger = Ledger.open(settings.data_path / "ledger", settings=settings, clock=clock)
        try:
            yield database, ledger
        finally:
            ledger.close()
    finally:
        database.close()


def fill(database: Database, ledger: Ledger, *, batches: int = 4) -> None:
    """Journal rows, an identity and batches of two transfers."""
    vault = Vault(keys=database.keys, uow=database.uow)
    with database.uow.begin(SYSTEM, purpose="test") as tx:
        vault.seal(tx, "victim", b"Somchai Jaidee, +66812345678")
        for number in range(20):
            tx.journal(action="test.thing.done", subject=f"thing{number}")
    for number in range(batches):
        rows = [row(f"T{number}-{i}", at=number, amount=10 + i) for i in range(2)]
        ledger.ingest(table(rows), live=False)
    Sequencer(database).place()


@contextlib.contextmanager
def tiny_disk(folder: Path, *, kib: int) -> Iterator[Path]:
    """A file system that is full after so many KiB; needs root."""
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={kib}k,mode=0755", "tmpfs", str(folder)]
    done = subprocess.run(words, capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip("only root may mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
