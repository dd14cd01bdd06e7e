"""Holds: the verbs that delay telling a holder, and that tell them after all.

Doubt favours the holder: who looks like honest commerce is told at once, whatever was agreed. Never
delays what was told, and ends by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from openaoc.cases.model import UNDER_WORK
from openaoc.cases.service import Cases
from openaoc.holds import delay_store, store
from openaoc.holds.book import OrderBook
from openaoc.holds.delay_model import (
    DELAY_LONGEST,
    DELAYS_SHOWN_MAX,
    DelayList,
    DelayMark,
    DelayState,
    NewDelay,
    NoSuchDelay,
    NoticeDelay,
    OneDelayAtATime,
    WrongDelayState,
)
from openaoc.holds.lock import hold_matter, join_matter
from openaoc.holds.model import ENDED, NotYours, OrderView, SamePerson
from openaoc.holds.record import OrderRecord
from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.errors import BadInput
from openaoc.kernel.ids import random_text
from openaoc.parties.permissions import Permission, require
from openaoc.storage.unit_of_work import Transaction

DELAYS_PER_RUN_MAX: Final = 100
ID_CHARACTERS: Final = 16


class NoticeDelays:
    """The verbs of delays. One instance per centre."""

    def __init__(self, book: OrderBook, *, cases: Cases) -> None:
        self._book = book
        self._cases = cases

    # What persons do.

    def propose(self, tx: Transaction, case_id: str, new: NewDelay) -> NoticeDelay:
        """Say why and until when the holders of a case's further orders should not be told.

        Nothing changes before a second person agrees. Raises BadInput for a time that is over or
        beyond DELAY_LONGEST, WrongDelayState for a case that has ended, OneDelayAtATime.
        """
        require(tx.actor, Permission.CASE_WORK)
        if not tx.now < new.until <= tx.now + DELAY_LONGEST:
            raise BadInput(f"within {DELAY_LONGEST.days} days from now", where="$.until")
        _check_words(new.authority, where="$.authority")
        _check_words(new.reason, where="$.reason")
        join_matter(tx)
        case = self._cases.row(tx, case_id, lock=True)
        if case.state not in UNDER_WORK:
            raise WrongDelayState(f"the case is {case.state}")
        newest = delay_store.of_case(tx.connection, case.id, limit=1)
        if newest and newest[0].state is not DelayState.ENDED:
            raise OneDelayAtATime(newest[0].id)
        one = NoticeDelay(
            id="ndl_" + random_text(ID_CHARACTERS).lower(),
            case=case.id,
            state=DelayState.PROPOSED,
            until=new.until,
            authority=new.authority.strip(),
            reason=new.reason.strip(),
            proposed_by=tx.actor.id,
            proposed_at=tx.now,
        )
        delay_store.add(tx.connection, one)
        self._note(tx, None, one, action="proposed", reason=one.reason)
        return one

    def agree(self, tx: Transaction, delay_id: str, *, reason: str) -> NoticeDelay:
        """The second person agrees: orders of the case go out without a notice from now on.

        Raises NoSuchDelay, WrongDelayState, SamePerson for who proposed it.
        """
        require(tx.actor, Permission.HOLD_APPROVE)
        _check_words(reason, where="$.reason")
        hold_matter(tx)  # no order is on its way out meanwhile
        one = self._found(tx, delay_id)
        if one.state is not DelayState.PROPOSED or one.until <= tx.now:
            raise WrongDelayState(f"it is {one.state}, until {one.until.isoformat()}")
        if one.proposed_by == tx.actor.id:
            raise SamePerson("whoever proposed it cannot agree to it")
        agreed = msgspec.structs.replace(
            one, state=DelayState.IN_FORCE, agreed_by=tx.actor.id, agreed_at=tx.now
        )
        self._save(tx, one, agreed, action="agreed", reason=reason.strip())
        return agreed

    def end(self, tx: Transaction, delay_id: str, *, reason: str) -> NoticeDelay:
        """One person is enough to end it, or to take a proposal back; the holders are told now."""
        require(tx.actor, Permission.CASE_WORK)
        _check_words(reason, where="$.reason")
        hold_matter(tx)
        one = self._found(tx, delay_id)
        if one.state is DelayState.ENDED:
            raise WrongDelayState("it has ended")
        self._end(tx, one, by=tx.actor.id, reason=reason.strip())
        self._tell(tx)
        return self._found(tx, delay_id)

    def list(self, tx: Transaction, case_id: str) -> DelayList:
        """A case's delays, newest first. Raises NoSuchCase, NotYours for an institution's."""
        require(tx.actor, Permission.CASE_READ)
        if tx.actor.institution is not None:
            raise NotYours("persons of the centre alone read why a notice is delayed")
        case = self._cases.row(tx, case_id)
        found = delay_store.of_case(tx.connection, case.id, limit=DELAYS_SHOWN_MAX)
        return DelayList(delays=found)

    # What the clock does.

    def run_due(self, tx: Transaction) -> int:
        """End the delays whose time is over and tell whom nothing keeps from being told; how many.

        Needs nobody to remember it.
        """
        join_matter(tx)
        over = delay_store.over(tx.connection, now=tx.now, limit=DELAYS_PER_RUN_MAX)
        for one in over:
            self._end(tx, one, by=SYSTEM.id, reason="its time is over")
        return max(len(over), self._tell(tx))

    def _tell(self, tx: Transaction) -> int:
        due = delay_store.due(tx.connection, limit=DELAYS_PER_RUN_MAX)
        for order in store.many(tx.connection, due):
            held = order.state not in ENDED or order.applied_minor > 0
            if held:
                self._book.tell_holder(tx, order)
            tx.journal(
                action="holds.notice.told" if held else "holds.notice.not_needed",
                subject=order.id,
                reason="telling the holder was delayed",
            )
        delay_store.told(tx.connection, due, at=tx.now)
        return len(due)

    def _end(self, tx: Transaction, one: NoticeDelay, *, by: str, reason: str) -> None:
        ended = msgspec.structs.replace(
            one, state=DelayState.ENDED, ended_by=by, ended_at=tx.now, end_reason=reason
        )
        self._save(tx, one, ended, action="ended", reason=reason)

    def _found(self, tx: Transaction, delay_id: str) -> NoticeDelay:
        one = delay_store.get(tx.connection, delay_id)
        if one is None or tx.actor.institution is not None:
            raise NoSuchDelay(delay_id[:32])
        return one

    def _save(
        self, tx: Transaction, before: NoticeDelay, after: NoticeDelay, *, action: str, reason: str
    ) -> None:
        delay_store.save(tx.connection, after)
        self._note(tx, before, after, action=action, reason=reason)

    @staticmethod
    def _note(
        tx: Transaction,
        before: NoticeDelay | None,
        after: NoticeDelay,
        *,
        action: str,
        reason: str,
    ) -> None:
        tx.journal(
            action=f"holds.notice_delay.{action}",
            subject=after.id,
            before=None if before is None else _mark(before),
            after=_mark(after),
            reason=reason,
            authority=after.authority,
        )


def _check_words(text: str, *, where: str) -> None:
    if not text.strip() or "\x00" in text:
        raise BadInput("words are needed that a person can read", where=where)


def _mark(one: NoticeDelay) -> DelayMark:
    return DelayMark(case=one.case, state=one.state.value, until=one.until, authority=one.authority)


def views(tx: Transaction, orders: Sequence[OrderRecord]) -> list[OrderView]:
    """The orders with all that the centre knows of them, and whose holders are not told yet."""
    later = delay_store.waiting(tx.connection, [order.id for order in orders]) if orders else {}
    return [
        msgspec.structs.replace(order.view(), notice_delayed_until=later.get(order.id))
        for order in orders
    ]
