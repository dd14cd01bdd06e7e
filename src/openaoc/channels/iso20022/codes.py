"""Channels: the ISO 20022 reason codes we write and read; the schemas do not check them."""

from __future__ import annotations

import functools
from importlib import resources
from typing import Literal

import msgspec


class Rejection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a code of an answer means for an order."""

    words: str
    outcome: Literal["refused", "unknown_account", "pending"]
    nothing_available: bool = False


class Codes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every code by its set."""

    cancellation: dict[str, str]
    rejection: dict[str, Rejection]
    returned: dict[str, str] = msgspec.field(name="return")


@functools.cache
def codes() -> Codes:
    """The code file, read once."""
    text = resources.files(__package__).joinpath("reason_codes.toml").read_bytes()
    return msgspec.toml.decode(text, type=Codes)
