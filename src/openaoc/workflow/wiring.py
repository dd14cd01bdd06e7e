"""Workflow: builds the matter (reports, cases, holds, intake, pursuit, duties) and wires events.

The one place that knows which stage listens to which; bootstrap calls it once.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from openaoc.appeals.blind import DRAWN_AT_ONCE, BlindReviews
from openaoc.appeals.service import DUE_BATCH_MAX as APPEALS_BATCH_MAX
from openaoc.appeals.service import Appeals
from openaoc.cases.service import Cases
from openaoc.holds.book import Outbox
from openaoc.holds.codes import Codes
from openaoc.holds.ending import Ending
from openaoc.holds.model import ENDED
from openaoc.holds.reviewing import REVIEWS_PER_RUN_MAX
from openaoc.holds.service import Holds
from openaoc.holds.suspicion import SUSPICIONS_PER_RUN_MAX, Suspicions
from openaoc.holds.telephone import Telephone
from openaoc.kernel.events import Event
from openaoc.kernel.settings import Settings
from openaoc.parties.pooled import CHANGED, PooledAccounts
from openaoc.parties.service import Parties
from openaoc.reports.service import LedgerFinder, Reports
from openaoc.safety.breakers import Breakers
from openaoc.safety.model import Limits
from openaoc.safety.undo import Undo
from openaoc.storage.database import Database
from openaoc.storage.unit_of_work import Transaction, UnitOfWork
from openaoc.storage.vault import Vault
from openaoc.tracing.service import Tracing
from openaoc.workflow.complaint import Complaints
from openaoc.workflow.confirming import Confirming
from openaoc.workflow.control import CODE_LABEL, Control
from openaoc.workflow.duties import Duties, Duty, on_time
from openaoc.workflow.housekeeping import Housekeeping
from openaoc.workflow.intake import Intake
from openaoc.workflow.iso_messages import IsoMessages
from openaoc.workflow.onward import LedgerJournal, LedgerTaking, Onward
from openaoc.workflow.pooling import LedgerNames, Pooling
from openaoc.workflow.pursuit import LedgerReading, Pursuit
from openaoc.workflow.registry import Registry
from openaoc.workflow.second_look import SecondLook
from openaoc.workflow.spreadsheets import Spreadsheets
from openaoc.workflow.standings import Standings

SECRET_LABEL = "openaoc case secrets v1"  # noqa: S105 - names the purpose, is not a secret
CODES_LABEL = "openaoc order codes v1"
DRAW_LABEL = "openaoc blind review v1"


class CentreLedger(LedgerNames, LedgerFinder, LedgerTaking, LedgerReading, Protocol):
    """The ledger as the matter uses it; `ledger.service.Ledger` is one."""


class Matter(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that works on cases."""

    reports: Reports
    cases: Cases
    holds: Holds
    intake: Intake
    pursuit: Pursuit
    standings: Standings
    confirming: Confirming
    iso_messages: IsoMessages
    spreadsheets: Spreadsheets
    control: Control
    second_look: SecondLook
    appeals: Appeals
    breakers: Breakers
    undo: Undo
    blind: BlindReviews
    telephone: Telephone
    duties: Duties
    complaints: Complaints
    pooled: PooledAccounts
    pooling: Pooling
    housekeeping: Housekeeping
    suspicions: Suspicions


def build_matter(
    *,
    database: Database,
    ledger: CentreLedger,
    tracing: Tracing,
    parties: Parties,
    outbox: Outbox,
    vault: Vault,
    settings: Settings,
) -> Matter:
    """Build and wire; nothing runs before `duties.start()`."""
    uow = database.uow
    reports = Reports(ledger)
    cases = Cases(reports)
    onward = Onward(ledger, corrected=tracing.distrust)
    holds = Holds(
        outbox=outbox,
        cases=cases,
        jurisdiction=settings.jurisdiction,
        codes=Codes(key=database.keys.derived(CODES_LABEL), page=f"{settings.base_url}/contest"),
        onward=onward,
    )
    cases.show_orders_of(holds)
    registry = Registry(tracing=tracing, ledger=ledger, cases=cases, holds=holds)
    standings = Standings(
        reports=reports, cases=cases, registry=registry, jurisdiction=settings.jurisdiction
    )
    breakers = Breakers(limits=Limits.of(settings), cases=cases)
    pursuit = Pursuit(
        uow=uow,
        tracing=tracing,
        ledger=ledger,
        registry=registry,
        standings=standings,
        cases=cases,
        holds=holds,
        parties=parties,
        settings=settings,
        breakers=breakers,
    )
    holds.refresh_with(pursuit.retrace_one)
    confirming = Confirming(
        cases=cases,
        reports=reports,
        parties=parties,
        pursuit=pursuit,
        outbox=outbox,
        ledger=ledger,
        corrected=tracing.distrust,
    )
    intake = Intake(
        uow=uow,
        reports=reports,
        cases=cases,
        holds=holds,
        tracing=tracing,
        pursuit=pursuit,
        standings=standings,
        vault=vault,
        settings=settings,
        secret_key=database.keys.derived(SECRET_LABEL),
        tell_own=confirming.tell_own if settings.hop_by_hop else None,
    )
    control = Control(
        uow=uow,
        cases=cases,
        reports=reports,
        parties=parties,
        outbox=outbox,
        pursuit=pursuit,
        standings=standings,
        key=database.keys.derived(CODE_LABEL),
    )
    second_look = SecondLook(
        uow=uow,
        tracing=tracing,
        ledger=ledger,
        history_missing=pursuit.history_missing,
        registry=registry,
        holds=holds,
        floor_minor=pursuit.floor_minor,
    )
    ending = Ending(holds.book, cases=cases)
    appeals = Appeals(
        ending=ending,
        cases=cases,
        vault=vault,
        codes=holds.codes,
        second_look=second_look,
        jurisdiction=settings.jurisdiction,
    )
    undo = Undo(uow=uow, ending=ending, cases=cases, breakers=breakers)
    telephone = Telephone(
        holds=holds,
        ending=ending,
        vault=vault,
        codes=holds.codes,
        check_at=f"{settings.base_url}/check-order",
    )
    blind = BlindReviews(
        appeals=appeals,
        ending=ending,
        cases=cases,
        second_look=second_look,
        key=database.keys.derived(DRAW_LABEL),
    )
    suspicions = Suspicions(
        outbox=outbox,
        jurisdiction=settings.jurisdiction,
        is_live=lambda tx, institution: pursuit.mode_at(tx, institution) == "live",
    )
    duties = Duties(
        uow=uow,
        holds=holds,
        pursuit=pursuit,
        ledger_journal=LedgerJournal(uow=uow, ledger=ledger),
        unhurried=[
            Duty(call=undo.run_due, full=1),
            Duty(call=second_look.review_due, full=REVIEWS_PER_RUN_MAX),
            Duty(call=on_time(uow, appeals.escalate_due), full=APPEALS_BATCH_MAX),
            Duty(call=on_time(uow, appeals.lapse_due), full=APPEALS_BATCH_MAX),
            Duty(call=on_time(uow, blind.draw_due), full=DRAWN_AT_ONCE),
            Duty(call=on_time(uow, suspicions.expire_due), full=SUSPICIONS_PER_RUN_MAX),
        ],
    )

    pooled = PooledAccounts(parties)
    pooling = Pooling(uow=uow, pooled=pooled, tracing=tracing, ledger=ledger, cases=cases)

    _listen(uow, pursuit=pursuit, duties=duties)
    _listen_for_ends(uow, appeals=appeals)
    _listen_for_decisions(uow, breakers=breakers)
    _listen_for_waiting(uow, confirming=confirming)
    _listen_for_pooled(uow, pooling=pooling)
    return Matter(
        reports=reports,
        cases=cases,
        holds=holds,
        intake=intake,
        pursuit=pursuit,
        standings=standings,
        confirming=confirming,
        iso_messages=IsoMessages(holds=holds, ledger=onward),
        spreadsheets=Spreadsheets(holds=holds, jurisdiction=settings.jurisdiction),
        control=control,
        second_look=second_look,
        appeals=appeals,
        breakers=breakers,
        undo=undo,
        blind=blind,
        telephone=telephone,
        duties=duties,
        complaints=Complaints(
            reports=reports, cases=cases, vault=vault, jurisdiction=settings.jurisdiction
        ),
        pooled=pooled,
        pooling=pooling,
        housekeeping=Housekeeping(uow=uow, reports=reports, vault=vault, pooling=pooling),
        suspicions=suspicions,
    )


def _listen(uow: UnitOfWork, *, pursuit: Pursuit, duties: Duties) -> None:
    """A case that is due wakes the duties; one that leaves work leaves the traces."""

    def due(tx: Transaction, event: Event) -> None:
        assert event.subject, "a case is due"
        tx.after_commit(duties.wake)

    def left_work(tx: Transaction, event: Event) -> None:
        assert event.subject, "a case left work"
        tx.after_commit(pursuit.registry.distrust)

    uow.subscribe("cases.case.due", due)
    for name in ("cases.case.closed", "cases.case.dropped", "cases.case.open"):
        uow.subscribe(name, left_work)


def _listen_for_waiting(uow: UnitOfWork, *, confirming: Confirming) -> None:
    """A case that waits for a person asks the payers' institutions whether it may go on."""

    def waits(tx: Transaction, event: Event) -> None:
        confirming.ask(tx, event.subject)

    uow.subscribe("cases.case.waits", waits)


def _listen_for_pooled(uow: UnitOfWork, *, pooling: Pooling) -> None:
    """Traces stop at what a person listed, as soon as that is committed."""

    def changed(tx: Transaction, event: Event) -> None:
        assert event.subject, "an institution's list"
        tx.after_commit(pooling.refresh)

    uow.subscribe(CHANGED, changed)


def _listen_for_decisions(uow: UnitOfWork, *, breakers: Breakers) -> None:
    """Contests that were upheld may stop what caused them."""

    def decided(tx: Transaction, event: Event) -> None:
        if event.facts["released_minor"]:
            breakers.contest_decided(
                tx,
                institution=str(event.facts["institution"]),
                source=str(event.facts["source"]),
            )

    uow.subscribe("appeals.appeal.decided", decided)


def _listen_for_ends(uow: UnitOfWork, *, appeals: Appeals) -> None:
    """A hold that ended leaves nothing to contest."""

    def ended(tx: Transaction, event: Event) -> None:
        appeals.order_ended(tx, event.subject)

    for state in sorted(ENDED):
        uow.subscribe(f"holds.order.{state.value}", ended)
