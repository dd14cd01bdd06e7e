"""Holds: what it takes to tell a holder later than at once: a reason, two persons, and an end."""

from __future__ import annotations

import enum
from datetime import datetime, timedelta
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from openaoc.kernel.errors import Conflict, NotFound, Refused

DELAY_LONGEST: Final = timedelta(days=7)
"""As long as a hold may stand in Thailand after a complaint; nobody is held in the dark for longer.

A further delay is a new one, for orders that go out under it: whoever was not told is told first.
"""
TEXT_CHARACTERS_MAX: Final = 500
DELAYS_SHOWN_MAX: Final = 100


class NoSuchDelay(NotFound):
    """There is no such delay of a notice."""


class WrongDelayState(Conflict):
    """The delay's state does not allow this."""


class OneDelayAtATime(Conflict):
    """The case's notices are delayed, or a delay of them is proposed already."""


class NoticeIsDelayed(Refused):
    """The holder is not to be told yet."""


class DelayState(enum.StrEnum):
    """Proposed by one person, in force by the word of another, ended by anyone or the clock."""

    PROPOSED = "proposed"
    IN_FORCE = "in_force"
    ENDED = "ended"


_Text = Annotated[str, Meta(min_length=3, max_length=TEXT_CHARACTERS_MAX)]


class NewDelay(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a person proposes. `authority`: the law or the office that asks for it, with number."""

    until: Annotated[datetime, Meta(tz=True)]
    authority: _Text
    reason: _Text


class NoticeDelay(msgspec.Struct, frozen=True, kw_only=True):
    """A delay of the notices of one case's orders. `waiting`: holders who are still to be told."""

    id: str
    case: str
    state: DelayState
    until: datetime
    authority: str
    reason: str
    proposed_by: str
    proposed_at: datetime
    agreed_by: str | None = None
    agreed_at: datetime | None = None
    ended_by: str | None = None
    ended_at: datetime | None = None
    end_reason: str | None = None
    waiting: int = 0


class DelayList(msgspec.Struct, frozen=True, kw_only=True):
    """A case's newest delays."""

    delays: list[NoticeDelay]


class DelayMark(msgspec.Struct, frozen=True, kw_only=True):
    """A delay in the journal."""

    case: str
    state: Literal["proposed", "in_force", "ended"]
    until: datetime
    authority: str
