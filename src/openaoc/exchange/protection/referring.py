"""Protection: referring a marked person to who protects victims: the only way out there is.

One trained person proposes, another named one approves, under an agreement made for protection.
Never carries anything else, and never to anybody else.
"""

from __future__ import annotations

from typing import Final

import msgspec

from openaoc.channels.transport import NotReached
from openaoc.exchange import approval_store
from openaoc.exchange.ledger_model import ApprovalView
from openaoc.exchange.line import Agreed, BadAnswer, Line, PeerBusy, PeerRefused
from openaoc.exchange.model import NoAgreement, SecondPerson
from openaoc.exchange.objects import (
    FIELDS,
    FieldValue,
    ObjectKind,
    ReleasedObject,
    SharedObject,
    new_object_id,
)
from openaoc.exchange.protection import store
from openaoc.exchange.protection.marking import Marking, names_of
from openaoc.exchange.protection.model import (
    PATH,
    Mark,
    MarkState,
    NewMark,
    NewReferral,
    NoSuchReferral,
    Person,
    PersonsIdentifier,
    ProtectionMark,
    Referral,
    ReferralApproval,
    ReferralList,
    ReferralMessage,
    ReferralSheet,
    ReferralState,
    ReferralTaken,
    Sign,
    WrongMarkStep,
)
from openaoc.exchange.service import Exchange
from openaoc.kernel.actor import Actor
from openaoc.kernel.clock import format_time
from openaoc.kernel.errors import BadInput, OpenAOCError
from openaoc.kernel.ids import random_text
from openaoc.kernel.markings import Marking as Tlp
from openaoc.kernel.offences import Offence
from openaoc.kernel.paging import FIRST, Asked, Place
from openaoc.parties.permissions import Permission, require
from openaoc.storage.unit_of_work import Transaction, UnitOfWork
from openaoc.storage.vault import Vault

ERROR_CHARACTERS_MAX: Final = 300
_PERSONS: Final = ("person_name", "nationality", "languages", "last_known_place", "situation")


class Referring:
    """One instance per centre."""

    def __init__(
        self,
        *,
        uow: UnitOfWork,
        exchange: Exchange,
        marking: Marking,
        vault: Vault,
        agreed: Agreed,
    ) -> None:
        self._uow = uow
        self._exchange = exchange
        self._marking = marking
        self._vault = vault
        self._agreed = agreed

    def propose(self, tx: Transaction, new: NewReferral) -> Referral:
        """Propose to refer a marked person; nothing leaves by it.

        Raises NotPermitted, NoSuchMark, NoAgreement, WrongMarkStep, BadInput for a field there is
        none of.
        """
        require(tx.actor, Permission.PROTECTION_MARK)
        mark = self._marking.found(tx, new.mark)
        if mark.state is MarkState.LIFTED:
            raise WrongMarkStep("the mark is lifted")
        partner = self._exchange.agreements.partners.found(tx, new.partner).code
        granted = self._agreed.grant(tx, partner, ObjectKind.REFERRAL).fields
        for name in new.fields:
            if name not in FIELDS[ObjectKind.REFERRAL] or name == "case":
                raise BadInput("no field of a referral", where=name)
            if name not in granted:
                raise NoAgreement(f"the agreement does not grant {name}")
        one = Referral(
            id=new_object_id(ObjectKind.REFERRAL),
            mark=mark.id,
            partner=partner,
            fields=tuple(dict.fromkeys(new.fields)),
            state=ReferralState.PROPOSED,
            reason=new.reason,
            proposed_by=tx.actor.id,
            proposed_at=tx.now,
        )
        store.add_referral(tx.connection, one)
        _journal(tx, one, reason=new.reason)
        return one

    def list(self, tx: Transaction, asked: Asked = FIRST) -> ReferralList:
        """A page, newest first. Raises NotPermitted, BadInput."""
        require(tx.actor, Permission.PROTECTION_READ)
        rows = store.newest_referrals(tx.connection, asked)
        shown, more = asked.cut(rows, lambda one: Place(one.proposed_at, one.id).cursor())
        return ReferralList(referrals=shown, cursor=more)

    def approve(self, tx: Transaction, referral_id: str, word: ReferralApproval) -> ReferralSheet:
        """Another person approves by name: it is released, and what left is given.

        Raises NotPermitted, NoSuchReferral, WrongMarkStep, SecondPerson, NoAgreement.
        """
        require(tx.actor, Permission.PROTECTION_APPROVE)
        one = self._found(tx, referral_id)
        if one.state is not ReferralState.PROPOSED:
            raise WrongMarkStep(f"it is {one.state.value}")
        if one.proposed_by == tx.actor.id:
            raise SecondPerson("whoever proposed it cannot approve it")
        mark = self._marking.found(tx, one.mark, lock=True)
        if mark.state is MarkState.LIFTED:
            raise WrongMarkStep("the mark is lifted")
        person = self._marking.person(tx, mark, reason=word.reason)
        shared = _shared(tx, one, mark=mark, person=person)
        approval_store.add_approval(
            tx.connection,
            ApprovalView(
                id="apv_" + random_text(20).lower(),
                object_id=one.id,
                partner=one.partner,
                fields=tuple(sorted(shared.fields)),
                legal_basis=word.legal_basis,
                reason=word.reason,
                approved_by=tx.actor.id,
                approved_at=tx.now,
            ),
        )
        left = self._exchange.refer(tx, shared, partner=one.partner)
        self._vault.seal(tx, _subject(one), msgspec.json.encode(left))
        after = msgspec.structs.replace(
            one,
            state=ReferralState.APPROVED,
            approved_by=tx.actor.id,
            legal_basis=word.legal_basis,
            approved_at=tx.now,
        )
        store.save_referral(tx.connection, after)
        _journal(tx, after, reason=word.reason, authority=word.legal_basis)
        return ReferralSheet(referral=after, left=left)

    def carry(self, actor: Actor, referral_id: str, *, line: Line) -> Referral:
        """Carry an approved referral to the partner's centre; again, it is there once.

        A contact point without a centre gets the sheet by hand. Raises NotPermitted,
        NoSuchReferral, WrongMarkStep, NotReached and what the other centre refuses with.
        """
        require(actor, Permission.PROTECTION_APPROVE)
        with self._uow.begin(actor, purpose="carry a referral") as tx:
            one = self._found(tx, referral_id)
            if one.state is ReferralState.PROPOSED:
                raise WrongMarkStep("nobody approved it")
            peer = self._agreed.peer(tx, one.partner)
            sealed = self._vault.open(tx, _subject(one), reason=one.reason)
        message = ReferralMessage(referral=msgspec.json.decode(sealed, type=ReleasedObject))
        try:
            line.ask(peer, PATH, message, ReferralTaken)
        except (NotReached, PeerRefused, PeerBusy, BadAnswer) as error:
            self._note(actor, one.id, error)
            raise
        with self._uow.begin(actor, purpose="a referral was carried") as tx:
            now = self._found(tx, one.id)
            after = msgspec.structs.replace(
                now, state=ReferralState.DELIVERED, delivered_at=tx.now, last_error=None
            )
            store.save_referral(tx.connection, after)
            _journal(tx, after)
        return after

    def _note(self, actor: Actor, referral_id: str, error: OpenAOCError) -> None:
        with self._uow.begin(actor, purpose="a referral was not carried") as tx:
            now = self._found(tx, referral_id)
            words = f"{error.code}: {error}"[:ERROR_CHARACTERS_MAX]
            store.save_referral(tx.connection, msgspec.structs.replace(now, last_error=words))

    def take(self, tx: Transaction, partner: str, said: ReferralMessage) -> ReferralTaken:
        """Take a partner's referral: the person is marked here too, once.

        Raises BadInput for what is no referral or names nobody.
        """
        left = said.referral
        if left.kind is not ObjectKind.REFERRAL:
            raise BadInput("not a referral", where="referral.kind")
        tx.lock(f"exchange.referral.{partner}")
        if store.find_origin(tx.connection, origin=partner, ref=left.id) is None:
            self._marking.set(tx, _told(left), origin=partner, origin_ref=left.id)
        return ReferralTaken(referral=left.id)

    def _found(self, tx: Transaction, referral_id: str) -> Referral:
        one = store.find_referral(tx.connection, referral_id, lock=True)
        if one is None:
            raise NoSuchReferral(referral_id[:80])
        return one


def _shared(tx: Transaction, one: Referral, *, mark: Mark, person: Person) -> SharedObject:
    known: dict[str, FieldValue] = {
        "signs": tuple(sign.value for sign in mark.signs),
        "raised_at": format_time(mark.marked_at),
        "identifiers": tuple(f"{found.kind}={found.value}" for found in person.identifiers),
        **{name: getattr(person, name) for name in _PERSONS},
    }
    return SharedObject(
        id=one.id,
        kind=ObjectKind.REFERRAL,
        created=one.proposed_at,
        modified=tx.now,
        marking=Tlp.AMBER,
        offences=tuple(Offence),
        fields={name: known[name] for name in one.fields if known[name]},
        possible_victim=True,
        about=tuple(names_of(person)),
    )


def _told(left: ReleasedObject) -> NewMark:
    """What a partner's referral says of a person, as a mark of ours."""
    texts = {name: value for name in _PERSONS if isinstance(value := left.fields.get(name), str)}
    listed = left.fields.get("identifiers", ())
    pairs = [text.partition("=") for text in listed] if isinstance(listed, tuple) else []
    signs = left.fields.get("signs", ())
    told = signs if isinstance(signs, tuple) else ()
    known = {sign.value: sign for sign in Sign}
    return NewMark(
        person=Person(
            identifiers=tuple(
                PersonsIdentifier(kind=kind, value=value) for kind, _, value in pairs
            ),
            **texts,
        ),
        signs=tuple(known[one] for one in told if one in known),
    )


def _subject(one: Referral) -> str:
    return f"protection:{one.id}"


def _journal(tx: Transaction, one: Referral, *, reason: str = "", authority: str = "") -> None:
    mark = ProtectionMark(state=one.state.value, partner=one.partner, fields=one.fields)
    tx.journal(
        action=f"exchange.referral.{one.state.value}",
        subject=one.id,
        after=mark,
        reason=reason,
        authority=authority,
    )
