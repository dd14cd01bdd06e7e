"""Reports: the wire form of a report and of its answer, with every limit by name.

Never holds an identity longer than the request: that goes to the vault.
"""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from openaoc.kernel.errors import BadInput, Conflict
from openaoc.kernel.limits import (
    ACCOUNT_CHARACTERS_MAX,
    BANK_CHARACTERS_MAX,
    INDICATORS_PER_REPORT_MAX,
    NARRATIVE_CHARACTERS_MAX,
    PAYMENTS_PER_REPORT_MAX,
    REPORTER_CHARACTERS_MAX,
    TRANSFER_ID_CHARACTERS_MAX,
)
from openaoc.kernel.money import AMOUNT_MINOR_MAX

SOURCE_REF_CHARACTERS_MAX: Final = 128
IDEMPOTENCY_KEY_CHARACTERS_MAX: Final = 128
IDENTITY_FIELD_CHARACTERS_MAX: Final = 256
INDICATOR_VALUE_CHARACTERS_MAX: Final = 2048
LANGUAGE_CHARACTERS_MAX: Final = 16
SCAM_TYPE_CHARACTERS_MAX: Final = 64
BANK_CASE_CHARACTERS_MAX: Final = 64
CURRENCY_CHARACTERS: Final = 3

Bank = Annotated[str, Meta(min_length=1, max_length=BANK_CHARACTERS_MAX)]
Account = Annotated[str, Meta(min_length=1, max_length=2 * ACCOUNT_CHARACTERS_MAX)]
"""As written by a person: separators are dropped afterwards, so twice the stored length."""
TransferId = Annotated[str, Meta(min_length=1, max_length=TRANSFER_ID_CHARACTERS_MAX)]
ReporterCode = Annotated[str, Meta(min_length=1, max_length=REPORTER_CHARACTERS_MAX)]
Amount = Annotated[int, Meta(gt=0, le=AMOUNT_MINOR_MAX)]
CurrencyCode = Annotated[str, Meta(min_length=CURRENCY_CHARACTERS, max_length=CURRENCY_CHARACTERS)]
Moment = Annotated[datetime, Meta(tz=True)]
IdentityText = Annotated[str, Meta(min_length=1, max_length=IDENTITY_FIELD_CHARACTERS_MAX)]


class RepeatedDifferently(Conflict):
    """The same idempotency key came with another body."""


class MixedCurrencies(BadInput):
    """All payments of one report are in one currency."""


class Channel(enum.StrEnum):
    """How the report reached us."""

    HOTLINE = "hotline"
    WEB = "web"
    INSTITUTION = "institution"
    POLICE = "police"
    PARTNER = "partner"


class Reporter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who was harmed. Sealed in the vault before the report is committed; never stored here."""

    name: IdentityText | None = None
    phone: IdentityText | None = None
    email: IdentityText | None = None
    national_id: IdentityText | None = None

    def __repr__(self) -> str:
        return "Reporter(…)"


class Payment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One payment the victim made, as far as they can say."""

    booked_at: Moment
    debtor_bank: Bank
    debtor_account: Account
    creditor_bank: Bank
    creditor_account: Account
    amount_minor: Amount
    currency: CurrencyCode
    transfer_id: TransferId | None = None
    reported_by: ReporterCode | None = None


class Indicator(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A number, account, link or handle the scammer used."""

    kind: Annotated[str, Meta(min_length=1, max_length=32)]
    value: Annotated[str, Meta(min_length=1, max_length=INDICATOR_VALUE_CHARACTERS_MAX)]


class Proof(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the sender says of its standing: a claim, never a proof by itself (design §4.2)."""

    kind: Literal["institution", "account_control", "none"] = "none"
    bank_case_id: Annotated[str, Meta(max_length=BANK_CASE_CHARACTERS_MAX)] | None = None


class Report(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A report as it comes over the wire (`POST /v1/reports`)."""

    channel: Channel
    reported_at: Moment
    payments: Annotated[list[Payment], Meta(min_length=1, max_length=PAYMENTS_PER_REPORT_MAX)]
    language: Annotated[str, Meta(min_length=2, max_length=LANGUAGE_CHARACTERS_MAX)] = "th"
    narrative: Annotated[str, Meta(max_length=NARRATIVE_CHARACTERS_MAX)] = ""
    source_ref: Annotated[str, Meta(min_length=1, max_length=SOURCE_REF_CHARACTERS_MAX)] | None = (
        None
    )
    reporter: Reporter | None = None
    scam_type: Annotated[str, Meta(max_length=SCAM_TYPE_CHARACTERS_MAX)] | None = None
    indicators: Annotated[list[Indicator], Meta(max_length=INDICATORS_PER_REPORT_MAX)] = []
    proof: Proof = Proof()


class PaymentMatch(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one payment: the transfer it is, or how many it may be."""

    matched: str | None
    candidates: int


class OrderLine(msgspec.Struct, frozen=True, kw_only=True):
    """One order in short: in the receipt and in the case view."""

    order: str
    institution: str
    amount_minor: int
    state: str
    ends_at: datetime


class ReportReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """The 201: everything it names is committed.

    `secret` opens the case to the citizen; it is empty when a repeat is answered after the
    centre's secret key was changed.
    """

    case: str
    secret: str
    mode: Literal["live", "shadow"]
    standing: Literal["automatic", "needs_person"]
    payments: list[PaymentMatch]
    located_minor: int
    exited_minor: int
    orders: list[OrderLine]
