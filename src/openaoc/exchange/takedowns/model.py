"""Take-downs: what is asked, what was done, and the life of a request as one table.

Answers what a take-down is. Never says who may be asked for what by when: that is rule data.
"""

from __future__ import annotations

import enum
from datetime import datetime, timedelta
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from openaoc.exchange.model import PartnerCode, Reason
from openaoc.exchange.objects import ObjectId, ReleasedObject
from openaoc.kernel.errors import BadInput, Conflict, NotFound, Refused

PATH: Final = "/v1/centre/takedowns"
RECEIPTS_PATH: Final = f"{PATH}/receipts"
LISTED_MAX: Final = 200
RECEIPTS_MAX: Final = 50
NOTES_MAX: Final = 100
OBJECTIONS_MAX: Final = 20
WORDS_CHARACTERS_MAX: Final = 1_000
RECEIPT_BYTES_MAX: Final = 16 << 10
LATE_MAX: Final = timedelta(days=2 * 366)
"""Something done longer ago was not done about this request."""
RECEIPT_METHOD: Final = "RECEIPT"
"""Stands in a receipt's signature where a request's has its method."""

Words = Annotated[str, Meta(max_length=WORDS_CHARACTERS_MAX)]


class NoSuchTakedown(NotFound):
    """There is no such take-down, or nothing of it is shown to you."""


class WrongTakedownStep(Conflict):
    """The take-down's state does not allow this."""


class NeverWhole(Refused):
    """Too many others live there: ask for the page."""


class Target(enum.StrEnum):
    """What is to go away."""

    SITE = "site"
    APP = "app"
    ACCOUNT = "account"
    """An account or handle on a platform."""
    NUMBER = "number"
    MONEY_ACCOUNT = "money-account"
    """An account at a bank, which looks at it under its own law; never a way to hold money."""


class Done(enum.StrEnum):
    """What a partner did."""

    REMOVED = "removed"
    SUSPENDED = "suspended"
    BLOCKED = "blocked"
    DISCONNECTED = "number-disconnected"
    REVIEWED = "reviewed"
    RESTRICTED = "account-restricted"
    FROZEN = "account-frozen"
    """By the bank, under its own law: the centre never asks for it."""


class State(enum.StrEnum):
    """Where a take-down stands; TRANSITIONS says how it gets from one to the next."""

    DRAFTED = "drafted"
    APPROVED = "approved"
    SENT = "sent"
    ACKNOWLEDGED = "acknowledged"
    DONE = "done"
    PARTLY = "partly"
    REFUSED = "refused"
    VERIFIED = "verified"
    REOPENED = "reopened"
    WITHDRAWN = "withdrawn"
    RESTORED = "restored"
    EXPIRED = "expired"


class Step(enum.StrEnum):
    """A verb that moves a take-down."""

    APPROVE = "approve"
    SEND = "send"
    ACKNOWLEDGE = "acknowledge"
    FINISH = "finish"
    FINISH_PARTLY = "finish-partly"
    REFUSE = "refuse"
    VERIFY = "verify"
    REOPEN = "reopen"
    WITHDRAW = "withdraw"
    RESTORE = "restore"
    EXPIRE = "expire"


class Party(enum.StrEnum):
    """Whose word a step is."""

    PERSON = "person"
    CENTRE = "centre"
    PARTNER = "partner"


class TakedownTransition(msgspec.Struct, frozen=True, kw_only=True):
    """One permitted step."""

    before: State
    step: Step
    after: State
    who: Party
    why: str


_S = State
_OPEN: Final = (_S.SENT, _S.ACKNOWLEDGED)
_BACK: Final = (_S.DRAFTED, _S.APPROVED, *_OPEN, _S.DONE, _S.PARTLY, _S.REFUSED, _S.VERIFIED)


def _rows(
    before: tuple[State, ...], step: Step, after: State, *, who: Party, why: str
) -> tuple[TakedownTransition, ...]:
    return tuple(
        TakedownTransition(before=one, step=step, after=after, who=who, why=why) for one in before
    )


_ANSWERS: Final = (
    (Step.FINISH, _S.DONE, "the partner did what was asked"),
    (Step.FINISH_PARTLY, _S.PARTLY, "the partner did a part of it"),
    (Step.REFUSE, _S.REFUSED, "the partner may not, or will not, and says why"),
)
TRANSITIONS: Final[tuple[TakedownTransition, ...]] = (
    *_rows(
        (_S.DRAFTED,),
        Step.APPROVE,
        _S.APPROVED,
        who=Party.PERSON,
        why="a person looked; two, where the partner is abroad or others live there too",
    ),
    *_rows(
        (_S.APPROVED, _S.REOPENED),
        Step.SEND,
        _S.SENT,
        who=Party.CENTRE,
        why="released by the agreement and handed to the partner: its clocks run",
    ),
    *_rows(
        (_S.SENT, _S.EXPIRED),
        Step.ACKNOWLEDGE,
        _S.ACKNOWLEDGED,
        who=Party.PARTNER,
        why="the partner has it and works on it",
    ),
    *(
        row
        for step, after, why in _ANSWERS
        for row in _rows((*_OPEN, _S.PARTLY, _S.EXPIRED), step, after, who=Party.PARTNER, why=why)
    ),
    *(
        row
        for step, _, _ in _ANSWERS
        for row in _rows(
            (_S.WITHDRAWN,),
            step,
            _S.WITHDRAWN,
            who=Party.PARTNER,
            why="the answer crossed with the withdrawal: it is kept, and restoring is still asked",
        )
    ),
    *_rows(
        (_S.DONE, _S.PARTLY),
        Step.VERIFY,
        _S.VERIFIED,
        who=Party.PERSON,
        why="a person looked, and it is gone",
    ),
    *_rows(
        (_S.DONE, _S.PARTLY, _S.VERIFIED, _S.REFUSED, _S.EXPIRED),
        Step.REOPEN,
        _S.REOPENED,
        who=Party.PERSON,
        why="a person looked and it is there still or again, or there is new evidence",
    ),
    *_rows(
        (*_BACK, _S.REOPENED, _S.EXPIRED),
        Step.WITHDRAW,
        _S.WITHDRAWN,
        who=Party.PERSON,
        why="it was wrong or is not wanted any more; whoever did something is told to restore",
    ),
    *_rows(
        (_S.WITHDRAWN,),
        Step.RESTORE,
        _S.RESTORED,
        who=Party.PARTNER,
        why="what was taken down is back",
    ),
    *_rows(
        (_S.APPROVED, *_OPEN, _S.REOPENED),
        Step.EXPIRE,
        _S.EXPIRED,
        who=Party.CENTRE,
        why="nobody answered for too long, or what it rests on is over",
    ),
)
_AFTER: Final = {(t.before, t.step): t for t in TRANSITIONS}
ANSWERED: Final = frozenset({_S.DONE, _S.PARTLY, _S.REFUSED, _S.VERIFIED, _S.RESTORED})
WAITING: Final = frozenset(_OPEN)


def after_step(before: State, step: Step) -> State:
    """The state after a permitted step. Raises WrongTakedownStep."""
    found = _AFTER.get((before, step))
    if found is None:
        raise WrongTakedownStep(f"{step.value} is not for one that is {before.value}")
    return found.after


class Outcome(enum.StrEnum):
    """What a receipt says."""

    ACKNOWLEDGED = "acknowledged"
    DONE = "done"
    PARTLY = "partly"
    REFUSED = "refused"
    RESTORED = "restored"


STEPS: Final[dict[Outcome, Step]] = {
    Outcome.ACKNOWLEDGED: Step.ACKNOWLEDGE,
    Outcome.DONE: Step.FINISH,
    Outcome.PARTLY: Step.FINISH_PARTLY,
    Outcome.REFUSED: Step.REFUSE,
    Outcome.RESTORED: Step.RESTORE,
}


class Answer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody says was done. `done` for done and partly, `reason` for partly and refused.

    `at`: when it was done, by default now. `reference`: the partner's own number of it.
    """

    outcome: Outcome
    done: tuple[Done, ...] = ()
    at: Annotated[datetime, Meta(tz=True)] | None = None
    reason: Words = ""
    reference: Annotated[str, Meta(max_length=80)] = ""

    def check(self, *, now: datetime) -> Answer:
        """The answer itself. Raises BadInput for one that says nothing exact."""
        acted = self.outcome in (Outcome.DONE, Outcome.PARTLY)
        if acted != bool(self.done) or len(set(self.done)) != len(self.done):
            raise BadInput("name what was done, each once; else nothing", where="done")
        needs = self.outcome in (Outcome.PARTLY, Outcome.REFUSED)
        if needs and not self.reason.strip():
            raise BadInput("say why", where="reason")
        if self.at is not None and not now - LATE_MAX <= self.at <= now:
            raise BadInput("is in the future, or years ago", where="at")
        return self


class Receipt(Answer, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An answer as a partner signs it. `number` counts the partner's words on this take-down."""

    takedown: ObjectId
    number: Annotated[int, Meta(ge=1, le=RECEIPTS_MAX)]


class KeptReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """A receipt as it is kept: what was signed, to the byte, or who typed it in.

    `kid` is of the partner's key; None: nothing was signed, and `by` answers for it.
    """

    receipt: Receipt
    by: str
    received_at: datetime
    body: str = ""
    signature: str = ""
    kid: str | None = None


class Saying(msgspec.Struct, frozen=True, kw_only=True):
    """A person's word: who, when, what."""

    by: str
    at: datetime
    words: str = ""


class Objection(msgspec.Struct, frozen=True, kw_only=True):
    """An owner says that it is wrong; a person who did not approve it decides."""

    received_at: datetime
    decide_by: datetime
    reason: str
    recorded_by: str
    upheld: bool | None = None
    decided_by: str | None = None
    decided_at: datetime | None = None
    words: str = ""


class Takedown(msgspec.Struct, frozen=True, kw_only=True):
    """A request to one partner. `released` is what left; nothing else did.

    `others`: what else lives there, as a person saw it. `two_persons`: why one is not enough.
    `why`: why it stands where it stands, or why it cannot leave yet. `wrong`: it should not have
    been asked. `reminders`: how often the partner was told that a clock ran out. `delivered_at`:
    when its system took the last revision; None where it fetches, or gets a document. `bare`:
    nothing is said of it any more but which it is, and what to restore.
    """

    id: str
    partner: str
    target: Target
    indicator: str
    identifier_kind: str
    value: str
    asks: tuple[Done, ...]
    reason: str
    legal_basis: str
    rules: str
    state: State
    whole: bool
    others: str
    two_persons: tuple[str, ...]
    drafted_by: str
    drafted_at: datetime
    changed_at: datetime
    voices: tuple[Saying, ...] = ()
    revision: int = 0
    sent_at: datetime | None = None
    acknowledge_by: datetime | None = None
    act_by: datetime | None = None
    look_at: datetime | None = None
    done_at: datetime | None = None
    delivered_at: datetime | None = None
    reminders: int = 0
    reminded_at: datetime | None = None
    why: str = ""
    wrong: bool = False
    bare: bool = False
    receipts: tuple[KeptReceipt, ...] = ()
    looks: tuple[Saying, ...] = ()
    objections: tuple[Objection, ...] = ()
    released: ReleasedObject | None = None
    purpose: str = ""
    case: str | None = None

    @property
    def acted(self) -> bool:
        """Whether the partner did something that would have to be restored."""
        return any(one.receipt.done for one in self.receipts)

    def overdue(self, now: datetime) -> str:
        """Which clock has run out: acknowledge, act, look, objection; "" for none."""
        late = (
            ("acknowledge", self.state is State.SENT, self.acknowledge_by),
            ("act", self.state in WAITING, self.act_by),
            ("look", self.state in (State.DONE, State.PARTLY), self.look_at),
        )
        open_ones = [one.decide_by for one in self.objections if one.upheld is None]
        if open_ones and min(open_ones) <= now:
            return "objection"
        return next((n for n, waits, by in late if waits and by is not None and by <= now), "")


class NewTakedown(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A take-down to draft, of a confirmed indicator. `others`: what else lives there."""

    partner: PartnerCode
    indicator: ObjectId
    target: Target
    reason: Reason
    legal_basis: Annotated[str, Meta(min_length=10, max_length=1_000)]
    asks: tuple[Done, ...] = ()
    others: Annotated[str, Meta(max_length=20)] = ""


class TakedownList(msgspec.Struct, frozen=True, kw_only=True):
    """Take-downs, the newest first; `cursor` gets the next page, null at the end."""

    takedowns: list[Takedown]
    cursor: str | None


class PartnerTakedown(msgspec.Struct, frozen=True, kw_only=True):
    """A take-down as its partner sees it: what it was asked, by when, what it has answered."""

    id: str
    state: State
    revision: int
    request: ReleasedObject
    acknowledge_by: datetime | None
    act_by: datetime | None
    reminders: int
    restore: bool
    receipts: tuple[Receipt, ...]


class PartnerTakedowns(msgspec.Struct, frozen=True, kw_only=True):
    """A partner's take-downs, the newest first."""

    takedowns: list[PartnerTakedown]
    cursor: str | None


class TakedownMessage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A take-down on the line between centres; the highest revision counts.

    `restore`: it is withdrawn, and what was taken down is to be put back.
    """

    revision: int
    purpose: str
    request: ReleasedObject
    reminders: int = 0
    withdrawn: bool = False
    restore: bool = False


class SignedReceipt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A receipt's JSON, to the byte, and the detached signature over it."""

    body: Annotated[str, Meta(max_length=RECEIPT_BYTES_MAX)]
    signature: Annotated[str, Meta(max_length=4_096)]


class TakedownTaken(msgspec.Struct, frozen=True, kw_only=True):
    """The partner has this revision; `receipt` is its last word on it."""

    revision: int
    accepted: bool = True
    receipt: SignedReceipt | None = None


class ReceiptTaken(msgspec.Struct, frozen=True, kw_only=True):
    """The asking centre has the receipt; `known` is False where it never asked for this."""

    number: int
    known: bool


class ReceivedTakedown(msgspec.Struct, frozen=True, kw_only=True):
    """A partner's request to us, with what we answered."""

    partner: str
    id: str
    state: State
    revision: int
    request: ReleasedObject
    received_at: datetime
    changed_at: datetime
    reminders: int = 0
    restore: bool = False
    receipts: tuple[KeptReceipt, ...] = ()


class ReceivedTakedowns(msgspec.Struct, frozen=True, kw_only=True):
    """Partners' requests to us, newest first; `cursor` gets the next page, null at the end."""

    takedowns: list[ReceivedTakedown]
    cursor: str | None


class TakedownMark(msgspec.Struct, frozen=True, kw_only=True):
    """A take-down in the journal: never its value, nor anybody's words."""

    partner: str
    target: str
    identifier_kind: str
    state: str
    revision: int
    done: tuple[str, ...] = ()
    wrong: bool = False
    signed_by: str | None = None
