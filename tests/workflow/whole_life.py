"""One random life of a centre: everything that people, institutions and the clock may do in it."""

from __future__ import annotations

import functools
import random
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Literal, TypeVar

import msgspec

from openaoc.appeals.model import OPEN, AppealState, AppealView, BlindVerdict
from openaoc.cases.model import UNDER_WORK, CaseState
from openaoc.holds.model import HOLDING, WAITING, Answer, OrderState
from openaoc.holds.suspicion_model import STILL, NewSuspicion, Suspicion
from openaoc.holds.telephone import PhoneAnswer
from openaoc.kernel.actor import CITIZEN, Actor
from openaoc.kernel.errors import OpenAOCError
from openaoc.safety.model import RunState, Selection, UndoRequest
from openaoc.storage.unit_of_work import Transaction
from tests.appeals.contests import (
    OTHER,
    REVIEWER,
    code_of,
    contest,
    decide,
    refuse,
    second,
    take,
    uphold,
)
from tests.restitution.test_machine import MULES, VICTIMS, Life
from tests.workflow.centre import (
    AGENT,
    INVESTIGATOR,
    SECOND,
    SUPERVISOR,
    Centre,
    machine,
)
from tests.workflow.invariants import all_orders, check, settle
from tests.workflow.life_facts import check_life, column, journal_size

T = TypeVar("T")
Act = Callable[[], None]
EAGER = 4
TRIES = 8
COURT = {"authority": "Criminal Court, order 12/2569", "reason": "the court said so"}


class WholeLife(Life):
    """Victims, mules, banks, holders, reviewers, judges, thieves of keys, and the clock."""

    def __init__(self, centre: Centre, choice: random.Random) -> None:
        super().__init__(centre, choice)
        self.done: Counter[str] = Counter()
        """How often each act has changed something."""

    def acts(self) -> dict[Act, int]:
        """What may happen next, and how often."""
        return super().acts() | {
            self.report_only: 4,
            self.false_report: 1,
            self.report_again: 1,
            self.move_on: 3,
            self.answer: 4,
            self.refuse_order: 1,
            self.telephone: 2,
            self.own_word: 2,
            self.contest: 4,
            self.take: 4,
            self.decide_contest: 4,
            self.second_word: 3,
            self.explain: 1,
            self.approve: 2,
            self.withdraw: 1,
            self.complain: 1,
            self.extend: 1,
            self.convert: 1,
            self.suspect: 1,
            self.end_suspicion: 1,
            self.open_breaker: 1,
            self.close_breaker: 2,
            self.propose_undo: 1,
            self.decide_undo: 2,
            self.judge_blind: 3,
            self.end_case: 1,
            self.reopen: 1,
            self.hour: 3,
        }

    def step(self) -> None:
        """The first of some acts to change something; what was never done is tried more often."""
        weights = {
            act: weight * (1 if self.done[act.__name__] else EAGER)
            for act, weight in self.acts().items()
        }
        for _ in range(TRIES):
            [act] = self.choice.choices(list(weights), weights=list(weights.values()))
            if self.attempt(act):
                break
        self.follow()

    def do(self, act: Act) -> bool:
        """One act and what follows of itself; whether it changed anything."""
        changed = self.attempt(act)
        self.follow()
        return changed

    def attempt(self, act: Act) -> bool:
        """One act alone; whether it changed anything.

        A refusal is an answer too: it must have changed nothing, which the invariants see.
        """
        before, told = journal_size(self.centre), self.centre.ledger.stats().transfers
        moment, matter = self.centre.clock.now(), self.centre.matter
        refused = False
        try:
            act()
        except OpenAOCError:
            refused = True
        changed = not refused and (
            journal_size(self.centre) > before
            or self.centre.clock.now() > moment
            or self.centre.ledger.stats().transfers > told
            or self.centre.matter is not matter
        )
        self.done[act.__name__] += changed
        return changed

    def follow(self) -> None:
        """What follows of itself, and then every invariant."""
        settle(self.centre)
        check(self.centre)
        check_life(self.centre)
        self.check()

    # Short words.

    def does(self, actor: Actor, verb: Callable[[Transaction], T]) -> T:
        with self.centre.database.uow.begin(actor) as tx:
            return verb(tx)

    def reads(self, verb: Callable[[Transaction], T]) -> T:
        with self.centre.database.uow.read(SUPERVISOR) as tx:
            return verb(tx)

    def some(self, found: Sequence[T]) -> T | None:
        """One of them, or None where there is none."""
        return self.choice.choice(found) if found else None

    def in_state(self, *states: OrderState) -> str | None:
        return self.some([o.id for o in all_orders(self.centre) if o.state in states])

    # Reports and money.

    def report_only(self) -> None:
        """A loss is reported, and no bank has answered yet."""
        victim, mule = self.choice.choice(VICTIMS), self.choice.choice(MULES)
        origin = self.centre.pay(victim, mule, self.choice.randint(1, 1_000))
        self.cases.append(self.centre.file(origin, reporter=None).case)

    def false_report(self) -> None:
        """A citizen's word alone: it holds nothing before a person agrees."""
        origin = self.centre.pay(VICTIMS[0], MULES[0], self.choice.randint(1, 500))
        self.cases.append(self.centre.file(origin, sender=CITIZEN, reporter=None).case)

    def report_again(self) -> None:
        """The same loss under another case's number: nothing is claimed twice."""
        if (case := self.some(self.cases)) is not None:
            claims = self.reads(lambda tx: self.centre.matter.cases.claims_of(tx, case))
            for _, claim in claims[:1]:
                self.centre.file(claim.transfer_id, reporter=None)

    def move_on(self) -> None:
        """Money goes on, told at once or an hour late, or out of the ledger."""
        debtor, creditor = self.choice.sample(MULES, 2)
        ago = timedelta(seconds=self.choice.choice([1, 1, 3_600]))
        leaves = self.choice.random() < 0.2
        self.centre.pay(
            debtor,
            None if leaves else creditor,
            self.choice.randint(1, 400),
            ago=ago,
            channel="cash_withdrawal" if leaves else "transfer",
        )

    # Institutions.

    def answer(self) -> None:
        if (
            order := self.some([o for o in all_orders(self.centre) if o.state in WAITING])
        ) is not None:
            applied = self.choice.choice([order.amount_minor, max(order.amount_minor // 3, 1)])
            self.centre.answer(order.id, order.institution, applied)

    def refuse_order(self) -> None:
        outcome: Literal["refused", "unknown_account"] = self.choice.choice(
            ["refused", "unknown_account"]
        )
        if (
            order := self.some([o for o in all_orders(self.centre) if o.state in WAITING])
        ) is not None:
            self.does(
                machine(order.institution),
                lambda tx: self.centre.matter.holds.answer(tx, order.id, Answer(outcome=outcome)),
            )

    def telephone(self) -> None:
        """An order is printed, read aloud, and answered by voice."""
        if (
            order := self.some([o for o in all_orders(self.centre) if o.state in WAITING])
        ) is not None:
            self.does(AGENT, lambda tx: self.centre.matter.telephone.paper(tx, order.id))
            said = PhoneAnswer(
                outcome="applied",
                applied_minor=self.choice.choice([order.amount_minor, 1]),
                spoke_to="the fraud desk",
                spoken_at=self.centre.clock.now(),
            )
            self.does(AGENT, lambda tx: self.centre.matter.telephone.answer(tx, order.id, said))

    def own_word(self) -> None:
        """After the call the institution's system says itself what it did: more, less or so."""
        asked = "select order_id from hold_phone_answers where confirmed_at is null"
        if (name := self.some(column(self.centre, asked))) is not None:
            order = next(o for o in all_orders(self.centre) if o.id == name)
            applied = self.choice.choice([order.applied_minor, order.amount_minor, 1])
            self.centre.answer(order.id, order.institution, applied)

    def suspect(self) -> None:
        told = NewSuspicion(
            account=self.choice.choice(MULES).split(":")[1],
            amount_minor=self.choice.randint(1, 500),
            currency="THB",
            held_at=self.centre.clock.now() - timedelta(hours=self.choice.choice([0, 100])),
            grounds="in and out within minutes",
        )
        self.does(machine("SCB"), lambda tx: self.centre.matter.suspicions.tell(tx, told))

    def end_suspicion(self) -> None:
        held = self.centre.matter.suspicions
        if (one := self.some([s for s in self.suspicions() if s.state in STILL])) is not None:
            until = self.centre.clock.now() + timedelta(days=self.choice.choice([9, 200]))
            verb: Callable[[Transaction], Suspicion] = self.choice.choice(
                [
                    lambda tx: held.release(tx, one.id, reason="no evidence"),
                    lambda tx: held.extend(tx, one.id, until=until, **COURT),
                    lambda tx: held.convert(tx, one.id, **COURT),
                ]
            )
            self.does(SUPERVISOR, verb)

    def suspicions(self) -> list[Suspicion]:
        return self.reads(lambda tx: self.centre.matter.suspicions.list(tx, limit=200)).suspicions

    # Contests.

    def contest(self) -> None:
        told = {n.order for n in self.centre.outbox.notices()}
        standing = [o.id for o in all_orders(self.centre) if o.id in told and o.active_minor]
        if (order := self.some(standing)) is not None:
            contest(self.centre, order, code=code_of(self.centre, order))

    def take(self) -> None:
        who = self.choice.choice([REVIEWER, OTHER, SUPERVISOR])
        if (one := self.some([a for a in self.contests() if a.state in OPEN])) is not None:
            take(self.centre, one.appeal, who)

    def decide_contest(self) -> None:
        taken = [a for a in self.contests() if a.state is AppealState.UNDER_REVIEW]
        if (one := self.some(taken)) is not None:
            who = next(p for p in (REVIEWER, OTHER, SUPERVISOR) if p.id == one.taken_by)
            part = uphold(outcome="uphold_in_part", release_minor=self.choice.randint(1, 300))
            decide(self.centre, one.appeal, self.choice.choice([uphold(), part, refuse()]), who)

    def second_word(self) -> None:
        if (
            one := self.some([a for a in self.contests() if a.state is AppealState.PROPOSED])
        ) is not None:
            who = self.choice.choice([SUPERVISOR, SECOND])
            second(self.centre, one.appeal, agree=self.choice.random() < 0.7, who=who)

    def explain(self) -> None:
        if (one := self.some([a for a in self.contests() if a.escalated_at])) is not None:
            self.does(
                SUPERVISOR,
                lambda tx: self.centre.matter.appeals.explain_lateness(tx, one.appeal, "too few"),
            )

    def contests(self) -> list[AppealView]:
        found: list[AppealView] = []
        for state in AppealState:
            listed = functools.partial(self.centre.matter.appeals.list, state=state, limit=200)
            found += self.reads(listed).appeals
        return found

    def judge_blind(self) -> None:
        """A drawn hold is judged by somebody who does not know whose it is."""
        blind = self.centre.matter.blind
        waiting = [r for r in self.reads(blind.list).reviews if r.verdict is None]
        if (one := self.some(waiting)) is not None:
            task = self.does(OTHER, lambda tx: blind.take(tx, one.review))
            wrong = self.choice.choice([0, task.ordered_minor])
            verdict = BlindVerdict(
                verdict="wrong" if wrong else "right", wrong_minor=wrong, note="looked at"
            )
            self.does(OTHER, lambda tx: blind.judge(tx, one.review, verdict))

    # Persons of the centre.

    def approve(self) -> None:
        if (order := self.in_state(OrderState.DRAFTED)) is not None:
            self.does(SECOND, lambda tx: self.centre.matter.holds.approve(tx, order))

    def withdraw(self) -> None:
        if (order := self.in_state(*WAITING)) is not None:
            self.does(SUPERVISOR, lambda tx: self.centre.matter.holds.withdraw(tx, order, "a look"))

    def complain(self) -> None:
        if (case := self.some(self.cases)) is not None:
            at = self.centre.clock.now() - timedelta(hours=self.choice.choice([0, 5]))
            self.does(
                INVESTIGATOR,
                lambda tx: self.centre.matter.holds.complain(
                    tx, case, complained_at=at, reference="police 7/2569"
                ),
            )

    def extend(self) -> None:
        if (order := self.in_state(*HOLDING)) is not None:
            until = self.centre.clock.now() + timedelta(days=self.choice.choice([20, 85, 200]))
            self.does(
                SUPERVISOR,
                lambda tx: self.centre.matter.holds.extend(tx, order, until=until, **COURT),
            )

    def convert(self) -> None:
        if (order := self.in_state(*HOLDING)) is not None:
            self.does(SUPERVISOR, lambda tx: self.centre.matter.holds.convert(tx, order, **COURT))

    def end_case(self) -> None:
        """Dropped as false, or closed once nothing is out."""
        pursuit = self.centre.matter.pursuit
        if (case := self.some(self.cases)) is not None:
            if self.choice.random() < 0.5:
                self.does(SUPERVISOR, lambda tx: pursuit.drop(tx, case, reason="a false report"))
            else:
                self.does(SUPERVISOR, lambda tx: pursuit.close(tx, case, reason="all is done"))

    def state(self, case: str) -> CaseState:
        return self.reads(lambda tx: self.centre.matter.cases.row(tx, case)).state

    def reopen(self) -> None:
        ended = [case for case in self.cases if self.state(case) not in UNDER_WORK]
        if (case := self.some(ended)) is not None:
            self.does(
                SUPERVISOR,
                lambda tx: self.centre.matter.pursuit.reopen(tx, case, reason="new facts"),
            )

    def open_breaker(self) -> None:
        scope = self.choice.choice(["institution:SCB", "source:usr_kbank", "all"])
        self.does(
            INVESTIGATOR,
            lambda tx: self.centre.matter.breakers.open(tx, scope, reason="too many"),
        )

    def close_breaker(self) -> None:
        shown = self.reads(self.centre.matter.breakers.list).breakers
        if (one := self.some([b for b in shown if b.open])) is not None:
            resume = self.choice.random() < 0.5
            self.does(
                SUPERVISOR,
                lambda tx: self.centre.matter.breakers.close(
                    tx, one.scope, reason="looked at", resume=resume
                ),
            )

    def propose_undo(self) -> None:
        by = self.choice.choice([{"institution": "WALLET"}, {"reporter": "usr_bbl"}])
        request = UndoRequest(selection=msgspec.convert(by, Selection), reason="a stolen key")
        self.does(SUPERVISOR, lambda tx: self.centre.matter.undo.propose(tx, request))

    def decide_undo(self) -> None:
        undo = self.centre.matter.undo
        proposed = [r for r in self.reads(undo.list).runs if r.state is RunState.PROPOSED]
        if (one := self.some(proposed)) is not None:
            if self.choice.random() < 0.7:
                self.does(SECOND, lambda tx: undo.approve(tx, one.undo))
            else:
                self.does(SUPERVISOR, lambda tx: undo.drop(tx, one.undo, reason="no need"))

    # The clock.

    def hour(self) -> None:
        self.centre.clock.advance(timedelta(hours=self.choice.choice([1, 5, 25])))
