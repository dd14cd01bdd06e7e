"""Continuity: copying files durably, with their hashes, and comparing them again.

A full disk is an error that says so; what was half written is the caller's to remove.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final

from openaoc.continuity.model import BackupFile, BadTarget, DamagedBackup
from openaoc.kernel.errors import Unavailable
from openaoc.storage.files import PRIVATE_FILE, private_folder, sync_folder

CHUNK_BYTES: Final = 1 << 20


class DiskFull(Unavailable):
    """The disk did not take it."""


def copy_file(source: Path, target: Path, *, name: str, size: int) -> BackupFile:
    """Copy the first `size` bytes, force them and their name to disk, and hash what was read.

    Raises DiskFull.
    """
    private_folder(target.parent)
    digest, left = hashlib.sha256(), size
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        with (
            source.open("rb") as reader,
            os.fdopen(os.open(target, flags, PRIVATE_FILE), "wb") as w,
        ):
            while left:
                chunk = reader.read(min(CHUNK_BYTES, left))
                if not chunk:
                    raise DamagedBackup(f"{size - left} bytes of {size}", where=str(source))
                digest.update(chunk)
                w.write(chunk)
                left -= len(chunk)
            w.flush()
            os.fsync(w.fileno())
        sync_folder(target.parent)
    except OSError as error:
        raise DiskFull(error.strerror or "not written", where=str(target)) from error
    return BackupFile(name=name, bytes=size, sha256=digest.hexdigest())


def hash_file(path: Path, *, name: str) -> BackupFile:
    """The file as it is, forced to disk. Raises Unavailable."""
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise Unavailable(f"cannot read: {error.strerror}", where=str(path)) from error
    return BackupFile(name=name, bytes=size, sha256=digest)


def check_file(folder: Path, expected: BackupFile) -> None:
    """Raises DamagedBackup when the file is missing, cut, longer or changed."""
    path = folder / expected.name
    if not path.is_file() or path.is_symlink():
        raise DamagedBackup("the file is missing", where=str(path))
    size = path.stat().st_size
    if size != expected.bytes:
        raise DamagedBackup(f"{size} bytes instead of {expected.bytes}", where=str(path))
    if hash_file(path, name=expected.name).sha256 != expected.sha256:
        raise DamagedBackup("the file was changed", where=str(path))


def write_durably(path: Path, content: bytes) -> None:
    """A new file, whole under its name or not there. Raises DiskFull."""
    draft = path.with_name(f".{path.name}.draft")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise DiskFull(error.strerror or "not written", where=str(path)) from error


def fresh_folder(folder: Path, *, apart_from: tuple[Path, ...] = ()) -> Path:
    """The folder, made if need be and empty. Raises BadTarget when it is not, or lies in another's.

    `apart_from` are folders that it must not be in, nor they in it.
    """
    place = folder.absolute()
    for other in (path.absolute() for path in apart_from):
        if place == other or other in place.parents or place in other.parents:
            raise BadTarget(f"it must lie apart from {other}", where=str(place))
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise BadTarget("it is not empty", where=str(place))
    if not place.parent.is_dir():
        raise BadTarget("its parent folder does not exist", where=str(place))
    return private_folder(place)
