"""Simulation, trials: the arm with the centre: its own services, called as their actors would.

A clock that is set, institutions in this process, no waiting; nothing is decided here that the
centre decides.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa

from openaoc.holds.answers import ANSWERS_TOGETHER_MAX, Given
from openaoc.holds.model import Answer, OnwardTransfer, Order, OrderState, OrderView
from openaoc.kernel.clock import ManualClock, from_us
from openaoc.kernel.errors import OpenAOCError
from openaoc.kernel.ids import ids_drawn_from
from openaoc.kernel.limits import PAGE_MAX
from openaoc.ledger.accounts_file import parse_accounts
from openaoc.ledger.table import parse_transfers
from openaoc.parties.model import InstitutionKind
from openaoc.reports.model import ReportReceipt
from openaoc.restitution.model import PayableNotice
from openaoc.restitution.service import NOTICE as PAYABLE
from openaoc.simulation.background import Batch
from openaoc.simulation.feed import Feed
from openaoc.simulation.openings import openings_csv
from openaoc.simulation.reporting import write_report
from openaoc.simulation.scams import Scam
from openaoc.simulation.trial.actors import (
    ADMINISTRATOR,
    HOTLINE,
    OFFICER,
    SECOND,
    OpenCentre,
    machine,
)
from openaoc.simulation.trial.arm import Arm, Back, Timed
from openaoc.simulation.trial.desks import Desks, Done, Due
from openaoc.simulation.trial.joining import machines_of, members
from openaoc.simulation.trial.life import BORN, Life, stamp
from openaoc.simulation.trial.model import ArmFigures
from openaoc.simulation.trial.persons import Persons
from openaoc.simulation.trial.returning import Returning
from openaoc.simulation.trial.scenario import Scenario
from openaoc.simulation.trial.tally import Cause
from openaoc.simulation.world import Tick
from openaoc.workflow.confirming import PAYMENT_CONFIRM, ConfirmationRequest
from openaoc.workflow.control import CONTROL_CHECK, ControlMessage

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
QUIET_TURN_S: Final = 24 * 3_600.0
"""When ordinary life is over and only what is held is still waited for."""
REVIEW_TURNS: Final = 4
"""Every so many of them with what need not be done in every turn, such as the review of holds:
every two days here, hourly in a running centre; so clean money is held longer here, never shorter.
"""
AGAIN_S: Final = 60.0
"""An institution was out of reach: the centre tries again about so soon, as a running one does."""
AT_ONCE_S: Final = 60.0
"""An order this soon after the report, or after the decision on it, belongs to it."""


class CentreArm(Arm):
    """One nation with a centre."""

    after_answer_s = AFTER_ANSWER_S

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
        self.centre = centre
        self.clock = clock
        self._bytes = random.Random(seed)  # noqa: S311 - a simulation's ids
        self.desks = Desks(life, seed=seed, now_s=lambda: self.now_s, later=self._message)
        self._feed = Feed(life.population, machines=machines_of(life), neighbour=life.neighbour)
        self._pending: list[Tick] = []
        self._members = members(life, coverage=scenario.coverage)
        self._case_of: dict[int, ReportReceipt] = {}
        self._scam_of: dict[str, Scam] = {}
        self._case_at: dict[str, float] = {}
        self._decided_s: dict[str, float] = {}
        self._applied_s: dict[str, float] = {}
        self._known: set[int] = set()
        self._turn_s: float | None = None
        self._regular_turns = 0
        self.refused: list[str] = []
        """Answers the centre did not take: there should be none but of the latest moment."""
        self._woken: set[str] = set()
        self._again = False
        self._delivery = centre.channels.by_hand(transport=self.desks, woken=self._wake)
        self._given: dict[str, list[Given]] = {}
        self.persons = Persons(self)
        self.returning = Returning(self)

    def run(self) -> ArmFigures:
        """Live until the end; ids are drawn from the seed."""
        with ids_drawn_from(self._bytes.randbytes):
            return super().run()

    # Before the first moment.

    def begin(self) -> None:
        """Institutions join, two people switch them live, openings and the past are told."""
        centre, life = self.centre, self.life
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
        self.tell_past()
        self.at(TURN_S, self._regular)

    def tell_past(self) -> None:
        """Opening balances and the ordinary days before."""
        life = self.life
        for code in self._members:
            text = openings_csv(life.population, code=code)
            if text.count(b"\n") > 1:
                self.centre.ledger.set_openings(parse_accounts(text, CSV), from_us(life.past_us))
        self._pending += life.live_past()
        self.tell_ledger()

    # The feed.

    def moved(self, tick: Tick) -> None:
        """The institutions report it; the centre has a turn when a reported scam's money moved."""
        self._pending.append(tick)
        if any(move.scam in self.reported_s and move.amount_minor for move in tick.moves):
            self.want_turn(self.now_s + self.life.parameters.machines.feed_delay_s.value)

    def tell_ledger(self) -> None:
        """Bring everything that was booked until now into the ledger."""
        ticks = [tick for tick in self._pending if len(tick.rows.debtor)]
        came = [tick for tick in self._pending if tick.arrived]
        self._pending.clear()
        for tick in came:
            self._ingest(self._feed.arrivals(tick))
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
        self._ingest(table)

    def _ingest(self, table: pa.Table) -> None:
        if table.num_rows:
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, table.schema) as writer:
                writer.write_table(table)
            parsed = parse_transfers(sink.getvalue().to_pybytes(), ARROW)
            self.centre.ledger.ingest(parsed, live=False, told_by=SWITCH)

    # The centre's turns.

    def _go_to(self, when_s: float) -> None:
        super()._go_to(when_s)
        ahead = from_us(stamp(when_s)) - self.clock.now()
        if ahead > timedelta(0):
            self.clock.advance(ahead)

    def want_turn(self, when_s: float) -> None:
        """Have a turn then, unless one comes before."""
        if self._turn_s is not None and self._turn_s <= when_s + TOGETHER_S:
            return
        self._turn_s = when_s
        self.at(when_s, functools.partial(self._take_turn, when_s))

    def _take_turn(self, when_s: float) -> None:
        if self._turn_s == when_s:
            self._turn_s = None
            self.turn()

    def _regular(self) -> None:
        self._regular_turns += 1
        lively = self.now_s < self.life.parameters.trial.until_s.value
        self.turn(hurried=self._regular_turns % REVIEW_TURNS > 0)
        self._woken = set(self.centre.channels.sweep())
        self.deliver()
        self.at(self.now_s + (TURN_S if lively else QUIET_TURN_S), self._regular)

    def turn(self, *, hurried: bool = True) -> None:
        """What the centre's own clock does, and then its deliveries."""
        self.tell_ledger()
        self.centre.matter.duties.run_due(hurried=hurried)
        self.deliver()

    def _wake(self, institution: str) -> None:
        self._woken.add(institution)

    def deliver(self) -> None:
        """Send to whoever has something due; to whom nothing got through, again before long."""
        for code in sorted(self._woken):
            before = self.desks.taken[code]
            while self._delivery.deliver(code):
                pass
            if self.desks.taken[code] > before:
                self._woken.discard(code)
        if self._woken and not self._again:
            self._again = True
            self.at(self.now_s + AGAIN_S, self._deliver_again)

    def _deliver_again(self) -> None:
        self._again = False
        self.deliver()

    # Reports.

    def telling_s(self) -> float:
        """A clerk writes it down; with a centre nobody telephones other banks meanwhile."""
        return self.life.parameters.people.telling_s.value

    def told(self, scam: Scam) -> None:
        """By the victim's bank under its own key where it takes part, else by the hotline."""
        self.tell_ledger()
        bank = self._bank(scam)
        by_bank = scam.by_bank and bank in self._members
        report = write_report(
            self.life.parameters,
            self.life.population,
            scam._replace(by_bank=by_bank),
            self.paid[scam.number],
            reported_at=self.clock.now(),
            neighbour=self.life.neighbour,
        )
        assert report is not None, "a victim who has paid has something to report"
        receipt, _ = self.centre.matter.intake.receive(
            report,
            sender=machine(bank) if by_bank else HOTLINE,
            idempotency_key=f"report-{scam.number}",
        )
        self._case_of[scam.number] = receipt
        self._scam_of[receipt.case] = scam
        self._case_at[receipt.case] = self.now_s
        if receipt.standing == "automatic":
            self._learn(scam)
        elif bank not in self._members:
            self.persons.asked_to_decide(scam, receipt.case)
        if not by_bank:
            self.centre.matter.control.ask(receipt.case, actor=HOTLINE)
        self.persons.plan_complaint(scam, receipt.case)
        self.deliver()
        for look_s in LOOKS_S:
            self.want_turn(self.now_s + look_s)

    def known(self, account: int) -> bool:
        """Payees of reported scams are known."""
        return account in self._known

    def _learn(self, scam: Scam) -> None:
        self._known.update(payment.payee for payment in scam.payments)

    def note_decided(self, case: str) -> None:
        """Somebody answerable believes the report: its orders may go out."""
        self._decided_s.setdefault(case, self.now_s)
        self._learn(self._scam_of[case])

    def transfers_of(self, asked: ConfirmationRequest) -> Sequence[OnwardTransfer]:
        """What the payer's institution tells with its confirmation: its feed has told it all."""
        del asked
        return ()

    def scam_of(self, case: str) -> Scam:
        """Whose case it is: for persons, who know what happened to them."""
        return self._scam_of[case]

    def number_of(self, case: str) -> int:
        """The scam's number, by which chance is drawn."""
        return self._scam_of[case].number

    def told_s(self, case: str) -> float:
        """When the case's report came in."""
        return self._case_at[case]

    def _bank(self, scam: Scam) -> str:
        population = self.life.population
        return str(population.codes[population.institution[scam.victim]])

    def orders_of(self, case: str | None = None) -> list[OrderView]:
        """The case's orders, or all of them, oldest first."""
        found: list[OrderView] = []
        cursor: str | None = None
        with self.centre.uow.read(OFFICER, purpose="orders of a case") as tx:
            while True:
                page = self.centre.matter.holds.list(tx, case=case, cursor=cursor, limit=PAGE_MAX)
                found += page.orders
                cursor = page.cursor
                if cursor is None:
                    return found[::-1]

    # Institutions.

    def _message(self, due: Due) -> None:
        self.at(due.at_s, functools.partial(self._work, due))

    def _work(self, due: Due) -> None:
        """An institution deals with a message, or with its part of one."""
        if due.kind == PAYMENT_CONFIRM:
            asked = msgspec.json.decode(due.body, type=ConfirmationRequest)
            self.persons.asked_to_confirm(due.institution, asked)
        elif due.kind == CONTROL_CHECK:
            shown = msgspec.json.decode(due.body, type=ControlMessage)
            receipt = self._case_of[self.number_of(shown.case)]
            self.persons.shown_code(shown, secret=receipt.secret)
        elif due.kind == PAYABLE:
            notice = msgspec.json.decode(due.body, type=PayableNotice)
            self.returning.payable(due.institution, notice)
        else:
            done = self.desks.work(due)
            if done is not None:
                self._worked(due.institution, done)

    def _worked(self, institution: str, done: Done) -> None:
        if done.answer is None or done.asked is None:
            self._taken_back(done)
            return
        self.tally.note(Cause.APPLIED)
        dated = msgspec.structs.replace(done.answer, applied_at=self.clock.now())
        answer, wait_s = self.completed(done, done.asked, dated)
        if wait_s:
            give = functools.partial(self.give, institution, done.order, answer)
            self.at(self.now_s + wait_s, give)
        else:
            self.give(institution, done.order, answer)
        self.at(done.ends_s, functools.partial(self._expire, done.order))
        if done.asked.continues in self._applied_s:
            self._applied_s.setdefault(done.order, self._applied_s[done.asked.continues])
        if done.account is None or done.now_minor <= done.before_minor:
            return
        self.tally.blocked(
            done.account,
            before_minor=done.before_minor,
            reason=self.reason_of(done.account, self._scam_of.get(done.asked.case)),
        )
        self.burn(done.account)
        self._applied_s.setdefault(done.order, self.now_s)
        if self.tally.is_innocent(done.account):
            self.persons.plan_contest(done.order, done.account)

    def completed(self, done: Done, order: Order, answer: Answer) -> tuple[Answer, float]:
        """The answer as it is sent, and after how long: at once, the feed tells the rest."""
        del done, order
        return answer, 0.0

    def give(self, institution: str, order: str, answer: Answer) -> None:
        """Answers of one institution that come together are sent together."""
        given = self._given.setdefault(institution, [])
        if not given:
            self.at(self.now_s + TOGETHER_S, functools.partial(self._send, institution))
        given.append(Given(order=order, answer=answer))

    def _send(self, institution: str) -> None:
        given = self._given.pop(institution)
        actor = machine(institution)
        for place in range(0, len(given), ANSWERS_TOGETHER_MAX):
            part = given[place : place + ANSWERS_TOGETHER_MAX]
            with self.centre.uow.begin(actor, purpose="answers") as tx:
                for result in self.centre.matter.holds.answer_many(tx, part):
                    if isinstance(result, OpenAOCError):
                        self.refused.append(str(result))
        self.want_turn(self.now_s + self.after_answer_s)

    def _taken_back(self, done: Done) -> None:
        """The centre has given back: because a person said so, or by itself."""
        if done.order in self.persons.released:
            self._given_back(done, Cause.PERSON, by="person")
        else:
            self._given_back(done, Cause.CORRECTED, by="centre")

    def _given_back(self, done: Done, cause: Cause, *, by: str) -> None:
        stolen = self.tally.note(cause)
        if done.now_minor < done.before_minor:
            self.note_back(by, self.held_for_s(done.order), stolen_minor=stolen)
        if done.account is not None:
            self.freed(done.account, stolen_minor=stolen)

    def _expire(self, order: str) -> None:
        done = self.desks.expire(order)
        if done is not None:
            self._given_back(done, Cause.EXPIRED, by="expired")
            self.want_turn(self.now_s + TOGETHER_S)

    def held_for_s(self, order: str) -> float | None:
        """How long ago the order was applied; None when nothing was blocked for it."""
        applied_s = self._applied_s.get(order)
        return None if applied_s is None else self.now_s - applied_s

    def note_back(self, by: str, held_s: float | None, *, stolen_minor: int) -> None:
        """A hold ended in part or whole."""
        if held_s is not None:
            self.backs.append(Back(by, held_s, max(stolen_minor, 0)))

    def give_back(self, order: str, amount_minor: int) -> None:
        """A court frees money of its own measure."""
        done = self.desks.less(order, amount_minor)
        if done is not None:
            self._given_back(done, Cause.PERSON, by="person")

    def after_release(self) -> None:
        """A person has released: the institution hears of it, the case is looked at."""
        self.deliver()
        self.want_turn(self.now_s + AFTER_ANSWER_S)

    # Measures.

    def _figures(self) -> ArmFigures:
        sent = self.desks.sent_s
        for order in self.orders_of():
            if order.mode != "live" or order.state is OrderState.DRAFTED:
                continue
            self.orders += 1
            if order.order not in sent:
                continue
            wave, since_s = self.wave_of(order)
            applied = self._applied_s.get(order.order)
            self.timed.append(
                Timed(
                    wave,
                    order.layer,
                    sent[order.order] - since_s,
                    None if applied is None else applied - since_s,
                )
            )
        figures = super()._figures()
        return msgspec.structs.replace(
            figures,
            returned_minor=self.returning.returned_minor,
            returned_clean_minor=self.returning.clean_minor,
        )

    def wave_of(self, order: OrderView) -> tuple[str, float]:
        """With what an order went out, and since when its time counts."""
        told_s = self._case_at[order.case]
        issued_s = (order.issued_at - BORN).total_seconds()
        if issued_s - told_s <= AT_ONCE_S:
            return "at once", told_s
        if issued_s - self._decided_s.get(order.case, -1e9) <= AT_ONCE_S:
            return "confirmed", told_s
        return "followed", issued_s
