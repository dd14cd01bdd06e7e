"""Text as people paste it: de-fanged, in other digits, with marks around. Never judges it."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from openaoc.kernel.errors import BadInput

IDENTIFIER_CHARACTERS_MAX: Final = 2048
"""One identifier as written; anything longer is refused, never cut."""

_FANGS: Final = (
    (r"^(?:hxxp|htxp|hxtp|h\*\*p)(s?)(?=\W)", r"http\1"),
    (r"\[\s*(?:\.|dot)\s*\]|\(\s*(?:\.|dot)\s*\)|\{\s*(?:\.|dot)\s*\}", "."),
    (r"\[\s*(?:@|at)\s*\]|\(\s*(?:@|at)\s*\)|\{\s*(?:@|at)\s*\}", "@"),
    (r"\[\s*:(?://)?\s*\]/{0,2}", "://"),
)
_COLON_SLASHES: Final = re.compile(r"^([a-z][a-z0-9+.-]*):(?!//)/?(?=[^/\d])", re.IGNORECASE)
_INVISIBLE: Final = frozenset({"Cf", "Cc", "Cs"})


def cleaned(text: str) -> str:
    """The text in compatibility form, without invisible characters, its digits ASCII.

    Raises BadInput when empty or longer than IDENTIFIER_CHARACTERS_MAX.
    """
    if len(text) > IDENTIFIER_CHARACTERS_MAX:
        raise BadInput(f"longer than {IDENTIFIER_CHARACTERS_MAX} characters")
    plain = unicodedata.normalize("NFKC", text)
    kept = "".join(
        str(unicodedata.digit(character)) if character.isdecimal() else character
        for character in plain
        if unicodedata.category(character) not in _INVISIBLE
    ).strip()
    if not kept:
        raise BadInput("empty")
    if len(kept) > IDENTIFIER_CHARACTERS_MAX:  # compatibility forms may be longer
        raise BadInput(f"longer than {IDENTIFIER_CHARACTERS_MAX} characters")
    return kept


def refanged(text: str) -> str:
    """The cleaned text with what keeps it from being clicked taken back: `hxxp`, `[.]`, `(at)`."""
    value = cleaned(text)
    for pattern, whole in _FANGS:
        value = re.sub(pattern, whole, value, flags=re.IGNORECASE)
    return value.replace(":////", "://")


def with_slashes(text: str) -> str:
    """`https:host` and `https:/host` as `https://host`; other text as it is."""
    return _COLON_SLASHES.sub(r"\1://", text)


def masked(value: str, *, shown: int) -> str:
    """All but the last `shown` characters hidden, and never less than two thirds of them."""
    visible = min(shown, len(value) // 3)
    return "•" * (len(value) - visible) + value[len(value) - visible :]
