"""Joint operations: the verbs of people: open, approve, accept, leave, close, record, look.

Works in the caller's transaction. What others get of it goes through the rule of release, in
telling.py.
"""

from __future__ import annotations

from typing import Final

import msgspec

from openaoc.exchange.line import Agreed
from openaoc.exchange.model import NoAgreement, SecondPerson
from openaoc.exchange.objects import ObjectKind, new_object_id
from openaoc.exchange.operations import store
from openaoc.exchange.operations.model import (
    CHANGED,
    ENTRIES_MAX,
    OPERATIONS_MAX,
    SHARED_FIELDS,
    Act,
    ActSaid,
    Entry,
    MemberState,
    NewEntry,
    NewOperation,
    NoSuchOperation,
    Operation,
    OperationList,
    OperationMark,
    OperationState,
    OperationView,
    WrongOperationStep,
    check_step,
)
from openaoc.exchange.operations.results import in_order, results
from openaoc.exchange.operations.wire import digest_of, terms_of
from openaoc.kernel.actor import Actor, Role
from openaoc.kernel.errors import BadInput, Conflict
from openaoc.kernel.events import Event
from openaoc.kernel.money import check_currency
from openaoc.kernel.paging import FIRST, Asked, Place
from openaoc.parties.permissions import Permission, require
from openaoc.storage.unit_of_work import Transaction

STAFF: Final = frozenset(
    {
        Role.INVESTIGATOR.value,
        Role.SUPERVISOR.value,
        Role.DATA_PROTECTION_OFFICER.value,
        Role.OVERSIGHT.value,
    }
)


class Operations:
    """The verbs of joint operations. One instance per centre."""

    def __init__(self, *, agreed: Agreed, name: str) -> None:
        """`name`: the code under which partners know this centre."""
        self._agreed = agreed
        self.name = name

    def open(self, tx: Transaction, new: NewOperation) -> Operation:
        """Draft an operation as its lead; two persons approve it before anybody hears of it.

        Raises NotPermitted, NoAgreement where a partner's agreement does not grant operations or
        a purpose, BadInput for what cannot be agreed on, Conflict for too many.
        """
        require(tx.actor, Permission.OPERATION_DECIDE)
        if not tx.now < new.ends_at or not new.starts_at < new.ends_at:
            raise BadInput("is over, or before it begins", where="ends_at")
        for place, name in enumerate(new.shares):
            if name not in SHARED_FIELDS:
                raise BadInput(f"one of {', '.join(SHARED_FIELDS)}", where=f"shares[{place}]")
        if "amount_minor" in new.shares and "currency" not in new.shares:
            raise BadInput("an amount needs its currency", where="shares")
        for place, role in enumerate(new.seen_by):
            if role not in STAFF:
                raise BadInput(f"one of {', '.join(sorted(STAFF))}", where=f"seen_by[{place}]")
        for place, partner in enumerate(new.partners):
            self._check_partner(tx, partner, new, where=f"partners[{place}]")
        if store.count(tx.connection) >= OPERATIONS_MAX:
            raise Conflict(f"at most {OPERATIONS_MAX} operations")
        one = Operation(
            id=new_object_id(ObjectKind.OPERATION),
            name=new.name,
            lead=self.name,
            members=tuple(sorted({self.name, *new.partners})),
            purposes=tuple(dict.fromkeys(new.purposes)),
            shares=tuple(sorted(set(new.shares))),
            seen_by=tuple(sorted(set(new.seen_by))),
            starts_at=new.starts_at.replace(microsecond=0),
            ends_at=new.ends_at.replace(microsecond=0),
            digest="",
            state=OperationState.DRAFTED,
            voices=(),
            opened_at=tx.now,
            changed_at=tx.now,
        )
        one = msgspec.structs.replace(one, digest=digest_of(terms_of(one)))
        store.add(tx.connection, one)
        for partner in new.partners:
            store.set_member(tx.connection, one.id, partner, state=MemberState.ASKED)
        journal(tx, one, action="exchange.operation.opened")
        return one

    def _check_partner(
        self, tx: Transaction, partner: str, new: NewOperation, *, where: str
    ) -> None:
        for kind in (ObjectKind.OPERATION, ObjectKind.OPERATION_ENTRY):
            self._agreed.grant(tx, partner, kind)
        for purpose in new.purposes:
            if self._agreed.purpose(tx, partner, [purpose]) is not purpose:
                raise NoAgreement(purpose.value, where=where)

    def act(self, tx: Transaction, operation_id: str, said: ActSaid) -> Operation:
        """A person's word; a step that needs two is taken with the second.

        Raises NotPermitted, NoSuchOperation, WrongOperationStep, SecondPerson.
        """
        require(tx.actor, Permission.OPERATION_DECIDE)
        before = self.found(tx, operation_id, lock=True)
        step = check_step(before.state, said.act)
        if said.act is Act.CLOSE and before.lead != self.name:
            raise WrongOperationStep("the lead closes it; leave it instead")
        word = f"{said.act.value}:{tx.actor.id}"
        if word in before.voices:
            raise SecondPerson("whoever said so already cannot be the second person")
        voices = [one for one in before.voices if one.startswith(f"{said.act.value}:")]
        if len(voices) + 1 < step.persons:
            after = msgspec.structs.replace(before, voices=(*voices, word), changed_at=tx.now)
        else:
            after = msgspec.structs.replace(
                before, state=step.after, voices=(), reason=said.reason, changed_at=tx.now
            )
        store.save(tx.connection, after)
        journal(
            tx,
            after,
            action=f"exchange.operation.{said.act.value}",
            voices=(*voices, word),
            reason=said.reason,
        )
        tx.emit(Event(name=CHANGED, subject=after.id, at=tx.now, facts={}))
        return after

    def record(self, tx: Transaction, operation_id: str, new: NewEntry) -> Entry:
        """An entry of ours on the timeline; partners get of it what may leave.

        Raises NotPermitted, NoSuchOperation, WrongOperationStep unless it is under way, Conflict
        for too many, BadInput.
        """
        require(tx.actor, Permission.OPERATION_WORK)
        operation = self.found(tx, operation_id, lock=True)
        if operation.state is not OperationState.ACTIVE or tx.now >= operation.ends_at:
            raise WrongOperationStep("it is not under way")
        if new.at > tx.now:
            raise BadInput("is in the future", where="at")
        if bool(new.amount_minor) and not new.currency:
            raise BadInput("an amount needs its currency", where="currency")
        known = [one for one, _ in store.entries_of(tx.connection, operation.id)]
        if len(known) >= ENTRIES_MAX:
            raise Conflict(f"at most {ENTRIES_MAX} entries")
        mine = {one.id for one in known if one.origin == self.name}
        if new.corrects is not None and new.corrects not in mine:
            raise BadInput("no entry of ours", where="corrects")
        one = Entry(
            id=new_object_id(ObjectKind.OPERATION_ENTRY),
            origin=self.name,
            action=new.action,
            at=new.at,
            text=new.text,
            count=new.count,
            amount_minor=new.amount_minor,
            currency=check_currency(new.currency) if new.currency else "",
            case=new.case,
            corrects=new.corrects,
            recorded_by=tx.actor.id,
        )
        store.add_entry(tx.connection, operation.id, one, message=None)
        journal(tx, operation, action="exchange.operation.recorded", entry=one)
        tx.emit(Event(name=CHANGED, subject=operation.id, at=tx.now, facts={}))
        return one

    def list(self, tx: Transaction, asked: Asked = FIRST) -> OperationList:
        """A page of those that this person may see, newest first. Raises NotPermitted, BadInput."""
        require(tx.actor, Permission.OPERATION_READ)
        rows = store.newest(tx.connection, asked.place)
        seen = [one for one in rows if _sees(tx.actor, one)]
        shown, more = asked.cut(seen, lambda one: Place(one.opened_at, one.id).cursor())
        return OperationList(operations=shown, cursor=more)

    def show(self, tx: Transaction, operation_id: str) -> OperationView:
        """One with members, timeline and results. Raises NotPermitted, NoSuchOperation."""
        require(tx.actor, Permission.OPERATION_READ)
        one = self.found(tx, operation_id)
        known = (entry for entry, _ in store.entries_of(tx.connection, one.id))
        entries = [entry for entry in known if not entry.taken_back]
        return OperationView(
            operation=one,
            members=store.members_of(tx.connection, one.id),
            timeline=in_order(entries),
            results=results(entries),
        )

    def found(self, tx: Transaction, operation_id: str, *, lock: bool = False) -> Operation:
        """One that this person may see. Raises NoSuchOperation."""
        one = store.find(tx.connection, operation_id, lock=lock)
        if one is None or not _sees(tx.actor, one):
            raise NoSuchOperation(operation_id[:80])
        return one


def _sees(actor: Actor, one: Operation) -> bool:
    return actor.has(Role.SYSTEM) or any(role.value in one.seen_by for role in actor.roles)


def journal(
    tx: Transaction,
    one: Operation,
    *,
    action: str,
    entry: Entry | None = None,
    voices: tuple[str, ...] = (),
    reason: str = "",
    authority: str = "",
) -> None:
    """The change in the journal: no text of it."""
    mark = OperationMark(
        state=one.state.value,
        digest=one.digest,
        members=one.members,
        entry="" if entry is None else entry.id,
        action="" if entry is None else entry.action.value,
        voices=voices,
    )
    tx.journal(action=action, subject=one.id, after=mark, reason=reason, authority=authority)
