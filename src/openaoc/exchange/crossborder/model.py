"""Across borders: requests and answers between centres, and the life of each side as one table.

A request says the same thing until it is revised; whoever hears an older word than the last
answers with the last. So messages may be lost, repeated or overtaken, and both sides still agree.
"""

from __future__ import annotations

import enum
from datetime import datetime, timedelta
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta

from openaoc.exchange.crossborder.sums import Amounts
from openaoc.exchange.objects import ObjectId, ReleasedObject
from openaoc.kernel.errors import BadInput, Conflict, NotFound

PATH: Final = "/v1/centre"
SENT_PER_RUN_MAX: Final = 20
"""Requests and answers sent to one partner before others get the thread."""
LOOKED_PER_RUN_MAX: Final = 50
CASES_PER_RUN_MAX: Final = 50
CASES_WAITING_MAX: Final = 100_000
REQUESTS_PER_CASE_MAX: Final = 200
"""Beyond it the case is smurfed across the border; a person sees it, and no further goes by itself.
"""
HELLO_EVERY: Final = timedelta(minutes=1)
"""So often at least two centres hear whether the other was restored."""
LOOK_EVERY: Final = timedelta(minutes=5)
LOOK_FOR: Final = timedelta(days=10)
"""Money abroad arrives in seconds or in days; after these a person has to say where it is."""
ARRIVES_BEFORE: Final = timedelta(hours=1)
ARRIVES_AFTER: Final = timedelta(days=7)
BACKOFF_FIRST: Final = timedelta(seconds=1)
BACKOFF_MAX: Final = timedelta(minutes=5)
REFUSED_AGAIN: Final = timedelta(minutes=10)
"""What a partner refuses is offered again after this: a revision, or its person, may change it."""
ERROR_CHARACTERS_MAX: Final = 300
Number = Annotated[int, Meta(ge=0, le=2**53 - 1)]


class NoSuchRequest(NotFound):
    """There is no such request, or nothing of it is shown to you."""


class WrongRequestStep(Conflict):
    """The request's state does not allow this."""


class EarlierLife(Conflict):
    """The message is from a life of the centre that is over."""


class DoesNotAddUp(BadInput):
    """The amounts do not add up to what was asked."""


class SentState(enum.StrEnum):
    """Where a request of ours stands."""

    WAITING = "waiting"
    """The agreement lets it not leave now; `why` says so."""
    ASKED = "asked"
    TAKEN = "taken"
    ANSWERED = "answered"
    WITHDRAWN = "withdrawn"


class ReceivedState(enum.StrEnum):
    """Where a partner's request stands with us."""

    SEEKING = "seeking"
    """The money is not in our ledger yet."""
    NEEDS_PERSON = "needs_person"
    """Several payments fit, or none came in time: a person says which it is, or refuses."""
    OPENED = "opened"
    """We have a case of our own, under our own law."""
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"


class Settled(enum.StrEnum):
    """How a partner's request ended, for the public's figures."""

    MET = "met"
    """The partner was told what became of money that we found."""
    REFUSED = "refused"
    """A person said that our law does not let it be met."""
    WITHDRAWN = "withdrawn"


State = TypeVar("State", SentState, ReceivedState)


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One permitted step: from, to, the verb that takes it, and why it exists."""

    before: str
    after: str
    verb: str
    why: str


def _steps(
    before: frozenset[SentState] | frozenset[ReceivedState],
    after: SentState | ReceivedState,
    verb: str,
    why: str,
) -> tuple[Step, ...]:
    return tuple(
        Step(before=one.value, after=after.value, verb=verb, why=why) for one in sorted(before)
    )


_S = SentState
_R = ReceivedState
SENT_TRANSITIONS: Final[tuple[Step, ...]] = (
    *_steps(
        frozenset({_S.WAITING, _S.WITHDRAWN}),
        _S.ASKED,
        "ask",
        "money of the case left, and the agreement lets the request leave",
    ),
    *_steps(frozenset(_S) - {_S.WITHDRAWN}, _S.ASKED, "revise", "another amount is asked about"),
    *_steps(frozenset({_S.ASKED}), _S.TAKEN, "taken", "the partner has it on record"),
    *_steps(
        frozenset({_S.ASKED, _S.TAKEN, _S.ANSWERED}),
        _S.ANSWERED,
        "answered",
        "the partner says what became of the money",
    ),
    *_steps(
        frozenset(_S) - {_S.WITHDRAWN},
        _S.WITHDRAWN,
        "withdraw",
        "the case was a false report, or none of its money left by this payment",
    ),
)
RECEIVED_TRANSITIONS: Final[tuple[Step, ...]] = (
    *_steps(
        frozenset({_R.SEEKING, _R.NEEDS_PERSON}),
        _R.OPENED,
        "open",
        "the payment is found in our ledger, or a person named it",
    ),
    *_steps(
        frozenset({_R.SEEKING}),
        _R.NEEDS_PERSON,
        "refer",
        "several payments fit, or none came in time",
    ),
    *_steps(
        frozenset({_R.SEEKING, _R.NEEDS_PERSON}),
        _R.REFUSED,
        "refuse",
        "a person says that it cannot be met under our law",
    ),
    *_steps(
        frozenset(_R) - {_R.WITHDRAWN, _R.REFUSED},
        _R.WITHDRAWN,
        "withdraw",
        "the partner takes it back: what rests on its word alone is given back",
    ),
    *_steps(
        frozenset({_R.WITHDRAWN, _R.REFUSED}),
        _R.SEEKING,
        "ask again",
        "the partner asks anew, for another reason or amount",
    ),
)
_SENT: Final = {(step.before, step.after) for step in SENT_TRANSITIONS}
_RECEIVED: Final = {(step.before, step.after) for step in RECEIVED_TRANSITIONS}


def check_step(before: State, after: State) -> State:
    """The state after; what stands already is no step. Raises WrongRequestStep."""
    table = _SENT if isinstance(before, SentState) else _RECEIVED
    if before is not after and (before.value, after.value) not in table:
        raise WrongRequestStep(f"a request that is {before.value} cannot become {after.value}")
    return after


class Hello(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which life of the centre speaks."""

    epoch: Number


class AnswerMessage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What became of the money of a request; the last word of (epoch, revision) counts.

    `request_revision` and `asked_minor`: which word of the request it answers.
    """

    epoch: Number
    revision: Number
    request: ObjectId
    request_revision: Number
    asked_minor: Number
    answer: ReleasedObject


class RequestMessage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """To follow money: what the agreement lets leave of it, what for, and which word this is."""

    epoch: Number
    revision: Number
    withdrawn: bool
    purpose: Annotated[str, Meta(max_length=80)]
    request: ReleasedObject


class RequestTaken(msgspec.Struct, frozen=True, kw_only=True):
    """It is on record; the answer as it stands, if one may leave.

    Not `accepted`: it is not taken up, and nothing is kept of it but the count; never why.
    """

    epoch: Number
    revision: Number
    accepted: bool = True
    answer: AnswerMessage | None = None


class AnswerTaken(msgspec.Struct, frozen=True, kw_only=True):
    """It is on record. Not `known`: the asking centre has no such request (any more)."""

    epoch: Number
    revision: Number
    known: bool


class Exit(msgspec.Struct, frozen=True, kw_only=True):
    """A case's money that a payment carried abroad: what is asked about."""

    reported_by: str
    transfer_id: str
    institution: str
    account: str
    currency: str
    booked_at: datetime
    sent_minor: int
    amount_minor: int


class SentRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request of ours as kept, and as staff see it.

    `amount_minor` is what is asked about now. `amounts`: what the partner said last of it;
    `agrees`: whether that adds up, None while no full answer to this amount is there.
    """

    id: str
    partner: str
    case: str
    exit: Exit
    state: SentState
    revision: int
    why: str | None
    taken_revision: int
    outcome: str | None
    their_case: str | None
    amounts: Amounts | None
    agrees: bool | None
    last_error: str | None
    opened_at: datetime
    answered_at: datetime | None


class ReceivedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A partner's request as staff see it, with our own case and what we answered last."""

    id: str
    partner: str
    state: ReceivedState
    revision: int
    request: ReleasedObject
    case: str | None
    why: str | None
    candidates: int
    amounts: Amounts | None
    answer_revision: int
    taken_revision: int
    last_error: str | None
    opened_at: datetime


class Requests(msgspec.Struct, frozen=True, kw_only=True):
    """A page of requests between centres, both sides together, the newest of each first."""

    sent: list[SentRequest]
    received: list[ReceivedRequest]
    cursor: str | None = None


class LineView(msgspec.Struct, frozen=True, kw_only=True):
    """How the line to a partner's centre is: which life of it we heard, and what fails."""

    partner: str
    epoch: int
    heard_at: datetime | None
    failures: int
    next_at: datetime | None
    last_error: str | None


class RequestMark(msgspec.Struct, frozen=True, kw_only=True):
    """A request in the journal: whose, its state and sums; no account and no word of it."""

    partner: str
    case: str | None
    state: str
    revision: int
    asked_minor: int
    currency: str
    amounts: Amounts | None = None
