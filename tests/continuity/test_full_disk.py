"""A full disk: said clearly, nothing acknowledged lost, well by itself once there is room."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.clock import ManualClock
from openaoc.kernel.errors import OpenAOCError
from openaoc.ledger.model import DiskRefused
from openaoc.ledger.service import Ledger
from openaoc.storage.journal import JournalService, Sequencer
from openaoc.storage.tables import journal_rows
from openaoc.storage.unit_of_work import UnitOfWork
from tests.continuity.small import opened, settings_for, tiny_disk
from tests.ledger.worlds import NOW, row, table

DISK_KIB = 160 << 10
WELL_SECONDS_MAX = 120.0
FILLING = "x" * 200_000


def write(uow: UnitOfWork, subject: str) -> None:
    """One change of some size, acknowledged when this returns."""
    with uow.begin(SYSTEM, purpose="test") as tx:
        tx.journal(action="test.disk", subject=subject)
        tx.connection.execute(
            sa.text("INSERT INTO test_filling SELECT :text || n FROM generate_series(1, 20) n"),
            {"text": FILLING},
        )


def until_refused(call: Callable[[int], None]) -> tuple[list[int], OpenAOCError]:
    """The numbers that were acknowledged, and what the first refusal said."""
    done: list[int] = []
    for number in range(2_000):
        try:
            call(number)
        except OpenAOCError as error:
            return done, error
        done.append(number)
    pytest.fail("the disk never became full")


def test_the_database_survives_a_full_disk(tmp_path: Path) -> None:
    with tiny_disk(tmp_path / "disk", kib=DISK_KIB) as disk:
        settings = settings_for(disk)
        with opened(settings) as (database, _):
            assert database.server is not None
            with database.server.superuser(database="openaoc") as connection:
                connection.execute("CREATE TABLE test_filling (text text STORAGE EXTERNAL)")
                connection.execute("GRANT ALL ON test_filling TO openaoc_application")
            reserve = disk / "reserve"
            reserve.write_bytes(bytes(24 << 20))
            done, error = until_refused(lambda n: write(database.uow, f"thing{n}"))
            assert done
            assert error.code in ("unavailable", "database-down"), error
            reserve.unlink()
            end = time.monotonic() + WELL_SECONDS_MAX
            while True:
                with contextlib.suppress(OpenAOCError):
                    with database.uow.begin(SYSTEM, purpose="test") as tx:
                        tx.journal(action="test.disk", subject="well again")
                    break
                assert time.monotonic() < end, "the database did not come back"
                time.sleep(0.2)
            with database.uow.read(SYSTEM) as tx:
                query = sa.select(journal_rows.c.subject)
                kept = set(tx.connection.execute(query).scalars())
            assert {f"thing{number}" for number in done} <= kept
            Sequencer(database).place()
            assert JournalService(database).verify().ok


def test_the_ledger_survives_a_full_disk_and_a_restart(tmp_path: Path) -> None:
    with tiny_disk(tmp_path / "disk", kib=40 << 10) as disk:
        settings = settings_for(tmp_path)
        clock = ManualClock(NOW)
        ledger = Ledger.open(disk / "ledger", settings=settings, clock=clock)
        (disk / "reserve").write_bytes(bytes(22 << 20))

        def tell(number: int) -> None:
            rows = [row(f"T{number}-{i}", at=number, amount=1 + i) for i in range(9)]
            ledger.ingest(table(rows), live=False)

        try:
            done, error = until_refused(tell)
            assert done
            assert isinstance(error, DiskRefused), error
            assert ledger.stats().transfers == 9 * len(done)
            ledger.check()
            (disk / "reserve").unlink()
            tell(len(done))
        finally:
            ledger.close()
        again = Ledger.open(disk / "ledger", settings=settings, clock=clock)
        try:
            assert again.stats().transfers == 9 * (len(done) + 1)
        finally:
            again.close()
