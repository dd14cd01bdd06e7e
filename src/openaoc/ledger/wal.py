"""The write-ahead log: what was acknowledged, in the order in which it was taken.

Answers which entries are durable. Never interprets one.
"""

from __future__ import annotations

import hashlib
import itertools
import mmap
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from openaoc.kernel.errors import Corrupt
from openaoc.ledger.model import DiskRefused, LedgerStopped

MAGIC: Final = b"OAOCWAL1"
_FRAME: Final = struct.Struct("<8sQQIII28x")
"""Magic, first sequence, payload bytes, entries, version, checksum of what stands before; 64
bytes."""
_FRAME_SUMMED: Final = 32
_ENTRY: Final = struct.Struct("<QII32s12xI")
"""Payload bytes, head bytes, kind, SHA-256 of head and payload digests, checksum of what stands
before; 64 bytes, so that payloads are aligned for Arrow."""
_ENTRY_SUMMED: Final = 60
_VERSION: Final = 1
ALIGN: Final = 64
BATCH: Final = 1
OPENINGS: Final = 2
JOURNALLED: Final = 3
CUT: Final = 4
EXPIRED: Final = 5
SEGMENT_PATTERN: Final = "wal-*.log"


class Entry(NamedTuple):
    """One entry of the log: a small head and its payload."""

    sequence: int
    kind: int
    head: bytes
    payload: bytes


class Outgoing(NamedTuple):
    """An entry to be written; `digest` is the SHA-256 of its payload."""

    kind: int
    head: bytes
    payload: bytes | memoryview = b""
    digest: bytes = hashlib.sha256(b"").digest()


class Wal:
    """The log's segments in one folder; frames are written by one caller at a time.

    A frame holds the entries of one group and is durable before the next is written. So a
    broken frame with a whole one behind it is damage; one at the very end was never acknowledged.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._fd = -1
        self._path: Path | None = None
        self._end = 0
        self._broken = False
        self.sequence = 0
        """Of the last durable entry."""
        self.retained: int | None = None
        """Entries past this one are kept for a follower, whatever snapshots cover."""

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
                    entries, stop = frame
                    self._check_sequence(path, offset, entries[0].sequence)
                    for entry in entries:
                        if entry.sequence > self.sequence:
                            self.sequence = entry.sequence
                            yield entry
                    offset = stop
                if offset < size:
                    self._check_tail(path, view, offset, last=last)
        if offset < size:
            _cut(path, offset)

    def _check_sequence(self, path: Path, offset: int, first: int) -> None:
        if first > self.sequence + 1:
            raise Corrupt(
                f"entries {self.sequence + 1} to {first - 1} of the ledger's log are missing; "
                "put the missing wal-*.log back from a backup",
                where=f"{path}, byte {offset}",
            )

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
        opened = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._close_segment()
        self._fd, self._path = opened, path
        self._end = os.fstat(opened).st_size

    def rotate(self) -> None:
        """Start a new segment for the entries from here on.

        Raises DiskRefused: then the log goes on in the segment it had, and there is no later one.
        """
        path = self._folder / f"wal-{self.sequence + 1:020d}.log"
        if path == self._path:
            return
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            sync_folder(self._folder)
            self._open(path)
        except OSError as error:
            with suppress(OSError):
                path.unlink()
            raise DiskRefused(f"no new segment of the log: {error.strerror}") from error

    def drop_before(self, sequence: int) -> None:
        """Delete the segments whose entries are all at or below `sequence`."""
        if self.retained is not None:
            sequence = min(sequence, self.retained)
        paths = sorted(self._folder.glob(SEGMENT_PATTERN))
        for path, following in itertools.pairwise(paths):
            if int(following.stem.removeprefix("wal-")) <= sequence + 1:
                path.unlink()

    def append(self, entries: Sequence[Outgoing]) -> int:
        """Make the entries durable as one frame; the last's sequence.

        Raises DiskRefused when the disk did not take them: then the log is as before. Raises
        LedgerStopped when the disk cannot say: then nothing more is written by this process.
        """
        if self._broken or self._fd < 0:
            raise LedgerStopped
        parts: list[bytes | memoryview] = []
        for entry in entries:
            parts += [
                _entry_header(entry),
                entry.head,
                bytes(-len(entry.head) % ALIGN),
                entry.payload,
                bytes(-len(entry.payload) % ALIGN),
            ]
        size = sum(len(part) for part in parts)
        summed = _FRAME.pack(MAGIC, self.sequence + 1, size, len(entries), _VERSION, 0)
        checksum = zlib.crc32(summed[:_FRAME_SUMMED])
        header = _FRAME.pack(MAGIC, self.sequence + 1, size, len(entries), _VERSION, checksum)
        self._write([header, *parts])
        self.sequence += len(entries)
        return self.sequence

    def _write(self, parts: list[bytes | memoryview]) -> None:
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


def _write_all(fd: int, part: bytes | memoryview, offset: int) -> int:
    done = 0
    view = memoryview(part)
    while done < len(part):
        done += os.pwrite(fd, view[done:], offset + done)
    return done


def _entry_header(entry: Outgoing) -> bytes:
    both = hashlib.sha256(entry.head + entry.digest).digest()
    plain = _ENTRY.pack(len(entry.payload), len(entry.head), entry.kind, both, 0)
    checksum = zlib.crc32(plain[:_ENTRY_SUMMED])
    return _ENTRY.pack(len(entry.payload), len(entry.head), entry.kind, both, checksum)


def _read_frame(view: memoryview, offset: int) -> tuple[list[Entry], int] | None:
    """The entries of a whole frame at `offset` and where it ends, else None."""
    if offset + _FRAME.size > len(view):
        return None
    header = bytes(view[offset : offset + _FRAME.size])
    magic, first, size, count, version, checksum = _FRAME.unpack(header)
    if magic != MAGIC or checksum != zlib.crc32(header[:_FRAME_SUMMED]) or version != _VERSION:
        return None
    at = offset + _FRAME.size
    stop = at + size
    if stop > len(view):
        return None
    entries = []
    for number in range(count):
        entry, at = _read_entry(view, at, stop, first + number)
        if entry is None:
            return None
        entries.append(entry)
    return (entries, stop) if at == stop else None


def _read_entry(view: memoryview, at: int, stop: int, sequence: int) -> tuple[Entry | None, int]:
    """The entry at `at` if it is whole, and the place after it."""
    header = bytes(view[at : min(at + _ENTRY.size, stop)])
    if len(header) < _ENTRY.size:
        return None, at
    size, head_size, kind, both, checksum = _ENTRY.unpack(header)
    start = at + _ENTRY.size
    payload_start = start + head_size + (-head_size % ALIGN)
    end = payload_start + size + (-size % ALIGN)
    if checksum != zlib.crc32(header[:_ENTRY_SUMMED]) or end > stop:
        return None, at
    head = bytes(view[start : start + head_size])
    payload = bytes(view[payload_start : payload_start + size])
    if hashlib.sha256(head + hashlib.sha256(payload).digest()).digest() != both:
        return None, at
    return Entry(sequence, kind, head, payload), end


def _cut(path: Path, size: int) -> None:
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.ftruncate(fd, size)
        os.fsync(fd)
    finally:
        os.close(fd)


FRAME_HEADER_BYTES: Final = _FRAME.size


def frame_bytes(header: bytes) -> int | None:
    """How long the frame is that begins with this header; None for what is no header."""
    if len(header) < _FRAME.size:
        return None
    magic, _, size, _, version, checksum = _FRAME.unpack(header[: _FRAME.size])
    if magic != MAGIC or version != _VERSION or checksum != zlib.crc32(header[:_FRAME_SUMMED]):
        return None
    return _FRAME.size + int(size)


def entries_of(frame: bytes) -> list[Entry]:
    """The entries of one whole frame. Raises Corrupt for anything else."""
    with memoryview(frame) as view:
        found = _read_frame(view, 0)
        if found is None or found[1] != len(frame):
            raise Corrupt("this is not a whole frame of the ledger's log")
        return found[0]


def sync_folder(folder: Path) -> None:
    """Make names created, renamed or deleted in the folder durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
