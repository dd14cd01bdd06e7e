"""A web address. It ends where text in another script begins; never fetched."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import SplitResult, quote, urlsplit

from openaoc.kernel.errors import BadInput
from openaoc.kernel.identifiers.domain import mask_domain, normalise_domain
from openaoc.kernel.identifiers.ip import mask_ip, normalise_ipv4, normalise_ipv6
from openaoc.kernel.identifiers.text import refanged, with_slashes

_PORTS: Final = {"http": 80, "https": 443}
_RUNS_ON: Final = re.compile(r"[\u0e00-\u0fff\u1780-\u17ff\u1000-\u109f\u3000-\u9fff\uac00-\ud7af]")
"""Thai, Lao, Tibetan, Khmer, Burmese, Chinese, Japanese, Korean: written on without a space."""
_KEPT: Final = "/?=&%:@!$'()*+,;~-._[]|"
"""Characters of a path or query that stay as they are; all others are percent-encoded."""
_TRAILING: Final = ".,;:!?'\")]}>"


def normalise_url(text: str) -> str:
    """Scheme and host lower-case, host ASCII, no default port, no user and no fragment.

    `http` stands in for a scheme that was not written. Raises BadInput for what is no address of
    a host under a public suffix or on the public internet.
    """
    value = with_slashes(refanged(text)).strip(" <>\"'")
    if "://" not in value:
        value = f"http://{value}"
    parts = _split(value)
    host = _host(parts)
    try:
        port = parts.port
    except ValueError as error:
        raise BadInput("no such port") from error
    at = "" if port is None or port == _PORTS[parts.scheme] else f":{port}"
    path = quote(_cut(parts.path), safe=_KEPT) or "/"
    query = quote(_cut(parts.query), safe=_KEPT)
    if _cut(parts.path) != parts.path:
        query = ""
    rest = f"{path}?{query}" if query else path
    return f"{parts.scheme}://{host}{at}{rest.rstrip(_TRAILING) or '/'}"


def _split(value: str) -> SplitResult:
    try:
        parts = urlsplit(value)
    except ValueError as error:
        raise BadInput("not a web address") from error
    if parts.scheme not in _PORTS:
        raise BadInput("not http or https")
    if any(character.isspace() for character in parts.netloc + parts.path + parts.query):
        raise BadInput("a space in a web address")
    return parts


def _host(parts: SplitResult) -> str:
    name = parts.hostname or ""
    if ":" in name:
        return f"[{normalise_ipv6(name)}]"
    try:
        return normalise_ipv4(name)
    except BadInput:
        return normalise_domain(name)


def _cut(text: str) -> str:
    """The text up to where another script begins: people write on without a space."""
    found = _RUNS_ON.search(text)
    return text if found is None else text[: found.start()]


def host_of(value: str) -> str:
    """The host of a normalised address."""
    return urlsplit(value).hostname or ""


def mask_url(value: str) -> str:
    """The scheme and the masked host; nothing of the path."""
    parts = urlsplit(value)
    host = parts.hostname or ""
    try:
        hidden = mask_ip(host)
    except ValueError:
        hidden = mask_domain(host)
    return f"{parts.scheme}://{hidden}/•••"
