"""Matching: an epoch's published set on disk, and privately which identifier each tag is.

Beside the database, in no backup: it is computed again from what is known. Never leaves the centre
but for its tags.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Final

from openaoc.exchange.matching.sets import Identifier, Published, TagSet, decoded
from openaoc.storage.files import private_folder

KEPT_EPOCHS: Final = 2
_PLACE: Final = struct.Struct("<Q")
_TAGS: Final = ".tags"
_ITEMS: Final = ".items"


class Shelf:
    """The sets of a folder: one pair of files per partner and epoch."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, partner: str, epoch: int, published: Published) -> None:
        """Write the set; the tags last, so that what is there is whole."""
        private_folder(self._folder)
        path = self._path(partner, epoch)
        places = [0]
        for item in published.items:
            places.append(places[-1] + len(item))
        table = b"".join(_PLACE.pack(place) for place in places)
        _write(path.with_suffix(_ITEMS), table + b"".join(published.items))
        _write(path.with_suffix(_TAGS), published.tags.blob)

    def has(self, partner: str, epoch: int) -> bool:
        """Whether the set is there."""
        return self._path(partner, epoch).with_suffix(_TAGS).is_file()

    def tags(self, partner: str, epoch: int) -> TagSet:
        """The set's tags; it is there."""
        return TagSet(self._path(partner, epoch).with_suffix(_TAGS).read_bytes())

    def item(self, partner: str, epoch: int, *, place: int, of: int) -> Identifier | None:
        """The identifier in this place of a set of so many; None for padding."""
        with self._path(partner, epoch).with_suffix(_ITEMS).open("rb") as stream:
            stream.seek(place * _PLACE.size)
            start, end = struct.unpack("<QQ", stream.read(2 * _PLACE.size))
            stream.seek((of + 1) * _PLACE.size + start)
            item = stream.read(end - start)
        return decoded(item) if item else None

    def forget(self, *, before: int) -> int:
        """Remove the sets of earlier epochs; how many files."""
        old = [path for path in self._folder.glob("*-*.*") if _epoch(path) < before]
        for path in old:
            path.unlink(missing_ok=True)
        return len(old)

    def _path(self, partner: str, epoch: int) -> Path:
        return self._folder / f"{partner}-{epoch}"


def _epoch(path: Path) -> int:
    text = path.stem.rpartition("-")[2]
    return int(text) if text.isdecimal() else 0


def _write(path: Path, content: bytes) -> None:
    draft = path.with_suffix(path.suffix + ".new")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(path)
