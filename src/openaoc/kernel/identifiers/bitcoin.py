"""A bitcoin address: base58check (P2PKH, P2SH) or bech32 and bech32m (BIP 173, BIP 350)."""

from __future__ import annotations

from typing import Final

from openaoc.kernel.errors import BadInput
from openaoc.kernel.identifiers import base58
from openaoc.kernel.identifiers.text import cleaned, masked

SHOWN_CHARACTERS: Final = 4
VERSIONS: Final = frozenset({0x00, 0x05})
"""Main network: pay to public-key hash, pay to script hash."""
PREFIX: Final = "bc"
SYMBOLS: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
CHARACTERS_MAX: Final = 90
_GENERATOR: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_BECH32: Final = 1
_BECH32M: Final = 0x2BC830A3
_CHECKSUM_SYMBOLS: Final = 6
_VERSION_MAX: Final = 16
_SYMBOL_BITS: Final = 5
"""Bits of a letter of bech32: what is left over is less (BIP 173)."""
_PROGRAM_BYTES: Final = range(2, 41)
_PROGRAM_BYTES_V0: Final = (20, 32)


def normalise_bitcoin(text: str) -> str:
    """The address; bech32 in lower case. Raises BadInput for a wrong form or checksum."""
    value = cleaned(text)
    if value[:8].lower() == "bitcoin:":
        value = value[8:].partition("?")[0]
    if value[:3].lower() == f"{PREFIX}1":
        return _segwit(value)
    if base58.version_of(value) not in VERSIONS:
        raise BadInput("not an address of bitcoin's main network")
    return value


def _segwit(text: str) -> str:
    value = text.lower()
    if text not in (value, text.upper()):
        raise BadInput("upper and lower case are mixed")
    if len(value) > CHARACTERS_MAX:
        raise BadInput("too long for an address")
    symbols = [SYMBOLS.find(character) for character in value[len(PREFIX) + 1 :]]
    if -1 in symbols or len(symbols) <= _CHECKSUM_SYMBOLS:
        raise BadInput("a character that is not bech32")
    version, program = symbols[0], symbols[1:-_CHECKSUM_SYMBOLS]
    expected = _BECH32 if version == 0 else _BECH32M
    head = [ord(c) >> 5 for c in PREFIX] + [0] + [ord(c) & 31 for c in PREFIX]
    if _polymod([*head, *symbols]) != expected:
        raise BadInput("the checksum is wrong")
    size, spare = divmod(len(program) * 5, 8)
    padding = program[-1] & ((1 << spare) - 1) if program else 1
    allowed = size in _PROGRAM_BYTES_V0 if version == 0 else size in _PROGRAM_BYTES
    if version > _VERSION_MAX or not allowed or spare >= _SYMBOL_BITS or padding:
        raise BadInput("no such kind of address")
    return value


def _polymod(symbols: list[int]) -> int:
    """The BCH checksum of BIP 173 over 5-bit symbols."""
    check = 1
    for symbol in symbols:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ symbol
        for bit, generator in enumerate(_GENERATOR):
            if top >> bit & 1:
                check ^= generator
    return check


def mask_wallet(value: str) -> str:
    """The last four characters at most."""
    return masked(value, shown=SHOWN_CHARACTERS)
