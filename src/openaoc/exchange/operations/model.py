"""Joint operations: what centres agree on, their timeline, and the life of one as a table.

An operation is an annex: it narrows the standing agreement with each partner and widens none.
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
from openaoc.kernel.money import AMOUNT_MINOR_MAX
from openaoc.kernel.offences import Offence

PATH: Final = "/v1/centre/operations"
MEMBERS_MAX: Final = 20
ENTRIES_MAX: Final = 500
"""Entries of one operation: what both sides know of fits into one message."""
SENT_AT_ONCE_MAX: Final = 20
OPERATIONS_MAX: Final = 1_000
SHARED_FIELDS: Final = ("text", "count", "amount_minor", "currency", "case")
"""What of an entry an operation may share besides that it was, what it was and when."""
CHANGED: Final = "exchange.operation.changed"

Text = Annotated[str, Meta(min_length=3, max_length=2_000)]


class NoSuchOperation(NotFound):
    """There is no such operation, or nothing of it is shown to you."""


class WrongOperationStep(Conflict):
    """The operation's state does not allow this."""


class OtherTerms(Conflict):
    """An operation's terms never change: another one is opened."""


class OperationState(enum.StrEnum):
    """Where an operation stands with us; STEPS says how it gets from one to the next."""

    DRAFTED = "drafted"
    INVITED = "invited"
    ACTIVE = "active"
    REFUSED = "refused"
    LEFT = "left"
    CLOSED = "closed"


class MemberState(enum.StrEnum):
    """Where another centre stands in an operation."""

    ASKED = "asked"
    ACTIVE = "active"
    GONE = "gone"
    """It refused or left: it gets nothing more."""


class Act(enum.StrEnum):
    """What somebody does with an operation."""

    APPROVE = "approve"
    ACCEPT = "accept"
    REFUSE = "refuse"
    LEAVE = "leave"
    CLOSE = "close"


class OperationStep(msgspec.Struct, frozen=True, kw_only=True):
    """One permitted step, and how many persons have to say it."""

    before: OperationState
    after: OperationState
    act: Act
    persons: int
    why: str


_S = OperationState
STEPS: Final[tuple[OperationStep, ...]] = (
    OperationStep(
        before=_S.DRAFTED, after=_S.ACTIVE, act=Act.APPROVE, persons=2, why="the lead offers it"
    ),
    OperationStep(
        before=_S.INVITED, after=_S.ACTIVE, act=Act.ACCEPT, persons=2, why="we take part"
    ),
    OperationStep(
        before=_S.INVITED, after=_S.REFUSED, act=Act.REFUSE, persons=1, why="we take no part"
    ),
    OperationStep(
        before=_S.ACTIVE, after=_S.LEFT, act=Act.LEAVE, persons=1, why="one is enough to stop"
    ),
    OperationStep(
        before=_S.ACTIVE, after=_S.CLOSED, act=Act.CLOSE, persons=2, why="the lead ends it"
    ),
)
_BY_ACT: Final = {(step.before, step.act): step for step in STEPS}


def check_step(before: OperationState, act: Act) -> OperationStep:
    """The permitted step. Raises WrongOperationStep."""
    found = _BY_ACT.get((before, act))
    if found is None:
        raise WrongOperationStep(f"{act.value} is not for an operation that is {before.value}")
    return found


class EntryAction(enum.StrEnum):
    """What was done. Nobody is named: a count, an amount, a word."""

    ACCOUNTS_HELD = "accounts-held"
    LOCATED = "located"
    RETURNED = "returned"
    VICTIMS_HELPED = "victims-helped"
    RAID = "raid"
    ARRESTS = "arrests"
    TAKE_DOWN = "take-down"
    ADVISORY = "advisory"
    MEETING = "meeting"
    CASE_LINKED = "case-linked"
    NOTE = "note"


class NewOperation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An operation to open as its lead. `shares`: which of SHARED_FIELDS; none by default.

    `seen_by`: the roles that may see it, in each centre.
    """

    name: Annotated[str, Meta(min_length=3, max_length=200)]
    partners: Annotated[tuple[PartnerCode, ...], Meta(min_length=1, max_length=MEMBERS_MAX)]
    purposes: Annotated[tuple[Offence, ...], Meta(min_length=1)]
    starts_at: Annotated[datetime, Meta(tz=True)]
    ends_at: Annotated[datetime, Meta(tz=True)]
    shares: tuple[Annotated[str, Meta(max_length=40)], ...] = ()
    seen_by: Annotated[tuple[str, ...], Meta(min_length=1)] = (
        "investigator",
        "supervisor",
        "data_protection_officer",
    )


class NewEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that was done: `count` of things or people, `amount_minor` of money.

    `corrects`: an entry of ours that this one replaces in the results. `case`: a case of ours, of
    which the partners see a pseudonym, where their agreements grant it.
    """

    action: EntryAction
    at: Annotated[datetime, Meta(tz=True)]
    text: Annotated[str, Meta(max_length=2_000)] = ""
    count: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    amount_minor: Annotated[int, Meta(ge=0, le=AMOUNT_MINOR_MAX)] = 0
    currency: Annotated[str, Meta(max_length=3)] = ""
    case: Annotated[str, Meta(max_length=64)] | None = None
    corrects: ObjectId | None = None


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the timeline, whoever's. `kept_back`: why a partner does not get it.

    `taken_back`: its centre has withdrawn it from us; what it said is forgotten.
    """

    id: str
    origin: str
    action: EntryAction
    at: datetime
    text: str = ""
    count: int = 0
    amount_minor: int = 0
    currency: str = ""
    case: str | None = None
    corrects: str | None = None
    recorded_by: str | None = None
    kept_back: str | None = None
    taken_back: bool = False


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """Another centre in the operation."""

    partner: str
    state: MemberState
    heard_at: datetime | None = None
    last_error: str | None = None


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """An operation as this centre knows it. `digest`: of what was agreed on; it never changes."""

    id: str
    name: str
    lead: str
    members: tuple[str, ...]
    purposes: tuple[Offence, ...]
    shares: tuple[str, ...]
    seen_by: tuple[str, ...]
    starts_at: datetime
    ends_at: datetime
    digest: str
    state: OperationState
    voices: tuple[str, ...]
    """Who has said the step that waits for a second person."""
    opened_at: datetime
    changed_at: datetime
    reason: str = ""


class Sum(msgspec.Struct, frozen=True, kw_only=True):
    """What one centre contributed of one action, in one currency: `""` for counts alone."""

    origin: str
    action: EntryAction
    currency: str
    entries: int
    count: int
    amount_minor: int


class OperationView(msgspec.Struct, frozen=True, kw_only=True):
    """An operation with its members, timeline and results, from each side's contributions."""

    operation: Operation
    members: list[Member]
    timeline: list[Entry]
    results: list[Sum]


class OperationList(msgspec.Struct, frozen=True, kw_only=True):
    """One page of operations, newest first; `cursor` gets the next, null at the end."""

    operations: list[Operation]
    cursor: str | None


class ActSaid(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person's word on an operation."""

    act: Act
    reason: Reason


class EntryMessage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An entry between two centres. `proof`: its origin's own, to know it again after a restore."""

    origin: PartnerCode
    entry: ReleasedObject
    proof: Annotated[str, Meta(max_length=64)]


class OperationWord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one centre knows of an operation with another: said, and answered with the same.

    `have`: entries of the two that it has; `entries`: such that the other had not, when it knew.
    """

    operation: ReleasedObject
    proof: Annotated[str, Meta(max_length=64)]
    state: OperationState
    have: Annotated[tuple[ObjectId, ...], Meta(max_length=ENTRIES_MAX)] = ()
    entries: Annotated[tuple[EntryMessage, ...], Meta(max_length=SENT_AT_ONCE_MAX)] = ()


class OperationHeard(msgspec.Struct, frozen=True, kw_only=True):
    """The answer: how it stands there, what it has now, and what the asker lacks."""

    state: OperationState
    have: tuple[ObjectId, ...] = ()
    entries: tuple[EntryMessage, ...] = ()


class OperationMark(msgspec.Struct, frozen=True, kw_only=True):
    """An operation or an entry in the journal: no text of it."""

    state: str
    digest: str
    members: tuple[str, ...] = ()
    entry: str = ""
    action: str = ""
    voices: tuple[str, ...] = ()
