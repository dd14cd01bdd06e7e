"""The journal's signing keys: the one that signs now, those before it, and how each was replaced.

A replaced key signs its successor, so that whoever trusts the first can check every later one. Its
private half is destroyed: nobody signs an old head anew.
"""

from __future__ import annotations

import base64
import binascii
import threading
from collections.abc import Iterable
from datetime import datetime
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from openaoc.kernel.clock import format_time
from openaoc.kernel.errors import Corrupt
from openaoc.storage.canonical import canonical_json
from openaoc.storage.journal_heads import KEY_NAME, Head, key_id, public_bytes, verify_head
from openaoc.storage.keyring import Keyring

FOLDER: Final = "journal-keys"
SUCCESSION_PURPOSE: Final = "openaoc journal key v1"
SUCCESSIONS_MAX: Final = 10_000


class Succession(msgspec.Struct, frozen=True, kw_only=True):
    """The old key's word that heads above `until_size` are signed with the new one.

    Keys are the 32 public bytes in base64; `signature` is the old key's over the rest.
    """

    purpose: str = SUCCESSION_PURPOSE
    old: str
    new: str
    until_size: int
    at: str
    signature: str = ""


def decode_public(text: str) -> Ed25519PublicKey:
    """The key of 32 bytes in base64. Raises Corrupt."""
    try:
        return Ed25519PublicKey.from_public_bytes(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError) as error:
        raise Corrupt("not an Ed25519 public key", where=text[:64]) from error


def encode_public(key: Ed25519PublicKey) -> str:
    """The key's 32 bytes in base64."""
    return base64.b64encode(public_bytes(key)).decode("ascii")


def _signed_text(one: Succession) -> bytes:
    return canonical_json(msgspec.structs.replace(one, signature=""))


def holds(one: Succession) -> bool:
    """Whether the old key said this."""
    try:
        key = decode_public(one.old)
        key.verify(base64.b64decode(one.signature, validate=True), _signed_text(one))
    except (InvalidSignature, binascii.Error, Corrupt):
        return False
    return one.purpose == SUCCESSION_PURPOSE


class KeySet:
    """Public keys by id, each with the largest size it may have signed (None: no end)."""

    def __init__(self, first: Ed25519PublicKey, successions: Iterable[Succession] = ()) -> None:
        """Raises Corrupt for a succession that the key before did not sign."""
        self.current = first
        self._until: dict[str, int | None] = {key_id(first): None}
        self._keys: dict[str, Ed25519PublicKey] = {key_id(first): first}
        for one in successions:
            self.follow(one)

    def follow(self, one: Succession) -> None:
        """Accept the successor that the current key names. Raises Corrupt."""
        if one.old != encode_public(self.current) or not holds(one):
            raise Corrupt("a key of the journal has no word of the one before", where=one.at)
        following = decode_public(one.new)
        self._until[key_id(self.current)] = one.until_size
        self._until[key_id(following)] = None
        self._keys[key_id(following)] = following
        self.current = following

    def find(self, name: str) -> Ed25519PublicKey | None:
        """The key of that id."""
        return self._keys.get(name)

    def verify(self, head: Head) -> bool:
        """Whether a key of this centre that was in use at that size stated the head."""
        key = self._keys.get(head.key_id)
        if key is None:
            return False
        until = self._until[head.key_id]
        return (until is None or head.size <= until) and verify_head(head, key)


class JournalKeys:
    """The keys as files of the keys folder; one instance per process."""

    def __init__(self, keys: Keyring) -> None:
        self._keys = keys
        self._lock = threading.Lock()
        self._signer: Ed25519PrivateKey | None = None

    def successions(self) -> list[Succession]:
        """Every replacement, oldest first. Raises Corrupt."""
        folder = self._keys.folder / FOLDER
        found = []
        for path in sorted(folder.glob("*.json"))[:SUCCESSIONS_MAX]:
            try:
                found.append(msgspec.json.decode(path.read_bytes(), type=Succession))
            except msgspec.MsgspecError as error:
                raise Corrupt("not a succession of keys", where=str(path)) from error
        return found

    def signer(self) -> Ed25519PrivateKey:
        """The key that signs now; made at its first use."""
        with self._lock:
            return self._held()

    def _held(self) -> Ed25519PrivateKey:
        if self._signer is None:
            self._signer = self._load()
        return self._signer

    def public(self) -> KeySet:
        """Every public key from the first on. Raises Corrupt."""
        with self._lock:
            # Together: between the two the key may be replaced.
            current, past = self._held().public_key(), self.successions()
        known = KeySet(decode_public(past[0].old) if past else current, past)
        if encode_public(known.current) != encode_public(current):
            raise Corrupt("the journal's key is not the one that was named last")
        return known

    def rotate(self, *, size: int, now: datetime) -> Succession:
        """Sign with a fresh key from `size` on; the old private half is destroyed.

        The caller lets nobody sign meanwhile. A crash in between leaves the old key or the new one,
        whole.
        """
        with self._lock:
            old = self._held()
            past = self.successions()
            new_key = self._keys.signing_key(_file_name(len(past) + 1))
            one = Succession(
                old=encode_public(old.public_key()),
                new=encode_public(new_key.public_key()),
                until_size=size,
                at=format_time(now),
            )
            signature = base64.b64encode(old.sign(_signed_text(one))).decode("ascii")
            one = msgspec.structs.replace(one, signature=signature)
            path = self._keys.folder / FOLDER / f"{len(past) + 1:06d}.json"
            self._keys.write(path, msgspec.json.encode(one))
            self._keys.destroy(self._keys.folder / _file_name(len(past)))
            self._signer = new_key
            return one

    def _load(self) -> Ed25519PrivateKey:
        count = len(self.successions())
        for number in range(count):
            # A crash, or a standby that was away, may have left any of them.
            if (left := self._keys.folder / _file_name(number)).exists():
                self._keys.destroy(left)
        return self._keys.signing_key(_file_name(count))


def _file_name(number: int) -> str:
    """The private key after so many replacements."""
    return KEY_NAME if number == 0 else f"journal-signing-{number:06d}.pem"
