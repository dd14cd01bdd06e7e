"""The log's end may be torn, never its middle."""

from __future__ import annotations

import errno
import hashlib
from pathlib import Path

import pytest

from openaoc.kernel.errors import Corrupt
from openaoc.ledger.model import DiskRefused
from openaoc.ledger.wal import _FRAME, Entry, Outgoing, Wal


def _entry(number: int) -> Outgoing:
    payload = bytes([number]) * (number * 37)
    return Outgoing(1, b"head%d" % number, payload, hashlib.sha256(payload).digest())


def _write(folder: Path, groups: list[list[int]], *, rotate_after: int = 99) -> None:
    wal = Wal(folder)
    assert list(wal.replay(after=0)) == []
    for number, group in enumerate(groups):
        if number == rotate_after:
            wal.rotate()
        wal.append([_entry(item) for item in group])
    wal.close()


def _read(folder: Path, *, after: int = 0) -> list[Entry]:
    wal = Wal(folder)
    try:
        return list(wal.replay(after=after))
    finally:
        wal.close()


def _segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("wal-*.log"))


def test_what_was_written_is_read(tmp_path: Path) -> None:
    _write(tmp_path, [[1], [2, 3], [4]], rotate_after=2)
    entries = _read(tmp_path)
    assert [entry.sequence for entry in entries] == [1, 2, 3, 4]
    assert [entry.payload for entry in entries] == [_entry(n).payload for n in (1, 2, 3, 4)]
    assert [entry.head for entry in entries] == [b"head%d" % n for n in (1, 2, 3, 4)]
    assert [entry.sequence for entry in _read(tmp_path, after=3)] == [4]


def test_a_tail_torn_anywhere_is_cut_and_writing_goes_on(tmp_path: Path) -> None:
    _write(tmp_path, [[1], [2, 3]])
    (segment,) = _segments(tmp_path)
    whole = segment.read_bytes()
    first_end = whole.index(b"OAOCWAL1", 1)
    for length in range(first_end, len(whole)):
        segment.write_bytes(whole[:length])
        assert [entry.sequence for entry in _read(tmp_path)] == [1]
        assert segment.stat().st_size == first_end
    wal = Wal(tmp_path)
    list(wal.replay(after=0))
    assert wal.append([_entry(5)]) == 2
    wal.close()
    assert [entry.payload for entry in _read(tmp_path)] == [_entry(1).payload, _entry(5).payload]


@pytest.mark.parametrize("call", ["openaoc.ledger.wal.sync_folder", "os.open"])
def test_a_segment_that_cannot_be_begun_leaves_the_log_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    wal = Wal(tmp_path)
    list(wal.replay(after=0))
    wal.append([_entry(1)])
    with monkeypatch.context() as patched:
        patched.setattr(call, full)
        with pytest.raises(DiskRefused, match="no space"):
            wal.rotate()
    assert wal.append([_entry(2)]) == 2
    (segment,) = _segments(tmp_path)
    segment.write_bytes(segment.read_bytes()[:-1])
    wal.close()
    assert [entry.sequence for entry in _read(tmp_path)] == [1], "a torn end is still its end"
    wal = Wal(tmp_path)
    list(wal.replay(after=0))
    wal.rotate()
    wal.rotate()
    assert wal.append([_entry(3)]) == 2
    wal.close()
    assert len(_segments(tmp_path)) == 2
    assert [entry.sequence for entry in _read(tmp_path)] == [1, 2]


@pytest.mark.parametrize("offset", [0, 8, 30, _FRAME.size + 3, _FRAME.size + 64, _FRAME.size + 200])
def test_a_damaged_last_frame_counts_as_torn(tmp_path: Path, offset: int) -> None:
    _write(tmp_path, [[1], [9]])
    (segment,) = _segments(tmp_path)
    whole = bytearray(segment.read_bytes())
    whole[whole.index(b"OAOCWAL1", 1) + offset] ^= 0x40
    segment.write_bytes(whole)
    assert [entry.sequence for entry in _read(tmp_path)] == [1]


@pytest.mark.parametrize("offset", [0, 9, 35, 80, 130, 200])
def test_damage_in_the_middle_is_said(tmp_path: Path, offset: int) -> None:
    _write(tmp_path, [[1], [2], [3]])
    (segment,) = _segments(tmp_path)
    whole = bytearray(segment.read_bytes())
    whole[offset] ^= 0x01
    segment.write_bytes(whole)
    with pytest.raises(Corrupt, match="backup"):
        _read(tmp_path)
    assert segment.stat().st_size == len(whole)


def test_a_torn_segment_before_another_is_damage(tmp_path: Path) -> None:
    _write(tmp_path, [[1], [2]], rotate_after=1)
    first, _ = _segments(tmp_path)
    first.write_bytes(first.read_bytes()[:-64])
    with pytest.raises(Corrupt):
        _read(tmp_path)


def test_a_missing_segment_is_said(tmp_path: Path) -> None:
    _write(tmp_path, [[1], [2]], rotate_after=1)
    _segments(tmp_path)[0].unlink()
    with pytest.raises(Corrupt, match="missing"):
        _read(tmp_path)
    assert [entry.sequence for entry in _read(tmp_path, after=1)] == [2]


def test_covered_segments_are_dropped(tmp_path: Path) -> None:
    _write(tmp_path, [[1], [2]], rotate_after=1)
    wal = Wal(tmp_path)
    list(wal.replay(after=0))
    wal.drop_before(0)
    assert len(_segments(tmp_path)) == 2
    wal.drop_before(1)
    assert len(_segments(tmp_path)) == 1
    wal.close()
