"""Protection: the verbs of marks: set by one trained person, lifted by two.

Works in the caller's transaction. Setting one takes back at once whatever had left about the
person. Never writes a name into a row or the journal: who is meant is sealed in the vault.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from openaoc.exchange import release_store
from openaoc.exchange.ledger_model import RecallKind
from openaoc.exchange.model import SecondPerson
from openaoc.exchange.protection import store
from openaoc.exchange.protection.model import (
    MARKED,
    Mark,
    Marked,
    MarkList,
    MarkState,
    NewMark,
    NoSuchMark,
    OpenedMark,
    Person,
    PersonsIdentifier,
    ProtectionMark,
    WrongMarkStep,
)
from openaoc.exchange.protection.names import PERSON_NAME, normalised
from openaoc.exchange.protection.shield import Name, Shield
from openaoc.exchange.recalling import Recalling
from openaoc.kernel.errors import BadInput
from openaoc.kernel.events import Event
from openaoc.kernel.ids import random_text
from openaoc.kernel.paging import FIRST, Asked, Place
from openaoc.parties.permissions import Permission, require
from openaoc.storage.unit_of_work import Transaction
from openaoc.storage.vault import Vault

WITHDRAWN: Final = "withdrawn"
"""What partners are told: that somebody may be a victim is nobody's business there."""
ID_CHARACTERS: Final = 20
ObjectsOf = Callable[[Transaction, Sequence[Name]], Sequence[str]]


def _nothing(tx: Transaction, names: Sequence[Name]) -> Sequence[str]:
    assert tx.now is not None, "an open transaction"
    return [] if names else ()


class Marking:
    """One instance per centre."""

    def __init__(self, *, shield: Shield, recalling: Recalling, vault: Vault, region: str) -> None:
        """`region`: of telephone numbers without a country."""
        self._shield = shield
        self._recalling = recalling
        self._vault = vault
        self._region = region
        self._objects_of: ObjectsOf = _nothing

    def find_objects_with(self, objects_of: ObjectsOf) -> None:
        """Ask a publisher too for its objects of an identifier.

        They may have left before names were kept with releases. Called by the wiring.
        """
        self._objects_of = objects_of

    def mark(self, tx: Transaction, new: NewMark) -> Marked:
        """Mark somebody; what had left about the person is withdrawn from everybody.

        Raises NotPermitted, BadInput for a mark that means nobody.
        """
        require(tx.actor, Permission.PROTECTION_MARK)
        return self.set(tx, new)

    def set(
        self,
        tx: Transaction,
        new: NewMark,
        *,
        origin: str | None = None,
        origin_ref: str | None = None,
    ) -> Marked:
        """As `mark`, for the stage itself: a partner's referral marks the person here too."""
        person = self._normalised(new.person)
        names = names_of(person)
        if not names:
            raise BadInput("an identifier or a name", where="person")
        one = Mark(
            id="pvt_" + random_text(ID_CHARACTERS).lower(),
            state=MarkState.STANDING,
            signs=tuple(dict.fromkeys(new.signs)),
            case=new.case,
            origin=origin,
            origin_ref=origin_ref,
            marked_by=tx.actor.id,
            marked_at=tx.now,
        )
        digests = self._shield.meant(names)
        self._vault.seal(tx, subject_of(one.id), msgspec.json.encode(person))
        store.add(tx.connection, one, digests=digests)
        taken_back = self._take_back(tx, names, digests=digests)
        _journal(tx, one, action="exchange.protection.marked", taken_back=taken_back)
        tx.emit(Event(name=MARKED, subject=one.id, at=tx.now, facts={}))
        return Marked(mark=one, taken_back=taken_back)

    def _normalised(self, person: Person) -> Person:
        identifiers = []
        for place, one in enumerate(person.identifiers):
            try:
                value = normalised(one.kind, one.value, region=self._region)
            except BadInput as error:
                raise BadInput(error.detail, where=f"person.identifiers[{place}]") from error
            identifiers.append(PersonsIdentifier(kind=one.kind, value=value))
        name = " ".join(person.person_name.split())
        return msgspec.structs.replace(person, identifiers=tuple(identifiers), person_name=name)

    def _take_back(
        self, tx: Transaction, names: Sequence[Name], *, digests: frozenset[bytes]
    ) -> int:
        """Withdraw from each partner what it has of the person; how many releases."""
        found = set(release_store.speaking_of(tx.connection, digests))
        ids = self._objects_of(tx, names)
        found.update(release_store.held_by(tx.connection, ids))
        for partner in sorted({partner for partner, _ in found}):
            theirs = sorted(object_id for one, object_id in found if one == partner)
            self._recalling.withdraw(
                tx, partner, theirs, kind=RecallKind.WITHDRAWN, reason=WITHDRAWN, bare=True
            )
        return len(found)

    def list(self, tx: Transaction, asked: Asked = FIRST) -> MarkList:
        """A page, newest first, without who is meant. Raises NotPermitted, BadInput."""
        require(tx.actor, Permission.PROTECTION_READ)
        rows = store.newest(tx.connection, asked)
        shown, more = asked.cut(rows, lambda one: Place(one.marked_at, one.id).cursor())
        return MarkList(marks=shown, cursor=more)

    def open(self, tx: Transaction, mark_id: str, *, reason: str) -> OpenedMark:
        """A mark with who is meant; the look is journalled. Raises NotPermitted, NoSuchMark."""
        require(tx.actor, Permission.PROTECTION_READ)
        one = self.found(tx, mark_id)
        return OpenedMark(mark=one, person=self.person(tx, one, reason=reason))

    def found(self, tx: Transaction, mark_id: str, *, lock: bool = False) -> Mark:
        """One mark, for the stage itself. Raises NoSuchMark."""
        one = store.find(tx.connection, mark_id, lock=lock)
        if one is None:
            raise NoSuchMark(mark_id[:64])
        return one

    def person(self, tx: Transaction, one: Mark, *, reason: str) -> Person:
        """Who is meant, for the stage itself; the look is journalled."""
        sealed = self._vault.open(tx, subject_of(one.id), reason=reason)
        return msgspec.json.decode(sealed, type=Person)

    def lift(self, tx: Transaction, mark_id: str, *, reason: str) -> Mark:
        """One of two persons' word that it was a mistake; with the second it is lifted.

        Raises NotPermitted, NoSuchMark, WrongMarkStep, SecondPerson.
        """
        require(tx.actor, Permission.PROTECTION_LIFT)
        before = self.found(tx, mark_id, lock=True)
        if before.state is MarkState.LIFTED:
            raise WrongMarkStep("it is lifted already")
        if before.state is MarkState.STANDING:
            after = msgspec.structs.replace(
                before, state=MarkState.LIFT_PROPOSED, lift_proposed_by=tx.actor.id
            )
        elif before.lift_proposed_by == tx.actor.id:
            raise SecondPerson("whoever proposed it cannot be the second person")
        else:
            after = msgspec.structs.replace(
                before, state=MarkState.LIFTED, lifted_by=tx.actor.id, lifted_at=tx.now
            )
        store.save(tx.connection, after)
        _journal(tx, after, action=f"exchange.protection.{after.state.value}", reason=reason)
        return after


def subject_of(mark_id: str) -> str:
    """Under which the person is sealed."""
    return f"protection:{mark_id}"


def names_of(person: Person) -> list[Name]:
    """By what the person is known."""
    found = [(one.kind, one.value) for one in person.identifiers]
    return [*found, (PERSON_NAME, person.person_name)] if person.person_name else found


def _journal(
    tx: Transaction, one: Mark, *, action: str, reason: str = "", taken_back: int = 0
) -> None:
    mark = ProtectionMark(
        state=one.state.value,
        signs=tuple(sign.value for sign in one.signs),
        partner=one.origin or "",
        releases_taken_back=taken_back,
    )
    tx.journal(action=action, subject=one.id, after=mark, reason=reason)
