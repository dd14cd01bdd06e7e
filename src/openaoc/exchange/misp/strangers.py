"""Exchange, MISP: identifiers in attributes and objects that are not ours.

What is only context, or no identity by itself, is left out with its reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from openaoc.exchange.misp.model import MispAttribute, MispObject
from openaoc.exchange.misp.words import IBAN_BANK
from openaoc.kernel.errors import BadInput
from openaoc.kernel.identifiers.kinds import (
    Identifier,
    Kind,
    UnknownKind,
    account_value,
    kind_named,
    normalise,
)
from openaoc.kernel.identifiers.person import check_pseudonym


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The identifier, or why there is none; neither for a part that says nothing by itself."""

    identifier: Identifier | None = None
    reason: str = ""


_TYPES: Final[dict[str, tuple[Kind, ...]]] = {
    "phone-number": (Kind.PHONE,),
    "url": (Kind.URL,),
    "uri": (Kind.URL,),
    "link": (Kind.URL,),
    "domain": (Kind.DOMAIN,),
    "hostname": (Kind.DOMAIN,),
    "email": (Kind.EMAIL,),
    "email-src": (Kind.EMAIL,),
    "email-dst": (Kind.EMAIL,),
    "email-reply-to": (Kind.EMAIL,),
    "ip-src": (Kind.IPV4, Kind.IPV6),
    "ip-dst": (Kind.IPV4, Kind.IPV6),
    "btc": (Kind.BITCOIN,),
}
_ALWAYS: Final = frozenset({"phone-number", "btc", "iban", "bank-account-nr"})
"""Types MISP does not propose to look for by itself; they accuse somebody all the same."""
_RELATIONS: Final[dict[tuple[str, str], tuple[Kind, ...]]] = {
    ("coin-address", "address-crypto"): (Kind.ETHEREUM, Kind.TRON, Kind.BITCOIN),
    ("phone", "msisdn"): (Kind.PHONE,),
    ("telegram-account", "username"): (Kind.TELEGRAM,),
    ("facebook-account", "account-name"): (Kind.FACEBOOK,),
    ("line-account", "line-id"): (Kind.LINE,),
    ("zalo-account", "zalo-id"): (Kind.ZALO,),
    ("wechat-account", "wechat-id"): (Kind.WECHAT,),
    ("promptpay", "promptpay-id"): (Kind.PROMPTPAY,),
}
"""Relations of type text that are identifiers all the same."""
_NO_BANK: Final = "an account without its bank is no identity"
_CONTEXT: Final = "context: the event says that nobody should look for it"
_NOT_OURS: Final = "no kind of identifier we keep"


def found_in(attribute: MispAttribute, *, region: str) -> Found:
    """The identifier of an attribute that stands alone."""
    if attribute.type == "iban":
        return _account(IBAN_BANK, attribute.value)
    if attribute.type == "bank-account-nr":
        return Found(reason=_NO_BANK)
    if attribute.type == "domain|ip":
        domain = attribute.value.partition("|")[0]
        attribute = msgspec.structs.replace(attribute, type="domain", value=domain)
    kinds = _TYPES.get(attribute.type)
    if kinds is None:
        return Found(reason=_NOT_OURS)
    if not attribute.to_ids and attribute.type not in _ALWAYS:
        return Found(reason=_CONTEXT)
    return _one_of(kinds, attribute.value, region=region)


def found_in_object(found: MispObject, *, region: str) -> Iterator[tuple[MispAttribute, Found]]:
    """Each attribute of an object that names somebody, with what it names."""
    beside = {one.object_relation: one.value for one in found.attributes}
    bank = beside.get("institution-code") or beside.get("swift") or ""
    for attribute in found.attributes:
        relation = attribute.object_relation or ""
        kinds = _RELATIONS.get((found.name, relation))
        if attribute.type == "bank-account-nr":
            yield attribute, _account(bank, attribute.value) if bank else Found(reason=_NO_BANK)
        elif kinds is not None:
            yield attribute, _one_of(kinds, attribute.value, region=region)
        elif found.name == "user-account" and relation == "username":
            yield attribute, _user(beside.get("account-type", ""), attribute.value, region=region)
        elif attribute.type in _TYPES or attribute.type == "iban":
            yield attribute, found_in(attribute, region=region)


def _user(account_type: str, name: str, *, region: str) -> Found:
    try:
        return _one_of((kind_named(account_type),), name, region=region)
    except UnknownKind:
        return Found(reason=f"an account of type {account_type[:32]!r}")


def _account(bank: str, account: str) -> Found:
    try:
        value = account_value(bank=bank, account=account)
    except BadInput as error:
        return Found(reason=error.detail)
    return Found(identifier=Identifier(kind=Kind.BANK_ACCOUNT, value=value))


def _one_of(kinds: tuple[Kind, ...], text: str, *, region: str) -> Found:
    reason = ""
    for kind in kinds:
        try:
            if kind is Kind.PERSON:
                check_pseudonym(text)
            value = normalise(kind, text, region=region)
        except BadInput as error:
            reason = reason or error.detail
        else:
            return Found(identifier=Identifier(kind=kind, value=value))
    return Found(reason=reason)
