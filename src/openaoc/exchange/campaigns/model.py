"""Campaigns: what they say, which indicators belong to one, and their life as one table.

A campaign's words leave the centre, so two persons read them; what belongs to it one person says,
because each indicator leaves on its own merits.
"""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from openaoc.exchange.objects import ObjectId
from openaoc.kernel.errors import Conflict, NotFound
from openaoc.kernel.markings import Marking
from openaoc.kernel.offences import Offence

INDICATORS_MAX: Final = 200
"""Of one campaign, those that were taken off again among them."""
CAMPAIGNS_OF_ONE_MAX: Final = 20
"""That one indicator is or was of: an indicator goes out with its campaigns."""
AT_ONCE_MAX: Final = 100

Name = Annotated[str, Meta(min_length=3, max_length=120)]
Description = Annotated[str, Meta(min_length=3, max_length=2_000)]
Reason = Annotated[str, Meta(min_length=3, max_length=1_000)]
Moment = Annotated[datetime, Meta(tz=True)]


class NoSuchCampaign(NotFound):
    """There is no such campaign."""


class WrongCampaignStep(Conflict):
    """The campaign's state does not allow this."""


class State(enum.StrEnum):
    """Where a campaign stands."""

    NAMED = "named"
    """By one person: nobody outside sees it."""
    PUBLISHED = "published"
    CLOSED = "closed"
    """It is over: what is known of it stays, and nothing more is added."""
    WITHDRAWN = "withdrawn"
    """It was none, or should not have gone out: all who have it are told."""


class Step(enum.StrEnum):
    """A verb that moves a campaign, or is permitted in some states alone."""

    PUBLISH = "publish"
    CORRECT = "correct"
    ATTACH = "attach"
    DETACH = "detach"
    CLOSE = "close"
    WITHDRAW = "withdraw"


class CampaignTransition(msgspec.Struct, frozen=True, kw_only=True):
    """One permitted step. `persons`: how many have to say it."""

    before: State
    step: Step
    after: State
    persons: int


def _step(before: State, step: Step, after: State, *, persons: int = 1) -> CampaignTransition:
    return CampaignTransition(before=before, step=step, after=after, persons=persons)


_S = State
TRANSITIONS: Final = (
    _step(_S.NAMED, Step.PUBLISH, _S.PUBLISHED, persons=2),
    _step(_S.NAMED, Step.ATTACH, _S.NAMED),
    _step(_S.NAMED, Step.DETACH, _S.NAMED),
    _step(_S.NAMED, Step.WITHDRAW, _S.WITHDRAWN),
    _step(_S.PUBLISHED, Step.CORRECT, _S.PUBLISHED, persons=2),
    _step(_S.PUBLISHED, Step.ATTACH, _S.PUBLISHED),
    _step(_S.PUBLISHED, Step.DETACH, _S.PUBLISHED),
    _step(_S.PUBLISHED, Step.CLOSE, _S.CLOSED),
    _step(_S.PUBLISHED, Step.WITHDRAW, _S.WITHDRAWN),
    _step(_S.CLOSED, Step.CORRECT, _S.CLOSED, persons=2),
    _step(_S.CLOSED, Step.DETACH, _S.CLOSED),
    _step(_S.CLOSED, Step.WITHDRAW, _S.WITHDRAWN),
)
_AFTER: Final = {(t.before, t.step): t for t in TRANSITIONS}


def check_step(before: State, step: Step) -> CampaignTransition:
    """The permitted step. Raises WrongCampaignStep."""
    found = _AFTER.get((before, step))
    if found is None:
        raise WrongCampaignStep(f"{step.value} is not for one that is {before.value}")
    return found


class Words(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a campaign says of itself, without personal data.

    `scam_types`: what it is about; only partners whose agreement is for one of them receive it.
    `last_seen`: None while nobody has said so.
    """

    name: Name
    description: Description
    scam_types: Annotated[tuple[Offence, ...], Meta(min_length=1, max_length=len(Offence))]
    marking: Marking
    first_seen: Moment
    last_seen: Moment | None = None


class Campaign(msgspec.Struct, frozen=True, kw_only=True):
    """A campaign. `proposed`: what a second person has to read before it counts."""

    id: str
    state: State
    named_by: str
    named_at: datetime
    changed_at: datetime
    words: Words | None = None
    proposed: Words | None = None
    proposed_by: str = ""
    approved_by: str = ""
    published_at: datetime | None = None
    why: str = ""

    @property
    def stands(self) -> bool:
        """Whether partners may have it."""
        return self.state in (State.PUBLISHED, State.CLOSED)


class Belonging(msgspec.Struct, frozen=True, kw_only=True):
    """That an indicator belongs to a campaign, or did. `id`: of the relationship partners see."""

    id: str
    campaign: str
    indicator: str
    attached: bool
    by: str
    at: datetime


class Belongs(msgspec.Struct, frozen=True, kw_only=True):
    """An indicator of a campaign, for persons of the centre."""

    indicator: str
    kind: str
    value: str
    status: str
    relationship: str
    by: str
    at: datetime


class CampaignView(msgspec.Struct, frozen=True, kw_only=True):
    """A campaign with its indicators; `cases`: of ours that name one of them."""

    campaign: Campaign
    indicators: list[Belongs]
    cases: int


class CampaignList(msgspec.Struct, frozen=True, kw_only=True):
    """One page of campaigns, the last changed first; `cursor` gets the next, null at the end."""

    campaigns: list[Campaign]
    cursor: str | None


class Chosen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Indicators, and why they belong to it or do not."""

    indicators: Annotated[tuple[ObjectId, ...], Meta(min_length=1, max_length=AT_ONCE_MAX)]
    reason: Reason


class CampaignMark(msgspec.Struct, frozen=True, kw_only=True):
    """A campaign in the journal: no word of it."""

    state: str
    marking: str
    scam_types: tuple[str, ...]
    indicators: int = 0
