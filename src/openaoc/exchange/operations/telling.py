"""Joint operations: both centres get the same timeline, whatever is down, repeated or restored.

Each says which entries it has; the other answers with what lacks, its own and the asker's. So a
word may be lost or come twice, and a centre restored from a backup gets back what it forgot.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec
import structlog

from openaoc.channels.transport import NotReached
from openaoc.exchange.agreement import Minimisation
from openaoc.exchange.line import Agreed, BadAnswer, Line, PeerBusy, PeerRefused
from openaoc.exchange.model import NoAgreement, VolumeReached
from openaoc.exchange.objects import ObjectKind, ReleasedObject
from openaoc.exchange.operations import store
from openaoc.exchange.operations.model import (
    ENTRIES_MAX,
    PATH,
    SENT_AT_ONCE_MAX,
    Entry,
    EntryMessage,
    MemberState,
    NoSuchOperation,
    Operation,
    OperationHeard,
    OperationState,
    OperationWord,
    OtherTerms,
)
from openaoc.exchange.operations.service import journal
from openaoc.exchange.operations.wire import (
    ALWAYS,
    TERMS,
    check_entry,
    digest_of,
    proof_of,
    shared_entry,
    shared_operation,
    taken_back,
    told_entry,
    told_operation,
)
from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.errors import BadInput, OpenAOCError
from openaoc.storage.centre_state import read_state
from openaoc.storage.unit_of_work import Transaction, UnitOfWork

_LOG = structlog.get_logger("openaoc.operations")
AGAIN: Final = timedelta(minutes=1)
"""So often both sides compare what they have, also when nothing changed here."""
CLOSED_TOLD: Final = timedelta(days=30)
ROUNDS_MAX: Final = 2 * ENTRIES_MAX // SENT_AT_ONCE_MAX
ERROR_CHARACTERS_MAX: Final = 300
_WITH: Final = {
    OperationState.ACTIVE: MemberState.ACTIVE,
    OperationState.CLOSED: MemberState.ACTIVE,
    OperationState.INVITED: MemberState.ASKED,
    OperationState.REFUSED: MemberState.GONE,
    OperationState.LEFT: MemberState.GONE,
}


class Telling:
    """One instance per centre."""

    def __init__(
        self, *, uow: UnitOfWork, agreed: Agreed, line: Line, name: str, key: bytes
    ) -> None:
        """`key`: of the proofs by which this centre knows its own words again."""
        self._uow = uow
        self._agreed = agreed
        self._line = line
        self._name = name
        self._key = key
        self._lock = threading.Lock()
        self._not_before: dict[tuple[str, str], datetime] = {}
        self._next: dict[tuple[str, str], list[EntryMessage]] = {}
        """What the partner was found to lack: said with the next word."""
        self._may_send: Callable[[], bool] = lambda: True

    def send_only_while(self, may_send: Callable[[], bool]) -> None:
        """Ask before each run whether this centre is the one that sends. Before the start."""
        self._may_send = may_send

    def changed(self) -> None:
        """Something is new here: compare with everybody at once."""
        with self._lock:
            self._not_before.clear()

    def tell_due(self) -> int:
        """Compare every operation with every member that is due; how many words were said."""
        with self._uow.read(SYSTEM, purpose="which operations are told") as tx:
            now = tx.now
            if not read_state(tx.connection).delivers or not self._may_send():
                return 0
            due = store.to_tell(tx.connection)
        said = 0
        for operation_id, partner in due:
            with self._lock:
                if now < self._not_before.get((operation_id, partner), now):
                    continue
                self._not_before[operation_id, partner] = now + AGAIN
            said += self._tell(operation_id, partner)
        return said

    def _tell(self, operation_id: str, partner: str) -> int:
        for said in range(ROUNDS_MAX):
            try:
                if not self._round(operation_id, partner):
                    return said + 1
            except NoAgreement as error:
                self._failed(operation_id, partner, error)
                return said
            except (NotReached, PeerBusy, PeerRefused, BadAnswer, BadInput) as error:
                self._failed(operation_id, partner, error)
                return said
        return ROUNDS_MAX

    def _round(self, operation_id: str, partner: str) -> bool:
        """One word and its answer; whether there is more to say."""
        with self._uow.begin(SYSTEM, purpose="tell of an operation") as tx:
            peer = self._agreed.peer(tx, partner)
            word = self._word(tx, operation_id, partner)
        if word is None:
            return False
        heard = self._line.ask(peer, PATH, word, OperationHeard)
        with self._uow.begin(SYSTEM, purpose="a partner's part of an operation") as tx:
            one = self._found(tx, operation_id)
            self._hear(tx, one, partner, state=heard.state)
            taken = self._take_entries(tx, self._found(tx, operation_id), partner, heard.entries)
            lacking = self._lacking(tx, one, partner, have=heard.have)
        self._next[operation_id, partner] = lacking
        # What was said just now and is lacking still, the partner does not take.
        return bool(taken) or bool(lacking and tuple(lacking) != word.entries)

    def _word(self, tx: Transaction, operation_id: str, partner: str) -> OperationWord | None:
        one = self._found(tx, operation_id)
        over = tx.now > one.changed_at + CLOSED_TOLD
        if one.state is not OperationState.ACTIVE and (
            over or self._knows_of_the_end(tx, one, partner)
        ):
            return None
        operation, proof = self._as_offered(tx, one, partner)
        known = store.entries_of(tx.connection, one.id)
        return OperationWord(
            operation=operation,
            proof=proof,
            state=one.state,
            have=self._have(known, partner),
            entries=tuple(self._next.pop((operation_id, partner), ())),
        )

    @staticmethod
    def _knows_of_the_end(tx: Transaction, one: Operation, partner: str) -> bool:
        """Whether the partner was heard since we took no part any more: nothing else is said."""
        if one.state not in (OperationState.LEFT, OperationState.REFUSED):
            return False
        rows = store.members_of(tx.connection, one.id)
        heard = next((row.heard_at for row in rows if row.partner == partner), None)
        return heard is not None and heard > one.changed_at

    def _as_offered(
        self, tx: Transaction, one: Operation, partner: str
    ) -> tuple[ReleasedObject, str]:
        """The operation as its lead offers it, or as its lead offered it to us."""
        kept = store.offer_of(tx.connection, one.id)
        if kept is not None:
            offered = msgspec.json.decode(kept, type=EntryMessage)
            self._agreed.grant(tx, partner, ObjectKind.OPERATION)
            return offered.entry, offered.proof
        shared = shared_operation(one, now=tx.now)
        left = self._agreed.release(tx, shared, partner=partner)
        left = msgspec.structs.replace(left, modified=left.created)
        if any(name not in left.fields for name in TERMS) or digest_of(left.fields) != one.digest:
            raise NoAgreement("the agreement does not let an operation leave as it is")
        return left, proof_of(left, partner=partner, key=self._key)

    # What a partner's centre says.

    def take(self, tx: Transaction, partner: str, said: OperationWord) -> OperationHeard:
        """A partner's word; the answer is how it stands here, and what the partner lacks.

        Raises NoAgreement, NoSuchOperation, OtherTerms, BadInput.
        """
        self._agreed.grant(tx, partner, ObjectKind.OPERATION)
        one = store.find(tx.connection, said.operation.id, lock=True)
        if one is None:
            one = self._learn(tx, partner, said)
        if digest_of(said.operation.fields) != one.digest:
            raise OtherTerms("the terms are other ones than were offered")
        if partner not in one.members:
            raise NoSuchOperation(one.id)
        self._hear(tx, one, partner, state=said.state)
        one = self._found(tx, one.id)
        self._take_entries(tx, one, partner, said.entries)
        entries = self._lacking(tx, one, partner, have=said.have)
        known = store.entries_of(tx.connection, one.id)
        return OperationHeard(
            state=one.state, have=self._have(known, partner), entries=tuple(entries)
        )

    def _learn(self, tx: Transaction, partner: str, said: OperationWord) -> Operation:
        """An operation that is new here, or that this centre forgot by being restored."""
        one = told_operation(said.operation, now=tx.now)
        if self._name not in one.members or partner not in one.members:
            raise BadInput("not among the members", where="operation.members")
        if one.lead == self._name:
            expected = proof_of(said.operation, partner=partner, key=self._key)
            if expected != said.proof:
                raise NoSuchOperation(one.id)
            one = msgspec.structs.replace(one, state=OperationState.ACTIVE)
        elif one.lead != partner:
            raise NoSuchOperation(one.id)
        store.add(tx.connection, one)
        for other in one.members:
            if other != self._name and self._is_partner(tx, other):
                store.set_member(tx.connection, one.id, other, state=MemberState.ASKED)
        if one.lead != self._name:
            offer = EntryMessage(origin=partner, entry=said.operation, proof=said.proof)
            store.keep_offer(tx.connection, one.id, msgspec.json.encode(offer))
        journal(tx, one, action="exchange.operation.heard_of", authority=partner)
        return one

    def _is_partner(self, tx: Transaction, code: str) -> bool:
        try:
            self._agreed.jurisdiction(tx, code)
        except OpenAOCError:
            return False
        return True

    def _hear(
        self, tx: Transaction, one: Operation, partner: str, *, state: OperationState
    ) -> None:
        """How the partner stands; where the lead closed it, it is closed here too."""
        now = {member.partner: member.state for member in store.members_of(tx.connection, one.id)}
        if now.get(partner) is not MemberState.GONE:
            store.set_member(
                tx.connection,
                one.id,
                partner,
                state=_WITH.get(state, MemberState.ASKED),
                heard_at=tx.now,
            )
        closed = state is OperationState.CLOSED and partner == one.lead
        if closed and one.state is OperationState.ACTIVE:
            after = msgspec.structs.replace(
                one,
                state=OperationState.CLOSED,
                voices=(),
                reason="the lead closed it",
                changed_at=tx.now,
            )
            store.save(tx.connection, after)
            journal(tx, after, action="exchange.operation.close", authority=partner)

    def _take_entries(
        self, tx: Transaction, one: Operation, partner: str, messages: Sequence[EntryMessage]
    ) -> int:
        """Keep what is new, once; how many. Nothing is taken before we take part, or after."""
        if one.state not in (OperationState.ACTIVE, OperationState.CLOSED):
            return 0
        known = len(store.entries_of(tx.connection, one.id))
        fresh = 0
        for message in messages:
            if message.entry.revoked:
                fresh += self._take_back(tx, one, partner, message)
                continue
            if known + fresh >= ENTRIES_MAX:
                raise BadInput(f"at most {ENTRIES_MAX} entries", where="entries")
            entry = told_entry(one, message.entry, origin=message.origin)
            if message.origin == self._name:
                expected = proof_of(message.entry, partner=partner, key=self._key)
                if expected != message.proof:
                    raise BadInput("not a word of ours", where="entries")
            elif message.origin != partner:
                raise BadInput("each centre tells its own entries alone", where="entries")
            own = message.origin == self._name
            kept = None if own else msgspec.json.encode(message)
            if store.add_entry(tx.connection, one.id, entry, message=kept):
                fresh += 1
                journal(tx, one, action="exchange.operation.told", entry=entry, authority=partner)
        return fresh

    def _take_back(
        self, tx: Transaction, one: Operation, partner: str, message: EntryMessage
    ) -> int:
        """The partner took an entry of its own back from us: it is forgotten; whether it was."""
        if message.origin != partner:
            raise BadInput("each centre takes back its own entries alone", where="entries")
        wanted = check_entry(one, message.entry).id
        known = (entry for entry, _ in store.entries_of(tx.connection, one.id))
        mine = (entry for entry in known if (entry.id, entry.origin) == (wanted, partner))
        entry = next(mine, None)
        if entry is None or entry.taken_back:
            return 0
        gone = Entry(id=entry.id, origin=partner, action=entry.action, at=entry.at, taken_back=True)
        store.take_back(tx.connection, one.id, gone)
        journal(tx, one, action="exchange.operation.taken_back", entry=gone, authority=partner)
        return 1

    def _lacking(
        self, tx: Transaction, one: Operation, partner: str, *, have: Sequence[str]
    ) -> list[EntryMessage]:
        """What the partner has not: ours, and its own where it forgot them.

        And what it has of ours and may not have any more, until it says that it has it not.
        """
        members = {row.partner: row.state for row in store.members_of(tx.connection, one.id)}
        under_way = one.state in (OperationState.ACTIVE, OperationState.CLOSED)
        if not under_way or members.get(partner) is not MemberState.ACTIVE:
            return []
        there = set(have)
        gone = self._agreed.taken_back(tx, partner, have)
        found: list[EntryMessage] = []
        for entry, message in store.entries_of(tx.connection, one.id):
            if len(found) >= SENT_AT_ONCE_MAX:
                break
            if entry.id in there:
                if entry.origin == self._name and entry.id in gone:
                    back = taken_back(one, entry)
                    found.append(EntryMessage(origin=self._name, entry=back, proof=""))
                continue
            if entry.origin == self._name:
                made = self._message(tx, one, entry, partner)
                if made is not None:
                    found.append(made)
            elif entry.origin == partner and message is not None:
                found.append(msgspec.json.decode(message, type=EntryMessage))
        return found

    def _message(
        self, tx: Transaction, one: Operation, entry: Entry, partner: str
    ) -> EntryMessage | None:
        """What leaves of an entry of ours; nothing, and why, where it may not."""
        try:
            self._check_whole(tx, partner)
            left = self._agreed.release(tx, shared_entry(one, entry, now=tx.now), partner=partner)
        except (NoAgreement, VolumeReached) as error:
            if entry.kept_back != str(error):
                kept = msgspec.structs.replace(entry, kept_back=str(error))
                store.save_entry(tx.connection, one.id, kept)
            return None
        if entry.kept_back is not None:
            store.save_entry(tx.connection, one.id, msgspec.structs.replace(entry, kept_back=None))
        left = msgspec.structs.replace(left, modified=left.created)
        proof = proof_of(left, partner=partner, key=self._key)
        return EntryMessage(origin=self._name, entry=left, proof=proof)

    def _check_whole(self, tx: Transaction, partner: str) -> None:
        """Raises NoAgreement unless what an entry cannot do without may leave as it is."""
        granted = self._agreed.grant(tx, partner, ObjectKind.OPERATION_ENTRY).fields
        if any(granted.get(name) is not Minimisation.AS_IS for name in ALWAYS):
            raise NoAgreement(f"an entry says nothing without {', '.join(ALWAYS)}")

    def _have(self, known: Sequence[tuple[Entry, bytes | None]], partner: str) -> tuple[str, ...]:
        return tuple(
            entry.id
            for entry, _ in known
            if entry.origin in (self._name, partner) and not entry.taken_back
        )[:ENTRIES_MAX]

    def _found(self, tx: Transaction, operation_id: str) -> Operation:
        one = store.find(tx.connection, operation_id, lock=True)
        assert one is not None, "operations are never removed"
        return one

    def _failed(self, operation_id: str, partner: str, error: OpenAOCError) -> None:
        words = f"{error.code}: {error}"[:ERROR_CHARACTERS_MAX]
        with self._uow.begin(SYSTEM, purpose="a partner was not told of an operation") as tx:
            store.failed(tx.connection, operation_id, partner, error=words)
        _LOG.warning("operation_not_told", partner=partner, error=error.code)
