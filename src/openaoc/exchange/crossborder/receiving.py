"""Across borders: the side that is asked: requests on record, and what we say became of the money.

Works in the caller's transaction. Holds nothing: our own case does, under our own law and standing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from openaoc.cases.model import CaseState, Figures
from openaoc.exchange.crossborder import store
from openaoc.exchange.crossborder.model import (
    AnswerMessage,
    EarlierLife,
    NoSuchRequest,
    ReceivedRequest,
    ReceivedState,
    RequestMark,
    RequestMessage,
    RequestTaken,
    Settled,
    check_step,
)
from openaoc.exchange.crossborder.rows import Received
from openaoc.exchange.crossborder.sums import (
    NOT_FOUND,
    PARTS,
    Amounts,
    amounts_of,
    amounts_told,
    is_newer,
    nothing_found,
)
from openaoc.exchange.line import Agreed
from openaoc.exchange.model import NoAgreement, VolumeReached
from openaoc.exchange.objects import (
    CASE,
    FieldValue,
    ObjectKind,
    ReleasedObject,
    SharedObject,
    keyed_object_id,
)
from openaoc.exchange.requests import PartnerRequest, RequestOutcome, Requests
from openaoc.kernel.clock import format_time, parse_time
from openaoc.kernel.errors import BadInput
from openaoc.kernel.events import Event
from openaoc.kernel.identifiers.bank_account import normalise_account, normalise_bank
from openaoc.kernel.markings import Marking
from openaoc.kernel.money import AMOUNT_MINOR_MAX, check_currency
from openaoc.kernel.offences import Offence
from openaoc.storage.canonical import canonical_json
from openaoc.storage.centre_state import read_state
from openaoc.storage.unit_of_work import Transaction

RECEIVED: Final = "exchange.request.received"
ENDS_AS: Final[dict[ReceivedState, Settled | None]] = {
    ReceivedState.REFUSED: Settled.REFUSED,
    ReceivedState.WITHDRAWN: Settled.WITHDRAWN,
    ReceivedState.SEEKING: None,
}
"""How a request ends in a state; what is asked anew is open again."""


class Told(NamedTuple):
    """What a request says, checked."""

    institution: str
    account: str
    amount_minor: int
    sent_minor: int | None
    currency: str
    at: datetime


class Ours(NamedTuple):
    """Our case for a request: its number, state and latest trace."""

    case_id: str
    state: CaseState
    figures: Figures


class Receiving:
    """The verbs of the side that is asked. One instance per centre."""

    def __init__(self, *, agreed: Agreed, requests: Requests, key: bytes) -> None:
        self._agreed = agreed
        self._requests = requests
        self._key = key

    def take(self, tx: Transaction, partner: str, said: RequestMessage) -> RequestTaken:
        """Put the partner's last word on record, and say what we say of it now.

        Its effect follows by itself. Raises NoAgreement, BadInput for what says nothing,
        EarlierLife for a word of a life that is over.
        """
        self._agreed.grant(tx, partner, ObjectKind.TRACE_ANSWER)
        epoch = read_state(tx.connection).epoch
        told(said.request)
        row = store.received(tx.connection, partner, said.request.id, lock=True)
        if row is None:
            case = said.request.fields.get(CASE, "")
            asked = PartnerRequest(
                kind=ObjectKind.TRACE_REQUEST.value, purpose=said.purpose, case=str(case)
            )
            if self._requests.take(tx, partner, asked) is not RequestOutcome.ACCEPTED:
                return RequestTaken(epoch=epoch, revision=said.revision, accepted=False)
            row = _fresh(tx, partner, said)
            store.add_received(tx.connection, row)
            tx.journal(action=RECEIVED, subject=row.id, after=_mark(row), authority=partner)
            tx.emit(Event(name=RECEIVED, subject=row.id, at=tx.now, facts={"partner": partner}))
        else:
            word, last = (said.epoch, said.revision), (row.epoch, row.revision)
            if word[0] < last[0]:
                raise EarlierLife("this centre heard a later life of yours", where="epoch")
            if is_newer(word, last):
                row = self._revise(tx, row, said)
        return RequestTaken(epoch=epoch, revision=row.revision, answer=row.answered(epoch=epoch))

    @staticmethod
    def _revise(tx: Transaction, row: Received, said: RequestMessage) -> Received:
        body = _body(said)
        kept = msgspec.structs.replace(
            row,
            epoch=said.epoch,
            revision=said.revision,
            body=body,
            look_at=tx.now,
            changed_at=tx.now,
        )
        store.save_received(tx.connection, kept)
        tx.journal(
            action="exchange.request.revised",
            subject=row.id,
            before=_mark(row),
            after=_mark(kept),
            authority=row.partner,
        )
        return kept

    def sought(self, tx: Transaction, *, limit: int) -> list[Received]:
        """Requests whose next step is due."""
        return store.to_look_for(tx.connection, now=tx.now, limit=limit)

    def among(self, tx: Transaction, case_ids: Sequence[str]) -> list[str]:
        """Those of these cases that a request of ours or of a partner's is about."""
        return store.cases_concerned(tx.connection, case_ids)

    def of_cases(self, tx: Transaction, case_ids: Sequence[str]) -> list[Received]:
        """The requests that these cases of ours were opened for, locked."""
        found = store.received_of_cases(tx.connection, case_ids)
        return [self.row(tx, row.partner, row.id) for row in found]

    def row(self, tx: Transaction, partner: str, request_id: str) -> Received:
        """The request, locked. Raises NoSuchRequest."""
        row = store.received(tx.connection, partner, request_id, lock=True)
        if row is None:
            raise NoSuchRequest(request_id[:80])
        return row

    def move(
        self,
        tx: Transaction,
        row: Received,
        state: ReceivedState,
        *,
        why: str | None = None,
        look_at: datetime | None = None,
        **changes: object,
    ) -> Received:
        """The request in another state, or in the same with other facts."""
        kept = msgspec.structs.replace(
            row,
            **changes,
            state=check_step(row.state, state),
            why=why,
            look_at=look_at,
            changed_at=tx.now,
        )
        kept = _settled(tx, kept, ENDS_AS.get(kept.state, row.settled_as))
        store.save_received(tx.connection, kept)
        if kept.state is not row.state or kept.case_id != row.case_id:
            tx.journal(
                action=f"exchange.request.{state.value}",
                subject=row.id,
                before=_mark(row),
                after=_mark(kept),
                reason=why or "",
            )
        return kept

    def say(self, tx: Transaction, row: Received, ours: Ours | None) -> bool:
        """Keep what we say of the request now, if it is not what we said last; whether it is new.

        Where the agreement lets no answer leave, nothing is said and `why` says so.
        """
        outcome, amounts = _outcome(row, ours)
        shared = self._shared(tx, row, ours, outcome=outcome, amounts=amounts)
        said = [row.revision, outcome, shared.case, *msgspec.structs.astuple(amounts)]
        digest = hashlib.sha256(canonical_json(said)).hexdigest()
        if digest == row.answer_digest:
            return False
        try:
            released = self._agreed.release(tx, shared, partner=row.partner)
        except (NoAgreement, VolumeReached) as error:
            store.save_received(tx.connection, msgspec.structs.replace(row, why=str(error)))
            return False
        answer = AnswerMessage(
            epoch=read_state(tx.connection).epoch,
            revision=row.answer_revision + 1,
            request=row.id,
            request_revision=row.revision,
            asked_minor=_asked(row),
            answer=released,
        )
        kept = msgspec.structs.replace(
            row,
            answer=msgspec.json.encode(answer),
            answer_revision=answer.revision,
            answer_digest=digest,
            due_at=tx.now,
            changed_at=tx.now,
        )
        if amounts.found_minor:
            kept = _settled(tx, kept, Settled.MET)
        store.save_received(tx.connection, kept)
        tx.journal(
            action="exchange.request.answered_to",
            subject=row.id,
            after=_mark(kept, amounts=amounts),
            reason=outcome,
        )
        return True

    def _shared(
        self, tx: Transaction, row: Received, ours: Ours | None, *, outcome: str, amounts: Amounts
    ) -> SharedObject:
        request = told(row.request())
        fields: dict[str, FieldValue] = {name: getattr(amounts, name) for name in PARTS}
        fields[NOT_FOUND] = amounts.not_found_minor
        fields |= {
            "outcome": outcome,
            "currency": request.currency,
            "as_of": format_time(tx.now),
            "legal_basis": self._agreed.legal_basis(tx, row.partner),
            "revision": row.answer_revision + 1,
        }
        if row.why:
            fields["reason"] = row.why
        name = f"{row.partner}\0{row.id}"
        return SharedObject(
            id=keyed_object_id(ObjectKind.TRACE_ANSWER, key=self._key, name=name),
            kind=ObjectKind.TRACE_ANSWER,
            created=row.opened_at,
            modified=max(tx.now, row.opened_at),
            marking=Marking.AMBER,
            offences=tuple(Offence),
            fields=fields,
            case=None if ours is None else ours.case_id,
        )

    def was_taken(
        self, tx: Transaction, row: Received, *, revision: int, epoch: int, known: bool
    ) -> None:
        """The partner has this word on record, in this life of it."""
        now = store.received(tx.connection, row.partner, row.id, lock=True)
        if now is None:
            return
        error = None if known else "the asking centre has no such request any more"
        kept = msgspec.structs.replace(
            now,
            taken_revision=max(now.taken_revision, revision),
            taken_epoch=max(now.taken_epoch, epoch),
            last_error=error,
            due_at=tx.now,
        )
        store.save_received(tx.connection, kept)
        if error is not None and now.last_error != error:
            tx.journal(
                action="exchange.request.forgotten", subject=row.id, after=_mark(kept), reason=error
            )

    def was_refused(
        self, tx: Transaction, row: Received, *, error: str, again_at: datetime
    ) -> None:
        """The partner does not take the answer as it is; it is offered again later."""
        now = store.received(tx.connection, row.partner, row.id, lock=True)
        if now is not None:
            kept = msgspec.structs.replace(now, last_error=error, due_at=again_at)
            store.save_received(tx.connection, kept)


def _settled(tx: Transaction, row: Received, as_: Settled | None) -> Received:
    """How the request ended: met stays met, what is asked anew is open again."""
    if row.settled_as in (as_, Settled.MET):
        return row
    return msgspec.structs.replace(row, settled_as=as_, settled_at=None if as_ is None else tx.now)


def told(request: ReleasedObject) -> Told:
    """What the request says. Raises BadInput, with the field, for what nobody could follow."""
    fields = request.fields
    if request.kind is not ObjectKind.TRACE_REQUEST:
        raise BadInput("not a request", where="request.kind")
    texts = {}
    for name in ("institution", "account", "currency", "received_at"):
        value = fields.get(name)
        if not isinstance(value, str) or "\0" in value:
            raise BadInput("is needed", where=f"request.{name}")
        texts[name] = value
    amount, sent = fields.get("amount_minor"), fields.get("sent_minor")
    if not isinstance(amount, int) or not 0 <= amount <= AMOUNT_MINOR_MAX:
        raise BadInput("not an amount", where="request.amount_minor")
    if sent is not None and (not isinstance(sent, int) or not amount <= sent <= AMOUNT_MINOR_MAX):
        raise BadInput("less than what is asked about", where="request.sent_minor")
    return Told(
        institution=normalise_bank(texts["institution"], where="request.institution"),
        account=normalise_account(texts["account"], where="request.account"),
        amount_minor=amount,
        sent_minor=sent,
        currency=check_currency(texts["currency"], where="request.currency"),
        at=parse_time(texts["received_at"], where="request.received_at"),
    )


def view(row: Received) -> ReceivedRequest:
    """A partner's request as staff see it."""
    said = row.answered(epoch=0)
    return ReceivedRequest(
        id=row.id,
        partner=row.partner,
        state=row.state,
        revision=row.revision,
        request=row.request(),
        case=row.case_id,
        why=row.why,
        candidates=row.candidates,
        amounts=None if said is None else amounts_told(said.answer.fields),
        answer_revision=row.answer_revision,
        taken_revision=row.taken_revision,
        last_error=row.last_error,
        opened_at=row.opened_at,
    )


def is_withdrawn(row: Received) -> bool:
    """Whether the partner takes the request back."""
    return row.request().revoked


def _asked(row: Received) -> int:
    return 0 if is_withdrawn(row) else told(row.request()).amount_minor


def _outcome(row: Received, ours: Ours | None) -> tuple[str, Amounts]:
    asked = _asked(row)
    if ours is None or row.state is not ReceivedState.OPENED or ours.state is CaseState.DROPPED:
        dropped = ours is not None and row.state is ReceivedState.OPENED
        return "dropped" if dropped else row.state.value, nothing_found(asked)
    return ours.state.value, amounts_of(
        ours.figures, claimed_minor=row.claimed_minor, asked_minor=asked
    )


def _body(said: RequestMessage) -> bytes:
    return msgspec.json.encode(msgspec.structs.replace(said.request, revoked=said.withdrawn))


def _fresh(tx: Transaction, partner: str, said: RequestMessage) -> Received:
    return Received(
        partner=partner,
        id=said.request.id,
        epoch=said.epoch,
        revision=said.revision,
        body=_body(said),
        state=ReceivedState.SEEKING,
        case_id=None,
        matched_by=None,
        matched_id=None,
        booked_currency=None,
        claimed_minor=0,
        candidates=0,
        why=None,
        answer_revision=0,
        answer=None,
        answer_digest=None,
        taken_revision=0,
        taken_epoch=0,
        last_error=None,
        due_at=tx.now,
        opened_at=tx.now,
        changed_at=tx.now,
        look_at=tx.now,
        settled_as=None,
        settled_at=None,
    )


def _mark(row: Received, *, amounts: Amounts | None = None) -> RequestMark:
    request = told(row.request())
    return RequestMark(
        partner=row.partner,
        case=row.case_id,
        state=row.state.value,
        revision=row.revision,
        asked_minor=_asked(row),
        currency=request.currency,
        amounts=amounts,
    )
