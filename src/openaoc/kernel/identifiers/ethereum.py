"""An address of ethereum and the chains like it, with the checksum in its capitals (EIP-55)."""

from __future__ import annotations

import re
from typing import Final

from openaoc.kernel.errors import BadInput
from openaoc.kernel.identifiers.keccak import keccak_256
from openaoc.kernel.identifiers.text import cleaned

_FORM: Final = re.compile(r"0x[0-9a-fA-F]{40}")
_CAPITAL_FROM: Final = 8


def normalise_ethereum(text: str) -> str:
    """`0x` and 40 lower-case digits: capitals only check, and others write without them.

    Raises BadInput for another form and for capitals that do not agree with the checksum.
    """
    value = cleaned(text)
    if value[:9].lower() == "ethereum:":
        value = re.split(r"[@?/]", value[9:], maxsplit=1)[0]
    if value[:2] == "0X":
        value = "0x" + value[2:]
    if not _FORM.fullmatch(value):
        raise BadInput("not 0x and 40 hexadecimal digits")
    digits = value[2:]
    if digits not in (digits.lower(), digits.upper()) and value != with_checksum(value.lower()):
        raise BadInput("the checksum is wrong")
    return value.lower()


def with_checksum(value: str) -> str:
    """A normalised address with the capitals of EIP-55, as wallets show it."""
    digits = value[2:]
    digest = keccak_256(digits.encode("ascii")).hex()
    return "0x" + "".join(
        digit.upper() if int(check, 16) >= _CAPITAL_FROM else digit
        for digit, check in zip(digits, digest, strict=False)
    )
