"""Appeals: the wire forms of a contest, and its lifecycle as one table.

Never holds what the holder wrote or who they are: that is sealed in the vault.
"""

from __future__ import annotations

import enum
from datetime import date, datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from openaoc.holds.codes import CODE_CHARACTERS_MAX
from openaoc.holds.model import RuleAmounts, Words
from openaoc.kernel.actor import Actor, Role
from openaoc.kernel.errors import Busy, Conflict, NotFound, Refused
from openaoc.kernel.money import AMOUNT_MINOR_MAX

STATEMENT_CHARACTERS_MAX: Final = 4_000
CONTACT_CHARACTERS_MAX: Final = 200
NOTE_CHARACTERS_MAX: Final = 1_000
ORDER_CHARACTERS_MAX: Final = 64
STATEMENTS_PER_APPEAL_MAX: Final = 5
APPEALS_PER_ORDER_MAX: Final = 3
"""A refused holder may contest again with new facts, not for ever."""
REASONS_PER_DECISION_MAX: Final = 5


class NoSuchHold(NotFound):
    """There is no such hold, or the code is wrong."""


class NoSuchAppeal(NotFound):
    """There is no such contest."""


class HoldOver(Conflict):
    """This hold has ended: nothing is held any more."""


class ContestOpen(Conflict):
    """The holder contests this hold: no one person ends it while the contest is open."""


class WrongAppealTransition(Conflict):
    """The contest's state does not allow this."""


class NotYourAppeal(Refused):
    """This person may not do this with the contest."""


class TooManyContests(Busy):
    """This hold was contested as often as the limit allows."""


class AppealState(enum.StrEnum):
    """Where a contest stands; TRANSITIONS says how it gets from one to the next."""

    FILED = "filed"
    UNDER_REVIEW = "under_review"
    PROPOSED = "proposed"
    UPHELD = "upheld"
    UPHELD_IN_PART = "upheld_in_part"
    REFUSED = "refused"
    MOOT = "moot"


_S = AppealState
OPEN: Final = frozenset({_S.FILED, _S.UNDER_REVIEW, _S.PROPOSED})
DECIDED: Final = frozenset({_S.UPHELD, _S.UPHELD_IN_PART, _S.REFUSED})


class AppealTransition(msgspec.Struct, frozen=True, kw_only=True):
    """One permitted step: from, to, the verb that takes it, who may, and why it exists."""

    before: AppealState
    after: AppealState
    verb: str
    who: frozenset[Role]
    why: str


_CENTRE = frozenset({Role.SYSTEM})
_REVIEWERS = frozenset({Role.INVESTIGATOR, Role.SUPERVISOR})
_SECOND = frozenset({Role.SUPERVISOR})


def _steps(
    before: frozenset[AppealState],
    after: frozenset[AppealState],
    verb: str,
    *,
    who: frozenset[Role],
    why: str,
) -> tuple[AppealTransition, ...]:
    return tuple(
        AppealTransition(before=b, after=a, verb=verb, who=who, why=why)
        for b in sorted(before)
        for a in sorted(after)
    )


TRANSITIONS: Final[tuple[AppealTransition, ...]] = (
    *_steps(
        frozenset({_S.FILED, _S.UNDER_REVIEW}),
        frozenset({_S.UNDER_REVIEW}),
        "take",
        who=_REVIEWERS,
        why="a person who had no part in the hold reads it, or takes it over",
    ),
    *_steps(
        frozenset({_S.UNDER_REVIEW}),
        frozenset({_S.PROPOSED}),
        "propose",
        who=_REVIEWERS,
        why="the decision needs a second person",
    ),
    *_steps(
        frozenset({_S.UNDER_REVIEW}),
        DECIDED,
        "decide",
        who=_REVIEWERS,
        why="one person is enough for it",
    ),
    *_steps(
        frozenset({_S.PROPOSED}),
        DECIDED,
        "agree",
        who=_SECOND,
        why="the second person agrees",
    ),
    *_steps(
        frozenset({_S.PROPOSED}),
        frozenset({_S.UNDER_REVIEW}),
        "disagree",
        who=_SECOND,
        why="the second person does not: it is reviewed again",
    ),
    *_steps(
        OPEN,
        frozenset({_S.UPHELD}),
        "lapse",
        who=_CENTRE,
        why="nobody decided in time and the holder looks like honest commerce",
    ),
    *_steps(
        OPEN,
        frozenset({_S.MOOT}),
        "end",
        who=_CENTRE,
        why="the hold ended otherwise: by itself, on review, or by its institution",
    ),
)
_BY_STEP: Final = {(t.before, t.after, t.verb): t for t in TRANSITIONS}


def check_step(
    before: AppealState, after: AppealState, verb: str, *, actor: Actor
) -> AppealTransition:
    """The permitted step. Raises WrongAppealTransition, or NotYourAppeal for the wrong role."""
    step = _BY_STEP.get((before, after, verb))
    if step is None:
        raise WrongAppealTransition(f"a contest that is {before} cannot {verb} to {after}")
    if not step.who & actor.roles:
        raise NotYourAppeal(f"{verb} is for {', '.join(sorted(step.who))}")
    return step


OrderNumber = Annotated[str, Meta(min_length=1, max_length=ORDER_CHARACTERS_MAX)]
ContestCode = Annotated[str, Meta(min_length=1, max_length=CODE_CHARACTERS_MAX)]
Contact = Annotated[str, Meta(max_length=CONTACT_CHARACTERS_MAX)]
Note = Annotated[str, Meta(min_length=3, max_length=NOTE_CHARACTERS_MAX)]


class Contest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A holder contests: a number and the code from the notice are all the proof asked for.

    `order`: the order's number, or its case's, which is shorter to type; the code tells which hold.
    `statement` and `contact` are the holder's own; they are sealed and shown to reviewers alone.
    """

    order: OrderNumber
    code: ContestCode
    statement: Annotated[str, Meta(min_length=1, max_length=STATEMENT_CHARACTERS_MAX)]
    contact: Contact = ""
    language: Literal["th", "en"] = "th"

    def __repr__(self) -> str:
        return "Contest(…)"


class ContestKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What opens a holder's own contest."""

    order: OrderNumber
    code: ContestCode

    def __repr__(self) -> str:
        return "ContestKey(…)"


class ContestView(msgspec.Struct, frozen=True, kw_only=True):
    """How a contest stands, for its holder: no name, no account, no case."""

    appeal: str
    order: str
    state: AppealState
    filed_at: datetime
    answer_by: datetime
    last_at: datetime
    held_minor: int
    currency: str
    statements: int
    decided_at: datetime | None = None
    released_minor: int = 0
    reasons: list[Words] = []
    next: Words | None = None
    """Where to go with a refusal."""


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """What a holder wrote, as it is sealed."""

    statement: str
    contact: str

    def __repr__(self) -> str:
        return "Statement(…)"


class StatementList(msgspec.Struct, frozen=True, kw_only=True):
    """A contest's statements, oldest first."""

    statements: list[Statement]


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What the ledger says when a reviewer takes a contest, in figures and reasons.

    `amounts`: this case's money on the account under each rule, held money included. `merchant`:
    what the merchant test rests on. `signs`: what speaks for a mule.
    """

    at: datetime
    located_minor: int
    held_minor: int
    amounts: RuleAmounts
    likely_innocent: bool
    merchant: list[str]
    history_missing: bool
    cases_on_account: int
    likely_mule: bool
    signs: list[str]


class Decision(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a reviewer decides. `reasons` are codes of the jurisdiction's list, for the holder.

    `release_minor` only with `uphold_in_part`. `cause`: what led to a wrongful hold. `note` is for
    the journal and names no person.
    """

    outcome: Literal["uphold", "uphold_in_part", "refuse"]
    reasons: Annotated[list[str], Meta(min_length=1, max_length=REASONS_PER_DECISION_MAX)]
    note: Note
    release_minor: Annotated[int, Meta(gt=0, le=AMOUNT_MINOR_MAX)] | None = None
    cause: Literal["report", "trace", "rule", "institution", "person"] | None = None


class SecondWord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the second person says to a proposal, and why."""

    agree: bool
    note: Note


class Lateness(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a contest is not answered in time; it is counted and read."""

    reason: Note


class AppealView(msgspec.Struct, frozen=True, kw_only=True):
    """A contest with all that a reviewer sees beside the statements."""

    appeal: str
    order: str
    case: str
    institution: str
    currency: str
    source: Literal["holder", "blind_review"]
    language: str
    state: AppealState
    filed_at: datetime
    answer_by: datetime
    last_at: datetime
    held_minor: int
    statements: int
    evidence: Evidence | None
    taken_by: str | None
    proposal: Decision | None
    proposed_by: str | None
    persons_needed: int
    decided_by: str | None
    decided_at: datetime | None
    released_minor: int
    escalated_at: datetime | None
    overdue_at: datetime | None
    late_reason: str | None


class AppealPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of contests, the next due first."""

    appeals: list[AppealView]
    cursor: str | None


class CompensationView(msgspec.Struct, frozen=True, kw_only=True):
    """What was wrongfully held, for how long, and what led to it. Never an amount of damages.

    `minor_hours`: minor units times hours. `issued_by`: who approved the order, or `automatic`.
    """

    appeal: str
    order: str
    case: str
    institution: str
    currency: str
    wrongful_minor: int
    held_from: datetime
    held_until: datetime
    minor_hours: int
    cause: str
    rule: str
    reporter: str
    issued_by: list[str]
    at: datetime


class CompensationPage(msgspec.Struct, frozen=True, kw_only=True):
    """The newest compensation records."""

    compensations: list[CompensationView]


class BlindTask(msgspec.Struct, frozen=True, kw_only=True):
    """A drawn hold as its blind reviewer sees it: facts, and none of the decision's reasons.

    No case, no account, no state, no standing, no verdict of a test, no word of who asked for it.
    """

    review: str
    day: date
    institution: str
    currency: str
    ordered_minor: int
    received_at: datetime
    amounts: RuleAmounts
    history_missing: bool
    facts: list[str]


class BlindVerdict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a blind reviewer finds. `wrong_minor`: what should not have been held."""

    verdict: Literal["right", "wrong", "cannot_tell"]
    note: Note
    wrong_minor: Annotated[int, Meta(ge=0, le=AMOUNT_MINOR_MAX)] = 0


class BlindView(msgspec.Struct, frozen=True, kw_only=True):
    """A drawn hold and, once given, its verdict."""

    review: str
    day: date
    drawn_at: datetime
    verdict: str | None
    wrong_minor: int
    reviewed_by: str | None
    reviewed_at: datetime | None


class BlindList(msgspec.Struct, frozen=True, kw_only=True):
    """Drawn holds, those without a verdict first."""

    reviews: list[BlindView]


class DrawView(msgspec.Struct, frozen=True, kw_only=True):
    """One day's draw: the commitment stood in the journal before the day's holds did.

    SHA-256(seed) is `commitment`; a hold is drawn when the first 8 bytes of HMAC-SHA256(seed,
    order) as a number are below the share of 2^64.
    """

    day: date
    commitment: str
    seed: str | None
    drawn_at: datetime | None
    population: int
    drawn: int


class DrawList(msgspec.Struct, frozen=True, kw_only=True):
    """The newest draws."""

    draws: list[DrawView]


class ContestFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How contests go, over the window: counts, and hours from filing to decision.

    `upheld_share`: upheld in whole or part, of those decided. `late`: open past the promised
    answer; `late_unexplained`: of these, without a reason given. `wrongful_minor_hours`: minor
    units times hours held wrongly.
    """

    filed: int = 0
    open: int = 0
    late: int = 0
    late_unexplained: int = 0
    upheld: int = 0
    upheld_in_part: int = 0
    refused: int = 0
    moot: int = 0
    upheld_share: float | None = None
    p50_hours: float | None = None
    p95_hours: float | None = None
    wrongful_minor: int = 0
    wrongful_minor_hours: int = 0


class BlindFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The rate of wrong holds among uncontested ones, from blind reviews of a random sample.

    `share`: wrong, of those judged; `low` and `high`: its 95 % interval (Wilson).
    """

    drawn: int = 0
    judged: int = 0
    wrong: int = 0
    cannot_tell: int = 0
    share: float | None = None
    low: float | None = None
    high: float | None = None
