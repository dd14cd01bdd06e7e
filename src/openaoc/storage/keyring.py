"""The folder of keys: the master key, what is derived from it, signing keys and passwords.

Everything here stays out of the database and out of every backup of the data. Never logs a key.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from openaoc.kernel.errors import Corrupt
from openaoc.storage.files import destroy, private_folder, write_once

KEY_BYTES: Final = 32
MASTER_NAME: Final = "master.key"


def _kept_here(path: Path) -> None:
    """Keys are kept in their folder alone."""
    assert path.name, "a file of keys"


class Keyring:
    """Reads keys from a folder and makes those that are missing, each once and durably."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._master: bytes | None = None
        self.changed: Callable[[Path], None] = _kept_here
        """Called with each key file once it is on disk, before anything relies on it, and once it
        is destroyed."""

    def write(self, path: Path, content: bytes) -> bytes:
        """As `files.write_once`, and wherever else keys are kept at once."""
        private_folder(path.parent)
        held = write_once(path, content)
        self.changed(path)
        return held

    def destroy(self, path: Path) -> bool:
        """As `files.destroy`, and wherever else keys are kept."""
        found = destroy(path)
        self.changed(path)
        return found

    def has(self, name: str) -> bool:
        """Whether the file of that name exists."""
        return (self.folder / name).exists()

    def has_master(self) -> bool:
        """Whether there is a master key already."""
        return self.has(MASTER_NAME)

    def secret(self, name: str) -> str:
        """The text kept under the name: 256 random bits made at its first use."""
        path = self.folder / name
        fresh = secrets.token_urlsafe(KEY_BYTES).encode("ascii")
        held = path.read_bytes() if path.exists() else self.write(path, fresh)
        text = held.decode("ascii").strip()
        if not text:
            raise Corrupt("the key file is empty", where=str(path))
        return text

    def master_key(self) -> bytes:
        """The 32 bytes that wrap every identity key; made at the first start, mode 0600."""
        if self._master is None:
            private_folder(self.folder)
            fresh = base64.b64encode(secrets.token_bytes(KEY_BYTES))
            held = write_once(self.folder / MASTER_NAME, fresh)
            try:
                key = base64.b64decode(held.strip(), validate=True)
            except binascii.Error as error:
                raise Corrupt("not base64", where=str(self.folder / MASTER_NAME)) from error
            if len(key) != KEY_BYTES:
                raise Corrupt(f"not {KEY_BYTES} bytes", where=str(self.folder / MASTER_NAME))
            self._master = key
        return self._master

    def derived(self, label: str) -> bytes:
        """32 bytes of the master key for one use only (HKDF-SHA256, RFC 5869)."""
        expand = HKDF(
            algorithm=hashes.SHA256(), length=KEY_BYTES, salt=None, info=label.encode("utf-8")
        )
        return expand.derive(self.master_key())

    def signing_key(self, name: str) -> Ed25519PrivateKey:
        """The Ed25519 key kept under the name as PKCS #8 PEM; made at its first use."""
        private_folder(self.folder)
        fresh = Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        path = self.folder / name
        held = path.read_bytes() if path.exists() else self.write(path, fresh)
        try:
            key = serialization.load_pem_private_key(held, password=None)
        except ValueError as error:
            raise Corrupt("not a PEM key", where=str(path)) from error
        if not isinstance(key, Ed25519PrivateKey):
            raise Corrupt("not an Ed25519 key", where=str(path))
        return key
