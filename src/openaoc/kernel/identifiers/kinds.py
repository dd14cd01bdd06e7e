"""Which kinds of identifiers there are, and for each: normalise, mask, whether it names a person.

The one table the stages ask; each kind's rules stand in its own file.
"""

from __future__ import annotations

import enum
import unicodedata
from collections.abc import Callable
from typing import Final

import msgspec

from openaoc.kernel.errors import BadInput
from openaoc.kernel.identifiers import (
    bank_account,
    bitcoin,
    ethereum,
    handle,
    person,
    promptpay,
    tron,
)
from openaoc.kernel.identifiers.bank_account import normalise_account, normalise_bank
from openaoc.kernel.identifiers.domain import mask_domain, normalise_domain
from openaoc.kernel.identifiers.email import mask_email, normalise_email
from openaoc.kernel.identifiers.ip import mask_ip, normalise_ipv4, normalise_ipv6
from openaoc.kernel.identifiers.phone import mask_phone, normalise_phone
from openaoc.kernel.identifiers.text import cleaned
from openaoc.kernel.identifiers.url import mask_url, normalise_url

REGION: Final = "TH"
"""Where a telephone number without a country is from, unless somebody says otherwise."""


class Kind(enum.StrEnum):
    """What somebody can be reached or paid at."""

    BANK_ACCOUNT = "bank_account"
    PHONE = "phone"
    URL = "url"
    DOMAIN = "domain"
    EMAIL = "email"
    IPV4 = "ipv4"
    IPV6 = "ipv6"
    PROMPTPAY = "promptpay"
    LINE = "line"
    TELEGRAM = "telegram"
    WHATSAPP = "whatsapp"
    WECHAT = "wechat"
    ZALO = "zalo"
    FACEBOOK = "facebook"
    TIKTOK = "tiktok"
    BITCOIN = "bitcoin"
    ETHEREUM = "ethereum"
    TRON = "tron"
    PERSON = "person"


class Identifier(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One identifier, its value normalised."""

    kind: Kind
    value: str


class UnknownKind(BadInput):
    """No such kind of identifier."""


OTHER_NAMES: Final = {
    "account": Kind.BANK_ACCOUNT,
    "bank-account": Kind.BANK_ACCOUNT,
    "phone_number": Kind.PHONE,
    "telephone": Kind.PHONE,
    "mobile": Kind.PHONE,
    "sms": Kind.PHONE,
    "link": Kind.URL,
    "website": Kind.URL,
    "site": Kind.URL,
    "host": Kind.DOMAIN,
    "hostname": Kind.DOMAIN,
    "mail": Kind.EMAIL,
    "e-mail": Kind.EMAIL,
    "line_id": Kind.LINE,
    "btc": Kind.BITCOIN,
    "eth": Kind.ETHEREUM,
    "trx": Kind.TRON,
    "national_id": Kind.PERSON,
    "passport": Kind.PERSON,
}
"""What reports call a kind, beside its own name."""


def kind_named(text: str) -> Kind:
    """The kind by its name or another name in use. Raises UnknownKind."""
    name = text.strip().lower()
    if name in OTHER_NAMES:
        return OTHER_NAMES[name]
    try:
        return Kind(name)
    except ValueError as error:
        raise UnknownKind(f"{text[:32]!r}") from error


def account_value(*, bank: str, account: str) -> str:
    """A bank account as one text, `BANK:ACCOUNT`: a number without its bank is no identity."""
    code = normalise_bank(bank)
    if ":" in code:
        raise BadInput("a colon in an institution code")
    # Without the space between them a letter and a combining mark are one letter.
    return unicodedata.normalize("NFKC", f"{code}:{normalise_account(account)}")


def account_parts(value: str) -> tuple[str, str]:
    """(bank, account) of a normalised bank account."""
    bank, _, account = value.partition(":")
    return bank, account


def _account(text: str) -> str:
    bank, separator, account = cleaned(text).partition(":")
    if not separator:
        raise BadInput("an account without its bank; write BANK:ACCOUNT")
    return account_value(bank=bank.strip(), account=account)


def _mask_account(value: str) -> str:
    bank, account = account_parts(value)
    return f"{bank}:{bank_account.mask_account(account)}"


def normalise(kind: Kind, text: str, *, region: str = REGION) -> str:
    """The one form in which this identifier is kept and compared; again, it changes nothing.

    `region`: ISO 3166 alpha-2, for numbers written without a country. Raises BadInput, and the
    caller keeps the text as it came.
    """
    if kind is Kind.PHONE:
        return normalise_phone(text, region=region)
    if kind.value in handle.PLATFORMS:
        return handle.normalise_handle(kind.value, text, region=region)
    return _NORMALISE[kind](text)


def mask(kind: Kind, value: str) -> str:
    """A normalised value as those see it who need not know: what each kind's mask says is left."""
    return _MASK.get(kind, handle.mask_handle)(value)


_NORMALISE: Final[dict[Kind, Callable[[str], str]]] = {
    Kind.BANK_ACCOUNT: _account,
    Kind.URL: normalise_url,
    Kind.DOMAIN: normalise_domain,
    Kind.EMAIL: normalise_email,
    Kind.IPV4: normalise_ipv4,
    Kind.IPV6: normalise_ipv6,
    Kind.PROMPTPAY: promptpay.normalise_promptpay,
    Kind.BITCOIN: bitcoin.normalise_bitcoin,
    Kind.ETHEREUM: ethereum.normalise_ethereum,
    Kind.TRON: tron.normalise_tron,
    Kind.PERSON: person.normalise_person,
}
_MASK: Final[dict[Kind, Callable[[str], str]]] = {
    Kind.BANK_ACCOUNT: _mask_account,
    Kind.PHONE: mask_phone,
    Kind.URL: mask_url,
    Kind.DOMAIN: mask_domain,
    Kind.EMAIL: mask_email,
    Kind.IPV4: mask_ip,
    Kind.IPV6: mask_ip,
    Kind.PROMPTPAY: promptpay.mask_promptpay,
    Kind.BITCOIN: bitcoin.mask_wallet,
    Kind.ETHEREUM: bitcoin.mask_wallet,
    Kind.TRON: bitcoin.mask_wallet,
    Kind.PERSON: person.mask_person,
}
PERSONAL: Final = frozenset(Kind) - {Kind.URL, Kind.DOMAIN, Kind.IPV4, Kind.IPV6}
"""Kinds that lead to one person, for data protection: all but sites and machines."""
