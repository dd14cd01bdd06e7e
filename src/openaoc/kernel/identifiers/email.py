"""A mail address. Never checks whether anybody reads it."""

from __future__ import annotations

import re
from typing import Final

from openaoc.kernel.errors import BadInput
from openaoc.kernel.identifiers.domain import normalise_domain
from openaoc.kernel.identifiers.text import refanged

LOCAL_CHARACTERS_MAX: Final = 64
"""RFC 5321, 4.5.3.1.1."""
_LOCAL: Final = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*")


def normalise_email(text: str) -> str:
    """`local@host` in lower case: no provider of weight tells the two apart.

    Raises BadInput for quoted or foreign-script local parts and for hosts without a public suffix.
    """
    value = refanged(text).strip("<>").strip()
    if value[:7].lower() == "mailto:":
        value = value[7:]
    local, _, host = value.rpartition("@")
    local = local.lower()
    if len(local) > LOCAL_CHARACTERS_MAX or not _LOCAL.fullmatch(local):
        raise BadInput("not a mail address")
    return f"{local}@{normalise_domain(host)}"


def mask_email(value: str) -> str:
    """The first letter and the host."""
    local, _, host = value.rpartition("@")
    return f"{local[:1]}•••@{host}"
