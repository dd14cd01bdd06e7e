"""The ledger's held copy is the ledger at one entry of its log, however much goes on."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

from openaoc.kernel.clock import from_us
from openaoc.ledger.copying import STAGING_PREFIX
from openaoc.ledger.service import Ledger
from tests.continuity.live import until
from tests.ledger.test_cut_crash import assert_each_once
from tests.ledger.worlds import START_US, ledger, row, table


def copy(source: Ledger, target: Path) -> int:
    """Copy what is held; the position."""
    with source.held_copy(at_instant=lambda _: None) as held:
        for file in held.files:
            place = target / file.name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file.path, place)
            with place.open("r+b") as opened:
                opened.truncate(file.size)
        return held.position


def test_a_copy_taken_while_batches_and_snapshots_go_on_is_whole(tmp_path: Path) -> None:
    stop = threading.Event()
    with ledger(tmp_path / "a") as source:

        def feed() -> None:
            number = 0
            while not stop.is_set():
                rows = [row(f"T{number}-{i}", at=number, amount=1 + i) for i in range(5)]
                source.ingest(table(rows), live=False)
                number += 1
                if number % 7 == 0:
                    source.snapshot()

        feeder = threading.Thread(target=feed)
        feeder.start()
        try:
            copies = []
            for turn in range(5):
                wanted = 10 * (turn + 1)
                until(lambda: source.stats().position >= wanted, "batches")  # noqa: B023 - at once
                position = copy(source, tmp_path / f"copy{turn}")
                copies.append((position, tmp_path / f"copy{turn}"))
        finally:
            stop.set()
            feeder.join()
        assert not list((tmp_path / "a").glob(f"{STAGING_PREFIX}*"))
        original = source.stats()
    assert copies[-1][0] > copies[0][0]
    for position, folder in copies:
        with ledger(folder) as copied:
            stats = copied.stats()
            assert stats.position == position <= original.position
            assert stats.transfers == stats.position * 5
            last = copied.transfer(stats.transfers - 1)
            assert last.position == position
            copied.ingest(table([row("later", at=10_000_000)]), live=False)
            assert copied.stats().position == position + 1


def test_nothing_becomes_durable_during_the_instant(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    with ledger(tmp_path) as source:
        source.ingest(table([row("T1")]), live=False)
        started = threading.Event()

        def late() -> None:
            started.set()
            source.ingest(table([row("T2")]), live=False)

        other = threading.Thread(target=late)

        def instant(position: int) -> None:
            other.start()
            started.wait(5)
            other.join(0.2)
            seen.append((position, source.stats().position))

        with source.held_copy(at_instant=instant) as held:
            assert held.position == 1
        other.join()
        assert seen == [(1, 1)]
        assert source.stats().position == 2


def test_a_copy_taken_while_older_days_leave_has_every_transfer_once(tmp_path: Path) -> None:
    stop = threading.Event()
    with ledger(tmp_path / "a") as source:

        def feed() -> None:
            number = 0
            while not stop.is_set():
                rows = [row(f"T{number}-{i}", at=number, amount=1 + i) for i in range(5)]
                source.ingest(table(rows), live=False)
                number += 1

        gone: list[int] = []

        def cut() -> None:
            days = 0
            while not stop.is_set():
                days += 3
                gone.append(source.cut(from_us(START_US + days)))

        workers = [threading.Thread(target=feed), threading.Thread(target=cut)]
        for worker in workers:
            worker.start()
        try:
            copies = []
            until(lambda: any(gone), "days to leave memory")
            for turn in range(6):
                seen = source.stats().position
                until(lambda: source.stats().position >= seen + 5, "batches")  # noqa: B023 - now
                copies.append((copy(source, tmp_path / f"copy{turn}"), tmp_path / f"copy{turn}"))
        finally:
            stop.set()
            for worker in workers:
                worker.join()
    left = []
    for position, folder in copies:
        with ledger(folder) as copied:
            assert copied.stats().position == position
            left.append(assert_each_once(copied))
            copied.ingest(table([row("later", at=10_000_000)]), live=False)
    assert left[-1] > 0, "days must have left before a copy"
