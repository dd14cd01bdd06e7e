"""Exchange: what becomes of one value on its way out: as it is, masked, a pseudonym.

Pure functions; the key of the pseudonym is the caller's.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime
from typing import Final

from openaoc.exchange.agreement import Minimisation
from openaoc.exchange.objects import FieldForm, FieldValue
from openaoc.kernel.clock import format_time, parse_time

SHOWN_CHARACTERS_MAX: Final = 4
SHOWN_SHARE: Final = 3
"""At most a third of a text is left: of three characters one, of six two."""
HIDDEN: Final = "•"
PSEUDONYM_CHARACTERS: Final = 32


def minimise(
    value: FieldValue, how: Minimisation, *, form: FieldForm, scope: str, key: bytes
) -> FieldValue:
    """The value as it may leave. `scope` keeps pseudonyms of different fields apart.

    The caller drops what is dropped.
    """
    assert how is not Minimisation.DROPPED, "nothing is left of what is dropped"
    if how is Minimisation.AS_IS:
        return value
    if isinstance(value, tuple):
        return tuple(_text(one, how, scope=scope, key=key) for one in value)
    if isinstance(value, int):
        assert how is Minimisation.MASKED, "a number has no pseudonym"
        return _size(value)
    if form is FieldForm.TIME:
        assert how is Minimisation.MASKED, "a time has no pseudonym"
        return _day(value)
    return _text(value, how, scope=scope, key=key)


def _text(text: str, how: Minimisation, *, scope: str, key: bytes) -> str:
    if how is Minimisation.MASKED:
        shown = min(SHOWN_CHARACTERS_MAX, len(text) // SHOWN_SHARE)
        return HIDDEN * SHOWN_CHARACTERS_MAX + text[len(text) - shown :]
    digest = hmac.digest(key, f"{scope}\0{text}".encode(), hashlib.sha256)
    return digest.hex()[:PSEUDONYM_CHARACTERS]


def _size(number: int) -> int:
    """The number's first digit, zeros behind it."""
    size: int = 10 ** (len(str(abs(number))) - 1)
    kept = abs(number) // size * size
    return kept if number >= 0 else -kept


def _day(text: str) -> str:
    moment: datetime = parse_time(text)
    return format_time(moment.replace(hour=0, minute=0, second=0, microsecond=0))


def epoch_of(now: datetime) -> str:
    """The month in which a pseudonym stays the same."""
    return now.strftime("%Y-%m")
