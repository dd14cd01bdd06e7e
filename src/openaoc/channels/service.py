"""Channels: put a message into the outbox, deliver it, check what comes back.

Enqueueing joins the caller's transaction: an order that is committed is on its way, whatever dies
next. Never decides what a message says.
"""

from __future__ import annotations

import functools
import hashlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final

import msgspec

from openaoc.channels import store
from openaoc.channels.delivery import (
    METHOD_OF_REPLY,
    ORDER_KIND,
    AnswerSink,
    Completion,
    DeliveredSink,
    DeliveryRun,
    escalate,
    give_up,
)
from openaoc.channels.dispatcher import DELIVERY_THREADS, Dispatcher
from openaoc.channels.keys import CentreKeys
from openaoc.channels.model import (
    BODY_BYTES_MAX,
    ESCALATION_SHARE,
    FAILURES_BEFORE_ESCALATION,
    KEEP_TRYING,
    KEPT_AFTER_DELIVERY,
    MESSAGES_PER_BATCH_MAX,
    LineStatus,
    MessageState,
    MessageTooLarge,
    NewMessage,
    OutboxMessage,
    Uncertain,
    new_message_id,
)
from openaoc.channels.replay import Replay
from openaoc.channels.signing import Jwks, PublicJwk, Verified, parse_public_jwk, verify
from openaoc.channels.transport import HttpTransport, Reply, Transport
from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.clock import Clock
from openaoc.kernel.errors import Conflict
from openaoc.parties.model import PublicKey
from openaoc.parties.service import Parties
from openaoc.storage.journal_rows import JournalEntry
from openaoc.storage.unit_of_work import Transaction, UnitOfWork

REQUESTS_KEPT: Final = timedelta(days=7)
"""How long a repeated request still gets its first answer."""
KEYS_KEPT_SECONDS: Final = 1.0
KEYS_KEPT_MAX: Final = 1_000
_NEVER: Final = datetime.max.replace(tzinfo=UTC)
HOUSEKEEPING_EVERY: Final = timedelta(minutes=1)
UNCERTAIN_LISTED_MAX: Final = 10_000


class SetAside(msgspec.Struct, frozen=True, kw_only=True):
    """How many messages were waiting when the data was backed up."""

    messages: int


class Channels:
    """The stage's verbs. One instance per centre."""

    def __init__(
        self,
        *,
        uow: UnitOfWork,
        parties: Parties,
        keys: CentreKeys,
        clock: Clock,
        transport: Transport | None = None,
        centre: str = "OPENAOC",
    ) -> None:
        """`centre` is the name under which it speaks to institutions by ISO 20022."""
        self._uow = uow
        self._parties = parties
        self._keys = keys
        self._clock = clock
        self._transport = transport
        self._centre = centre
        self._replay = Replay()
        self._keys_lock = threading.Lock()
        self._keys_forgotten = 0
        self._keys_known: dict[str, tuple[float, Mapping[str, tuple[PublicJwk, datetime]]]] = {}
        self._completions: dict[str, Completion] = {}
        self._dispatcher: Dispatcher | None = None
        self._woken: Callable[[str], None] | None = None
        self._housekept: datetime | None = None
        self._may_send: Callable[[], bool] = _always

    def enqueue_many(self, tx: Transaction, fresh: Sequence[NewMessage]) -> list[str]:
        """Put messages into the outbox of this transaction, in this order; their keys.

        A key follows from kind, subject and content: enqueued twice, it is one message. Delivery
        begins when the transaction commits; for an institution without an endpoint the message
        waits at the liaison's desk. All messages of a transaction are written in one statement at
        its end. Raises MessageTooLarge.
        """
        messages = [_outgoing(message, now=tx.now) for message in fresh]
        tx.gather("channels.outbox", messages, self._add)
        return [message.idempotency_key for message in messages]

    def nth_newest(
        self, tx: Transaction, *, institution: str, kind: str, count: int
    ) -> datetime | None:
        """By when the `count`-th last message of a kind to an institution is to be answered.

        None where there are fewer. What this transaction enqueued is not counted.
        """
        return store.nth_newest(tx.connection, institution=institution, kind=kind, count=count)

    def _add(self, tx: Transaction, messages: list[OutboxMessage]) -> None:
        store.add_messages(tx, messages)
        for institution in sorted({message.institution for message in messages}):
            tx.after_commit(functools.partial(self.wake, institution))

    def complete_with(self, kind: str, complete: Completion) -> None:
        """Bodies of this kind get what must not rest in the outbox as they are signed and sent."""
        self._completions[kind] = complete

    def settle(
        self, tx: Transaction, *, subject: str, kinds: Iterable[str] = (ORDER_KIND,)
    ) -> None:
        """The subject was answered another way: its waiting messages of these kinds are done."""
        self.settle_many(tx, subjects=[subject], kinds=kinds)

    def settle_many(
        self, tx: Transaction, *, subjects: Sequence[str], kinds: Iterable[str] = (ORDER_KIND,)
    ) -> None:
        """As `settle`, for many subjects."""
        store.settle_subjects(tx, subjects=subjects, kinds=list(kinds))

    def uncertain(self, tx: Transaction) -> list[Uncertain]:
        """Messages that may have been sent before a restore, at most UNCERTAIN_LISTED_MAX."""
        return store.uncertain(tx.connection, limit=UNCERTAIN_LISTED_MAX)

    def decide(self, tx: Transaction, ids: Sequence[str], *, send: bool, reason: str) -> int:
        """Let uncertain messages go out, under the keys they had, or be done; how many.

        Raises Conflict when one of them is not uncertain.
        """
        state = MessageState.WAITING if send else MessageState.SETTLED
        institutions = store.decide_uncertain(tx.connection, ids, state=state, now=tx.now)
        if len(institutions) != len(set(ids)):
            raise Conflict("one of these messages is not uncertain")
        action = "channels.message.let_go" if send else "channels.message.settled"
        tx.journal_many(
            [JournalEntry(action=action, subject=one, reason=reason) for one in sorted(set(ids))]
        )
        for institution in sorted(set(institutions)):
            tx.after_commit(functools.partial(self.wake, institution))
        return len(institutions)

    def wake(self, institution: str) -> None:
        """Deliver to the institution now if it has something due (after a new endpoint, say)."""
        dispatcher = self._dispatcher  # a stop may take it away meanwhile
        if dispatcher is not None:
            dispatcher.wake(institution)
        elif self._woken is not None:
            self._woken(institution)

    def verify_incoming(
        self,
        tx: Transaction,
        *,
        institution: str,
        header: str | None,
        body: bytes,
        method: str,
        path: str,
    ) -> bool:
        """Whether the institution's request is signed, checked in this transaction.

        An institution with registered keys must sign: raises BadSignature for a missing, forged,
        stale or repeated signature. One without keys is False: its API key alone speaks for it.
        """
        keys = self._public_keys(tx, institution)
        if not keys and header is None:
            return False
        verified = verify(body, header=header, keys=keys, method=method, path=path, now=tx.now)
        self._replay.remember(tx, verified)
        return True

    def read_signature(
        self, *, institution: str, header: str | None, body: bytes, method: str, path: str
    ) -> Verified | None:
        """Who signed the request; None for an institution without keys that did not sign.

        Raises as `verify_incoming` does, but for a repeated signature: whoever carries the
        request out calls `accept_together` in the transaction of its effect. Keys are looked up
        at most once in KEYS_KEPT_SECONDS.
        """
        now = self._clock.now()
        keys = {k: jwk for k, (jwk, end) in self._known_keys(institution).items() if now < end}
        if not keys and header is None:
            return None
        verified = verify(body, header=header, keys=keys, method=method, path=path, now=now)
        self._replay.count(verified.kid, now)
        return verified

    def forget_keys(self) -> None:
        """An institution's key changed: look all of them up again."""
        with self._keys_lock:
            self._keys_forgotten += 1
            self._keys_known.clear()

    def _known_keys(self, institution: str) -> Mapping[str, tuple[PublicJwk, datetime]]:
        """The institution's keys, each with the moment from which it is retired."""
        moment = time.monotonic()
        with self._keys_lock:
            until, keys = self._keys_known.get(institution, (0.0, {}))
            forgotten = self._keys_forgotten
        if moment < until:
            return keys
        with self._uow.read(SYSTEM, purpose="an institution's keys") as tx:
            found = self._parties.public_keys(tx, institution)
        keys = {key.kid: (parse_public_jwk(key.jwk), key.retired_at or _NEVER) for key in found}
        with self._keys_lock:
            if forgotten == self._keys_forgotten:
                if len(self._keys_known) >= KEYS_KEPT_MAX:
                    self._keys_known.clear()
                self._keys_known[institution] = (moment + KEYS_KEPT_SECONDS, keys)
        return keys

    def jwks(self) -> Jwks:
        """The centre's public keys that are valid now, newest first."""
        return self._keys.jwks(self._clock.now())

    def rotate_key(self, tx: Transaction) -> PublicJwk:
        """Sign with a fresh key from now on; the old one stays valid for its overlap."""
        public = self._keys.rotate(tx.now).public()
        tx.journal(action="channels.key.rotated", subject=public.kid, after=public)
        return public

    def lines(self, tx: Transaction) -> list[LineStatus]:
        """How the line to each institution is that has messages waiting or fails."""
        return store.line_statuses(tx.connection)

    def send_only_while(self, may_send: Callable[[], bool]) -> None:
        """Ask before each batch whether this centre is the one that sends. Before `start`."""
        self._may_send = may_send

    def start(
        self, *, on_answer: AnswerSink | None = None, on_delivered: DeliveredSink | None = None
    ) -> None:
        """Begin to deliver.

        `on_answer` takes answers that come in a delivery's reply, `on_delivered` the messages an
        institution's system has taken.
        """
        assert self._dispatcher is None, "delivery is running"
        transport = self._transport or HttpTransport(connections_max=2 * DELIVERY_THREADS)
        run = self._run(transport, on_answer=on_answer, on_delivered=on_delivered)
        self._dispatcher = Dispatcher(deliver=run.deliver, sweep=self.sweep)
        self._dispatcher.start()
        self._open_transport = transport

    def by_hand(self, *, transport: Transport, woken: Callable[[str], None]) -> DeliveryRun:
        """A run for who delivers by a clock of their own, instead of `start`.

        `woken` hears of every institution that has something due.
        """
        assert self._dispatcher is None, "delivery is running"
        self._woken = woken
        same = Random(0)  # noqa: S311 - pauses that are the same each time
        return self._run(transport, on_answer=None, on_delivered=None, random=same)

    def _run(
        self,
        transport: Transport,
        *,
        on_answer: AnswerSink | None,
        on_delivered: DeliveredSink | None,
        random: Random | None = None,
    ) -> DeliveryRun:
        return DeliveryRun(
            may_send=self._sends,
            uow=self._uow,
            parties=self._parties,
            keys=self._keys,
            clock=self._clock,
            transport=transport,
            check_reply=self._check_reply,
            on_answer=on_answer,
            on_delivered=on_delivered,
            completions=self._completions,
            centre=self._centre,
            random=random,
        )

    def _sends(self) -> bool:
        """Whether another batch may go out: not beside another centre, nor once told to stop."""
        dispatcher = self._dispatcher
        return self._may_send() and not (dispatcher is not None and dispatcher.stopping)

    def stop(self) -> None:
        """Finish the requests under way; what is not delivered stays in the outbox."""
        if self._dispatcher is not None:
            self._dispatcher.stop()
            self._dispatcher = None
            self._open_transport.close()

    def sweep(self) -> list[str]:
        """Escalate, give up and forget what is late or old; the institutions with something due."""
        now = self._clock.now()
        with self._uow.read(SYSTEM) as tx:
            due = store.institutions_due(tx.connection, now=now)
            late = store.to_escalate(
                tx.connection,
                now=now,
                failures=FAILURES_BEFORE_ESCALATION,
                limit=MESSAGES_PER_BATCH_MAX,
            )
            lost = store.too_old(
                tx.connection, before=now - KEEP_TRYING, limit=MESSAGES_PER_BATCH_MAX
            )
        if late or lost:
            with self._uow.begin(SYSTEM, purpose="escalate what is not delivered") as tx:
                store.mark_escalated(tx.connection, [m.id for m in late], now=tx.now)
                for message in late:
                    reason = "refused" if message.refusals else "not delivered"
                    escalate(tx, message, reason=reason)
                for message in lost:
                    give_up(tx, message, reason="undeliverable")
        self._housekeep(now)
        return due

    def _housekeep(self, now: datetime) -> None:
        if self._housekept is not None and now < self._housekept + HOUSEKEEPING_EVERY:
            return
        self._housekept = now
        with self._uow.begin(SYSTEM, purpose="forget what is no longer needed") as tx:
            store.delete_old(
                tx.connection,
                now=now,
                ended_before=now - KEPT_AFTER_DELIVERY,
                requests_before=now - REQUESTS_KEPT,
            )

    def _check_reply(self, institution: str, reply: Reply, path: str) -> Verified | None:
        """A reply with answers is verified like an incoming request, under the method REPLY."""
        return self.read_signature(
            institution=institution,
            header=reply.signature,
            body=reply.body,
            method=METHOD_OF_REPLY,
            path=path,
        )

    def _public_keys(self, tx: Transaction, institution: str) -> dict[str, PublicJwk]:
        keys = [key for key in self._parties.public_keys(tx, institution) if _valid(key, tx.now)]
        return {key.kid: parse_public_jwk(key.jwk) for key in keys}


def _always() -> bool:
    """A centre without a standby sends."""
    return True


def set_aside_waiting(tx: Transaction) -> int:
    """After a restore: nobody knows which waiting messages were sent, so none is; how many.

    They stay uncertain until `Channels.decide`.
    """
    count = store.doubt_waiting(tx.connection)
    after = SetAside(messages=count)
    tx.journal(action="channels.outbox.set_aside", subject="outbox", after=after)
    return count


def _valid(key: PublicKey, now: datetime) -> bool:
    return key.retired_at is None or key.retired_at > now


def _outgoing(fresh: NewMessage, *, now: datetime) -> OutboxMessage:
    content = msgspec.json.encode(fresh.body)
    if len(content) > BODY_BYTES_MAX:
        raise MessageTooLarge(f"{len(content)} bytes, at most {BODY_BYTES_MAX}", where=fresh.kind)
    digest = hashlib.sha256(content).hexdigest()[:32]
    due = now if fresh.not_before is None else max(now, fresh.not_before)
    return OutboxMessage(
        id=new_message_id(),
        sequence=0,
        institution=fresh.institution,
        kind=fresh.kind,
        subject=fresh.subject,
        idempotency_key=f"{fresh.kind}:{fresh.subject}:{digest}",
        body=content,
        state=MessageState.WAITING,
        created_at=now,
        answer_by=fresh.answer_by,
        due_at=due,
        escalate_at=due + (fresh.answer_by - due) * ESCALATION_SHARE,
        attempts=0,
        refusals=0,
        escalated_at=None,
        last_error=None,
    )
