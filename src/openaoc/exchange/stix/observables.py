"""Exchange, STIX 2.1: an identifier as an observable of a profile, and back.

An account number without its bank is not an identity: it is always qualified, by country and bank.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

import msgspec

from openaoc.exchange.stix import ids
from openaoc.exchange.stix.extensions import NEW_OBSERVABLE, OBSERVABLES
from openaoc.exchange.stix.model import (
    SPEC_VERSION,
    BankAccount,
    CryptocurrencyWallet,
    DomainName,
    EmailAddr,
    Extension,
    Ipv4Addr,
    Ipv6Addr,
    Observable,
    PhoneNumber,
    Profile,
    Url,
    UserAccount,
)
from openaoc.exchange.stix.patterns import Observed
from openaoc.kernel.errors import BadInput
from openaoc.kernel.identifiers.kinds import Identifier, Kind, account_value, normalise
from openaoc.kernel.identifiers.person import check_pseudonym

BANK: Final = "bank"
"""The account_type of an account at a bank."""
IBAN_BANK: Final = "IBAN"
"""Stands for the bank where an IBAN says which it is."""
_SIMPLE: Final[dict[str, type[Observable]]] = {
    Kind.URL: Url,
    Kind.DOMAIN: DomainName,
    Kind.EMAIL: EmailAddr,
    Kind.IPV4: Ipv4Addr,
    Kind.IPV6: Ipv6Addr,
}
_WALLETS: Final = (Kind.BITCOIN, Kind.ETHEREUM, Kind.TRON)
_TYPED: Final[dict[str, type[Observable]]] = {
    Kind.PHONE: PhoneNumber,
    **dict.fromkeys(_WALLETS, CryptocurrencyWallet),
}
_BY_TYPE: Final = {ids.type_of(kind): name for name, kind in _SIMPLE.items()}
_CUSTOM: Final[tuple[type[Observable], ...]] = (PhoneNumber, BankAccount, CryptocurrencyWallet)
_LOGIN: Final = re.compile(r"([A-Z]{2})\.([^:]{1,29})\.([^.]{1,64})")
_SURROGATE: Final = re.compile(r"([A-Z]{2})-([^:]{1,29})-([^-]{1,64})")
_IBAN: Final = re.compile(r"[A-Z]{2}\d\d[A-Z0-9]{11,30}")
_KINDS: Final = frozenset(kind.value for kind in Kind)
_URI_CHARACTERS: Final = "/?=&%:@!$'()*+,;~-._"
_ABROAD: Final = re.compile(r"([A-Z]{2})\.(.+)", re.DOTALL)


class Observing(msgspec.Struct, frozen=True, kw_only=True):
    """How identifiers are written: the profile, and the country of accounts that name none.

    `surrogates`: in the profile opencti an account without an IBAN gets what stands for one.
    """

    profile: Profile
    country: str
    surrogates: bool = True


class Unreadable(BadInput):
    """This observable is no identifier of ours."""


def observed(kind: str, value: str, *, how: Observing) -> Observed:
    """The type and contributing properties; a kind we do not know is an account of that type."""
    if kind in _SIMPLE:
        return Observed(ids.type_of(_SIMPLE[kind]), {"value": value})
    if how.profile is Profile.OPENCTI and kind in _TYPED:
        return Observed(ids.type_of(_TYPED[kind]), {"value": value})
    if kind == Kind.BANK_ACCOUNT and ":" in value:
        country, bank, account = _account_parts(value, country=how.country)
        if how.profile is Profile.OPENCTI and bank == IBAN_BANK:
            return Observed(ids.type_of(BankAccount), {"iban": account})
        if how.profile is Profile.OPENCTI and how.surrogates:
            return Observed(ids.type_of(BankAccount), {"iban": f"{country}-{bank}-{account}"})
        login = f"{country}.{bank}.{account}"
        return Observed(ids.type_of(UserAccount), {"account_type": BANK, "account_login": login})
    return Observed(ids.type_of(UserAccount), {"account_type": kind, "account_login": value})


def _account_parts(value: str, *, country: str) -> tuple[str, str, str]:
    """(country, bank, account); a bank abroad carries its country, as in `VN.VCB:1234`."""
    bank, _, account = value.rpartition(":")
    abroad = _ABROAD.fullmatch(bank)
    return (abroad[1], abroad[2], account) if abroad else (country, bank, account)


_WRITTEN: Final[tuple[type[Observable], ...]] = (*_SIMPLE.values(), *_CUSTOM, UserAccount)
_STRUCTS: Final = {ids.type_of(kind): kind for kind in _WRITTEN}


def observable_of(found: Observed, *, marking: str) -> Observable:
    """The observable itself, with the id that everybody computes for it."""
    kind = _STRUCTS[found.type]
    if kind is Url:
        found = Observed(found.type, {"value": _uri(found.properties["value"])})
    values: dict[str, object] = {
        "spec_version": SPEC_VERSION,
        "id": ids.observable_id(kind, found.properties),
        "object_marking_refs": (marking,),
        **found.properties,
    }
    if kind in _CUSTOM:
        values["extensions"] = {OBSERVABLES: Extension(extension_type=NEW_OBSERVABLE)}
    if kind is BankAccount:
        surrogate = _SURROGATE.fullmatch(found.properties["iban"])
        if surrogate is not None:
            values["account_number"] = surrogate[3]
    return msgspec.convert(values, kind)


def _uri(value: str) -> str:
    """The address as RFC 3986 wants it: people's addresses hold more than it allows."""
    scheme, separator, rest = value.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host}{slash}{quote(path, safe=_URI_CHARACTERS)}"


def identifier_of(found: Observed, *, country: str) -> Identifier:
    """The identifier, normalised. Raises Unreadable for what is none of ours, or not valid."""
    try:
        kind, text = _named(found, country=country)
        return Identifier(kind=kind, value=normalise(kind, text))
    except Unreadable:
        raise
    except BadInput as error:
        raise Unreadable(error.detail or error.title, where=found.type) from error


def _named(found: Observed, *, country: str) -> tuple[Kind, str]:
    properties = found.properties
    if found.type in _BY_TYPE:
        return Kind(_BY_TYPE[found.type]), _only(found, "value")
    if found.type == ids.type_of(PhoneNumber):
        return Kind.PHONE, _only(found, "value")
    if found.type == ids.type_of(CryptocurrencyWallet):
        return _wallet(_only(found, "value"))
    if found.type == ids.type_of(BankAccount):
        return Kind.BANK_ACCOUNT, _bank_account(properties, country=country)
    if found.type == ids.type_of(UserAccount):
        return _user_account(properties, country=country)
    raise Unreadable(f"{found.type[:64]}: not an identifier we keep", where=found.type)


def _only(found: Observed, name: str) -> str:
    if name not in found.properties:
        raise Unreadable(f"without {name}", where=found.type)
    return found.properties[name]


def _user_account(properties: dict[str, str], *, country: str) -> tuple[Kind, str]:
    login, kind = properties.get("account_login"), properties.get("account_type", "")
    if login is None:
        raise Unreadable("without account_login", where="user-account")
    if kind != BANK:
        if kind not in _KINDS:
            raise Unreadable(f"account_type {kind[:32]!r} is not known here", where="user-account")
        return Kind(kind), check_pseudonym(login) if kind == Kind.PERSON else login
    match = _LOGIN.fullmatch(login)
    if match is None:
        raise Unreadable("an account without its country and bank", where="user-account")
    return Kind.BANK_ACCOUNT, _at(match, country=country)


def _bank_account(properties: dict[str, str], *, country: str) -> str:
    iban = properties.get("iban", "")
    surrogate = _SURROGATE.fullmatch(iban)
    if surrogate is not None:
        return _at(surrogate, country=country)
    if _IBAN.fullmatch(iban.replace(" ", "").upper()):
        return account_value(bank=IBAN_BANK, account=iban)
    if properties.get("bic") and properties.get("account_number"):
        return account_value(bank=properties["bic"], account=properties["account_number"])
    raise Unreadable("an account without its bank", where="bank-account")


def _at(match: re.Match[str], *, country: str) -> str:
    bank = match[2] if match[1] == country else f"{match[1]}.{match[2]}"
    return account_value(bank=bank, account=match[3])


def _wallet(address: str) -> tuple[Kind, str]:
    for kind in _WALLETS:
        try:
            return kind, normalise(kind, address)
        except BadInput:
            continue
    raise Unreadable("an address of no chain we know", where="cryptocurrency-wallet")
