"""Following linked cases: what is planned again, and what a correction told over HTTP causes."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from openaoc.kernel.actor import SYSTEM
from openaoc.workflow.telling import Telling
from tests.workflow.centre import ADMIN, SUPERVISOR, Centre
from tests.workflow.invariants import check


def _tell(centre: Centre, told: list[bool], **row: object) -> None:
    def corrected() -> None:
        told.append(True)
        centre.tracing.distrust()

    telling = Telling(
        applied=lambda: None,
        uow=centre.database.uow,
        ledger=centre.ledger,
        parties=centre.parties,
        wake=lambda: None,
        corrected=corrected,
    )
    telling.transfers(
        msgspec.json.encode(row) + b"\n",
        "application/x-ndjson",
        actor=ADMIN,
        key=str(row["transfer_id"]),
        live=True,
        assume_utc=False,
    )


def test_a_correction_told_over_http_lowers_what_was_ordered(centre: Centre) -> None:
    at = centre.clock.now() - timedelta(minutes=1)
    first = msgspec.to_builtins(centre.row("KBANK:1", "SCB:2", 500, at=at, name="p1"))
    told: list[bool] = []
    _tell(centre, told, **first)
    assert told == []
    case = centre.file("p1").case
    assert centre.tracing.look(case).numbers.loss_minor == 500
    corrected = {"transfer_id": "p1-2", "corrects": "p1", "revision": 1, "amount_minor": 300}
    _tell(centre, told, **(first | corrected))
    assert told == [True]
    assert centre.tracing.look(case).numbers.loss_minor == 300
    with centre.database.uow.begin(SYSTEM) as tx:
        centre.matter.pursuit.retrace_one(tx, case)
    assert [order.amount_minor for order in centre.outbox.orders()] == [500, 300]
    check(centre)


def test_a_linked_case_is_planned_again_only_when_its_trace_has_changed(centre: Centre) -> None:
    early = centre.pay("KBANK:1", "SCB:2", 500, ago=timedelta(minutes=9))
    late = centre.pay("KBANK:3", "SCB:2", 200, ago=timedelta(minutes=5))
    second = centre.file(late).case
    first = centre.file(early).case
    pursuit, tracing = centre.matter.pursuit, centre.tracing
    look = tracing.look(first)
    assert look.linked == (second,)
    # The newcomer took nothing from it: nothing has to be planned.
    assert pursuit.prevailed_on({first: look}) == []
    centre.pay("SCB:2", "BBL:4", 600, ago=timedelta(minutes=1))
    look = tracing.look(first)
    assert pursuit.prevailed_on({first: look}) == [second]
    with centre.database.uow.begin(SYSTEM) as tx:
        pursuit.retrace_one(tx, first)
        assert pursuit.prevailed_on({first: tracing.look(first)}) == [second], "not committed yet"
    assert pursuit.prevailed_on({first: tracing.look(first)}) == []
    check(centre)


def test_an_order_answered_late_may_still_be_lowered(centre: Centre) -> None:
    paid = centre.pay("KBANK:1", "SCB:2", 500)
    case = centre.file(paid).case
    issued = centre.outbox.orders()[0]
    centre.clock.advance(issued.answer_by - centre.clock.now() + timedelta(seconds=1))
    centre.pay("SCB:2", "BBL:4", 200, ago=timedelta(0))
    with centre.database.uow.begin(SYSTEM) as tx:
        centre.matter.pursuit.retrace_one(tx, case)
    lowered = [o for o in centre.outbox.orders() if o.order == issued.order][-1]
    assert (lowered.amount_minor, lowered.revision) == (300, 2)
    assert lowered.answer_by == issued.answer_by, "being late is not undone"
    check(centre)


def test_a_release_that_waited_for_the_answer_frees_what_the_answer_held(centre: Centre) -> None:
    """It was asked for a moment before the answer came, and is carried out after it."""
    case = centre.file(centre.pay("KBANK:1", "SCB:2", 500)).case
    order = centre.orders(case)[0].order
    with centre.database.uow.begin(SUPERVISOR) as tx:
        centre.clock.advance(timedelta(seconds=1))
        centre.answer(order, "SCB", 500)
        centre.matter.holds.release(tx, order, "the payer was mistaken")
    centre.matter.duties.run_due()
    look = centre.tracing.look(case)
    assert [(place.amount_minor, place.held_minor) for place in look.located] == [(500, 0)]
    check(centre)
