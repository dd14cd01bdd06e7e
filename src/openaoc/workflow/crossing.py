"""Workflow: the pursuit crosses the border, both ways.

Our case's money leaves: its partner is asked. A partner asks: our own case is opened, which waits
for two persons as every partner's does. What becomes of the money is said as long as it changes.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, Protocol

import msgspec
import structlog

from openaoc.cases.model import UNDER_WORK, CaseState, ClaimRecord, Figures
from openaoc.cases.revising import revise_claim
from openaoc.cases.service import CaseRow, Cases
from openaoc.exchange.agreeing import AGREEMENT_CHANGED
from openaoc.exchange.crossborder.asking import Asking, Wanted, account_of
from openaoc.exchange.crossborder.model import (
    CASES_PER_RUN_MAX,
    CASES_WAITING_MAX,
    LOOK_EVERY,
    LOOK_FOR,
    LOOKED_PER_RUN_MAX,
    Exit,
    ReceivedRequest,
    ReceivedState,
    Requests,
    WrongRequestStep,
)
from openaoc.exchange.crossborder.page import page
from openaoc.exchange.crossborder.receiving import (
    Ours,
    Receiving,
    is_withdrawn,
    told,
    view,
)
from openaoc.exchange.crossborder.rows import Received
from openaoc.exchange.crossborder.sums import country_of
from openaoc.exchange.line import Agreed
from openaoc.exchange.objects import ObjectKind
from openaoc.exchange.protection.model import MARKED
from openaoc.holds.lock import hold_matter
from openaoc.kernel.actor import SYSTEM, Actor, Role
from openaoc.kernel.errors import BadInput, Busy, NotFound, OpenAOCError, Unavailable
from openaoc.kernel.events import Event
from openaoc.kernel.offences import Offence, offence_of
from openaoc.kernel.paging import FIRST, Asked
from openaoc.ledger.model import Transfer
from openaoc.parties.permissions import Permission, require
from openaoc.reports.model import Channel, Payment, Report
from openaoc.reports.service import Reports
from openaoc.storage.unit_of_work import Transaction, UnitOfWork, retrying
from openaoc.tracing.service import CaseLook, Tracing
from openaoc.workflow.arrivals import Arrival, Arrivals, claim, find_arrival
from openaoc.workflow.intake import Intake
from openaoc.workflow.pursuit import Pursuit

_LOG = structlog.get_logger(__name__)
REASON: Final = "money of a reported scam went to this account"
SHADOW: Final = "shadow: shown, not sent"
TAKEN_BACK: Final = "the partner that asked takes its request back"
SEVERAL: Final = "several payments fit what the partner asks about"
NONE_CAME: Final = "no payment came that fits what the partner asks about"


class CrossingLedger(Arrivals, Protocol):
    """What is needed of the ledger, both ways."""

    def find(self, *, reported_by: str, transfer_id: str) -> int | None:
        """The number of a transfer, by reporter and id."""
        ...


class Crossing:
    """One instance per centre."""

    def __init__(
        self,
        *,
        uow: UnitOfWork,
        agreed: Agreed,
        asking: Asking,
        receiving: Receiving,
        cases: Cases,
        reports: Reports,
        intake: Intake,
        pursuit: Pursuit,
        tracing: Tracing,
        ledger: CrossingLedger,
        wake: Callable[[str], None],
    ) -> None:
        """`wake(partner)`: something is to be said to it."""
        self._uow = uow
        self._agreed = agreed
        self._asking = asking
        self._receiving = receiving
        self._cases = cases
        self._reports = reports
        self._intake = intake
        self._pursuit = pursuit
        self._tracing = tracing
        self._ledger = ledger
        self._wake = wake
        self._lock = threading.Lock()
        self._changed: dict[str, None] = {}
        self._failed: dict[str, None] = {}
        """Cases that could not be brought in step; they are looked at again from time to time."""
        self._failed_until: datetime | None = None
        pursuit.followed.listen(self._noted)
        for state in sorted(CaseState):
            uow.subscribe(f"cases.case.{state.value}", self._moved)
        uow.subscribe(AGREEMENT_CHANGED, self._agreement_changed)
        uow.subscribe(MARKED, self._marked)

    # What wakes it.

    def _noted(self, looks: Mapping[str, CaseLook]) -> None:
        self._put(looks)

    def _moved(self, tx: Transaction, event: Event) -> None:
        tx.after_commit(functools.partial(self._put, [event.subject]))

    def _agreement_changed(self, tx: Transaction, event: Event) -> None:
        assert event.subject, "an agreement"
        tx.after_commit(self.look_at_all)

    def _put(self, case_ids: Iterable[str]) -> None:
        with self._lock:
            self._changed.update(dict.fromkeys(case_ids))
            if len(self._changed) > CASES_WAITING_MAX:
                _LOG.error("crossing_behind", cases=len(self._changed))

    def look_at_all(self) -> None:
        """Every pursued case may have asked less than it might, or more: at start, for instance."""
        self._put(self._tracing.registered())

    # What is done.

    def run(self) -> int:
        """Bring requests and answers in step with our cases; how many cases and requests."""
        done = self._step_cases()
        with self._uow.read(SYSTEM, purpose="which payments are sought") as tx:
            sought = self._receiving.sought(tx, limit=LOOKED_PER_RUN_MAX)
            self._look_at_failed(tx.now)
        for row in sought:
            try:
                self._wake_all(self._look_for(row))
            except OpenAOCError as error:
                _LOG.warning("request_put_off", request=row.id, error=error.code)
                self._put_off(row)
            except Exception:  # noqa: BLE001 - one that fails stops none of the others
                _LOG.exception("request_put_off", request=row.id)
                self._put_off(row)
        return done + len(sought)

    def _look_at_failed(self, now: datetime) -> None:
        """At once after the first failure, then every LOOK_EVERY."""
        if self._failed and (self._failed_until is None or self._failed_until <= now):
            failed, self._failed = self._failed, {}
            self._failed_until = now + LOOK_EVERY
            self._put(failed)

    def _step_cases(self) -> int:
        """Bring requests and answers in step with cases that changed; how many of them."""
        with self._lock:
            changed, self._changed = self._changed, {}
        if not changed:
            return 0
        left = list(changed)
        try:
            with self._uow.read(SYSTEM, purpose="which changed cases concern partners") as tx:
                if not self._agreed.partners_with(tx, ObjectKind.TRACE_REQUEST):
                    left = self._receiving.among(tx, left)
            done = len(left)
            while left:
                self._step_together(left[:CASES_PER_RUN_MAX])
                left = left[CASES_PER_RUN_MAX:]
        except Exception:
            self._put(left)
            raise
        return done

    def _step_together(self, ids: Sequence[str]) -> None:
        """One case that cannot be brought in step stops no other, and is not forgotten.

        Raises Busy and Unavailable, which are no single case's.
        """
        try:
            self._wake_all(retrying(functools.partial(self._in_step, ids)))
        except (Busy, Unavailable):
            raise
        except Exception:  # noqa: BLE001 - whatever is wrong with one of them
            if len(ids) == 1:
                _LOG.exception("crossing_case_failed", case=ids[0])
                self._failed.update(dict.fromkeys(ids))
            else:
                for one in ids:
                    self._step_together([one])

    def _wake_all(self, partners: Iterable[str]) -> None:
        for partner in sorted(set(partners)):
            self._wake(partner)

    def _in_step(self, ids: Sequence[str]) -> set[str]:
        woken: set[str] = set()
        with self._uow.begin(SYSTEM, purpose="requests in step with cases") as tx:
            countries = self._countries(tx)
            for case in self._cases.rows(tx, ids):
                if countries or case.state is CaseState.DROPPED:
                    woken |= self._ask(tx, case, countries)
            for row in self._receiving.of_cases(tx, ids):
                if self._receiving.say(tx, row, self._ours(tx, row)):
                    woken.add(row.partner)
        return woken

    # Our money leaves.

    def _countries(self, tx: Transaction) -> dict[str, str]:
        """The partner that may be asked, by country: the first by code."""
        found: dict[str, str] = {}
        for partner in self._agreed.partners_with(tx, ObjectKind.TRACE_REQUEST):
            found.setdefault(self._agreed.jurisdiction(tx, partner), partner)
        return found

    def _ask(self, tx: Transaction, case: CaseRow, countries: Mapping[str, str]) -> set[str]:
        partners: set[str] | None = None
        wanted: list[Wanted] = []
        if case.state is not CaseState.DROPPED:
            # A partner whose agreement rests is told nothing, so nothing is taken back either.
            partners = set(countries.values())
            try:
                look = self._tracing.look(case.id)
            except NotFound:
                return set()  # unproven, or closed: what was asked stays asked
            wanted = self._unprotected(tx, self._wanted(look, countries))
        return self._asking.keep_in_step(
            tx,
            case.id,
            wanted,
            offences=self._offences(tx, case.id),
            reason=REASON,
            partners=partners,
            held_back=None if case.mode == "live" else SHADOW,
        )

    def _wanted(self, look: CaseLook, countries: Mapping[str, str]) -> list[Wanted]:
        found = []
        for out in look.numbers.exited:
            transfer = self._ledger.transfer(out.row)
            to = transfer.creditor
            partner = None if to is None else countries.get(country_of(to.bank) or "")
            if to is None or partner is None or out.amount_minor == 0:
                continue
            one = Exit(
                reported_by=transfer.reported_by,
                transfer_id=transfer.transfer_id,
                institution=to.bank,
                account=to.account,
                currency=transfer.debtor.currency,
                booked_at=transfer.booked_at,
                sent_minor=transfer.amount_minor,
                amount_minor=out.amount_minor,
            )
            found.append(Wanted(partner=partner, exit=one))
        return found

    def _unprotected(self, tx: Transaction, wanted: Sequence[Wanted]) -> list[Wanted]:
        """Nobody is named abroad who may be a victim of trafficking; what was asked goes back."""
        named = self._agreed.protected(tx, [account_of(one.exit) for one in wanted])
        return [one for one in wanted if account_of(one.exit) not in named]

    def _marked(self, tx: Transaction, event: Event) -> None:
        assert event.subject, "a mark"
        tx.after_commit(self.look_at_all)

    def _offences(self, tx: Transaction, case_id: str) -> tuple[Offence, ...]:
        reports = self._reports.of_case(tx, case_id)
        return tuple(sorted({offence_of(report.scam_type) for report in reports}))

    # A partner asks.

    def _look_for(self, row: Received) -> set[str]:
        """Take the next step with a partner's request; whom to wake."""
        if is_withdrawn(row):
            return self._take_back(row)
        if row.state is ReceivedState.OPENED:
            return self._revise(row)
        if row.state in (ReceivedState.WITHDRAWN, ReceivedState.REFUSED):
            row = self._step(row, ReceivedState.SEEKING, case_id=None)
        arrival = find_arrival(self._ledger, told(row.request()))
        if arrival.transfer is not None:
            return self._open(row, arrival.transfer, arrival.claimed_minor)
        return self._wait(row, arrival)

    def _wait(self, row: Received, arrival: Arrival) -> set[str]:
        with self._uow.begin(SYSTEM, purpose="a payment is sought") as tx:
            locked = self._receiving.row(tx, row.partner, row.id)
            over = tx.now - locked.opened_at > LOOK_FOR
            several = arrival.candidates > 1
            state = ReceivedState.NEEDS_PERSON if over or several else locked.state
            look_at = None if state is ReceivedState.NEEDS_PERSON else tx.now + LOOK_EVERY
            why = SEVERAL if several else NONE_CAME
            kept = self._receiving.move(
                tx, locked, state, why=why, look_at=look_at, candidates=arrival.candidates
            )
            return {row.partner} if self._receiving.say(tx, kept, None) else set()

    def _open(self, row: Received, transfer: Transfer, claimed: int) -> set[str]:
        """Our own case, opened as any report: its standing is a partner's."""
        assert transfer.creditor is not None, "what arrives has a creditor"
        payment = Payment(
            booked_at=transfer.booked_at,
            debtor_bank=transfer.debtor.bank,
            debtor_account=transfer.debtor.account,
            creditor_bank=transfer.creditor.bank,
            creditor_account=transfer.creditor.account,
            amount_minor=claimed,
            currency=transfer.debtor.currency,
            transfer_id=transfer.transfer_id,
            reported_by=transfer.reported_by,
        )
        report = Report(
            channel=Channel.PARTNER,
            reported_at=row.opened_at,
            payments=[payment],
            source_ref=f"{row.id}/{row.epoch}.{row.revision}",
        )
        sender = Actor(id=f"partner:{row.partner}", roles=frozenset({Role.SYSTEM}))
        receipt, _ = self._intake.receive(report, sender=sender, idempotency_key="")
        opened = self._step(
            row,
            ReceivedState.OPENED,
            case_id=receipt.case,
            matched_by=transfer.reported_by,
            matched_id=transfer.transfer_id,
            booked_currency=transfer.debtor.currency,
            claimed_minor=claimed,
            candidates=1,
        )
        return self._say(opened)

    def _revise(self, row: Received) -> set[str]:
        """Another amount is asked about: our case claims as much less, or more."""
        assert row.case_id is not None, "an opened request has a case"
        assert row.matched_by is not None, "and a payment"
        assert row.matched_id is not None, "and a payment"
        number = self._ledger.find(reported_by=row.matched_by, transfer_id=row.matched_id)
        if number is None:
            raise NotFound("the payment is not in the ledger", where=row.matched_id)
        claimed = claim(self._ledger.transfer(number), told(row.request()))
        record = ClaimRecord(
            reported_by=row.matched_by, transfer_id=row.matched_id, amount_minor=claimed
        )
        with self._uow.begin(SYSTEM, purpose="a partner revised a request") as tx:
            hold_matter(tx)
            if revise_claim(tx, row.case_id, record):
                self._pursuit.registry.left_work(row.case_id)
                self._pursuit.registry.refresh(tx)
                if self._cases.row(tx, row.case_id).state in UNDER_WORK:
                    self._pursuit.retrace(tx, [row.case_id])
        return self._say(self._step(row, ReceivedState.OPENED, claimed_minor=claimed))

    def _take_back(self, row: Received) -> set[str]:
        """What rests on the partner's word alone ends with it; what others reported stays."""
        with self._uow.begin(SYSTEM, purpose="a partner took a request back") as tx:
            hold_matter(tx)
            if row.case_id is not None and row.state is ReceivedState.OPENED:
                case = self._cases.row(tx, row.case_id)
                if case.state in UNDER_WORK and self._reports.count(tx, case.id) == 1:
                    self._pursuit.drop(tx, case.id, reason=TAKEN_BACK)
                elif case.state in UNDER_WORK:
                    self._cases.stop_automatic(tx, case.id, why=TAKEN_BACK)
        state = row.state if row.state is ReceivedState.REFUSED else ReceivedState.WITHDRAWN
        return self._say(self._step(row, state, why=TAKEN_BACK))

    def _step(
        self,
        row: Received,
        state: ReceivedState,
        *,
        why: str | None = None,
        **changes: object,
    ) -> Received:
        """The request in another state; it is looked at again where it was revised meanwhile."""
        with self._uow.begin(SYSTEM, purpose="a partner's request") as tx:
            now = self._receiving.row(tx, row.partner, row.id)
            same = (now.epoch, now.revision) == (row.epoch, row.revision)
            return self._receiving.move(
                tx, now, state, why=why, look_at=None if same else tx.now, **changes
            )

    def _say(self, row: Received) -> set[str]:
        with self._uow.begin(SYSTEM, purpose="what became of a partner's request") as tx:
            locked = self._receiving.row(tx, row.partner, row.id)
            said = self._receiving.say(tx, locked, self._ours(tx, locked))
        return {row.partner} if said else set()

    def _put_off(self, row: Received) -> None:
        with self._uow.begin(SYSTEM, purpose="a partner's request is put off") as tx:
            now = self._receiving.row(tx, row.partner, row.id)
            self._receiving.move(tx, now, now.state, why=now.why, look_at=tx.now + LOOK_EVERY)

    def _ours(self, tx: Transaction, row: Received) -> Ours | None:
        if row.case_id is None:
            return None
        case = self._cases.row(tx, row.case_id)
        figures = msgspec.json.decode(case.figures, type=Figures)
        return Ours(case_id=case.id, state=CaseState(case.state), figures=figures)

    # What persons do.

    def requests(self, tx: Transaction, asked: Asked = FIRST) -> Requests:
        """A page of both sides' requests, the newest first. Raises NotPermitted, BadInput."""
        require(tx.actor, Permission.CASE_READ)
        return page(tx, asked)

    def identify(
        self, actor: Actor, *, partner: str, request: str, reported_by: str, transfer_id: str
    ) -> ReceivedRequest:
        """A person says which payment a request means: our case is opened for it.

        Raises NotPermitted, NoSuchRequest, WrongRequestStep, NotFound, BadInput for a payment to
        another account.
        """
        require(actor, Permission.CASE_WORK)
        with self._uow.begin(actor, purpose="say which payment a partner means") as tx:
            row = self._receiving.row(tx, partner, request)
            if row.state not in (ReceivedState.SEEKING, ReceivedState.NEEDS_PERSON):
                raise WrongRequestStep(f"the request is {row.state.value}")
            tx.journal(action="exchange.request.identified", subject=row.id, reason=transfer_id)
        number = self._ledger.find(reported_by=reported_by, transfer_id=transfer_id)
        if number is None:
            raise NotFound("there is no such transfer")
        transfer, wanted = self._ledger.transfer(number), told(row.request())
        to = transfer.creditor
        if to is None or (to.bank, to.account) != (wanted.institution, wanted.account):
            raise BadInput("the payment went to another account", where="transfer_id")
        claimed = claim(transfer, wanted)
        if claimed == 0:
            raise BadInput("nothing of it is asked about", where="transfer_id")
        self._wake_all(self._open(row, transfer, claimed))
        return self._shown(actor, partner, request)

    def refuse(self, actor: Actor, *, partner: str, request: str, why: str) -> ReceivedRequest:
        """A request cannot be met under our law; the partner is told why.

        Raises NotPermitted, NoSuchRequest, WrongRequestStep, BadInput without a reason.
        """
        require(actor, Permission.CASE_WORK)
        if not why.strip():
            raise BadInput("say why", where="reason")
        with self._uow.begin(actor, purpose="refuse a partner's request") as tx:
            row = self._receiving.row(tx, partner, request)
            refused = self._receiving.move(tx, row, ReceivedState.REFUSED, why=why)
        self._wake_all(self._say(refused))
        return self._shown(actor, partner, request)

    def _shown(self, actor: Actor, partner: str, request: str) -> ReceivedRequest:
        with self._uow.begin(actor, purpose="look at a partner's request") as tx:
            return view(self._receiving.row(tx, partner, request))
