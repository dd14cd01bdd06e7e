"""One random life of a centre: everything that people, institutions and the clock may do in it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import timedelta
from typing import Literal

import msgspec

from openaoc.appeals.model import OPEN, AppealState, AppealView, BlindVerdict
from openaoc.cases.model import UNDER_WORK, CaseState
from openaoc.holds.delay_model import DelayState, NewDelay, NoticeDelay
from openaoc.holds.model import HOLDING, WAITING, Answer, OrderState
from openaoc.holds.suspicion_model import STILL, NewSuspicion, Suspicion
from openaoc.holds.telephone import PhoneAnswer
from openaoc.indicators.model import Status
from openaoc.kernel.actor import CITIZEN, Actor, Role
from openaoc.reports.model import Channel
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
from tests.restitution.test_machine import MULES, VICTIMS
from tests.workflow.centre import (
    AGENT,
    INVESTIGATOR,
    SECOND,
    SUPERVISOR,
    machine,
)
from tests.workflow.invariants import all_orders
from tests.workflow.life_facts import column
from tests.workflow.stepped_life import Act, SteppedLife

THIRD = Actor(id="usr_third", roles=frozenset({Role.SUPERVISOR}))
SWITCHED = "institution:WALLET"
COURT = {"authority": "Criminal Court, order 12/2569", "reason": "the court said so"}


class WholeLife(SteppedLife):
    """Victims, mules, banks, holders, reviewers, judges, thieves of keys, and the clock."""

    def acts(self) -> dict[Act, int]:
        """What may happen next, and how often."""
        return super().acts() | {
            self.report_only: 4,
            self.false_report: 1,
            self.confirm: 1,
            self.partner_report: 1,
            self.report_again: 1,
            self.move_on: 3,
            self.tell_late: 2,
            self.answer: 4,
            self.answer_again: 2,
            self.refuse_order: 1,
            self.telephone: 2,
            self.own_word: 2,
            self.contest: 5,
            self.take: 6,
            self.decide_contest: 8,
            self.second_word: 5,
            self.explain: 1,
            self.approve: 2,
            self.withdraw: 1,
            self.complain: 1,
            self.extend: 1,
            self.convert: 1,
            self.suspect: 1,
            self.end_suspicion: 1,
            self.open_breaker: 1,
            self.close_breaker: 5,
            self.propose_undo: 1,
            self.decide_undo: 2,
            self.judge_blind: 3,
            self.confirm_indicator: 1,
            self.quiet_case: 2,
            self.delay_notice: 2,
            self.agree_delay: 3,
            self.end_delay: 1,
            self.to_shadow: 1,
            self.to_live: 2,
            self.end_case: 1,
            self.reopen: 1,
            self.hour: 3,
        }

    # Reports and money.

    def report_only(self) -> None:
        """A loss is reported, and no bank has answered yet."""
        victim, mule = self.choice.choice(VICTIMS), self.choice.choice(MULES)
        origin = self.centre.pay(victim, mule, self.choice.randint(1, 1_000))
        self.cases.append(self.centre.file(origin, reporter=None).case)

    def false_report(self) -> None:
        """A citizen's word alone: it holds nothing before a person agrees."""
        origin = self.centre.pay(VICTIMS[0], MULES[0], self.choice.randint(1, 500))
        case = self.centre.file(origin, sender=CITIZEN, reporter=None).case
        self.facts.words_only.add(case)
        self.cases.append(case)

    def confirm(self) -> None:
        """The payer's institution says that its customer paid: now it stands by itself."""
        cases = sorted(self.facts.words_only)
        quiet = [case for case in cases if case in self.facts.delayed]
        if (case := self.some(quiet or cases)) is not None:
            self.centre.matter.pursuit.confirm(case, actor=machine(VICTIMS[0].split(":")[0]))
            self.facts.words_only.discard(case)

    def partner_report(self) -> None:
        """A partner's word: two persons of ours have to agree."""
        origin = self.centre.pay(VICTIMS[2], self.choice.choice(MULES), 300)
        report = self.centre.file(origin, sender=SUPERVISOR, channel=Channel.PARTNER, reporter=None)
        self.facts.partners.add(report.case)
        self.cases.append(report.case)

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

    def tell_late(self) -> None:
        """The ledger hears only now that money left before the hold on it was applied."""
        orders = all_orders(self.centre)
        if (order := self.some([o for o in orders if o.state in HOLDING])) is not None:
            applied_at = order.answered_at or order.issued_at
            left_at = order.received_at + (applied_at - order.received_at) / 2
            debtor = f"{order.institution}:{order.account}"
            self.centre.pay(
                debtor,
                next(mule for mule in MULES if mule != debtor),
                self.choice.randint(1, 2 * order.held_minor),
                ago=self.centre.clock.now() - left_at,
            )

    # Institutions.

    def answer(self) -> None:
        if (
            order := self.some([o for o in all_orders(self.centre) if o.state in WAITING])
        ) is not None:
            applied = self.choice.choice([order.amount_minor, max(order.amount_minor // 3, 1)])
            free = self.choice.choice([None, applied, applied + 50, applied - 1])
            self.centre.answer(order.id, order.institution, applied, available_minor=free)

    def answer_again(self) -> None:
        """An institution says something else than before, of a hold that stands or has ended."""
        answered = [o for o in all_orders(self.centre) if o.answered_at is not None]
        if (order := self.some(answered)) is not None:
            applied = self.choice.choice([order.amount_minor, order.ceiling_minor, 1])
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
            applied = self.choice.choice([order.applied_minor, order.amount_minor, 1, 0])
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

    def release(self) -> None:
        """A person gives some of a hold back that nobody contests; nothing asks for it again."""
        orders = all_orders(self.centre)
        if (order := self.some([o for o in orders if o.state in HOLDING])) is not None:
            some = self.choice.randint(1, order.held_minor)
            amount = self.choice.choice([order.held_minor, some])
            give = self.centre.matter.releasing.release
            self.does(INVESTIGATOR, lambda tx: give(tx, order.id, "a reason", amount_minor=amount))
            active = sum(
                o.active_minor
                for o in orders
                if (o.case_id, o.place) == (order.case_id, order.place)
            )
            self.facts.freed.append((order.case_id, order.place, active - amount))

    def approve(self) -> None:
        if (order := self.in_state(OrderState.DRAFTED)) is not None:
            who = self.choice.choice([SECOND, THIRD, SUPERVISOR])
            self.does(who, lambda tx: self.centre.matter.holds.approve(tx, order))

    def withdraw(self) -> None:
        if (order := self.in_state(*WAITING)) is not None:
            take_back = self.centre.matter.releasing.withdraw
            self.does(SUPERVISOR, lambda tx: take_back(tx, order, "a look"))

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
        out = {order.case_id for order in all_orders(self.centre) if order.active_minor}
        quiet = [c for c in self.cases if c not in out and self.state(c) in UNDER_WORK]
        if quiet and self.choice.random() < 0.7:
            case = self.choice.choice(quiet)
            self.does(SUPERVISOR, lambda tx: pursuit.close(tx, case, reason="all is done"))
        elif self.cases:
            case = self.choice.choice(self.cases)
            self.does(SUPERVISOR, lambda tx: pursuit.drop(tx, case, reason="a false report"))

    def state(self, case: str) -> CaseState:
        return self.reads(lambda tx: self.centre.matter.cases.row(tx, case)).state

    def reopen(self) -> None:
        ended = [case for case in self.cases if self.state(case) is CaseState.CLOSED]
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
                named = self.named_by(one.selection)
                self.does(SECOND, lambda tx: undo.approve(tx, one.undo))
                self.facts.must_end |= named
            else:
                self.does(SUPERVISOR, lambda tx: undo.drop(tx, one.undo, reason="no need"))

    def named_by(self, selection: Selection) -> set[str]:
        """Standing orders at an institution, or of the cases that a sender opened."""
        opened = "select id from cases where opened_by = :reporter"
        cases = set(column(self.centre, opened, reporter=selection.reporter))
        return {
            order.id
            for order in all_orders(self.centre)
            if order.active_minor
            and (order.institution == selection.institution or order.case_id in cases)
        }

    def confirm_indicator(self) -> None:
        """A person looked at an account that was named, and agrees."""
        indicators = self.centre.matter.indicators
        found = self.reads(lambda tx: indicators.page(tx, status=Status.PROPOSED))
        if (one := self.some(found.indicators)) is not None:
            self.does(
                SUPERVISOR,
                lambda tx: indicators.confirm(tx, one.id, reason="called it"),
            )

    def quiet_case(self) -> None:
        """Before a case's orders go out, two persons agree that its holders are told later."""
        self.false_report()
        self.ask_delay(self.cases[-1], INVESTIGATOR)
        self.agree_delay()
        self.confirm()

    def delay_notice(self) -> None:
        """The police ask that a case's holders are not told yet."""
        if (case := self.some(self.cases)) is not None:
            self.ask_delay(case, self.choice.choice([INVESTIGATOR, SUPERVISOR]))

    def ask_delay(self, case: str, who: Actor) -> None:
        new = NewDelay(
            until=self.centre.clock.now() + timedelta(hours=self.choice.choice([2, 100])),
            authority="Cyber police, letter 9/2569",
            reason="a raid at dawn",
        )
        self.does(who, lambda tx: self.centre.matter.holds.delays.propose(tx, case, new))

    def agree_delay(self) -> None:
        if (one := self.some(self.delays(DelayState.PROPOSED))) is not None:
            delays = self.centre.matter.holds.delays
            self.does(SUPERVISOR, lambda tx: delays.agree(tx, one.id, reason="seen the letter"))
            assert one.proposed_by != SUPERVISOR.id, "one person delayed a notice"
            self.facts.delayed[one.case] = one.until

    def end_delay(self) -> None:
        if (one := self.some(self.delays(DelayState.IN_FORCE))) is not None:
            delays = self.centre.matter.holds.delays
            self.does(INVESTIGATOR, lambda tx: delays.end(tx, one.id, reason="it is over"))
            del self.facts.delayed[one.case]

    def delays(self, state: DelayState) -> list[NoticeDelay]:
        found: list[NoticeDelay] = []
        for case in self.cases:
            found += self.reads(
                functools.partial(self.centre.matter.holds.delays.list, case_id=case)
            ).delays
        return [one for one in found if one.state is state]

    def to_shadow(self) -> None:
        """One person is enough to stop an institution's orders."""
        self.does(SUPERVISOR, lambda tx: self.centre.parties.back_to_shadow(tx, SWITCHED))

    def to_live(self) -> None:
        self.does(SUPERVISOR, lambda tx: self.centre.parties.propose_live(tx, SWITCHED))
        self.does(SECOND, lambda tx: self.centre.parties.approve_live(tx, SWITCHED))

    # The clock.

    def hour(self) -> None:
        self.centre.clock.advance(timedelta(hours=self.choice.choice([1, 5, 25])))
