"""Workflow: builds restitution and lets it follow what becomes of its case."""

from __future__ import annotations

import msgspec

from openaoc.cases.model import StillHolding
from openaoc.cases.service import Cases
from openaoc.holds.book import Outbox
from openaoc.holds.service import Holds
from openaoc.kernel.events import Event
from openaoc.restitution.objecting import Objections
from openaoc.restitution.paying import Payments
from openaoc.restitution.service import MATURING_PER_RUN_MAX, LedgerNames, Restitutions
from openaoc.storage.unit_of_work import Transaction, UnitOfWork
from openaoc.workflow.duties import Duty, on_time
from openaoc.workflow.pursuit import Pursuit


class Returning(msgspec.Struct, frozen=True, kw_only=True):
    """Who gets what, who objects, what is paid; and what of it the clock asks for."""

    restitutions: Restitutions
    objections: Objections
    payments: Payments
    duty: Duty


def build_returning(
    *,
    uow: UnitOfWork,
    cases: Cases,
    holds: Holds,
    pursuit: Pursuit,
    ledger: LedgerNames,
    outbox: Outbox,
) -> Returning:
    """Build and wire it."""
    restitutions = Restitutions(
        cases=cases, holds=holds, ledger=ledger, outbox=outbox, is_live=pursuit.sends_to
    )
    _listen(uow, restitutions=restitutions)
    return Returning(
        restitutions=restitutions,
        objections=Objections(restitutions),
        payments=Payments(restitutions),
        duty=Duty(call=on_time(uow, restitutions.mature_due), full=MATURING_PER_RUN_MAX),
    )


def _listen(uow: UnitOfWork, *, restitutions: Restitutions) -> None:
    """A case is not closed while its money is being given back; a dropped one gives none back."""

    def closed(tx: Transaction, event: Event) -> None:
        running = restitutions.open_of(tx, event.subject)
        if running is not None:
            raise StillHolding(f"restitution {running} has not ended")

    def dropped(tx: Transaction, event: Event) -> None:
        restitutions.end_of_case(tx, event.subject, reason="the case was dropped")

    uow.subscribe("cases.case.closed", closed)
    uow.subscribe("cases.case.dropped", dropped)
