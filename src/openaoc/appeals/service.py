"""Appeals: the stage's verbs: a holder contests, persons decide, the clock presses.

Every verb works in the caller's transaction. What the holder wrote is sealed before anything is
kept of it. Never decides against a holder by itself.
"""

from __future__ import annotations

from typing import Final, Protocol

import msgspec

from openaoc.appeals import store
from openaoc.appeals.deciding import conclude, no_part_in, persons_for, weigh
from openaoc.appeals.legal import appeal_rules
from openaoc.appeals.model import (
    APPEALS_PER_ORDER_MAX,
    STATEMENTS_PER_APPEAL_MAX,
    AppealPage,
    AppealState,
    AppealView,
    CompensationPage,
    Contest,
    ContestKey,
    ContestView,
    Decision,
    HoldOver,
    NoSuchAppeal,
    NoSuchHold,
    NotYourAppeal,
    SecondWord,
    Statement,
    StatementList,
    TooManyContests,
    check_step,
)
from openaoc.appeals.record import AppealMark, AppealRecord
from openaoc.cases.service import Cases
from openaoc.holds.codes import Codes, same_code
from openaoc.holds.ending import Ending
from openaoc.holds.lock import hold_matter, join_matter
from openaoc.holds.model import HOLDING, WAITING, OrderState, SamePerson
from openaoc.holds.record import OrderRecord
from openaoc.holds.review import HeldFacts
from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.errors import BadInput
from openaoc.kernel.events import Event
from openaoc.kernel.ids import is_case_id, new_appeal_id, read_number
from openaoc.kernel.limits import PAGE_MAX
from openaoc.parties.permissions import Permission, require
from openaoc.storage.unit_of_work import Transaction
from openaoc.storage.vault import Vault

DUE_BATCH_MAX: Final = 100
COMPENSATIONS_SHOWN_MAX: Final = 200
LAPSED: Final = "no_decision_in_time"


class SecondLook(Protocol):
    """Who looks at an order's account again; `workflow.second_look.SecondLook` is one."""

    def facts(self, tx: Transaction, order: OrderRecord) -> HeldFacts:
        """What is known of the account now. The matter is held."""
        ...


class Appeals:
    """The verbs of contests. One instance per centre."""

    def __init__(
        self,
        *,
        ending: Ending,
        cases: Cases,
        vault: Vault,
        codes: Codes,
        second_look: SecondLook,
        jurisdiction: str,
    ) -> None:
        self._ending = ending
        self._cases = cases
        self._vault = vault
        self._codes = codes
        self._look = second_look
        self.rules = appeal_rules(jurisdiction)

    # What a holder does.

    def file(self, tx: Transaction, contest: Contest) -> ContestView:
        """Contest a hold, or add a statement to the contest that is open already.

        Raises NoSuchHold for a wrong code, checked before anything is looked up; HoldOver,
        TooManyContests.
        """
        require(tx.actor, Permission.APPEAL_FILE)
        if not contest.statement.strip():
            raise BadInput("say why the hold is wrong", where="$.statement")
        join_matter(tx)
        order = self._own_order(tx, contest.order, code=contest.code, lock=True)
        tx.lock(f"appeals:{order.id}")
        earlier = store.of_order(tx.connection, order.id, lock=True)
        found = next((a for a in earlier if a.open), None)
        if found is None:
            found = self._open(tx, order, contest.language, count=len(earlier))
        elif found.statements >= STATEMENTS_PER_APPEAL_MAX:
            raise TooManyContests(f"at most {STATEMENTS_PER_APPEAL_MAX} statements")
        no = found.statements + 1
        said = Statement(statement=contest.statement.strip(), contact=contest.contact.strip())
        self._vault.seal(tx, _subject(found.id, no), msgspec.json.encode(said))
        store.add_statement(tx.connection, appeal_id=found.id, no=no, at=tx.now)
        added = msgspec.structs.replace(found, statements=no, language=contest.language)
        self._save(tx, found, added, action="appeals.statement.added")
        return added.for_holder(self.rules)

    def status(self, tx: Transaction, key: ContestKey) -> ContestView:
        """How the newest contest of a hold stands. Raises NoSuchHold, NoSuchAppeal."""
        require(tx.actor, Permission.APPEAL_FILE)
        order = self._own_order(tx, key.order, code=key.code)
        found = store.of_order(tx.connection, order.id)
        if not found:
            raise NoSuchAppeal("this hold has not been contested")
        return found[0].for_holder(self.rules)

    # What is read.

    def list(
        self,
        tx: Transaction,
        *,
        state: AppealState | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> AppealPage:
        """A page of contests in order of filing; without a state, those that are open."""
        require(tx.actor, Permission.APPEAL_READ)
        if not 1 <= limit <= PAGE_MAX:
            raise BadInput(f"between 1 and {PAGE_MAX}", where="limit")
        if cursor is not None and not (cursor.isascii() and cursor.isdigit()):
            raise BadInput("not a cursor of this list", where="cursor")
        after = None if cursor is None else min(int(cursor), 2**62)
        rows = store.page(tx.connection, state=state, after=after, limit=limit + 1)
        shown = rows[:limit]
        return AppealPage(
            appeals=[row.view() for row in shown],
            cursor=str(shown[-1].sequence) if len(rows) > limit else None,
        )

    def show(self, tx: Transaction, appeal_id: str) -> AppealView:
        """One contest. Raises NoSuchAppeal."""
        require(tx.actor, Permission.APPEAL_READ)
        return self._found(tx, appeal_id).view()

    def statements(self, tx: Transaction, appeal_id: str, *, reason: str) -> StatementList:
        """What the holder wrote and how to reach them; each look is journalled with its reason."""
        require(tx.actor, Permission.IDENTITY_READ)
        require(tx.actor, Permission.APPEAL_READ)
        appeal = self._found(tx, appeal_id)
        return StatementList(
            statements=[
                msgspec.json.decode(
                    self._vault.open(tx, _subject(appeal.id, no), reason=reason), type=Statement
                )
                for no in range(1, appeal.statements + 1)
            ]
        )

    def compensations(self, tx: Transaction) -> CompensationPage:
        """The newest records of wrongful holds."""
        require(tx.actor, Permission.APPEAL_READ)
        found = store.newest_compensations(tx.connection, limit=COMPENSATIONS_SHOWN_MAX)
        return CompensationPage(compensations=[*found])

    # What persons do.

    def take(self, tx: Transaction, appeal_id: str) -> AppealView:
        """Read a contest as its reviewer; what the ledger says now is kept with it.

        Raises SamePerson for whoever had a part in the hold.
        """
        require(tx.actor, Permission.APPEAL_DECIDE)
        hold_matter(tx)
        appeal, order = self._locked(tx, appeal_id)
        check_step(appeal.state, AppealState.UNDER_REVIEW, "take", actor=tx.actor)
        no_part_in(order, self._cases.opened_by(tx, order.case_id), who=tx.actor.id)
        taken = msgspec.structs.replace(
            appeal,
            state=AppealState.UNDER_REVIEW,
            taken_by=tx.actor.id,
            evidence=weigh(self._look.facts(tx, order), at=tx.now),
        )
        self._save(tx, appeal, taken, action="appeals.appeal.taken")
        return taken.view()

    def decide(self, tx: Transaction, appeal_id: str, decision: Decision) -> AppealView:
        """Decide a contest one has taken; where two persons are needed it waits for the second.

        Raises WrongAppealTransition, NotYourAppeal, BadInput for reasons of another outcome.
        """
        require(tx.actor, Permission.APPEAL_DECIDE)
        join_matter(tx)
        appeal, order = self._locked(tx, appeal_id)
        self._check(decision, order)
        earlier = store.of_order(tx.connection, order.id)
        needed = persons_for(
            appeal,
            decision,
            order,
            rules=self.rules,
            released_before_minor=sum(one.released_minor for one in earlier),
        )
        verb = "decide" if needed == 1 else "propose"
        after = _outcome(decision, order) if needed == 1 else AppealState.PROPOSED
        check_step(appeal.state, after, verb, actor=tx.actor)
        if appeal.taken_by != tx.actor.id:
            raise NotYourAppeal("another reviewer has taken it")
        proposed = msgspec.structs.replace(
            appeal, proposal=decision, proposed_by=tx.actor.id, persons_needed=needed
        )
        if needed == 1:
            return self._conclude(tx, appeal, proposed, order, after=after).view()
        waiting = msgspec.structs.replace(proposed, state=AppealState.PROPOSED)
        self._save(tx, appeal, waiting, action="appeals.appeal.proposed", reason=decision.note)
        return waiting.view()

    def second(self, tx: Transaction, appeal_id: str, word: SecondWord) -> AppealView:
        """The second person agrees to a proposal, or sends it back. Raises SamePerson."""
        require(tx.actor, Permission.APPEAL_DECIDE)
        join_matter(tx)
        appeal, order = self._locked(tx, appeal_id)
        decision = appeal.proposal
        after = AppealState.UNDER_REVIEW
        if word.agree and decision is not None:
            after = _outcome(decision, order)
        verb = "agree" if word.agree else "disagree"
        check_step(appeal.state, after, verb, actor=tx.actor)
        if appeal.proposed_by == tx.actor.id:
            raise SamePerson("whoever proposed it cannot agree to it")
        no_part_in(order, self._cases.opened_by(tx, order.case_id), who=tx.actor.id)
        if word.agree:
            return self._conclude(tx, appeal, appeal, order, after=after, note=word.note).view()
        again = msgspec.structs.replace(
            appeal, state=after, proposal=None, proposed_by=None, persons_needed=1
        )
        self._save(tx, appeal, again, action="appeals.appeal.sent_back", reason=word.note)
        return again.view()

    def explain_lateness(self, tx: Transaction, appeal_id: str, reason: str) -> AppealView:
        """Say why a contest is answered late; the reason is kept and read by oversight."""
        require(tx.actor, Permission.APPEAL_DECIDE)
        appeal = store.get(tx.connection, appeal_id, lock=True)
        if appeal is None:
            raise NoSuchAppeal(appeal_id[:32])
        changed = msgspec.structs.replace(appeal, late_reason=reason)
        self._save(tx, appeal, changed, action="appeals.appeal.late_explained", reason=reason)
        return changed.view()

    # What the clock and the other stages do.

    def escalate_due(self, tx: Transaction) -> int:
        """Say once of each contest that it was not answered in time; how many.

        Those whose hold has ended meanwhile have nothing left to decide.
        """
        for appeal in store.of_ended(tx.connection, limit=DUE_BATCH_MAX):
            self._moot(tx, appeal)
        late = store.late(tx.connection, now=tx.now, limit=DUE_BATCH_MAX)
        for appeal in late:
            marked = msgspec.structs.replace(appeal, escalated_at=tx.now)
            self._save(tx, appeal, marked, action="appeals.appeal.escalated", reason="late")
            self._emit(tx, "appeals.appeal.escalated", marked)
        return len(late)

    def lapse_due(self, tx: Transaction) -> int:
        """At the last hour whoever looks like honest commerce gets the money back; how many due.

        The others are marked overdue: a person has to answer for them.
        """
        if not store.any_overdue(tx.connection, now=tx.now):
            return 0
        hold_matter(tx)
        overdue = store.overdue(tx.connection, now=tx.now, limit=DUE_BATCH_MAX)
        for appeal in overdue:
            order = self._ending.order(tx, appeal.order_id, lock=True)
            assert order is not None, "a contest has its order"
            evidence = weigh(self._look.facts(tx, order), at=tx.now)
            marked = msgspec.structs.replace(appeal, overdue_at=tx.now, evidence=evidence)
            if not (evidence.likely_innocent and self.rules.lapse_releases_likely_innocent):
                self._save(tx, appeal, marked, action="appeals.appeal.overdue", reason="late")
                self._emit(tx, "appeals.appeal.overdue", marked)
                continue
            decision = Decision(outcome="uphold", reasons=[LAPSED], note="nobody decided in time")
            check_step(appeal.state, AppealState.UPHELD, "lapse", actor=SYSTEM)
            lapsed = msgspec.structs.replace(marked, proposal=decision, persons_needed=1)
            self._conclude(tx, appeal, lapsed, order, after=AppealState.UPHELD)
        return len(overdue)

    def order_ended(self, tx: Transaction, order_id: str) -> None:
        """The hold ended otherwise: an open contest has nothing left to decide.

        Where its institution ended it the row rules show no contest: `escalate_due` finds it.
        """
        for appeal in store.of_order(tx.connection, order_id, lock=True):
            if appeal.open:
                self._moot(tx, appeal)

    def _moot(self, tx: Transaction, appeal: AppealRecord) -> None:
        check_step(appeal.state, AppealState.MOOT, "end", actor=SYSTEM)
        moot = msgspec.structs.replace(appeal, state=AppealState.MOOT, decided_at=tx.now)
        self._save(tx, appeal, moot, action="appeals.appeal.moot", reason="the hold ended")

    def open_own(self, tx: Transaction, order: OrderRecord) -> AppealRecord | None:
        """A blind review found the hold wrong: contest it for its holder, unless one is open."""
        tx.lock(f"appeals:{order.id}")
        earlier = store.of_order(tx.connection, order.id, lock=True)
        if order.state not in HOLDING or any(appeal.open for appeal in earlier):
            return None
        return self._open(tx, order, "th", count=0, source="blind_review")

    # Steps.

    def _own_order(
        self, tx: Transaction, number: str, *, code: str, lock: bool = False
    ) -> OrderRecord:
        """The order whose notice carries this code, by its own number or by its case's.

        Of an order's number the code alone is checked first.
        """
        wrong = NoSuchHold("order number and contest code do not belong together")
        clean = read_number(number)
        named = self._ending.orders_of(tx, clean) if is_case_id(clean) else [clean]
        own = [one for one in named if same_code(code, self._codes.contest(one))]
        if not own:
            raise wrong
        order = self._ending.order(tx, own[0], lock=lock)
        if order is None or order.mode != "live" or order.state is OrderState.DRAFTED:
            raise wrong
        return order

    def _open(
        self,
        tx: Transaction,
        order: OrderRecord,
        language: str,
        *,
        count: int,
        source: str = "holder",
    ) -> AppealRecord:
        if order.state not in HOLDING | WAITING:
            raise HoldOver(f"it is {order.state}")
        if count >= APPEALS_PER_ORDER_MAX:
            raise TooManyContests(f"at most {APPEALS_PER_ORDER_MAX} for one hold")
        appeal = AppealRecord(
            id=new_appeal_id(),
            order_id=order.id,
            case_id=order.case_id,
            institution=order.institution,
            currency=order.currency,
            source="holder" if source == "holder" else "blind_review",
            language=language,
            state=AppealState.FILED,
            filed_at=tx.now,
            answer_by=self.rules.answer_by(tx.now),
            last_at=self.rules.last_at(tx.now),
            held_minor=order.active_minor,
            statements=0,
        )
        store.add(tx.connection, appeal)
        tx.journal(action="appeals.appeal.filed", subject=appeal.id, after=AppealMark.of(appeal))
        self._emit(tx, "appeals.appeal.filed", appeal)
        return appeal

    def _conclude(
        self,
        tx: Transaction,
        before: AppealRecord,
        proposed: AppealRecord,
        order: OrderRecord,
        *,
        after: AppealState,
        note: str = "",
    ) -> AppealRecord:
        """Save the decision first, so that the hold's end finds no open contest; then release."""
        decision = proposed.proposal
        assert decision is not None, "only what was proposed is concluded"
        done, record = conclude(
            proposed,
            order,
            after=after,
            by=tx.actor.id,
            at=tx.now,
            reporter=self._cases.opened_by(tx, order.case_id),
        )
        self._save(
            tx, before, done, action=f"appeals.appeal.{after.value}", reason=note or decision.note
        )
        if done.released_minor:
            self._ending.end(
                tx, order, kind="upheld", reason=done.id, amount_minor=done.released_minor
            )
        if record is not None:
            store.add_compensation(tx.connection, record)
            tx.journal(
                action="appeals.compensation.recorded",
                subject=done.id,
                after=record,
                reason=decision.note,
            )
        self._emit(
            tx, "appeals.appeal.decided", done, source=self._cases.opened_by(tx, order.case_id)
        )
        return done

    def _check(self, decision: Decision, order: OrderRecord) -> None:
        outcome = "refuse" if decision.outcome == "refuse" else "uphold"
        for code in decision.reasons:
            self.rules.words_of(code, outcome="refuse" if outcome == "refuse" else "uphold")
        part = decision.outcome == "uphold_in_part"
        if part != (decision.release_minor is not None):
            raise BadInput("is given exactly with uphold_in_part", where="$.release_minor")
        if part and order.state not in HOLDING:
            raise BadInput("nothing is held yet: uphold or refuse", where="$.outcome")
        if decision.release_minor is not None and decision.release_minor > order.held_minor:
            raise BadInput(f"at most {order.held_minor} is held", where="$.release_minor")
        if decision.cause is not None and outcome == "refuse":
            raise BadInput("a refused contest found no wrongful hold", where="$.cause")

    def _locked(self, tx: Transaction, appeal_id: str) -> tuple[AppealRecord, OrderRecord]:
        """The contest and its order, locked: the order first, as everybody locks them."""
        seen = self._found(tx, appeal_id)
        order = self._ending.order(tx, seen.order_id, lock=True)
        appeal = store.get(tx.connection, appeal_id, lock=True)
        assert appeal is not None, "contests are not deleted"
        assert order is not None, "a contest has its order"
        return appeal, order

    def _found(self, tx: Transaction, appeal_id: str) -> AppealRecord:
        appeal = store.get(tx.connection, appeal_id)
        if appeal is None:
            raise NoSuchAppeal(appeal_id[:32])
        return appeal

    def _save(
        self,
        tx: Transaction,
        before: AppealRecord,
        after: AppealRecord,
        *,
        action: str,
        reason: str = "",
    ) -> None:
        store.save(tx.connection, after)
        tx.journal(
            action=action,
            subject=after.id,
            before=AppealMark.of(before),
            after=AppealMark.of(after),
            reason=reason,
        )

    def _emit(self, tx: Transaction, name: str, appeal: AppealRecord, *, source: str = "") -> None:
        tx.emit(
            Event(
                name=name,
                subject=appeal.id,
                at=tx.now,
                facts={
                    "institution": appeal.institution,
                    "source": source,
                    "state": appeal.state.value,
                    "released_minor": appeal.released_minor,
                },
            )
        )


def _subject(appeal_id: str, no: int) -> str:
    """Under what name a statement is sealed."""
    return f"{appeal_id}.{no}"


def _outcome(decision: Decision, order: OrderRecord) -> AppealState:
    """The state that a decision leads to; a part that is all of it is the whole."""
    if decision.outcome == "refuse":
        return AppealState.REFUSED
    whole = decision.release_minor in (None, order.held_minor)
    return AppealState.UPHELD if whole else AppealState.UPHELD_IN_PART
