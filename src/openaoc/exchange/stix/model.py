"""Exchange, STIX 2.1: the objects we write and read, as structs.

One struct a type; `type` is the tag. Times are texts in the form STIX asks for.
"""

from __future__ import annotations

import enum
from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from openaoc.exchange.objects import TEXT_CHARACTERS_MAX, Fields

SPEC_VERSION: Final = "2.1"
REFS_PER_OBJECT_MAX: Final = 1_000
LISTED_MAX: Final = 200
SHORT_CHARACTERS_MAX: Final = 256
PATTERN_CHARACTERS_MAX: Final = 10_000

StixId = Annotated[
    str,
    Meta(
        pattern=(
            r"^[a-z][a-z0-9-]{1,62}--[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}"
            r"-[0-9a-f]{12}\Z"
        ),
        max_length=110,
    ),
]
"""`type--uuid` (§2.9)."""
Timestamp = Annotated[
    str, Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z\Z", max_length=40)
]
"""RFC 3339 in UTC with `Z` (§2.16)."""
Short = Annotated[str, Meta(max_length=SHORT_CHARACTERS_MAX)]
Text = Annotated[str, Meta(max_length=TEXT_CHARACTERS_MAX)]
Shorts = Annotated[tuple[Short, ...], Meta(max_length=LISTED_MAX)]
Refs = Annotated[tuple[StixId, ...], Meta(max_length=REFS_PER_OBJECT_MAX)]
Percent = Annotated[int, Meta(ge=0, le=100)]
Count = Annotated[int, Meta(ge=0, le=2**53 - 1)]


class Profile(enum.StrEnum):
    """Whose reader it is for: what it does not know it drops."""

    CORE = "core"
    """Types of the standard alone; everybody keeps them."""
    OPENCTI = "opencti"
    """Accounts, numbers and wallets in the observables OpenCTI adds."""
    MISP = "misp"
    """As core, without what MISP's importer makes nothing of."""


class Extension(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Properties beyond the standard, under the id of the extension that defines them (§7.3).

    `fields` and `refs` are ours; `tlp_2_0` is of the marking extension.
    """

    extension_type: Short | None = None
    tlp_2_0: Short | None = None
    minimised: Short | None = None
    fields: Fields = {}
    refs: dict[str, Refs] = {}


Extensions = dict[str, Extension]


class StixObject(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type"):
    """What every object has (§3.2)."""

    spec_version: Annotated[str, Meta(pattern=r"^2\.1\Z")] | None = None
    id: StixId
    object_marking_refs: Refs = ()
    extensions: Extensions = {}


class DomainObject(StixObject, frozen=True, kw_only=True, omit_defaults=True):
    """What is created by somebody and has versions (§3.6)."""

    created_by_ref: StixId | None = None
    created: Timestamp
    modified: Timestamp
    revoked: bool = False
    labels: Shorts = ()
    confidence: Percent | None = None
    lang: Short | None = None


class Indicator(DomainObject, frozen=True, kw_only=True, omit_defaults=True, tag="indicator"):
    """A pattern that shows a scam (§4.7)."""

    name: Text | None = None
    description: Text | None = None
    indicator_types: Shorts = ()
    pattern: Annotated[str, Meta(max_length=PATTERN_CHARACTERS_MAX)]
    pattern_type: Short
    valid_from: Timestamp
    valid_until: Timestamp | None = None


class Sighting(DomainObject, frozen=True, kw_only=True, omit_defaults=True, tag="sighting"):
    """Something was seen, by somebody (§5.2)."""

    description: Text | None = None
    first_seen: Timestamp | None = None
    last_seen: Timestamp | None = None
    count: Count | None = None
    sighting_of_ref: StixId
    where_sighted_refs: Refs = ()


class Campaign(DomainObject, frozen=True, kw_only=True, omit_defaults=True, tag="campaign"):
    """Scams that belong together (§4.2)."""

    name: Text
    description: Text | None = None
    aliases: Shorts = ()
    first_seen: Timestamp | None = None
    last_seen: Timestamp | None = None
    objective: Text | None = None


class Report(DomainObject, frozen=True, kw_only=True, omit_defaults=True, tag="report"):
    """A text about other objects (§4.16)."""

    name: Text
    description: Text | None = None
    report_types: Shorts = ()
    published: Timestamp
    object_refs: Refs


class Grouping(DomainObject, frozen=True, kw_only=True, omit_defaults=True, tag="grouping"):
    """Objects that share a context (§4.4)."""

    name: Text | None = None
    description: Text | None = None
    context: Short
    object_refs: Refs


class CourseOfAction(
    DomainObject, frozen=True, kw_only=True, omit_defaults=True, tag="course-of-action"
):
    """What one does about it (§4.3)."""

    name: Text
    description: Text | None = None


class Identity(DomainObject, frozen=True, kw_only=True, omit_defaults=True, tag="identity"):
    """Somebody: a person, an organisation, a kind of victims (§4.5)."""

    name: Text
    description: Text | None = None
    identity_class: Short | None = None
    sectors: Shorts = ()
    contact_information: Text | None = None


class Relationship(DomainObject, frozen=True, kw_only=True, omit_defaults=True, tag="relationship"):
    """How one object stands to another (§5.1)."""

    relationship_type: Short
    description: Text | None = None
    source_ref: StixId
    target_ref: StixId
    start_time: Timestamp | None = None
    stop_time: Timestamp | None = None


class ExtensionDefinition(
    DomainObject, frozen=True, kw_only=True, omit_defaults=True, tag="extension-definition"
):
    """What an extension means (§7.3)."""

    name: Text
    description: Text | None = None
    schema: Text
    version: Short
    extension_types: Shorts


class Definition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a marking of STIX itself says (§7.2)."""

    tlp: Short | None = None
    statement: Text | None = None


class MarkingDefinition(
    StixObject, frozen=True, kw_only=True, omit_defaults=True, tag="marking-definition"
):
    """How far what carries it may go (§7.2); it has no versions."""

    created_by_ref: StixId | None = None
    created: Timestamp
    name: Short | None = None
    definition_type: Short | None = None
    definition: Definition | None = None


class Observable(StixObject, frozen=True, kw_only=True, omit_defaults=True):
    """Something technical, the same for everybody who sees it (§6)."""


class UserAccount(Observable, frozen=True, kw_only=True, omit_defaults=True, tag="user-account"):
    """An account anywhere (§6.16)."""

    user_id: Text | None = None
    account_login: Text | None = None
    account_type: Short | None = None
    display_name: Text | None = None


class Url(Observable, frozen=True, kw_only=True, omit_defaults=True, tag="url"):
    """An address on the web (§6.15)."""

    value: Text


class DomainName(Observable, frozen=True, kw_only=True, omit_defaults=True, tag="domain-name"):
    """A domain (§6.4)."""

    value: Text


class EmailAddr(Observable, frozen=True, kw_only=True, omit_defaults=True, tag="email-addr"):
    """An address for mail (§6.5)."""

    value: Text
    display_name: Text | None = None


class Ipv4Addr(Observable, frozen=True, kw_only=True, omit_defaults=True, tag="ipv4-addr"):
    """An IPv4 address (§6.8)."""

    value: Text


class Ipv6Addr(Observable, frozen=True, kw_only=True, omit_defaults=True, tag="ipv6-addr"):
    """An IPv6 address (§6.9)."""

    value: Text


class PhoneNumber(Observable, frozen=True, kw_only=True, omit_defaults=True, tag="phone-number"):
    """A telephone number, as OpenCTI knows it."""

    value: Text


class BankAccount(Observable, frozen=True, kw_only=True, omit_defaults=True, tag="bank-account"):
    """An account at a bank, as OpenCTI knows it: by its IBAN, or what stands for one."""

    iban: Text | None = None
    bic: Short | None = None
    account_number: Text | None = None


class CryptocurrencyWallet(
    Observable, frozen=True, kw_only=True, omit_defaults=True, tag="cryptocurrency-wallet"
):
    """A wallet by its address, as OpenCTI knows it."""

    value: Text


class PaymentTransaction(
    Observable, frozen=True, kw_only=True, omit_defaults=True, tag="payment-transaction"
):
    """One payment, by our published extension. The amount is a text: `1234.50`."""

    amount: Annotated[str, Meta(pattern=r"^\d{1,20}(\.\d{1,4})?\Z")]
    currency: Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z")]
    booked_at: Timestamp
    reference: Text | None = None
    debtor_ref: StixId | None = None
    creditor_ref: StixId | None = None


TYPES: Final[dict[str, type[StixObject]]] = {
    str(kind.__struct_config__.tag): kind
    for kind in (
        Indicator,
        Sighting,
        Campaign,
        Report,
        Grouping,
        CourseOfAction,
        Identity,
        Relationship,
        ExtensionDefinition,
        MarkingDefinition,
        UserAccount,
        Url,
        DomainName,
        EmailAddr,
        Ipv4Addr,
        Ipv6Addr,
        PhoneNumber,
        BankAccount,
        CryptocurrencyWallet,
        PaymentTransaction,
    )
}
"""Every type we write or read."""


class Bundle(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="bundle"
):
    """A file of objects (§8)."""

    id: StixId
    objects: tuple[StixObject, ...] = ()


class Lost(msgspec.Struct, frozen=True, kw_only=True):
    """What could not be kept: where it stood, and why not."""

    path: str
    reason: str


_ENCODER: Final = msgspec.json.Encoder()


def encode(value: msgspec.Struct) -> bytes:
    """UTF-8 JSON, without escapes for what is not ASCII."""
    return _ENCODER.encode(value)


def stix_time(moment: datetime) -> str:
    """UTC with exactly three digits after the second, as `created` and `modified` need (§3.2)."""
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
