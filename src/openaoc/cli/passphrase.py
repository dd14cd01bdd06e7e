"""CLI: where the passphrase of sealed keys comes from: the environment, or asked on a terminal."""

from __future__ import annotations

import os
from typing import Final

import rich_click as click

PASSPHRASE_VARIABLE: Final = "OPENAOC_KEYS_PASSPHRASE"  # noqa: S105 - a variable's name


def keys_passphrase(*, fresh: bool) -> str:
    """OPENAOC_KEYS_PASSPHRASE, else typed; a fresh one is typed twice."""
    given = os.environ.get(PASSPHRASE_VARIABLE)
    if given is not None:
        return given
    typed: str = click.prompt(
        "Passphrase for the keys", hide_input=True, confirmation_prompt=fresh, err=True
    )
    return typed
