"""A host's name under a known public suffix, in ASCII form. The list of suffixes is bundled.

Never asks the network.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from openaoc.kernel.errors import BadInput
from openaoc.kernel.identifiers.text import refanged

if TYPE_CHECKING:
    from tldextract import TLDExtract

HOST_CHARACTERS_MAX: Final = 253
FIRST_SHOWN: Final = 1


@cache
def _suffixes() -> TLDExtract:
    from tldextract import TLDExtract

    return TLDExtract(suffix_list_urls=(), cache_dir=None)


def normalise_domain(text: str) -> str:
    """The lower-case ASCII name (`xn--…` where it has to be), without a dot at its end.

    Raises BadInput for what is no name under a public suffix.
    """
    import idna

    value = refanged(text).rstrip(".").strip()
    try:
        name = idna.encode(value, uts46=True).decode("ascii").lower()
    except (idna.IDNAError, UnicodeError) as error:
        raise BadInput("not a domain name") from error
    found = _suffixes()(name)
    if not found.domain or not found.suffix or len(name) > HOST_CHARACTERS_MAX:
        raise BadInput("not a domain name under a public suffix")
    return name


def rented(value: str) -> str:
    """The part of a normalised name that one person or firm has, under whatever many share.

    `shop.github.io` → `shop.github.io`; "" for a suffix itself, such as `github.io`.
    """
    found = _suffixes()(value, include_psl_private_domains=True)
    return f"{found.domain}.{found.suffix}" if found.domain and found.suffix else ""


def mask_domain(value: str) -> str:
    """The public suffix, and the first letter before it."""
    found = _suffixes()(value)
    return f"{found.domain[:FIRST_SHOWN]}•••.{found.suffix}"
