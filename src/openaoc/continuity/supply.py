"""Continuity: files sent over the line: a copy of the ledger, its cold segments, keys.

Sends what the other side has not, whole, and waits for its word.
"""

from __future__ import annotations

import os
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

import msgspec

from openaoc.continuity.line import Channel, LineBroken
from openaoc.continuity.standby_model import Ack, CopyHead, FileHead, Listing
from openaoc.kernel.errors import Corrupt
from openaoc.ledger.cold_format import Manifest
from openaoc.ledger.copying import ID_FILES
from openaoc.ledger.service import Ledger
from openaoc.storage.files import private_folder, sync_folder

CHUNK_BYTES: Final = 4 << 20
COLD_FOLDER: Final = "cold"
IDENTITIES: Final = "identities/"
COLD_LIST: Final = "cold/cold.json"
MUTABLE: Final = ("ledger.json", COLD_LIST)
"""Files of the ledger that are replaced; every other is written once, or only grows."""


def send_copy(channel: Channel, ledger: Ledger, have: dict[str, int], *, log: bool) -> None:
    """The ledger at its newest entry, without what the other side has.

    Without `log`, for a side that follows: neither the log nor cold days, for it has both already,
    and an older list of cold days must not come after a newer one.
    """
    with ledger.held_copy(at_instant=lambda _: None) as held:
        if log:
            ledger.retain(held.position)
        files = {file.name: file.size for file in held.files}
        channel.send(CopyHead(position=held.position, files=files))
        for file in held.files:
            if not log and file.name.startswith(("wal-", f"{COLD_FOLDER}/")):
                continue
            known = 0 if file.name in MUTABLE else have.get(file.name, -1)
            if known == file.size and file.name not in MUTABLE:
                continue
            grows = fnmatch(file.name, ID_FILES)
            offset = known if grows and 0 < known < file.size else 0
            channel.send(FileHead(name=file.name, size=file.size, offset=offset))
            _send_bytes(channel, file.path, offset=offset, end=file.size)
        channel.send(FileHead(name="", size=0))
        channel.receive(Ack)


def send_cold(channel: Channel, folder: Path, have: dict[str, int]) -> None:
    """The cold segments as they stand now; written once, so no lock is needed.

    The list of those that count is read first: what it names is there already, and is sent before.
    """
    listed = folder / COLD_LIST
    words = listed.read_bytes() if listed.exists() else b""
    files = {
        path.relative_to(folder).as_posix(): path.stat().st_size
        for path in (folder / COLD_FOLDER).rglob("*")
        if path.is_file() and path != listed and path.suffix not in (".draft", ".tmp")
    }
    channel.send(CopyHead(position=0, files=files))
    for name, size in sorted(files.items()):
        if have.get(name) != size:
            channel.send(FileHead(name=name, size=size))
            _send_bytes(channel, folder / name, offset=0, end=size)
    if words:
        channel.send(FileHead(name=COLD_LIST, size=len(words)))
        channel.send_bytes(words)
    channel.send(FileHead(name="", size=0))
    channel.receive(Ack)


def forget_cold(folder: Path) -> None:
    """Remove the cold segments that the list does not name: their days have expired.

    Raises Corrupt for a list that cannot be read.
    """
    listed = folder / COLD_LIST
    if not listed.exists():
        return
    try:
        named = msgspec.json.decode(listed.read_bytes(), type=Manifest).segments
    except msgspec.MsgspecError as error:
        raise Corrupt(str(error), where=str(listed)) from error
    kept = {file.name for segment in named for file in segment.files}
    for path in (folder / COLD_FOLDER).iterdir():
        if path != listed and path.name not in kept:
            path.unlink()


def send_keys(channel: Channel, folder: Path, known: Listing) -> None:
    """Keys of identities that the other side lacks, and every other key as it is now."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        if path.name.startswith(".") or (name.startswith(IDENTITIES) and name in known.files):
            continue
        try:
            content = path.read_bytes()
        except FileNotFoundError:  # destroyed since: that is said after these
            continue
        channel.send(FileHead(name=name, size=len(content)))
        channel.send_bytes(content)
        channel.receive(Ack)


def _send_bytes(channel: Channel, path: Path, *, offset: int, end: int) -> None:
    with path.open("rb") as file:
        file.seek(offset)
        left = end - offset
        while left:
            chunk = file.read(min(CHUNK_BYTES, left))
            if not chunk:
                raise LineBroken(f"{path.name} became shorter")
            channel.send_bytes(chunk)
            left -= len(chunk)


def receive_files(channel: Channel, folder: Path) -> dict[str, int]:
    """Put the files that come into the folder, replaced ones last; names and sizes.

    A file comes whole under its name or, when the line breaks, not at all; one that only grows is
    continued where it ended.
    """
    replaced: list[tuple[Path, Path]] = []
    got: dict[str, int] = {}
    while (head := channel.receive(FileHead)).name:
        target = safe_place(folder, head.name)
        private_folder(target.parent)
        draft = target if head.offset else target.with_name(f".{target.name}.coming")
        with draft.open("r+b" if head.offset else "wb") as file:
            file.truncate(head.offset)
            file.seek(head.offset)
            left = head.size - head.offset
            while left:
                chunk = channel.receive_bytes()
                file.write(chunk)
                left -= len(chunk)
                if left < 0:
                    raise Corrupt("more bytes than said", where=head.name)
            file.flush()
            os.fsync(file.fileno())
        if head.name in MUTABLE:
            replaced.append((draft, target))
        elif not head.offset:
            draft.replace(target)
        got[head.name] = head.size
    for draft, target in replaced:
        draft.replace(target)
        sync_folder(target.parent)
    sync_folder(folder)
    return got


def safe_place(folder: Path, name: str) -> Path:
    """Where the file of that name goes. Raises Corrupt for a name that leads outside."""
    if name.startswith("/") or ".." in name.split("/"):
        raise Corrupt("a name leads outside of its folder", where=name[:100])
    return folder / name


def listing(folder: Path) -> dict[str, int]:
    """Every file of the folder with its size."""
    return {
        path.relative_to(folder).as_posix(): path.stat().st_size
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }
