"""An account at an institution.

A number without its bank is not an identity: two banks share numbers.
"""

from __future__ import annotations

import unicodedata
from typing import Final

from openaoc.kernel.errors import BadInput
from openaoc.kernel.limits import ACCOUNT_CHARACTERS_MAX, BANK_CHARACTERS_MAX

DROPPED: Final = " -./"
"""Characters people and systems put between an account's digits; they carry nothing."""
_DROP_TABLE: Final = str.maketrans("", "", DROPPED)
SHOWN_CHARACTERS: Final = 4


def _refuse_control(text: str, what: str, where: str) -> None:
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        raise BadInput(f"{what} contains a control character", where=where)


def normalise_bank(code: str, *, where: str = "") -> str:
    """The institution code upper-cased.

    Raises BadInput when empty, too long or with control characters.
    """
    value = code.upper()
    if not value.strip():
        raise BadInput("institution code is empty", where=where)
    if len(value) > BANK_CHARACTERS_MAX:
        raise BadInput(
            f"institution code is longer than {BANK_CHARACTERS_MAX} characters", where=where
        )
    _refuse_control(value, "institution code", where)
    return value


def normalise_account(number: str, *, where: str = "") -> str:
    """The account upper-cased, without space `-` `.` `/`, leading zeros kept.

    Raises BadInput when nothing is left, when too long, or with control characters.
    """
    value = number.upper().translate(_DROP_TABLE)
    if not value:
        raise BadInput("account is empty", where=where)
    if len(value) > ACCOUNT_CHARACTERS_MAX:
        raise BadInput(f"account is longer than {ACCOUNT_CHARACTERS_MAX} characters", where=where)
    _refuse_control(value, "account", where)
    return value


def mask_account(account: str) -> str:
    """For logs and pages that need not know: all but the last four characters hidden."""
    hidden = max(len(account) - SHOWN_CHARACTERS, 0)
    return "•" * hidden + account[hidden:]
