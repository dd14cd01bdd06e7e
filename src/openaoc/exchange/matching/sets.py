"""Matching: the set one side publishes: truncated outputs in their own order, padded to a size.

Pure. Shows neither how many identifiers there are (only a power of two above) nor which entry came
first; without the key's owner nobody can try an identifier against it.
"""

from __future__ import annotations

import bisect
import hashlib
import hmac
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec

from openaoc.exchange.matching.oprf import INPUT_BYTES_MAX, OUTPUT_BYTES
from openaoc.kernel.errors import BadInput, TooLarge

TAG_BYTES: Final = 12
"""96 bits: 100,000 questions against two million entries meet by chance once in 2^58 runs."""
ENTRIES_MIN: Final = 1_024
ENTRIES_MAX: Final = 2**21
ENTRIES_PER_PAGE: Final = 32_768
"""A page in base64 stays below what one reply may have."""
KIND_CHARACTERS_MAX: Final = 40
VALUE_BYTES_MAX: Final = 1_024
_PAD: Final = b"openaoc match padding\0"


class Identifier(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """An identifier in the form both sides compute with: its kind, and its normalised value."""

    kind: str
    value: str

    def encoded(self) -> bytes:
        """The function's input. Raises BadInput, TooLarge."""
        if not 0 < len(self.kind) <= KIND_CHARACTERS_MAX or not self.kind.isascii():
            raise BadInput("not a kind of identifier", where=self.kind[:KIND_CHARACTERS_MAX])
        value = unicodedata.normalize("NFC", self.value).encode("utf-8")
        if not value or b"\0" in value:
            raise BadInput("empty, or with a NUL character", where=self.kind)
        if len(value) > VALUE_BYTES_MAX:
            raise TooLarge(f"at most {VALUE_BYTES_MAX} bytes", where=self.kind)
        item = self.kind.encode("ascii") + b"\0" + value
        assert len(item) <= INPUT_BYTES_MAX, "kinds and values are far shorter"
        return item


def decoded(item: bytes) -> Identifier:
    """The identifier of an input that `encoded` made."""
    kind, _, value = item.partition(b"\0")
    return Identifier(kind=kind.decode("ascii"), value=value.decode("utf-8"))


class TagSet:
    """Sorted tags in one piece of memory; a look-up is a binary search."""

    def __init__(self, blob: bytes) -> None:
        """`blob` as `build` makes it. Raises BadInput for another length or order."""
        if len(blob) % TAG_BYTES or not 0 < len(blob) // TAG_BYTES <= ENTRIES_MAX:
            raise BadInput("not a set of tags")
        self.blob = blob
        previous = b""
        for tag in self:
            if tag <= previous:
                raise BadInput("tags are not in their order")
            previous = tag

    def __len__(self) -> int:
        return len(self.blob) // TAG_BYTES

    def __iter__(self) -> Iterator[bytes]:
        for start in range(0, len(self.blob), TAG_BYTES):
            yield self.blob[start : start + TAG_BYTES]

    def at(self, place: int) -> bytes:
        """The tag in this place."""
        return self.blob[place * TAG_BYTES : (place + 1) * TAG_BYTES]

    def find(self, tag: bytes) -> int | None:
        """The tag's place, None if it is not in the set."""
        place = bisect.bisect_left(range(len(self)), tag, key=self.at)
        return place if place < len(self) and self.at(place) == tag else None

    def __contains__(self, tag: bytes) -> bool:
        return self.find(tag) is not None

    def digest(self) -> str:
        """SHA-256 over all of it, in hexadecimal: whether every page arrived whole."""
        return hashlib.sha256(self.blob).hexdigest()

    def page(self, number: int) -> bytes:
        """The tags of one page; empty past the end."""
        size = ENTRIES_PER_PAGE * TAG_BYTES
        return self.blob[number * size : (number + 1) * size]


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """The set to publish, and privately the input behind each tag, in its place: empty if none."""

    tags: TagSet
    items: list[bytes]


def tag_of(output: bytes) -> bytes:
    """The published part of an output."""
    assert len(output) == OUTPUT_BYTES, "a whole output"
    return output[:TAG_BYTES]


def size_class(count: int) -> int:
    """How many entries a set of so many identifiers is padded to. Raises TooLarge."""
    if count > ENTRIES_MAX:
        raise TooLarge(f"at most {ENTRIES_MAX} identifiers can be matched")
    size = ENTRIES_MIN
    while size < count:
        size *= 2
    return size


def build(
    identifiers: Sequence[Identifier],
    *,
    key: bytes,
    evaluate_all: Callable[[bytes, Sequence[bytes]], Sequence[bytes]],
) -> Published:
    """The padded set under a key; `evaluate_all(key, inputs)` gives their outputs.

    The padding follows from the key: a set that is made again differs in nothing but what is new.
    Raises BadInput and TooLarge for identifiers that cannot be matched.
    """
    items = sorted({one.encoded() for one in identifiers})
    size = size_class(len(items))
    outputs = evaluate_all(key, items)
    by_tag = {tag_of(output): item for output, item in zip(outputs, items, strict=True)}
    number = 0
    while len(by_tag) < size:
        padding = hmac.digest(key, _PAD + number.to_bytes(8, "big"), hashlib.sha512)
        by_tag.setdefault(padding[:TAG_BYTES], b"")
        number += 1
    order = sorted(by_tag)
    return Published(tags=TagSet(b"".join(order)), items=[by_tag[tag] for tag in order])
