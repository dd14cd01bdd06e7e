"""Exchange, MISP: which template, relation and type an identifier is written in, and our tags.

One table for both directions. What a template's rules would drop silently is not put there.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import Final
from urllib.parse import quote, unquote

import msgspec

from openaoc.kernel.identifiers.kinds import Kind
from openaoc.kernel.markings import Marking
from openaoc.kernel.offences import Offence

PACKAGE: Final = "openaoc.exchange.misp.data"
NAMESPACE: Final = "openaoc"
"""Of the tags that carry a field MISP has no place for."""
SCAM: Final = "openaoc-scam:type"
KIND: Final = "identifier_kind"
MINIMISED: Final = "minimised"
IDENTIFIER: Final = "openaoc-identifier"
"""Our template for what no other fits."""
OBJECT_PREFIX: Final = "openaoc-"
IBAN_BANK: Final = "IBAN"
_FINANCIAL: Final = "Financial fraud"
_NETWORK: Final = "Network activity"
_SOCIAL: Final = "Social network"
_TAG: Final = re.compile(r'([a-z0-9-]+:[a-z0-9_-]+)="([^"]*)"')
_SAFE: Final = " !#$&'()*+,-./:;<=>?@[\\]^_`{|}~"


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a kind's value stands. `beside`: further relations with their fixed text."""

    template: str
    relation: str
    type: str
    category: str
    beside: dict[str, str] = {}


def _place(template: str, relation: str, *, type_: str, category: str, **beside: str) -> Place:
    named = {name.replace("_", "-"): text for name, text in beside.items()}
    return Place(template=template, relation=relation, type=type_, category=category, beside=named)


PLACES: Final[dict[Kind, Place]] = {
    Kind.BANK_ACCOUNT: _place(
        "bank-account", "account", type_="bank-account-nr", category=_FINANCIAL
    ),
    Kind.PHONE: _place("phone-number", "phone-number", type_="phone-number", category=_FINANCIAL),
    Kind.URL: _place("url", "url", type_="url", category=_NETWORK),
    Kind.DOMAIN: _place("domain-ip", "domain", type_="domain", category=_NETWORK),
    Kind.EMAIL: _place(IDENTIFIER, "email", type_="email", category=_SOCIAL),
    Kind.IPV4: _place("domain-ip", "ip", type_="ip-dst", category=_NETWORK),
    Kind.IPV6: _place("domain-ip", "ip", type_="ip-dst", category=_NETWORK),
    Kind.PROMPTPAY: _place("promptpay", "promptpay-id", type_="text", category=_FINANCIAL),
    Kind.LINE: _place("line-account", "line-id", type_="text", category=_SOCIAL),
    Kind.ZALO: _place("zalo-account", "zalo-id", type_="text", category=_SOCIAL),
    Kind.WECHAT: _place("wechat-account", "wechat-id", type_="text", category=_SOCIAL),
    Kind.TELEGRAM: _place("telegram-account", "username", type_="text", category=_SOCIAL),
    Kind.FACEBOOK: _place("facebook-account", "account-name", type_="text", category=_SOCIAL),
    Kind.WHATSAPP: _place(
        "user-account", "username", type_="text", category=_SOCIAL, account_type="whatsapp"
    ),
    Kind.TIKTOK: _place(
        "user-account", "username", type_="text", category=_SOCIAL, account_type="tiktok"
    ),
    Kind.BITCOIN: _place("coin-address", "address", type_="btc", category=_FINANCIAL, symbol="BTC"),
    Kind.ETHEREUM: _place(
        "coin-address", "address-crypto", type_="text", category=_FINANCIAL, symbol="ETH"
    ),
    Kind.TRON: _place(
        "coin-address", "address-crypto", type_="text", category=_FINANCIAL, symbol="TRX"
    ),
    Kind.PERSON: _place(IDENTIFIER, "value", type_="text", category="Other"),
}
IBAN: Final = _place("bank-account", "iban", type_="iban", category=_FINANCIAL)
OTHERWISE: Final = _place(IDENTIFIER, "value", type_="text", category="Other")
"""For what the kind's own place would refuse: an account with letters, a masked value."""

GALAXY: Final = "misp-galaxy:taxonomy-of-fraud"
GALAXIES: Final[dict[Offence, str]] = {
    Offence.PURCHASE: "Online marketplace fraud",
    Offence.ORGANISED_PURCHASE: "Online marketplace fraud",
    Offence.JOB: "Employment Fraud",
    Offence.LOAN: "Fake loans",
    Offence.INVESTMENT: "Other investment opportunities fraud",
    Offence.IMPERSONATION: "Friends or relatives imposter scam",
    Offence.REWARD: "Prize and Grant Fraud",
    Offence.REMOTE_CONTROL: "Tech support scam",
    Offence.ROMANCE: "Romance scam/Sweetheart scam",
    Offence.INTRUSION: "Phishing websites/emails/calls",
    Offence.PONZI: "Incident tag PZ",
}
"""Clusters of the Stanford Center on Longevity's taxonomy that mean the same."""
OFFENCE_OF: Final = {value: one for one, value in reversed(GALAXIES.items())}

TLP: Final = "tlp:"
_OLD_TLP: Final = {"white": Marking.CLEAR}


def marking_named(tag: str) -> Marking | None:
    """The marking of a `tlp:` tag, version 1 or 2; None for one nobody knows."""
    name = tag[len(TLP) :].lower()
    if name in _OLD_TLP:
        return _OLD_TLP[name]
    return next((one for one in Marking if one.value == name), None)


def machinetag(name: str, value: str) -> str:
    """`name="value"`, with what would end the value early percent-encoded."""
    return f'{name}="{quote(value, safe=_SAFE)}"'


def machinetag_parts(tag: str) -> tuple[str, str] | None:
    """(name, value) of a machinetag with a value; None for another tag."""
    found = _TAG.fullmatch(tag)
    return None if found is None else (found[1], unquote(found[2]))


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """What an object says of its template."""

    uuid: str
    version: int
    name: str
    description: str
    meta_category: str = msgspec.field(name="meta-category")


@cache
def templates() -> dict[str, Template]:
    """The templates of this project by name; MISP has the others."""
    folder = resources.files(PACKAGE).joinpath("objects")
    found = [
        msgspec.json.decode(file.read_bytes(), type=Template)
        for file in folder.iterdir()
        if file.name.endswith(".json")
    ]
    return {one.name: one for one in found}


STANDARD: Final[dict[str, Template]] = {
    name: Template(uuid=uuid, version=version, name=name, description="", meta_category=category)
    for name, uuid, version, category in (
        ("bank-account", "b4712203-95a8-4883-80e9-b566f5df11c9", 3, "financial"),
        ("phone-number", "c4b5a67c-63d2-11ec-90d6-0242ac120003", 1, "mobile"),
        ("url", "60efb77b-40b5-4c46-871b-ed1ed999fce5", 10, "network"),
        ("domain-ip", "43b3b146-77eb-4931-b4cc-b66c60f28734", 11, "network"),
        ("telegram-account", "06f02ecf-5afb-42c5-9cb0-b362e222f52c", 2, "misc"),
        ("facebook-account", "b9862b95-7d78-4938-a2b5-13e45c60f25a", 1, "misc"),
        ("user-account", "49606b06-22f0-4ac8-8eee-2f12ad46f3d3", 6, "misc"),
        ("coin-address", "d0e6997e-78da-4815-a6a1-cfc1c1cb8a46", 7, "financial"),
    )
}
"""Those of MISP that identifiers are written in."""


def template(name: str) -> Template:
    """The template of this name."""
    return STANDARD[name] if name in STANDARD else templates()[name]
