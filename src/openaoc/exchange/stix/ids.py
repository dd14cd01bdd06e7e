"""Exchange, STIX 2.1: ids that everybody computes alike, for what everybody sees alike.

UUIDv5 over the canonical JSON of the contributing properties (STIX 2.1 §2.9, RFC 8785). Whoever
has the id can try values against it: only for what is sent as it is.
"""

from __future__ import annotations

import uuid
from typing import Final

import msgspec

from openaoc.exchange.stix.model import (
    BankAccount,
    CryptocurrencyWallet,
    DomainName,
    EmailAddr,
    Ipv4Addr,
    Ipv6Addr,
    Observable,
    PaymentTransaction,
    PhoneNumber,
    Url,
    UserAccount,
)
from openaoc.storage.canonical import canonical_json

NAMESPACE: Final = uuid.UUID("00abedb4-aa42-466c-9c01-fed23315a9b7")
"""The standard's own, for observables."""
OURS: Final = uuid.UUID("3f0e9b0a-6a53-4d0e-9d7c-5d0f3e6a1c42")
"""Ours, for relationships that follow from their two ends."""

CONTRIBUTING: Final[dict[type[Observable], tuple[str, ...]]] = {
    UserAccount: ("account_login", "account_type", "user_id"),
    Url: ("value",),
    DomainName: ("value",),
    EmailAddr: ("value",),
    Ipv4Addr: ("value",),
    Ipv6Addr: ("value",),
    PhoneNumber: ("value",),
    BankAccount: ("iban", "account_number", "bic"),
    CryptocurrencyWallet: ("value",),
    PaymentTransaction: (
        "amount", "booked_at", "creditor_ref", "currency", "debtor_ref", "reference",
    ),
}  # fmt: skip
"""The properties that make an observable what it is."""


def observable_id(kind: type[Observable], properties: dict[str, str]) -> str:
    """The id of an observable of this type with these properties; others do not count."""
    named = {
        name: properties[name] for name in CONTRIBUTING[kind] if properties.get(name) is not None
    }
    assert named, "an observable has at least one contributing property"
    return f"{type_of(kind)}--{uuid.uuid5(NAMESPACE, canonical_json(named).decode('utf-8'))}"


def derived_id(kind: str, *parts: str) -> str:
    """The same id for the same parts each time; the parts are ids, never values."""
    return f"{kind}--{uuid.uuid5(OURS, chr(0).join(parts))}"


def type_of(kind: type[msgspec.Struct]) -> str:
    """The STIX type a struct stands for."""
    tag = kind.__struct_config__.tag
    assert isinstance(tag, str), "every object has a tag"
    return tag
