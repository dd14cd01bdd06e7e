"""Suspicion: wire forms, and the life of a hold that an institution made by itself, as one table.

Not an order: no case's money is claimed by it, and no trace sees it.
"""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from openaoc.holds.model import BANK_CASE_CHARACTERS_MAX, REASON_CHARACTERS_MAX, Words
from openaoc.kernel.actor import Actor, Role
from openaoc.kernel.errors import Conflict, NotFound, Refused
from openaoc.kernel.limits import ACCOUNT_CHARACTERS_MAX
from openaoc.kernel.money import AMOUNT_MINOR_MAX

CASES_SHOWN_MAX: Final = 100


class NoSuchSuspicion(NotFound):
    """There is no such hold on suspicion."""


class WrongSuspicionStep(Conflict):
    """The hold's state does not allow this."""


class NotYourSuspicion(Refused):
    """This role may not do this with a hold on suspicion."""


class SuspicionState(enum.StrEnum):
    """Where it stands; TRANSITIONS says how it gets from one to the next."""

    STANDING = "standing"
    EXTENDED = "extended"
    RELEASED = "released"
    EXPIRED = "expired"
    CONVERTED = "converted"


STILL: Final = frozenset({SuspicionState.STANDING, SuspicionState.EXTENDED})
"""The institution blocks the money."""
_S = SuspicionState
_AUTHORITY: Final = frozenset({Role.SUPERVISOR})
_ANYBODY: Final = frozenset(
    {Role.MACHINE, Role.LIAISON, Role.INVESTIGATOR, Role.SUPERVISOR, Role.SYSTEM}
)
TRANSITIONS: Final[dict[tuple[SuspicionState, SuspicionState], frozenset[Role]]] = {
    (before, after): who
    for before in (_S.STANDING, _S.EXTENDED)
    for after, who in (
        (_S.EXTENDED, _AUTHORITY),
        (_S.RELEASED, _ANYBODY),
        (_S.EXPIRED, frozenset({Role.SYSTEM})),
        (_S.CONVERTED, _AUTHORITY),
    )
}
"""Released: no evidence, by one person; expired: its time is over; extended and converted: by the
measure of a court or authority, which a supervisor enters.
"""


def check_step(before: SuspicionState, after: SuspicionState, *, actor: Actor) -> None:
    """Raises WrongSuspicionStep, or NotYourSuspicion for the wrong role."""
    who = TRANSITIONS.get((before, after))
    if who is None:
        raise WrongSuspicionStep(f"a hold on suspicion that is {before} cannot become {after}")
    if not who & actor.roles:
        raise NotYourSuspicion(f"this is for {', '.join(sorted(who))}")


class NewSuspicion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an institution tells: it holds an amount of one account on its own suspicion."""

    account: Annotated[str, Meta(min_length=1, max_length=2 * ACCOUNT_CHARACTERS_MAX)]
    amount_minor: Annotated[int, Meta(gt=0, le=AMOUNT_MINOR_MAX)]
    currency: Annotated[str, Meta(min_length=3, max_length=3)]
    held_at: Annotated[datetime, Meta(tz=True)]
    grounds: Annotated[str, Meta(min_length=3, max_length=REASON_CHARACTERS_MAX)]
    """Why it suspects; names no person."""
    bank_case_id: Annotated[str, Meta(max_length=BANK_CASE_CHARACTERS_MAX)] | None = None


class Suspicion(msgspec.Struct, frozen=True, kw_only=True):
    """A hold on an institution's own suspicion, as it is kept and shown.

    `cases`: those with an order on the same account, the only evidence the centre has; with none
    when its time is over, the money goes back and nothing stays.
    """

    id: str
    institution: str
    account: str
    currency: str
    amount_minor: int
    grounds: str
    bank_case_id: str | None
    rule: str
    rule_version: int
    legal_basis: Words
    held_at: datetime
    told_at: datetime
    told_by: str
    ends_at: datetime
    state: SuspicionState
    authority: str | None = None
    ended_at: datetime | None = None
    end_reason: str | None = None
    sequence: int = 0
    cases: list[str] = []


class SuspicionMark(msgspec.Struct, frozen=True, kw_only=True):
    """It in the journal: without the account and the words."""

    institution: str
    amount_minor: int
    currency: str
    rule: str
    state: str
    ends_at: datetime

    @classmethod
    def of(cls, one: Suspicion) -> SuspicionMark:
        """The mark of this one."""
        return cls(
            institution=one.institution,
            amount_minor=one.amount_minor,
            currency=one.currency,
            rule=one.rule,
            state=one.state.value,
            ends_at=one.ends_at,
        )


class SuspicionNotice(msgspec.Struct, frozen=True, kw_only=True):
    """What the institution is told: until when it may hold, or that it gives the money back."""

    suspicion: str
    institution: str
    account: str
    amount_minor: int
    currency: str
    state: SuspicionState
    ends_at: datetime
    reason: str
    at: datetime


class SuspicionPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page, newest first; `cursor` is passed to get the next, null at the end."""

    suspicions: list[Suspicion]
    cursor: str | None
