"""Who somebody is on a messenger or platform: LINE, Telegram, WeChat, Zalo, WhatsApp and others.

Reads links to a profile too; never looks one up.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qs, urlsplit

import msgspec

from openaoc.kernel.errors import BadInput
from openaoc.kernel.identifiers.phone import normalise_phone
from openaoc.kernel.identifiers.text import masked, refanged, with_slashes

SHOWN_CHARACTERS: Final = 3


class Platform(msgspec.Struct, frozen=True, kw_only=True):
    """How a platform names people.

    `name`: the form of a name in lower case. `hosts`: of its links. `profile`: what of a link's
    path is the name. `code`: what of it is an invitation, kept with its host and its capitals.
    `phone`: whether a telephone number is a name. `drop`: characters the platform ignores.
    """

    name: re.Pattern[str]
    hosts: frozenset[str]
    profile: re.Pattern[str]
    code: re.Pattern[str] | None = None
    phone: bool = False
    drop: str = ""


def _platform(
    *,
    name: str,
    hosts: str,
    profile: str,
    code: str | None = None,
    phone: bool = False,
    drop: str = "",
) -> Platform:
    return Platform(
        name=re.compile(name),
        hosts=frozenset(hosts.split()),
        profile=re.compile(profile),
        code=None if code is None else re.compile(code),
        phone=phone,
        drop=drop,
    )


PLATFORMS: Final = {
    "line": _platform(
        name=r"@?[a-z0-9._-]{4,20}",
        hosts="line.me page.line.me lin.ee liff.line.me",
        profile=r"/(?:R/)?ti/p/~?(@?[A-Za-z0-9._-]{4,20})|/(@?[a-z0-9._-]{4,20})",
        code=r"/(?:(?:R/)?ti/[pg]2?/)?([A-Za-z0-9_-]{6,64})",
    ),
    "telegram": _platform(
        name=r"[a-z][a-z0-9_]{3,31}",
        hosts="t.me telegram.me telegram.dog",
        profile=r"/(?:s/)?([A-Za-z][A-Za-z0-9_]{3,31})",
        code=r"/(?:\+|joinchat/)([A-Za-z0-9_-]{8,64})",
    ),
    "whatsapp": _platform(
        name=r"(?!)",
        hosts="wa.me api.whatsapp.com chat.whatsapp.com web.whatsapp.com whatsapp.com",
        profile=r"/(\+?\d{7,15})",
        code=r"/(?:invite/|channel/)?([A-Za-z0-9]{10,64})",
        phone=True,
    ),
    "wechat": _platform(
        name=r"[a-z][a-z0-9_-]{5,19}",
        hosts="weixin.qq.com u.wechat.com",
        profile=r"(?!)",
        code=r"/(?:r/)?([A-Za-z0-9_-]{8,64})",
    ),
    "zalo": _platform(
        name=r"[0-9]{15,20}|[a-z][a-z0-9._]{3,31}",
        hosts="zalo.me",
        profile=r"/([0-9]{9,20}|[A-Za-z][A-Za-z0-9._]{3,31})",
        code=r"/g/([a-z0-9]{4,32})",
        phone=True,
    ),
    "facebook": _platform(
        name=r"[a-z0-9]{4,50}",
        hosts="facebook.com fb.com m.facebook.com m.me fb.me web.facebook.com",
        profile=r"/(?:people/[^/]+/|groups/|pages/[^/]+/)?([A-Za-z0-9.]{4,60})",
        drop=".",
    ),
    "tiktok": _platform(
        name=r"[a-z0-9_.]{2,24}",
        hosts="tiktok.com m.tiktok.com vt.tiktok.com",
        profile=r"/@([A-Za-z0-9_.]{2,24})(?:/.*)?",
        code=r"/([A-Za-z0-9]{8,16})",
    ),
}
"""Lengths as the platforms allow them; Facebook ignores dots in names."""

_KEEPS_AT: Final = "line"
"""On LINE `@name` is a business and `name` a person: two accounts."""


def normalise_handle(platform: str, text: str, *, region: str) -> str:
    """The name in lower case without `@` (LINE keeps it), an E.164 number, or `host/code`.

    Raises BadInput for what the platform would not accept as a name.
    """
    form = PLATFORMS[platform]
    value = refanged(text)
    link = _link(form, value)
    if link is not None:
        return _from_link(platform, link, region=region)
    return _from_name(platform, value, region=region)


def _link(form: Platform, value: str) -> str | None:
    """The address when the text is one of the platform's, with its scheme."""
    whole = with_slashes(value)
    address = whole if "://" in whole else f"https://{whole}"
    try:
        host = (urlsplit(address).hostname or "").removeprefix("www.")
    except ValueError:
        return None
    return address if host in form.hosts else None


def _from_link(platform: str, address: str, *, region: str) -> str:
    form = PLATFORMS[platform]
    parts = urlsplit(address)
    host = (parts.hostname or "").removeprefix("www.")
    path = parts.path.rstrip("/")
    numbers = parse_qs(parts.query)
    for key in ("phone", "id"):
        if key in numbers:
            return _from_name(platform, numbers[key][0], region=region, international=True)
    invitation = None if form.code is None else form.code.fullmatch(path)
    short = {"lin.ee", "chat.whatsapp.com", "vt.tiktok.com"}
    named = None if host in short else form.profile.fullmatch(path)
    if named is not None:
        name = next(group for group in named.groups() if group is not None)
        return _from_name(platform, name, region=region, international=True)
    if invitation is not None:
        return f"{host}{path}"
    raise BadInput(f"not a {platform} profile")


def _from_name(platform: str, text: str, *, region: str, international: bool = False) -> str:
    form = PLATFORMS[platform]
    name = text.strip().lower()
    if form.phone:
        number = _number(text, region=region, international=international)
        if number is not None:
            return number
    if platform != _KEEPS_AT:
        name = name.removeprefix("@")
    for character in form.drop:
        name = name.replace(character, "")
    if not form.name.fullmatch(name):
        raise BadInput(f"not a {platform} name")
    return name


def _number(text: str, *, region: str, international: bool) -> str | None:
    digits = text.strip()
    tries = [digits]
    if international and not digits.startswith(("+", "0")):
        tries = [f"+{digits}"]
    for written in tries:
        try:
            return normalise_phone(written, region=region)
        except BadInput:
            continue
    return None


def mask_handle(value: str) -> str:
    """The last three characters at most."""
    return masked(value, shown=SHOWN_CHARACTERS)
