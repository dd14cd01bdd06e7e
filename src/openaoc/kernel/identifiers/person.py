"""A person, by the document that names them: kept as a pseudonym, never as the number.

Every centre computes the same one, so that two can find by matching whom both know. It is made
slowly on purpose: whoever gets hold of pseudonyms cannot try all numbers there are.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

from openaoc.kernel.errors import BadInput
from openaoc.kernel.identifiers.text import cleaned

SALT: Final = b"openaoc person v1"
"""The same everywhere: another one would make another pseudonym."""
SCRYPT_N: Final = 2**14
SCRYPT_R: Final = 8
DIGEST_BYTES: Final = 16
DIGITS_MIN: Final = 4
"""A document's number has some; a name has none."""
_PSEUDONYM: Final = re.compile(r"[A-Z]{2}:[0-9a-f]{32}")
_COUNTRY: Final = re.compile(r"[A-Z]{2}")
_NUMBER: Final = re.compile(r"[A-Z0-9]{5,20}")
_APART: Final = re.compile(r"[\s.\-/]")
_THAI: Final = re.compile(r"[1-8][0-9]{12}")


def normalise_person(text: str) -> str:
    """`CC:` and 32 hexadecimal digits, of `CC:NUMBER` or of itself; some 50 ms for a number.

    `CC` is the country that issued the document (ISO 3166 alpha-2). Raises BadInput, without the
    number, for anything else: a number without its country is no identity.
    """
    value = cleaned(text)
    if _PSEUDONYM.fullmatch(value):
        return value
    country, _, written = value.partition(":")
    country, number = country.strip().upper(), _APART.sub("", written).upper()
    digits = sum(one.isdecimal() for one in number)
    if not _COUNTRY.fullmatch(country) or not _NUMBER.fullmatch(number) or digits < DIGITS_MIN:
        raise BadInput("write CC:NUMBER, the document's country and number")
    if country == "TH" and number.isdecimal() and not _is_thai(number):
        raise BadInput("not a Thai national number")
    digest = hashlib.scrypt(
        f"{country}:{number}".encode("ascii"),
        salt=SALT,
        n=SCRYPT_N,
        r=SCRYPT_R,
        p=1,
        dklen=DIGEST_BYTES,
    )
    return f"{country}:{digest.hex()}"


def check_pseudonym(text: str) -> str:
    """The text itself, from somebody else. Raises BadInput for a document's number.

    Nobody outside is to send us one; and making a thousand pseudonyms takes a minute.
    """
    if not _PSEUDONYM.fullmatch(text):
        raise BadInput("a person is named by the pseudonym, never by the document")
    return text


def _is_thai(number: str) -> bool:
    """Thirteen digits, the last of which checks the others."""
    if not _THAI.fullmatch(number):
        return False
    total = sum(int(digit) * (13 - place) for place, digit in enumerate(number[:-1]))
    return (11 - total % 11) % 10 == int(number[-1])


def mask_person(value: str) -> str:
    """The country alone."""
    return f"{value.partition(':')[0]}:••••"
