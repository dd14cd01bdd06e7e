"""A tron address: base58check with its own first byte. Mostly carries dollar tokens."""

from __future__ import annotations

from typing import Final

from openaoc.kernel.errors import BadInput
from openaoc.kernel.identifiers import base58
from openaoc.kernel.identifiers.text import cleaned

VERSION: Final = 0x41


def normalise_tron(text: str) -> str:
    """The address as written. Raises BadInput for a wrong form or checksum."""
    value = cleaned(text)
    if base58.version_of(value) != VERSION:
        raise BadInput("not an address of tron's main network")
    return value
