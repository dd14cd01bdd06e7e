"""An internet address somebody outside can be reached at. Never a private or reserved one."""

from __future__ import annotations

import ipaddress
from typing import Final

from openaoc.kernel.errors import BadInput
from openaoc.kernel.identifiers.text import refanged

SHOWN_V4: Final = 16
SHOWN_V6: Final = 32
"""Bits a mask shows: about a provider's block."""


def normalise_ipv4(text: str) -> str:
    """Dotted decimal. Raises BadInput for what is no address on the public internet."""
    return _normal(text, version=4)


def normalise_ipv6(text: str) -> str:
    """The short lower-case form. Raises BadInput for what is no public address."""
    return _normal(text, version=6)


def _normal(text: str, *, version: int) -> str:
    try:
        address = ipaddress.ip_address(refanged(text).strip("[]"))
    except ValueError as error:
        raise BadInput(f"not an IPv{version} address") from error
    if address.version != version:
        raise BadInput(f"not an IPv{version} address")
    if not address.is_global or address.is_multicast:
        raise BadInput("not an address on the public internet")
    return address.compressed


def mask_ip(value: str) -> str:
    """The block of 16 (IPv4) or 32 (IPv6) bits the address is in."""
    short = isinstance(ipaddress.ip_address(value), ipaddress.IPv4Address)
    bits = SHOWN_V4 if short else SHOWN_V6
    return str(ipaddress.ip_network(f"{value}/{bits}", strict=False))
