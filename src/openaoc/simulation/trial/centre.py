"""Simulation, trials: the arm with the centre: its own services, called as their actors would.

A clock that is set, institutions in this process, no waiting; nothing is decided here that the
centre decides.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Final, Protocol

import msgspec
import numpy as np
import pyarrow as pa

from openaoc.channels.service import Channels
from openaoc.holds.answers import ANSWERS_TOGETHER_MAX, Given
from openaoc.holds.model import Answer, OrderState, OrderView
from openaoc.kernel.actor import Actor, Role
from openaoc.kernel.clock import ManualClock, from_us
from openaoc.kernel.errors import OpenAOCError
from openaoc.kernel.ids import ids_drawn_from
from openaoc.kernel.limits import PAGE_MAX
from openaoc.kernel.settings import Settings
from openaoc.ledger.accounts_file import parse_accounts
from openaoc.ledger.service import Ledger
from openaoc.ledger.table import parse_transfers
from openaoc.parties.model import InstitutionKind
from openaoc.parties.service import Parties
from openaoc.reports.model import ReportReceipt
from openaoc.simulation.background import Batch
from openaoc.simulation.feed import Feed
from openaoc.simulation.openings import openings_csv
from openaoc.simulation.reporting import write_report
from openaoc.simulation.scams import Scam
from openaoc.simulation.trial.arm import Arm, Back, Timed
from openaoc.simulation.trial.desks import Desks, Done, Due
from openaoc.simulation.trial.life import BORN, Life, stamp
from openaoc.simulation.trial.model import ArmFigures
from openaoc.simulation.trial.scenario import Scenario
from openaoc.simulation.trial.tally import Cause
from openaoc.simulation.world import Tick
from openaoc.storage.unit_of_work import UnitOfWork
from openaoc.workflow.wiring import Matter

ADMINISTRATOR: Final = Actor(id="usr_admin", roles=frozenset({Role.ADMINISTRATOR}))
HOTLINE: Final = Actor(id="usr_hotline", roles=frozenset({Role.AGENT}))
OFFICER: Final = Actor(id="usr_officer", roles=frozenset({Role.SUPERVISOR}))
SECOND: Final = Actor(id="usr_second", roles=frozenset({Role.SUPERVISOR}))
INVESTIGATOR: Final = Actor(id="usr_investigator", roles=frozenset({Role.INVESTIGATOR}))
SWITCH: Final = "SWITCH"
CSV: Final = "text/csv"
ARROW: Final = "application/vnd.apache.arrow.stream"
ENDPOINT: Final = "http://127.0.0.1:1/{}"
"""Nobody listens there: messages are taken in this process."""
TOGETHER_S: Final = 2.0
"""What becomes due within so long is dealt with in one turn of the centre."""
AFTER_ANSWER_S: Final = 60.0
"""And the answers of so long."""
LOOKS_S: Final = (600.0,)
"""After a report the centre has turns at these times besides those its feed causes."""
TURN_S: Final = 12 * 3_600.0
"""And every so often in any case."""
REVIEW_TURNS: Final = 2
"""Every so many of them with what need not be done in every turn, such as the review of holds: once
a day here, hourly in a running centre; so clean money is held longer here, never shorter.
"""
AGAIN_S: Final = 30.0
"""An institution was out of reach: the centre tries again about so soon."""
AUTHORITY_AFTER_S: Final = 6.5 * 86_400
AT_ONCE_S: Final = 60.0
"""An order this soon after the report, or after the decision on it, belongs to it."""


class OpenCentre(Protocol):
    """A centre that is built and does nothing by itself; `bootstrap.Centre.opened` is one."""

    settings: Settings
    uow: UnitOfWork
    parties: Parties
    channels: Channels
    ledger: Ledger
    matter: Matter


OpenWith = Callable[[Settings, ManualClock], AbstractContextManager[OpenCentre]]


def machine(code: str) -> Actor:
    """An institution's system under its own key."""
    return Actor(id=f"usr_{code.lower()}", roles=frozenset({Role.MACHINE}), institution=code)


class CentreArm(Arm):
    """One nation with a centre."""

    def __init__(
        self,
        life: Life,
        scenario: Scenario,
        *,
        seed: int,
        centre: OpenCentre,
        clock: ManualClock,
    ) -> None:
        super().__init__(life, scenario, seed=seed)
        self._centre = centre
        self._clock = clock
        self._bytes = random.Random(seed)  # noqa: S311 - a simulation's ids
        self._desks = Desks(life, seed=seed, now_s=lambda: self.now_s, later=self._message)
        self._feed = Feed(life.population, machines=_machines(life))
        self._pending: list[Tick] = []
        self._members = members(life, coverage=scenario.coverage)
        self._case_of: dict[int, ReportReceipt] = {}
        self._scam_of: dict[str, Scam] = {}
        self._case_at: dict[str, float] = {}
        self._decided_s: dict[str, float] = {}
        self._person: set[str] = set()
        self._applied_s: dict[str, float] = {}
        self._contested: set[str] = set()
        self._known: set[int] = set()
        self._turn_s: float | None = None
        self._regular_turns = 0
        self.refused: list[str] = []
        """Answers the centre did not take: there should be none but of the latest moment."""
        self._woken: set[str] = set()
        self._delivery = centre.channels.by_hand(transport=self._desks, woken=self._wake)
        self._given: dict[str, list[Given]] = {}

    def run(self) -> ArmFigures:
        """Live until the end; ids are drawn from the seed."""
        with ids_drawn_from(self._bytes.randbytes):
            return super().run()

    # Before the first moment.

    def begin(self) -> None:
        """Institutions join, two people switch them live, openings and the past are told."""
        centre, life = self._centre, self.life
        kinds = {one.code: one for one in life.parameters.institutions}
        for code in self._members:
            with centre.uow.begin(ADMINISTRATOR, purpose="an institution joins") as tx:
                centre.parties.add_institution(
                    tx,
                    code=code,
                    name=kinds[code].name,
                    kind=InstitutionKind(kinds[code].kind),
                    jurisdiction=centre.settings.jurisdiction,
                    endpoint=ENDPOINT.format(code),
                )
        scopes = [f"institution:{code}" for code in self._members]
        for scope in (*scopes, f"jurisdiction:{centre.settings.jurisdiction}"):
            with centre.uow.begin(OFFICER, purpose="go live") as tx:
                centre.parties.propose_live(tx, scope)
            with centre.uow.begin(SECOND, purpose="go live") as tx:
                centre.parties.approve_live(tx, scope)
        for code in self._members:
            text = openings_csv(life.population, code=code)
            if text.count(b"\n") > 1:
                centre.ledger.set_openings(parse_accounts(text, CSV), from_us(life.past_us))
        self._pending += life.live_past()
        self._flush()
        self.at(TURN_S, self._regular)

    # The feed.

    def moved(self, tick: Tick) -> None:
        """The institutions report it; the centre has a turn when a reported scam's money moved."""
        self._pending.append(tick)
        if any(move.scam in self.reported_s and move.amount_minor for move in tick.moves):
            self._want_turn(self.now_s + self.life.parameters.machines.feed_delay_s.value)

    def _flush(self) -> None:
        """Bring everything that was booked until now into the ledger."""
        ticks = [tick for tick in self._pending if len(tick.rows.debtor)]
        self._pending.clear()
        if not ticks:
            return
        rows = Batch(
            *(np.concatenate(parts) for parts in zip(*(t.rows for t in ticks), strict=True))
        )
        machine_rows = np.concatenate([tick.at_machine for tick in ticks])
        together = ticks[0]._replace(rows=rows, at_machine=machine_rows)
        table = self._feed.table(together)
        if self.scenario.coverage < 1:
            codes = [self.life.population.codes.index(code) for code in self._members]
            told = np.isin(self.life.population.institution[rows.debtor], codes)
            table = table.filter(pa.array(told))
        if table.num_rows:
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, table.schema) as writer:
                writer.write_table(table)
            parsed = parse_transfers(sink.getvalue().to_pybytes(), ARROW)
            self._centre.ledger.ingest(parsed, live=False, told_by=SWITCH)

    # The centre's turns.

    def _go_to(self, when_s: float) -> None:
        super()._go_to(when_s)
        ahead = from_us(stamp(when_s)) - self._clock.now()
        if ahead > timedelta(0):
            self._clock.advance(ahead)

    def _want_turn(self, when_s: float) -> None:
        if self._turn_s is not None and self._turn_s <= when_s + TOGETHER_S:
            return
        self._turn_s = when_s
        self.at(when_s, functools.partial(self._take_turn, when_s))

    def _take_turn(self, when_s: float) -> None:
        if self._turn_s == when_s:
            self._turn_s = None
            self._turn()

    def _regular(self) -> None:
        self._regular_turns += 1
        self._turn(hurried=self._regular_turns % REVIEW_TURNS > 0)
        self._woken = set(self._centre.channels.sweep())
        self._deliver()
        self.at(self.now_s + TURN_S, self._regular)

    def _turn(self, *, hurried: bool = True) -> None:
        """What the centre's own clock does, and then its deliveries."""
        self._flush()
        self._centre.matter.duties.run_due(hurried=hurried)
        self._deliver()

    def _wake(self, institution: str) -> None:
        self._woken.add(institution)

    def _deliver(self) -> None:
        """Send to whoever has something due; to whom nothing got through, again before long."""
        for code in sorted(self._woken):
            before = self._desks.taken[code]
            while self._delivery.deliver(code):
                pass
            if self._desks.taken[code] > before:
                self._woken.discard(code)
        if self._woken:
            self._want_turn(self.now_s + AGAIN_S)

    # Reports.

    def telling_s(self) -> float:
        """A clerk writes it down; with a centre nobody telephones other banks meanwhile."""
        return self.life.parameters.people.telling_s.value

    def told(self, scam: Scam) -> None:
        """By the victim's bank under its own key where it takes part, else by the hotline."""
        self._flush()
        bank = self._bank(scam)
        by_bank = scam.by_bank and bank in self._members
        report = write_report(
            self.life.parameters,
            self.life.population,
            scam._replace(by_bank=by_bank),
            self.paid[scam.number],
            reported_at=self._clock.now(),
        )
        assert report is not None, "a victim who has paid has something to report"
        receipt, _ = self._centre.matter.intake.receive(
            report,
            sender=machine(bank) if by_bank else HOTLINE,
            idempotency_key=f"report-{scam.number}",
        )
        self._case_of[scam.number] = receipt
        self._scam_of[receipt.case] = scam
        self._case_at[receipt.case] = self.now_s
        if receipt.standing == "automatic":
            self._learn(scam)
        else:
            self._ask_officer(scam, receipt.case)
        self._plan_complaint(scam, receipt.case)
        self._deliver()
        for look_s in LOOKS_S:
            self._want_turn(self.now_s + look_s)

    def known(self, account: int) -> bool:
        """Payees of reported scams are known."""
        return account in self._known

    def _learn(self, scam: Scam) -> None:
        self._known.update(payment.payee for payment in scam.payments)

    def _ask_officer(self, scam: Scam, case: str) -> None:
        people = self.life.parameters.people
        draw = self.chance(3, scam.number)
        if scam.false and draw.random() < people.officer_sees_through.value:
            return
        wait_s = float(draw.exponential(people.officer_mean_s.value))
        wait_s += waiting_s(self.scenario, people.headroom.value, self.now_s)
        self.at(self.now_s + wait_s, functools.partial(self._decide, scam, case))

    def _decide(self, scam: Scam, case: str) -> None:
        """The payer's institution, asked, confirms; where it takes no part, an officer decides."""
        self._flush()
        self._decided_s[case] = self.now_s
        bank = self._bank(scam)
        if bank in self._members:
            self._centre.matter.pursuit.confirm(case, actor=machine(bank))
        else:
            for order in self._orders(case):
                if order.state is OrderState.DRAFTED:
                    with self._centre.uow.begin(OFFICER, purpose="decide on a report") as tx:
                        self._centre.matter.holds.approve(tx, order.order)
        self._learn(scam)
        self._turn()

    def _bank(self, scam: Scam) -> str:
        population = self.life.population
        return str(population.codes[population.institution[scam.victim]])

    def _orders(self, case: str | None = None) -> list[OrderView]:
        found: list[OrderView] = []
        cursor: str | None = None
        with self._centre.uow.read(OFFICER, purpose="orders of a case") as tx:
            while True:
                page = self._centre.matter.holds.list(tx, case=case, cursor=cursor, limit=PAGE_MAX)
                found += page.orders
                cursor = page.cursor
                if cursor is None:
                    return found[::-1]

    # Institutions.

    def _message(self, due: Due) -> None:
        self.at(due.at_s, functools.partial(self._work, due))

    def _work(self, due: Due) -> None:
        done = self._desks.work(due)
        if done is None:
            return
        if done.answer is None:
            self._taken_back(done)
            return
        self.tally.note(Cause.APPLIED)
        self._give(due.institution, done.order, done.answer)
        self.at(done.ends_s, functools.partial(self._expire, done.order))
        if done.account is None or done.now_minor <= done.before_minor:
            return
        scam = self._scam_of.get(done.case or "")
        self.tally.blocked(
            done.account,
            before_minor=done.before_minor,
            reason=self.reason_of(done.account, scam),
        )
        self.burn(done.account)
        self._applied_s.setdefault(done.order, self.now_s)
        if self.tally.is_innocent(done.account):
            self._plan_contest(done.order)

    def _give(self, institution: str, order: str, answer: Answer) -> None:
        """Answers of one institution that come together are sent together."""
        given = self._given.setdefault(institution, [])
        if not given:
            self.at(self.now_s + TOGETHER_S, functools.partial(self._send, institution))
        dated = msgspec.structs.replace(answer, applied_at=self._clock.now())
        given.append(Given(order=order, answer=dated))

    def _send(self, institution: str) -> None:
        given = self._given.pop(institution)
        actor = machine(institution)
        for place in range(0, len(given), ANSWERS_TOGETHER_MAX):
            part = given[place : place + ANSWERS_TOGETHER_MAX]
            with self._centre.uow.begin(actor, purpose="answers") as tx:
                for result in self._centre.matter.holds.answer_many(tx, part):
                    if isinstance(result, OpenAOCError):
                        self.refused.append(str(result))
        self._want_turn(self.now_s + AFTER_ANSWER_S)

    def _taken_back(self, done: Done) -> None:
        """The centre has given back: because a person said so, or by itself."""
        if done.order in self._person:
            self._given_back(done, Cause.PERSON, by="person")
        else:
            self._given_back(done, Cause.CORRECTED, by="centre")

    def _given_back(self, done: Done, cause: Cause, *, by: str) -> None:
        stolen = self.tally.note(cause)
        applied_s = self._applied_s.get(done.order)
        if applied_s is not None and done.now_minor < done.before_minor:
            self.backs.append(Back(by, self.now_s - applied_s, max(stolen, 0)))
        if done.account is not None:
            self.freed(done.account, stolen_minor=stolen)

    def _expire(self, order: str) -> None:
        done = self._desks.expire(order)
        if done is not None:
            self._given_back(done, Cause.EXPIRED, by="expired")
            self._want_turn(self.now_s + TOGETHER_S)

    # What persons do with holds.

    def _plan_contest(self, order: str) -> None:
        if order in self._contested:
            return
        self._contested.add(order)
        people = self.life.parameters.people
        draw = self.chance(4, len(self._contested))
        if draw.random() < people.contest_share.value * people.upheld_share.value:
            wait_s = float(draw.exponential(people.contest_mean_s.value))
            wait_s += people.decision_s.value
            self.at(self.now_s + wait_s, functools.partial(self._release, order))

    def _release(self, order: str) -> None:
        if not self._desks.held_minor(order):
            return
        self._person.add(order)
        with self._centre.uow.begin(OFFICER, purpose="a contest is upheld") as tx:
            self._centre.matter.holds.release(tx, order, "the holder traded honestly")
        self._deliver()
        self._want_turn(self.now_s + AFTER_ANSWER_S)

    def _plan_complaint(self, scam: Scam, case: str) -> None:
        people = self.life.parameters.people
        draw = self.chance(5, scam.number)
        share, after_s = draw.random(), float(draw.exponential(people.complaint_mean_s.value))
        if scam.false or share >= people.complaint_share.value:
            return
        self.at(self.now_s + after_s, functools.partial(self._complain, scam, case))

    def _complain(self, scam: Scam, case: str) -> None:
        with self._centre.uow.begin(INVESTIGATOR, purpose="a complaint") as tx:
            self._centre.matter.holds.complain(
                tx, case, complained_at=tx.now, reference=f"police report {scam.number}"
            )
        self._want_turn(self.now_s)
        if self.chance(6, scam.number).random() < self.life.parameters.people.authority_share.value:
            self.at(self.now_s + AUTHORITY_AFTER_S, functools.partial(self._seize, case))

    def _seize(self, case: str) -> None:
        for order in self._orders(case):
            if order.held_minor and self._desks.held_minor(order.order):
                with self._centre.uow.begin(OFFICER, purpose="a measure of the court") as tx:
                    self._centre.matter.holds.convert(
                        tx, order.order, authority="court order", reason="seized"
                    )
                self._desks.seize(order.order)

    # Measures.

    def _figures(self) -> ArmFigures:
        sent = self._desks.sent_s
        for order in self._orders():
            if order.mode != "live" or order.state is OrderState.DRAFTED:
                continue
            self.orders += 1
            told_s = self._case_at[order.case]
            issued_s = (order.issued_at - BORN).total_seconds()
            if order.order not in sent:
                continue
            if issued_s - told_s <= AT_ONCE_S:
                wave, since_s = "at once", told_s
            elif issued_s - self._decided_s.get(order.case, -1e9) <= AT_ONCE_S:
                wave, since_s = "person", told_s
            else:
                wave, since_s = "followed", issued_s
            applied = self._applied_s.get(order.order)
            self.timed.append(
                Timed(
                    wave,
                    order.layer,
                    sent[order.order] - since_s,
                    None if applied is None else applied - since_s,
                )
            )
        return super()._figures()


def members(life: Life, *, coverage: float) -> tuple[str, ...]:
    """The institutions that take part: the smallest number, largest first, with that share.

    One without accounts of its own always does.
    """
    found: list[str] = []
    covered = 0.0
    for one in sorted(life.parameters.institutions, key=lambda one: (-one.share, one.code)):
        if covered < coverage - 1e-9 or not one.share:
            found.append(one.code)
            covered += one.share
    return tuple(sorted(found))


def waiting_s(scenario: Scenario, headroom: float, now_s: float) -> float:
    """How long work that comes now waits for staff, when more comes than they can do.

    As a fluid: with `load` times the ordinary work and staff for `headroom` times of it, what is
    not done gathers from the first moment on.
    """
    return max(scenario.load / headroom - 1, 0.0) * now_s


def _machines(life: Life) -> str | None:
    return next((o.code for o in life.parameters.institutions if o.kind == "atm_network"), None)
