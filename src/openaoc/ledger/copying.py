"""Which bytes of the ledger's folder are the ledger at one entry of its log, held for a copier.

Every file but the log's last segment and the texts of ids is written once; so hard links taken
while no batch is half done, and one length, are a consistent copy. Copies nothing itself.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final, NamedTuple

from openaoc.ledger.model import DiskRefused
from openaoc.ledger.wal import SEGMENT_PATTERN

ID_FILES: Final = "ids*.text"
LOCK_FILE: Final = "lock"
STAGING_PREFIX: Final = "copy-"
_PASSING: Final = (".tmp", ".draft")


class HeldFile(NamedTuple):
    """A file of the copy: its name inside the ledger's folder, where it lies, bytes that count."""

    name: str
    path: Path
    size: int


class HeldCopy(NamedTuple):
    """The ledger as after entry `position`; opened from these files it is that ledger."""

    position: int
    transfers: int
    files: list[HeldFile]


def hold_files(
    folder: Path, staging: Path, *, position: int, ids: tuple[str, int]
) -> list[HeldFile]:
    """Link everything that counts at `position` into `staging`. Raises DiskRefused.

    `ids`: the file of ids, and how many of its bytes count; a newer one is not in use yet. The
    caller keeps writers off and files from being deleted; afterwards the links keep the bytes.
    """
    held = []
    try:
        for source in sorted(_counting(folder, position)):
            name = source.relative_to(folder).as_posix()
            if source.match(ID_FILES) and generation_of(name) > generation_of(ids[0]):
                continue
            target = staging / name
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(source, target)
            size = ids[1] if name == ids[0] else target.stat().st_size
            held.append(HeldFile(name, target, size))
    except OSError as error:
        raise DiskRefused(f"the ledger's files cannot be held: {error.strerror}") from error
    return held


def generation_of(ids: str) -> int:
    """For which numbering of the rows a file of ids is: its number, 0 without one."""
    return int(ids.removeprefix("ids").removesuffix(".text").removeprefix("-") or 0)


def _counting(folder: Path, position: int) -> list[Path]:
    later = {
        path
        for path in folder.glob(SEGMENT_PATTERN)
        if int(path.stem.removeprefix("wal-")) > position
    }
    return [
        path
        for path in folder.rglob("*")
        if path.is_file()
        and path not in later
        and path.name != LOCK_FILE
        and path.suffix not in _PASSING
        and not path.relative_to(folder).parts[0].startswith(STAGING_PREFIX)
    ]


def forget_copies(folder: Path) -> None:
    """Remove what a copier that was killed left behind."""
    for left in folder.glob(f"{STAGING_PREFIX}*"):
        shutil.rmtree(left, ignore_errors=True)
