"""Workflow: builds the matter (reports, cases, holds, intake, pursuit, duties) and wires events.

The one place that knows which stage listens to which; bootstrap calls it once.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Protocol

import msgspec

from openaoc.appeals.blind import DRAWN_AT_ONCE, BlindReviews
from openaoc.appeals.service import DUE_BATCH_MAX as APPEALS_BATCH_MAX
from openaoc.appeals.service import Appeals
from openaoc.cases.service import Cases
from openaoc.exchange.campaigns.keeping import Campaigns
from openaoc.exchange.indicators import published_of
from openaoc.exchange.receiving import Receiver
from openaoc.holds.codes import Codes
from openaoc.holds.delaying import DELAYS_PER_RUN_MAX
from openaoc.holds.ending import Ending
from openaoc.holds.reviewing import REVIEWS_PER_RUN_MAX
from openaoc.holds.service import Holds
from openaoc.holds.suspicion import SUSPICIONS_PER_RUN_MAX, Suspicions
from openaoc.holds.telephone import Telephone
from openaoc.indicators.service import EXPIRED_AT_ONCE_MAX, Indicators
from openaoc.kernel.settings import Settings
from openaoc.parties.pooled import PooledAccounts
from openaoc.parties.service import Parties
from openaoc.practice.scripts import Scripts
from openaoc.practice.service import Packages
from openaoc.reports.service import LedgerFinder, Reports
from openaoc.safety.breakers import Breakers
from openaoc.safety.model import Limits
from openaoc.safety.undo import Undo
from openaoc.storage.database import Database
from openaoc.storage.unit_of_work import UnitOfWork
from openaoc.storage.vault import Vault
from openaoc.tracing.service import Tracing
from openaoc.workflow.collecting import Collecting, build_collecting, build_receiver
from openaoc.workflow.complaint import Complaints
from openaoc.workflow.confirming import Confirming, Questions
from openaoc.workflow.control import CODE_LABEL, Control
from openaoc.workflow.duties import Duties, Duty, on_time
from openaoc.workflow.housekeeping import Housekeeping
from openaoc.workflow.intake import Intake
from openaoc.workflow.iso_messages import IsoMessages
from openaoc.workflow.listening import (
    listen_for_cases,
    listen_for_decisions,
    listen_for_ends,
    listen_for_pooled,
    listen_for_waiting,
)
from openaoc.workflow.noticing import REPORTS_AT_ONCE_MAX, Noticing
from openaoc.workflow.onward import LedgerJournal, LedgerTaking, Onward
from openaoc.workflow.pooling import LedgerNames, Pooling
from openaoc.workflow.practising import CaseTelling, Practising
from openaoc.workflow.pursuit import LedgerReading, Pursuit
from openaoc.workflow.registry import Registry
from openaoc.workflow.releasing import Releasing
from openaoc.workflow.retention import LedgerExpiring, Retention
from openaoc.workflow.returning import Returning, build_returning
from openaoc.workflow.second_look import SecondLook
from openaoc.workflow.sharing import Sharing, build_campaigns, build_sharing, publish_from
from openaoc.workflow.spreadsheets import Spreadsheets
from openaoc.workflow.standings import Standings

SECRET_LABEL = "openaoc case secrets v1"  # noqa: S105 - names the purpose, is not a secret
CODES_LABEL = "openaoc order codes v1"
DRAW_LABEL = "openaoc blind review v1"
INSTITUTIONS_LABEL = "openaoc institutions v1"


class CentreLedger(
    LedgerNames, LedgerFinder, LedgerTaking, LedgerReading, LedgerExpiring, Protocol
):
    """The ledger as the matter uses it; `ledger.service.Ledger` is one."""


class Matter(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that works on cases."""

    reports: Reports
    indicators: Indicators
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
    returning: Returning
    releasing: Releasing
    campaigns: Campaigns
    sharing: Sharing
    collecting: Collecting
    receiver: Receiver
    """Takes whatever partners send, by whichever channel."""
    practising: Practising


class Means(msgspec.Struct, frozen=True, kw_only=True):
    """What the matter is built from."""

    database: Database
    ledger: CentreLedger
    tracing: Tracing
    parties: Parties
    outbox: Questions
    vault: Vault
    settings: Settings

    @property
    def uow(self) -> UnitOfWork:
        """Where transactions begin."""
        return self.database.uow

    def key(self, label: str) -> bytes:
        """A key for one use."""
        return self.database.keys.derived(label)


class Core(msgspec.Struct, frozen=True, kw_only=True):
    """What everything else on cases stands on."""

    reports: Reports
    cases: Cases
    holds: Holds
    onward: Onward
    registry: Registry
    standings: Standings
    breakers: Breakers
    pursuit: Pursuit


class Ends(msgspec.Struct, frozen=True, kw_only=True):
    """What looks at holds again and ends them."""

    second_look: SecondLook
    appeals: Appeals
    undo: Undo
    telephone: Telephone
    blind: BlindReviews
    suspicions: Suspicions
    returning: Returning
    releasing: Releasing


class Outward(msgspec.Struct, frozen=True, kw_only=True):
    """What the centre knows that may help others, and what others told it."""

    indicators: Indicators
    noticing: Noticing
    sharing: Sharing
    collecting: Collecting
    receiver: Receiver


def build_matter(
    *,
    database: Database,
    ledger: CentreLedger,
    tracing: Tracing,
    parties: Parties,
    outbox: Questions,
    vault: Vault,
    settings: Settings,
) -> Matter:
    """Build and wire; nothing runs before `duties.start()`."""
    means = Means(
        database=database,
        ledger=ledger,
        tracing=tracing,
        parties=parties,
        outbox=outbox,
        vault=vault,
        settings=settings,
    )
    core = _core(means)
    ends = _ends(means, core)
    confirming = _confirming(means, core)
    pooled = PooledAccounts(parties)
    outward = _outward(means, core, pooled)
    practising = _practising(means, core, ends, outward)
    duties = _duties(means, core, ends, outward, more=practising.duties)
    pooling = Pooling(
        uow=means.uow, pooled=pooled, tracing=tracing, ledger=ledger, cases=core.cases
    )
    listen_for_cases(means.uow, pursuit=core.pursuit, duties=duties)
    listen_for_ends(means.uow, appeals=ends.appeals)
    listen_for_decisions(means.uow, breakers=core.breakers)
    ends.undo.go_on_with(duties.wake_all)
    listen_for_waiting(means.uow, confirming=confirming)
    listen_for_pooled(means.uow, pooling=pooling)
    return Matter(
        reports=core.reports,
        indicators=outward.indicators,
        cases=core.cases,
        holds=core.holds,
        intake=_intake(means, core, confirming),
        pursuit=core.pursuit,
        standings=core.standings,
        confirming=confirming,
        iso_messages=IsoMessages(holds=core.holds, ledger=core.onward),
        spreadsheets=Spreadsheets(holds=core.holds, jurisdiction=settings.jurisdiction),
        control=_control(means, core),
        second_look=ends.second_look,
        appeals=ends.appeals,
        breakers=core.breakers,
        undo=ends.undo,
        blind=ends.blind,
        telephone=ends.telephone,
        duties=duties,
        complaints=Complaints(
            reports=core.reports, cases=core.cases, vault=vault, jurisdiction=settings.jurisdiction
        ),
        pooled=pooled,
        pooling=pooling,
        housekeeping=_housekeeping(means, core, pooling),
        suspicions=ends.suspicions,
        returning=ends.returning,
        releasing=ends.releasing,
        campaigns=build_campaigns(outward.indicators),
        sharing=outward.sharing,
        collecting=outward.collecting,
        receiver=outward.receiver,
        practising=practising,
    )


def _practising(means: Means, core: Core, ends: Ends, outward: Outward) -> Practising:
    shield = outward.sharing.exchange.shield
    telling = CaseTelling(reports=core.reports, cases=core.cases, vault=means.vault, shield=shield)
    return Practising(
        uow=means.uow,
        sharing=outward.sharing,
        packages=Packages(name=means.settings.centre_code),
        scripts=Scripts(telling=telling),
        indicators=outward.indicators,
        holds=core.holds,
        appeals=ends.appeals,
        tracing=means.tracing,
        ledger=means.ledger,
        pursuit=core.pursuit,
    )


def _housekeeping(means: Means, core: Core, pooling: Pooling) -> Housekeeping:
    retention = Retention(
        uow=means.uow,
        ledger=means.ledger,
        cases=core.cases,
        days=means.settings.ledger_cold_days,
    )
    return Housekeeping(
        uow=means.uow,
        reports=core.reports,
        vault=means.vault,
        pooling=pooling,
        retention=retention,
    )


def _outward(means: Means, core: Core, pooled: PooledAccounts) -> Outward:
    settings, keys = means.settings, means.database.keys
    indicators = Indicators()
    noticing = Noticing(
        indicators=indicators,
        reports=core.reports,
        holds=core.holds,
        pooled=pooled,
        region=settings.jurisdiction,
    )
    noticing.listen(means.uow)
    sharing = build_sharing(
        uow=means.uow,
        parties=means.parties,
        keys=keys,
        home=settings.jurisdiction,
        exercise=settings.exercise,
    )
    publish_from(
        sharing,
        indicators,
        institutions=means.parties.institutions,
        key=means.key(INSTITUTIONS_LABEL),
    )
    indicators.keep_from_public(sharing.exchange.shield.protected_names)
    sharing.marking.find_objects_with(functools.partial(published_of, indicators))
    receiver = build_receiver(sharing, indicators, region=settings.jurisdiction)
    collecting = build_collecting(
        uow=means.uow,
        sharing=sharing,
        keys=keys,
        home=settings.jurisdiction,
        name=settings.centre_code,
        receiver=receiver,
        surrogates=settings.opencti_surrogates,
        exercise=settings.exercise,
    )
    return Outward(
        indicators=indicators,
        noticing=noticing,
        sharing=sharing,
        collecting=collecting,
        receiver=receiver,
    )


def _core(means: Means) -> Core:
    settings, tracing, ledger = means.settings, means.tracing, means.ledger
    reports = Reports(ledger)
    cases = Cases(reports)
    onward = Onward(ledger, corrected=tracing.distrust)
    holds = Holds(
        outbox=means.outbox,
        cases=cases,
        jurisdiction=settings.jurisdiction,
        codes=Codes(key=means.key(CODES_LABEL), page=f"{settings.base_url}/contest"),
        onward=onward,
    )
    cases.show_orders_of(holds)
    registry = Registry(tracing=tracing, ledger=ledger, cases=cases, holds=holds)
    standings = Standings(
        reports=reports, cases=cases, registry=registry, jurisdiction=settings.jurisdiction
    )
    breakers = Breakers(limits=Limits.of(settings), cases=cases, parties=means.parties)
    pursuit = Pursuit(
        uow=means.uow,
        tracing=tracing,
        ledger=ledger,
        registry=registry,
        standings=standings,
        cases=cases,
        holds=holds,
        parties=means.parties,
        settings=settings,
        breakers=breakers,
    )
    holds.refresh_with(pursuit.retrace_one)
    return Core(
        reports=reports,
        cases=cases,
        holds=holds,
        onward=onward,
        registry=registry,
        standings=standings,
        breakers=breakers,
        pursuit=pursuit,
    )


def _confirming(means: Means, core: Core) -> Confirming:
    return Confirming(
        cases=core.cases,
        reports=core.reports,
        parties=means.parties,
        pursuit=core.pursuit,
        outbox=means.outbox,
        ledger=means.ledger,
        corrected=means.tracing.distrust,
        per_hour=means.settings.questions_per_hour,
    )


def _intake(means: Means, core: Core, confirming: Confirming) -> Intake:
    return Intake(
        uow=means.uow,
        reports=core.reports,
        cases=core.cases,
        holds=core.holds,
        tracing=means.tracing,
        pursuit=core.pursuit,
        standings=core.standings,
        vault=means.vault,
        settings=means.settings,
        secret_key=means.key(SECRET_LABEL),
        tell_own=confirming.tell_own if means.settings.hop_by_hop else None,
    )


def _control(means: Means, core: Core) -> Control:
    return Control(
        uow=means.uow,
        cases=core.cases,
        reports=core.reports,
        parties=means.parties,
        outbox=means.outbox,
        pursuit=core.pursuit,
        standings=core.standings,
        key=means.key(CODE_LABEL),
    )


def _ends(means: Means, core: Core) -> Ends:
    settings, cases, holds, pursuit = means.settings, core.cases, core.holds, core.pursuit
    second_look = SecondLook(
        uow=means.uow,
        tracing=means.tracing,
        ledger=means.ledger,
        registry=core.registry,
        holds=holds,
        cases=cases,
        floor_minor=pursuit.floor_minor,
    )
    ending = Ending(holds.book, cases=cases)
    appeals = Appeals(
        ending=ending,
        cases=cases,
        vault=means.vault,
        codes=holds.codes,
        second_look=second_look,
        jurisdiction=settings.jurisdiction,
    )
    return Ends(
        second_look=second_look,
        appeals=appeals,
        undo=Undo(uow=means.uow, ending=ending, cases=cases, breakers=core.breakers),
        telephone=Telephone(
            holds=holds,
            ending=ending,
            vault=means.vault,
            codes=holds.codes,
            check_at=f"{settings.base_url}/check-order",
        ),
        blind=BlindReviews(
            appeals=appeals,
            ending=ending,
            cases=cases,
            second_look=second_look,
            key=means.key(DRAW_LABEL),
        ),
        suspicions=Suspicions(
            outbox=means.outbox,
            jurisdiction=settings.jurisdiction,
            is_live=pursuit.sends_to,
        ),
        returning=build_returning(
            uow=means.uow,
            cases=core.cases,
            holds=core.holds,
            pursuit=pursuit,
            ledger=means.ledger,
            outbox=means.outbox,
        ),
        releasing=Releasing(holds=holds, ending=ending, pursuit=pursuit),
    )


def _duties(
    means: Means, core: Core, ends: Ends, outward: Outward, *, more: Sequence[Duty]
) -> Duties:
    uow, appeals, noticing = means.uow, ends.appeals, outward.noticing
    return Duties(
        uow=uow,
        holds=core.holds,
        pursuit=core.pursuit,
        ledger_journal=LedgerJournal(uow=uow, ledger=means.ledger),
        unhurried=[
            Duty(call=ends.undo.run_due, full=1),
            Duty(call=ends.second_look.review_due, full=REVIEWS_PER_RUN_MAX),
            Duty(call=on_time(uow, appeals.escalate_due), full=APPEALS_BATCH_MAX),
            Duty(call=on_time(uow, appeals.lapse_due), full=APPEALS_BATCH_MAX),
            Duty(call=on_time(uow, ends.blind.draw_due), full=DRAWN_AT_ONCE),
            ends.returning.duty,
            Duty(call=on_time(uow, ends.suspicions.expire_due), full=SUSPICIONS_PER_RUN_MAX),
            Duty(call=on_time(uow, core.holds.delays.run_due), full=DELAYS_PER_RUN_MAX),
            Duty(call=on_time(uow, noticing.take_due), full=REPORTS_AT_ONCE_MAX),
            Duty(call=on_time(uow, noticing.let_out_due), full=1),
            Duty(call=on_time(uow, noticing.expire_due), full=EXPIRED_AT_ONCE_MAX),
            *outward.sharing.duties,
            *more,
        ],
    )
