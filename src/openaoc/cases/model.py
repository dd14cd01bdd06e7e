"""Cases: the matter's wire forms, and its lifecycle as one table.

Never holds an identity and never a narrative: those stay with the report.
"""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Final, Literal

import msgspec

from openaoc.kernel.actor import Actor, Role
from openaoc.kernel.errors import Conflict, NotFound, Refused
from openaoc.reports.model import OrderLine

LOCATED_SHOWN_MAX: Final = 1_000
"""Accounts shown in one case view; the sums always cover all of them."""


class NoSuchCase(NotFound):
    """There is no such case, or the secret is wrong."""


class StillHolding(Conflict):
    """The case has orders that have not ended."""


class WrongCaseTransition(Conflict):
    """The case's state does not allow this."""


class NotYourCase(Refused):
    """This role may not do this with a case."""


class CaseState(enum.StrEnum):
    """Where a case stands; TRANSITIONS says how it gets from one to the next."""

    OPEN = "open"
    NEEDS_PERSON = "needs_person"
    PURSUED = "pursued"
    CLOSED = "closed"
    DROPPED = "dropped"


class CaseTransition(msgspec.Struct, frozen=True, kw_only=True):
    """One permitted step: from, to, the verb that takes it, who may, and why it exists."""

    before: CaseState
    after: CaseState
    verb: str
    who: frozenset[Role]
    why: str


_CENTRE = frozenset({Role.SYSTEM})
_DECIDERS = frozenset({Role.INVESTIGATOR, Role.SUPERVISOR})
_S = CaseState


def _step(  # a row of the table below
    before: CaseState, after: CaseState, verb: str, *, who: frozenset[Role], why: str
) -> CaseTransition:
    return CaseTransition(before=before, after=after, verb=verb, who=who, why=why)


TRANSITIONS: Final[tuple[CaseTransition, ...]] = (
    _step(
        _S.OPEN,
        _S.PURSUED,
        "pursue",
        who=_CENTRE | _DECIDERS,
        why="money was located and orders may go out by themselves",
    ),
    _step(
        _S.OPEN,
        _S.NEEDS_PERSON,
        "refer",
        who=_CENTRE | _DECIDERS,
        why="a payment is ambiguous or standing is not proven",
    ),
    _step(
        _S.NEEDS_PERSON,
        _S.PURSUED,
        "approve",
        who=_CENTRE | _DECIDERS,
        why="the persons the rule asks for have agreed, or the payer's institution confirmed",
    ),
    _step(
        _S.PURSUED,
        _S.NEEDS_PERSON,
        "refer",
        who=_CENTRE | _DECIDERS,
        why="a doubt came up: what is out stays, nothing further goes by itself",
    ),
    _step(_S.OPEN, _S.CLOSED, "close", who=_DECIDERS, why="nothing more can be done"),
    _step(_S.NEEDS_PERSON, _S.CLOSED, "close", who=_DECIDERS, why="nothing more can be done"),
    _step(
        _S.PURSUED,
        _S.CLOSED,
        "close",
        who=_DECIDERS,
        why="every order has ended and nothing is located any more",
    ),
    _step(_S.CLOSED, _S.OPEN, "reopen", who=frozenset({Role.SUPERVISOR}), why="new facts came in"),
    *(
        _step(
            before,
            _S.DROPPED,
            "drop",
            who=_CENTRE | {Role.SUPERVISOR},
            why="a false report, or a partner takes its request back: everything it caused is "
            "withdrawn and released first",
        )
        for before in (_S.OPEN, _S.NEEDS_PERSON, _S.PURSUED)
    ),
)
_BY_STEP: Final = {(t.before, t.after): t for t in TRANSITIONS}
UNDER_WORK: Final = frozenset({CaseState.OPEN, CaseState.NEEDS_PERSON, CaseState.PURSUED})
"""Cases that are traced again when they are due. Only the claims of PURSUED ones stand in other
cases' traces: an unproven report takes nothing from a proven one.
"""


def check_case_transition(before: CaseState, after: CaseState, *, actor: Actor) -> CaseTransition:
    """The permitted step. Raises WrongCaseTransition, or NotYourCase for the wrong role."""
    step = _BY_STEP.get((before, after))
    if step is None:
        raise WrongCaseTransition(f"a case that is {before} cannot become {after}")
    if not step.who & actor.roles:
        raise NotYourCase(f"{step.verb} is for {', '.join(sorted(step.who))}")
    return step


class ClaimRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One origin transfer of a case, by name; list order is order of filing."""

    reported_by: str
    transfer_id: str
    amount_minor: int | None


class AccountShare(msgspec.Struct, frozen=True, kw_only=True):
    """What of a case rests on one account."""

    bank: str
    account: str
    amount_minor: int
    layer: int
    received_at: datetime
    hub: bool = False
    returned: bool = False


class ExitShare(msgspec.Struct, frozen=True, kw_only=True):
    """What of a case left the ledger by one channel."""

    channel: str
    amount_minor: int
    transfers: int


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """A case's latest trace in numbers, as stored with the case.

    loss = located + held + exited + restituted + dropped, always.
    """

    loss_minor: int
    overlap_minor: int
    located_minor: int
    held_minor: int
    exited_minor: int
    restituted_minor: int
    dropped_minor: int
    truncated: str | None
    located: list[AccountShare]
    exited: list[ExitShare]

    @property
    def conserved(self) -> bool:
        """Whether the sum holds to the minor unit."""
        parts = self.located_minor + self.held_minor + self.exited_minor
        return self.loss_minor == parts + self.restituted_minor + self.dropped_minor


NO_FIGURES: Final = Figures(
    loss_minor=0,
    overlap_minor=0,
    located_minor=0,
    held_minor=0,
    exited_minor=0,
    restituted_minor=0,
    dropped_minor=0,
    truncated=None,
    located=[],
    exited=[],
)


class ComplaintClock(msgspec.Struct, frozen=True, kw_only=True):
    """How long the victim has to complain to the police, so that holds do not lapse.

    `due_at`: when the time of the rule for a victim's report is over. `hours_left` is rounded down
    to a tenth; 0 when it is over or the complaint is made. `first_end_at`: when the first hold of
    the case that is still active ends by itself, which in doubt is earlier.
    """

    due_at: datetime
    hours_left: float
    complained_at: datetime | None
    first_end_at: datetime | None


class BankCase(msgspec.Struct, frozen=True, kw_only=True):
    """An institution's own number for the matter, as its customer or we were told it."""

    institution: str
    bank_case_id: str


class CaseView(msgspec.Struct, frozen=True, kw_only=True):
    """What `case show` and `GET /v1/cases/{id}` answer.

    A citizen sees no account, a liaison only its own institution's orders.
    """

    case: str
    state: CaseState
    mode: Literal["live", "shadow"]
    standing: Literal["automatic", "needs_person"]
    standing_why: list[str]
    opened_at: datetime
    traced_at: datetime | None
    jurisdiction: str
    currency: str
    rule: str
    reports: int
    loss_minor: int
    overlap_minor: int
    located_minor: int
    held_minor: int
    exited_minor: int
    restituted_minor: int
    dropped_minor: int
    conserved: bool
    truncated: str | None
    located: list[AccountShare]
    exited: list[ExitShare]
    orders: list[OrderLine]
    complaint_at: datetime | None = None
    complaint: ComplaintClock | None = None
    bank_cases: list[BankCase] = []


class CaseLine(msgspec.Struct, frozen=True, kw_only=True):
    """One case in a list."""

    case: str
    state: CaseState
    mode: Literal["live", "shadow"]
    standing: Literal["automatic", "needs_person"]
    opened_at: datetime
    currency: str
    loss_minor: int
    located_minor: int
    held_minor: int


class CasePage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of cases; `cursor` is passed to get the next, null at the end."""

    cases: list[CaseLine]
    cursor: str | None
