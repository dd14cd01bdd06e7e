"""Protection: which names, accounts and numbers an object speaks of, in whatever field.

Pure. A name that is meant and a name that is spoken of are the same text here when they are the
same person's; it rather finds one too many than one too few.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

from openaoc.exchange.objects import (
    FIELDS,
    PERSONAL_IDENTIFIERS,
    FieldForm,
    SharedObject,
)
from openaoc.kernel.errors import BadInput
from openaoc.kernel.identifiers.kinds import REGION, Kind, account_parts, account_value, normalise

PERSON_NAME: Final = "person_name"
DOCUMENTS: Final = ("national_id", "passport")
"""Kinds of a mark by which somebody has a pseudonym too."""
NUMBERED: Final = frozenset({"phone", "promptpay", "whatsapp", "zalo", "line"})
"""Kinds whose value may be a telephone number: the same number is the same person's."""
DIGITS_MIN: Final = 6
DIGITS_COMPARED: Final = 8
"""The last digits of a number: with and without country code they are the same."""
LONG_CHARACTERS: Final = 25
"""A word as long as this may be a wallet."""
WORDS_OF_A_NAME: Final = (2, 3)
_UNREAD: Final = frozenset({"identifier_kind", "token", "status", "tier", "currency", "language"})
_DIGITS: Final = re.compile(r"\d(?:[\s.\-/()]{0,2}\d)+")
_EDGES: Final = ".,;:!?()[]{}<>\"'|@…"


def normalised(kind: str, value: str, *, region: str = REGION) -> str:
    """The value as indicators of this kind keep it. Raises BadInput."""
    if kind in frozenset(Kind):
        return normalise(Kind(kind), value, region=region)
    if kind not in PERSONAL_IDENTIFIERS:
        raise BadInput("no kind of identifier", where=kind)
    return " ".join(value.split())


def names_meant(kind: str, value: str) -> frozenset[str]:
    """All texts by which a normalised identifier of a marked person may be spoken of."""
    found = {typed(kind, value)}
    if kind == Kind.BANK_ACCOUNT:
        found.update(_numbers(account_parts(value)[1]))
    elif kind in NUMBERED or kind in PERSONAL_IDENTIFIERS - {Kind.PERSON}:
        found.update(_numbers(value))
    if kind in DOCUMENTS:
        found.update(_pseudonym(value))
    if kind != Kind.BANK_ACCOUNT:
        found.add(_plain(value))
    return frozenset(found)


def _pseudonym(document: str) -> Iterator[str]:
    """By which a person with this document is matched; of our own country where it names none."""
    written = document if ":" in document else f"{REGION}:{document}"
    try:
        yield typed(Kind.PERSON, normalise(Kind.PERSON, written))
    except BadInput:
        return


def names_spoken(shared: SharedObject) -> frozenset[str]:
    """All texts of the object that may be a person's identifier or name."""
    found = {typed(kind, value) for kind, value in shared.about}
    fields = shared.fields
    kind, value = fields.get("identifier_kind"), fields.get("value")
    read = set(fields) - _UNREAD
    if isinstance(kind, str) and isinstance(value, str):
        found.add(typed(kind, value))
        if kind in frozenset(Kind):
            # A number without its bank is no identity: only the whole is compared.
            read.discard("value")
    bank, account = fields.get("institution"), fields.get("account")
    if isinstance(bank, str) and isinstance(account, str):
        found.add(_account(bank, account))
        read -= {"institution", "account"}
    for name in read:
        if FIELDS[shared.kind][name].form is FieldForm.TIME:
            continue
        content = fields[name]
        for text in content if isinstance(content, tuple) else (content,):
            if isinstance(text, str):
                found.update(_in_text(text))
    return frozenset(found)


def typed(kind: str, value: str) -> str:
    """One identifier as itself; a telephone number is the same in every kind."""
    if kind in NUMBERED:
        digits = _digits(value)
        if len(digits) >= DIGITS_COMPARED:
            return f"number\0{digits[-DIGITS_COMPARED:]}"
    return f"{kind}\0{_folded(value)}"


def _account(bank: str, account: str) -> str:
    try:
        return typed(Kind.BANK_ACCOUNT, account_value(bank=bank, account=account))
    except BadInput:
        return typed(Kind.BANK_ACCOUNT, f"{bank}:{account}")


def _in_text(text: str) -> Iterator[str]:
    """Numbers, words that may be handles or wallets, and neighbouring words that may be names."""
    yield _plain(text)
    yield from _numbers(text)
    words = [word.strip(_EDGES) for word in _folded(text).split(" ")]
    for word in words:
        if len(word) >= LONG_CHARACTERS or any(c.isdecimal() or c in "@_." for c in word):
            yield _plain(word)
    for size in WORDS_OF_A_NAME:
        for start in range(len(words) - size + 1):
            yield _plain(" ".join(words[start : start + size]))


def _numbers(text: str) -> Iterator[str]:
    for run in _DIGITS.findall(unicodedata.normalize("NFKC", text)):
        digits = _digits(run)
        if len(digits) >= DIGITS_MIN:
            yield f"digits\0{digits[-DIGITS_COMPARED:]}"


def _digits(text: str) -> str:
    """Its digits as 0 to 9, whatever script they are in."""
    return "".join(str(unicodedata.decimal(c)) for c in text if c.isdecimal())


def _plain(text: str) -> str:
    return f"plain\0{_folded(text).strip(_EDGES)}"


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
