"""Workflow: what the ledger says now of a case's money on an account: for reviews and contests.

Brings tracing and holds together; judges nothing. Used only while the matter is held.
"""

from __future__ import annotations

import functools

import structlog

from openaoc.cases.service import Cases
from openaoc.holds.lock import hold_matter
from openaoc.holds.merchant import NO_TRADE, judge
from openaoc.holds.record import NO_AMOUNTS, OrderRecord
from openaoc.holds.review import HeldFacts
from openaoc.holds.reviewing import REVIEWS_PER_RUN_MAX, Reviewing
from openaoc.holds.service import Holds
from openaoc.kernel.actor import SYSTEM
from openaoc.storage.unit_of_work import Transaction, UnitOfWork, retrying
from openaoc.tracing.service import CaseLook, Tracing
from openaoc.workflow.placing import amounts_of, past_of, trade_of
from openaoc.workflow.registry import LedgerNumbers, Registry

_LOG = structlog.get_logger(__name__)


class SecondLook:
    """Looks at one hold's account again. One instance per centre."""

    def __init__(
        self,
        *,
        uow: UnitOfWork,
        tracing: Tracing,
        ledger: LedgerNumbers,
        registry: Registry,
        holds: Holds,
        cases: Cases,
        floor_minor: int,
    ) -> None:
        self._uow = uow
        self._tracing = tracing
        self._ledger = ledger
        self._registry = registry
        self._holds = holds
        self._cases = cases
        self._floor_minor = floor_minor
        self.reviewing = Reviewing(holds.book, rule_of=holds.rule_of)

    def facts(self, tx: Transaction, order: OrderRecord) -> HeldFacts:
        """What is known of the order's account now. The matter is held."""
        self._registry.refresh(tx)
        held_by_all = self._holds.active_on(tx, [order.place]).get(order.place, 0)
        cases = self.reviewing.cases_on(tx, order.place)
        account = self._ledger.account_index(*order.place)
        look = None if account is None else self._look(tx, order.case_id)
        if account is None or look is None:
            return HeldFacts(
                located_minor=0,
                held_minor=0,
                amounts=NO_AMOUNTS,
                unknown=(),
                trade=NO_TRADE,
                verdict=judge(NO_TRADE),
                history_missing=True,
                balance_minor=0,
                held_by_all_minor=held_by_all,
                cases_on_account=cases,
            )
        doubt = self._tracing.doubt_held(look, account)
        free = [place.amount_minor for place in look.located if place.account_index == account]
        held = [kept.amount_minor for kept in look.numbers.held if kept.account == account]
        past = past_of(self._tracing, account, received_at=order.received_at, now=tx.now)
        trade = trade_of(past.conduct)
        return HeldFacts(
            located_minor=sum(free),
            held_minor=sum(held),
            amounts=amounts_of(doubt),
            unknown=doubt.unknown,
            trade=trade,
            verdict=judge(trade),
            history_missing=past.missing,
            balance_minor=past.balance_minor,
            held_by_all_minor=held_by_all,
            cases_on_account=cases,
        )

    def review_due(self) -> int:
        """Review the holds that are due, each in a transaction of its own; how many were."""
        with self._uow.read(SYSTEM, purpose="which holds are due for review") as tx:
            due = self.reviewing.due(tx, limit=REVIEWS_PER_RUN_MAX)
        for order_id in due:
            freed = retrying(functools.partial(self.review, order_id))
            if freed:
                _LOG.info("workflow.review.gave_back", order=order_id, amount_minor=freed)
        return len(due)

    def review(self, order_id: str) -> int:
        """Look at one hold again and give back what may not stand; how much."""
        with self._uow.begin(SYSTEM, purpose="review of standing holds") as tx:
            hold_matter(tx)
            together = self.reviewing.together(tx, order_id)
            if not together:
                return 0
            freed = self.reviewing.review(
                tx, together, self.facts(tx, together[0]), floor_minor=self._floor_minor
            )
            if freed:
                self._cases.mark_due(tx, [together[0].case_id], at=tx.now)
            # The shorter clock of a hold in doubt may be over already: it ends here and now.
            self._holds.expire_due(tx)
            return freed

    def _look(self, tx: Transaction, case_id: str) -> CaseLook | None:
        if case_id in self._registry:
            return self._tracing.look(case_id)
        claims = self._registry.claims_of(tx, case_id)
        return self._tracing.preview(case_id, claims) if claims else None
