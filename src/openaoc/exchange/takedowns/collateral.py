"""Take-downs: what else lives there: whether a whole site is asked for, and whose it is.

Pure. A public suffix and a host that many share are never asked for whole.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Container
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from openaoc.exchange.takedowns.model import NeverWhole
from openaoc.kernel.errors import BadInput
from openaoc.kernel.identifiers.domain import rented
from openaoc.kernel.identifiers.kinds import Kind
from openaoc.kernel.identifiers.url import host_of

NONE: Final = "none"
FEW: Final = "few"
MANY: Final = "many"
OTHERS: Final = (NONE, FEW, MANY)


class Collateral(NamedTuple):
    """Whether a whole host is concerned, and why a second person has to look; () for no reason."""

    whole: bool
    two_persons: tuple[str, ...]


def collateral_of(
    kind: Kind, value: str, *, others: str, never_whole: Container[str]
) -> Collateral:
    """What a take-down of this would take with it.

    Raises NeverWhole for what others live on too, BadInput where nobody said what else lives there.
    """
    if kind not in (Kind.URL, Kind.DOMAIN):
        return Collateral(whole=False, two_persons=())
    host = value if kind is Kind.DOMAIN else host_of(value)
    whole = kind is Kind.DOMAIN or _is_root(value)
    if not whole:
        return Collateral(whole=False, two_persons=())
    number = is_number(host)
    tenant = host if number else rented(host)
    if not tenant or tenant in never_whole or host in never_whole:
        raise NeverWhole(f"{host} is shared by many", where="indicator")
    if others not in OTHERS:
        raise BadInput(
            f"the whole of {host} is asked for: say what else lives there, "
            f"one of {', '.join(OTHERS)}",
            where="others",
        )
    if others == MANY:
        raise NeverWhole(f"many others live on {host}", where="others")
    reasons = []
    if others == FEW:
        reasons.append("others live there too")
    if number:
        reasons.append("a machine may serve many sites")
    elif tenant != host:
        reasons.append("its name is under somebody else's")
    return Collateral(whole=True, two_persons=tuple(reasons))


def _is_root(url: str) -> bool:
    parts = urlsplit(url)
    return parts.path in ("", "/") and not parts.query


def is_number(host: str) -> bool:
    """Whether a host is named by a machine's address alone."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
