"""Protection: a mark that somebody may be a trafficking victim, and referrals to who protects.

Answers what is kept of a mark and of a referral. Never says who is meant: that is sealed.
"""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from openaoc.exchange.model import PartnerCode, Reason
from openaoc.exchange.objects import ObjectId, ReleasedObject
from openaoc.kernel.errors import Conflict, NotFound

IDENTIFIERS_PER_MARK_MAX: Final = 50
PATH: Final = "/v1/centre/referrals"
MARKED: Final = "exchange.protection.marked"

Words = Annotated[str, Meta(min_length=1, max_length=200)]
Telling = Annotated[str, Meta(max_length=10_000)]


class NoSuchMark(NotFound):
    """There is no such mark, or nothing of it is shown to you."""


class NoSuchReferral(NotFound):
    """There is no such referral, or nothing of it is shown to you."""


class WrongMarkStep(Conflict):
    """The state does not allow this."""


class Sign(enum.StrEnum):
    """Indicators that somebody is forced to commit offences; docs/concepts/possible-victims.md.

    From the International Labour Organization's eleven indicators of forced labour (2012) and the
    United Nations Human Rights Office's report on scam operations in South-East Asia (2023).
    """

    FALSE_OFFER = "false-offer"
    MOVED_ACROSS_BORDER = "moved-across-border"
    DOCUMENTS_TAKEN = "documents-taken"
    DEBT = "debt"
    CONFINED = "confined"
    ISOLATED = "isolated"
    VIOLENCE = "violence"
    THREATS = "threats"
    QUOTAS = "quotas"
    WAGES_WITHHELD = "wages-withheld"
    SOLD_ON = "sold-on"
    RANSOM = "ransom"
    ACCOUNT_TAKEN = "account-taken"
    """Somebody else has the account, the telephone or the papers, and uses them."""
    CHILD = "child"


class MarkState(enum.StrEnum):
    """Where a mark stands; one person sets it, two lift it."""

    STANDING = "standing"
    LIFT_PROPOSED = "lift-proposed"
    LIFTED = "lifted"


class ReferralState(enum.StrEnum):
    """Where a referral stands."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    """Released and in the ledger; to be handed over, or carried to the partner's centre."""
    DELIVERED = "delivered"


class PersonsIdentifier(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody is known by: an account, a telephone, a document."""

    kind: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]{1,39}$")]
    value: Annotated[str, Meta(min_length=1, max_length=1_000)]


class Person(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is meant, and what is known: kept sealed, under a key of its own."""

    identifiers: Annotated[
        tuple[PersonsIdentifier, ...], Meta(max_length=IDENTIFIERS_PER_MARK_MAX)
    ] = ()
    person_name: Annotated[str, Meta(max_length=200)] = ""
    nationality: Annotated[str, Meta(max_length=200)] = ""
    languages: Annotated[str, Meta(max_length=200)] = ""
    last_known_place: Annotated[str, Meta(max_length=1_000)] = ""
    situation: Telling = ""
    """What was seen or told, by whom, when."""


class NewMark(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody who may be a victim, with at least one sign and one identifier or name."""

    person: Person
    signs: Annotated[tuple[Sign, ...], Meta(min_length=1, max_length=len(Sign))]
    case: Annotated[str, Meta(max_length=64)] | None = None


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """A mark as trained people see it in a list: who is meant is shown for a reason alone.

    `origin`: the partner that referred this person to us, else None.
    """

    id: str
    state: MarkState
    signs: tuple[Sign, ...]
    case: str | None
    origin: str | None
    origin_ref: str | None
    marked_by: str
    marked_at: datetime
    lift_proposed_by: str | None = None
    lifted_by: str | None = None
    lifted_at: datetime | None = None


class Marked(msgspec.Struct, frozen=True, kw_only=True):
    """The mark, and how many releases it took back."""

    mark: Mark
    taken_back: int


class MarkList(msgspec.Struct, frozen=True, kw_only=True):
    """One page of marks, newest first; `cursor` gets the next, null at the end."""

    marks: list[Mark]
    cursor: str | None


class OpenedMark(msgspec.Struct, frozen=True, kw_only=True):
    """A mark with who is meant."""

    mark: Mark
    person: Person


class NewReferral(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """To whom a marked person is to be referred, and which of what is known is told."""

    mark: Annotated[str, Meta(min_length=1, max_length=64)]
    partner: PartnerCode
    fields: Annotated[tuple[Annotated[str, Meta(max_length=40)], ...], Meta(min_length=1)]
    reason: Reason


class ReferralApproval(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A named person's word that it leaves, and under which law."""

    legal_basis: Annotated[str, Meta(min_length=10, max_length=1_000)]
    reason: Reason


class Referral(msgspec.Struct, frozen=True, kw_only=True):
    """A referral: to whom, which fields, who proposed and who approved it."""

    id: str
    mark: str
    partner: str
    fields: tuple[str, ...]
    state: ReferralState
    reason: str
    proposed_by: str
    proposed_at: datetime
    approved_by: str | None = None
    legal_basis: str | None = None
    approved_at: datetime | None = None
    delivered_at: datetime | None = None
    last_error: str | None = None


class ReferralList(msgspec.Struct, frozen=True, kw_only=True):
    """One page of referrals, newest first; `cursor` gets the next, null at the end."""

    referrals: list[Referral]
    cursor: str | None


class ReferralSheet(msgspec.Struct, frozen=True, kw_only=True):
    """What left, to be handed over where the contact point has no centre of its own."""

    referral: Referral
    left: ReleasedObject


class ReferralMessage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A referral between two centres."""

    referral: ReleasedObject


class ReferralTaken(msgspec.Struct, frozen=True, kw_only=True):
    """It is on record, and the person is protected there too."""

    referral: ObjectId


class ProtectionMark(msgspec.Struct, frozen=True, kw_only=True):
    """A mark or a referral in the journal: nothing of the person."""

    state: str
    signs: tuple[str, ...] = ()
    partner: str = ""
    fields: tuple[str, ...] = ()
    releases_taken_back: int = 0
