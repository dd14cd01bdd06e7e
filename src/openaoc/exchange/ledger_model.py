"""Exchange: what was released, to whom, under what, and what became of it. Decides nothing."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from openaoc.exchange.agreement import Minimisation
from openaoc.exchange.model import PartnerCode, Reason
from openaoc.exchange.objects import FieldClass, ObjectId, ObjectKind, ReleasedObject
from openaoc.kernel.offences import Offence


class RecallKind(enum.StrEnum):
    """Why those who received an object are told of it."""

    CORRECTED = "corrected"
    """It was wrong in part; the corrected object follows where it may."""
    WITHDRAWN = "withdrawn"
    """It was wrong, or may not be with the partner any more: delete it."""
    EXPIRED = "expired"
    """It is over, or the time for which it may be kept is: delete it."""


class ReleaseRow(msgspec.Struct, frozen=True, kw_only=True):
    """One release in the ledger. `fields` are those that left, by name.

    `ended_as`: superseded by a newer release of the same object, or recalled as a kind says.
    """

    sequence: int
    partner: str
    agreement: str
    object_id: str
    kind: ObjectKind
    purpose: Offence
    fields: tuple[str, ...]
    why: str
    released_by: str
    released_at: datetime
    keep_until: datetime
    ended_as: str | None = None
    ended_at: datetime | None = None


class ReleasedPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of the release ledger, newest first; `cursor` gets the next, null at the end."""

    releases: list[ReleaseRow]
    cursor: str | None


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """One object in a partner's view: `sequence` orders the view and never comes twice.

    A withdrawn object is there once more, revoked, in its new place.
    """

    sequence: int
    released_at: datetime
    object: ReleasedObject


class ReceivedPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a partner's view, in order; `after` of the next is the last's sequence."""

    objects: list[Received]
    more: bool


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """What a partner is told of an object it received: no content, only what to do."""

    sequence: int
    partner: str
    object_id: str
    kind: RecallKind
    reason: str
    at: datetime
    delivered_at: datetime | None = None


class NoticeList(msgspec.Struct, frozen=True, kw_only=True):
    """Notices, in order."""

    notices: list[Notice]


class Recalled(msgspec.Struct, frozen=True, kw_only=True):
    """Who was told that an object was wrong."""

    object_id: str
    kind: RecallKind
    partners: list[str]


class NewRecall(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An object to take back from everybody who received it."""

    object: ObjectId
    kind: RecallKind
    reason: Reason


class AskedExplanation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What would leave of an object to a partner; for the purpose it would leave for by itself."""

    object: ObjectId
    partner: PartnerCode
    purpose: Offence | None = None


class ExplainedField(msgspec.Struct, frozen=True, kw_only=True):
    """One field: whether it would leave, how, with which value, or why not."""

    name: str
    kind: FieldClass
    leaves: bool
    how: Minimisation | None = None
    value: str | int | tuple[str, ...] | None = None
    why_not: str | None = None


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """What would leave now, and why the rest would not. Nothing was released."""

    object: str
    kind: ObjectKind
    partner: str
    agreement: str | None
    purpose: Offence | None
    marking: str
    leaves: bool
    reasons: list[str]
    fields: list[ExplainedField]


class NewApproval(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person's word that fields which name a person leave to one partner, once."""

    object: ObjectId
    partner: PartnerCode
    fields: Annotated[tuple[Annotated[str, Meta(max_length=40)], ...], Meta(min_length=1)]
    legal_basis: Annotated[str, Meta(min_length=10, max_length=1_000)]
    reason: Reason


class ApprovalView(msgspec.Struct, frozen=True, kw_only=True):
    """An approval: by whom, and whether it was used."""

    id: str
    object_id: str
    partner: str
    fields: tuple[str, ...]
    legal_basis: str
    reason: str
    approved_by: str
    approved_at: datetime
    used_at: datetime | None = None


class ReleaseMark(msgspec.Struct, frozen=True, kw_only=True):
    """A batch of releases in the journal: how many, of which kinds, and a digest over what left."""

    partner: str
    agreement: str
    objects: int
    kinds: tuple[str, ...]
    purposes: tuple[str, ...]
    digest: str
    personal: tuple[str, ...] = ()
    approved_by: str = ""


class RecallMark(msgspec.Struct, frozen=True, kw_only=True):
    """A recall in the journal."""

    kind: str
    partners: tuple[str, ...]
