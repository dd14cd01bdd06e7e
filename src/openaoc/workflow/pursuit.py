"""Workflow: follow open cases: trace again, order what is newly found, give back what has left.

Every plan is made while the matter is held, from what is committed; all of one look commits
together. Never asks anything of anybody outside the transaction's outbox.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Final, Literal, Protocol

import structlog

from openaoc.cases.model import NO_FIGURES, UNDER_WORK, CaseState, Figures
from openaoc.cases.service import CaseRow, Cases
from openaoc.holds.continuing import Takeover
from openaoc.holds.drafting import Grounds
from openaoc.holds.legal import LegalRule, rulebook
from openaoc.holds.lock import hold_matter, join_matter
from openaoc.holds.model import WAITING, OrderState, WrongTransition
from openaoc.holds.record import OrderRecord
from openaoc.holds.service import Holds
from openaoc.holds.standing import Standing
from openaoc.kernel.actor import SYSTEM, Actor
from openaoc.kernel.errors import NotFound
from openaoc.kernel.settings import Settings
from openaoc.ledger.arrays import LedgerArrays
from openaoc.parties.service import Parties
from openaoc.safety.breakers import Breakers
from openaoc.storage.unit_of_work import Transaction, UnitOfWork, retrying
from openaoc.tracing.model import CaseTrace
from openaoc.tracing.service import CaseLook, Tracing
from openaoc.workflow.apart import in_parts
from openaoc.workflow.figures import figures_of, warn_of
from openaoc.workflow.followed import Followed
from openaoc.workflow.placing import CasePlan, Surroundings, plan_case
from openaoc.workflow.registry import Registry
from openaoc.workflow.rhythm import next_after
from openaoc.workflow.standings import LOOK_AGAIN_FOR, Standings
from openaoc.workflow.succession import Means, Succession
from openaoc.workflow.taking_up import settle_all, take_up

CASES_PER_RUN_MAX: Final = 50
CASES_PUT_OFF_MAX: Final = 1_000
"""Cases that are due by the schedule alone, looked at together."""
UNCHANGED_TOGETHER_MAX: Final = 200
"""Of those as many at once: a trace waits no longer than looking at them takes."""
MOVED_TOGETHER_MAX: Final = 8
"""Cases whose money has moved, traced in one transaction: few, for each waits for all."""
CASES_TOGETHER_MAX: Final = 25
"""Due cases traced in one transaction: others wait for the matter no longer than that takes."""
LINKED_PER_RUN_MAX: Final = 200
"""Linked cases planned in one transaction; further ones are due at once, in the next."""

_PURSUED: Final = CaseState.PURSUED
_LOG = structlog.get_logger(__name__)


class LedgerReading(Protocol):
    """What is needed of the ledger to judge an account's history."""

    def reading(self) -> AbstractContextManager[LedgerArrays]:
        """Arrays that stay consistent inside the block."""
        ...


class Pursuit:
    """The verb that keeps orders in step with the ledger. One instance per centre."""

    def __init__(
        self,
        *,
        uow: UnitOfWork,
        tracing: Tracing,
        ledger: LedgerReading,
        registry: Registry,
        standings: Standings,
        cases: Cases,
        holds: Holds,
        parties: Parties,
        settings: Settings,
        breakers: Breakers,
    ) -> None:
        self._uow = uow
        self._tracing = tracing
        self._ledger = ledger
        self.registry = registry
        self.succession = Succession(tracing=tracing, registry=registry, holds=holds)
        self._standings = standings
        self._cases = cases
        self._holds = holds
        self._parties = parties
        self._settings = settings
        self.breakers = breakers
        self._rules = rulebook(settings.jurisdiction)
        self.followed = Followed()
        self._pursuing = threading.Lock()
        """Whoever comes second finds less that has changed."""
        self._changed: dict[str, None] = {}
        """Cases whose trace has changed and that are not planned yet."""
        self._filed: dict[str, CaseTrace] = {}
        """Traces of cases that were being filed at the last look."""

    def start(self) -> int:
        """Register all open cases with tracing, from the database; how many. Once, at start.

        Due at once are those whose money is not where it was when the centre ended.
        """
        with self._uow.begin(SYSTEM, purpose="reconcile tracing with open cases") as tx:
            hold_matter(tx)
            self.breakers.load(tx)
            count = self.registry.load(tx)
        settle_all(self._tracing)  # no transaction waits for it
        with self._uow.begin(SYSTEM, purpose="go on with open pursuits") as tx:
            hold_matter(tx)
            self.registry.refresh(tx)
            changed = take_up(
                tx,
                tracing=self._tracing,
                cases=self._cases,
                holds=self._holds,
                followed=self.followed,
            )
        _LOG.info("workflow.pursuit.taken_up", cases=count, changed=changed)
        return count

    def retrace_due(self) -> int:
        """Trace the cases that are due; how many were. Run again while it is at its limit.

        In short transactions of a few cases each, so that reports and answers come between. What
        is wrong with one case is raised when all others had their turn.
        """
        self.put_off_unchanged()
        with self._uow.read(SYSTEM, purpose="which cases are due") as tx:
            due = self._cases.due(tx, limit=CASES_PER_RUN_MAX)
        if due:
            self._tracing.settle()
        in_parts(self._retrace_first, due, most=CASES_TOGETHER_MAX, alone=self._retrace_due)
        return len(due)

    def put_off_unchanged(self) -> int:
        """Put off the cases that are due by the schedule alone and are as they were; how many.

        Nobody is made to wait for that. A payment that is not found yet is looked for again.
        """
        with self._uow.read(SYSTEM, purpose="which cases are due by the schedule") as tx:
            due = self._cases.due_by_schedule(tx, limit=CASES_PUT_OFF_MAX)
            sought = self._standings.seeking(tx, [case.id for case in due])
        if not due:
            return 0
        traces: dict[str, CaseTrace] = {}
        keys = [case.id for case in due if case.id not in sought]
        for first in range(0, len(keys), UNCHANGED_TOGETHER_MAX):
            traces |= self._tracing.unchanged(keys[first : first + UNCHANGED_TOGETHER_MAX])
        same = [
            case
            for case in due
            if case.id in traces and self.followed.stands(case.id, traces[case.id])
        ]
        if same:
            with self._uow.begin(SYSTEM, purpose="cases are as they were") as tx:
                fresh = [(c.id, next_after(c.opened_at, now=tx.now)) for c in same]
                self._cases.put_off(tx, fresh)
        return len(same)

    def pursue(self) -> int:
        """Plan the cases whose trace is not what it was, at once, and carry it out; how many.

        Whatever the cause: money that moved on or that others held, a transfer told late or
        corrected, a case that left work. Traced before anybody is made to wait for it, planned in
        short transactions, so that reports and answers come between. What fails stops no other
        case, is raised at the end, and comes again.
        """
        with self._pursuing:
            if self.registry.behind:
                retrying(self._catch_up)
            settle_all(self._tracing)
            renewed = self._filed | self._tracing.renewed()
            self._filed = {}
            for case_id, trace in renewed.items():
                if self.registry.uncertain(case_id) and not self.followed.knows(case_id):
                    self._filed[case_id] = trace  # its first plan is being committed
                elif self.followed.disturbed(case_id, trace):
                    self._changed[case_id] = None
            with self._ledger.reading() as arrays:
                self._changed.update(dict.fromkeys(self.followed.moved(arrays)))
            return in_parts(self._follow, list(self._changed), most=MOVED_TOGETHER_MAX)

    def _follow(self, case_ids: Sequence[str]) -> int:
        self._weigh_ahead(case_ids)
        count = self._pursue(case_ids)
        for case_id in case_ids:
            del self._changed[case_id]
        return count

    def _catch_up(self) -> None:
        with self._uow.begin(SYSTEM, purpose="a case left work") as tx:
            hold_matter(tx)
            self.registry.refresh(tx)

    def _weigh_ahead(self, case_ids: Sequence[str]) -> None:
        """Make the costly part of the plans before everybody waits for them.

        The doubt of an amount that has risen. It is kept with the trace it belongs to: where that
        does not stand any more when the plan is made, it is made again.
        """
        for case_id in case_ids:
            with contextlib.suppress(NotFound):  # left work meanwhile
                look = self._tracing.look(case_id)
                before = self.followed.located_minor(case_id)
                for place in look.located:
                    index = place.account_index
                    if place.amount_minor > before.get(index, 0) and not place.hub:
                        self._tracing.doubt(look, index)

    def _pursue(self, case_ids: Sequence[str]) -> int:
        with self._uow.begin(SYSTEM, purpose="money of a case has moved") as tx:
            hold_matter(tx)
            self.registry.refresh(tx)
            under_work = {c.id for c in self._cases.rows(tx, case_ids) if c.state in UNDER_WORK}
            for ended in set(case_ids) - under_work:
                self.followed.forget(ended)
            # Those that were planned since they were seen to change need no second plan.
            standing = self._tracing.unchanged(sorted(under_work))
            done = {c for c, trace in standing.items() if not self.followed.disturbed(c, trace)}
            if fresh := sorted(under_work - done):
                self.retrace(tx, fresh)
            return len(fresh)

    def _retrace_first(self, _: Sequence[str]) -> int:
        return self._retrace_due(None)

    def _retrace_due(self, only: Sequence[str] | None) -> int:
        with self._uow.begin(SYSTEM, purpose="pursue open cases") as tx:
            hold_matter(tx)
            limit = CASES_TOGETHER_MAX if only is None else CASES_PER_RUN_MAX
            due = [c for c in self._cases.due(tx, limit=limit) if only is None or c in only]
            if due:
                self.registry.refresh(tx)
                self.retrace(tx, due)
            return len(due)

    def confirm(self, case_id: str, *, actor: Actor) -> Standing:
        """The payer's institution confirms its customer's payments: drafted orders may go out.

        In a transaction of the centre's own: what follows concerns other institutions. Raises
        Refused for anybody but a machine under its own key, NotFound when the case has no payment
        from its institution, WrongCaseTransition when the case has ended.
        """
        with self._uow.begin(SYSTEM, purpose=f"confirmed by {actor.id}") as tx:
            hold_matter(tx)
            self.registry.refresh(tx)
            # The institution may have told the payment a moment ago.
            self._standings.rematch(tx, [case_id], however_old=True)
            standing = self._standings.confirm(tx, case_id, actor=actor)
            self.retrace_one(tx, case_id)
        return standing

    def retrace_one(self, tx: Transaction, case_id: str, agreed: OrderRecord | None = None) -> None:
        """Trace one case in a transaction that holds the matter already.

        A case that a person has just approved takes its place among the pursued ones; `agreed` is
        its order that persons agreed to. Raises WrongTransition for one to an institution that is
        in shadow by now.
        """
        meant = None if agreed is None or agreed.mode != "live" else agreed.institution
        if meant is not None and not self.sends_to(tx, meant):
            raise WrongTransition(f"{meant} is in shadow: nothing is sent to it")
        self.registry.refresh(tx)
        if case_id not in self.registry and self._cases.row(tx, case_id).state is _PURSUED:
            self.registry.file(case_id, self.registry.claims_of(tx, case_id))
        self.retrace(tx, [case_id], agreed=agreed)

    def retrace(
        self, tx: Transaction, case_ids: Sequence[str], *, agreed: OrderRecord | None = None
    ) -> None:
        """Trace these cases and those their claims prevail on; carry out what follows.

        The matter is held and the registry is fresh. Blocks that change their owner come first.
        """
        self._standings.rematch(tx, case_ids)
        looks = self._looks(tx, case_ids)
        row_of = functools.partial(self._cases.row, tx)
        taken = self.foresee(tx, list(looks.values()), row_of=row_of, agreed=agreed)
        settled = [case_id for one in taken for case_id in one.cases]
        if taken:
            self.succession.carry_out(tx, taken)
            looks = self._looks(tx, list(dict.fromkeys([*case_ids, *looks, *settled])))
        rows = {row.id: row for row in self._cases.rows(tx, list(looks) or list(case_ids))}
        orders = self._holds.orders_of(tx, sorted(looks))
        around = self.surroundings(tx, list(looks.values()))
        open_ended: list[str] = []
        traced: list[tuple[str, Figures, datetime | None]] = [
            (case_id, NO_FIGURES, self._next_at(rows[case_id], resting=False, now=tx.now))
            for case_id in case_ids
            if case_id not in looks and case_id in rows
        ]
        for case_id, look in looks.items():
            own = [order for order in orders if order.case_id == case_id]
            plan = plan_case(look, own, self.grounds(rows[case_id], tx.now), around)
            self.carry_out(tx, plan, authority=f"trace of {case_id}")
            settled += [case_id] if plan.excess else []
            if rows[case_id].standing == "automatic":
                ready = [o.id for o in own if self._may_go(o, rows[case_id], around)]
                self._holds.issue_drafts(tx, ready)
            figures = figures_of(look)
            resting = bool(figures.located_minor or figures.held_minor)
            again = self._next_at(rows[case_id], resting=resting, now=tx.now)
            traced.append((case_id, figures, again))
            warn_of(look)
            if plan.held_back or any(o.state is OrderState.DRAFTED for o in (*own, *plan.fresh)):
                open_ended.append(case_id)
        self._cases.save_figures(tx, traced)
        # What was never held is only known to the next look: it may pay back or free less, too.
        self._cases.mark_due(tx, settled, at=tx.now)
        unproven = [case_id for case_id in looks if case_id not in self.registry]
        self.followed.note(tx, looks, open_ended=open_ended, unproven=unproven)

    def foresee(
        self,
        tx: Transaction,
        looks: Sequence[CaseLook],
        *,
        row_of: Callable[[str], CaseRow],
        agreed: OrderRecord | None = None,
    ) -> list[Takeover]:
        """Which standing blocks go over to another case's order: succession.py."""
        means = Means(
            grounds_of=lambda case_id: self.grounds(row_of(case_id), tx.now),
            around=functools.partial(self.surroundings, tx),
            agreed=agreed,
        )
        return self.succession.foresee(tx, looks, means)

    def _looks(self, tx: Transaction, case_ids: Sequence[str]) -> dict[str, CaseLook]:
        """Looks of these cases and of linked cases that these prevail on."""
        looks = {}
        for case_id in case_ids:
            if case_id in self.registry:
                looks[case_id] = self._tracing.look(case_id)
            elif claims := self.registry.claims_of(tx, case_id):
                looks[case_id] = self._tracing.preview(case_id, claims)
        follow = self.prevailed_on(looks)
        for case_id in follow[:LINKED_PER_RUN_MAX]:
            looks[case_id] = self._tracing.look(case_id)
        if len(follow) > LINKED_PER_RUN_MAX:
            self._cases.mark_due(tx, follow[LINKED_PER_RUN_MAX:], at=tx.now)
        return looks

    def prevailed_on(self, looks: dict[str, CaseLook]) -> list[str]:
        """Linked cases whose figures changed with those of a case looked at.

        Those with a later origin: its claims prevail on theirs. Where it has holds also earlier
        ones: an outflow passes over what is held and takes what is theirs.
        """
        found: set[str] = set()
        for case_id, look in looks.items():
            if case_id not in self.registry:
                continue  # unproven: its claims take nothing from others
            first = self.registry.first_origin(case_id)
            holding = self.registry.has_held(case_id)
            found.update(
                other
                for other in look.linked
                if other in self.registry
                and other not in looks
                and (holding or self.registry.first_origin(other) > first)
                and self.followed.differs(other, look.group.of(other))
            )
        return sorted(found)

    def drop(self, tx: Transaction, case_id: str, *, reason: str) -> int:
        """A false report: everything it caused is ended, then the case; how many orders ended.

        Their amounts are free for other cases' traces as soon as this is committed.
        """
        hold_matter(tx)
        ended = self._holds.end_all(tx, case_id, reason)
        self._cases.drop(tx, case_id, reason=reason)
        return ended

    def close(self, tx: Transaction, case_id: str, *, reason: str) -> None:
        """Nothing more can be done. Nobody plans meanwhile, so no order comes after the look."""
        join_matter(tx)
        self._cases.close(tx, case_id, reason=reason)

    def reopen(self, tx: Transaction, case_id: str, *, reason: str) -> Standing:
        """New facts came in: standing is decided again, and the case traced if it is proven."""
        hold_matter(tx)
        self._cases.reopen(tx, case_id, reason=reason)
        standing = self._standings.decide_again(tx, case_id)
        self.retrace_one(tx, case_id)
        return standing

    def surroundings(self, tx: Transaction, looks: Sequence[CaseLook]) -> Surroundings:
        """What plans need beside the traces; one statement for all accounts."""
        places = {(p.bank, p.account, p.currency) for look in looks for p in look.located}
        banks = {bank for bank, _, _ in places}
        live = self._parties.live_among(
            tx, jurisdiction=self._settings.jurisdiction, institutions=banks
        )
        modes: dict[str, Literal["live", "shadow"]] = {
            bank: "live" if bank in live else "shadow" for bank in banks
        }

        def mode_of(institution: str) -> Literal["live", "shadow"]:
            if institution not in modes:
                modes[institution] = self.mode_at(tx, institution)
            return modes[institution]

        return Surroundings(
            tracing=self._tracing,
            now=tx.now,
            floor_minor=self.floor_minor,
            mode_of=mode_of,
            gate=self.breakers.gate(tx),
            held_by_all=dict(self._holds.active_on(tx, places)),
        )

    @property
    def floor_minor(self) -> int:
        """Living money that stays free on a likely innocent holder's account."""
        return max(self._settings.floor_minor, self._rules.floor_minor)

    def mode_at(self, tx: Transaction, institution: str) -> Literal["live", "shadow"]:
        """Whether orders to the institution are sent."""
        live = self._parties.is_live(
            tx, jurisdiction=self._settings.jurisdiction, institution=institution
        )
        return "live" if live else "shadow"

    def sends_to(self, tx: Transaction, institution: str) -> bool:
        """Whether messages to the institution are sent."""
        return self.mode_at(tx, institution) == "live"

    def grounds(self, case: CaseRow, now: datetime) -> Grounds:
        """The legal rule and the standing on which the case's next orders rest."""
        rule = self.rule_for(complaint_at=case.complaint_at, now=now)
        return Grounds(
            case_id=case.id,
            rule=rule,
            trace_rule=case.rule,
            standing="automatic" if case.standing == "automatic" else "needs_person",
            approvals_needed=case.approvals_needed,
            complaint_at=case.complaint_at,
            source=case.opened_by,
        )

    def _may_go(self, order: OrderRecord, case: CaseRow, around: Surroundings) -> bool:
        """Whether a drafted order of a proven case goes out by itself now."""
        if order.state is not OrderState.DRAFTED:
            return False
        if order.paused_by is not None and not self.breakers.may_resume(order.paused_by):
            return False
        if order.mode != "live":
            return True
        if around.mode_of(order.institution) != "live":
            return False  # in shadow since it was drafted
        stopped_by = around.gate.pause(
            institution=order.institution, source=case.opened_by, rule=order.rule
        )
        return stopped_by is None

    def rule_for(self, *, complaint_at: datetime | None, now: datetime) -> LegalRule:
        """The jurisdiction's rule for a victim's report; after a complaint the one for that.

        Where the time from the complaint is over, the rule for a report is asked again: a new
        order under it starts its own clock.
        """
        rule = self._rules.named(self._rules.default, on=now.date())
        if complaint_at is None or rule.extends_to is None:
            return rule
        after = self._rules.named(rule.extends_to, on=now.date())
        return after if complaint_at + after.longest > now else rule

    def carry_out(self, tx: Transaction, plan: CasePlan, *, authority: str) -> None:
        """Give back first, then order: the institution can only block what is free."""
        for item in plan.excess:
            self._holds.settle_excess(tx, item.order, amount_minor=item.amount_minor)
        for lowering in plan.lowerings:
            self._holds.lower(tx, lowering.orders, excess_minor=lowering.excess_minor)
        touched = {item.order.id for item in plan.excess}
        for short in plan.shortfalls:
            if short.order.id not in touched and short.order.state not in WAITING:
                self._holds.explain_shortfall(tx, short.order, short_minor=short.short_minor)
        self._holds.issue(tx, [(order, authority) for order in plan.fresh])

    @staticmethod
    def _next_at(case: CaseRow, *, resting: bool, now: datetime) -> datetime | None:
        """With nothing resting: only while a payment or a late transfer may still come in."""
        if not resting and now - case.opened_at > LOOK_AGAIN_FOR:
            return None
        return next_after(case.opened_at, now=now)
