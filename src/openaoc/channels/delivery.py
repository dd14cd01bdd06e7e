"""Channels: one run of delivery to one institution: take what is due, sign, send, record.

A run is safe to repeat at any point: what it sends carries idempotency keys, and a message leaves
the outbox only after the institution's system said that it has it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from random import Random, SystemRandom
from typing import Final
from urllib.parse import urlsplit

import msgspec
import structlog

from openaoc.channels import store
from openaoc.channels.backoff import backoff
from openaoc.channels.carriers import JSON_PATH, Carried, alike, carry, format_of
from openaoc.channels.iso20022.xml import NotValid
from openaoc.channels.keys import CentreKeys
from openaoc.channels.model import (
    BATCHES_PER_RUN_MAX,
    MESSAGES_PER_BATCH_MAX,
    REFUSALS_MAX,
    BadEndpoint,
    DeliveryReply,
    InlineAnswer,
    Message,
    MessageState,
    OutboxMessage,
    check_endpoint,
)
from openaoc.channels.signing import HEADER, Verified, sign
from openaoc.channels.transport import NotReached, Reply, Transport
from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.clock import Clock
from openaoc.kernel.errors import OpenAOCError
from openaoc.kernel.events import Event
from openaoc.parties.model import MessageFormat
from openaoc.parties.service import Parties
from openaoc.storage.centre_state import read_state
from openaoc.storage.unit_of_work import Transaction, UnitOfWork

log = structlog.get_logger("openaoc.channels")

ORDER_KIND: Final = "hold.order"
"""The kind of message that is acknowledged, answered and settled as an order."""
PURPOSE: Final = "deliver messages to institutions"
METHOD_OF_REPLY: Final = "REPLY"
"""What a signed reply names as its method, so that it cannot pass for a request."""
_TAKEN: Final = range(200, 300)
_REFUSED: Final = frozenset({400, 409, 410, 413, 415, 422})
"""Statuses that blame a message, not the line."""

AnswerSink = Callable[
    [str, Sequence[InlineAnswer], Verified | None], Sequence[tuple[str, OpenAOCError]]
]
"""Takes (institution, answers, who signed them) of answers that came in the reply itself; gives
(order, refusal) of those that were refused."""
DeliveredSink = Callable[[Sequence[OutboxMessage]], None]
"""Takes the messages an institution's system has now; called after they left the outbox."""
ReplyCheck = Callable[[str, Reply, str], Verified | None]
"""Takes (institution, reply, path); gives who signed it, if anybody had to; raises
BadSignature for a reply that must be signed."""

Completion = Callable[[bytes], bytes]
"""Takes a body as it rests in the outbox, gives it as it is signed and sent."""

_decode_reply = msgspec.json.Decoder(DeliveryReply).decode


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """Messages of one form that are due at one institution, and our epoch."""

    to: str
    at: str
    batch: list[OutboxMessage]
    form: MessageFormat
    epoch: int
    more: bool
    """Whether others may wait behind them."""


class DeliveryRun:
    """What a run needs; shared by all institutions, holds no state of its own."""

    def __init__(
        self,
        *,
        uow: UnitOfWork,
        parties: Parties,
        keys: CentreKeys,
        clock: Clock,
        transport: Transport,
        check_reply: ReplyCheck,
        on_answer: AnswerSink | None,
        on_delivered: DeliveredSink | None = None,
        completions: Mapping[str, Completion] | None = None,
        may_send: Callable[[], bool] = lambda: True,
        random: Random | None = None,
        centre: str = "OPENAOC",
    ) -> None:
        self._uow = uow
        self._parties = parties
        self._keys = keys
        self._clock = clock
        self._centre = centre
        self._transport = transport
        self._check_reply = check_reply
        self._on_answer = on_answer
        self._on_delivered = on_delivered
        self._completions = completions or {}
        self._may_send = may_send
        self._random = random or SystemRandom()

    def deliver(self, institution: str) -> bool:
        """Send what is due to the institution; whether there may be more at once."""
        singly = 0
        for _ in range(BATCHES_PER_RUN_MAX):
            due = self._take(institution, limit=1 if singly else MESSAGES_PER_BATCH_MAX)
            if due is None:
                return False
            batch = due.batch
            outcome = self._send(due)
            if outcome is None or outcome.status in _REFUSED:
                if outcome is None:
                    return False
                if len(batch) > 1:
                    singly = len(batch)
                    continue
                self._refused(batch[0], f"HTTP {outcome.status}")
            else:
                self._delivered(due, outcome)
                if not due.more:
                    return False
            singly = max(singly - 1, 0)
        return True

    def _take(self, institution: str, *, limit: int) -> Due | None:
        """The oldest messages due that go in one form, if the line may be tried now."""
        with self._uow.read(SYSTEM) as tx:
            state = read_state(tx.connection)
            line = store.line(tx.connection, institution)
            late = line is not None and line.failures and line.next_attempt_at > tx.now
            if not state.delivers or late or not self._may_send():
                return None
            to = self._parties.institution(tx, institution)
            if to.endpoint is None:
                return None
            waiting = store.waiting(tx.connection, institution=institution, now=tx.now, limit=limit)
        batch = alike(waiting, spoken=to.message_format)
        if not batch:
            return None
        more = len(waiting) == limit or len(batch) < len(waiting)
        form = format_of(batch[0], spoken=to.message_format)
        return Due(
            to=institution, at=to.endpoint, batch=batch, form=form, epoch=state.epoch, more=more
        )

    def _send(self, due: Due) -> Reply | None:
        """The reply to a signed batch; None, with the line marked, when the line failed."""
        try:
            carried = self._carried(due)
        except NotValid as error:  # ours to mend: one message must not stop the line
            log.exception("message_not_valid", institution=due.to, error=error.detail)
            return Reply(status=HTTPStatus.UNPROCESSABLE_ENTITY, body=b"", signature=None)
        try:
            url = check_endpoint(due.at) + carried.path
            reply = self._transport.post(
                url, body=carried.body, headers=self._headers(url, carried, due.to)
            )
        except (NotReached, BadEndpoint) as error:
            self._line_failed(due.to, str(error))
            return None
        if reply.status in _TAKEN or reply.status in _REFUSED:
            return reply
        self._line_failed(due.to, f"HTTP {reply.status}")
        return None

    def _carried(self, due: Due) -> Carried:
        return carry(
            [self._on_the_wire(message) for message in due.batch],
            form=due.form,
            institution=due.to,
            centre=self._centre,
            epoch=due.epoch,
            now=self._clock.now(),
        )

    def _on_the_wire(self, message: OutboxMessage) -> Message:
        complete = self._completions.get(message.kind)
        return Message(
            id=message.id,
            kind=message.kind,
            idempotency_key=message.idempotency_key,
            body=msgspec.Raw(message.body if complete is None else complete(message.body)),
        )

    def _headers(self, url: str, carried: Carried, institution: str) -> dict[str, str]:
        signature = sign(
            carried.body,
            key=self._keys.current(),
            method="POST",
            path=urlsplit(url).path,
            now=self._clock.now(),
            audience=institution,
        )
        return {
            "Content-Type": carried.content_type,
            "Accept-Encoding": "identity",
            HEADER: signature,
        }

    def _delivered(self, due: Due, reply: Reply) -> None:
        """Take the batch out of the outbox, tell later stages, then take answers in the reply."""
        institution, batch = due.to, due.batch
        ids = [message.id for message in batch]
        with self._uow.begin(SYSTEM, purpose=PURPOSE) as tx:
            store.end_messages(tx.connection, ids, state=MessageState.DELIVERED, now=tx.now)
            store.line_works(tx.connection, institution, now=tx.now)
            for message in batch:
                _tell(tx, "channels.message.delivered", message)
        self._say_delivered(institution, batch)
        if due.form is MessageFormat.JSON:
            path = urlsplit(due.at.rstrip("/") + JSON_PATH).path
            self._take_answers(institution, reply, path=path)

    def _say_delivered(self, institution: str, batch: Sequence[OutboxMessage]) -> None:
        """Tell whoever keeps the orders; a failure there does not undo the delivery."""
        if self._on_delivered is None:
            return
        try:
            self._on_delivered(batch)
        except OpenAOCError as error:
            log.warning("delivered_not_noted", institution=institution, error=error.code)

    def _take_answers(self, institution: str, reply: Reply, *, path: str) -> None:
        """Answers in the reply; a wrong one is logged and does not hide the others.

        What cannot be read is not an answer: the institution is asked again by escalation.
        """
        if not reply.body.strip() or self._on_answer is None:
            return
        try:
            answers = _decode_reply(reply.body).answers
            if not answers:
                return
            verified = self._check_reply(institution, reply, path)
            refused = self._on_answer(institution, answers, verified)
        except (msgspec.MsgspecError, UnicodeDecodeError, OpenAOCError) as error:
            log.warning("reply_unusable", institution=institution, error=type(error).__name__)
            return
        for order, refusal in refused:
            log.warning("answer_refused", institution=institution, order=order, error=refusal.code)

    def _line_failed(self, institution: str, error: str) -> None:
        """Count the failure and put off the whole line."""
        with self._uow.begin(SYSTEM, purpose=PURPOSE) as tx:
            line = store.line(tx.connection, institution)
            failures = (int(line.failures) if line is not None else 0) + 1
            next_at = tx.now + backoff(failures, random=self._random)
            store.line_failed(
                tx.connection, institution, now=tx.now, next_at=next_at, error=error[:200]
            )
        log.warning("line_failed", institution=institution, failures=failures, error=error[:200])

    def _refused(self, message: OutboxMessage, error: str) -> None:
        """The institution refuses this one message: put it off, at the end give it up."""
        with self._uow.begin(SYSTEM, purpose=PURPOSE) as tx:
            refusals = message.refusals + 1
            due_at = tx.now + backoff(refusals, random=self._random)
            store.postpone_message(tx.connection, message.id, due_at=due_at, error=error)
            store.line_works(tx.connection, message.institution, now=tx.now)
            if refusals >= REFUSALS_MAX:
                give_up(tx, message, reason="refused")
        log.warning("message_refused", institution=message.institution, message=message.id)


def give_up(tx: Transaction, message: OutboxMessage, *, reason: str) -> None:
    """End a message that cannot be delivered; a person learns of it by the event."""
    store.end_messages(tx.connection, [message.id], state=MessageState.GIVEN_UP, now=tx.now)
    _tell(tx, "channels.message.given_up", message, reason=reason)
    log.error("message_given_up", institution=message.institution, message=message.id)


def escalate(tx: Transaction, message: OutboxMessage, *, reason: str) -> None:
    """Tell later stages, once, that the institution does not have this message in time."""
    _tell(tx, "channels.message.escalated", message, reason=reason)
    log.warning("message_escalated", institution=message.institution, reason=reason)


def _tell(tx: Transaction, name: str, message: OutboxMessage, *, reason: str = "") -> None:
    facts: dict[str, str | int] = {"institution": message.institution, "kind": message.kind}
    if reason:
        facts["reason"] = reason
    tx.emit(Event(name=name, subject=message.subject, at=tx.now, facts=facts))
