"""Proofs: a scratch centre of storage and ledger, on an embedded server of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Final

from openaoc.kernel.clock import SystemClock, format_time
from openaoc.kernel.settings import Settings
from openaoc.ledger.service import Ledger
from openaoc.ledger.table import TransferRow, TransferTable, transfers_from_rows
from openaoc.storage.database import Database, open_database

ROWS_MAX: Final = 20_000
MINUTE: Final = timedelta(minutes=1)


def scratch_settings(folder: Path) -> Settings:
    """Settings of a centre whose data and keys lie apart in this folder."""
    return Settings(
        data_dir=str(folder / "data"),
        keys_dir=str(folder / "keys"),
        ledger_rows_max=ROWS_MAX,
        ledger_accounts_max=ROWS_MAX,
    )


@contextlib.contextmanager
def scratch_database(settings: Settings) -> Iterator[Database]:
    """The migrated database of the settings, closed at the end."""
    database = open_database(settings, clock=SystemClock())
    try:
        database.migrate()
        yield database
    finally:
        database.close()


@contextlib.contextmanager
def scratch_ledger(settings: Settings) -> Iterator[Ledger]:
    """The ledger of the settings, closed at the end."""
    path = settings.data_path / "ledger"
    ledger = Ledger.open(path, settings=settings, clock=SystemClock())
    try:
        yield ledger
    finally:
        ledger.close()


def transfers(first: int, *, count: int) -> TransferTable:
    """So many transfers with numbers from `first` on."""
    booked = format_time(SystemClock().now() - MINUTE)
    return transfers_from_rows(
        [
            TransferRow(
                transfer_id=f"proof-{number}",
                booked_at=booked,
                debtor_bank="BANKA",
                debtor_account=str(number % 97),
                creditor_bank="BANKB",
                creditor_account=str(number % 89),
                amount_minor=100 + number,
                currency="THB",
            )
            for number in range(first, first + count)
        ]
    )
