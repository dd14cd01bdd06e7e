"""Take-downs: the side that is asked: partners' requests on record, and our signed receipts.

Works in the caller's transaction. Takes nothing down: people do, under our own law, and say so.
"""

from __future__ import annotations

from typing import Final

import msgspec

from openaoc.channels.keys import CentreKeys
from openaoc.channels.signing import sign
from openaoc.exchange.letters import Letters
from openaoc.exchange.objects import CASE, ObjectKind
from openaoc.exchange.requests import PartnerRequest, RequestOutcome, Requests
from openaoc.exchange.takedowns import store
from openaoc.exchange.takedowns.clocks import takedown_rules
from openaoc.exchange.takedowns.model import (
    RECEIPT_METHOD,
    RECEIPTS_MAX,
    RECEIPTS_PATH,
    STEPS,
    Answer,
    KeptReceipt,
    NoSuchTakedown,
    Outcome,
    ReceiptTaken,
    ReceivedTakedown,
    ReceivedTakedowns,
    SignedReceipt,
    State,
    TakedownMark,
    TakedownMessage,
    TakedownTaken,
    after_step,
)
from openaoc.exchange.takedowns.receipts import numbered
from openaoc.exchange.takedowns.saying import emptied, found_by
from openaoc.kernel.errors import BadInput, Conflict
from openaoc.kernel.events import Event
from openaoc.kernel.paging import FIRST, Asked, Place
from openaoc.parties.permissions import Permission, require
from openaoc.storage.unit_of_work import Transaction

ENDS: Final = (Outcome.DONE, Outcome.PARTLY, Outcome.REFUSED)
"""What a request comes to: counted once, by the first of them."""
RECEIVED: Final = "exchange.takedown.received"


class Receiving:
    """The verbs of the side that is asked. One instance per centre."""

    def __init__(self, *, requests: Requests, letters: Letters, keys: CentreKeys) -> None:
        self._requests = requests
        self._letters = letters
        self._keys = keys

    def take(self, tx: Transaction, partner: str, said: TakedownMessage) -> TakedownTaken:
        """Put the partner's last word on record, and say what we said last.

        Raises BadInput for what nobody could act on.
        """
        _check(said)
        row = store.find_received(tx.connection, partner, said.request.id, lock=True)
        if row is None:
            if not self._accepted(tx, partner, said):
                return TakedownTaken(revision=said.revision, accepted=False)
            row = ReceivedTakedown(
                partner=partner,
                id=said.request.id,
                state=State.WITHDRAWN if said.withdrawn else State.SENT,
                revision=said.revision,
                request=said.request,
                received_at=tx.now,
                changed_at=tx.now,
            )
            self._keep(tx, row, action=RECEIVED)
            tx.emit(Event(name=RECEIVED, subject=row.id, at=tx.now, facts={"partner": partner}))
        elif said.revision >= row.revision:
            row = self._heard(tx, row, said)
        last = row.receipts[-1] if row.receipts else None
        receipt = None if last is None else SignedReceipt(body=last.body, signature=last.signature)
        return TakedownTaken(revision=row.revision, receipt=receipt)

    def _accepted(self, tx: Transaction, partner: str, said: TakedownMessage) -> bool:
        """Whether our agreement lets the partner ask this; counted either way.

        Without a case number of the partner's own its request is the matter it works on.
        """
        fields = said.request.fields
        asked = PartnerRequest(
            kind=ObjectKind.TAKE_DOWN.value,
            purpose=said.purpose,
            case=str(fields.get(CASE, said.request.id))[:80],
            identifier_kind=str(fields.get("identifier_kind", ""))[:40],
        )
        return self._requests.take(tx, partner, asked) is RequestOutcome.ACCEPTED

    def _heard(
        self, tx: Transaction, row: ReceivedTakedown, said: TakedownMessage
    ) -> ReceivedTakedown:
        """A newer word: asked once more, withdrawn, or a reminder."""
        state = row.state
        if said.withdrawn and state is not State.RESTORED:
            state = State.WITHDRAWN
        elif said.revision > row.revision and not said.withdrawn:
            state = State.SENT
        acted = any(each.receipt.done for each in row.receipts)
        restore = state is State.WITHDRAWN and (said.restore or acted)
        request = said.request
        if restore:
            # Who asked may not have heard that we acted: what to restore is kept until it is.
            fields = {**request.fields, **found_by(row.request)}
            request = msgspec.structs.replace(request, fields=fields)
        elif state is State.RESTORED:
            request = emptied(request)
        after = msgspec.structs.replace(
            row,
            state=state,
            revision=said.revision,
            request=request,
            reminders=said.reminders,
            restore=restore,
            changed_at=tx.now,
        )
        if after != msgspec.structs.replace(row, changed_at=tx.now):
            self._keep(tx, after, action="exchange.takedown.heard")
        return after

    def answer(
        self, tx: Transaction, takedown_id: str, answer: Answer, *, partner: str
    ) -> ReceivedTakedown:
        """A person says what was done here; the receipt is signed and carried to who asked.

        Raises NoSuchTakedown, WrongTakedownStep, BadInput.
        """
        require(tx.actor, Permission.TAKEDOWN_WORK)
        answer.check(now=tx.now)
        row = store.find_received(tx.connection, partner, takedown_id, lock=True)
        if row is None:
            raise NoSuchTakedown(takedown_id[:80])
        if len(row.receipts) >= RECEIPTS_MAX:
            raise Conflict(f"at most {RECEIPTS_MAX} receipts")
        state = after_step(row.state, STEPS[answer.outcome])
        last = row.receipts[-1].receipt.number if row.receipts else 0
        receipt = numbered(answer, takedown=row.id, number=last + 1)
        body = msgspec.json.encode(receipt)
        key = self._keys.current()
        signature = sign(
            body, key=key, method=RECEIPT_METHOD, path=row.id, now=tx.now, audience=partner
        )
        kept = KeptReceipt(
            receipt=receipt,
            by=tx.actor.id,
            received_at=tx.now,
            body=body.decode(),
            signature=signature,
            kid=key.kid,
        )
        after = msgspec.structs.replace(
            row,
            state=state,
            receipts=(*row.receipts, kept),
            restore=row.restore and state is not State.RESTORED,
            request=emptied(row.request) if state is State.RESTORED else row.request,
            changed_at=tx.now,
        )
        self._keep(tx, after, action=f"exchange.takedown.answered_{answer.outcome.value}")
        if answer.outcome in ENDS and not any(e.receipt.outcome in ENDS for e in row.receipts):
            self._requests.ended(tx, partner, met=answer.outcome is not Outcome.REFUSED)
        message = SignedReceipt(body=kept.body, signature=signature)
        self._letters.write(tx, partner, path=RECEIPTS_PATH, matter=row.id, message=message)
        return after

    @staticmethod
    def told(tx: Transaction, partner: str, takedown_id: str, answer: ReceiptTaken) -> None:
        """Who asked has our receipt, or never asked in this life of it."""
        if not answer.known:
            tx.journal(
                action="exchange.takedown.forgotten",
                subject=takedown_id,
                reason=f"{partner} does not know that it asked for this",
            )

    def page(self, tx: Transaction, asked: Asked = FIRST) -> ReceivedTakedowns:
        """Partners' requests to us, a page, the newest first. Raises NotPermitted, BadInput."""
        require(tx.actor, Permission.EXCHANGE_READ)
        rows = store.newest_received(tx.connection, asked)
        shown, more = asked.cut(
            rows, lambda one: Place(one.received_at, f"{one.id}/{one.partner}").cursor()
        )
        return ReceivedTakedowns(takedowns=shown, cursor=more)

    @staticmethod
    def _keep(tx: Transaction, row: ReceivedTakedown, *, action: str) -> None:
        store.put_received(tx.connection, row)
        last = row.receipts[-1] if row.receipts else None
        mark = TakedownMark(
            partner=row.partner,
            target=str(row.request.fields.get("target", "")),
            identifier_kind=str(row.request.fields.get("identifier_kind", "")),
            state=row.state.value,
            revision=row.revision,
            done=() if last is None else tuple(done.value for done in last.receipt.done),
            signed_by=None if last is None else last.kid,
        )
        tx.journal(action=action, subject=row.id, after=mark, authority=row.partner)


def _check(said: TakedownMessage) -> None:
    one = said.request
    if one.kind is not ObjectKind.TAKE_DOWN or not one.id.startswith("take-down--"):
        raise BadInput("not a take-down", where="request.kind")
    for name in ("identifier_kind", "value", "target"):
        text = one.fields.get(name)
        if not isinstance(text, str) or not text or "\0" in text:
            raise BadInput("is needed", where=f"request.{name}")
    if one.fields["target"] not in [target.value for target in takedown_rules().target]:
        raise BadInput("no such target", where="request.target")
