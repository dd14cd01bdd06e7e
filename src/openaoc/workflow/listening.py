"""Workflow: which stage listens to which: events of one become work of another.

Called once by the wiring.
"""

from __future__ import annotations

import functools

from openaoc.appeals.service import Appeals
from openaoc.holds.model import ENDED
from openaoc.kernel.events import Event
from openaoc.parties.pooled import CHANGED
from openaoc.safety.breakers import Breakers
from openaoc.storage.unit_of_work import Transaction, UnitOfWork
from openaoc.workflow.confirming import Confirming
from openaoc.workflow.duties import Duties
from openaoc.workflow.pooling import Pooling
from openaoc.workflow.pursuit import Pursuit


def listen_for_cases(uow: UnitOfWork, *, pursuit: Pursuit, duties: Duties) -> None:
    """A case that is due wakes the duties; one that leaves work leaves the traces."""

    def due(tx: Transaction, event: Event) -> None:
        assert event.subject, "a case is due"
        tx.after_commit(duties.wake)

    def left_work(tx: Transaction, event: Event) -> None:
        assert event.subject, "a case left work"
        tx.after_commit(functools.partial(pursuit.registry.left_work, event.subject))
        tx.after_commit(functools.partial(pursuit.followed.forget, event.subject))

    uow.subscribe("cases.case.due", due)
    for name in ("cases.case.closed", "cases.case.dropped", "cases.case.open"):
        uow.subscribe(name, left_work)


def listen_for_waiting(uow: UnitOfWork, *, confirming: Confirming) -> None:
    """A case that waits for a person asks the payers' institutions whether it may go on."""

    def waits(tx: Transaction, event: Event) -> None:
        confirming.ask(tx, event.subject)

    uow.subscribe("cases.case.waits", waits)


def listen_for_pooled(uow: UnitOfWork, *, pooling: Pooling) -> None:
    """Traces stop at what a person listed, as soon as that is committed."""

    def changed(tx: Transaction, event: Event) -> None:
        assert event.subject, "an institution's list"
        tx.after_commit(pooling.refresh)

    uow.subscribe(CHANGED, changed)


def listen_for_decisions(uow: UnitOfWork, *, breakers: Breakers) -> None:
    """Contests that were upheld may stop what caused them."""

    def decided(tx: Transaction, event: Event) -> None:
        if event.facts["released_minor"]:
            breakers.contest_decided(
                tx,
                institution=str(event.facts["institution"]),
                source=str(event.facts["source"]),
            )

    uow.subscribe("appeals.appeal.decided", decided)


def listen_for_ends(uow: UnitOfWork, *, appeals: Appeals) -> None:
    """A hold that ended leaves nothing to contest."""

    def ended(tx: Transaction, event: Event) -> None:
        appeals.order_ended(tx, event.subject)

    for state in sorted(ENDED):
        uow.subscribe(f"holds.order.{state.value}", ended)
