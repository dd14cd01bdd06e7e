"""Restitution: what third parties object, and how two persons decide it.

Upheld money is not paid out; a holder's is given back at once where our hold still stands. Never
decides by itself, and never lets one person decide.
"""

from __future__ import annotations

from typing import Final

import msgspec

from openaoc.holds.model import HOLDING
from openaoc.kernel.actor import Actor, Role
from openaoc.kernel.errors import BadInput
from openaoc.parties.permissions import Permission, require
from openaoc.restitution import store
from openaoc.restitution.model import (
    OBJECTIONS_MAX,
    OPEN_TO_OBJECTION,
    LineState,
    NewObjection,
    NoSuchRestitution,
    Objection,
    ObjectionDecision,
    ObjectionState,
    OtherPerson,
    Restitution,
    RestitutionState,
    TooLateToObject,
    WrongRestitutionStep,
)
from openaoc.restitution.service import Restitutions
from openaoc.restitution.shares import replaced, share, shrunk
from openaoc.storage.unit_of_work import Transaction

RELEASE_REASON: Final = "the holder's objection to a restitution was upheld"


class Objections:
    """The verbs of objections. One instance per centre."""

    def __init__(self, restitutions: Restitutions) -> None:
        self._restitutions = restitutions

    def file(
        self, tx: Transaction, restitution_id: str, new: NewObjection, *, actor: Actor
    ) -> Restitution:
        """Somebody says the money is theirs: staff for who came to us, or the holder's bank.

        The transaction is the centre's own, on `actor`'s word. Raises NoSuchRestitution, also for
        an order that is not of it or another institution's, TooLateToObject, BadInput.
        """
        require(actor, Permission.RESTITUTION_OBJECT)
        one = self._restitutions.locked(tx, restitution_id)
        own = {line.institution for line in one.lines if line.order == new.order}
        bound = actor.institution is not None or {Role.LIAISON, Role.MACHINE} & actor.roles
        if not own or (bound and (own != {actor.institution} or one.published_at is None)):
            raise NoSuchRestitution(f"{restitution_id[:64]} pays nothing from {new.order[:64]}")
        if one.state not in OPEN_TO_OBJECTION or one.objections_until is None:
            raise TooLateToObject(f"the restitution is {one.state}")
        if one.objections_until <= tx.now:
            raise TooLateToObject(f"until {one.objections_until.isoformat()}")
        objection = self._checked(tx, one, new, actor=actor, institution=own.pop())
        store.add_objection(tx.connection, one.id, objection)
        after = msgspec.structs.replace(one, objections=[*one.objections, objection])
        if one.state is RestitutionState.OBJECTED:
            self._restitutions.journal(tx, one, after, verb="objected", reason=new.kind)
            return after
        return self._restitutions.step(
            tx, one, RestitutionState.OBJECTED, actor=actor, reason=new.kind, changes=after
        )

    def _checked(
        self,
        tx: Transaction,
        one: Restitution,
        new: NewObjection,
        *,
        actor: Actor,
        institution: str,
    ) -> Objection:
        if len(one.objections) >= OBJECTIONS_MAX:
            raise BadInput(f"at most {OBJECTIONS_MAX} objections")
        if "\x00" in new.grounds or not new.grounds.strip():
            raise BadInput("words are needed that a person can read", where="$.grounds")
        if new.rival_case is not None:
            if new.rival_case == one.case:
                raise BadInput("it is this case", where="$.rival_case")
            self._restitutions.cases.row(tx, new.rival_case)
        at_stake = sum(line.open_minor for line in one.lines if line.order == new.order)
        if not at_stake:
            raise BadInput("nothing is to be paid from it any more", where="$.order")
        claimed = at_stake if new.amount_minor is None else new.amount_minor
        if claimed > at_stake:
            raise BadInput(f"at most {at_stake}", where="$.amount_minor")
        return Objection(
            no=len(one.objections) + 1,
            order=new.order,
            institution=institution,
            kind=new.kind,
            rival_case=new.rival_case,
            claimed_minor=claimed,
            grounds=new.grounds.strip(),
            filed_by=actor.id,
            filed_at=tx.now,
        )

    def decide(
        self, tx: Transaction, restitution_id: str, no: int, decision: ObjectionDecision
    ) -> Restitution:
        """One person's decision; it stands when a second decides the same amount.

        Another amount takes the first decision's place and waits for somebody else in turn.
        Raises OtherPerson for who filed the objection, and for a second word of one person.
        """
        require(tx.actor, Permission.RESTITUTION_DECIDE)
        one = self._restitutions.locked(tx, restitution_id)
        objection = next((o for o in one.objections if o.no == no), None)
        if objection is None:
            raise NoSuchRestitution(f"{restitution_id[:64]} has no objection {no}")
        if one.state is not RestitutionState.OBJECTED:
            raise WrongRestitutionStep(f"the restitution is {one.state}")
        if objection.state is ObjectionState.DECIDED:
            raise WrongRestitutionStep("two persons have decided it")
        if objection.filed_by == tx.actor.id:
            raise OtherPerson("who filed an objection does not decide it")
        if decision.upheld_minor > objection.claimed_minor:
            raise BadInput(f"at most {objection.claimed_minor}", where="$.upheld_minor")
        if "\x00" in decision.reason or not decision.reason.strip():
            raise BadInput("words are needed that a person can read", where="$.reason")
        agreed = objection.upheld_minor == decision.upheld_minor
        if objection.proposed_by == tx.actor.id and agreed:
            raise OtherPerson("another person has to decide the same")
        if not agreed or objection.proposed_by is None:
            return self._propose(tx, one, objection, decision)
        return self._carry_out(tx, one, objection, decision)

    def _propose(
        self, tx: Transaction, one: Restitution, objection: Objection, decision: ObjectionDecision
    ) -> Restitution:
        changed = msgspec.structs.replace(
            objection,
            state=ObjectionState.PROPOSED,
            upheld_minor=decision.upheld_minor,
            decision=decision.reason,
            proposed_by=tx.actor.id,
        )
        store.save_objection(tx.connection, one.id, changed)
        after = _with(one, changed)
        self._restitutions.journal(
            tx, one, after, verb="decision_proposed", reason=f"{decision.upheld_minor} upheld"
        )
        return after

    def _carry_out(
        self, tx: Transaction, one: Restitution, objection: Objection, decision: ObjectionDecision
    ) -> Restitution:
        decided = msgspec.structs.replace(
            objection,
            state=ObjectionState.DECIDED,
            decision=decision.reason,
            decided_by=tx.actor.id,
            decided_at=tx.now,
        )
        store.save_objection(tx.connection, one.id, decided)
        after = self._less(tx, _with(one, decided), decided)
        if decided.kind == "holder" and decision.upheld_minor:
            self._give_back(tx, decided, amount_minor=decision.upheld_minor)
        reason = f"{decision.upheld_minor} upheld"
        if any(o.state is not ObjectionState.DECIDED for o in after.objections):
            self._restitutions.journal(tx, one, after, verb="objection_decided", reason=reason)
            return after
        return self._restitutions.step(
            tx, one, RestitutionState.DECIDED, actor=tx.actor, reason=reason, changes=after
        )

    @staticmethod
    def _less(tx: Transaction, one: Restitution, decided: Objection) -> Restitution:
        """Its payments from the order, less what was upheld, shared alike."""
        mine = [
            line
            for line in one.lines
            if line.order == decided.order and line.state is LineState.OPEN
        ]
        amounts = [line.amount_minor for line in mine]
        left = max(sum(amounts) - (decided.upheld_minor or 0), 0)
        changed = [
            shrunk(line, to_minor=part)
            for line, part in zip(mine, share(left, amounts), strict=True)
            if part != line.amount_minor
        ]
        store.save_lines(tx.connection, changed)
        return msgspec.structs.replace(one, lines=replaced(one.lines, changed))

    def _give_back(self, tx: Transaction, decided: Objection, *, amount_minor: int) -> None:
        """The holder's money is free at once; under another's measure it is that one's to free."""
        holds = self._restitutions.holds
        order = holds.show(tx, decided.order)
        if order.state in HOLDING and order.held_minor:
            holds.release(
                tx,
                decided.order,
                RELEASE_REASON,
                amount_minor=min(amount_minor, order.held_minor),
            )


def _with(one: Restitution, changed: Objection) -> Restitution:
    objections = [changed if o.no == changed.no else o for o in one.objections]
    return msgspec.structs.replace(one, objections=objections)
