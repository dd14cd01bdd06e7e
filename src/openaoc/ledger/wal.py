"""The write-ahead log: what was acknowledged, in the order in which it was taken.

Answers which entries are durable. Never interprets one.
"""

from __future__ import annotations

import mmap
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from openaoc.kernel.errors import Corrupt
from openaoc.ledger.model import DiskRefused, LedgerStopped

MAGIC: Final = b"OAOCWAL1"
_FRAME: Final = struct.Struct("<8sQQIIII24x")
"""Magic, first sequence, payload bytes, entries, checksum of the payload, version, checksum of
this header up to here; 64 bytes."""
_ENTRY: Final = struct.Struct("<QII48x")
"""Body bytes, kind, reserved; 64 bytes, so that bodies are aligned for Arrow."""
_VERSION: Final = 1
ALIGN: Final = 64
BATCH: Final = 1
OPENINGS: Final = 2
JOURNALLED: Final = 3
CUT: Final = 4
SEGMENT_PATTERN: Final = "wal-*.log"


class Entry(NamedTuple):
    """One entry of the log."""

    sequence: int
    kind: int
    body: bytes


class Wal:
    """The log's segments in one folder; frames are written by one caller at a time.

    A frame holds the entries of one group and is durable before the next is written. So a
    broken frame with a whole one behind it is damage; one at the very end was never acknowledged.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._fd = -1
        self._end = 0
        self._broken = False
        self.sequence = 0
        """Of the last durable entry."""

    def replay(self, *, after: int) -> Iterator[Entry]:
        """All entries past sequence `after`, then ready for writing.

        Cuts a torn frame off the very end. Raises Corrupt for damage anywhere else.
        """
        self.sequence = after
        paths = sorted(self._folder.glob(SEGMENT_PATTERN))
        for position, path in enumerate(paths):
            yield from self._replay_segment(path, last=position == len(paths) - 1)
        if paths:
            self._open(paths[-1])
        else:
            self.rotate()

    def _replay_segment(self, path: Path, *, last: bool) -> Iterator[Entry]:
        size = path.stat().st_size
        if size == 0:
            return
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as area:
            offset = 0
            with memoryview(area) as view:
                while offset < size:
                    frame = _read_frame(view, offset)
                    if frame is None:
                        break
                    first, count, start, stop = frame
                    self._check_sequence(path, offset, first, count)
                    for entry in _entries(view, first, count, start, stop):
                        if entry.sequence > self.sequence:
                            self.sequence = entry.sequence
                            yield entry
                    offset = stop
                if offset < size:
                    self._check_tail(path, view, offset, last=last)
        if offset < size:
            _cut(path, offset)

    def _check_sequence(self, path: Path, offset: int, first: int, count: int) -> None:
        if first > self.sequence + 1:
            raise Corrupt(
                f"entries {self.sequence + 1} to {first - 1} of the ledger's log are missing; "
                "put the missing wal-*.log back from a backup",
                where=f"{path}, byte {offset}",
            )
        assert count > 0, "a frame has entries"

    @staticmethod
    def _check_tail(path: Path, view: memoryview, offset: int, *, last: bool) -> None:
        whole_later = any(
            _read_frame(view, later) is not None
            for later in range(offset + ALIGN, len(view), ALIGN)
            if bytes(view[later : later + len(MAGIC)]) == MAGIC
        )
        if whole_later or not last:
            raise Corrupt(
                "a frame of the ledger's log is damaged and acknowledged ones follow it; put this "
                "file back from a backup, or move it and all later wal-*.log away and have the "
                "institutions send again what they sent since",
                where=f"{path}, byte {offset}",
            )

    def _open(self, path: Path) -> None:
        self._close_segment()
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._end = os.fstat(self._fd).st_size

    def rotate(self) -> None:
        """Start a new segment for the entries from here on. Raises DiskRefused."""
        path = self._folder / f"wal-{self.sequence + 1:020d}.log"
        try:
            self._open(path)
            sync_folder(self._folder)
        except OSError as error:
            raise DiskRefused(f"no new segment of the log: {error.strerror}") from error

    def drop_before(self, sequence: int) -> None:
        """Delete the segments whose entries are all at or below `sequence`."""
        paths = sorted(self._folder.glob(SEGMENT_PATTERN))
        for path, following in zip(paths, paths[1:], strict=False):
            if int(following.stem.removeprefix("wal-")) <= sequence + 1:
                path.unlink()

    def append(self, entries: Sequence[tuple[int, Sequence[bytes]]]) -> int:
        """Make the entries (kind, parts of the body) durable as one frame; the last's sequence.

        Raises DiskRefused when the disk did not take them: then the log is as before. Raises
        LedgerStopped when the disk cannot say: then nothing more is written by this process.
        """
        if self._broken or self._fd < 0:
            raise LedgerStopped
        parts: list[bytes] = []
        for kind, body in entries:
            size = sum(len(part) for part in body)
            parts += [_ENTRY.pack(size, kind, 0), *body, bytes(-size % ALIGN)]
        checksum = 0
        for part in parts:
            checksum = zlib.crc32(part, checksum)
        size = sum(len(part) for part in parts)
        head = _FRAME.pack(MAGIC, self.sequence + 1, size, len(entries), checksum, _VERSION, 0)
        head = _FRAME.pack(
            MAGIC, self.sequence + 1, size, len(entries), checksum, _VERSION, zlib.crc32(head[:36])
        )
        self._write([head, *parts])
        self.sequence += len(entries)
        return self.sequence

    def _write(self, parts: list[bytes]) -> None:
        try:
            offset = self._end
            for part in parts:
                offset += _write_all(self._fd, part, offset)
        except OSError as error:
            self._take_back()
            raise DiskRefused(f"the ledger's log was not written: {error.strerror}") from error
        try:
            os.fdatasync(self._fd)
        except OSError as error:
            # After a failed sync the kernel may call lost pages clean: nothing can be trusted.
            self._broken = True
            raise LedgerStopped(
                f"the disk failed to keep the ledger's log ({error.strerror}); check the disk, "
                "then start the centre again"
            ) from error
        self._end = offset

    def _take_back(self) -> None:
        try:
            os.ftruncate(self._fd, self._end)
        except OSError as error:
            self._broken = True
            raise LedgerStopped(f"the log cannot be cut back: {error.strerror}") from error

    @property
    def bytes_on_disk(self) -> int:
        """Size of all segments."""
        return sum(path.stat().st_size for path in self._folder.glob(SEGMENT_PATTERN))

    def _close_segment(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def close(self) -> None:
        """Close; everything acknowledged is durable already."""
        self._close_segment()


def _write_all(fd: int, part: bytes, offset: int) -> int:
    done = 0
    view = memoryview(part)
    while done < len(part):
        done += os.pwrite(fd, view[done:], offset + done)
    return done


def _read_frame(view: memoryview, offset: int) -> tuple[int, int, int, int] | None:
    """(first sequence, entries, start, stop) of a whole frame at `offset`, else None."""
    if offset + _FRAME.size > len(view):
        return None
    head = bytes(view[offset : offset + _FRAME.size])
    magic, first, size, count, checksum, version, own = _FRAME.unpack(head)
    blank = _FRAME.pack(magic, first, size, count, checksum, version, 0)
    start = offset + _FRAME.size
    if magic != MAGIC or version != _VERSION or own != zlib.crc32(blank[:36]):
        return None
    if start + size > len(view) or zlib.crc32(view[start : start + size]) != checksum:
        return None
    return first, count, start, start + size


def _entries(view: memoryview, first: int, count: int, start: int, stop: int) -> Iterator[Entry]:
    offset = start
    for number in range(count):
        size, kind, _ = _ENTRY.unpack(view[offset : offset + _ENTRY.size])
        offset += _ENTRY.size
        yield Entry(first + number, kind, bytes(view[offset : offset + size]))
        offset += size + (-size % ALIGN)
    assert offset == stop, "a frame whose checksum is right has whole entries"


def _cut(path: Path, size: int) -> None:
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.ftruncate(fd, size)
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_folder(folder: Path) -> None:
    """Make names created, renamed or deleted in the folder durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
