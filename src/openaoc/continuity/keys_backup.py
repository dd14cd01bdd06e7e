"""Continuity: the keys folder as one sealed file, for another place than the data's backups.

Sealed under a passphrase (scrypt, then AES-256-GCM in chunks that cannot be dropped, swapped or cut
off). Never writes a key in the clear but into the keys folder.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from openaoc.continuity.files import DiskFull
from openaoc.continuity.model import BadTarget, DamagedBackup, NotABackup
from openaoc.kernel.errors import BadInput, Refused
from openaoc.storage.files import private_folder, sync_folder, write_once
from openaoc.storage.keyring import MASTER_NAME

MAGIC: Final = b"OAOCKEYS1\n"
PASSPHRASE_CHARACTERS_MIN: Final = 12
FILE_BYTES_MAX: Final = 1 << 20
CHUNK_BYTES_MAX: Final = 4 << 20
HEADER_BYTES_MAX: Final = 4096
KEYS_MAX: Final = 50_000_000
SCRYPT_COST: Final = 1 << 16
"""64 MiB and some 0.2 s for each guess."""
_SALT_BYTES: Final = 16
_PREFIX_BYTES: Final = 7


class WrongPassphrase(Refused):
    """The passphrase does not open this file."""


class _Header(msgspec.Struct, frozen=True, kw_only=True):
    made_at: datetime
    cost: int
    salt: bytes
    prefix: bytes


class _Key(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    content: bytes


class KeysReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """What was sealed or opened."""

    file: str
    keys: int
    made_at: datetime


def seal_keys(folder: Path, target: Path, *, passphrase: str, now: datetime) -> KeysReceipt:
    """Write every key of the folder, sealed, into the new file `target`.

    Raises BadTarget when the file exists or lies among the keys, BadInput for a short passphrase,
    DiskFull.
    """
    _check_passphrase(passphrase)
    if folder.absolute() in target.absolute().parents:
        raise BadTarget("the sealed keys must not lie among the keys", where=str(target))
    salt, prefix = secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_PREFIX_BYTES)
    header = _Header(made_at=now, cost=SCRYPT_COST, salt=salt, prefix=prefix)
    cipher = _cipher(passphrase, header)
    count = 0
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError as error:
        raise BadTarget("it exists", where=str(target)) from error
    except OSError as error:
        raise BadTarget(error.strerror or "cannot be made", where=str(target)) from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            head = MAGIC + _framed(msgspec.msgpack.encode(header))
            file.write(head)
            for number, (keys, last) in enumerate(_chunks(folder)):
                count += len(keys)
                nonce = _nonce(prefix, number, last=last)
                sealed = cipher.encrypt(nonce, msgspec.msgpack.encode(keys), head)
                file.write(bytes([last]) + _framed(sealed))
            file.flush()
            os.fsync(file.fileno())
        sync_folder(target.absolute().parent)
    except BaseException as error:  # whatever it is, no half file must lie about as a whole one
        target.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise DiskFull(error.strerror or "not written", where=str(target)) from error
        raise
    return KeysReceipt(file=str(target), keys=count, made_at=now)


def open_keys(source: Path, folder: Path, *, passphrase: str) -> KeysReceipt:
    """Put the sealed keys into an empty folder. Nothing is written before all of them are whole.

    Raises BadTarget for a folder that holds keys, WrongPassphrase, DamagedBackup, NotABackup.
    """
    if folder.exists() and any(folder.iterdir()):
        raise BadTarget(
            "the keys folder is not empty: use the keys that are there, or empty it first",
            where=str(folder),
        )
    made_at = _read_header(source)[0].made_at
    names = [key.name for key in _opened(source, passphrase)]
    if MASTER_NAME not in names:
        raise DamagedBackup("there is no master key among them", where=str(source))
    if any(name.startswith("/") or ".." in Path(name).parts for name in names):
        raise DamagedBackup("a name points outside", where=str(source))
    for key in _opened(source, passphrase):
        place = folder / key.name
        private_folder(place.parent)
        write_once(place, key.content)
    return KeysReceipt(file=str(source), keys=len(names), made_at=made_at)


def _check_passphrase(passphrase: str) -> None:
    if len(passphrase) < PASSPHRASE_CHARACTERS_MIN:
        raise BadInput(
            f"at least {PASSPHRASE_CHARACTERS_MIN} characters: whoever has the file may try for"
            " as long as they like",
            where="passphrase",
        )


def _cipher(passphrase: str, header: _Header) -> AESGCM:
    derive = Scrypt(salt=header.salt, length=32, n=header.cost, r=8, p=1)
    return AESGCM(derive.derive(passphrase.encode("utf-8")))


def _nonce(prefix: bytes, number: int, *, last: bool) -> bytes:
    """As the STREAM construction: a chunk's place and whether it is the last are in its nonce."""
    return prefix + number.to_bytes(4, "big") + bytes([last])


def _framed(content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + content


def _chunks(folder: Path) -> Iterator[tuple[list[_Key], bool]]:
    """The keys in chunks of bounded size; the last one, which may be empty, is marked."""
    chunk: list[_Key] = []
    size = 0
    paths = sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.startswith("."))
    for count, path in enumerate(paths, 1):
        content = path.read_bytes()
        if len(content) > FILE_BYTES_MAX or count > KEYS_MAX:
            raise BadInput("this is no keys folder", where=str(path))
        if size + len(content) > CHUNK_BYTES_MAX // 2 and chunk:
            yield chunk, False
            chunk, size = [], 0
        chunk.append(_Key(name=path.relative_to(folder).as_posix(), content=content))
        size += len(content) + len(chunk[-1].name) + 32
    yield chunk, True


def _read_header(source: Path) -> tuple[_Header, int, bytes]:
    try:
        with source.open("rb") as file:
            magic = file.read(len(MAGIC))
            size = int.from_bytes(file.read(4), "big")
            if magic != MAGIC or size > HEADER_BYTES_MAX:
                raise NotABackup("not a file of sealed keys", where=str(source))
            text = file.read(size)
            header = msgspec.msgpack.decode(text, type=_Header)
    except FileNotFoundError as error:
        raise NotABackup("there is no such file", where=str(source)) from error
    except msgspec.MsgspecError as error:
        raise DamagedBackup("its header cannot be read", where=str(source)) from error
    if header.cost != SCRYPT_COST or len(header.prefix) != _PREFIX_BYTES:
        raise DamagedBackup("its header is not ours", where=str(source))
    head = MAGIC + _framed(text)
    return header, len(head), head


def _opened(source: Path, passphrase: str) -> Iterator[_Key]:
    """Every key, chunk by chunk. Raises WrongPassphrase, DamagedBackup."""
    header, start, head = _read_header(source)
    cipher = _cipher(passphrase, header)
    with source.open("rb") as file:
        file.seek(start)
        number, last = 0, False
        while not last:
            frame = file.read(5)
            size = int.from_bytes(frame[1:], "big")
            if len(frame) != 5 or size > 2 * CHUNK_BYTES_MAX:  # noqa: PLR2004 - mark and length
                raise DamagedBackup("it is cut off", where=str(source))
            last = frame[0] == 1
            try:
                nonce = _nonce(header.prefix, number, last=last)
                content = cipher.decrypt(nonce, file.read(size), head)
            except InvalidTag as error:
                if number == 0:
                    raise WrongPassphrase(where=str(source)) from error
                raise DamagedBackup("it was changed", where=str(source)) from error
            number += 1
            yield from msgspec.msgpack.decode(content, type=list[_Key])
        if file.read(1):
            raise DamagedBackup("something follows its end", where=str(source))
