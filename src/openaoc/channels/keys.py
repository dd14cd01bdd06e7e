"""Channels: the centre's own signing keys as files under settings.keys_path, and their rotation.

The newest key signs; an older one stays published until its overlap has passed, so that messages
on their way still verify. Keys are never in the database nor in a backup of the data.
"""

from __future__ import annotations

import base64
import os
import secrets
import threading
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from openaoc.channels.signing import Jwks, SigningKey, new_signing_key, signing_key
from openaoc.kernel.errors import BadInput, Corrupt

OVERLAP: Final = timedelta(days=7)
"""How long a replaced key is still published."""
KEYS_KEPT_MAX: Final = 64
FOLDER: Final = "signing"


class _KeyFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    kid: str
    secret: str
    created_at: datetime
    replaced_at: datetime | None = None


EXERCISE: Final = "EXERCISE-"
"""How the key ids of a centre begin that is in an exercise, and no other's."""


EXERCISE_HEADER: Final = "OpenAOC-Exercise"
"""In every answer of a centre that is in an exercise: `true`."""


def is_of_exercise(kid: str) -> bool:
    """Whether what is signed by this key is an exercise's."""
    return kid.upper().startswith(EXERCISE)


def new_marked_key(*, exercise: bool) -> SigningKey:
    """A fresh key whose id says whether what it signs is an exercise's."""
    return new_signing_key(kid=EXERCISE + secrets.token_hex(8) if exercise else None)


class CentreKeys:
    """The centre's signing keys: loaded once, one file per key, readable by the owner alone."""

    def __init__(self, keys_path: Path, *, exercise: bool = False) -> None:
        """`exercise`: every key's name says so, and with it every message it signs."""
        self._exercise = exercise
        self._folder = keys_path / FOLDER
        self._lock = threading.Lock()
        self._files: list[_KeyFile] = []
        self._current: SigningKey | None = None

    def open(self, now: datetime) -> CentreKeys:
        """Load the keys; the first time, make one. Raises Corrupt for an unreadable file."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._lock:
            paths = sorted(self._folder.glob("*.json"))
            self._files = sorted((_load(path) for path in paths), key=_age)
            if any(is_of_exercise(file.kid) is not self._exercise for file in self._files):
                raise BadInput("an exercise and a real centre share no keys", where="exercise")
            if not self._files:
                self._add(now)
            self._finish_rotation(now)
            self._current = _private(self._files[-1])
        return self

    def current(self) -> SigningKey:
        """The key that signs now."""
        with self._lock:
            assert self._current is not None, "keys are not open"
            return self._current

    def jwks(self, now: datetime) -> Jwks:
        """The public keys that are valid at `now`, newest first."""
        with self._lock:
            valid = [
                f for f in self._files if f.replaced_at is None or f.replaced_at + OVERLAP > now
            ]
            return Jwks(keys=[_private(file).public() for file in reversed(valid)])

    def rotate(self, now: datetime, *, revoke: bool = False) -> SigningKey:
        """Sign with a fresh key from now on; the one before stays published for OVERLAP.

        With `revoke` no earlier key is published any more: another server may still hold them.
        """
        with self._lock:
            old = self._files[-1]
            self._add(now)
            ended = now - OVERLAP if revoke else now
            self._files[-2] = msgspec.structs.replace(old, replaced_at=ended)
            self._write(self._files[-2])
            if revoke:
                self._files[:-1] = [
                    msgspec.structs.replace(file, replaced_at=ended) for file in self._files[:-1]
                ]
            self._forget(now)
            self._current = _private(self._files[-1])
            return self._current

    def _add(self, now: datetime) -> None:
        key = new_marked_key(exercise=self._exercise)
        secret = base64.b64encode(key.secret_bytes()).decode("ascii")
        file = _KeyFile(kid=key.kid, secret=secret, created_at=now)
        self._write(file)
        self._files.append(file)

    def _finish_rotation(self, now: datetime) -> None:
        """A rotation cut off by a crash left two keys in use: the older one ends now."""
        for place, file in enumerate(self._files[:-1]):
            if file.replaced_at is None:
                self._files[place] = msgspec.structs.replace(file, replaced_at=now)
                self._write(self._files[place])

    def _write(self, file: _KeyFile) -> None:
        path = self._folder / f"{file.kid}.json"
        draft = path.with_suffix(".new")
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as stream:
            stream.write(msgspec.json.encode(file))
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _forget(self, now: datetime) -> None:
        """Delete keys whose overlap is over; a verifier no longer accepts them anyway."""
        over = [f for f in self._files if f.replaced_at and f.replaced_at + OVERLAP <= now]
        over += [f for f in self._files[:-KEYS_KEPT_MAX] if f not in over]
        for file in over:
            (self._folder / f"{file.kid}.json").unlink(missing_ok=True)
        self._files = [file for file in self._files if file not in over]


def _age(file: _KeyFile) -> tuple[bool, datetime]:
    """Keys still in use sort after replaced ones, so that the last is the one that signs."""
    return (file.replaced_at is None, file.created_at)


def _load(path: Path) -> _KeyFile:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_KeyFile)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Corrupt("the signing key file cannot be read", where=str(path)) from error


def _private(file: _KeyFile) -> SigningKey:
    try:
        return signing_key(kid=file.kid, secret=base64.b64decode(file.secret, validate=True))
    except ValueError as error:
        raise Corrupt("the signing key file holds no key", where=file.kid) from error
