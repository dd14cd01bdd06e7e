"""The log read beside its writer and kept a second time: the copy is the ledger, whatever tore."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from openaoc.kernel.errors import Corrupt
from openaoc.ledger.service import Ledger
from openaoc.ledger.tail import LogGone, LogKeeper, LogTail, drop_covered, last_position
from tests.ledger.worlds import ledger, positions, row, table


def fill(source: Ledger, first: int, *, batches: int) -> None:
    for number in range(first, first + batches):
        rows = [row(f"T{number}-{i}", at=number, amount=10 + i) for i in range(3)]
        source.ingest(table(rows), live=False)


def follow(source: Path, keeper: LogKeeper, *, durable: int) -> None:
    tail = LogTail(source, after=keeper.position)
    while (frame := tail.next(durable=durable)) is not None:
        assert keeper.keep(frame.content).last == frame.last


def start_copy(source: Ledger, target: Path) -> LogKeeper:
    with source.held_copy(at_instant=lambda _: None) as held:
        for file in held.files:
            (target / file.name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file.path, target / file.name)
    return LogKeeper(target, position=last_position(target))


def test_a_followed_ledger_is_the_same_ledger(tmp_path: Path) -> None:
    with ledger(tmp_path / "a") as source:
        fill(source, 0, batches=4)
        source.snapshot()
        fill(source, 4, batches=3)
        keeper = start_copy(source, tmp_path / "b")
        assert keeper.position == source.stats().position
        for turn in range(3):
            fill(source, 10 * (turn + 1), batches=2)
            follow(tmp_path / "a", keeper, durable=source.stats().position)
        with source.held_copy(at_instant=lambda _: None):
            fill(source, 70, batches=1)
        follow(tmp_path / "a", keeper, durable=source.stats().position)
        assert keeper.position == source.stats().position
        keeper.close()
        expected = positions(source)
    with ledger(tmp_path / "b") as copied:
        assert positions(copied) == expected


def test_what_may_still_be_taken_back_is_not_given(tmp_path: Path) -> None:
    with ledger(tmp_path) as source:
        fill(source, 0, batches=3)
        tail = LogTail(tmp_path, after=0)
        assert tail.next(durable=0) is None
        first = tail.next(durable=2)
        assert first is not None
        assert (first.first, first.last) == (1, 1)
        second = tail.next(durable=2)
        assert second is not None
        assert tail.next(durable=2) is None
        assert tail.position == 2


def test_a_log_that_was_dropped_needs_a_new_copy(tmp_path: Path) -> None:
    with ledger(tmp_path) as source:
        fill(source, 0, batches=3)
        source.retain(1)
        source.snapshot()
        tail = LogTail(tmp_path, after=1)
        assert tail.next(durable=3) is not None, "it was kept for the follower"
        source.retain(None)
        fill(source, 5, batches=1)
        source.snapshot()
        with pytest.raises(LogGone):
            LogTail(tmp_path, after=0).next(durable=4)


def test_a_follower_that_was_killed_in_the_middle_of_a_frame_goes_on(tmp_path: Path) -> None:
    with ledger(tmp_path / "a") as source:
        fill(source, 0, batches=2)
        keeper = start_copy(source, tmp_path / "b")
        fill(source, 2, batches=2)
        follow(tmp_path / "a", keeper, durable=source.stats().position)
        keeper.close()
        whole = max((tmp_path / "b").glob("wal-*.log"))
        content = whole.read_bytes()
        for cut in (1, 63, 64, 65, len(content) // 2, len(content) - 1):
            whole.write_bytes(content[:cut])
            position = last_position(tmp_path / "b")
            assert 2 <= position < 4
            again = LogKeeper(tmp_path / "b", position=position)
            follow(tmp_path / "a", again, durable=source.stats().position)
            again.close()
            assert last_position(tmp_path / "b") == 4
            for path in (tmp_path / "b").glob("wal-*.log"):
                if path != whole:
                    assert path.name <= whole.name or path.stat().st_size
            for path in sorted((tmp_path / "b").glob("wal-*.log"))[1:]:
                if path != whole:
                    path.unlink()
            whole.write_bytes(content)
        expected = positions(source)
    with ledger(tmp_path / "b") as copied:
        assert positions(copied) == expected


def test_gaps_and_damage_are_refused(tmp_path: Path) -> None:
    with ledger(tmp_path / "a") as source:
        fill(source, 0, batches=3)
        tail = LogTail(tmp_path / "a", after=0)
        frames = [tail.next(durable=3) for _ in range(3)]
    (tmp_path / "b").mkdir()
    keeper = LogKeeper(tmp_path / "b", position=0)
    first, second, _ = frames
    assert first is not None
    assert second is not None
    with pytest.raises(Corrupt, match="follows entry 0"):
        keeper.keep(second.content)
    with pytest.raises(Corrupt):
        keeper.keep(first.content[:-1])
    with pytest.raises(Corrupt):
        keeper.keep(first.content[:-70] + b"x" + first.content[-69:])
    assert keeper.position == 0
    assert keeper.keep(first.content).last == 1
    keeper.close()


def test_a_standby_whose_log_was_damaged_says_so_and_throws_nothing_away(tmp_path: Path) -> None:
    with ledger(tmp_path / "a") as source:
        keeper = start_copy(source, tmp_path / "b")
        for turn in range(2):
            fill(source, 3 * turn, batches=3)
            follow(tmp_path / "a", keeper, durable=source.stats().position)
            keeper.rotate()
    damaged = sorted((tmp_path / "b").glob("wal-*.log"))[-2]
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    with pytest.raises(Corrupt, match="make the standby anew"):
        last_position(tmp_path / "b")
    assert damaged.read_bytes() == content


def test_a_snapshot_that_was_fetched_lets_the_log_go(tmp_path: Path) -> None:
    with ledger(tmp_path / "a") as source:
        fill(source, 0, batches=2)
        keeper = start_copy(source, tmp_path / "b")
        fill(source, 2, batches=2)
        follow(tmp_path / "a", keeper, durable=4)
        keeper.rotate()
        source.snapshot()
        start_copy(source, tmp_path / "b")
        fill(source, 4, batches=1)
        follow(tmp_path / "a", keeper, durable=5)
        keeper.close()
        before = len(list((tmp_path / "b").glob("wal-*.log")))
        drop_covered(tmp_path / "b")
        assert len(list((tmp_path / "b").glob("wal-*.log"))) < before
        expected = positions(source)
    with ledger(tmp_path / "b") as copied:
        assert positions(copied) == expected
