"""Indicators: the stage's verbs: hear what was said, weigh it, let persons decide, let it age.

Never confirms by itself, and never changes a public answer while a case is under live pursuit.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from datetime import datetime
from typing import Final

import msgspec

from openaoc.indicators import store
from openaoc.indicators.ageing import valid_until
from openaoc.indicators.confidence import confidence_of
from openaoc.indicators.model import (
    REASON_CHARACTERS_MAX,
    REF_CHARACTERS_MAX,
    REPORTING,
    SAID_AT_ONCE_MAX,
    SOURCE_CHARACTERS_MAX,
    SOURCES_SHOWN_MAX,
    Indicator,
    IndicatorMark,
    IndicatorPage,
    IndicatorView,
    NoSuchIndicator,
    Record,
    Said,
    Source,
    SourceKind,
    Status,
    Step,
    after_step,
)
from openaoc.indicators.weighing import Weighing, weighing
from openaoc.kernel.errors import BadInput
from openaoc.kernel.events import Event
from openaoc.kernel.identifiers.kinds import Identifier, Kind
from openaoc.kernel.ids import new_indicator_id
from openaoc.kernel.limits import PAGE_MAX
from openaoc.kernel.offences import Offence
from openaoc.parties.permissions import Permission, require
from openaoc.storage.journal_rows import JournalEntry
from openaoc.storage.unit_of_work import Transaction

EXPIRED_AT_ONCE_MAX: Final = 500
PLACE_DIGITS_MAX: Final = 18
REASON_CHARACTERS_MIN: Final = 3


Protected = Callable[[Transaction, Sequence[tuple[str, str]]], Container[tuple[str, str]]]
"""Those of the identifiers (kind, value) that nobody outside is told anything of."""


def _nobody(tx: Transaction, names: Sequence[tuple[str, str]]) -> Container[tuple[str, str]]:
    assert tx.now is not None, "an open transaction"
    return frozenset(names[:0])


class Indicators:
    """The verbs. One instance per centre; works in the caller's transaction."""

    def __init__(self, rules: Weighing | None = None) -> None:
        self._rules = rules or weighing()
        self._protected: Protected = _nobody
        self._stands = [
            (kind, status, self._rules.days_of(kind, confirmed=status is Status.CONFIRMED))
            for kind in Kind
            for status in (Status.PROPOSED, Status.CONFIRMED)
        ]

    def keep_from_public(self, protected: Protected) -> None:
        """Ask before a public answer whether it is about somebody protected. For the wiring."""
        self._protected = protected

    # What is said.

    def hear(self, tx: Transaction, said: Sequence[Said]) -> list[Indicator]:
        """Keep these voices and weigh again what they are about; the indicators, as they are now.

        The same voice again changes nothing but when it was last heard. Raises BadInput beyond
        SAID_AT_ONCE_MAX.
        """
        require(tx.actor, Permission.INDICATOR_TELL)
        if len(said) > SAID_AT_ONCE_MAX:
            raise BadInput(f"at most {SAID_AT_ONCE_MAX} at once")
        if not said:
            return []
        for one in said:
            assert len(one.source) <= SOURCE_CHARACTERS_MAX, "sources are our own names"
            if len(one.ref) > REF_CHARACTERS_MAX or "\0" in one.ref:
                raise BadInput(f"at most {REF_CHARACTERS_MAX} characters", where="ref")
        _lock(tx)
        first = {one.identifier: one for one in reversed(said)}
        fresh = [_fresh(tx, one) for one in first.values()]
        store.add(tx.connection, fresh)
        known = store.find(tx.connection, first, lock=True)
        ids = {one.identifier: one.id for one in known}
        for one in said:
            store.say(tx.connection, ids[one.identifier], _source_of(one), now=tx.now)
        return self._weigh(tx, known, heard=True, fresh={one.id for one in fresh})

    def take_back(
        self, tx: Transaction, *, source: str, ref: str, said_at: datetime
    ) -> list[Indicator]:
        """A source takes back what it said under this reference by then; what that changed."""
        require(tx.actor, Permission.INDICATOR_TELL)
        _lock(tx)
        ids = store.take_back(tx.connection, source=source, ref=ref, said_at=said_at, now=tx.now)
        return self._weigh(tx, store.by_ids(tx.connection, ids, lock=True))

    # What persons decide.

    def confirm(self, tx: Transaction, indicator_id: str, *, reason: str) -> Indicator:
        """A person looked and agrees. Its sources were right."""
        return self._decide(tx, indicator_id, Step.CONFIRM, reason=reason)

    def withdraw(self, tx: Transaction, indicator_id: str, *, reason: str) -> Indicator:
        """A person looked and it is wrong: so were its sources."""
        return self._decide(tx, indicator_id, Step.WITHDRAW, reason=reason)

    def _decide(self, tx: Transaction, indicator_id: str, step: Step, *, reason: str) -> Indicator:
        require(tx.actor, Permission.INDICATOR_DECIDE)
        text = reason.strip()
        if not REASON_CHARACTERS_MIN <= len(text) <= REASON_CHARACTERS_MAX or "\0" in text:
            raise BadInput(
                f"{REASON_CHARACTERS_MIN} to {REASON_CHARACTERS_MAX} characters", where="reason"
            )
        _lock(tx)
        before = self._found(tx, indicator_id, lock=True)
        decided = msgspec.structs.replace(
            before,
            status=after_step(before.status, step),
            decided_by=tx.actor.id,
            decided_at=tx.now,
            reason=text,
        )
        voices = store.sources_of(tx.connection, [before.id])[before.id]
        self._note_records(tx, voices, step, before=before.status)
        return self._finished(tx, before, decided, voices, action=decided.status.value)

    @staticmethod
    def _note_records(
        tx: Transaction, voices: Sequence[Source], step: Step, *, before: Status
    ) -> None:
        """Right or wrong for each source once; a decision that turns an earlier one undoes it."""
        good = step is Step.CONFIRM
        for source in sorted({one.source for one in voices if one.taken_back_at is None}):
            right, wrong = (1, 0) if good else (0, 1)
            if good and before is Status.WITHDRAWN:
                wrong = -1
            if not good and before is Status.CONFIRMED:
                right = -1
            store.count(tx.connection, source, right=right, wrong=wrong)

    # What the clock asks for.

    def expire_due(self, tx: Transaction) -> int:
        """Those whose time is over expire; how many."""
        _lock(tx)
        due = store.expired(tx.connection, now=tx.now, limit=EXPIRED_AT_ONCE_MAX)
        voices = store.sources_of(tx.connection, [one.id for one in due])
        for before in due:
            gone = msgspec.structs.replace(before, status=after_step(before.status, Step.EXPIRE))
            self._finished(tx, before, gone, voices[before.id], action="expired", age=False)
        return len(due)

    def end_ours_due(self, tx: Transaction) -> int:
        """What we said ourselves is over where only partners' words keep it alive; how many.

        The opinion stands, but it changed: who published it is to hear so.
        """
        _lock(tx)
        over = store.over_here(tx.connection, self._stands, now=tx.now, limit=EXPIRED_AT_ONCE_MAX)
        for one in over:
            store.update(tx.connection, msgspec.structs.replace(one, changed_at=tx.now))
        return len(over)

    def held_back_cases(self, tx: Transaction, *, after: str, limit: int) -> list[str]:
        """Cases whose voices do not change public answers yet, by number after the given one."""
        return store.held_back_cases(tx.connection, after=after, limit=limit)

    def let_out(self, tx: Transaction, case_ids: Sequence[str]) -> int:
        """These cases' holds are answered: public answers may change; for how many indicators."""
        if not case_ids:
            return 0
        _lock(tx)
        ids = store.let_out(tx.connection, case_ids)
        return len(self._weigh(tx, store.by_ids(tx.connection, ids, lock=True)))

    def wait_for(self, tx: Transaction, report_ids: Sequence[str]) -> None:
        """Remember reports whose identifiers are still to be taken."""
        tx.gather("indicators.waiting", report_ids, store.wait)

    def waiting(self, tx: Transaction, *, limit: int) -> list[str]:
        """Some of these reports; they wait no more once this is committed."""
        return store.taken(tx.connection, limit=limit)

    # Who looks.

    def page(
        self,
        tx: Transaction,
        *,
        kind: Kind | None = None,
        status: Status | None = None,
        cursor: str | None = None,
        limit: int = PAGE_MAX,
    ) -> IndicatorPage:
        """The last changed first."""
        require(tx.actor, Permission.INDICATOR_READ)
        size = min(max(limit, 1), PAGE_MAX)
        found = store.page(
            tx.connection, kind=kind, status=status, before=_place(cursor), limit=size + 1
        )
        more = found[size - 1] if len(found) > size else None
        return IndicatorPage(
            indicators=found[:size],
            cursor=None if more is None else str(more.change),
        )

    def show(self, tx: Transaction, indicator_id: str) -> IndicatorView:
        """One, with its first SOURCES_SHOWN_MAX voices. Raises NoSuchIndicator."""
        require(tx.actor, Permission.INDICATOR_READ)
        found = self._found(tx, indicator_id)
        voices = store.sources_of(tx.connection, [found.id])[found.id]
        return IndicatorView(indicator=found, sources=voices[:SOURCES_SHOWN_MAX])

    def find(self, tx: Transaction, wanted: Sequence[Identifier]) -> list[Indicator]:
        """What is known of these identifiers; none is left out silently but the unknown."""
        require(tx.actor, Permission.INDICATOR_READ)
        if len(wanted) > SAID_AT_ONCE_MAX:
            raise BadInput(f"at most {SAID_AT_ONCE_MAX} at once")
        return store.find(tx.connection, wanted, lock=False)

    def public_status(self, tx: Transaction, identifier: Identifier) -> Status | None:
        """What anybody may be told: confirmed, or None for "not known", which is never "safe".

        Nothing that somebody has only named is public, nor what would show a mule the pursuit.
        What a person withdrew is gone from public answers at once, and so is what is a possible
        victim's. Nobody is told of a person.
        """
        if identifier.kind is Kind.PERSON:
            return None
        found = store.find(tx.connection, [identifier], lock=False)
        shown = found[0].public_status if found else None
        name = (identifier.kind.value, identifier.value)
        if shown is not Status.CONFIRMED or name in self._protected(tx, [name]):
            return None
        return shown

    def changed_after(self, tx: Transaction, *, after: int, limit: int) -> list[IndicatorView]:
        """Indicators in the order in which they changed, with their voices: for who publishes.

        `after` is the last one's `change`. None is left out: changes commit in their order.
        """
        require(tx.actor, Permission.INDICATOR_READ)
        found = store.changed_after(tx.connection, after=after, limit=limit)
        return self._views(tx, found)

    def views(self, tx: Transaction, ids: Sequence[str]) -> list[IndicatorView]:
        """Indicators by id, with their voices; an id nobody has is left out."""
        require(tx.actor, Permission.INDICATOR_READ)
        return self._views(tx, store.by_ids(tx.connection, ids))

    def own_confidence(self, tx: Transaction, views: Sequence[IndicatorView]) -> list[int]:
        """Of each the confidence without what partners said: that is not ours to pass on."""
        names = {source.source for view in views for source in view.sources}
        records = store.records_of(tx.connection, names)
        return [
            confidence_of(
                [one for one in view.sources if one.kind is not SourceKind.PARTNER],
                records,
                status=view.indicator.status,
                rules=self._rules,
            )
            for view in views
        ]

    def own_until(self, view: IndicatorView) -> datetime:
        """Until when it stands without what partners said: when they saw it is not ours to tell."""
        one = view.indicator
        own = [source for source in view.sources if source.kind is not SourceKind.PARTNER]
        standing = [source for source in own if source.taken_back_at is None] or own
        last_seen = max((source.last_seen for source in standing), default=one.first_seen)
        if one.decided_at is not None and one.status is Status.CONFIRMED:
            last_seen = max(last_seen, one.decided_at)
        return valid_until(one.kind, last_seen, status=one.status, rules=self._rules)

    def may_be_published(
        self, indicator: Indicator, *, own_confidence: int, own_until: datetime, now: datetime
    ) -> bool:
        """Whether others should hear of it: confirmed here, or said by enough of our own.

        Not once it is over by our own sources: a partner that still names it is no source of ours.
        """
        if own_until <= now:
            return False
        if indicator.status is Status.CONFIRMED:
            return True
        sure = own_confidence >= self._rules.published.floor
        return indicator.status is Status.PROPOSED and sure

    def record(self, tx: Transaction, source: str) -> Record:
        """How often persons found a source right and wrong."""
        require(tx.actor, Permission.INDICATOR_READ)
        return store.records_of(tx.connection, [source]).get(source, Record(source=source))

    @staticmethod
    def _views(tx: Transaction, found: Sequence[Indicator]) -> list[IndicatorView]:
        voices = store.sources_of(tx.connection, [one.id for one in found])
        return [IndicatorView(indicator=one, sources=voices[one.id]) for one in found]

    # How an opinion follows from its voices.

    def _found(self, tx: Transaction, indicator_id: str, *, lock: bool = False) -> Indicator:
        found = store.by_ids(tx.connection, [indicator_id], lock=lock)
        if not found:
            raise NoSuchIndicator(indicator_id[:80])
        return found[0]

    def _weigh(
        self,
        tx: Transaction,
        known: Sequence[Indicator],
        *,
        heard: bool = False,
        fresh: Container[str] = (),
    ) -> list[Indicator]:
        voices = store.sources_of(tx.connection, [one.id for one in known])
        names = {one.source for each in voices.values() for one in each}
        records = store.records_of(tx.connection, names)
        weighed = []
        for before in known:
            said = voices[before.id]
            status, action = _status_of(before, said, heard=heard)
            moved = msgspec.structs.replace(before, status=status)
            action = "proposed" if before.id in fresh else action
            weighed.append(self._finished(tx, before, moved, said, action=action, records=records))
        return weighed

    def _finished(
        self,
        tx: Transaction,
        before: Indicator,
        moved: Indicator,
        voices: Sequence[Source],
        *,
        action: str | None,
        records: dict[str, Record] | None = None,
        age: bool = True,
    ) -> Indicator:
        """Write what follows from status and voices; journal and tell it when it is of note."""
        if records is None:
            records = store.records_of(tx.connection, {one.source for one in voices})
        after = self._opinion(moved, voices, records, age=age)
        if after == before and action is None:
            return before
        after = msgspec.structs.replace(after, changed_at=max(tx.now, before.changed_at))
        after = store.update(tx.connection, after)
        if action is not None:
            self._tell(tx, before, after, sources=len(voices), action=action)
        return after

    @staticmethod
    def _tell(
        tx: Transaction, before: Indicator, after: Indicator, *, sources: int, action: str
    ) -> None:
        name = f"indicators.indicator.{action}"
        old = None if action == "proposed" else IndicatorMark.of(before, sources=sources)
        tx.journal_many(
            [
                JournalEntry(
                    action=name,
                    subject=after.id,
                    before=old,
                    after=IndicatorMark.of(after, sources=sources),
                    reason=after.reason if after.decided_at == tx.now else "",
                )
            ]
        )
        tx.emit(Event(name=name, subject=after.id, at=tx.now, facts={"kind": after.kind.value}))

    def _opinion(
        self,
        moved: Indicator,
        voices: Sequence[Source],
        records: dict[str, Record],
        *,
        age: bool,
    ) -> Indicator:
        """The indicator with everything that follows from its status and who said so."""
        standing = [one for one in voices if one.taken_back_at is None]
        last_seen = max((one.last_seen for one in standing), default=moved.last_seen)
        if moved.decided_at is not None and moved.status is Status.CONFIRMED:
            last_seen = max(last_seen, moved.decided_at)
        under_pursuit = any(one.held_back for one in standing)
        behind = under_pursuit and moved.status is not Status.WITHDRAWN
        own = [one for one in standing if one.kind in REPORTING]
        until = valid_until(moved.kind, last_seen, status=moved.status, rules=self._rules)
        return msgspec.structs.replace(
            moved,
            confidence=confidence_of(standing, records, status=moved.status, rules=self._rules),
            scam_types=_offences(standing),
            first_seen=min((one.first_seen for one in standing), default=moved.first_seen),
            last_seen=last_seen,
            valid_until=until if age else moved.valid_until,
            reports=len({one.ref for one in own}),
            under_pursuit=under_pursuit,
            public_status=moved.public_status if behind else moved.status,
        )


def _lock(tx: Transaction) -> None:
    """One change at a time: changes are committed in the order in which they are numbered."""
    tx.lock("indicators.changes")


def _status_of(
    before: Indicator, voices: Sequence[Source], *, heard: bool
) -> tuple[Status, str | None]:
    """What its voices alone make of it, and what to call that; persons' words stand."""
    standing = any(one.taken_back_at is None for one in voices)
    if not standing and before.status is Status.PROPOSED:
        return after_step(before.status, Step.RETRACT), "retracted"
    if heard and before.status is Status.EXPIRED:
        return after_step(before.status, Step.RENEW), "renewed"
    return before.status, None


def _offences(voices: Sequence[Source]) -> tuple[Offence, ...]:
    """What it was used for, sorted kinds before the unsorted, which stands only alone."""
    named = {one.offence for one in voices}
    sorted_kinds = named - {Offence.UNSORTED_SCAM}
    order = list(Offence)
    return tuple(sorted(sorted_kinds or named, key=order.index))


def _fresh(tx: Transaction, said: Said) -> Indicator:
    return Indicator(
        id=new_indicator_id(),
        kind=said.identifier.kind,
        value=said.identifier.value,
        status=Status.PROPOSED,
        confidence=0,
        scam_types=(said.offence,),
        first_seen=said.since or said.at,
        last_seen=said.at,
        valid_until=tx.now,
        reports=0,
        under_pursuit=said.held_back,
        public_status=None,
        created_at=tx.now,
        changed_at=tx.now,
    )


def _source_of(said: Said) -> Source:
    return Source(
        kind=said.kind,
        source=said.source,
        ref=said.ref,
        offence=said.offence,
        marking=said.marking,
        first_seen=said.since or said.at,
        last_seen=said.at,
        said_at=said.said_at,
        case_id=said.case,
        held_back=said.held_back,
    )


def _place(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) <= PLACE_DIGITS_MAX):
        raise BadInput("not a cursor of this list", where="cursor")
    return int(cursor)
