"""Take-downs: what the clock does: send what was approved, remind, give up.

Everything leaves through the agreement and the ledger of releases. What may not leave stays, and
`why` says so.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import msgspec

from openaoc.exchange.agreement import Minimisation
from openaoc.exchange.letters import Letters
from openaoc.exchange.model import NoAgreement
from openaoc.exchange.objects import Fields, ObjectKind, SharedObject
from openaoc.exchange.release import purpose_for
from openaoc.exchange.service import Exchange
from openaoc.exchange.takedowns import store
from openaoc.exchange.takedowns.asking import Asking, NotConfirmed
from openaoc.exchange.takedowns.book import found, kept, moved
from openaoc.exchange.takedowns.clocks import takedown_rules
from openaoc.exchange.takedowns.model import PATH, State, Step, Takedown, TakedownTaken
from openaoc.exchange.takedowns.receipts import Receipts
from openaoc.exchange.takedowns.saying import message_of
from openaoc.kernel.clock import format_time
from openaoc.storage.unit_of_work import Transaction

DUE_AT_ONCE_MAX: Final = 50
TRIED_AGAIN: Final = timedelta(minutes=10)
"""What the agreement does not let leave now is tried again: the agreement may change."""
NEEDED: Final = ("identifier_kind", "value", "target", "asks")
"""Nobody could act on less."""
NOT_TAKEN_UP: Final = "the partner does not take it up: its agreement with us grants no take-downs"


class Sending:
    """What happens by itself. One instance per centre."""

    def __init__(
        self, *, exchange: Exchange, asking: Asking, receipts: Receipts, letters: Letters
    ) -> None:
        self._exchange = exchange
        self._asking = asking
        self._receipts = receipts
        self._letters = letters

    def due(self, tx: Transaction) -> int:
        """Take the next step of each take-down the clock asks for; how many there were."""
        rows = store.due(tx.connection, now=tx.now, limit=DUE_AT_ONCE_MAX)
        for one in rows:
            if one.state in (State.APPROVED, State.REOPENED):
                self._send(tx, one)
            else:
                self._late(tx, one)
        return len(rows)

    def _send(self, tx: Transaction, one: Takedown) -> None:
        try:
            base = self._asking.base(tx, one.indicator)
        except NotConfirmed:
            moved(tx, one, Step.EXPIRE, why="what it rests on is not confirmed any more")
            return
        rule = takedown_rules().target[one.target]
        fresh = msgspec.structs.replace(
            one,
            revision=one.revision + 1,
            sent_at=tx.now,
            acknowledge_by=tx.now + timedelta(hours=rule.acknowledge_hours),
            act_by=tx.now + timedelta(hours=rule.act_hours),
            look_at=None,
            done_at=None,
            delivered_at=None,
            reminders=0,
            reminded_at=None,
            why="",
        )
        shared = shared_of(fresh, base)
        try:
            purpose = self._may_leave(tx, shared, partner=one.partner)
            released = self._exchange.release(
                tx, shared, partner=one.partner, why=f"take-down {one.id}"
            )
        except NoAgreement as error:
            self._stays(tx, one, why=error.detail)
            return
        changes = {name: getattr(fresh, name) for name in fresh.__struct_fields__}
        for name in ("id", "state", "changed_at", "released", "purpose"):
            del changes[name]
        sent = moved(tx, one, Step.SEND, released=released, purpose=purpose, **changes)
        self._tell(tx, sent)

    def _may_leave(self, tx: Transaction, shared: SharedObject, *, partner: str) -> str:
        """For which purpose. Raises NoAgreement where too little would be left to act on."""
        agreement = self._exchange.agreements.in_force(tx, partner)
        grant = None if agreement is None else agreement.terms.grants.get(ObjectKind.TAKE_DOWN)
        if agreement is None or grant is None:
            raise NoAgreement("no agreement in force grants take-downs")
        hidden = [n for n in NEEDED if grant.fields.get(n) is not Minimisation.AS_IS]
        if hidden:
            raise NoAgreement(f"the agreement keeps back what it cannot do without: {hidden[0]}")
        purpose = purpose_for(shared, agreement)
        return "" if purpose is None else purpose.value

    @staticmethod
    def _stays(tx: Transaction, one: Takedown, *, why: str) -> None:
        after = msgspec.structs.replace(one, why=why)
        if why == one.why:
            store.save(tx.connection, one, due_at=tx.now + TRIED_AGAIN)
        else:
            action = "exchange.takedown.kept_back"
            kept(tx, after, action=action, reason=why, due=tx.now + TRIED_AGAIN)

    def _late(self, tx: Transaction, one: Takedown) -> None:
        """A clock has run out: remind, and after long enough wait no longer."""
        assert one.sent_at is not None, "only what was sent has clocks"
        if tx.now >= one.sent_at + timedelta(days=takedown_rules().give_up_days):
            moved(tx, one, Step.EXPIRE, why="nobody answered")
            return
        late = msgspec.structs.replace(one, reminders=one.reminders + 1, reminded_at=tx.now)
        kept(tx, late, action="exchange.takedown.overdue", reason=one.overdue(tx.now))
        self._tell(tx, late)

    def _tell(self, tx: Transaction, one: Takedown) -> None:
        """By its centre's system, if it has one; else the partner fetches, or gets a document."""
        partner = self._exchange.agreements.partners.found(tx, one.partner)
        if partner.endpoint is not None:
            self._letters.write(tx, one.partner, path=PATH, matter=one.id, message=message_of(one))

    def taken(self, tx: Transaction, partner: str, takedown_id: str, answer: TakedownTaken) -> None:
        """The partner's system has it; its last word came with that."""
        one = found(tx, takedown_id, lock=True)
        if not answer.accepted:
            after = msgspec.structs.replace(one, why=NOT_TAKEN_UP)
            kept(tx, after, action="exchange.takedown.not_taken", reason=NOT_TAKEN_UP)
            return
        after = msgspec.structs.replace(one, delivered_at=tx.now)
        kept(tx, after, action="exchange.takedown.delivered")
        if answer.receipt is not None:
            self._receipts.repeated(tx, partner, answer.receipt)


def shared_of(one: Takedown, base: SharedObject) -> SharedObject:
    """The request as the centre sees it: what of it leaves, the agreement decides."""
    assert one.acknowledge_by is not None, "it is being sent"
    assert one.act_by is not None, "it is being sent"
    evidence: Fields = {
        name: base.fields[name]
        for name in ("scam_types", "first_seen", "last_seen", "reports")
        if name in base.fields
    }
    return SharedObject(
        id=one.id,
        kind=ObjectKind.TAKE_DOWN,
        created=one.drafted_at,
        modified=max(one.sent_at or one.changed_at, one.drafted_at),
        marking=base.marking,
        offences=base.offences,
        fields={
            **evidence,
            "identifier_kind": one.identifier_kind,
            "value": one.value,
            "target": one.target.value,
            "asks": tuple(ask.value for ask in one.asks),
            "reason": one.reason,
            "legal_basis": one.legal_basis,
            "acknowledge_by": format_time(one.acknowledge_by),
            "act_by": format_time(one.act_by),
        },
        case=one.case,
        possible_victim=base.possible_victim,
    )
