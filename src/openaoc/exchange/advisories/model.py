"""Advisories: what they say, who has them, and their life as one table.

An incident report of the centre itself is an advisory of another sort: the same life, the same way.
"""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from openaoc.exchange.advisories.sectors import Severity
from openaoc.exchange.model import PartnerCode
from openaoc.exchange.objects import ObjectId, ReleasedObject
from openaoc.kernel.errors import Conflict, NotFound
from openaoc.kernel.markings import Marking
from openaoc.kernel.offences import Offence

PATH: Final = "/v1/centre/advisories"
ACKNOWLEDGED_PATH: Final = f"{PATH}/acknowledged"
INDICATORS_MAX: Final = 40
SECTORS_MAX: Final = 20
PARTNERS_MAX: Final = 200
LISTED_MAX: Final = 200
TITLE_CHARACTERS_MAX: Final = 200
TEXT_CHARACTERS_MAX: Final = 3_000
"""Six texts and the indicators fit into one message on the line, Thai in three bytes a letter."""

Title = Annotated[str, Meta(min_length=3, max_length=TITLE_CHARACTERS_MAX)]
Text = Annotated[str, Meta(min_length=3, max_length=TEXT_CHARACTERS_MAX)]
Count = Annotated[int, Meta(ge=0, le=10**9)]
Desk = Annotated[str, Meta(min_length=2, max_length=80)]


class NoSuchAdvisory(NotFound):
    """There is no such advisory, or nothing of it is shown to you."""


class WrongAdvisoryStep(Conflict):
    """The advisory's state does not allow this."""


class Sort(enum.StrEnum):
    """A warning, or what went wrong at the centre itself."""

    ADVISORY = "advisory"
    INCIDENT = "incident"


class State(enum.StrEnum):
    """Where an advisory stands."""

    DRAFTED = "drafted"
    PUBLISHED = "published"
    WITHDRAWN = "withdrawn"
    OVER = "over"


class Step(enum.StrEnum):
    """A verb that moves an advisory."""

    PUBLISH = "publish"
    CORRECT = "correct"
    WITHDRAW = "withdraw"
    END = "end"


class AdvisoryTransition(msgspec.Struct, frozen=True, kw_only=True):
    """One permitted step. `persons`: how many have to say it."""

    before: State
    step: Step
    after: State
    persons: int
    why: str


def _step(before: State, step: Step, after: State, *, persons: int, why: str) -> AdvisoryTransition:
    return AdvisoryTransition(before=before, step=step, after=after, persons=persons, why=why)


_S = State
TRANSITIONS: Final = (
    _step(_S.DRAFTED, Step.PUBLISH, _S.PUBLISHED, persons=2, why="two persons have read it"),
    _step(
        _S.PUBLISHED,
        Step.CORRECT,
        _S.PUBLISHED,
        persons=2,
        why="two persons have read the correction: all who have it get it",
    ),
    _step(_S.DRAFTED, Step.WITHDRAW, _S.WITHDRAWN, persons=1, why="it is not sent"),
    _step(
        _S.PUBLISHED,
        Step.WITHDRAW,
        _S.WITHDRAWN,
        persons=1,
        why="one person is enough to take it back; all who have it hear of it",
    ),
    _step(_S.PUBLISHED, Step.END, _S.OVER, persons=0, why="its time is over"),
)
_AFTER: Final = {(t.before, t.step): t for t in TRANSITIONS}


def check_step(before: State, step: Step) -> AdvisoryTransition:
    """The permitted step. Raises WrongAdvisoryStep."""
    found = _AFTER.get((before, step))
    if found is None:
        raise WrongAdvisoryStep(f"{step.value} is not for one that is {before.value}")
    return found


class IncidentKind(enum.StrEnum):
    """What went wrong at the centre."""

    WRONG_HOLDS = "wrong-holds"
    LEAK = "leak"
    OUTAGE = "outage"
    OTHER = "other"


class Incident(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The centre's own incident: when, and who was touched, as counts alone.

    `personal_data`: of persons; then the regulator is told within the hours of the rules.
    """

    kind: IncidentKind
    noticed_at: Annotated[datetime, Meta(tz=True)]
    started_at: Annotated[datetime, Meta(tz=True)]
    ended_at: Annotated[datetime, Meta(tz=True)] | None = None
    people: Count = 0
    accounts: Count = 0
    institutions: Count = 0
    personal_data: bool = False


class Content(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What it says, in both languages: what is happening, and what to do (or what was done).

    To the sectors, and to the partners named beside them. `scam_types`: what it is about; only
    partners whose agreement is for one of them receive it.
    """

    sort: Sort = Sort.ADVISORY
    severity: Severity
    marking: Marking
    scam_types: Annotated[tuple[Offence, ...], Meta(min_length=1)]
    title_th: Title
    title_en: Title
    happening_th: Text
    happening_en: Text
    action_th: Text
    action_en: Text
    valid_until: Annotated[datetime, Meta(tz=True)]
    sectors: Annotated[tuple[str, ...], Meta(max_length=SECTORS_MAX)] = ()
    partners: Annotated[tuple[PartnerCode, ...], Meta(max_length=PARTNERS_MAX)] = ()
    indicators: Annotated[tuple[ObjectId, ...], Meta(max_length=INDICATORS_MAX)] = ()
    incident: Incident | None = None


class Voice(msgspec.Struct, frozen=True, kw_only=True):
    """One person's word."""

    by: str
    at: datetime
    words: str


class Advisory(msgspec.Struct, frozen=True, kw_only=True):
    """An advisory. `proposed`: what two persons have to read before it counts.

    `regulator_by`: when the regulator has to be told at the latest, of a breach.
    """

    id: str
    state: State
    revision: int
    drafted_by: str
    drafted_at: datetime
    changed_at: datetime
    content: Content | None = None
    proposed: Content | None = None
    voices: tuple[Voice, ...] = ()
    published_at: datetime | None = None
    why: str = ""
    regulator_by: datetime | None = None
    regulator_told_at: datetime | None = None
    regulator_reference: str = ""


class Acknowledgement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A receiver has read it. `by`: the desk that did, rather than a person's name."""

    revision: int
    by: Desk
    at: Annotated[datetime, Meta(tz=True)]


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """What one receiver has of an advisory; `why` says why it has none.

    `advisory` and `indicators` are what was released to it. `taken_at`: by its system.
    """

    advisory: str
    partner: str
    revision: int = 0
    released: ReleasedObject | None = None
    indicators: tuple[ReleasedObject, ...] = ()
    released_at: datetime | None = None
    taken_at: datetime | None = None
    acknowledge_by: datetime | None = None
    acknowledged: Acknowledgement | None = None
    reminders: int = 0
    reminded_at: datetime | None = None
    withdrawn: bool = False
    why: str = ""

    @property
    def read(self) -> bool:
        """Whether its last revision was acknowledged."""
        return self.acknowledged is not None and self.acknowledged.revision >= self.revision


class AdvisoryView(msgspec.Struct, frozen=True, kw_only=True):
    """An advisory with who has it and who has not acknowledged."""

    advisory: Advisory
    deliveries: list[Delivery]
    unread: list[str]


class AdvisoryList(msgspec.Struct, frozen=True, kw_only=True):
    """One page of advisories, the newest first; `cursor` gets the next, null at the end."""

    advisories: list[Advisory]
    cursor: str | None


class PartnerAdvisory(msgspec.Struct, frozen=True, kw_only=True):
    """An advisory as its receiver sees it."""

    id: str
    revision: int
    advisory: ReleasedObject
    indicators: tuple[ReleasedObject, ...]
    acknowledge_by: datetime | None
    acknowledged: Acknowledgement | None
    reminders: int
    withdrawn: bool


class PartnerAdvisories(msgspec.Struct, frozen=True, kw_only=True):
    """A receiver's advisories, the newest first."""

    advisories: list[PartnerAdvisory]


class AdvisoryMessage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An advisory on the line between centres; the highest revision counts."""

    revision: int
    advisory: ReleasedObject
    indicators: Annotated[tuple[ReleasedObject, ...], Meta(max_length=INDICATORS_MAX)] = ()
    acknowledge_by: datetime | None = None
    reminders: int = 0
    withdrawn: bool = False


class AdvisoryTaken(msgspec.Struct, frozen=True, kw_only=True):
    """The receiver has this revision; and what it has acknowledged."""

    revision: int
    acknowledged: Acknowledgement | None = None


class AcknowledgedMessage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A receiver's acknowledgement on the line."""

    advisory: ObjectId
    acknowledged: Acknowledgement


class AcknowledgedTaken(msgspec.Struct, frozen=True, kw_only=True):
    """The sender has it; `known` is False where it never sent this."""

    known: bool


class ReceivedAdvisory(msgspec.Struct, frozen=True, kw_only=True):
    """A partner's advisory to us."""

    partner: str
    id: str
    revision: int
    advisory: ReleasedObject
    indicators: tuple[ReleasedObject, ...]
    received_at: datetime
    acknowledge_by: datetime | None = None
    acknowledged: Acknowledgement | None = None
    reminders: int = 0
    withdrawn: bool = False


class ReceivedAdvisories(msgspec.Struct, frozen=True, kw_only=True):
    """Partners' advisories to us, newest first; `cursor` gets the next page, null at the end."""

    advisories: list[ReceivedAdvisory]
    cursor: str | None


class SectorView(msgspec.Struct, frozen=True, kw_only=True):
    """A sector and the partners in it."""

    code: str
    th: str
    en: str
    partners: list[str]


class SectorList(msgspec.Struct, frozen=True, kw_only=True):
    """The closed list."""

    version: str
    sectors: list[SectorView]


class AdvisoryMark(msgspec.Struct, frozen=True, kw_only=True):
    """An advisory in the journal: counts and names of places, no text of it."""

    sort: str
    state: str
    revision: int
    sectors: tuple[str, ...] = ()
    partners: tuple[str, ...] = ()
    indicators: int = 0
    marking: str = ""
    told: int = 0
