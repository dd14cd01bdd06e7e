"""A telephone number, kept as E.164. Read by `phonenumbers`; never guesses a country."""

from __future__ import annotations

import re
from typing import Final

from openaoc.kernel.errors import BadInput
from openaoc.kernel.identifiers.text import cleaned, masked

SHOWN_CHARACTERS: Final = 4
_LOOKALIKES: Final = str.maketrans({"O": "0", "o": "0", "l": "1", "I": "1"})
_LETTERS_ALLOWED: Final = re.compile(r"(?i:tel:|phone:)")
_ACCOUNT_STYLE: Final = re.compile(r"\d{3}-\d-\d{5}-\d")
"""How Thai banks print accounts; the library would take one for a mobile number."""


def normalise_phone(text: str, *, region: str) -> str:
    """E.164, such as `+66812345678`, of a number as written in `region` (ISO 3166 alpha-2).

    Raises BadInput for what is no number anybody can be reached at, and for the style in which
    banks write accounts.
    """
    import phonenumbers

    value = _LETTERS_ALLOWED.sub("", cleaned(text)).translate(_LOOKALIKES).strip()
    if _ACCOUNT_STYLE.fullmatch(value):
        raise BadInput("written as banks write accounts")
    if any(character.isalpha() for character in value):
        raise BadInput("letters in a telephone number")
    try:
        number = phonenumbers.parse(value, region)
    except phonenumbers.NumberParseException as error:
        raise BadInput("not a telephone number") from error
    if number.extension or not phonenumbers.is_valid_number(number):
        raise BadInput("not a telephone number in use")
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def mask_phone(value: str) -> str:
    """The last four digits at most."""
    return masked(value, shown=SHOWN_CHARACTERS)
