"""Matching: what two centres send each other, and every limit of it by name. Decides nothing."""

from __future__ import annotations

import enum
from datetime import datetime, timedelta
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from openaoc.exchange.matching.oprf import ELEMENT_BYTES
from openaoc.exchange.matching.sets import ENTRIES_MAX, ENTRIES_PER_PAGE
from openaoc.exchange.objects import ReleasedObject
from openaoc.kernel.clock import EPOCH
from openaoc.kernel.errors import BadInput, Busy, Conflict, NotFound

EPOCH_LENGTH: Final = timedelta(days=1)
"""Keys and sets live so long; what was learnt under one says nothing under the next."""
EPOCH_GRACE: Final = timedelta(hours=2)
"""So long the last epoch's set is still answered, for matches that began under it."""
QUESTIONS_PER_HOUR_MAX: Final = 150_000
"""Elements answered per partner and hour. Every further one would let a partner try more of all
the telephone numbers there are: at this rate Thailand's take nearly three months, and are seen.
"""
QUESTIONS_PER_BATCH_MAX: Final = 1_024
BATCH_SIZES: Final = (16, 128, QUESTIONS_PER_BATCH_MAX)
"""A batch is filled up to one of these with elements that hide nothing: it does not tell how many
identifiers are asked about.
"""
ASKED_AT_ONCE_MAX: Final = 100_000
PAGES_MAX: Final = -(-ENTRIES_MAX // ENTRIES_PER_PAGE)
PATH: Final = "/v1/centre/match"


class NotPrepared(Busy):
    """This epoch's set is being computed."""


class OtherEpoch(Conflict):
    """The epoch is over, or has not begun."""


class TooManyQuestions(Busy):
    """More questions than a partner may ask in an hour."""


class NoSuchToken(NotFound):
    """The token is none of an identifier that was published."""


class NoSuchHit(NotFound):
    """There is no such hit, or nothing of it is shown to you."""


class SetAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which set is there? Nothing further is said."""


class SetInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The set of the epoch: its padded size, in how many pages, and the digest of all of them."""

    epoch: int
    entries: Annotated[int, Meta(ge=1, le=ENTRIES_MAX)]
    pages: Annotated[int, Meta(ge=1, le=PAGES_MAX)]
    digest: Annotated[str, Meta(max_length=64)]


class PageAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One page of the epoch's set."""

    epoch: int
    page: Annotated[int, Meta(ge=0, lt=PAGES_MAX)]


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Its tags, one after the other."""

    tags: bytes


class Questions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Blinded elements, one after the other."""

    epoch: int
    elements: Annotated[bytes, Meta(max_length=QUESTIONS_PER_BATCH_MAX * ELEMENT_BYTES)]

    def split(self) -> list[bytes]:
        """The elements. Raises BadInput for a number of them that is none of BATCH_SIZES."""
        count, rest = divmod(len(self.elements), ELEMENT_BYTES)
        if rest or count not in BATCH_SIZES:
            raise BadInput(f"one of {BATCH_SIZES} elements", where="elements")
        return elements_of(self.elements)


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """An answer to each element, in the same order: nobody who answers knows which are known."""

    answers: bytes


class HitTold(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A hit, as the agreement lets it leave: the kind, and the token in place of the identifier."""

    epoch: int
    hit: ReleasedObject


class HitTaken(msgspec.Struct, frozen=True, kw_only=True):
    """Under which number the other side works on the hit."""

    reference: str


class Direction(enum.StrEnum):
    """Who found the hit."""

    FOUND = "found"
    TOLD = "told"


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """An identifier both centres know. For the contact point: never logged, never journalled.

    `reference`: the other side's number, once it was told. `contact`: whom to ask there.
    """

    id: str
    partner: str
    direction: Direction
    kind: str
    value: str
    epoch: int
    token: str
    contact: str
    found_at: datetime
    told_at: datetime | None = None
    reference: str | None = None
    closed_at: datetime | None = None
    closed_by: str | None = None
    why_closed: str | None = None


class HitPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of hits, the newest first; `cursor` gets the next, null at the end."""

    hits: list[Hit]
    cursor: str | None


class Matched(msgspec.Struct, frozen=True, kw_only=True):
    """What one match found, in numbers."""

    partner: str
    epoch: int
    asked: int
    hits: int
    fresh: int
    """Hits that were not known before."""


class HitMark(msgspec.Struct, frozen=True, kw_only=True):
    """A hit in the journal: whose and of which kind, never which identifier."""

    partner: str
    direction: str
    kind: str
    epoch: int


def elements_of(data: bytes) -> list[bytes]:
    """Elements that stand one after the other."""
    return [data[at : at + ELEMENT_BYTES] for at in range(0, len(data), ELEMENT_BYTES)]


def epoch_of(now: datetime) -> int:
    """The epoch's number: days since 1970."""
    return (now - EPOCH) // EPOCH_LENGTH


def is_answered(epoch: int, now: datetime) -> bool:
    """Whether questions under this epoch are answered now."""
    present = epoch_of(now)
    return epoch == present or (epoch == present - 1 and epoch_of(now - EPOCH_GRACE) == epoch)


def batch_size(count: int) -> int:
    """How many elements a batch of so many questions is filled up to."""
    return next(size for size in BATCH_SIZES if count <= size)
