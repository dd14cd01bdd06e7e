"""Holds: the wire forms of order and answer, and the order's lifecycle as one table.

Never closes an account and never names a person: an order is an amount on an account.
"""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from openaoc.kernel.actor import Actor, Role
from openaoc.kernel.errors import BadInput, Conflict, NotFound, Refused
from openaoc.kernel.limits import (
    ACCOUNT_CHARACTERS_MAX,
    BANK_CHARACTERS_MAX,
    ONWARD_PER_ANSWER_MAX,
    REPORTER_CHARACTERS_MAX,
    TRANSFER_ID_CHARACTERS_MAX,
)
from openaoc.kernel.money import AMOUNT_MINOR_MAX

REASON_CHARACTERS_MAX: Final = 1_000
BANK_CASE_CHARACTERS_MAX: Final = 64
_NOT_SAID: Final = -1


class NoSuchOrder(NotFound):
    """There is no such order."""


class WrongTransition(Conflict):
    """The order's state does not allow this."""


class NotYours(Refused):
    """This role may not do this with an order."""


class SamePerson(Refused):
    """A second person has to agree."""


class MoreThanOrdered(BadInput):
    """More was applied than was ordered."""


class AnsweredDifferently(Conflict):
    """The order was already answered otherwise."""


class OrderState(enum.StrEnum):
    """Where an order stands; TRANSITIONS says how it gets from one to the next."""

    DRAFTED = "drafted"
    ISSUED = "issued"
    ACKNOWLEDGED = "acknowledged"
    APPLIED = "applied"
    APPLIED_IN_PART = "applied_in_part"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    RELEASED = "released"
    EXPIRED = "expired"
    CONVERTED = "converted"
    RESTITUTED = "restituted"


WAITING: Final = frozenset({OrderState.ISSUED, OrderState.ACKNOWLEDGED})
"""Sent and not yet answered: the whole ordered amount counts as taken."""
HOLDING: Final = frozenset({OrderState.APPLIED, OrderState.APPLIED_IN_PART})
"""The institution blocks money."""
ACTIVE: Final = frozenset({OrderState.DRAFTED}) | WAITING | HOLDING
"""Counts against the case's money, so that nothing is ordered twice."""
ENDED: Final = frozenset(OrderState) - ACTIVE


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """One permitted step: from, to, the verb that takes it, who may, and why it exists."""

    before: OrderState
    after: OrderState
    verb: str
    who: frozenset[Role]
    why: str


_CENTRE = frozenset({Role.SYSTEM})
_DECIDERS = frozenset({Role.INVESTIGATOR, Role.SUPERVISOR})
_INSTITUTION = frozenset({Role.MACHINE, Role.LIAISON})
_S = OrderState


def _steps(
    before: frozenset[OrderState],
    after: OrderState,
    verb: str,
    *,
    who: frozenset[Role],
    why: str,
) -> tuple[Transition, ...]:
    ordered = sorted(before)
    return tuple(
        Transition(before=state, after=after, verb=verb, who=who, why=why) for state in ordered
    )


_DRAFT = frozenset({_S.DRAFTED})
TRANSITIONS: Final[tuple[Transition, ...]] = (
    *_steps(
        _DRAFT,
        _S.ISSUED,
        "issue",
        who=_CENTRE | _DECIDERS,
        why="standing is automatic, or the persons the rule asks for have agreed",
    ),
    *_steps(
        frozenset({_S.ISSUED}),
        _S.ACKNOWLEDGED,
        "acknowledge",
        who=_CENTRE | _INSTITUTION,
        why="the institution has it in its own store",
    ),
    *_steps(
        WAITING, _S.APPLIED, "answer", who=_INSTITUTION, why="the whole ordered amount is blocked"
    ),
    *_steps(
        WAITING, _S.APPLIED_IN_PART, "answer", who=_INSTITUTION, why="less than ordered was there"
    ),
    *_steps(
        WAITING,
        _S.REFUSED,
        "answer",
        who=_INSTITUTION,
        why="the institution does not block it, or knows no such account",
    ),
    *_steps(
        _DRAFT | WAITING,
        _S.WITHDRAWN,
        "withdraw",
        who=_CENTRE | _DECIDERS,
        why="the money has left, an earlier origin prevails, or the order should not be",
    ),
    *_steps(
        HOLDING,
        _S.RELEASED,
        "release",
        who=_CENTRE | _DECIDERS | _INSTITUTION,
        why="excess, an upheld contest, or no ground left; ending a hold takes one person",
    ),
    *_steps(
        _DRAFT | WAITING | HOLDING,
        _S.EXPIRED,
        "expire",
        who=_CENTRE,
        why="every hold ends by itself at the time it names",
    ),
    *_steps(
        HOLDING,
        _S.CONVERTED,
        "convert",
        who=frozenset({Role.SUPERVISOR}),
        why="a court's or authority's measure takes the hold's place; the money stays blocked",
    ),
    *_steps(
        HOLDING,
        _S.RESTITUTED,
        "restitute",
        who=_CENTRE | _INSTITUTION,
        why="all that was held is paid back to whom it belongs",
    ),
)
_BY_STEP: Final = {(t.before, t.after): t for t in TRANSITIONS}


def check_transition(before: OrderState, after: OrderState, *, actor: Actor) -> Transition:
    """The permitted step. Raises WrongTransition, or NotYours when the role may not take it."""
    step = _BY_STEP.get((before, after))
    if step is None:
        raise WrongTransition(f"an order that is {before} cannot become {after}")
    if not step.who & actor.roles:
        raise NotYours(f"{step.verb} is for {', '.join(sorted(step.who))}")
    return step


class Words(msgspec.Struct, frozen=True, kw_only=True):
    """One text in the languages of the holder and of the reader."""

    th: str
    en: str

    @property
    def both(self) -> str:
        """Both in one line, for a field that takes one text."""
        return f"{self.th} / {self.en}"


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """A hold order as it goes over the wire. `amount_minor` is the most that may be blocked."""

    order: str
    revision: int
    case: str
    institution: str
    account: str
    amount_minor: int
    currency: str
    rule: str
    legal_basis: str
    """The law in its own language and in English, in one text: a citation, not a message."""
    reason: Words
    issued_at: datetime
    answer_by: datetime
    ends_at: datetime
    received_at: datetime | None = None
    """When the oldest of the money meant arrived: `onward` is asked from then on."""
    continues: str = ""
    """The order under which this amount is blocked already: its owner changes, nothing more is
    blocked for it. Empty where the amount is to be blocked anew.
    """


class OrderEnd(msgspec.Struct, frozen=True, kw_only=True):
    """A withdrawal or release as it goes over the wire.

    `amount_minor` is what to give back now; `remaining_minor` is what stays blocked. Where an order
    is named in `continued_by`, nothing comes free: the amount goes on being blocked under that one.
    """

    order: str
    revision: int
    institution: str
    account: str
    amount_minor: int
    remaining_minor: int
    currency: str
    reason: Words
    at: datetime
    continued_by: str = ""


class HolderNotice(msgspec.Struct, frozen=True, kw_only=True):
    """What the institution tells the holder as soon as the hold is applied (design §4.3)."""

    order: str
    institution: str
    account: str
    amount_minor: int
    currency: str
    text: Words
    ends_at: datetime
    tell_first: bool
    """Likely innocent: the holder is told before anything else is done."""
    contest_code: str = ""
    """With the order's number it opens the contest to the holder, and to nobody else."""
    contest_at: str = ""
    """The page where the holder contests."""


class OnwardTransfer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where an institution says the money went on to: a row of the transfers format."""

    transfer_id: Annotated[str, Meta(min_length=1, max_length=TRANSFER_ID_CHARACTERS_MAX)]
    booked_at: Annotated[datetime, Meta(tz=True)]
    debtor_bank: Annotated[str, Meta(min_length=1, max_length=BANK_CHARACTERS_MAX)]
    debtor_account: Annotated[str, Meta(min_length=1, max_length=2 * ACCOUNT_CHARACTERS_MAX)]
    amount_minor: Annotated[int, Meta(gt=0, le=AMOUNT_MINOR_MAX)]
    currency: Annotated[str, Meta(min_length=3, max_length=3)]
    reported_by: Annotated[str, Meta(min_length=1, max_length=REPORTER_CHARACTERS_MAX)] | None = (
        None
    )
    creditor_bank: Annotated[str, Meta(max_length=BANK_CHARACTERS_MAX)] | None = None
    creditor_account: Annotated[str, Meta(max_length=2 * ACCOUNT_CHARACTERS_MAX)] | None = None
    channel: Annotated[str, Meta(max_length=32)] = "transfer"
    corrects: Annotated[str, Meta(max_length=TRANSFER_ID_CHARACTERS_MAX)] | None = None
    revision: Annotated[int, Meta(ge=0)] | None = None


class SaidOutcome(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an institution says it did. `available_minor`: what was free before this hold.

    `applied` without an amount is refused: read as nothing it would let the money go, read as all
    it would count on what may not be there.
    """

    outcome: Literal["applied", "refused", "unknown_account"]
    applied_minor: Annotated[int, Meta(ge=0, le=AMOUNT_MINOR_MAX)] = msgspec.field(
        default_factory=lambda: _NOT_SAID
    )
    available_minor: Annotated[int, Meta(ge=0, le=AMOUNT_MINOR_MAX)] | None = None
    reason: Annotated[str, Meta(max_length=REASON_CHARACTERS_MAX)] | None = None
    bank_case_id: Annotated[str, Meta(max_length=BANK_CASE_CHARACTERS_MAX)] | None = None

    def __post_init__(self) -> None:
        """An outcome that blocks nothing needs no amount."""
        if self.applied_minor == _NOT_SAID:
            if self.outcome == "applied":
                raise ValueError("`applied` needs `applied_minor`: how much is blocked now")
            msgspec.structs.force_setattr(self, "applied_minor", 0)


class Answer(SaidOutcome, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an institution answers."""

    onward: Annotated[list[OnwardTransfer], Meta(max_length=ONWARD_PER_ANSWER_MAX)] | None = None
    applied_at: Annotated[datetime, Meta(tz=True)] | None = None
    """When the institution blocked the money, by its own clock; default: when the answer came."""


class RuleAmounts(msgspec.Struct, frozen=True, kw_only=True):
    """The tainted amount on one account under each rule, and with its opening unknown."""

    fifo: int
    lifo: int
    pro_rata: int
    opening_unknown: int

    @property
    def least(self) -> int:
        """The smallest of them."""
        return min(self.fifo, self.lifo, self.pro_rata, self.opening_unknown)


class OrderView(msgspec.Struct, frozen=True, kw_only=True):
    """An order with all that the centre knows of it: `hold list`, `GET /v1/holds`."""

    order: str
    revision: int
    case: str
    institution: str
    account: str
    amount_minor: int
    currency: str
    state: OrderState
    mode: Literal["live", "shadow"]
    standing: Literal["automatic", "needs_person"]
    rule: str
    trace_rule: str
    legal_basis: Words
    reason: Words
    layer: int
    amounts: RuleAmounts
    likely_innocent: bool
    why: list[str]
    applied_minor: int
    held_minor: int
    available_minor: int | None
    approvals: list[str]
    approvals_needed: int
    issued_at: datetime
    answer_by: datetime
    ends_at: datetime
    escalated_at: datetime | None
    answered_at: datetime | None
    ended_at: datetime | None
    end_reason: str | None
    paused_by: str | None = None
    """The breaker that kept it from going out by itself: it waits for a person."""
    notice_delayed_until: datetime | None = None
    """Its holder is not told yet, and is then at the latest: two persons agreed to that."""
    continues: str = ""
    """The order whose standing block it took over."""


class OrderPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of orders; `cursor` is passed to get the next, null at the end."""

    orders: list[OrderView]
    cursor: str | None
