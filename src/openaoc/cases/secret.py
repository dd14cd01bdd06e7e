"""Cases: the secret that opens a case to the citizen who reported it.

Derived from a key outside the database, so that a repeated report is answered alike while only
a hash is stored.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from openaoc.kernel.ids import ALPHABET, as_spoken

SECRET_CHARACTERS: Final = 16
"""80 bits: guessing takes longer than any case is open."""
KEY_BYTES_MIN: Final = 32
_BITS: Final = 5


def make_secret(case_id: str, *, key: bytes) -> str:
    """The case's secret such as `7K3M-9QX2-…`: the same for the same key."""
    assert len(key) >= KEY_BYTES_MIN, "a key of 256 bits"
    digest = int.from_bytes(hmac.new(key, case_id.encode("ascii"), "sha256").digest(), "big")
    letters = [ALPHABET[(digest >> (_BITS * i)) & 31] for i in range(SECRET_CHARACTERS)]
    groups = ["".join(letters[i : i + 4]) for i in range(0, SECRET_CHARACTERS, 4)]
    return "-".join(groups)


def hash_secret(secret: str) -> bytes:
    """What is stored. A fast hash is enough: the secret itself is 80 random bits."""
    return hashlib.sha256(as_spoken(secret).encode("utf-8")).digest()


def matches(secret: str, stored: bytes) -> bool:
    """Whether the secret is the case's, in time that tells nothing."""
    return hmac.compare_digest(hash_secret(secret), stored)
