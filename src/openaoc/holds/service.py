"""Holds: the stage's verbs: what persons, institutions and the clock do with an order.

Every verb works in the caller's transaction: permission, load and lock, rule, save, journal,
message, event. Never traces: workflow/ plans and calls `issue`, `settle_excess` and `lower`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from openaoc.cases.model import BankCase
from openaoc.cases.service import CaseRow, Cases
from openaoc.holds import store
from openaoc.holds.answers import ANSWERS_TOGETHER_MAX, Desk, Given, addressed
from openaoc.holds.book import RELEASE, OrderBook, Outbox
from openaoc.holds.codes import Codes
from openaoc.holds.complaining import Complaint, follow_complaint
from openaoc.holds.delaying import NoticeDelays, views
from openaoc.holds.drafting import issued_now
from openaoc.holds.legal import LegalRule, rulebook
from openaoc.holds.lock import hold_matter, join_matter
from openaoc.holds.measures import extend_by_measure
from openaoc.holds.model import (
    HOLDING,
    Answer,
    NoSuchOrder,
    NotYours,
    OrderPage,
    OrderState,
    OrderView,
    SamePerson,
    WrongTransition,
    check_transition,
)
from openaoc.holds.onward import OnwardSink
from openaoc.holds.record import MoneyEvent, OrderRecord
from openaoc.holds.trimming import (
    give_back,
    lower_unanswered,
    not_again,
    settle_excess,
    withdraw,
)
from openaoc.holds.words import ending
from openaoc.kernel.actor import SYSTEM, Actor, Role
from openaoc.kernel.errors import BadInput, OpenAOCError
from openaoc.kernel.events import Event
from openaoc.kernel.limits import PAGE_MAX
from openaoc.parties.permissions import Permission, require
from openaoc.reports.model import OrderLine
from openaoc.storage.unit_of_work import Transaction

DUE_BATCH_MAX: Final = 200
"""Orders one run of a periodic duty takes; it is run again while it takes that many."""
REASON_CHARACTERS_MIN: Final = 3


class Holds:
    """The verbs of orders. One instance per centre."""

    def __init__(
        self,
        *,
        outbox: Outbox,
        cases: Cases,
        jurisdiction: str,
        codes: Codes,
        onward: OnwardSink | None = None,
    ) -> None:
        self.codes = codes
        self.book = OrderBook(outbox, codes=codes)
        self.delays = NoticeDelays(self.book, cases=cases)
        self._cases = cases
        self._rules = rulebook(jurisdiction)
        self._onward = onward
        self._refresh: Callable[[Transaction, str, OrderRecord], None] | None = None

    def refresh_with(self, retrace: Callable[[Transaction, str, OrderRecord], None]) -> None:
        """Trace a case again with this before a person's approval sends its orders.

        It is given the order as agreed to: what that asks for may take over a standing block.
        """
        self._refresh = retrace

    def rule_of(self, order: OrderRecord) -> LegalRule:
        """The legal rule the order stands under now."""
        return self._rules.named(order.rule, on=order.issued_at.date())

    # What is read.

    def list(
        self,
        tx: Transaction,
        *,
        case: str | None = None,
        institution: str | None = None,
        state: OrderState | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> OrderPage:
        """A page of orders, newest first; an institution's own only for its people."""
        require(tx.actor, Permission.HOLD_READ)
        if not 1 <= limit <= PAGE_MAX:
            raise BadInput(f"between 1 and {PAGE_MAX}", where="limit")
        rows = store.page(
            tx.connection,
            case=case,
            institution=tx.actor.institution or institution,
            state=state,
            before=_place(cursor),
            limit=limit + 1,
        )
        more = len(rows) > limit
        shown = rows[:limit]
        return OrderPage(
            orders=views(tx, shown),
            cursor=str(shown[-1].sequence) if more else None,
        )

    def unanswered(self, tx: Transaction, institution: str, *, limit: int) -> Sequence[OrderView]:
        """Orders that the institution has not answered, or has to confirm; the oldest first."""
        require(tx.actor, Permission.HOLD_READ)
        found = store.unanswered(tx.connection, tx.actor.institution or institution, limit=limit)
        return [order.view() for order in found]

    def show(self, tx: Transaction, order_id: str) -> OrderView:
        """One order. Raises NoSuchOrder, also for another institution's."""
        require(tx.actor, Permission.HOLD_READ)
        [view] = views(tx, [self._found(tx, order_id, actor=tx.actor, lock=False)])
        return view

    def lines(self, tx: Transaction, case_id: str) -> Sequence[OrderLine]:
        """A case's orders in short, in order of writing."""
        found = store.of_cases(tx.connection, [case_id])
        return [o.line() for o in sorted(found, key=lambda o: o.sequence)]

    def lines_for(self, tx: Transaction, case_id: str, *, institution: str) -> Sequence[OrderLine]:
        """A case's sent orders at one institution, in short."""
        found = store.of_cases(tx.connection, [case_id])
        return [
            o.line() for o in sorted(found, key=lambda o: o.sequence) if addressed(o, institution)
        ]

    def bank_cases(self, tx: Transaction, case_id: str) -> Sequence[BankCase]:
        """The institutions' own numbers for the case, from their answers."""
        return store.bank_cases(tx.connection, case_id)

    def complaint_time(self, case: CaseRow) -> timedelta | None:
        """How long from the case's opening the victim has to complain; None where nothing waits."""
        rule = self._rules.named(self._rules.default, on=case.opened_at.date())
        return None if rule.extends_to is None else rule.longest

    # What institutions do.

    def acknowledge(self, tx: Transaction, order_ids: Sequence[str]) -> int:
        """The institution has these orders in its own store; how many were new to it."""
        join_matter(tx)
        return self.book.step_all(
            tx,
            store.issued(tx.connection, order_ids),
            OrderState.ACKNOWLEDGED,
            actor=SYSTEM,
            reason="delivered",
        )

    def answer(
        self, tx: Transaction, order_id: str, answer: Answer, actor: Actor | None = None
    ) -> OrderView:
        """What an institution answers; the order as it stands then.

        The same answer again changes nothing. Raises NoSuchOrder for an order that is not the
        actor's institution's, MoreThanOrdered, AnsweredDifferently, BadInput.
        """
        [order] = self.answer_many(tx, [Given(order=order_id, answer=answer)], actor)
        if isinstance(order, OpenAOCError):
            raise order
        return order.view()

    def answer_many(
        self, tx: Transaction, given: Sequence[Given], actor: Actor | None = None
    ) -> Sequence[OrderRecord | OpenAOCError]:
        """As `answer` for each of them in this order, in a few statements for all.

        For each the order as it stands then, or what refuses this answer and no other.
        """
        who = actor or tx.actor
        require(who, Permission.HOLD_ANSWER)
        if who.institution is None:
            raise NotYours("only an institution answers an order")
        assert len(given) <= ANSWERS_TOGETHER_MAX, "the caller takes them in parts"
        join_matter(tx)
        desk = Desk(tx, given, who=who, book=self.book, onward=self._onward)
        results = [desk.result(one) for one in given]
        desk.keep()
        for one, order in desk.new:
            self._emit(tx, "holds.order.answered", order, outcome=one.answer.outcome)
        cases = {order.case_id for _, order in desk.new}
        self._cases.mark_due(tx, sorted(cases), at=tx.now)
        return results

    # What persons do.

    def approve(self, tx: Transaction, order_id: str) -> OrderView:
        """One person's agreement; with as many as are needed, the order is issued.

        With the last one the case is traced among all others first, so that what goes out is
        what is there now: an order whose money is gone or another's is withdrawn instead. Raises
        SamePerson for a second agreement of one person or of who opened the case.
        """
        require(tx.actor, Permission.HOLD_APPROVE)
        hold_matter(tx)
        order = self._found(tx, order_id, actor=tx.actor, lock=True)
        check_transition(order.state, OrderState.ISSUED, actor=tx.actor)
        if tx.actor.id in order.approvals:
            raise SamePerson("another person has to agree")
        if self._cases.opened_by(tx, order.case_id) == tx.actor.id:
            raise SamePerson("who opened the case cannot approve its orders")
        agreed = msgspec.structs.replace(order, approvals=[*order.approvals, tx.actor.id])
        if len(agreed.approvals) < order.approvals_needed:
            self.book.amend(
                tx, order, agreed, action="holds.order.approved", reason="one of several"
            )
            return agreed.view()
        self._cases.approved(tx, order.case_id)
        if self._refresh is not None:
            self._refresh(tx, order.case_id, agreed)
            order = self._found(tx, order_id, actor=tx.actor, lock=True)
            if order.state is not OrderState.DRAFTED:
                return order.view()
            agreed = msgspec.structs.replace(order, approvals=agreed.approvals)
        fresh = issued_now(agreed, self.rule_of(order), now=tx.now)
        if fresh.ends_at <= tx.now:
            raise WrongTransition("the time of this order is over")
        issued = self.book.step(
            tx, order, OrderState.ISSUED, actor=tx.actor, reason="approved", changes=fresh
        )
        self.book.send(tx, issued, first=True)
        return issued.view()

    def release(
        self, tx: Transaction, order_id: str, reason: str, *, amount_minor: int | None = None
    ) -> OrderView:
        """Give held money back, all of it by default. One person is enough.

        An institution may release its own. Raises WrongTransition when nothing is held.
        """
        require(tx.actor, Permission.HOLD_RELEASE)
        _check_reason(reason)
        join_matter(tx)
        order = self._found(tx, order_id, actor=tx.actor, lock=True)
        check_transition(order.state, OrderState.RELEASED, actor=tx.actor)
        amount = order.held_minor if amount_minor is None else amount_minor
        if not 0 < amount <= order.held_minor:
            raise BadInput(f"between 1 and {order.held_minor}", where="amount_minor")
        changed = give_back(
            tx, self.book, order, amount_minor=amount, kind="released", reason=reason
        )
        self._cases.mark_due(tx, [order.case_id], at=tx.now)
        return changed.view()

    def withdraw(self, tx: Transaction, order_id: str, reason: str) -> OrderView:
        """Take back an order nobody has answered yet."""
        require(tx.actor, Permission.HOLD_WITHDRAW)
        _check_reason(reason)
        join_matter(tx)
        order = self._found(tx, order_id, actor=tx.actor, lock=True)
        changed = withdraw(tx, self.book, order, kind="withdrawn", reason=reason)
        self._cases.stop_automatic(tx, order.case_id, why=f"an order was withdrawn: {reason}")
        return changed.view()

    def end_all(self, tx: Transaction, case_id: str, reason: str) -> int:
        """End every order of a case: withdraw what waits, release what is held; how many."""
        require(tx.actor, Permission.HOLD_RELEASE)
        require(tx.actor, Permission.HOLD_WITHDRAW)
        _check_reason(reason)
        join_matter(tx)
        active = [o for o in store.of_cases(tx.connection, [case_id], lock=True) if o.active_minor]
        for order in active:
            if order.state in HOLDING:
                give_back(
                    tx,
                    self.book,
                    order,
                    amount_minor=order.held_minor,
                    kind="released",
                    reason=reason,
                )
            else:
                withdraw(tx, self.book, order, kind="withdrawn", reason=reason)
        return len(active)

    def convert(self, tx: Transaction, order_id: str, *, authority: str, reason: str) -> OrderView:
        """A court's or authority's measure takes the hold's place: our hold ends, theirs stands.

        `authority` names the measure (court, number, date).
        """
        require(tx.actor, Permission.HOLD_APPROVE)
        _check_reason(reason)
        _check_reason(authority, where="authority")
        join_matter(tx)
        order = self._found(tx, order_id, actor=tx.actor, lock=True)
        return self.book.step(
            tx,
            order,
            OrderState.CONVERTED,
            actor=tx.actor,
            reason=reason,
            authority=authority,
        ).view()

    def extend(
        self, tx: Transaction, order_id: str, *, until: datetime, authority: str, reason: str
    ) -> OrderView:
        """A court's or authority's measure makes the hold longer; see measures.py."""
        require(tx.actor, Permission.HOLD_APPROVE)
        _check_reason(reason)
        _check_reason(authority, where="authority")
        join_matter(tx)
        order = self._found(tx, order_id, actor=tx.actor, lock=True)
        rule = self._rules.named(self._rules.measure, on=tx.now.date())
        return extend_by_measure(
            tx, self.book, order, rule=rule, until=until, authority=authority, reason=reason
        ).view()

    def complain(
        self, tx: Transaction, case_id: str, *, complained_at: datetime, reference: str
    ) -> Sequence[OrderView]:
        """The victim complained to the police: the case's holds go over to the rule for that.

        Of several complaints the earliest counts. The changed orders. Raises NotYours for a role
        the rule does not name, BadInput for a complaint in the future or so old that its time is
        over, WrongCaseTransition for a case that has ended.
        """
        require(tx.actor, Permission.CASE_WORK)
        _check_reason(reference, where="reference")
        if complained_at > tx.now:
            raise BadInput("the complaint is in the future", where="complained_at")
        join_matter(tx)
        orders = store.of_cases(tx.connection, [case_id], lock=True)  # as all do, before the case
        first = self._cases.row(tx, case_id, lock=True).complaint_at is None
        counts = self._cases.note_complaint(tx, case_id, at=complained_at, reference=reference)
        changed = follow_complaint(
            tx,
            self.book,
            orders,
            Complaint(at=counts, reference=reference, first=first),
            rules=self._rules,
            rule_of=self.rule_of,
        )
        return [order.view() for order in changed]

    # What the clock does.

    def expire_due(self, tx: Transaction) -> int:
        """End every order whose time is over; how many. Needs nobody to remember it."""
        join_matter(tx)
        ended = store.ending(tx.connection, now=tx.now, limit=DUE_BATCH_MAX)
        words = ending("expired")
        for order in ended:
            held = order.held_minor if order.state in HOLDING else 0
            freed = not_again(
                msgspec.structs.replace(order, held_minor=0),
                amount_minor=held or order.amount_minor,
            )
            done = self.book.step(
                tx, order, OrderState.EXPIRED, actor=SYSTEM, reason=words.en, changes=freed
            )
            self.book.note_money(tx, done, kind="release", amount_minor=held)
            if order.state is not OrderState.DRAFTED:
                self.book.tell_end(
                    tx,
                    done,
                    kind=RELEASE,
                    amount_minor=held or order.amount_minor,
                    remaining_minor=0,
                    words=words,
                )
        self._cases.mark_due(tx, sorted({o.case_id for o in ended}), at=tx.now)
        return len(ended)

    def escalate_due(self, tx: Transaction) -> int:
        """Say once of each order that its institution has not answered in time; how many."""
        join_matter(tx)
        late = store.late(tx.connection, now=tx.now, limit=DUE_BATCH_MAX)
        for order in late:
            marked = msgspec.structs.replace(order, escalated_at=tx.now)
            self.book.amend(
                tx, order, marked, action="holds.order.escalated", reason="no answer in time"
            )
            self._emit(tx, "holds.order.escalated", marked, outcome="late")
        return len(late)

    # What workflow/ does while it holds the matter.

    def orders_of(self, tx: Transaction, case_ids: Sequence[str]) -> Sequence[OrderRecord]:
        """Every order of these cases, locked."""
        return store.of_cases(tx.connection, case_ids, lock=True)

    def asked_for(self, tx: Transaction) -> dict[str, int]:
        """By case: what its unanswered orders ask for, and what is not asked for again."""
        return store.asked_for(tx.connection)

    def active_on(
        self, tx: Transaction, places: Iterable[tuple[str, str, str]]
    ) -> dict[tuple[str, str, str], int]:
        """What all cases' sent orders take on these accounts."""
        return store.active_on(tx.connection, sorted(set(places)))

    def issue(self, tx: Transaction, fresh: Sequence[tuple[OrderRecord, str]]) -> None:
        """Write planned (order, authority) in this order: issued ones go out with the commit."""
        if fresh:
            self.book.write(tx, fresh)

    def issue_drafts(self, tx: Transaction, order_ids: Sequence[str]) -> int:
        """Send drafted orders whose case has gained standing by itself; how many.

        They stand by themselves from then on: no person answers for them, and reviews may cut them.
        """
        count = 0
        for order in store.many(tx.connection, order_ids, lock=True):
            if order.state is OrderState.DRAFTED:
                proven = msgspec.structs.replace(order, standing="automatic")
                fresh = issued_now(proven, self.rule_of(order), now=tx.now)
                issued = self.book.step(
                    tx, order, OrderState.ISSUED, actor=SYSTEM, reason="proven", changes=fresh
                )
                self.book.send(tx, issued, first=True)
                count += 1
        return count

    def lower(
        self,
        tx: Transaction,
        orders: Iterable[OrderRecord],
        *,
        excess_minor: int,
        kind: str = "moved",
    ) -> Sequence[OrderRecord]:
        """Take an amount off unanswered orders of one case on one account."""
        return lower_unanswered(
            tx, self.book, orders, excess_minor=excess_minor, rule_of=self.rule_of, kind=kind
        )

    def settle_excess(
        self, tx: Transaction, order: OrderRecord, *, amount_minor: int
    ) -> OrderRecord:
        """Give back what a hold never found of its case's money, as far as it is held still."""
        return settle_excess(tx, self.book, order, amount_minor=amount_minor)

    def explain_shortfall(self, tx: Transaction, order: OrderRecord, *, short_minor: int) -> None:
        """Note that part of what was not there has been seen to leave."""
        store.save(tx.connection, [msgspec.structs.replace(order, short_minor=short_minor)])

    def events_after(self, tx: Transaction, sequence: int) -> Sequence[MoneyEvent]:
        """What institutions did with money after a place in the list."""
        return store.events_after(tx.connection, sequence)

    def _found(self, tx: Transaction, order_id: str, *, actor: Actor, lock: bool) -> OrderRecord:
        order = store.get(tx.connection, order_id, lock=lock)
        if order is None or (
            actor.institution is not None and not addressed(order, actor.institution)
        ):
            raise NoSuchOrder(order_id[:64])
        if actor.institution is None and {Role.LIAISON, Role.MACHINE} & actor.roles:
            raise NoSuchOrder(order_id[:64])
        return order

    def _emit(self, tx: Transaction, name: str, order: OrderRecord, *, outcome: str) -> None:
        tx.emit(
            Event(
                name=name,
                subject=order.id,
                at=tx.now,
                facts={
                    "case": order.case_id,
                    "institution": order.institution,
                    "outcome": outcome,
                    "amount_minor": order.amount_minor,
                    "held_minor": order.held_minor,
                },
            )
        )


def _place(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < len(str(2**63))):
        raise BadInput("not a cursor of this list", where="cursor")
    return int(cursor)


def _check_reason(reason: str, *, where: str = "reason") -> None:
    if len(reason.strip()) < REASON_CHARACTERS_MIN:
        raise BadInput("words are needed that a person can read", where=where)
