"""Answers that come together share a transaction; each gets its own result."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from openaoc.channels.signing import BadSignature, Verified
from openaoc.holds.answers import Given
from openaoc.holds.model import Answer, MoreThanOrdered, NoSuchOrder, OrderState
from openaoc.holds.record import OrderRecord
from openaoc.kernel.errors import Busy, OpenAOCError
from openaoc.storage.errors import DatabaseDown
from openaoc.storage.unit_of_work import Transaction
from openaoc.workflow import batcher
from openaoc.workflow.answering import Answering, Request
from openaoc.workflow.batcher import Batcher
from tests.workflow.centre import Centre, machine

WAIT_S = 60.0


class Settled:
    """Keeps which orders were settled in the outbox."""

    def __init__(self) -> None:
        self.subjects: list[str] = []

    def settle_many(self, tx: Transaction, *, subjects: Sequence[str]) -> None:
        tx.after_commit(lambda: self.subjects.extend(subjects))


def answering_of(centre: Centre) -> tuple[Answering, Settled]:
    settled = Settled()
    uow, holds = centre.database.uow, centre.matter.holds
    return Answering(uow=uow, holds=holds, outbox=settled), settled


def test_answers_from_many_threads_are_each_taken_once(centre: Centre) -> None:
    orders = []
    for number in range(12):
        paid = centre.pay("KBANK:1", f"SCB:m{number}", 1_000)
        orders.append(centre.file(paid).orders[0].order)
    answering, settled = answering_of(centre)

    def answer(number: int) -> str:
        amount = 1_001 if number % 4 == 3 else 1_000
        try:
            view = answering.answer(
                orders[number],
                Answer(outcome="applied", applied_minor=amount),
                actor=machine("SCB"),
            )
        except OpenAOCError as error:
            return error.code
        return f"{view.state} {view.held_minor}"

    with ThreadPoolExecutor(12) as pool:
        said = list(pool.map(answer, range(12)))
    wanted = ["more-than-ordered" if n % 4 == 3 else "applied 1000" for n in range(12)]
    assert said == wanted
    assert sorted(settled.subjects) == sorted(o for n, o in enumerate(orders) if n % 4 != 3)


def test_one_refused_answer_does_not_refuse_its_neighbours(centre: Centre) -> None:
    paid = [centre.pay("KBANK:1", f"SCB:n{n}", 1_000) for n in range(3)]
    one, two, three = (centre.file(p).orders[0].order for p in paid)
    foreign = centre.file(centre.pay("KBANK:1", "BBL:n", 1_000)).orders[0].order
    answering, _ = answering_of(centre)
    whole = Answer(outcome="applied", applied_minor=1_000)
    taken = answering.answer_many(
        [
            Given(order=one, answer=whole),
            Given(order=two, answer=Answer(outcome="applied", applied_minor=2_000)),
            Given(order=foreign, answer=whole),
            Given(order=three, answer=whole),
            Given(order=one, answer=whole),
        ],
        actor=machine("SCB"),
    )
    kinds = [r.state if isinstance(r, OrderRecord) else type(r) for r in taken]
    applied = OrderState.APPLIED
    assert kinds == [applied, MoreThanOrdered, NoSuchOrder, applied, applied]
    assert {view.state for view in centre.orders(centre_case(centre, one))} == {"applied"}


def centre_case(centre: Centre, order: str) -> str:
    with centre.database.uow.read(machine("SCB")) as tx:
        return centre.matter.holds.show(tx, order).case


def test_a_signature_counts_once_though_two_requests_come_together(centre: Centre) -> None:
    order = centre.file(centre.pay("KBANK:1", "SCB:s", 1_000)).orders[0].order
    answering, _ = answering_of(centre)
    verified = Verified(kid="k", issued_at=centre.clock.now(), nonce="n")
    answer = Answer(outcome="applied", applied_minor=1_000)

    def send(_: int) -> str:
        try:
            answering.answer(order, answer, actor=machine("SCB"), verified=verified)
        except BadSignature:
            return "refused"
        return "taken"

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(send, range(4))) == ["refused", "refused", "refused", "taken"]


def test_answers_of_a_commit_that_nobody_heard_of_are_not_taken_for_repeats(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    paid = [centre.pay("KBANK:1", f"SCB:h{n}", 1_000) for n in range(2)]
    orders = [centre.file(p).orders[0].order for p in paid]
    answering, _ = answering_of(centre)
    taken = answering._transact

    def unheard(batch: Sequence[Request]) -> None:
        taken(batch)
        raise DatabaseDown

    whole = Answer(outcome="applied", applied_minor=1_000)
    requests = [
        Request(
            actor=machine("SCB"),
            given=[Given(order=order, answer=whole)],
            verified=Verified(kid="k", issued_at=centre.clock.now(), nonce=order),
        )
        for order in orders
    ]
    monkeypatch.setattr(answering, "_transact", unheard)
    assert [type(told) for told in answering._take_together(requests)] == [DatabaseDown] * 2
    monkeypatch.undo()
    again = answering.answer(orders[0], whole, actor=machine("SCB"))
    assert again.held_minor == 1_000


def test_a_report_whose_signature_was_used_files_nothing(centre: Centre) -> None:
    paid = centre.pay("KBANK:1", "SCB:r", 1_000)
    verified = Verified(kid="k", issued_at=centre.clock.now(), nonce="r")
    receive = centre.matter.intake.receive
    report, sender = centre.report(paid), machine("KBANK")
    first, new = receive(report, sender=sender, idempotency_key="one", verified=verified)
    assert new
    with pytest.raises(BadSignature):
        receive(report, sender=sender, idempotency_key="two", verified=verified)
    again, new = receive(report, sender=sender, idempotency_key="one")
    assert (again.case, new) == (first.case, False)


def test_a_batcher_takes_the_oldest_first_within_its_weight() -> None:
    begun, go = threading.Event(), threading.Event()
    batches: list[list[int]] = []

    def work(items: Sequence[int]) -> list[int]:
        batches.append(list(items))
        begun.set()
        assert go.wait(WAIT_S)
        return list(items)

    many: Batcher[int, int] = Batcher(work, most=10, weigh=lambda item: item)
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(many.submit, 1)
        assert begun.wait(WAIT_S)
        rest = []
        for number, item in enumerate((4, 5, 3, 30, 2), start=1):
            rest.append(pool.submit(many.submit, item))
            while len(many._queue) < number:
                pass
        go.set()
        assert [f.result(WAIT_S) for f in (first, *rest)] == [1, 4, 5, 3, 30, 2]
    assert batches == [[1], [4, 5], [3], [30], [2]]


def test_a_batcher_gives_each_its_own_error_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def work(items: Sequence[int]) -> list[int | Exception]:
        if items == [13]:
            raise ZeroDivisionError
        return [ValueError(item) if item % 2 else item for item in items]

    many: Batcher[int, int] = Batcher(work)
    assert many.submit(2) == 2
    with pytest.raises(ValueError, match="3"):
        many.submit(3)
    with pytest.raises(ZeroDivisionError):
        many.submit(13)
    assert many.submit(4) == 4
    monkeypatch.setattr(batcher, "WAITING_MAX", 0)
    with pytest.raises(Busy):
        many.submit(1)
