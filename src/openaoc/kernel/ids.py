"""Typed ids.

A case number can be read over the telephone: no letter that sounds or looks like a digit, and a
check character.
"""

from __future__ import annotations

import contextlib
import unicodedata
import uuid
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Final, NewType

from openaoc.kernel.randomness import random_bytes

CaseId = NewType("CaseId", str)
ReportId = NewType("ReportId", str)
OrderId = NewType("OrderId", str)
UserId = NewType("UserId", str)
KeyId = NewType("KeyId", str)
InstitutionCode = NewType("InstitutionCode", str)

ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: without I, L, O, U."""
CASE_BYTES: Final = 8
"""Drawn for a case number."""
REPORT_PREFIX: Final = "rep_"
ORDER_PREFIX: Final = "ord_"
USER_PREFIX: Final = "usr_"
USER_BYTES: Final = 16
"""Drawn for a user id."""
_SPOKEN_CASE: Final = "A0C"
_SPOKEN_ORDER: Final = "0RD_"
_SOUNDS_LIKE: Final = str.maketrans({"O": "0", "I": "1", "L": "1"})
_UNSPOKEN: Final = frozenset({"Cc", "Cf", "Cs", "Pd", "Zs"})
_MULTIPLIER: Final = 3
_MODULUS: Final = 31


def _check_character(body: str) -> str:
    """Horner's rule modulo a prime: finds one wrong character (but 0 for Z) and two exchanged."""
    total = 0
    for character in body:
        total = (total * _MULTIPLIER + ALPHABET.index(character) + 1) % _MODULUS
    return ALPHABET[total]


_drawn: ContextVar[Callable[[int], bytes]] = ContextVar("drawn", default=random_bytes)


@contextlib.contextmanager
def ids_drawn_from(source: Callable[[int], bytes]) -> Iterator[None]:
    """Inside the block, and in this thread alone, ids come from `source` (bytes by count).

    For simulations, whose ids must be the same each time: whoever knows the source knows the ids.
    """
    token = _drawn.set(source)
    try:
        yield
    finally:
        _drawn.reset(token)


def random_text(length: int) -> str:
    """`length` characters of Crockford base 32, five random bits each."""
    return _text_of(_drawn.get()(length))


def _text_of(drawn: bytes) -> str:
    return "".join(ALPHABET[byte & 31] for byte in drawn)


def new_case_id() -> CaseId:
    """A fresh case number such as `AOC-7K3M-9QX2-K`: 40 random bits and a check character."""
    return case_id_of(_drawn.get()(CASE_BYTES))


def case_id_of(drawn: bytes) -> CaseId:
    """The case number that these CASE_BYTES bytes make, five bits of each."""
    assert len(drawn) == CASE_BYTES, "one byte a character"
    body = _text_of(drawn)
    return CaseId(f"AOC-{body[:4]}-{body[4:]}-{_check_character(body)}")


def is_case_id(text: str) -> bool:
    """Whether the text has a case number's form and its check character is right."""
    parts = text.split("-")
    if [len(part) for part in parts] != [3, 4, 4, 1] or parts[0] != "AOC":
        return False
    body = parts[1] + parts[2]
    return all(c in ALPHABET for c in body) and parts[3] == _check_character(body)


def as_spoken(text: str) -> str:
    """A number, secret or code as people type it, in the letters of ALPHABET, for comparing.

    Thai and full-width digits, small letters, O for 0, I and L for 1; spaces and dashes are gone.
    """
    letters = "".join(
        str(unicodedata.digit(letter)) if letter.isdecimal() else letter
        for letter in unicodedata.normalize("NFKC", text)
        if unicodedata.category(letter) not in _UNSPOKEN
    )
    return letters.upper().translate(_SOUNDS_LIKE)


def read_number(text: str) -> str:
    """A case's or an order's number as we write it, however it was typed; other text as it is."""
    plain = as_spoken(text)
    if plain.startswith(_SPOKEN_CASE) and len(plain) == len(_SPOKEN_CASE) + CASE_BYTES + 1:
        return f"AOC-{plain[3:7]}-{plain[7:11]}-{plain[11:]}"
    if plain.startswith(_SPOKEN_ORDER):
        return ORDER_PREFIX + plain.removeprefix(_SPOKEN_ORDER).lower()
    return text


def new_report_id() -> ReportId:
    """A fresh report id: 100 random bits."""
    return ReportId(REPORT_PREFIX + random_text(20).lower())


def new_order_id() -> OrderId:
    """A fresh hold-order id: 100 random bits."""
    return OrderId(ORDER_PREFIX + random_text(20).lower())


def new_user_id() -> UserId:
    """A fresh user id."""
    return UserId(USER_PREFIX + random_text(USER_BYTES).lower())


def is_user_id(text: str) -> bool:
    """Whether the text has a user id's form."""
    prefix, body = text[: len(USER_PREFIX)], text[len(USER_PREFIX) :]
    return prefix == USER_PREFIX and len(body) == USER_BYTES and set(body.upper()) <= set(ALPHABET)


def new_key_id() -> KeyId:
    """A fresh key id."""
    return KeyId("key_" + random_text(16).lower())


def new_appeal_id() -> str:
    """A fresh contest number such as `APL-7K3M-9QX2-K`, as readable as a case number."""
    body = random_text(8)
    return f"APL-{body[:4]}-{body[4:]}-{_check_character(body)}"


def new_indicator_id() -> str:
    """A fresh indicator id: a random UUID, in the form in which others name shared objects."""
    return f"indicator--{uuid.UUID(bytes=_drawn.get()(16), version=4)}"
