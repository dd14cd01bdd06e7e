"""Files that must be on disk before anything relies on them: written once, synced, never widened.

Never logs what is in them.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import Final

from openaoc.kernel.errors import Unavailable

PRIVATE_FOLDER: Final = 0o700
PRIVATE_FILE: Final = 0o600


def sync_folder(folder: Path) -> None:
    """Make the names in the folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def private_folder(folder: Path) -> Path:
    """The folder, made with its parents for its owner alone where it does not exist.

    The mode of a folder that exists is not touched. Raises Unavailable when it cannot be made.
    """
    try:
        for missing in reversed([p for p in (folder, *folder.parents) if not p.exists()]):
            with contextlib.suppress(FileExistsError):
                missing.mkdir(mode=PRIVATE_FOLDER)
            sync_folder(missing.parent)
    except OSError as error:
        raise Unavailable(f"cannot make the folder: {error.strerror}", where=str(folder)) from error
    if not folder.is_dir():
        raise Unavailable("is not a folder", where=str(folder))
    return folder


def write_once(path: Path, content: bytes) -> bytes:
    """Write a file for its owner alone unless it exists; what the file holds in the end.

    On return the content and the name are on disk. Two writers get the same answer: the file
    appears whole under its name or not at all. Raises Unavailable when the disk refuses.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        descriptor = os.open(draft, flags, PRIVATE_FILE)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):
                os.link(draft, path)
        finally:
            draft.unlink()
        sync_folder(path.parent)
        return path.read_bytes()
    except OSError as error:
        raise Unavailable(f"cannot write: {error.strerror}", where=str(path)) from error


def destroy(path: Path) -> bool:
    """Overwrite and remove a file; False when it was not there.

    Overwriting helps on plain disks only; on copy-on-write storage the key's own wrapping by the
    master key is what protects an old block.
    """
    try:
        with path.open("r+b") as file:
            length = path.stat().st_size
            file.write(secrets.token_bytes(length))
            file.flush()
            os.fsync(file.fileno())
        path.unlink()
    except FileNotFoundError:
        return False
    sync_folder(path.parent)
    return True
