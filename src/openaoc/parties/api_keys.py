"""API keys: `oaoc_<key id>_<secret>`. Makes them, takes them apart, compares them; keeps none.

The secret is 160 random bits, so nobody guesses it from a stolen hash however fast the hash is: a
keyed hash (HMAC-SHA256, its key outside the database) is right and costs microseconds at every
request. Slow hashes such as argon2 are for passwords, which people choose; we have none.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Final, NamedTuple

from openaoc.kernel.ids import KeyId, new_key_id, random_text

PREFIX: Final = "oaoc"
SECRET_CHARACTERS: Final = 32
HASH_LABEL: Final = "openaoc api key hash v1"
_FORM: Final = re.compile(r"oaoc_([0-9a-hjkmnp-tv-z]{16})_([0-9A-HJKMNP-TV-Z]{32})")


class Parts(NamedTuple):
    """A presented key taken apart."""

    id: KeyId
    secret: str


def new_key() -> tuple[KeyId, str, str]:
    """A fresh key: its id, its secret, and the text to give to its holder once."""
    key_id, secret = new_key_id(), random_text(SECRET_CHARACTERS)
    return key_id, secret, f"{PREFIX}_{key_id.removeprefix('key_')}_{secret}"


def take_apart(text: str) -> Parts | None:
    """The id and secret of a presented key, or None when it has not the form of one."""
    match = _FORM.fullmatch(text)
    return Parts(KeyId(f"key_{match.group(1)}"), match.group(2)) if match else None


def keyed_hash(secret: str, *, pepper: bytes) -> bytes:
    """What is stored of a secret."""
    return hmac.digest(pepper, secret.encode("ascii"), hashlib.sha256)


def matches(secret: str, *, stored: bytes, pepper: bytes) -> bool:
    """Whether the secret is the stored one, in a time that does not tell how much of it is."""
    return hmac.compare_digest(keyed_hash(secret, pepper=pepper), stored)
