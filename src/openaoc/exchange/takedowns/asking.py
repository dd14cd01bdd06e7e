"""Take-downs: what persons do: draft, approve, look, withdraw, hear an owner's objection.

Works in the caller's transaction. Sends nothing: sending.py does, what was approved and may leave.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

import msgspec

from openaoc.exchange.catalogue import Catalogue
from openaoc.exchange.ledger_model import RecallKind
from openaoc.exchange.letters import Letters
from openaoc.exchange.model import Partner, SecondPerson
from openaoc.exchange.objects import ObjectKind, SharedObject, new_object_id
from openaoc.exchange.service import Exchange
from openaoc.exchange.takedowns import store
from openaoc.exchange.takedowns.book import found, kept, moved, written
from openaoc.exchange.takedowns.clocks import shared_hosts, takedown_rules
from openaoc.exchange.takedowns.collateral import collateral_of
from openaoc.exchange.takedowns.model import (
    LISTED_MAX,
    NOTES_MAX,
    OBJECTIONS_MAX,
    PATH,
    Done,
    NewTakedown,
    NoSuchTakedown,
    Objection,
    PartnerTakedown,
    PartnerTakedowns,
    Saying,
    State,
    Step,
    Takedown,
    TakedownList,
)
from openaoc.exchange.takedowns.saying import OVER, as_asked, message_of
from openaoc.kernel.errors import BadInput, Conflict, Refused
from openaoc.kernel.identifiers.kinds import Kind, kind_named
from openaoc.kernel.paging import Asked
from openaoc.parties.permissions import Permission, require
from openaoc.storage.unit_of_work import Transaction

OF_INDICATOR_MAX: Final = 1_000
WRONG: Final = "it was wrong"
NOT_WANTED: Final = "it is not wanted any more"
_NUMBERS: Final = re.compile(r"\d(?:[\s.\-/()]{0,2}\d){6,}")
"""Seven digits and more: a telephone, an account, an identity card."""


class NotConfirmed(Refused):
    """Only what a person here confirmed, and our own sources said, is asked to be taken down."""


class Asking:
    """The verbs. One instance per centre."""

    def __init__(self, *, exchange: Exchange, catalogue: Catalogue, letters: Letters) -> None:
        self._exchange = exchange
        self._catalogue = catalogue
        self._letters = letters

    # What is asked.

    def draft(self, tx: Transaction, new: NewTakedown) -> Takedown:
        """A draft, which nobody outside sees.

        Raises NotConfirmed, NeverWhole for what others live on, NoSuchPartner, BadInput for a
        target, partner or action that do not go together.
        """
        require(tx.actor, Permission.TAKEDOWN_WORK)
        partner = self._exchange.agreements.partners.found(tx, new.partner)
        base = self.base(tx, new.indicator)
        kind, value = kind_named(str(base.fields["identifier_kind"])), str(base.fields["value"])
        asks = _asks(new, kind=kind, partner=partner)
        check_words(new.reason, where="reason", but=value)
        collateral = collateral_of(kind, value, others=new.others, never_whole=shared_hosts())
        abroad = partner.jurisdiction != self._exchange.agreements.home
        reasons = (*collateral.two_persons, *(("the partner is abroad",) if abroad else ()))
        one = Takedown(
            id=new_object_id(ObjectKind.TAKE_DOWN),
            partner=partner.code,
            target=new.target,
            indicator=base.id,
            identifier_kind=kind.value,
            value=value,
            asks=asks,
            reason=new.reason,
            legal_basis=new.legal_basis,
            rules=takedown_rules().version,
            state=State.DRAFTED,
            whole=collateral.whole,
            others=new.others if collateral.whole else "",
            two_persons=reasons,
            drafted_by=tx.actor.id,
            drafted_at=tx.now,
            changed_at=tx.now,
            case=base.case,
        )
        tx.lock(f"exchange.takedowns.{base.id}")
        for other in store.of_indicator(tx.connection, base.id, limit=OF_INDICATOR_MAX):
            if other.partner == one.partner and other.state not in (*OVER, State.EXPIRED):
                raise Conflict(f"{other.id} asks this partner for it already", where="indicator")
        store.add(tx.connection, one)
        written(tx, one, action="exchange.takedown.drafted", reason=new.reason)
        return one

    def base(self, tx: Transaction, indicator: str) -> SharedObject:
        """The indicator it rests on, as our own sources say it. Raises NotConfirmed."""
        shared = self._catalogue.find(tx, [indicator]).get(indicator)
        confirmed = shared is not None and shared.fields.get("status") == "confirmed"
        if shared is None or not confirmed or shared.revoked:
            raise NotConfirmed(where="indicator")
        return shared

    def approve(self, tx: Transaction, takedown_id: str, *, words: str) -> Takedown:
        """One person's word that it may be sent; two where `two_persons` says why.

        Raises SecondPerson for the same person twice.
        """
        require(tx.actor, Permission.TAKEDOWN_APPROVE)
        one = found(tx, takedown_id, lock=True)
        if tx.actor.id in {voice.by for voice in one.voices}:
            raise SecondPerson("you have approved it already")
        self.base(tx, one.indicator)
        voices = (*one.voices, Saying(by=tx.actor.id, at=tx.now, words=words))
        needed = 2 if one.two_persons else 1
        if len(voices) >= needed or one.state is not State.DRAFTED:
            return moved(tx, one, Step.APPROVE, reason=words, voices=voices)
        heard = msgspec.structs.replace(one, voices=voices, changed_at=tx.now)
        return kept(tx, heard, action="exchange.takedown.seconded", reason=words)

    def look(self, tx: Transaction, takedown_id: str, *, gone: bool, words: str) -> Takedown:
        """A person looked: it is gone, or it is there still or again and is asked for once more."""
        require(tx.actor, Permission.TAKEDOWN_WORK)
        one = found(tx, takedown_id, lock=True)
        looks = (*one.looks, Saying(by=tx.actor.id, at=tx.now, words=words))[-NOTES_MAX:]
        if not gone:
            self.base(tx, one.indicator)
        step = Step.VERIFY if gone else Step.REOPEN
        return moved(tx, one, step, reason=words, looks=looks, why=words)

    # What is taken back.

    def withdraw(self, tx: Transaction, takedown_id: str, *, words: str, wrong: bool) -> Takedown:
        """Take it back; who did something already is told to restore it."""
        require(tx.actor, Permission.TAKEDOWN_WORK)
        return self.take_back(tx, found(tx, takedown_id, lock=True), words=words, wrong=wrong)

    def take_back(self, tx: Transaction, one: Takedown, *, words: str, wrong: bool) -> Takedown:
        """As `withdraw`, for the centre itself too; `one` is locked."""
        after = self._ended(tx, one, words=words, wrong=wrong)
        if after.released is not None:
            self._exchange.recalling.withdraw(
                tx,
                after.partner,
                [after.id],
                kind=RecallKind.WITHDRAWN,
                reason=WRONG if wrong else NOT_WANTED,
            )
            self._tell(tx, after)
        return after

    @staticmethod
    def _ended(tx: Transaction, one: Takedown, *, words: str, wrong: bool) -> Takedown:
        later = one.revision + 1
        return moved(tx, one, Step.WITHDRAW, reason=words, why=words, wrong=wrong, revision=later)

    def _tell(self, tx: Transaction, one: Takedown) -> None:
        self._letters.write(tx, one.partner, path=PATH, matter=one.id, message=message_of(one))

    def indicator_changed(self, tx: Transaction, indicator: str, *, wrong: bool) -> None:
        """What it rests on is withdrawn, or its time is over: the same happens here."""
        for one in store.of_indicator(tx.connection, indicator, limit=OF_INDICATOR_MAX):
            if wrong and one.state not in OVER:
                self.take_back(tx, one, words="what it rests on was withdrawn", wrong=True)
            elif not wrong and one.state is State.DRAFTED:
                self.take_back(tx, one, words="what it rests on is over", wrong=False)

    def recalled(self, tx: Transaction, takedown_id: str, *, bare: bool) -> None:
        """What left was taken back from its receiver for another reason: so is the request.

        `bare`: nothing of it may be said any more, also where it was taken back before.
        """
        one = store.find(tx.connection, takedown_id, lock=True)
        if one is None or (one.state in OVER and (one.bare or not bare)):
            return
        one = msgspec.structs.replace(one, bare=bare or one.bare)
        if one.state in OVER:
            one = msgspec.structs.replace(one, revision=one.revision + 1)
            self._tell(tx, kept(tx, one, action="exchange.takedown.bared"))
        else:
            self._tell(tx, self._ended(tx, one, words="it was taken back", wrong=False))

    # What owners say.

    def object(self, tx: Transaction, takedown_id: str, *, words: str) -> Takedown:
        """Record that an owner objects: a person decides by a clock. No owner's name is kept."""
        require(tx.actor, Permission.TAKEDOWN_WORK)
        one = found(tx, takedown_id, lock=True)
        if one.released is None or one.state is State.RESTORED:
            raise Conflict("nothing was asked of anybody")
        if len(one.objections) >= OBJECTIONS_MAX:
            raise Conflict(f"at most {OBJECTIONS_MAX} objections")
        check_words(words, where="reason", but=one.value)
        fresh = Objection(
            received_at=tx.now,
            decide_by=tx.now + timedelta(hours=takedown_rules().objection_hours),
            reason=words,
            recorded_by=tx.actor.id,
        )
        after = msgspec.structs.replace(one, objections=(*one.objections, fresh))
        return kept(tx, after, action="exchange.takedown.objected", reason=words)

    def decide(self, tx: Transaction, takedown_id: str, *, upheld: bool, words: str) -> Takedown:
        """Decide every open objection. Upheld: it was wrong, it is withdrawn, restoring is asked.

        Raises SecondPerson for whoever approved it.
        """
        require(tx.actor, Permission.TAKEDOWN_APPROVE)
        one = found(tx, takedown_id, lock=True)
        if all(each.upheld is not None for each in one.objections):
            raise Conflict("there is no open objection")
        if tx.actor.id in {voice.by for voice in one.voices}:
            raise SecondPerson("whoever approved it does not decide what was wrong with it")
        decided = tuple(
            each
            if each.upheld is not None
            else msgspec.structs.replace(
                each, upheld=upheld, decided_by=tx.actor.id, decided_at=tx.now, words=words
            )
            for each in one.objections
        )
        after = msgspec.structs.replace(one, objections=decided)
        after = kept(tx, after, action="exchange.takedown.objection_decided", reason=words)
        if upheld and after.state not in OVER:
            return self.take_back(tx, after, words=words, wrong=True)
        return after

    # Who looks.

    def show(self, tx: Transaction, takedown_id: str) -> Takedown:
        """One. Raises NoSuchTakedown."""
        require(tx.actor, Permission.EXCHANGE_READ)
        return found(tx, takedown_id)

    def page(
        self,
        tx: Transaction,
        *,
        partner: str | None = None,
        state: State | None = None,
        overdue: bool = False,
        cursor: str | None = None,
        limit: int = LISTED_MAX,
    ) -> TakedownList:
        """The newest first; with `overdue`, those of a page whose clock has run out."""
        require(tx.actor, Permission.EXCHANGE_READ)
        asked = Asked(cursor, limit)
        rows = store.page(
            tx.connection,
            partner=partner,
            states=None if state is None else (state,),
            before=self._seen(tx, asked),
            limit=asked.size + 1,
        )
        there, more = asked.cut(rows, lambda one: one.id)
        shown = [one for one in there if not overdue or one.overdue(tx.now)]
        return TakedownList(takedowns=shown, cursor=more)

    def of_partner(
        self, tx: Transaction, partner: str, *, cursor: str | None, limit: int
    ) -> PartnerTakedowns:
        """What a partner was asked, as it sees it: nothing tells of what never reached it."""
        require(tx.actor, Permission.EXCHANGE_RECEIVE)
        asked = Asked(cursor, limit)
        before = self._seen(tx, asked, partner=partner)
        told: list[Takedown] = []
        while len(told) <= asked.size:
            rows = store.page(
                tx.connection, partner=partner, states=None, before=before, limit=LISTED_MAX
            )
            told += [one for one in rows if one.released is not None]
            if len(rows) < LISTED_MAX:
                break
            before = rows[-1].id
        shown, more = asked.cut(told, lambda one: one.id)
        return PartnerTakedowns(takedowns=[as_asked(one) for one in shown], cursor=more)

    def asked_of(self, tx: Transaction, partner: str, takedown_id: str) -> PartnerTakedown:
        """One, as its partner sees it. Raises NoSuchTakedown for another's too."""
        require(tx.actor, Permission.EXCHANGE_RECEIVE)
        one = found(tx, takedown_id)
        if one.partner != partner or one.released is None:
            raise NoSuchTakedown(takedown_id[:80])
        return as_asked(one)

    @staticmethod
    def _seen(tx: Transaction, asked: Asked, *, partner: str | None = None) -> str | None:
        """The id of the last one seen, which is the cursor: a number would count those of others.

        `partner`: who asks, that has seen only what reached it. Raises BadInput.
        """
        cursor = asked.cursor
        if cursor is not None:
            one = store.find(tx.connection, cursor) if cursor.isprintable() else None
            reached = one is not None and one.released is not None and one.partner == partner
            if one is None or not (reached or partner is None):
                raise BadInput("not a cursor of this list", where="cursor")
        return cursor


def _asks(new: NewTakedown, *, kind: Kind, partner: Partner) -> tuple[Done, ...]:
    """What is asked for, by default all there is. Raises BadInput for what does not go together."""
    rule = takedown_rules().target[new.target]
    if kind not in rule.identifier_kinds:
        raise BadInput(f"a {kind.value} is no {new.target.value}", where="target")
    if partner.kind not in rule.partner_kinds:
        named = ", ".join(one.value for one in rule.partner_kinds)
        raise BadInput(f"a {new.target.value} is asked of: {named}", where="partner")
    asks = new.asks or rule.asks
    if not set(asks) <= set(rule.asks) or len(set(asks)) != len(asks):
        named = ", ".join(one.value for one in rule.asks)
        raise BadInput(f"of a {new.target.value} may be asked: {named}", where="asks")
    return asks


def check_words(text: str, *, where: str, but: str = "") -> str:
    """Words that leave. Raises BadInput for numbers or addresses that may be a person's."""
    rest = text.replace(but, "") if but else text
    if _NUMBERS.search(rest) or "@" in rest:
        raise BadInput("partners read this: leave out persons' numbers and addresses", where=where)
    return text
