"""Restitution: wire forms, and the life of one as a single table.

Never more than is held, never to another account than the victim paid from.
"""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from openaoc.kernel.actor import Actor, Role
from openaoc.kernel.errors import BadInput, Conflict, NotFound, Refused
from openaoc.kernel.limits import REPORTER_CHARACTERS_MAX, TRANSFER_ID_CHARACTERS_MAX
from openaoc.kernel.money import AMOUNT_MINOR_MAX

LINES_MAX: Final = 1_000
"""Payments of one restitution: accounts that hold times accounts that are paid."""
OBJECTIONS_MAX: Final = 200
WORDS_CHARACTERS_MAX: Final = 2_000
PUBLISHED_SHOWN_MAX: Final = 1_000


class NoSuchRestitution(NotFound):
    """There is no such restitution, payment or objection."""


class WrongRestitutionStep(Conflict):
    """The restitution's state does not allow this."""


class NotYourRestitution(Refused):
    """This role may not do this with a restitution."""


class OtherPerson(Refused):
    """A second person has to do this."""


class NoRoomInFile(Conflict):
    """This form of file has no room for one of the payments: take the other."""


class NothingToReturn(Conflict):
    """Nothing is held that could be given back."""


class OneAtATime(Conflict):
    """The case has a restitution that has not ended."""


class TooLateToObject(Conflict):
    """The time to object is over, or has not begun."""


class PaidDifferently(Conflict):
    """The payment was confirmed otherwise before."""


class WrongPayment(BadInput):
    """The transfer is not the payment that was to be made."""


class RestitutionState(enum.StrEnum):
    """Where a restitution stands; TRANSITIONS says how it gets from one to the next."""

    PROPOSED = "proposed"
    PUBLISHED = "published"
    OBJECTED = "objected"
    DECIDED = "decided"
    PAYABLE = "payable"
    PAID = "paid"
    ENDED = "ended"


OPEN: Final = frozenset(RestitutionState) - {RestitutionState.PAID, RestitutionState.ENDED}
OPEN_TO_OBJECTION: Final = frozenset(
    {RestitutionState.PUBLISHED, RestitutionState.OBJECTED, RestitutionState.DECIDED}
)


class RestitutionTransition(msgspec.Struct, frozen=True, kw_only=True):
    """One permitted step: from, to, the verb that takes it, who may, and why it exists."""

    before: RestitutionState
    after: RestitutionState
    verb: str
    who: frozenset[Role]
    why: str


_S = RestitutionState
_CENTRE: Final = frozenset({Role.SYSTEM})
_DECIDERS: Final = frozenset({Role.SUPERVISOR})
_VOICES: Final = frozenset(
    {Role.AGENT, Role.INVESTIGATOR, Role.SUPERVISOR, Role.LIAISON, Role.MACHINE}
)


def _step(
    before: RestitutionState, after: RestitutionState, verb: str, *, who: frozenset[Role], why: str
) -> RestitutionTransition:
    return RestitutionTransition(before=before, after=after, verb=verb, who=who, why=why)


TRANSITIONS: Final[tuple[RestitutionTransition, ...]] = (
    _step(
        _S.PROPOSED,
        _S.PUBLISHED,
        "publish",
        who=_DECIDERS,
        why="another person than the one who proposed it agrees; third parties may now object",
    ),
    *(
        _step(
            before, _S.OBJECTED, "object", who=_VOICES, why="somebody else says the money is theirs"
        )
        for before in (_S.PUBLISHED, _S.DECIDED)
    ),
    _step(
        _S.OBJECTED,
        _S.DECIDED,
        "decide",
        who=_DECIDERS,
        why="two persons have decided every objection",
    ),
    *(
        _step(
            before,
            _S.PAYABLE,
            "mature",
            who=_CENTRE,
            why="the time to object is over, none is open",
        )
        for before in (_S.PUBLISHED, _S.DECIDED)
    ),
    _step(
        _S.PAYABLE,
        _S.PAID,
        "settle",
        who=_CENTRE,
        why="the institutions have confirmed every payment",
    ),
    *(
        _step(
            before,
            _S.ENDED,
            "end",
            who=_DECIDERS | _CENTRE,
            why="no ground is left, or nothing is held any more; what is paid stays paid",
        )
        for before in sorted(OPEN)
    ),
)
_BY_STEP: Final = {(t.before, t.after): t for t in TRANSITIONS}


def check_step(
    before: RestitutionState, after: RestitutionState, *, actor: Actor
) -> RestitutionTransition:
    """The permitted step. Raises WrongRestitutionStep, NotYourRestitution for the wrong role."""
    step = _BY_STEP.get((before, after))
    if step is None:
        raise WrongRestitutionStep(f"a restitution that is {before} cannot become {after}")
    if not step.who & actor.roles:
        raise NotYourRestitution(f"{step.verb} is for {', '.join(sorted(step.who))}")
    return step


class LineState(enum.StrEnum):
    """One payment: to be made, made, or not to be made."""

    OPEN = "open"
    PAID = "paid"
    DROPPED = "dropped"


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One payment: from the account that is held under an order to the account of a victim.

    `amount_minor` only ever shrinks from `proposed_minor`. `held_minor`: what the order holds now.
    The payment carries `end_to_end_id`; `paid_by` and `paid_id` name the transfer that made it.
    """

    restitution: str
    no: int
    order: str
    institution: str
    account: str
    payee_bank: str
    payee_account: str
    currency: str
    proposed_minor: int
    amount_minor: int
    paid_minor: int = 0
    state: LineState = LineState.OPEN
    paid_by: str | None = None
    paid_id: str | None = None
    paid_at: datetime | None = None
    held_minor: int = 0
    hold_ends_at: datetime | None = None

    @property
    def end_to_end_id(self) -> str:
        """What the payment is called from end to end: at most 35 characters."""
        return f"{self.restitution}/{self.no}"

    @property
    def open_minor(self) -> int:
        """What is still to be paid."""
        return self.amount_minor if self.state is LineState.OPEN else 0


class ObjectionState(enum.StrEnum):
    """An objection: filed, decided by one person, decided by two."""

    FILED = "filed"
    PROPOSED = "proposed"
    DECIDED = "decided"


class Objection(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody else says of the money held under an order, and what became of it."""

    no: int
    order: str
    institution: str
    kind: Literal["holder", "claimant", "other"]
    rival_case: str | None
    claimed_minor: int
    grounds: str
    filed_by: str
    filed_at: datetime
    state: ObjectionState = ObjectionState.FILED
    upheld_minor: int | None = None
    decision: str | None = None
    proposed_by: str | None = None
    decided_by: str | None = None
    decided_at: datetime | None = None


class NewRestitution(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose money is to be given back."""

    case: Annotated[str, Meta(min_length=1, max_length=32)]


Words = Annotated[str, Meta(min_length=3, max_length=WORDS_CHARACTERS_MAX)]


class NewObjection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who objects and why: the holder, somebody who claims the money, or another.

    `amount_minor` None: all that is to be paid from the order. `rival_case` names the case of a
    claimant who has one. `grounds` names no person.
    """

    order: Annotated[str, Meta(min_length=1, max_length=64)]
    kind: Literal["holder", "claimant", "other"]
    grounds: Words
    amount_minor: Annotated[int, Meta(gt=0, le=AMOUNT_MINOR_MAX)] | None = None
    rival_case: Annotated[str, Meta(min_length=1, max_length=32)] | None = None


class ObjectionDecision(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much of an objection is upheld, and why. It stands when a second person says the same."""

    upheld_minor: Annotated[int, Meta(ge=0, le=AMOUNT_MINOR_MAX)]
    reason: Words


class PaymentMade(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The institution's word that it paid a line, and by which transfer (as it reports it)."""

    transfer_id: Annotated[str, Meta(min_length=1, max_length=TRANSFER_ID_CHARACTERS_MAX)]
    amount_minor: Annotated[int, Meta(gt=0, le=AMOUNT_MINOR_MAX)]
    paid_at: Annotated[datetime, Meta(tz=True)]
    reported_by: Annotated[str, Meta(min_length=1, max_length=REPORTER_CHARACTERS_MAX)] | None = (
        None
    )


class EndReason(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a restitution ends."""

    reason: Words


class Restitution(msgspec.Struct, frozen=True, kw_only=True):
    """One restitution of one case, with its payments and objections."""

    id: str
    case: str
    jurisdiction: str
    currency: str
    trace_rule: str
    state: RestitutionState
    proposed_by: str
    proposed_at: datetime
    published_by: str | None = None
    published_at: datetime | None = None
    objections_until: datetime | None = None
    payable_at: datetime | None = None
    ended_at: datetime | None = None
    end_reason: str | None = None
    sequence: int = 0
    lines: list[Line] = []
    objections: list[Objection] = []

    @property
    def open_minor(self) -> int:
        """What is still to be paid."""
        return sum(line.open_minor for line in self.lines)

    @property
    def paid_minor(self) -> int:
        """What was paid."""
        return sum(line.paid_minor for line in self.lines)


class RestitutionPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page, newest first; `cursor` is passed to get the next, null at the end."""

    restitutions: list[Restitution]
    cursor: str | None


class PublishedLine(msgspec.Struct, frozen=True, kw_only=True):
    """What the public sees of money about to be given back: enough for a holder to know it."""

    restitution: str
    order: str
    institution: str
    account_ends: str
    """The last four characters."""
    amount_minor: int
    currency: str
    objections_until: datetime


class PublishedLines(msgspec.Struct, frozen=True, kw_only=True):
    """All that may be objected to now, the soonest end first."""

    lines: list[PublishedLine]


class Returned(msgspec.Struct, frozen=True, kw_only=True):
    """One jurisdiction's money: ever held for its cases, and returned of that.

    `held_minor` counts what institutions blocked less what never was a case's. `share` is
    returned ÷ held, null when nothing was held.
    """

    jurisdiction: str
    currency: str
    held_minor: int
    returned_minor: int
    share: float | None


class ReturnedFigures(msgspec.Struct, frozen=True, kw_only=True):
    """By jurisdiction and currency."""

    at: datetime
    jurisdictions: list[Returned]


class PayableNotice(msgspec.Struct, frozen=True, kw_only=True):
    """What an institution is told: payments of its accounts wait for it."""

    restitution: str
    case: str
    institution: str
    payments: int
    total_minor: int
    currency: str
    at: datetime


class RestitutionMark(msgspec.Struct, frozen=True, kw_only=True):
    """A restitution in the journal: sums, no account and no words."""

    case: str
    state: str
    currency: str
    payments: int
    open_minor: int
    paid_minor: int
    objections: int
    objections_until: datetime | None

    @classmethod
    def of(cls, one: Restitution) -> RestitutionMark:
        """The mark of this one."""
        return cls(
            case=one.case,
            state=one.state.value,
            currency=one.currency,
            payments=len(one.lines),
            open_minor=one.open_minor,
            paid_minor=one.paid_minor,
            objections=len(one.objections),
            objections_until=one.objections_until,
        )
