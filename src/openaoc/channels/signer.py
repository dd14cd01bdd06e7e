"""Channels: how an institution signs what it sends to the centre; one helper for all who do.

Holds the private key of its owner alone: the centre never has one of these.
"""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import Final, Literal

import msgspec

from openaoc.channels.signing import HEADER, SigningKey, sign, signing_key
from openaoc.kernel.clock import Clock
from openaoc.kernel.errors import BadInput
from openaoc.storage.files import write_once

FILE_BYTES_MAX: Final = 4096


class PrivateJwk(msgspec.Struct, frozen=True, kw_only=True):
    """An Ed25519 key pair as JSON Web Key (RFC 8037); `d` is the secret half."""

    kid: str
    x: str
    d: str
    kty: Literal["OKP"] = "OKP"
    crv: Literal["Ed25519"] = "Ed25519"

    def __repr__(self) -> str:
        return f"PrivateJwk(kid={self.kid!r})"


class Signer:
    """Signs requests under one key; thread-safe."""

    def __init__(self, key: SigningKey, *, clock: Clock) -> None:
        self.key = key
        self._clock = clock

    def headers(self, body: bytes, *, path: str, method: str = "POST") -> dict[str, str]:
        """The header for exactly these bytes; `path` as sent, with its query.

        A request that is sent again is signed again: a signature is accepted once.
        """
        signature = sign(body, key=self.key, method=method, path=path, now=self._clock.now())
        return {HEADER: signature}


def read_signing_key(path: Path) -> SigningKey:
    """The key pair of a file with one private JSON Web Key. Raises BadInput."""
    try:
        with path.open("rb") as stream:
            content = stream.read(FILE_BYTES_MAX)
        jwk = msgspec.json.decode(content, type=PrivateJwk)
        secret = base64.urlsafe_b64decode(jwk.d + "=" * (-len(jwk.d) % 4))
    except OSError as error:
        raise BadInput(error.strerror or "cannot be read", where=str(path)) from error
    except (msgspec.MsgspecError, UnicodeDecodeError, binascii.Error, ValueError) as error:
        # Never what was read: it may be a key.
        raise BadInput("not an Ed25519 key pair as JSON Web Key", where=str(path)) from error
    key = signing_key(kid=jwk.kid, secret=secret)
    if key.public().x != jwk.x:
        raise BadInput("its halves do not belong together", where=str(path))
    return key


def write_signing_key(path: Path, key: SigningKey) -> None:
    """Write the key pair to a new file that its owner alone may read. Raises BadInput."""
    d = base64.urlsafe_b64encode(key.secret_bytes()).rstrip(b"=").decode("ascii")
    jwk = PrivateJwk(kid=key.kid, x=key.public().x, d=d)
    content = msgspec.json.encode(jwk) + b"\n"
    if path.exists() or write_once(path, content) != content:
        raise BadInput("there is such a file", where=str(path))
