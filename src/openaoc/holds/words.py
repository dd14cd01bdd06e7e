"""Holds: the words an institution and a holder read when a hold ends; read from data."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources

import msgspec

from openaoc.holds.model import Words


@cache
def endings() -> dict[str, Words]:
    """The text of each kind of ending."""
    text = resources.files("openaoc.holds.rules").joinpath("words.toml").read_text("utf-8")
    return msgspec.convert(tomllib.loads(text), dict[str, Words])


def ending(kind: str, *, detail: str = "") -> Words:
    """The text of this kind of ending, with a person's reason after it where there is one."""
    words = endings()[kind]
    if not detail:
        return words
    return Words(th=f"{words.th} ({detail})", en=f"{words.en} ({detail})")
