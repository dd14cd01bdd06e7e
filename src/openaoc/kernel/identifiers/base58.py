"""Base58Check: 25 bytes with a double SHA-256 checksum, as bitcoin and tron write addresses."""

from __future__ import annotations

import hashlib
from typing import Final

from openaoc.kernel.errors import BadInput

ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_VALUES: Final = {character: value for value, character in enumerate(ALPHABET)}
ADDRESS_BYTES: Final = 25
CHECKSUM_BYTES: Final = 4
CHARACTERS_MAX: Final = 35


def version_of(text: str) -> int:
    """The first byte of a 25-byte address. Raises BadInput when form or checksum is wrong."""
    if not text or len(text) > CHARACTERS_MAX:
        raise BadInput("not a base58 address")
    number = 0
    for character in text:
        if character not in _VALUES:
            raise BadInput("a character that is not base58")
        number = number * 58 + _VALUES[character]
    zeros = len(text) - len(text.lstrip(ALPHABET[0]))
    body = number.to_bytes((number.bit_length() + 7) // 8, "big")
    decoded = bytes(zeros) + body
    if len(decoded) != ADDRESS_BYTES:
        raise BadInput("not a base58 address")
    payload, checksum = decoded[:-CHECKSUM_BYTES], decoded[-CHECKSUM_BYTES:]
    if hashlib.sha256(hashlib.sha256(payload).digest()).digest()[:CHECKSUM_BYTES] != checksum:
        raise BadInput("the checksum is wrong")
    return decoded[0]


def encode(payload: bytes) -> str:
    """The address of 21 bytes, the first of which says of what kind it is."""
    assert len(payload) == ADDRESS_BYTES - CHECKSUM_BYTES, "a version and twenty bytes"
    checksum = hashlib.sha256(hashlib.sha256(payload).digest()).digest()[:CHECKSUM_BYTES]
    number, text = int.from_bytes(payload + checksum, "big"), ""
    while number:
        number, place = divmod(number, 58)
        text = ALPHABET[place] + text
    zeros = len(payload) - len(payload.lstrip(b"\0"))
    return ALPHABET[0] * zeros + text
