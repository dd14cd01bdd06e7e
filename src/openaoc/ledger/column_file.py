"""A file of named columns, written once and read whole, every column under its checksum.

Knows bytes and names; what they mean is the snapshot's business.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from openaoc.kernel.errors import Corrupt
from openaoc.ledger.model import DiskRefused

_MAGIC: Final = b"OAOCCOL1"
_CHUNK_BYTES: Final = 8 << 20
_TAIL: Final = 16
"""Length of the directory and the magic, at the end of the file."""


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """Where a column stands in the file."""

    name: str
    dtype: str
    count: int
    offset: int
    checksum: int


def write_columns(path: Path, columns: Mapping[str, NDArray[np.generic]]) -> None:
    """Write and force to disk. Raises DiskRefused; then no file of that name is left."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            directory, offset = [], 0
            for name, array in columns.items():
                checksum = _write_array(fd, array)
                entry = Column(
                    name=name,
                    dtype=array.dtype.str,
                    count=array.size,
                    offset=offset,
                    checksum=checksum,
                )
                directory.append(entry)
                offset += array.nbytes
            index = msgspec.json.encode(directory)
            tail = len(index).to_bytes(4, "little") + zlib.crc32(index).to_bytes(4, "little")
            _write(fd, memoryview(index + tail + _MAGIC))
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise DiskRefused(f"the snapshot was not written: {error.strerror}") from error


def _write_array(fd: int, array: NDArray[np.generic]) -> int:
    checksum = 0
    view = array.view(np.uint8).data.cast("B") if array.size else memoryview(b"")
    for start in range(0, len(view), _CHUNK_BYTES):
        # A copy, so that what is summed is what is written even if a row is corrected meanwhile.
        chunk = bytes(view[start : start + _CHUNK_BYTES])
        checksum = zlib.crc32(chunk, checksum)
        _write(fd, memoryview(chunk))
    return checksum


def _write(fd: int, view: memoryview) -> None:
    done = 0
    while done < len(view):
        done += os.write(fd, view[done:])


class ColumnReader:
    """Reads columns straight into arrays that are there already, or into fresh ones."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = path.open("rb", buffering=0)
        except OSError as error:
            raise self._damaged(str(error.strerror)) from error
        size = os.fstat(self._file.fileno()).st_size
        self._file.seek(max(size - _TAIL, 0))
        tail = self._file.read(_TAIL)
        length = int.from_bytes(tail[:4], "little")
        if tail[8:] != _MAGIC or length > size - _TAIL:
            raise self._damaged("it has no directory")
        self._file.seek(size - _TAIL - length)
        index = self._file.read(length)
        if zlib.crc32(index) != int.from_bytes(tail[4:8], "little"):
            raise self._damaged("its directory is damaged")
        columns = msgspec.json.decode(index, type=list[Column])
        self.columns = {column.name: column for column in columns}

    def into(self, name: str, target: NDArray[np.generic]) -> None:
        """Fill `target`, which has the column's type and length. Raises Corrupt."""
        column = self.columns[name]
        if column.count != target.size or column.dtype != target.dtype.str:
            raise self._damaged(f"column {name} has another shape")
        if not column.count:
            return
        self._file.seek(column.offset)
        view = target.view(np.uint8).data.cast("B")
        checksum = done = 0
        while done < len(view):
            part = view[done : done + _CHUNK_BYTES]
            read = self._file.readinto(part)
            if not read:
                raise self._damaged("it is too short")
            checksum = zlib.crc32(part[:read], checksum)
            done += read
        if checksum != column.checksum:
            raise self._damaged(f"column {name} is damaged")

    def array(self, name: str) -> NDArray[np.generic]:
        """A fresh array of the column. Raises Corrupt."""
        column = self.columns[name]
        target = np.zeros(column.count, np.dtype(column.dtype))
        self.into(name, target)
        return target

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _damaged(self, why: str) -> Corrupt:
        return Corrupt(
            f"a part of the ledger's snapshot cannot be read: {why}; put it back from a backup",
            where=str(self._path),
        )
