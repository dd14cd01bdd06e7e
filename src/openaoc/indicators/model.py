"""Indicators as others see them: statuses with their one transition table, sources, what was said.

Decides nothing about weight or age: that is confidence.py's and ageing.py's.
"""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from openaoc.kernel.errors import Conflict, NotFound
from openaoc.kernel.identifiers.kinds import Identifier, Kind
from openaoc.kernel.markings import Marking
from openaoc.kernel.offences import Offence

SOURCES_SHOWN_MAX: Final = 200
SCAM_TYPES_MAX: Final = len(Offence)
SAID_AT_ONCE_MAX: Final = 10_000
SOURCE_CHARACTERS_MAX: Final = 80
REF_CHARACTERS_MAX: Final = 80
REASON_CHARACTERS_MAX: Final = 1_000

Reason = Annotated[str, Meta(min_length=3, max_length=REASON_CHARACTERS_MAX)]


class NoSuchIndicator(NotFound):
    """There is no such indicator."""


class WrongIndicatorState(Conflict):
    """The indicator's status does not allow this."""


class Status(enum.StrEnum):
    """What the centre thinks of an identifier; TRANSITIONS says how that changes."""

    PROPOSED = "proposed"
    """Somebody named it."""
    CONFIRMED = "confirmed"
    """A person looked and agrees."""
    WITHDRAWN = "withdrawn"
    """A person looked and it was wrong, or whoever said it took it back."""
    EXPIRED = "expired"
    """Nobody named it for too long: numbers and accounts get new owners."""


class Step(enum.StrEnum):
    """A verb that moves an indicator."""

    CONFIRM = "confirm"
    WITHDRAW = "withdraw"
    EXPIRE = "expire"
    RENEW = "renew"
    """Named again after it expired."""
    RETRACT = "retract"
    """Everybody who said it took it back."""


class IndicatorTransition(msgspec.Struct, frozen=True, kw_only=True):
    """One permitted step. `person`: whether only a person may take it."""

    before: Status
    step: Step
    after: Status
    person: bool


def _step(before: Status, step: Step, after: Status, *, person: bool) -> IndicatorTransition:
    return IndicatorTransition(before=before, step=step, after=after, person=person)


TRANSITIONS: Final = (
    _step(Status.PROPOSED, Step.CONFIRM, Status.CONFIRMED, person=True),
    _step(Status.EXPIRED, Step.CONFIRM, Status.CONFIRMED, person=True),
    _step(Status.WITHDRAWN, Step.CONFIRM, Status.CONFIRMED, person=True),
    _step(Status.PROPOSED, Step.WITHDRAW, Status.WITHDRAWN, person=True),
    _step(Status.CONFIRMED, Step.WITHDRAW, Status.WITHDRAWN, person=True),
    _step(Status.PROPOSED, Step.EXPIRE, Status.EXPIRED, person=False),
    _step(Status.CONFIRMED, Step.EXPIRE, Status.EXPIRED, person=False),
    _step(Status.EXPIRED, Step.RENEW, Status.PROPOSED, person=False),
    _step(Status.PROPOSED, Step.RETRACT, Status.WITHDRAWN, person=False),
)
"""What a person withdrew stays so, however often it is named again, until a person confirms it."""
_AFTER: Final = {(t.before, t.step): t.after for t in TRANSITIONS}


def after_step(before: Status, step: Step) -> Status:
    """The status after a permitted step. Raises WrongIndicatorState."""
    found = _AFTER.get((before, step))
    if found is None:
        raise WrongIndicatorState(f"{step.value} is not for one that is {before.value}")
    return found


class SourceKind(enum.StrEnum):
    """What kind of voice it is; how much it weighs is rule data."""

    CITIZEN = "citizen"
    INSTITUTION = "institution"
    PARTNER = "partner"
    TYPOLOGY = "typology"
    """A pattern of payments that two persons took live: a reason to look, and nothing more."""


REPORTING: Final = frozenset({SourceKind.CITIZEN, SourceKind.INSTITUTION})
"""Voices that reported something to us."""


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """One voice about one identifier.

    `source`: whose record it counts for: `citizen`, `institution:CODE`, `partner:CODE`,
    `typology:PACKAGE`. `ref`: what
    it said it in: a report's id, a partner's object id. `at`: when it was last seen, `since`: when
    first, where that is another time. `said_at`: of this version of its word; an older one changes
    nothing. `marking`: how far it may go on. `case`: of ours; while its money is pursued, public
    answers do not change.
    """

    identifier: Identifier
    kind: SourceKind
    source: str
    ref: str
    at: datetime
    said_at: datetime
    since: datetime | None = None
    offence: Offence = Offence.UNSORTED_SCAM
    marking: Marking = Marking.AMBER
    case: str | None = None
    held_back: bool = False


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """One kept voice: the same one said twice is one, first and last seen."""

    kind: SourceKind
    source: str
    ref: str
    offence: Offence
    marking: Marking
    first_seen: datetime
    last_seen: datetime
    said_at: datetime
    case_id: str | None = None
    held_back: bool = False
    taken_back_at: datetime | None = None


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """How often persons found a source right and wrong."""

    source: str
    right: int = 0
    wrong: int = 0


class Indicator(msgspec.Struct, frozen=True, kw_only=True):
    """An identifier and the centre's opinion of it.

    `confidence`: percent. `reports`: own reports that name it. `public_status`: what public
    answers say; it stays behind `status` while a case that names it is under live pursuit.
    `change`: its place in the order of changes.
    """

    id: str
    kind: Kind
    value: str
    status: Status
    confidence: int
    scam_types: tuple[Offence, ...]
    first_seen: datetime
    last_seen: datetime
    valid_until: datetime
    reports: int
    under_pursuit: bool
    public_status: Status | None
    created_at: datetime
    changed_at: datetime
    decided_by: str | None = None
    decided_at: datetime | None = None
    reason: str = ""
    change: int = 0

    @property
    def identifier(self) -> Identifier:
        """What it is about."""
        return Identifier(kind=self.kind, value=self.value)


class IndicatorView(msgspec.Struct, frozen=True, kw_only=True):
    """An indicator with who said so."""

    indicator: Indicator
    sources: list[Source]


class IndicatorPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of indicators, the last changed first."""

    indicators: list[Indicator]
    cursor: str | None


class IndicatorMark(msgspec.Struct, frozen=True, kw_only=True):
    """An indicator in the journal: never its value."""

    kind: str
    status: str
    confidence: int
    sources: int

    @classmethod
    def of(cls, one: Indicator, *, sources: int) -> IndicatorMark:
        """The mark of this one."""
        return cls(
            kind=one.kind.value,
            status=one.status.value,
            confidence=one.confidence,
            sources=sources,
        )
