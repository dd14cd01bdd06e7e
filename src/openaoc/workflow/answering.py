"""Workflow: institutions' answers in; those of one sender that come together share a transaction.

Never answers before what it says is on disk. Each answer is judged for itself.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Protocol

import msgspec

from openaoc.channels.model import InlineAnswer
from openaoc.channels.replay import accept_together
from openaoc.channels.signing import Verified
from openaoc.holds.answers import ANSWERS_TOGETHER_MAX, Given
from openaoc.holds.model import Answer, OrderView
from openaoc.holds.record import OrderRecord
from openaoc.holds.service import Holds
from openaoc.kernel.actor import Actor, Role
from openaoc.kernel.errors import BadInput, OpenAOCError
from openaoc.storage.errors import DatabaseDown
from openaoc.storage.unit_of_work import Transaction, UnitOfWork, retrying
from openaoc.workflow.batcher import Batcher

SENDERS_MAX: Final = 1_000
"""Senders remembered with a queue of their own; past it the memory begins anew."""

Taken = Sequence[OrderRecord | OpenAOCError]
"""By answer: the order as it stands then, or what refused it."""


class Settling(Protocol):
    """Who keeps messages to institutions; `channels.service.Channels` is one."""

    def settle_many(self, tx: Transaction, *, subjects: Sequence[str]) -> None:
        """These orders were answered: they need no delivery any more."""
        ...


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What one sender says in one message; `verified` is who signed it, if it had to be."""

    actor: Actor
    given: list[Given | BadInput]
    verified: Verified | None


class Answering:
    """The verb of institutions: `answer`. One instance per centre."""

    def __init__(self, *, uow: UnitOfWork, holds: Holds, outbox: Settling) -> None:
        self._uow = uow
        self._holds = holds
        self._outbox = outbox
        self._lock = threading.Lock()
        self._batchers: dict[Actor, Batcher[Request, Taken]] = {}

    def answer(
        self, order_id: str, answer: Answer, *, actor: Actor, verified: Verified | None = None
    ) -> OrderView:
        """One answer; the order as it stands then.

        Raises NoSuchOrder, MoreThanOrdered, AnsweredDifferently, BadInput, BadSignature for a
        repeated signature, Busy when too many wait.
        """
        [order] = self.answer_many(
            [Given(order=order_id, answer=answer)], actor=actor, verified=verified
        )
        if isinstance(order, OpenAOCError):
            raise order
        return order.view()

    def answer_many(
        self,
        given: Iterable[Given | BadInput],
        *,
        actor: Actor,
        verified: Verified | None = None,
    ) -> Taken:
        """As `answer`, for each of them in this order; one that is refused refuses no other."""
        request = Request(actor=actor, given=list(given), verified=verified)
        assert len(request.given) <= ANSWERS_TOGETHER_MAX, "the caller's limit is below ours"
        return self._batcher(actor).submit(request)

    def inline(
        self, institution: str, answers: Sequence[InlineAnswer], verified: Verified | None
    ) -> list[tuple[str, OpenAOCError]]:
        """Answers that came in the reply to a delivery, as if posted; (order, refusal) of some."""
        actor = Actor(
            id=f"institution:{institution}",
            roles=frozenset({Role.MACHINE}),
            institution=institution,
        )
        taken = self.answer_many(map(given_of, answers), actor=actor, verified=verified)
        return [
            (answer.order, result)
            for answer, result in zip(answers, taken, strict=True)
            if isinstance(result, OpenAOCError)
        ]

    def _batcher(self, actor: Actor) -> Batcher[Request, Taken]:
        """Those of one actor share transactions: the row rules are one actor's."""
        with self._lock:
            found = self._batchers.get(actor)
            if found is None:
                if len(self._batchers) >= SENDERS_MAX:
                    self._batchers.clear()
                found = self._batchers[actor] = Batcher(
                    self._take_together, most=ANSWERS_TOGETHER_MAX, weigh=_weight
                )
            return found

    def _take_together(self, batch: Sequence[Request]) -> list[Taken | Exception]:
        try:
            return retrying(lambda: self._transact(batch))
        except Exception as error:  # noqa: BLE001 - each waiting caller gets it
            if len(batch) == 1 or isinstance(error, DatabaseDown):
                # Of a commit nobody heard of each asks again, signed anew.
                return [error] * len(batch)
        alone: list[Taken | Exception] = []
        for request in batch:  # one bad request must not refuse its neighbours
            alone += self._take_together([request])
        return alone

    def _transact(self, batch: Sequence[Request]) -> list[Taken | Exception]:
        with self._uow.begin(batch[0].actor, purpose="answer orders") as tx:
            refused = accept_together(tx, [request.verified for request in batch])
            good = [
                one
                for request, error in zip(batch, refused, strict=True)
                if error is None
                for one in request.given
            ]
            given = [one for one in good if isinstance(one, Given)]
            orders = iter(self._holds.answer_many(tx, given))
            taken = [next(orders) if isinstance(one, Given) else one for one in good]
            answered = {one.id for one in taken if isinstance(one, OrderRecord)}
            if answered:
                self._outbox.settle_many(tx, subjects=sorted(answered))
        found = iter(taken)
        return [
            [next(found) for _ in request.given] if error is None else error
            for request, error in zip(batch, refused, strict=True)
        ]


def given_of(told: InlineAnswer) -> Given | BadInput:
    """The answer of a list, or what is wrong with its form alone."""
    try:
        answer = msgspec.json.decode(told.answer, type=Answer)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        return BadInput(f"not an answer: {error}", where=told.order)
    if any("\0" in text for text in (told.order, *_texts(answer))):
        return BadInput("contains a NUL character", where=told.order.replace("\0", "?"))
    return Given(order=told.order, answer=answer)


def _texts(answer: Answer) -> Iterator[str]:
    for part in (answer, *(answer.onward or ())):
        values = (getattr(part, name) for name in part.__struct_fields__)
        yield from (value for value in values if isinstance(value, str))


def _weight(request: Request) -> int:
    return max(len(request.given), 1)
