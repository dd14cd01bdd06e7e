"""What must hold of a running centre after every step, as far as it can be seen there.

The numbers are those of what must always hold (docs/internals/life.md); amounts and traces are in
invariants.py, payments in restitution's own check, what institutions block in literal_banks.py.
"""

from __future__ import annotations

import functools
from collections import Counter, defaultdict
from datetime import datetime, timedelta

import msgspec
import sqlalchemy as sa

from openaoc.appeals.model import DECIDED, OPEN, AppealState, AppealView
from openaoc.holds.legal import rulebook
from openaoc.holds.model import ENDED, HOLDING, WAITING, OrderState
from openaoc.holds.record import OrderRecord
from openaoc.holds.suspicion_model import STILL
from openaoc.kernel.actor import CITIZEN, SYSTEM
from openaoc.kernel.clock import to_us
from openaoc.kernel.identifiers.kinds import Identifier, Kind
from openaoc.tracing.conduct import known_balance
from openaoc.workflow.noticing import UNANSWERED
from tests.workflow.centre import BANKS, SUPERVISOR, Centre
from tests.workflow.invariants import all_orders
from tests.workflow.literal_banks import LiteralBanks

RULES = rulebook("TH")
SENT = WAITING | HOLDING
MISSING = "the account's history is missing: the least amount of the rules"


class Row(msgspec.Struct):
    """A journal row, as far as it is looked at."""

    id: int
    action: str
    subject: str
    after: dict[str, object] | None


def column(centre: Centre, statement: str, **values: object) -> list[str]:
    """One column of a statement of the test's own."""
    with centre.database.uow.read(SYSTEM) as tx:
        found = tx.connection.execute(sa.text(statement), values)
        return [str(value) for value in found.scalars()]


class LifeFacts:
    """Checks a life after every step, and remembers what it needs to judge the next."""

    def __init__(self, centre: Centre) -> None:
        self.centre = centre
        self.banks = LiteralBanks(centre)
        self.words_only: set[str] = set()
        """Cases of a citizen's word, until the payer's institution confirms."""
        self.partners: set[str] = set()
        """Cases of a partner's word."""
        self.must_end: set[str] = set()
        """Orders that an undo has to take back in this step."""
        self.delayed: dict[str, datetime] = {}
        """Cases whose holders are told later by two persons' word, and until when."""
        self.freed: list[tuple[str, tuple[str, str, str], int]] = []
        """Where a person gave money free in this step: case, account, what may be active there."""
        self.actions: Counter[str] = Counter()
        """What the journal says was done, and how often."""
        self._orders: dict[str, OrderRecord] = {}
        self._known: dict[str, OrderRecord] = {}
        self._newest: dict[str, Row] = {}
        self._journal_to = 0
        self._sent: set[str] = set()
        self._told = 0
        self._open: set[str] = set()
        self._live: set[str] = set(BANKS)
        self._public_cases: set[str] = set()

    def journal(self) -> int:
        """Read what was journalled since; how many changes there are by now."""
        after = (
            "select json_build_object('id', id, 'action', action, 'subject', subject, 'after',"
            " (body::json)->'after')::text from journal_rows where id > :read order by id"
        )
        for text in column(self.centre, after, read=self._journal_to):
            row = msgspec.json.decode(text, type=Row)
            self._journal_to = row.id
            self.actions[row.action] += 1
            if row.after is not None and "held_minor" in row.after:
                self._newest[row.subject] = row
        return self.actions.total()

    def after_act(self) -> None:
        """What an act leaves for a moment, before what follows of itself has followed."""
        self.banks.catch_up()
        self._note_unanswered()

    def check(self) -> None:
        """Every invariant that is not about amounts and traces."""
        self.journal()
        self._orders = {order.id: order for order in all_orders(self.centre)}
        self.banks.check()
        self._names_and_ends()
        self._standing()
        self._goes_out()
        self._doubt_and_notice()
        self._stopped()
        self._not_again()
        self._journalled()
        self._contests()
        self._no_oracle()
        self._known = self._orders

    # 1 and 4: an amount, a rule, a reason and an end.

    def _names_and_ends(self) -> None:
        now = self.centre.clock.now()
        complained = dict(
            row.split("\n")
            for row in column(
                self.centre,
                "select id || E'\n' || (complaint_at at time zone 'UTC')::text || '+00:00'"
                " from cases where complaint_at is not null",
            )
        )
        for order in self._orders.values():
            before = self._known.get(order.id, order)
            assert order.ceiling_minor == before.ceiling_minor, "an order asks for more than before"
            assert order.available_minor is None or order.held_minor <= order.available_minor
            rule = RULES.named(order.rule, on=order.issued_at.date())
            assert order.reason.th, "a reason the holder can read"
            assert order.reason.en
            if order.state not in SENT:
                continue
            assert order.ends_at > now, "a hold outlived its end"
            if rule.counts_from == "measure":
                extended = order if before.ends_at != order.ends_at else before
                assert extended.ends_at <= now + rule.longest, "longer than a measure may state"
            else:
                start = order.issued_at
                if rule.counts_from == "complaint":
                    start = datetime.fromisoformat(complained[order.case_id])
                assert order.ends_at <= start + rule.longest, "longer than its rule"
        with self.centre.database.uow.read(SUPERVISOR) as tx:
            suspicions = self.centre.matter.suspicions.list(tx, limit=200).suspicions
        for one in suspicions:
            if one.state in STILL:
                assert one.ends_at > now, "a hold on suspicion outlived its end"

    # 2: who answers for it.

    def _standing(self) -> None:
        opened = dict(
            row.split("\n")
            for row in column(self.centre, "select id || E'\\n' || opened_by from cases")
        )
        for order in self._orders.values():
            assert opened[order.case_id] not in order.approvals, "who opened the case approved it"
            assert len(set(order.approvals)) == len(order.approvals), "one person approved twice"
            if order.state not in SENT:
                continue
            if order.case_id in self.words_only:
                assert order.approvals, "a citizen's word alone holds money"
            if order.case_id in self.partners:
                assert len(order.approvals) > 1, "a partner's word holds money"
            if order.standing == "needs_person":
                enough = max(order.approvals_needed, 1)
                assert len(order.approvals) >= enough, "nobody answers for it"

    # 3 and 5: what goes out by itself, in the step in which it does.

    def _goes_out(self) -> None:
        with self.centre.database.uow.read(SUPERVISOR) as tx:
            breakers = self.centre.matter.breakers.list(tx).breakers
            live = {bank for bank in BANKS if self.centre.matter.pursuit.sends_to(tx, bank)}
        opened = {one.scope for one in breakers if one.open}
        sources = dict(
            row.split("\n")
            for row in column(self.centre, "select id || E'\\n' || opened_by from cases")
        )
        sent = {order.order for order in self.centre.outbox.orders()}
        for order in (self._orders[name] for name in sent - self._sent):
            assert order.mode == "live", "an order in shadow is sent"
            assert order.institution in self._live | live, "its institution is in shadow"
            if order.approvals:
                continue
            scopes = {
                *("all", f"institution:{order.institution}", f"rule:{order.rule}"),
                f"source:{sources[order.case_id]}",
            }
            assert not scopes & self._open & opened, "it went out through an open breaker"
            self._least(order)
        for name in self._orders.keys() - sent:
            order = self._orders[name]
            assert not order.held_minor, "held without an order"
            assert (
                order.state is not OrderState.DRAFTED
                or order.mode == "shadow"
                or (order.standing == "needs_person")
            ), "nothing holds it back"
        self._sent, self._open, self._live = sent, opened, live

    def _least(self, order: OrderRecord) -> None:
        """In doubt: the least of the rules, the shortest clock, living money left free."""
        if not (order.likely_innocent or MISSING in order.why):
            return
        assert order.ceiling_minor <= order.amounts.least, "more than the least of the rules"
        rule = RULES.named(order.rule, on=order.issued_at.date())
        if rule.ground == "victim_report":
            assert order.ends_at <= order.issued_at + rule.doubtful, "not the shortest clock"
        if order.likely_innocent:
            account = self.centre.ledger.account_index(*order.place)
            assert account is not None
            until = self.centre.clock.now() + timedelta(microseconds=1)
            known = self.centre.tracing.account_history(
                account, functools.partial(known_balance, before_us=to_us(until))
            )
            taken = sum(
                one.active_minor
                for one in self._orders.values()
                if one.place == order.place and one.state in SENT
            )
            assert known - taken >= RULES.floor_minor, "living money is taken"

    def _doubt_and_notice(self) -> None:
        """What was reviewed since stands at no more than the least, and everybody is told."""
        told = Counter(notice.order for notice in self.centre.outbox.notices())
        ordered = Counter(order.order for order in self.centre.outbox.orders())
        later = dict(
            row.split("\n")
            for row in column(
                self.centre, "select order_id || E'\n' || (told_at is null) from withheld_notices"
            )
        )
        for name, revisions in ordered.items():
            order, waits = self._orders[name], later.get(name)
            if waits is None:
                assert told[name] == revisions, "the holder is not told of each revision"
            elif waits == "true":
                agreed = self.delayed.get(order.case_id)
                assert agreed is not None, "nobody agreed that the holder is told later"
                assert agreed > self.centre.clock.now(), "the delay outlived its end"
                assert order.state not in ENDED, "whose hold is over is not told of it"
                assert not order.likely_innocent, "who looks honest is kept in the dark"
                assert not told[name]
            else:
                # What is blocked after a refusal is given back at once: it was never held.
                never_held = not order.applied_minor or order.state is OrderState.REFUSED
                assert told[name] or never_held, "whoever waited was never told"
        for order in self._orders.values():
            if order.likely_innocent and order.standing == "automatic" and not order.approvals:
                # `amounts` is what the newest review found. What was ordered before the holder
                # looked innocent was more, rightly then: what stands of it now is what counts.
                assert order.held_minor <= order.amounts.least, "more than the least of the rules"

    def _stopped(self) -> None:
        """An undo that two persons agreed to leaves nothing of what it names (5)."""
        for name in self.must_end:
            assert self._orders[name].state in ENDED, "an undone order stands"
        self.must_end.clear()

    def _not_again(self) -> None:
        """What a person gave free is not asked for again while it lies there (4)."""
        for case, place, most in self.freed:
            active = sum(
                order.active_minor
                for order in self._orders.values()
                if (order.case_id, order.place) == (case, place)
            )
            assert active <= most, "it was asked for again"
        self.freed.clear()

    # 8: the newest row of the journal about an order says what the order says.

    def _journalled(self) -> None:
        for order in self._orders.values():
            row = self._newest.get(order.id)
            assert row is not None, "an order that is not in the journal"
            assert row.after is not None
            kept = tuple(row.after[name] for name in ("state", "held_minor", "amount_minor"))
            is_now = (order.state.value, order.held_minor, order.amount_minor)
            assert (*kept, row.after["revision"]) == (*is_now, order.revision), row

    # 12: contests follow their holds; what was held wrongly is on record; persons decide.

    def _contests(self) -> None:
        found: list[AppealView] = []
        with self.centre.database.uow.read(SUPERVISOR) as tx:
            for state in AppealState:
                found += self.centre.matter.appeals.list(tx, state=state, limit=200).appeals
            records = self.centre.matter.appeals.compensations(tx).compensations
        wrong = {record.appeal: record.wrongful_minor for record in records}
        released: dict[str, int] = defaultdict(int)
        open_on = [one.order for one in found if one.state in OPEN]
        assert len(open_on) == len(set(open_on)), "two contests of one hold at a time"
        for one in found:
            order = self._orders[one.order]
            if one.state in OPEN:
                assert order.state not in ENDED, "nothing is left to contest"
            if one.state is AppealState.REFUSED:
                assert one.released_minor == 0
                assert one.decided_by != SYSTEM.id, "the centre refused by itself"
            if one.state in DECIDED:
                self._by_enough(one)
            if one.appeal in wrong:
                assert wrong[one.appeal] == one.released_minor > 0
            assert one.state is not AppealState.UPHELD_IN_PART or one.appeal in wrong
            released[one.order] += one.released_minor
            assert one.state is not AppealState.UPHELD or order.state in ENDED, "it stands still"
        for name, amount in released.items():
            order = self._orders[name]
            gone = (order.applied_minor or order.ceiling_minor) - order.held_minor
            assert amount <= gone, "more was promised than was given back"

    def _by_enough(self, one: AppealView) -> None:
        assert one.proposal is not None
        assert one.evidence is not None
        if one.decided_by == SYSTEM.id:
            assert one.evidence.likely_innocent, "it lapsed for who does not look innocent"
            return
        if one.persons_needed > 1:
            assert one.decided_by != one.proposed_by, "one person decided for two"
        if one.released_minor > self.centre.matter.appeals.rules.alone_minor:
            assert one.persons_needed > 1, "one person gave back much alone"
        if one.evidence.likely_mule and one.released_minor:
            assert one.persons_needed > 1, "one person gave back to a likely mule alone"
        if one.evidence.likely_innocent and one.state is AppealState.REFUSED:
            assert one.persons_needed > 1, "one person refused who looks honest"

    # 14: what is under live pursuit does not change public answers.

    def _note_unanswered(self) -> None:
        answered = (
            "select id from cases where not exists (select 1 from hold_orders"
            " where case_id = cases.id and state = any(:states))"
        )
        states = [state.value for state in UNANSWERED]
        self._public_cases.update(column(self.centre, answered, states=states))

    def _no_oracle(self) -> None:
        self._note_unanswered()
        named: dict[str, set[str]] = defaultdict(set)
        for row in column(
            self.centre,
            "select p.creditor_bank || ':' || p.creditor_account || E'\\n' || r.case_id"
            " from report_payments p join reports r on r.id = p.report_id",
        ):
            account, case = row.split("\n")
            named[account].add(case)
        with self.centre.database.uow.read(CITIZEN) as tx:
            for account, cases in named.items():
                if not cases & self._public_cases:
                    asked = Identifier(kind=Kind.BANK_ACCOUNT, value=account)
                    found = self.centre.matter.indicators.public_status(tx, asked)
                    assert found is None, "a mule can see that it is pursued"
