"""Practice: personal data out of a text, before anybody else reads it. Pure.

Names as the report gives them, and everything that has the form of a number, account, address or
handle, become typed places. What has no form (a name nobody gave us) is for a person to find.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from openaoc.kernel.errors import BadInput

TEXT_CHARACTERS_MAX: Final = 20_000
NAMES_MAX: Final = 50
PART_CHARACTERS_MIN: Final = 3
"""A shorter part of a name is a common word in some language."""
_INVISIBLE: Final = frozenset({"Cf", "Cs", "Co"})
_TITLE: Final = (
    r"(?:(?:\b(?:mr|mrs|ms|miss|dr)\b\.?|นางสาว|น\.ส\.|นาย|นาง|ด\.ต\.|พ\.ต\.[อทต]\.)\s*)?"
)
_HOST: Final = r"(?:[\w-]{1,63}\.){1,8}"
_ENDING: Final = r"(?:[a-z]{2,24}|xn--[a-z0-9-]{2,59})(?![\w@])"
_REST: Final = r"[^\s<>\"'\u0e00-\u0fff\u3000-\u9fff]"
_PLATFORM: Final = "line|ไลน์|telegram|เทเลแกรม|zalo|wechat|whatsapp|facebook|微信|微信号|tiktok"
_FORMS: Final = (
    ("url", rf"(?:(?:https?|hxxps?|htxps?|ftp)\s?:\s?/{{0,2}}\s?|www\s?\.){_REST}+"),
    ("email", rf"(?:mailto:)?[a-z0-9._%+-]{{1,64}}\s?@\s?{_HOST}{_ENDING}"),
    ("url", rf"(?<![\w@.]){_HOST}{_ENDING}(?:/{_REST}*)?"),
    ("wallet", r"\b(?:0x[0-9a-f]{40}|bc1[a-z0-9]{11,71}|[13][a-km-z1-9]{25,34}|T[a-z1-9]{33})\b"),
    ("handle", rf"(?:(?:{_PLATFORM})\s?(?:id|ไอดี|号|:|=|名)[\s:=]{{0,3}})@?[a-z0-9._-]{{3,40}}"),
    ("handle", r"(?<![\w.])@[a-z0-9._-]{3,40}"),
    ("document", r"\b[a-z]{1,2}\s?\d{6,8}\b"),
)
KINDS: Final = (
    *("account", "document", "email", "handle", "id", "name", "national-id", "number", "phone"),
    *("url", "wallet"),
)
"""What a place may stand for."""
_PLACES: Final = re.compile(rf"(\[(?:{'|'.join(KINDS)})\])")
_DOT: Final = re.compile(r"\s?[\[({]\s?(?:\.|dot)\s?[\])}]\s?", re.IGNORECASE)
_AT: Final = re.compile(r"\s?[\[({]\s?(?:@|at)\s?[\])}]\s?", re.IGNORECASE)
_COMPILED: Final = tuple((kind, re.compile(form, re.IGNORECASE)) for kind, form in _FORMS)
_NUMBER: Final = re.compile(
    r"(?<!\d)\+?\(?\d[\d\s().\u00b7\u2022\u2010-\u2015\u2212/_-]{2,40}\d(?!\d)|\d{5,}"
)
_MONEY: Final = re.compile(r"[1-9]\d{0,2}(?:\.\d{3})*\.000")
"""A round sum as it is written with points; anything else with points may be an account."""
_AM: Final = (("\u0e4d\u0e32", "\u0e33"), ("\u0ecd\u0eb2", "\u0eb3"))
"""The vowel am of Thai and Lao, which the compatibility form takes apart."""
_DIGITS_MIN: Final = 6
"""Fewer digits are an amount, a year or a time of day."""
NATIONAL_ID_DIGITS: Final = 13
PHONE_DIGITS: Final = range(8, 16)


class Redacted(msgspec.Struct, frozen=True, kw_only=True):
    """The text with places such as `[phone]`, and how many there are of each kind."""

    text: str
    removed: dict[str, int]


def redact(text: str, *, names: Sequence[str] = (), known: Mapping[str, str] = {}) -> Redacted:
    """The text without personal data that can be told by its form, or was given.

    `names`: of persons, whole and in parts. `known`: values from the report and what each is,
    removed however they are spaced. Raises BadInput for an empty text or too many names.
    """
    if len(text) > TEXT_CHARACTERS_MAX or len(names) > NAMES_MAX:
        raise BadInput(f"at most {TEXT_CHARACTERS_MAX} characters and {NAMES_MAX} names")
    plain = readable(text)
    if not plain:
        raise BadInput("empty", where="text")
    removed: Counter[str] = Counter()
    for value, kind in sorted(known.items(), key=lambda item: -len(item[0])):
        plain = _sub(_spaced(value), kind, plain, removed)
    for part in _parts(names):
        plain = _sub(re.compile(_TITLE + re.escape(part), re.IGNORECASE), "name", plain, removed)
    for kind, form in _COMPILED:
        plain = _sub(form, kind, plain, removed)
    parts = _PLACES.split(plain)
    parts[::2] = [_NUMBER.sub(lambda found: _number(found, removed), one) for one in parts[::2]]
    plain = "".join(parts)
    return Redacted(text=plain, removed={kind: n for kind, n in sorted(removed.items()) if n})


def readable(text: str) -> str:
    """Compatibility form, digits ASCII, nothing invisible; lines kept, spaces joined."""
    plain = unicodedata.normalize("NFKC", text)
    for apart, whole in _AM:
        plain = plain.replace(apart, whole)
    kept = "".join(
        str(unicodedata.digit(one)) if one.isdecimal() else one
        for one in plain
        if one in "\n\t" or (unicodedata.category(one) not in _INVISIBLE and one.isprintable())
    )
    kept = _AT.sub("@", _DOT.sub(".", kept))
    lines = (" ".join(line.split()) for line in kept.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _sub(form: re.Pattern[str], kind: str, text: str, removed: Counter[str]) -> str:
    """Replace it everywhere but within a place that is there already."""
    parts = _PLACES.split(text)
    for number in range(0, len(parts), 2):
        parts[number], count = form.subn(f"[{kind}]", parts[number])
        removed[kind] += count
    return "".join(parts)


def _number(found: re.Match[str], removed: Counter[str]) -> str:
    text = found.group()
    digits = sum(one.isdigit() for one in text)
    if digits < _DIGITS_MIN or _MONEY.fullmatch(text.strip()):
        return text
    kind = "number"
    if digits == NATIONAL_ID_DIGITS and not text.lstrip().startswith(("+", "0")):
        kind = "national-id"
    elif digits in PHONE_DIGITS and text.lstrip(" (").startswith(("+", "0")):
        kind = "phone"
    removed[kind] += 1
    return f"[{kind}]"


def _parts(names: Iterable[str]) -> list[str]:
    """Whole names and their parts, the longest first."""
    found: set[str] = set()
    for name in names:
        plain = readable(name)
        found.update(
            one for one in (plain, *plain.split()) if len(one.strip(".")) >= PART_CHARACTERS_MIN
        )
        if plain and not plain.isascii() and len(plain) < PART_CHARACTERS_MIN:
            found.add(plain)  # a Chinese name of two characters
    return sorted(found, key=lambda one: (-len(one), one))


def _spaced(value: str) -> re.Pattern[str]:
    """The value, whatever stands between its characters."""
    letters = [re.escape(one) for one in readable(value) if one.isalnum()]
    between = r"[\s.·/_()-]{0,2}"
    return re.compile(between.join(letters) if letters else r"(?!)", re.IGNORECASE)
