"""Signed heads: the journal's size and root as the centre states them, and how anybody checks.

Reads no database.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from datetime import datetime
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from openaoc.kernel.clock import format_time
from openaoc.storage.canonical import canonical_json

PURPOSE: Final = "openaoc journal head v1"
KEY_NAME: Final = "journal-signing.pem"


class HeadStatement(msgspec.Struct, frozen=True, kw_only=True):
    """What is signed, as canonical JSON.

    `root` is hexadecimal; `purpose` keeps these signatures apart from any others.
    """

    purpose: str
    key_id: str
    size: int
    root: str
    at: str


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The first `size` rows of the journal have this root (hexadecimal); signature in base64."""

    size: int
    root: str
    at: str
    key_id: str
    signature: str

    @property
    def root_hash(self) -> bytes:
        """The root as bytes."""
        return bytes.fromhex(self.root)


def public_bytes(key: Ed25519PublicKey) -> bytes:
    """The 32 bytes of the key."""
    return key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def key_id(key: Ed25519PublicKey) -> str:
    """The first 16 hexadecimal digits of the key's SHA-256."""
    return hashlib.sha256(public_bytes(key)).hexdigest()[:16]


def _statement(*, key: str, size: int, root: str, at: str) -> bytes:
    return canonical_json(HeadStatement(purpose=PURPOSE, key_id=key, size=size, root=root, at=at))


def sign_head(signer: Ed25519PrivateKey, *, size: int, root_hash: bytes, at: datetime) -> Head:
    """State the head."""
    name, root, time = key_id(signer.public_key()), root_hash.hex(), format_time(at)
    signature = signer.sign(_statement(key=name, size=size, root=root, at=time))
    return Head(
        size=size,
        root=root,
        at=time,
        key_id=name,
        signature=base64.b64encode(signature).decode("ascii"),
    )


def verify_head(head: Head, key: Ed25519PublicKey) -> bool:
    """Whether the holder of the key stated this head."""
    if head.key_id != key_id(key):
        return False
    text = _statement(key=head.key_id, size=head.size, root=head.root, at=head.at)
    try:
        key.verify(base64.b64decode(head.signature, validate=True), text)
    except (InvalidSignature, binascii.Error):
        return False
    return True
