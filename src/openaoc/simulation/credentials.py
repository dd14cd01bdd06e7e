"""Simulation: the keys with which the institutions and the hotline speak to the centre.

One file, readable by its owner only; written by the demonstration when it registers them.
"""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Final

import msgspec

from openaoc.channels.signing import SigningKey, signing_key

FILE: Final = "credentials.json"


class InstitutionCredentials(msgspec.Struct, frozen=True, kw_only=True):
    """One institution's machine key and its signing key (base64)."""

    api_key: str
    kid: str
    secret: str

    def signing_key(self) -> SigningKey:
        """The key to sign answers with."""
        return signing_key(kid=self.kid, secret=base64.b64decode(self.secret))


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the simulated parties need. Printed nowhere."""

    centre: str
    institutions: dict[str, InstitutionCredentials]
    hotline_key: str

    def __repr__(self) -> str:
        return f"Credentials({self.centre})"


def save_credentials(folder: Path, credentials: Credentials) -> None:
    """Write the file, whole or not at all, readable by its owner only."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{FILE}.part"
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(credentials))
        file.flush()
        os.fsync(file.fileno())
    part.replace(folder / FILE)


def load_credentials(folder: Path) -> Credentials | None:
    """The saved keys, or None when nobody has registered yet."""
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=Credentials)
    except FileNotFoundError:
        return None
