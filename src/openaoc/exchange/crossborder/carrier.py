"""Across borders: carries requests and answers to partners' centres until they have them.

Sends only the last word of each, as often as it takes; what a partner may have forgotten (it was
restored from a backup: its epoch rose) is said again. Never decides what is said.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from random import Random, SystemRandom
from typing import Final

import structlog

from openaoc.channels.dispatcher import Dispatcher
from openaoc.channels.transport import NotReached
from openaoc.exchange.crossborder import store
from openaoc.exchange.crossborder.asking import Asking
from openaoc.exchange.crossborder.model import (
    BACKOFF_FIRST,
    BACKOFF_MAX,
    ERROR_CHARACTERS_MAX,
    HELLO_EVERY,
    PATH,
    REFUSED_AGAIN,
    SENT_PER_RUN_MAX,
    AnswerMessage,
    AnswerTaken,
    EarlierLife,
    Hello,
    LineView,
    RequestMessage,
    RequestTaken,
)
from openaoc.exchange.crossborder.receiving import Receiving
from openaoc.exchange.crossborder.rows import Received, Sent
from openaoc.exchange.line import Agreed, BadAnswer, Line, Peer, PeerBusy, PeerRefused
from openaoc.exchange.model import NoAgreement
from openaoc.exchange.objects import ObjectKind
from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.errors import OpenAOCError
from openaoc.kernel.events import Event
from openaoc.storage.centre_state import read_state
from openaoc.storage.unit_of_work import Transaction, UnitOfWork

_LOG = structlog.get_logger("openaoc.crossborder")
_DOUBLINGS_MAX: Final = 16
CARRIED: Final = (ObjectKind.TRACE_REQUEST, ObjectKind.TRACE_ANSWER)
"""What is carried; every centre hears besides when another was restored."""
NOT_TAKEN_UP: Final = "the partner does not take it up"
RESTORED: Final = "exchange.centre.restored"
"""A partner's centre begins a new life: it may have forgotten what it took in the last."""


class Carrier:
    """One instance per centre."""

    def __init__(
        self,
        *,
        uow: UnitOfWork,
        agreed: Agreed,
        line: Line,
        asking: Asking,
        receiving: Receiving,
        random: Random | None = None,
    ) -> None:
        self._uow = uow
        self._agreed = agreed
        self._line = line
        self._asking = asking
        self._receiving = receiving
        self._random = random or SystemRandom()
        self._may_send: Callable[[], bool] = lambda: True
        self._dispatcher = Dispatcher(deliver=self.run, sweep=self.due)

    def send_only_while(self, may_send: Callable[[], bool]) -> None:
        """Ask before each run whether this centre is the one that sends. Before `start`."""
        self._may_send = may_send

    def start(self) -> None:
        """Begin to carry."""
        self._dispatcher.start()

    def stop(self) -> None:
        """Finish the requests under way; what is not carried stays in the tables."""
        self._dispatcher.stop()

    def wake(self, partner: str) -> None:
        """Something is due for the partner."""
        self._dispatcher.wake(partner)

    def due(self) -> list[str]:
        """The partners to whom something may be said now."""
        found = []
        with self._uow.read(SYSTEM, purpose="what partners are to be told") as tx:
            if not read_state(tx.connection).delivers or not self._may_send():
                return []
            for partner in self._agreed.spoken_with(tx, CARRIED):
                line = store.line(tx.connection, partner)
                closed = line is not None and line.next_at is not None and line.next_at > tx.now
                if not closed and (self._quiet(tx, line) or any(self._words(tx, partner, limit=1))):
                    found.append(partner)
        return found

    @staticmethod
    def _quiet(tx: Transaction, line: LineView | None) -> bool:
        return line is None or line.heard_at is None or line.heard_at + HELLO_EVERY <= tx.now

    @staticmethod
    def _words(tx: Transaction, partner: str, *, limit: int) -> tuple[list[Sent], list[Received]]:
        return (
            store.due_sent(tx.connection, partner, now=tx.now, limit=limit),
            store.due_received(tx.connection, partner, now=tx.now, limit=limit),
        )

    def run(self, partner: str) -> bool:
        """Say what is due to the partner; whether there may be more at once."""
        with self._uow.read(SYSTEM, purpose="what a partner is to be told") as tx:
            state = read_state(tx.connection)
            line = store.line(tx.connection, partner)
            closed = line is not None and line.next_at is not None and line.next_at > tx.now
            if closed or not state.delivers or not self._may_send():
                return False
            try:
                peer = self._agreed.peer(tx, partner)
            except NoAgreement:
                return False
            asked, answers = self._words(tx, partner, limit=SENT_PER_RUN_MAX)
            messages = [(row, self._asking.message(tx, row)) for row in asked]
            said = [(row, row.answered(epoch=state.epoch)) for row in answers]
            quiet = self._quiet(tx, line)
        try:
            for request, message in messages:
                self._ask(peer, request, message)
            for answer, word in said:
                assert word is not None, "only what was said is due"
                self._answer(peer, answer, word)
            if quiet and not messages and not said:
                self._hello(peer, epoch=state.epoch)
        except (NotReached, PeerBusy, PeerRefused, BadAnswer, EarlierLife) as error:
            self._failed(partner, line, error)
            return False
        return len(messages) == SENT_PER_RUN_MAX or len(said) == SENT_PER_RUN_MAX

    def _hello(self, peer: Peer, *, epoch: int) -> None:
        heard = self._line.ask(peer, f"{PATH}/hello", Hello(epoch=epoch), Hello)
        with self._uow.begin(SYSTEM, purpose="a partner's centre answered") as tx:
            hear(tx, peer.code, epoch=heard.epoch)
            store.heard(tx.connection, peer.code, epoch=heard.epoch, now=tx.now)

    def _ask(self, peer: Peer, row: Sent, message: RequestMessage) -> None:
        try:
            taken = self._line.ask(peer, f"{PATH}/requests", message, RequestTaken)
        except PeerRefused as error:
            with self._uow.begin(SYSTEM, purpose="a partner refused a request") as tx:
                again_at = tx.now + REFUSED_AGAIN
                self._asking.was_refused(tx, row.id, error=_short(error), again_at=again_at)
            return
        with self._uow.begin(SYSTEM, purpose="a partner took a request") as tx:
            hear(tx, peer.code, epoch=taken.epoch)
            store.heard(tx.connection, peer.code, epoch=taken.epoch, now=tx.now)
            if not taken.accepted:
                again_at = tx.now + REFUSED_AGAIN
                self._asking.was_refused(tx, row.id, error=NOT_TAKEN_UP, again_at=again_at)
                return
            self._asking.was_taken(tx, row.id, revision=message.revision, epoch=taken.epoch)
        if taken.answer is not None:
            self._keep(peer, taken.answer)

    def _keep(self, peer: Peer, answer: AnswerMessage) -> None:
        """An answer that came with the receipt; a wrong one comes again by itself."""
        try:
            with self._uow.begin(SYSTEM, purpose="a partner's answer") as tx:
                epoch = read_state(tx.connection).epoch
                self._asking.take_answer(tx, peer.code, answer, epoch=epoch)
        except OpenAOCError as error:
            _LOG.warning("answer_refused", partner=peer.code, error=error.code)

    def _answer(self, peer: Peer, row: Received, word: AnswerMessage) -> None:
        try:
            taken = self._line.ask(peer, f"{PATH}/answers", word, AnswerTaken)
        except PeerRefused as error:
            with self._uow.begin(SYSTEM, purpose="a partner refused an answer") as tx:
                again_at = tx.now + REFUSED_AGAIN
                self._receiving.was_refused(tx, row, error=_short(error), again_at=again_at)
            return
        with self._uow.begin(SYSTEM, purpose="a partner took an answer") as tx:
            hear(tx, peer.code, epoch=taken.epoch)
            store.heard(tx.connection, peer.code, epoch=taken.epoch, now=tx.now)
            self._receiving.was_taken(
                tx, row, revision=word.revision, epoch=taken.epoch, known=taken.known
            )

    def _failed(self, partner: str, line: LineView | None, error: OpenAOCError) -> None:
        failures = (line.failures if line is not None else 0) + 1
        bound = min(BACKOFF_FIRST * (1 << min(failures - 1, _DOUBLINGS_MAX)), BACKOFF_MAX)
        wait: timedelta = bound * self._random.random()
        with self._uow.begin(SYSTEM, purpose="a partner's centre did not answer") as tx:
            store.failed(
                tx.connection,
                partner,
                failures=failures,
                next_at=tx.now + wait,
                error=_short(error),
            )
        _LOG.warning("centre_not_reached", partner=partner, failures=failures, error=error.code)


def hear(tx: Transaction, partner: str, *, epoch: int) -> None:
    """The partner spoke, from this life of it. Raises EarlierLife when a later one was heard."""
    line = store.line(tx.connection, partner)
    if line is not None and epoch < line.epoch:
        raise EarlierLife("this centre heard a later life of yours", where="epoch")
    if line is None or epoch > line.epoch:
        store.known(tx.connection, partner, epoch=epoch)
        tx.journal(action="exchange.centre.heard", subject=partner, after=Hello(epoch=epoch))
    if line is not None and 0 < line.epoch < epoch:
        facts: dict[str, str | int] = {"epoch": epoch}
        tx.emit(Event(name=RESTORED, subject=partner, at=tx.now, facts=facts))


def _short(error: OpenAOCError) -> str:
    return f"{error.code}: {error}"[:ERROR_CHARACTERS_MAX]
