"""Web: templates and assets, read once from the package; nothing comes from another host."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

ASSET_TYPES: Final = {
    "status.css": "text/css",
    "forms.css": "text/css",
    "law.css": "text/css",
    "status.js": "text/javascript",
    "emblem.svg": "image/svg+xml",
}
"""Every asset there is, with its type."""
SECURITY_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
        "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
"""For every page; what may be kept says so itself."""
FORM_HEADERS: Final = {
    **SECURITY_HEADERS,
    "Content-Security-Policy": SECURITY_HEADERS["Content-Security-Policy"].replace(
        "form-action 'none'", "form-action 'self'"
    ),
}
"""For a page with a form, which is sent to this centre alone."""


@cache
def environment() -> Environment:
    """The templates; everything is escaped, and a name that is not given is an error."""
    found = Environment(
        loader=PackageLoader("openaoc.web", "templates"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.globals["asset"] = asset_address
    return found


@cache
def asset(name: str) -> bytes:
    """The bytes of an asset of ASSET_TYPES."""
    assert name in ASSET_TYPES, name
    return resources.files("openaoc.web").joinpath("static", name).read_bytes()


@cache
def asset_address(name: str) -> str:
    """The asset's address, which changes with its content so that it can be kept for long."""
    return f"/assets/{name}?v={hashlib.sha256(asset(name)).hexdigest()[:12]}"
