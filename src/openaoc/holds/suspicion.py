"""Suspicion: the verbs: an institution tells of its own hold; it is released, made longer, ends.

The law gives such a hold a longest time, and the clock ends it: nobody has to remember. Never
touches a case's orders.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from openaoc.channels.model import NewMessage
from openaoc.holds import suspicion_store as store
from openaoc.holds.book import Outbox
from openaoc.holds.legal import rulebook
from openaoc.holds.suspicion_model import (
    NewSuspicion,
    NoSuchSuspicion,
    NotYourSuspicion,
    Suspicion,
    SuspicionMark,
    SuspicionNotice,
    SuspicionPage,
    SuspicionState,
    check_step,
)
from openaoc.kernel.actor import SYSTEM, Actor, Role
from openaoc.kernel.errors import BadInput
from openaoc.kernel.identifiers.bank_account import normalise_account
from openaoc.kernel.ids import random_text
from openaoc.kernel.limits import PAGE_MAX
from openaoc.kernel.money import check_currency
from openaoc.parties.permissions import Permission, require
from openaoc.storage.unit_of_work import Transaction

NOTICE: Final = "suspicion.notice"
CLOCK_DIFFERENCE_MAX: Final = timedelta(minutes=5)
SUSPICIONS_PER_RUN_MAX: Final = 200
REASON_CHARACTERS_MIN: Final = 3
NO_EVIDENCE: Final = "its time is over: give the money back unless an order of a case stands on it"


class Suspicions:
    """The verbs of holds on suspicion. One instance per centre."""

    def __init__(
        self,
        *,
        outbox: Outbox,
        jurisdiction: str,
        is_live: Callable[[Transaction, str], bool],
    ) -> None:
        """`is_live(tx, institution)`: whether messages to it are sent."""
        self._outbox = outbox
        self._book = rulebook(jurisdiction)
        self._is_live = is_live

    # What institutions do.

    def tell(self, tx: Transaction, told: NewSuspicion) -> Suspicion:
        """An institution holds on its own suspicion since `held_at`, at most as the law allows.

        Raises NotYourSuspicion for anybody but an institution, BadInput for a time in the future
        or so long ago that the hold's time is over.
        """
        require(tx.actor, Permission.HOLD_ANSWER)
        if tx.actor.institution is None:
            raise NotYourSuspicion("only an institution holds on its own suspicion")
        if told.held_at > tx.now + CLOCK_DIFFERENCE_MAX:
            raise BadInput("held in the future", where="$.held_at")
        rule = self._book.named(self._book.suspicion, on=tx.now.date())
        held_at = min(told.held_at, tx.now)
        end = held_at + rule.longest
        if end <= tx.now:
            raise BadInput(
                f"at most {rule.longest_hours} hours, and they are over", where="$.held_at"
            )
        one = Suspicion(
            id="sus_" + random_text(20).lower(),
            institution=tx.actor.institution,
            account=normalise_account(told.account, where="$.account"),
            currency=check_currency(told.currency, where="$.currency"),
            amount_minor=told.amount_minor,
            grounds=_words(told.grounds, where="$.grounds"),
            bank_case_id=told.bank_case_id,
            rule=rule.id,
            rule_version=rule.version,
            legal_basis=rule.legal_basis,
            held_at=held_at,
            told_at=tx.now,
            told_by=tx.actor.id,
            ends_at=end,
            state=SuspicionState.STANDING,
        )
        store.add(tx.connection, one)
        tx.journal(
            action="holds.suspicion.told",
            subject=one.id,
            after=SuspicionMark.of(one),
            authority=rule.id,
        )
        return self._shown(tx, [one])[0]

    # What is read.

    def list(self, tx: Transaction, *, cursor: str | None = None, limit: int = 50) -> SuspicionPage:
        """A page, newest first; an institution's own only for its people."""
        require(tx.actor, Permission.HOLD_READ)
        if not 1 <= limit <= PAGE_MAX:
            raise BadInput(f"between 1 and {PAGE_MAX}", where="limit")
        if cursor is not None and not (cursor.isascii() and cursor.isdigit()):
            raise BadInput("not a cursor of this list", where="cursor")
        before = None if cursor is None else min(int(cursor), 2**62)
        rows = store.page(
            tx.connection, institution=tx.actor.institution, before=before, limit=limit + 1
        )
        return SuspicionPage(
            suspicions=[*self._shown(tx, rows[:limit])],
            cursor=str(rows[limit - 1].sequence) if len(rows) > limit else None,
        )

    def show(self, tx: Transaction, suspicion_id: str) -> Suspicion:
        """One. Raises NoSuchSuspicion, also for another institution's."""
        require(tx.actor, Permission.HOLD_READ)
        return self._shown(tx, [self._found(tx, suspicion_id, lock=False)])[0]

    # What ends it, or makes it longer.

    def release(self, tx: Transaction, suspicion_id: str, *, reason: str) -> Suspicion:
        """There is no evidence: the money goes back. One person is enough, also the bank's own."""
        require(tx.actor, Permission.HOLD_RELEASE)
        one = self._found(tx, suspicion_id, lock=True)
        return self._step(
            tx, one, SuspicionState.RELEASED, actor=tx.actor, reason=_words(reason, where="reason")
        )

    def extend(
        self, tx: Transaction, suspicion_id: str, *, until: datetime, authority: str, reason: str
    ) -> Suspicion:
        """A court or authority makes it longer, until the end its measure names.

        `authority` names the measure (court, number, date). Raises BadInput for an end that is
        not later, or further away than one entry may state.
        """
        require(tx.actor, Permission.HOLD_APPROVE)
        one = self._found(tx, suspicion_id, lock=True)
        rule = self._book.named(self._book.measure, on=tx.now.date())
        if not one.ends_at < until <= tx.now + rule.longest:
            raise BadInput(
                f"after {one.ends_at.isoformat()}, at most {rule.longest_hours} hours from now",
                where="until",
            )
        longer = msgspec.structs.replace(
            one, ends_at=until, authority=_words(authority, where="authority")
        )
        return self._step(
            tx,
            one,
            SuspicionState.EXTENDED,
            actor=tx.actor,
            reason=_words(reason, where="reason"),
            changes=longer,
        )

    def convert(
        self, tx: Transaction, suspicion_id: str, *, authority: str, reason: str
    ) -> Suspicion:
        """A seizure takes its place: the money stays blocked, by another's word."""
        require(tx.actor, Permission.HOLD_APPROVE)
        one = self._found(tx, suspicion_id, lock=True)
        changed = msgspec.structs.replace(one, authority=_words(authority, where="authority"))
        return self._step(
            tx,
            one,
            SuspicionState.CONVERTED,
            actor=tx.actor,
            reason=_words(reason, where="reason"),
            changes=changed,
        )

    def expire_due(self, tx: Transaction) -> int:
        """End those whose time is over; how many."""
        ended = store.ending(tx.connection, now=tx.now, limit=SUSPICIONS_PER_RUN_MAX)
        for one in ended:
            self._step(tx, one, SuspicionState.EXPIRED, actor=SYSTEM, reason=NO_EVIDENCE)
        return len(ended)

    def _step(
        self,
        tx: Transaction,
        one: Suspicion,
        after: SuspicionState,
        *,
        actor: Actor,
        reason: str,
        changes: Suspicion | None = None,
    ) -> Suspicion:
        check_step(one.state, after, actor=actor)
        changed = msgspec.structs.replace(changes or one, state=after)
        if after is not SuspicionState.EXTENDED:
            changed = msgspec.structs.replace(changed, ended_at=tx.now, end_reason=reason)
        store.save(tx.connection, changed)
        tx.journal(
            action=f"holds.suspicion.{after.value}",
            subject=one.id,
            before=SuspicionMark.of(one),
            after=SuspicionMark.of(changed),
            reason=reason,
            authority=changed.authority or one.rule,
        )
        if actor.institution is None:
            self._notify(tx, changed, reason=reason)
        return self._shown(tx, [changed])[0]

    def _notify(self, tx: Transaction, one: Suspicion, *, reason: str) -> None:
        """Tell the institution, which did not do it itself; nothing in shadow."""
        if not self._is_live(tx, one.institution):
            return
        notice = SuspicionNotice(
            suspicion=one.id,
            institution=one.institution,
            account=one.account,
            amount_minor=one.amount_minor,
            currency=one.currency,
            state=one.state,
            ends_at=one.ends_at,
            reason=reason,
            at=tx.now,
        )
        message = NewMessage(
            institution=one.institution,
            kind=NOTICE,
            subject=one.id,
            body=notice,
            answer_by=max(one.ends_at, tx.now),
        )
        self._outbox.enqueue_many(tx, [message])

    def _found(self, tx: Transaction, suspicion_id: str, *, lock: bool) -> Suspicion:
        one = store.get(tx.connection, suspicion_id, lock=lock)
        bound = {Role.LIAISON, Role.MACHINE} & tx.actor.roles
        own = one is not None and one.institution == tx.actor.institution
        if one is None or (bound and not own):
            raise NoSuchSuspicion(suspicion_id[:64])
        return one

    @staticmethod
    def _shown(tx: Transaction, found: Sequence[Suspicion]) -> Sequence[Suspicion]:
        """Each with the cases that have an order on its account."""
        cases = store.cases_on(tx.connection, found) if found else {}
        return [msgspec.structs.replace(one, cases=cases.get(one.id, [])) for one in found]


def _words(text: str, *, where: str) -> str:
    if len(text.strip()) < REASON_CHARACTERS_MIN or "\x00" in text:
        raise BadInput("words are needed that a person can read", where=where)
    return text.strip()
