"""The ledger's log as it grows, frame by frame, for who keeps a second copy of it.

Reads the files beside the writer and gives whole frames only. Interprets none.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from openaoc.kernel.errors import Corrupt, NotFound
from openaoc.ledger.snapshot import read_manifest
from openaoc.ledger.wal import (
    FRAME_HEADER_BYTES,
    SEGMENT_PATTERN,
    entries_of,
    frame_bytes,
    sync_folder,
)


class Frame(NamedTuple):
    """A whole frame as it stands in the log; its entries are `first` to `last`."""

    first: int
    last: int
    kinds: frozenset[int]
    content: bytes


class LogGone(NotFound):
    """The log no longer reaches back that far; a new copy is needed."""


def as_frame(content: bytes) -> Frame:
    """The frame in these bytes. Raises Corrupt."""
    entries = entries_of(content)
    kinds = frozenset(entry.kind for entry in entries)
    return Frame(entries[0].sequence, entries[-1].sequence, kinds, content)


class LogTail:
    """Frames past one entry, in order; None where the log ends for now."""

    def __init__(self, folder: Path, *, after: int) -> None:
        """Raises LogGone when entry `after + 1` was dropped already."""
        self._folder = folder
        self.position = after
        self._path: Path | None = None
        self._offset = 0

    def next(self, *, durable: int) -> Frame | None:
        """The next whole frame, None when there is none yet. Raises LogGone.

        Entries past `durable` are not given: the writer may still take them back, and would then
        write others in their place.
        """
        while self.position < durable:
            if self._path is None and not self._find():
                return None
            frame = self._read()
            if frame is None:
                if not self._go_on():
                    return None
                continue
            if frame.last > durable:
                return None
            self._offset += len(frame.content)
            if frame.last <= self.position:
                continue
            if frame.first > self.position + 1:
                raise LogGone(f"entries from {self.position + 1} on are gone")
            self.position = frame.last
            return frame
        return None

    def _segments(self) -> list[tuple[int, Path]]:
        paths = self._folder.glob(SEGMENT_PATTERN)
        return sorted((int(path.stem.removeprefix("wal-")), path) for path in paths)

    def _find(self) -> bool:
        """The segment that holds the entry after our position."""
        segments = self._segments()
        begun = [path for first, path in segments if first <= self.position + 1]
        if segments and not begun:
            raise LogGone(f"entries from {self.position + 1} on are gone")
        if begun:
            self._path, self._offset = begun[-1], 0
        return bool(begun)

    def _read(self) -> Frame | None:
        """The whole frame at our place, None when it is not there yet."""
        assert self._path is not None, "found"
        try:
            with self._path.open("rb") as file:
                header = os.pread(file.fileno(), FRAME_HEADER_BYTES, self._offset)
                size = frame_bytes(header)
                if size is None:
                    return None
                content = os.pread(file.fileno(), size, self._offset)
                while 0 < len(content) < size:
                    more = os.pread(file.fileno(), size - len(content), self._offset + len(content))
                    if not more:
                        return None
                    content += more
        except FileNotFoundError as error:
            raise LogGone(f"{self._path.name} is gone") from error
        if len(content) < size:
            return None
        try:
            return as_frame(content)
        except Corrupt:
            # The writer is in the middle of it: the header is there before the rest.
            return None

    def _go_on(self) -> bool:
        """To the next segment, once the writer has begun it."""
        later = [path for first, path in self._segments() if first == self.position + 1]
        if not later or later[-1] == self._path:
            return False
        self._path, self._offset = later[-1], 0
        return True


def _nothing(frame: Frame) -> None:
    """Most frames need nothing but themselves."""
    assert frame.first <= frame.last, "a frame has an entry"


class LogKeeper:
    """A second copy of the log: appends whole frames to a folder, each forced to disk."""

    def __init__(self, folder: Path, *, position: int) -> None:
        self._folder = folder
        self.position = position
        self._file: int | None = None

    def keep(self, content: bytes, *, needs: Callable[[Frame], None] = _nothing) -> Frame:
        """Durable when it returns. Raises Corrupt for a gap or damage, OSError from the disk.

        `needs` sees to what must be here before the frame is: what it raises, nothing is kept.
        """
        frame = as_frame(content)
        if frame.first != self.position + 1:
            raise Corrupt(f"entry {frame.first} follows entry {self.position}")
        needs(frame)
        if self._file is None:
            path = self._folder / f"wal-{frame.first:020d}.log"
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._file = os.open(path, flags, 0o600)
            os.ftruncate(self._file, 0)
            sync_folder(self._folder)
        view, done = memoryview(content), 0
        while done < len(content):
            done += os.write(self._file, view[done:])
        os.fdatasync(self._file)
        self.position = frame.last
        return frame

    def rotate(self) -> None:
        """The next frame begins a new segment."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    close = rotate


def last_position(folder: Path) -> int:
    """The last whole entry that a folder's snapshot and log hold; a torn end is cut off.

    Raises Corrupt for a manifest that cannot be read, and for entries that are missing before
    others: what follows them is of no use.
    """
    manifest = read_manifest(folder)
    position = manifest.position if manifest is not None else 0
    paths = sorted(folder.glob(SEGMENT_PATTERN))
    for path in paths:
        offset = 0
        with path.open("r+b") as file:
            while True:
                size = frame_bytes(os.pread(file.fileno(), FRAME_HEADER_BYTES, offset))
                content = b"" if size is None else os.pread(file.fileno(), size, offset)
                if size is None or len(content) < size or not _whole(content):
                    break
                frame = as_frame(content)
                if frame.first > position + 1:
                    raise Corrupt(
                        f"entries {position + 1} to {frame.first - 1} of the ledger's log are"
                        " missing or damaged; make the standby anew",
                        where=str(path),
                    )
                position = max(position, frame.last)
                offset += size
            if path == paths[-1]:
                file.truncate(offset)
    return position


def _whole(content: bytes) -> bool:
    try:
        as_frame(content)
    except Corrupt:
        return False
    return True


def drop_covered(folder: Path) -> None:
    """Delete segments of the log that the folder's snapshot covers wholly."""
    manifest = read_manifest(folder)
    if manifest is None:
        return
    paths = sorted(folder.glob(SEGMENT_PATTERN))
    for path, following in itertools.pairwise(paths):
        if int(following.stem.removeprefix("wal-")) <= manifest.position + 1:
            path.unlink()
