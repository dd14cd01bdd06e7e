"""Exchange, STIX 2.1: patterns of the one form we write, and reading them back.

`[type:property = 'value' AND …]`: one observable, equal in all that is named (STIX 2.1 §9). What
is more than that is not ours to weigh, and is reported as lost.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

PATTERN_TYPE: Final = "stix"
TERMS_MAX: Final = 4
_TERM: Final = re.compile(
    r"\s*([a-z][a-z0-9-]*):([a-z][a-z0-9_]*)\s*=\s*'((?:[^'\\]|\\['\\])*)'\s*"
)


class Observed(NamedTuple):
    """One observable's type and the properties that are compared."""

    type: str
    properties: dict[str, str]


_TRAFFIC: Final = re.compile(
    r"\[network-traffic:(?:src|dst)_ref\.type = '(ipv[46]-addr)'"
    r" AND network-traffic:(?:src|dst)_ref\.value = '([0-9a-fA-F.:]{1,45})'\]"
)
_SENDER: Final = re.compile(r"\[email-message:from_ref\.value = '([^'\\]{1,320})'\]")
"""How MISP's converter writes an address, and who sent a message."""


def write_pattern(observed: Observed) -> str:
    """The pattern; quotes and backslashes in values are escaped."""
    assert observed.properties, "a pattern compares something"
    terms = [
        f"{observed.type}:{name} = '{_escape(value)}'"
        for name, value in observed.properties.items()
    ]
    return f"[{' AND '.join(terms)}]"


def read_pattern(text: str) -> Observed | None:
    """What it observes; None for any other form."""
    body = text.strip()
    traffic = _TRAFFIC.fullmatch(body)
    if traffic is not None:
        return Observed(type=traffic[1], properties={"value": traffic[2]})
    sender = _SENDER.fullmatch(body)
    if sender is not None:
        return Observed(type="email-addr", properties={"value": sender[1]})
    if not (body.startswith("[") and body.endswith("]")):
        return None
    terms: list[re.Match[str]] = []
    place, end = 1, len(body) - 1
    while place < end and len(terms) < TERMS_MAX:
        match = _TERM.match(body, place, end)
        if match is None:
            return None
        terms.append(match)
        place = match.end()
        if place < end:
            if not body.startswith("AND ", place) or place + len("AND ") >= end:
                return None
            place += len("AND ")
    return _together(terms) if terms and place == end else None


def _together(terms: Sequence[re.Match[str]]) -> Observed | None:
    kinds = {term[1] for term in terms}
    properties = {term[2]: _unescape(term[3]) for term in terms}
    if len(kinds) != 1 or len(properties) != len(terms):
        return None
    return Observed(type=kinds.pop(), properties=properties)


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")


def _unescape(value: str) -> str:
    return re.sub(r"\\(['\\])", r"\1", value)
