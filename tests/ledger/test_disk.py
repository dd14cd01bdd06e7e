"""A disk that is full or broken: a clear error, and nothing acknowledged is lost."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from openaoc.kernel.errors import Corrupt, Refused
from openaoc.ledger.model import DiskRefused, LedgerStopped
from openaoc.ledger.service import Ledger
from tests.ledger.worlds import SETTINGS, assert_pure, ledger, positions, row, table


def _full(*_: object) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


def _broken(*_: object) -> None:
    raise OSError(errno.EIO, "Input/output error")


def test_a_full_disk_refuses_the_batch_and_heals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ledger(tmp_path) as opened:
        opened.ingest(table([row("T1")]), live=False)
        before = opened.stats()
        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", _full)
            with pytest.raises(DiskRefused, match="No space left"):
                opened.ingest(table([row("T2", debtor="Q/7"), row("T3")]), live=False)
        assert opened.stats() == before
        assert opened.find(reported_by="Q", transfer_id="T2") is None
        assert opened.account_index("Q", "7", "THB") is None
        assert opened.ingest(table([row("T2"), row("T3")]), live=False).accepted == 2
        known = positions(opened)
    with ledger(tmp_path) as opened:
        assert positions(opened) == known
        assert_pure(opened)


def test_a_half_written_frame_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.pwrite
    calls = iter(range(100))

    def some(fd: int, data: bytes, offset: int) -> int:
        return real(fd, data, offset) if next(calls) < 2 else _full()

    with ledger(tmp_path) as opened:
        opened.ingest(table([row("T1")]), live=False)
        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", some)
            with pytest.raises(DiskRefused):
                opened.ingest(table([row("T2")]), live=False)
        opened.ingest(table([row("T3")]), live=False)
    with ledger(tmp_path) as opened:
        assert opened.find(reported_by="A", transfer_id="T2") is None
        assert opened.find(reported_by="A", transfer_id="T3") == 1


def test_no_room_for_ids_refuses_the_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ledger(tmp_path) as opened:
        with monkeypatch.context() as patch:
            patch.setattr(os, "posix_fallocate", _full)
            with pytest.raises(DiskRefused):
                opened.ingest(table([row("T1")]), live=False)
        assert opened.ingest(table([row("T1")]), live=False).accepted == 1


def test_a_failed_sync_stops_the_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ledger(tmp_path) as opened:
        opened.ingest(table([row("T1")]), live=False)
        with monkeypatch.context() as patch:
            patch.setattr(os, "fdatasync", _broken)
            with pytest.raises(LedgerStopped, match="check the disk"):
                opened.ingest(table([row("T2")]), live=False)
        with pytest.raises(LedgerStopped):
            opened.ingest(table([row("T3")]), live=False)
        assert opened.find(reported_by="A", transfer_id="T1") == 0
    with ledger(tmp_path) as opened:
        assert opened.find(reported_by="A", transfer_id="T1") == 0
        assert opened.ingest(table([row("T3")]), live=False).accepted == 1


def test_a_snapshot_that_fails_leaves_the_last_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ledger(tmp_path) as opened:
        opened.ingest(table([row("T1")]), live=False)
        opened.snapshot()
        opened.ingest(table([row("T2")]), live=False)
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", _full)
            with pytest.raises(DiskRefused):
                opened.snapshot()
        assert opened.stats().snapshot_position == 1
        opened.ingest(table([row("T1", amount=5, corrects="T1", revision=1)]), live=False)
        known = positions(opened)
    with ledger(tmp_path) as opened:
        assert positions(opened) == known
        assert opened.snapshot() == 3
        assert opened.snapshot() == 3
        assert opened.stats().log_bytes == 0
    with ledger(tmp_path) as opened:
        assert positions(opened) == known
        assert opened.ingest(table([row("T1")]), live=False).repeated == 1


def test_a_damaged_snapshot_is_said(tmp_path: Path) -> None:
    with ledger(tmp_path) as opened:
        opened.ingest(table([row(f"T{n}") for n in range(50)]), live=False)
        opened.snapshot()
    (part,) = tmp_path.glob("facts-*.cols")
    content = bytearray(part.read_bytes())
    content[100] ^= 1
    part.write_bytes(content)
    with pytest.raises(Corrupt, match="backup"), ledger(tmp_path):
        pass
    part.unlink()
    with pytest.raises(Corrupt, match="cannot be read"), ledger(tmp_path):
        pass
    (tmp_path / "ledger.json").write_bytes(b"{")
    with pytest.raises(Corrupt), ledger(tmp_path):
        pass


def test_many_snapshots_become_one_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openaoc.ledger.snapshot.SEGMENTS_MAX", 3)
    with ledger(tmp_path) as opened:
        for number in range(8):
            opened.ingest(table([row(f"T{number}", at=-number)]), live=False)
            change = row("T0", at=number + 1, corrects="T0", revision=number + 1)
            opened.ingest(table([change]), live=False)
            opened.snapshot()
            assert len(list(tmp_path.glob("facts-*.cols"))) <= 3
        known = positions(opened)
    with ledger(tmp_path) as opened:
        assert positions(opened) == known
        assert opened.transfer(0).revision == 8
        assert_pure(opened)


def test_one_process_has_a_ledger_open(tmp_path: Path) -> None:
    from openaoc.kernel.clock import SystemClock

    with ledger(tmp_path), pytest.raises(Refused, match="another process"):
        Ledger.open(tmp_path, settings=SETTINGS, clock=SystemClock())
