"""Safety: breakers and undo as others see them: scopes, states, selections. Decides nothing."""

from __future__ import annotations

import enum
import re
from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from openaoc.kernel.errors import BadInput, Conflict, NotFound
from openaoc.kernel.settings import Settings

ALL: Final = "all"
SCOPE_CHARACTERS_MAX: Final = 100
REASON_CHARACTERS_MAX: Final = 1_000
_SCOPE: Final = re.compile(r"all|(institution|source|rule):[A-Za-z0-9_.:-]{1,80}")

Scope = Annotated[str, Meta(min_length=3, max_length=SCOPE_CHARACTERS_MAX)]
Reason = Annotated[str, Meta(min_length=3, max_length=REASON_CHARACTERS_MAX)]


class NoSuchRun(NotFound):
    """There is no such undo."""


class WrongRunState(Conflict):
    """The undo's state does not allow this."""


class BreakerClosed(Conflict):
    """This breaker is not open."""


def check_scope(scope: str) -> str:
    """The scope itself. Raises BadInput for another form."""
    if not _SCOPE.fullmatch(scope):
        raise BadInput("all, institution:CODE, source:USER or rule:ID", where="scope")
    return scope


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """When a breaker opens by itself.

    The first three are orders that went out by themselves within an hour: over all, to one
    institution, from one source's reports. The last two: contests upheld within a day of one
    institution's holds, or of one source's reports, and their percentage of those decided.
    """

    orders_per_hour: int
    institution_per_hour: int
    source_per_hour: int
    upheld_min: int
    upheld_percent: int

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """The operator's limits."""
        return cls(
            orders_per_hour=settings.breaker_orders_per_hour,
            institution_per_hour=settings.breaker_institution_orders_per_hour,
            source_per_hour=settings.breaker_source_orders_per_hour,
            upheld_min=settings.breaker_upheld_min,
            upheld_percent=settings.breaker_upheld_percent,
        )

    def per_hour(self, scope: str) -> int | None:
        """How many orders an hour this scope lets out by themselves; None for any number."""
        if scope == ALL:
            return self.orders_per_hour
        kind = scope.partition(":")[0]
        return {"institution": self.institution_per_hour, "source": self.source_per_hour}.get(kind)


class Breaker(msgspec.Struct, frozen=True, kw_only=True):
    """One breaker. `resume`: when it was closed, what it had caught was let go."""

    scope: str
    open: bool
    why: str
    changed_by: str
    changed_at: datetime
    counted_from: datetime | None = None
    resume: bool = False


class BreakerView(msgspec.Struct, frozen=True, kw_only=True):
    """A breaker, what its last hour counted, and how many orders wait because of it."""

    scope: str
    open: bool
    why: str
    changed_by: str
    changed_at: datetime
    orders_last_hour: int
    waiting: int


class BreakerList(msgspec.Struct, frozen=True, kw_only=True):
    """Every breaker that ever opened, the open ones first, and the limits."""

    breakers: list[BreakerView]
    limits: Limits


class BreakerChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Open or close a breaker, and why. `resume`: on closing, what it caught goes out."""

    scope: Scope
    reason: Reason
    resume: bool = False


class BreakerFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Which kinds of breakers are open now, and how many orders wait for a person by them."""

    all_open: bool = False
    institutions_open: int = 0
    sources_open: int = 0
    rules_open: int = 0
    orders_waiting: int = 0


class RunState(enum.StrEnum):
    """Where an undo stands: proposed, running after a second person agreed, done, dropped."""

    PROPOSED = "proposed"
    RUNNING = "running"
    DONE = "done"
    DROPPED = "dropped"


Name = Annotated[str, Meta(min_length=1, max_length=80)]


class Selection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose orders are taken back: all that are named apply, and one of the first four is.

    `rule`: a legal rule's id. `reporter`: a user's id or a reporting institution's code.
    `partner`: a partner's code, or the id of a user who reported as one. `institution`: whom the
    orders went to. The times are when orders were issued.
    """

    rule: Name | None = None
    reporter: Name | None = None
    partner: Name | None = None
    institution: Name | None = None
    since: Annotated[datetime, Meta(tz=True)] | None = None
    until: Annotated[datetime, Meta(tz=True)] | None = None

    def check(self) -> None:
        """Raises BadInput for a selection of everything, or of no time."""
        if not any((self.rule, self.reporter, self.partner, self.institution)):
            raise BadInput("name a rule, reporter, partner or institution")
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise BadInput("before `until`", where="$.since")

    def scopes(self) -> list[str]:
        """The breakers that keep anything like it from going out by itself again."""
        found = []
        if self.rule:
            found.append(f"rule:{self.rule}")
        if self.institution and not (self.rule or self.reporter or self.partner):
            found.append(f"institution:{self.institution}")
        return found


class UndoRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to take back, and why."""

    selection: Selection
    reason: Reason


class Touched(msgspec.Struct, frozen=True, kw_only=True):
    """One order an undo would end, or ended; `done` is null before."""

    order: str
    case: str
    institution: str
    account: str
    currency: str
    state: str
    amount_minor: int
    done: Literal["released", "withdrawn"] | None = None
    at: datetime | None = None


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What an undo would touch now: sums over all of it, and the first orders of the list."""

    orders: int
    cases: int
    accounts: int
    held_minor: int
    waiting_minor: int
    first: list[Touched]


class RunView(msgspec.Struct, frozen=True, kw_only=True):
    """An undo: what was selected, by whom, and how far it is."""

    undo: str
    selection: Selection
    reason: str
    state: RunState
    proposed_by: str
    proposed_at: datetime
    approved_by: str | None
    approved_at: datetime | None
    orders: int
    released_minor: int
    withdrawn_minor: int
    finished_at: datetime | None


class RunList(msgspec.Struct, frozen=True, kw_only=True):
    """The newest undos."""

    runs: list[RunView]


class TouchedPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of whom an undo touched, in the order in which it did."""

    touched: list[Touched]
    cursor: str | None
