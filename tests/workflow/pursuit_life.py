"""A random life of open pursuits: what is done in it, and what must be so after every step."""

from __future__ import annotations

import contextlib
import random
from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta
from typing import Literal

import msgspec
import sqlalchemy as sa

from openaoc.cases.model import CaseState, Figures
from openaoc.holds.model import HOLDING, WAITING, Answer, OrderState
from openaoc.holds.record import OrderRecord
from openaoc.kernel.actor import CITIZEN, SYSTEM
from openaoc.kernel.errors import OpenAOCError
from openaoc.ledger.service import Ledger
from openaoc.ledger.table import transfers_from_rows
from openaoc.parties.model import PooledKind
from openaoc.reports.model import Channel, Payment, Report
from openaoc.restitution.model import LineState, RestitutionState
from tests.restitution.world import confirm, hold_long, made, propose, publish
from tests.workflow.centre import INVESTIGATOR, SECOND, SUPERVISOR, Centre, machine
from tests.workflow.invariants import all_orders, check, check_messages
from tests.workflow.pursuit_facts import Fact, Facts, Replayed, replay
from tests.workflow.standing_blocks import check_blocks_stay, standing

VICTIMS = ("KBANK:1", "KBANK:2", "BBL:1")
MULES = ("SCB:1", "SCB:2", "BBL:2", "WALLET:1", "WALLET:2", "KBANK:9")
HUB = "WALLET:500"
FILINGS = {"report", "report_earlier", "report_upstream", "report_later"}
"""Acts after which a block falls only where no case's money was blocked."""
LEFT = {OrderState.CONVERTED} | HOLDING
"""States in which the order's institution, or another's measure, blocks money of the case."""


class PursuitLife:
    """Steps of a small world, each chosen by an example's random numbers."""

    def __init__(self, centre: Centre, choice: random.Random) -> None:
        self.centre, self.choice = centre, choice
        self.facts = Facts()
        self.unseen: list[Fact] = []
        """Payments that were reported before anybody told them."""
        self.later: list[Fact] = []
        """Payments that were told and whose payers have not reported them yet."""
        self.hubs: frozenset[str] = frozenset()
        self.doubted: set[str] = set()
        """Accounts whose history was missing at any time: there less may be asked for."""
        self.done: list[str] = []
        self.number = 0
        for mule in MULES[:3]:  # of some accounts the history is known
            self.tell(self.fact("BBL:77", mule, 300, ago=timedelta(days=2)))

    # What institutions tell.

    def fact(self, debtor: str, creditor: str | None, amount: int, *, ago: timedelta) -> Fact:
        self.number += 1
        return Fact(
            name=f"T{self.number}",
            reporter=debtor.split(":", maxsplit=1)[0],
            at=self.centre.clock.now() - ago,
            debtor=debtor,
            creditor=creditor,
            amount=amount,
        )

    def tell(self, *facts: Fact) -> None:
        self.centre.ledger.ingest(transfers_from_rows([f.row() for f in facts]), live=True)
        self.facts.known += facts

    def ago(self) -> timedelta:
        """Mostly now, else late by seconds or hours."""
        return timedelta(seconds=self.choice.choice([0, 0, 0, 0, 1, 20, 600, 7_000]))

    def amount(self) -> int:
        return self.choice.choice([10, 50, 100, self.choice.randint(1, 400)])

    def move(self) -> None:
        """Money moves on between mules, now or told late; at times several moves at once."""
        moves = []
        for _ in range(self.choice.choice([1, 1, 1, 3])):
            debtor, creditor = self.choice.sample((*MULES, HUB), 2)
            moves.append(self.fact(debtor, creditor, self.amount(), ago=self.ago()))
        self.tell(*moves)

    def exit(self) -> None:
        fact = self.fact(self.choice.choice(MULES), None, self.amount(), ago=self.ago())
        self.tell(msgspec.structs.replace(fact, channel="cash_withdrawal"))

    def back(self) -> None:
        """Some of it returns to where it came from."""
        debtor, creditor = self.choice.choice(MULES), self.choice.choice(VICTIMS)
        self.tell(self.fact(debtor, creditor, self.amount(), ago=timedelta(0)))

    def correct(self) -> None:
        """A bank corrects what it told: amount, time or payee; or there was no transfer at all."""
        place = self.choice.randrange(len(self.facts.known))
        was = self.facts.known[place]
        now = self.choice.choice(
            [
                msgspec.structs.replace(was, amount=max(was.amount // 2, 1)),
                msgspec.structs.replace(was, amount=was.amount + 60),
                msgspec.structs.replace(was, at=was.at - timedelta(seconds=30)),
                msgspec.structs.replace(was, creditor=self.choice.choice(MULES)),
                msgspec.structs.replace(was, creditor=was.debtor, channel="transfer"),
            ]
        )
        revision = self.facts.revisions.get(was.name, 0) + 1
        row = now.row(corrects=was.name, revision=revision)
        receipt = self.centre.ledger.ingest(transfers_from_rows([row]), live=True)
        self.facts.known[place], self.facts.revisions[was.name] = now, revision
        if receipt.corrected:
            self.centre.tracing.distrust()

    # What victims and persons do.

    def report(self) -> None:
        """A new loss, moved on in part before it is reported."""
        victim, mule = self.choice.choice(VICTIMS), self.choice.choice(MULES)
        paid = self.fact(victim, mule, self.amount(), ago=timedelta(seconds=30))
        self.tell(paid)
        if self.choice.random() < 0.5:
            away = self.choice.choice([m for m in (*MULES, HUB) if m != mule])
            self.tell(self.fact(mule, away, self.amount(), ago=timedelta(seconds=5)))
        self.file(paid)

    def report_earlier(self) -> None:
        """An origin that was there before others, or another's money: any transfer of old."""
        old = [f for f in self.facts.known if f.creditor and f.creditor != f.debtor]
        if old:
            self.file(self.choice.choice(old))

    def report_both_ends(self) -> None:
        """Who passed the money on reports it and it is held; who paid first reports later."""
        victim, mule, away = self.choice.choice(VICTIMS), *self.choice.sample(MULES, 2)
        paid = self.fact(victim, mule, self.amount(), ago=timedelta(seconds=40))
        passed = self.fact(mule, away, self.amount(), ago=timedelta(seconds=20))
        self.tell(paid, passed)
        self.file(passed)
        self.later.append(paid)
        self.answer()

    def report_later(self) -> None:
        if self.later:
            self.file(self.later.pop(self.choice.randrange(len(self.later))))

    def report_upstream(self) -> None:
        """A payment that brought money to where a case with a hold says its loss began."""
        holding = {order.case_id for order in self.orders(*HOLDING)}
        with self.centre.database.uow.read(SYSTEM) as tx:
            claims = tx.connection.execute(
                sa.text("select case_id, transfer_id from case_claims order by sequence")
            ).all()
        claimed = {row.transfer_id for row in claims if row.case_id in holding}
        began = {fact.debtor: fact.at for fact in self.facts.known if fact.name in claimed}
        upstream = [
            fact
            for fact in self.facts.known
            if fact.creditor in began
            and fact.at <= began[fact.creditor]
            and fact.creditor != fact.debtor
            and not fact.flags
        ]
        if upstream:
            self.file(self.choice.choice(upstream))

    def report_unseen(self) -> None:
        victim, mule = self.choice.choice(VICTIMS), self.choice.choice(MULES)
        paid = self.fact(victim, mule, self.amount(), ago=timedelta(seconds=10))
        self.unseen.append(paid)
        self.file(paid)

    def tell_unseen(self) -> None:
        if self.unseen:
            self.tell(self.unseen.pop())

    def file(self, *paid: Fact) -> None:
        part = self.choice.random() < 0.2
        payments = [
            Payment(
                transfer_id=fact.name,
                reported_by=fact.reporter,
                booked_at=fact.at,
                debtor_bank=fact.debtor.split(":", maxsplit=1)[0],
                debtor_account=fact.debtor.split(":")[1],
                creditor_bank=(fact.creditor or HUB).split(":")[0],
                creditor_account=(fact.creditor or HUB).split(":")[1],
                amount_minor=max(fact.amount // 2, 1) if part else fact.amount,
                currency="THB",
            )
            for fact in paid
        ]
        report = Report(
            channel=Channel.INSTITUTION, reported_at=self.centre.clock.now(), payments=payments
        )
        citizen = self.choice.random() < 0.1
        sender = CITIZEN if citizen else machine(payments[0].debtor_bank)
        self.centre.matter.intake.receive(
            report, sender=sender, idempotency_key=f"k{self.number}-{self.choice.random()}"
        )

    def orders(self, *states: OrderState) -> list[OrderRecord]:
        """The orders in these states, by what does not change from one run to the next."""
        with self.centre.database.uow.read(SYSTEM) as tx:
            rows = tx.connection.execute(sa.text("select id from cases order by sequence"))
            opened = {row[0]: place for place, row in enumerate(rows)}
        found = [order for order in all_orders(self.centre) if order.state in states]
        return sorted(found, key=lambda o: (opened[o.case_id], *o.place, o.sequence))

    def answer(self) -> None:
        """Applied in whole, in part or not; some time ago; with what went on from there."""
        presumed = [order for order in self.orders(*HOLDING) if order.presumed]
        if presumed and self.choice.random() < 0.5:
            self.confirm_block(self.choice.choice(presumed))
            return
        waiting = self.orders(*WAITING)
        if not waiting:
            return
        order = self.choice.choice(waiting)
        applied = self.choice.choice(
            [order.amount_minor, order.amount_minor, order.ceiling_minor, order.amount_minor // 2]
        )
        outcome: Literal["applied", "refused", "unknown_account"] = self.choice.choices(
            ("applied", "refused", "unknown_account"), (6, 1, 1)
        )[0]
        since = timedelta(seconds=self.choice.choice([0, 0, 2, 60]))
        onward = []
        if self.choice.random() < 0.2:
            account = f"{order.institution}:{order.account}"
            away = self.choice.choice([m for m in MULES if m != account])
            onward.append(self.fact(account, away, self.amount(), ago=since))
        answer = Answer(
            outcome=outcome,
            applied_minor=applied if outcome == "applied" else 0,
            applied_at=self.centre.clock.now() - since,
            onward=[fact.onward() for fact in onward] or None,
        )
        try:
            with self.centre.database.uow.begin(machine(order.institution)) as tx:
                self.centre.matter.holds.answer(tx, order.id, answer)
        finally:
            for fact in onward:  # what an institution told is true whatever became of the answer
                found = self.centre.ledger.find(reported_by=fact.reporter, transfer_id=fact.name)
                self.facts.known += [fact] if found is not None else []

    def confirm_block(self, order: OrderRecord) -> None:
        """A block went over to the order, an institution says; or only in part, or not at all."""
        most = order.applied_minor
        untouched = order.held_minor == most
        applied = self.choice.choice([most, most, most // 2, 0]) if untouched else most
        answer = Answer(outcome="applied" if applied else "refused", applied_minor=applied)
        with self.centre.database.uow.begin(machine(order.institution)) as tx:
            self.centre.matter.holds.answer(tx, order.id, answer)

    def release(self) -> None:
        holding = self.orders(*HOLDING)
        if holding:
            order = self.choice.choice(holding)
            amount = self.choice.choice([order.held_minor, max(order.held_minor // 2, 1)])
            with self.centre.database.uow.begin(INVESTIGATOR) as tx:
                self.centre.matter.holds.release(tx, order.id, "a reason", amount_minor=amount)

    def withdraw(self) -> None:
        waiting = self.orders(*WAITING)
        if waiting:
            with self.centre.database.uow.begin(SUPERVISOR) as tx:
                self.centre.matter.holds.withdraw(tx, self.choice.choice(waiting).id, "a look")

    def convert(self) -> None:
        holding = self.orders(*HOLDING)
        if holding:
            with self.centre.database.uow.begin(SUPERVISOR) as tx:
                self.centre.matter.holds.convert(
                    tx, self.choice.choice(holding).id, authority="court order 7", reason="seized"
                )

    def approve(self) -> None:
        drafted = self.orders(OrderState.DRAFTED)
        if drafted:
            with self.centre.database.uow.begin(SECOND) as tx:
                self.centre.matter.holds.approve(tx, self.choice.choice(drafted).id)

    def drop(self) -> None:
        if cases := self.cases(CaseState.PURSUED):
            with self.centre.database.uow.begin(SUPERVISOR) as tx:
                self.centre.matter.pursuit.drop(tx, self.choice.choice(cases), reason="not true")

    def close_case(self) -> None:
        if cases := self.cases(CaseState.PURSUED):
            with self.centre.database.uow.begin(SUPERVISOR) as tx:
                self.centre.matter.pursuit.close(tx, self.choice.choice(cases), reason="all done")

    def reopen(self) -> None:
        if cases := self.cases(CaseState.CLOSED):
            with self.centre.database.uow.begin(SUPERVISOR) as tx:
                self.centre.matter.pursuit.reopen(tx, self.choice.choice(cases), reason="more")

    def give_back(self) -> None:
        """A case's held money is paid to its victims, told before, after or never; or wrongly."""
        cases = list(dict.fromkeys(order.case_id for order in self.orders(*HOLDING)))
        if not cases:
            return
        case = self.choice.choice(cases)
        hold_long(self.centre, case)
        one = publish(self.centre, propose(self.centre, case).id)
        self.centre.clock.advance(timedelta(days=30))
        self.centre.matter.duties.run_due()
        with self.centre.database.uow.read(SUPERVISOR) as tx:
            one = self.centre.matter.returning.restitutions.show(tx, one.id)
        if one.state is not RestitutionState.PAYABLE:
            return
        for line in one.lines:
            if line.state is not LineState.OPEN or not line.open_minor:
                continue
            when = self.choice.choice(["before", "after", "never"])
            debtor = f"{line.institution}:{line.account}"
            creditor = f"{line.payee_bank}:{line.payee_account}"
            paid = self.fact(debtor, creditor, line.open_minor, ago=timedelta(0))
            if when == "before":
                self.tell(paid)
                self.follow()
            confirm(self.centre, one.id, line.no, made(self.centre, line.open_minor,
                    transfer=paid.name), bank=line.institution)  # fmt: skip
            if when == "after":
                self.tell(paid)

    def pool(self) -> None:
        bank, account = HUB.split(":")
        pooled = self.centre.matter.pooled
        with self.centre.database.uow.begin(SUPERVISOR) as tx:
            if self.hubs:
                pooled.remove(tx, code=bank, account=account, reason="one shop's alone")
            else:
                pooled.add(
                    tx, code=bank, account=account, kind=PooledKind.ACQUIRER, reason="settlement"
                )
        self.hubs = frozenset() if self.hubs else frozenset({HUB})

    def wait(self) -> None:
        self.centre.clock.advance(timedelta(hours=self.choice.choice([0.01, 0.3, 5, 80])))

    def restart(self) -> None:
        """The centre ends and starts again: the ledger from its log, all else from the database."""
        centre = self.centre
        if self.choice.random() < 0.3:
            centre.ledger.snapshot()
        centre.ledger.close()
        centre.ledger = Ledger.open(centre.folder, settings=centre.settings, clock=centre.clock)
        centre.matter = centre.build()
        centre.matter.pooling.refresh()
        centre.matter.pursuit.start()

    # What follows, and what must be so.

    def acts(self) -> dict[Callable[[], None], int]:
        """What may happen next, and how often."""
        return {
            self.move: 10,
            self.exit: 3,
            self.back: 1,
            self.correct: 4,
            self.report: 8,
            self.report_earlier: 3,
            self.report_upstream: 3,
            self.report_both_ends: 3,
            self.report_later: 3,
            self.report_unseen: 1,
            self.tell_unseen: 1,
            self.answer: 10,
            self.release: 2,
            self.withdraw: 1,
            self.convert: 1,
            self.approve: 1,
            self.drop: 1,
            self.close_case: 1,
            self.reopen: 1,
            self.give_back: 1,
            self.pool: 1,
            self.wait: 2,
            self.restart: 1,
        }

    def cases(self, state: CaseState) -> list[str]:
        with self.centre.database.uow.read(SYSTEM) as tx:
            rows = tx.connection.execute(
                sa.text("select id from cases where state = :state order by sequence"),
                {"state": state.value},
            ).all()
        return [row[0] for row in rows]

    def follow(self) -> None:
        """What the centre's own threads do in two rounds, one of them hurried; no time goes by."""
        self.centre.matter.pooling.refresh()
        for hurried in (False, True):
            self.centre.matter.duties.run_due(hurried=hurried)

    def step(self) -> None:
        """Something happens, or two things at once; the centre follows; then everything holds."""
        weights = self.acts()
        before = standing(self.centre)
        acts = self.choice.choices(
            list(weights), weights=list(weights.values()), k=self.choice.choice([1, 1, 2])
        )
        for act in acts:
            self.done.append(act.__name__)
            with contextlib.suppress(OpenAOCError):  # refused, for whatever reason
                act()
            self.centre.clock.advance(timedelta(milliseconds=self.choice.choice([0, 1, 50])))
        self.follow()
        self.check()
        if {act.__name__ for act in acts} <= FILINGS:
            check_blocks_stay(
                self.centre, self.facts, self.hubs, doubted=self.doubted, before=before
            )

    def check(self) -> None:
        """What the centre believes is what a replay from scratch says, case by case."""
        check(self.centre)
        check_messages(self.centre)
        truth = replay(self.centre, self.facts, self.hubs)
        with self.centre.database.uow.read(SYSTEM) as tx:
            rows = tx.connection.execute(
                sa.text("select id, figures, standing from cases where state = 'pursued'")
            ).all()
        self.doubted |= self.facts.overdrawn()
        waiting: dict[tuple[str, str], int] = defaultdict(int)
        short: dict[tuple[str, str], int] = defaultdict(int)
        held: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for order in all_orders(self.centre):
            place = (order.case_id, f"{order.institution}:{order.account}")
            short[place] += order.short_minor
            if order.state in LEFT:
                held[order.case_id][place[1]] += order.held_minor
            else:
                waiting[place] += order.active_minor
        for row in rows:
            believed = msgspec.json.decode(bytes(row.figures), type=Figures)
            said = truth.get(row.id)
            if said is None:
                assert believed.loss_minor == 0, "no claim, no loss"
                continue
            self._same(row.id, believed, said)
            holds = {place: amount for place, amount in held[row.id].items() if amount}
            assert holds == said.held, f"{row.id}: orders hold what the replay holds"
            for account, (amount, _, hub, returned) in said.located.items():
                free = 0 if hub or returned else amount
                place = (row.id, account)
                assert waiting[place] <= free, f"{row.id}: asked for at {account}, and has left"
                if row.standing == "automatic" and account not in self.doubted:
                    asked = waiting[place] + short[place]
                    assert asked >= free, f"{row.id}: not followed to {account}"
            for (case, account), amount in waiting.items():
                assert case != row.id or not amount or account in said.located, "asked for nothing"

    @staticmethod
    def _same(case: str, believed: Figures, said: Replayed) -> None:
        located = {
            f"{one.bank}:{one.account}": (one.amount_minor, one.layer, one.hub, one.returned)
            for one in believed.located
        }
        assert located == said.located, case
        sums = (
            believed.loss_minor,
            believed.overlap_minor,
            believed.held_minor,
            believed.exited_minor,
            believed.restituted_minor,
        )
        found = (said.loss, said.overlap, sum(said.held.values()), said.exited, said.restituted)
        assert sums == found, case
        assert believed.conserved, case
