"""Restitution: the verbs: propose, publish, let it mature, end; and what is read of it.

Works in the caller's transaction. What others object stands in objecting.py, what is paid in
paying.py. Never decides alone: whoever proposes cannot publish.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

import msgspec

from openaoc.cases.model import UNDER_WORK
from openaoc.cases.service import CaseRow, Cases
from openaoc.channels.model import NewMessage
from openaoc.holds.book import Outbox
from openaoc.holds.legal import NotConfirmed, rulebook
from openaoc.holds.lock import join_matter
from openaoc.holds.model import HOLDING, OrderState
from openaoc.holds.record import OrderRecord
from openaoc.holds.service import Holds
from openaoc.kernel.actor import SYSTEM, Actor, Role
from openaoc.kernel.errors import BadInput, TooLarge
from openaoc.kernel.events import Event
from openaoc.kernel.ids import random_text
from openaoc.kernel.limits import PAGE_MAX
from openaoc.ledger.model import Transfer
from openaoc.parties.permissions import Permission, require
from openaoc.restitution import store
from openaoc.restitution.model import (
    LINES_MAX,
    OPEN,
    Line,
    LineState,
    NoSuchRestitution,
    NothingToReturn,
    OneAtATime,
    OtherPerson,
    PayableNotice,
    PublishedLines,
    Restitution,
    RestitutionMark,
    RestitutionPage,
    RestitutionState,
    ReturnedFigures,
    WrongRestitutionStep,
    check_step,
)
from openaoc.restitution.shares import Held, Payee, propose_lines, replaced, shrunk, within
from openaoc.storage.unit_of_work import Transaction

NOTICE: Final = "restitution.payable"
REASON_CHARACTERS_MIN: Final = 3
MATURING_PER_RUN_MAX: Final = 50
RETURNABLE: Final = HOLDING | {OrderState.CONVERTED}
"""Our hold stands, or a court's or authority's measure in its place."""


class LedgerNames(Protocol):
    """What is needed of the ledger: which transfer an origin or a payment is."""

    def find(self, *, reported_by: str, transfer_id: str) -> int | None:
        """The row of a transfer, by reporter and id."""
        ...

    def transfer(self, row: int) -> Transfer:
        """The transfer in a row."""
        ...


class Restitutions:
    """The verbs of restitution. One instance per centre."""

    def __init__(
        self,
        *,
        cases: Cases,
        holds: Holds,
        ledger: LedgerNames,
        outbox: Outbox,
        is_live: Callable[[Transaction, str], bool],
    ) -> None:
        """`is_live(tx, institution)`: whether messages to it are sent."""
        self.cases = cases
        self.holds = holds
        self.ledger = ledger
        self._outbox = outbox
        self._is_live = is_live

    # What persons do.

    def propose(self, tx: Transaction, case_id: str) -> Restitution:
        """Who would get what from what is held for the case now.

        Raises NoSuchCase, WrongRestitutionStep for a case that is not under work, OneAtATime,
        NothingToReturn.
        """
        require(tx.actor, Permission.RESTITUTION_WORK)
        join_matter(tx)
        held = self._held(tx, case_id)  # orders before their case, as answers take them
        case = self.cases.row(tx, case_id, lock=True)
        if case.state not in UNDER_WORK:
            raise WrongRestitutionStep(f"a case that is {case.state} returns nothing")
        earlier = store.open_of(tx.connection, case_id)
        if earlier is not None:
            raise OneAtATime(earlier)
        restitution_id = "rst_" + random_text(20).lower()
        lines = propose_lines(
            restitution_id,
            held,
            self._payees(tx, case),
            currency=case.currency,
        )
        if not lines:
            raise NothingToReturn("nothing is held for this case, or all of its loss came back")
        if len(lines) > LINES_MAX:
            raise TooLarge(f"{len(lines)} payments, at most {LINES_MAX}")
        one = Restitution(
            id=restitution_id,
            case=case_id,
            jurisdiction=case.jurisdiction,
            currency=case.currency,
            trace_rule=case.rule,
            state=RestitutionState.PROPOSED,
            proposed_by=tx.actor.id,
            proposed_at=tx.now,
            lines=lines,
        )
        store.add(tx.connection, one)
        tx.journal(
            action="restitution.restitution.proposed",
            subject=one.id,
            after=RestitutionMark.of(one),
            authority=f"trace of {case_id} by {case.rule}",
        )
        return self.found(tx, one.id, lock=False)

    def publish(self, tx: Transaction, restitution_id: str) -> Restitution:
        """A second person agrees; from now on third parties may object, as long as law says.

        Raises OtherPerson for who proposed it, NotConfirmed while the jurisdiction's rule for it
        is not, NothingToReturn when nothing is held any more.
        """
        require(tx.actor, Permission.RESTITUTION_DECIDE)
        one = self.locked(tx, restitution_id)
        check_step(one.state, RestitutionState.PUBLISHED, actor=tx.actor)
        if one.proposed_by == tx.actor.id:
            raise OtherPerson("who proposed it cannot publish it")
        rule = rulebook(one.jurisdiction).restitution
        if not rule.confirmed:
            raise NotConfirmed(f"how {one.jurisdiction} returns money: {rule.source}")
        now = self.capped(tx, one)
        if not now.open_minor:
            raise NothingToReturn("nothing is held any more; end it")
        return self.step(
            tx,
            one,
            RestitutionState.PUBLISHED,
            actor=tx.actor,
            reason=f"objections for {rule.objection_days} days",
            authority=rule.source,
            changes=msgspec.structs.replace(
                now,
                published_by=tx.actor.id,
                published_at=tx.now,
                objections_until=tx.now + rule.objection_time,
            ),
        )

    def end(self, tx: Transaction, restitution_id: str, *, reason: str) -> Restitution:
        """No ground is left: what is not paid is not paid; what is paid stays so."""
        require(tx.actor, Permission.RESTITUTION_DECIDE)
        if len(reason.strip()) < REASON_CHARACTERS_MIN:
            raise BadInput("words are needed that a person can read", where="reason")
        return self._end(tx, self.locked(tx, restitution_id), actor=tx.actor, reason=reason)

    # What the clock and other stages do.

    def mature_due(self, tx: Transaction) -> int:
        """Make payable whatever nobody objects to any more; how many were looked at.

        Amounts shrink to what is held at that moment; with nothing left it ends.
        """
        join_matter(tx)
        due = store.maturing(tx.connection, now=tx.now, limit=MATURING_PER_RUN_MAX)
        for restitution_id in due:
            one = self.locked(tx, restitution_id)
            if one.state not in (RestitutionState.PUBLISHED, RestitutionState.DECIDED):
                continue
            now = self.capped(tx, one)
            if not now.open_minor:
                self._end(tx, now, actor=SYSTEM, reason="nothing is held any more")
                continue
            payable = self.step(
                tx,
                one,
                RestitutionState.PAYABLE,
                actor=SYSTEM,
                reason="the time to object is over",
                changes=msgspec.structs.replace(now, payable_at=tx.now),
            )
            self._tell(tx, payable)
        return len(due)

    def end_of_case(self, tx: Transaction, case_id: str, *, reason: str) -> None:
        """The case was dropped: so is what would have been paid for it."""
        found = store.open_of(tx.connection, case_id)
        if found is not None:
            self._end(tx, self.locked(tx, found), actor=SYSTEM, reason=reason)

    def open_of(self, tx: Transaction, case_id: str) -> str | None:
        """The case's restitution that has not ended, by id."""
        return store.open_of(tx.connection, case_id)

    # What is read.

    def show(self, tx: Transaction, restitution_id: str) -> Restitution:
        """One; an institution sees its own payments, once published. Raises NoSuchRestitution."""
        require(tx.actor, Permission.RESTITUTION_READ)
        return self.found(tx, restitution_id, lock=False)

    def list(
        self,
        tx: Transaction,
        *,
        case: str | None = None,
        state: RestitutionState | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> RestitutionPage:
        """A page, newest first; for an institution's people those with payments of theirs."""
        require(tx.actor, Permission.RESTITUTION_READ)
        if not 1 <= limit <= PAGE_MAX:
            raise BadInput(f"between 1 and {PAGE_MAX}", where="limit")
        if cursor is not None and not (cursor.isascii() and cursor.isdigit()):
            raise BadInput("not a cursor of this list", where="cursor")
        bound = tx.actor.institution is not None or {Role.LIAISON, Role.MACHINE} & tx.actor.roles
        rows = store.page(
            tx.connection,
            case=case,
            institution=(tx.actor.institution or "") if bound else None,
            state=state,
            before=None if cursor is None else min(int(cursor), 2**62),
            limit=limit + 1,
        )
        return RestitutionPage(
            restitutions=rows[:limit],
            cursor=str(rows[limit - 1].sequence) if len(rows) > limit else None,
        )

    def published(self, tx: Transaction) -> PublishedLines:
        """What anybody may see and object to: no case, no person, the end of an account."""
        return PublishedLines(lines=store.published(tx.connection, now=tx.now))

    def returned(self, tx: Transaction) -> ReturnedFigures:
        """Returned ÷ held, by jurisdiction and currency."""
        require(tx.actor, Permission.STATUS_READ)
        return ReturnedFigures(at=tx.now, jurisdictions=store.returned(tx.connection))

    # What the verbs here, in objecting.py and in paying.py share.

    def locked(self, tx: Transaction, restitution_id: str) -> Restitution:
        """The restitution, locked after the matter is joined. Raises NoSuchRestitution."""
        join_matter(tx)
        return self.found(tx, restitution_id, lock=True)

    def found(self, tx: Transaction, restitution_id: str, *, lock: bool) -> Restitution:
        """The restitution as its reader may see it. Raises NoSuchRestitution."""
        one = store.get(tx.connection, restitution_id, lock=lock)
        bound = tx.actor.institution is not None or {Role.LIAISON, Role.MACHINE} & tx.actor.roles
        if one is None or (bound and (one.published_at is None or not one.lines)):
            raise NoSuchRestitution(restitution_id[:64])
        return one

    def capped(self, tx: Transaction, one: Restitution) -> Restitution:
        """Its lines brought down to what their orders hold now, and saved."""
        held = {item.order: item.amount_minor for item in self._held(tx, one.case)}
        changed = within(one.lines, held)
        store.save_lines(tx.connection, changed)
        return msgspec.structs.replace(one, lines=replaced(one.lines, changed))

    def step(
        self,
        tx: Transaction,
        one: Restitution,
        after: RestitutionState,
        *,
        actor: Actor,
        reason: str,
        authority: str = "",
        changes: Restitution | None = None,
    ) -> Restitution:
        """Take it to another state by the one transition table; saved, journalled, told."""
        step = check_step(one.state, after, actor=actor)
        changed = msgspec.structs.replace(changes or one, state=after)
        if after not in OPEN:
            changed = msgspec.structs.replace(changed, ended_at=tx.now, end_reason=reason)
        store.save(tx.connection, changed)
        self.journal(tx, one, changed, verb=after.value, reason=reason, authority=authority)
        tx.emit(
            Event(
                name=f"restitution.restitution.{after.value}",
                subject=one.id,
                at=tx.now,
                facts={"case": one.case, "verb": step.verb, "open_minor": changed.open_minor},
            )
        )
        return changed

    @staticmethod
    def journal(
        tx: Transaction,
        before: Restitution,
        after: Restitution,
        *,
        verb: str,
        reason: str,
        authority: str = "",
    ) -> None:
        """A row of what changed, in sums."""
        tx.journal(
            action=f"restitution.restitution.{verb}",
            subject=after.id,
            before=RestitutionMark.of(before),
            after=RestitutionMark.of(after),
            reason=reason,
            authority=authority,
        )

    def _end(self, tx: Transaction, one: Restitution, *, actor: Actor, reason: str) -> Restitution:
        dropped = [shrunk(line, to_minor=0) for line in one.lines if line.state is LineState.OPEN]
        store.save_lines(tx.connection, dropped)
        return self.step(
            tx,
            one,
            RestitutionState.ENDED,
            actor=actor,
            reason=reason,
            changes=msgspec.structs.replace(one, lines=replaced(one.lines, dropped)),
        )

    def _held(self, tx: Transaction, case_id: str) -> Sequence[Held]:
        """What the case's orders hold now, locked; oldest order first."""
        orders = self.holds.orders_of(tx, [case_id])
        return [
            Held(
                order=order.id,
                institution=order.institution,
                account=order.account,
                amount_minor=order.held_minor,
            )
            for order in sorted(orders, key=lambda order: order.sequence)
            if returnable(order)
        ]

    def _payees(self, tx: Transaction, case: CaseRow) -> Sequence[Payee]:
        """The accounts the loss was paid from, in order of filing, and what each is still owed."""
        owed: dict[tuple[str, str], int] = {}
        for _, claim in self.cases.claims_of(tx, case.id):
            row = self.ledger.find(reported_by=claim.reported_by, transfer_id=claim.transfer_id)
            if row is None:
                continue  # its transfer is not in the ledger: nothing was traced from it
            origin = self.ledger.transfer(row)
            lost = min(claim.amount_minor or origin.amount_minor, origin.amount_minor)
            payee = (origin.debtor.bank, origin.debtor.account)
            owed[payee] = owed.get(payee, 0) + lost
        for payee, paid in store.paid_before(tx.connection, case.id).items():
            owed[payee] = max(owed.get(payee, 0) - paid, 0)
        return [
            Payee(bank=bank, account=account, owed_minor=amount)
            for (bank, account), amount in owed.items()
        ]

    def _tell(self, tx: Transaction, one: Restitution) -> None:
        """Each live institution learns that payments of its accounts wait for it."""
        by_institution: dict[str, list[Line]] = {}
        for line in one.lines:
            if line.open_minor:
                by_institution.setdefault(line.institution, []).append(line)
        messages = [
            NewMessage(
                institution=institution,
                kind=NOTICE,
                subject=one.id,
                body=PayableNotice(
                    restitution=one.id,
                    case=one.case,
                    institution=institution,
                    payments=len(lines),
                    total_minor=sum(line.open_minor for line in lines),
                    currency=one.currency,
                    at=tx.now,
                ),
                answer_by=tx.now,
            )
            for institution, lines in sorted(by_institution.items())
            if self._is_live(tx, institution)
        ]
        self._outbox.enqueue_many(tx, messages)


def returnable(order: OrderRecord) -> bool:
    """Whether money is held under the order that may be given back."""
    return order.mode == "live" and order.state in RETURNABLE and order.held_minor > 0
