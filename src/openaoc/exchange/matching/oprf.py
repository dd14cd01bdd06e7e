"""Matching: the oblivious pseudorandom function OPRF(ristretto255, SHA-512) of RFC 9497.

Whoever asks learns the function's output and not the key; whoever answers learns nothing of what
was asked. Pure: keeps no key. Never the verifiable mode: whose key it is, the signature says.
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec
import rbcl

from openaoc.kernel.errors import BadInput

ELEMENT_BYTES: Final = 32
SCALAR_BYTES: Final = 32
OUTPUT_BYTES: Final = 64
INPUT_BYTES_MAX: Final = 2**16 - 1
"""Two bytes say an input's length (RFC 9497 §3.1)."""
DERIVE_ATTEMPTS_MAX: Final = 256
_CONTEXT: Final = b"OPRFV1-\x00-ristretto255-SHA512"
_GROUP: Final = b"HashToGroup-" + _CONTEXT
_DERIVE: Final = b"DeriveKeyPair" + _CONTEXT
_WIDE: Final = 64
"""Bytes that are hashed to a point or a scalar (RFC 9497 §4.1)."""
_SHA512_BLOCK: Final = 128
_ZERO: Final = bytes(SCALAR_BYTES)
_IDENTITY: Final = bytes(ELEMENT_BYTES)


class BadElement(BadInput):
    """Not an element of the group."""


class Blinded(msgspec.Struct, frozen=True, kw_only=True):
    """What one input became: the element to send, and what undoes the blinding, to keep."""

    element: bytes
    undo: bytes

    def __repr__(self) -> str:
        return "Blinded(…)"


def expand_message_xmd(message: bytes, *, tag: bytes, length: int) -> bytes:
    """`length` uniform bytes of a message under a domain's tag (RFC 9380 §5.3.1, SHA-512)."""
    rounds = -(-length // OUTPUT_BYTES)
    assert 0 < len(tag) <= 255, "a domain's tag is 1 to 255 bytes"  # noqa: PLR2004 - RFC 9380
    assert 0 < rounds <= 255, "at most 255 blocks"  # noqa: PLR2004 - RFC 9380
    domain = tag + bytes([len(tag)])
    head = hashlib.sha512(
        bytes(_SHA512_BLOCK) + message + length.to_bytes(2, "big") + b"\x00" + domain
    ).digest()
    block = hashlib.sha512(head + b"\x01" + domain).digest()
    blocks = [block]
    for number in range(2, rounds + 1):
        mixed = bytes(a ^ b for a, b in zip(head, block, strict=True))
        block = hashlib.sha512(mixed + bytes([number]) + domain).digest()
        blocks.append(block)
    return b"".join(blocks)[:length]


def derive_key(seed: bytes, *, info: bytes) -> bytes:
    """The secret key of 32 seed bytes and a public text (RFC 9497 §3.2.1)."""
    assert len(seed) == SCALAR_BYTES, "a seed has 32 bytes"
    stem = seed + len(info).to_bytes(2, "big") + info
    for counter in range(DERIVE_ATTEMPTS_MAX):
        wide = expand_message_xmd(stem + bytes([counter]), tag=_DERIVE, length=_WIDE)
        key: bytes = rbcl.crypto_core_ristretto255_scalar_reduce(wide)
        if key != _ZERO:
            return key
    raise AssertionError("unreachable: 256 hashes in a row are not zero")


def blind(item: bytes) -> Blinded:
    """Hide an input behind a fresh random scalar."""
    return blind_by(item, scalar=rbcl.crypto_core_ristretto255_scalar_random())


def blind_by(item: bytes, *, scalar: bytes) -> Blinded:
    """As `blind`, by this scalar: each is used once."""
    return Blinded(
        element=rbcl.crypto_scalarmult_ristretto255(scalar, _point(item)),
        undo=rbcl.crypto_core_ristretto255_scalar_invert(scalar),
    )


def random_element() -> bytes:
    """An element that hides nothing: it looks as a blinded one does."""
    element: bytes = rbcl.crypto_core_ristretto255_random()
    return element


def evaluate_blinded(key: bytes, element: bytes) -> bytes:
    """The answer to a blinded element. Raises BadElement for what is none."""
    if len(element) != ELEMENT_BYTES or element == _IDENTITY:
        raise BadElement(f"an element has {ELEMENT_BYTES} bytes and is not the identity")
    try:
        answer: bytes = rbcl.crypto_scalarmult_ristretto255(key, element)
    except RuntimeError as error:
        raise BadElement("not an element of ristretto255") from error
    return answer


def finalize(item: bytes, *, undo: bytes, answer: bytes) -> bytes:
    """The output of an input from the answer to its blinded element. Raises BadElement."""
    return _output(item, evaluate_blinded(undo, answer))


def evaluate(key: bytes, item: bytes) -> bytes:
    """The output of an input, for who has the key: the same as blind, evaluate and finalize."""
    return _output(item, rbcl.crypto_scalarmult_ristretto255(key, _point(item)))


def _point(item: bytes) -> bytes:
    assert len(item) <= INPUT_BYTES_MAX, "checked where inputs are made"
    wide = expand_message_xmd(item, tag=_GROUP, length=_WIDE)
    point: bytes = rbcl.crypto_core_ristretto255_from_hash(wide)
    assert point != _IDENTITY, "one of 2^252 hashes"
    return point


def _output(item: bytes, element: bytes) -> bytes:
    return hashlib.sha512(
        len(item).to_bytes(2, "big")
        + item
        + len(element).to_bytes(2, "big")
        + element
        + b"Finalize"
    ).digest()
