"""Cases: the stage's verbs: open, show, list, and what moves a case from state to state.

Works in the caller's transaction. Never traces and never orders; it keeps what those found.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, Literal, Protocol

import msgspec

from openaoc.cases import store
from openaoc.cases.marks import CaseMark, ComplaintMark
from openaoc.cases.model import (
    LOCATED_SHOWN_MAX,
    UNDER_WORK,
    BankCase,
    CaseLine,
    CasePage,
    CaseState,
    CaseView,
    ClaimRecord,
    ComplaintClock,
    Figures,
    NoSuchCase,
    StillHolding,
    WrongCaseTransition,
    check_case_transition,
)
from openaoc.cases.secret import matches
from openaoc.cases.store import CaseRow, Due
from openaoc.kernel.actor import SYSTEM, Actor, Role
from openaoc.kernel.errors import BadInput
from openaoc.kernel.events import Event
from openaoc.kernel.limits import PAGE_MAX
from openaoc.parties.permissions import Permission, require
from openaoc.reports.model import OrderLine
from openaoc.reports.service import Reports
from openaoc.storage.journal_rows import JournalEntry
from openaoc.storage.unit_of_work import Transaction

REASON_CHARACTERS_MIN: Final = 3
JOURNAL_REASON_MAX: Final = 2_000
"""Of many payments' doubts the journal keeps the first; the case keeps them all."""

__all__ = ["CaseRow", "Cases"]


ACTIVE_ORDER_STATES: Final = frozenset(
    {"drafted", "issued", "acknowledged", "applied", "applied_in_part"}
)


class OrderLines(Protocol):
    """Who knows a case's orders; `holds.service.Holds` is one."""

    def lines(self, tx: Transaction, case_id: str) -> Sequence[OrderLine]:
        """All of them, in short."""
        ...

    def lines_for(self, tx: Transaction, case_id: str, *, institution: str) -> Sequence[OrderLine]:
        """Those sent to one institution."""
        ...

    def bank_cases(self, tx: Transaction, case_id: str) -> Sequence[BankCase]:
        """The institutions' own numbers for the matter, from their answers."""
        ...

    def complaint_time(self, case: CaseRow) -> timedelta | None:
        """How long from the case's opening the victim has to complain to the police."""
        ...


class Cases:
    """The verbs of cases. One instance per centre."""

    def __init__(self, reports: Reports) -> None:
        self._reports = reports
        self._orders: OrderLines | None = None

    def show_orders_of(self, orders: OrderLines) -> None:
        """Where the orders of a case view come from: a later stage, given by the wiring."""
        self._orders = orders

    # What is read.

    def show(self, tx: Transaction, case_id: str, *, secret: str | None = None) -> CaseView:
        """A case as its reader may see it.

        With the secret: the citizen's view, without accounts. A liaison or machine sees only its
        own institution's orders, and no case that has none. Whoever of the centre sees where a
        case's money went is journalled: it is the one way to read of transfers. Raises NoSuchCase.
        """
        case = store.get(tx.connection, case_id)
        if case is None:
            raise NoSuchCase(case_id[:32])
        if secret is not None:
            if not matches(secret, case.secret_hash):
                raise NoSuchCase(case_id[:32])
            return self._view(tx, case, accounts=False)
        if tx.actor.institution is not None or {Role.LIAISON, Role.MACHINE} & tx.actor.roles:
            return self._own_view(tx, case)
        if tx.actor.has(Role.CITIZEN) and len(tx.actor.roles) == 1:
            raise NoSuchCase(case_id[:32])
        require(tx.actor, Permission.CASE_READ)
        tx.journal(action="cases.case.shown", subject=case.id)
        return self._view(tx, case, accounts=True)

    def list(
        self,
        tx: Transaction,
        *,
        state: CaseState | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> CasePage:
        """A page of cases, newest first."""
        require(tx.actor, Permission.CASE_READ)
        if not 1 <= limit <= PAGE_MAX:
            raise BadInput(f"between 1 and {PAGE_MAX}", where="limit")
        if cursor is not None and not (cursor.isascii() and cursor.isdigit()):
            raise BadInput("not a cursor of this list", where="cursor")
        before = None if cursor is None else min(int(cursor), 2**62)
        rows = store.page(tx.connection, state=state, before=before, limit=limit + 1)
        shown = rows[:limit]
        return CasePage(
            cases=[_line(case) for case in shown],
            cursor=str(shown[-1].sequence) if len(rows) > limit else None,
        )

    def opened_by(self, tx: Transaction, case_id: str) -> str:
        """Who opened the case."""
        return self.row(tx, case_id).opened_by

    def row(self, tx: Transaction, case_id: str, *, lock: bool = False) -> CaseRow:
        """The case as kept. Raises NoSuchCase."""
        case = store.get(tx.connection, case_id, lock=lock)
        if case is None:
            raise NoSuchCase(case_id[:32])
        return case

    def rows(self, tx: Transaction, case_ids: Sequence[str]) -> Sequence[CaseRow]:
        """These cases as kept."""
        return store.many(tx.connection, case_ids)

    # What persons do.

    def close(self, tx: Transaction, case_id: str, *, reason: str) -> None:
        """Nothing more can be done: the case's claims leave the traces.

        Raises StillHolding while an order of it is active.
        """
        require(tx.actor, Permission.CASE_WORK)
        _check_reason(reason)
        lines = () if self._orders is None else self._orders.lines(tx, case_id)
        if any(line.state in ACTIVE_ORDER_STATES for line in lines):
            raise StillHolding("end its orders first, or wait until they end by themselves")
        self._move(tx, self.row(tx, case_id, lock=True), CaseState.CLOSED, reason=reason)
        store.change(tx.connection, case_id, closed_at=tx.now, retrace_at=None)

    def drop(self, tx: Transaction, case_id: str, *, reason: str) -> None:
        """A false report: the case ends. Its orders are ended by who calls this, before."""
        require(tx.actor, Permission.CASE_WORK)
        _check_reason(reason)
        self._move(tx, self.row(tx, case_id, lock=True), CaseState.DROPPED, reason=reason)
        store.change(tx.connection, case_id, closed_at=tx.now, retrace_at=None)

    def reopen(self, tx: Transaction, case_id: str, *, reason: str) -> None:
        """New facts came in: the case is to be decided again."""
        require(tx.actor, Permission.CASE_WORK)
        _check_reason(reason)
        self._move(tx, self.row(tx, case_id, lock=True), CaseState.OPEN, reason=reason)
        store.change(tx.connection, case_id, closed_at=None, retrace_at=tx.now, stopped_why=None)

    def note_complaint(
        self, tx: Transaction, case_id: str, *, at: datetime, reference: str
    ) -> datetime:
        """The victim complained to the police; orders rest on that. Which complaint counts now.

        Of several the earliest does; a later one is on record and changes nothing. Raises
        WrongCaseTransition for a case that has ended.
        """
        case = self.row(tx, case_id, lock=True)
        if case.state not in UNDER_WORK:
            raise WrongCaseTransition(f"a case that is {case.state} takes no complaint")
        known = case.complaint_at
        what = "noted" if known is None else "corrected" if at < known else "repeated"
        if what != "repeated":
            store.change(tx.connection, case_id, complaint_at=at, complaint_ref=reference)
        counts = at if known is None else min(at, known)
        if (at, reference) != (known, case.complaint_ref):
            tx.journal(
                action=f"cases.complaint.{what}",
                subject=case_id,
                before=ComplaintMark(counts=known),
                after=ComplaintMark(counts=counts, told=at),
                reason=reference,
            )
        return counts

    def approved(self, tx: Transaction, case_id: str) -> None:
        """A person agreed to an order of the case: it is pursued, order by order."""
        case = self.row(tx, case_id)
        if case.state is CaseState.NEEDS_PERSON:
            self._move(tx, case, CaseState.PURSUED, reason="an order was approved")

    def stop_automatic(self, tx: Transaction, case_id: str, *, why: str) -> None:
        """From now on every new order of the case waits for a person."""
        case = self.row(tx, case_id, lock=True)
        store.change(
            tx.connection,
            case_id,
            standing="needs_person",
            approvals_needed=max(case.approvals_needed, 1),
            standing_why=[*case.standing_why, why],
            stopped_why=why,
        )

    def set_standing(
        self, tx: Transaction, case_id: str, *, automatic: bool, approvals: int, why: Sequence[str]
    ) -> None:
        """Standing was decided anew: a payment was found, or the payer's institution confirmed."""
        case = self.row(tx, case_id, lock=True)
        standing = "automatic" if automatic else "needs_person"
        store.change(
            tx.connection,
            case_id,
            standing=standing,
            approvals_needed=approvals,
            standing_why=list(why),
        )
        after = CaseState.PURSUED if automatic else CaseState.NEEDS_PERSON
        moved = msgspec.structs.replace(case, standing=standing, standing_why=list(why))
        if case.state in (CaseState.NEEDS_PERSON, CaseState.OPEN) and case.state is not after:
            self._move(
                tx, moved, after, reason="; ".join(why) or "standing is proven", actor=SYSTEM
            )

    # What workflow/ does.

    def taken(self, tx: Transaction, ids: Sequence[str]) -> set[str]:
        """Which of these case numbers exist already."""
        return store.taken(tx.connection, ids)

    def filing_numbers(self, tx: Transaction, count: int) -> Sequence[int]:
        """Fresh numbers that order claims by the time of filing."""
        return store.filing_numbers(tx.connection, count)

    def open(
        self,
        tx: Transaction,
        opened: Sequence[CaseRow],
        *,
        claims: Sequence[tuple[int, str, ClaimRecord]],
        authority: dict[str, str],
    ) -> None:
        """Add cases with their claims; `authority` says per case on whose word."""
        store.add(tx, opened)
        store.add_claims(tx, claims)
        counted: dict[str, int] = {}
        for _, case_id, _ in claims:
            counted[case_id] = counted.get(case_id, 0) + 1
        tx.journal_many(
            [
                JournalEntry(
                    action="cases.case.opened",
                    subject=case.id,
                    after=CaseMark.of(case, claims=counted.get(case.id, 0)),
                    reason="; ".join(case.standing_why)[:JOURNAL_REASON_MAX],
                    authority=authority.get(case.id, ""),
                )
                for case in opened
            ]
        )
        for case in opened:
            if case.state is CaseState.NEEDS_PERSON:
                tx.emit(Event(name="cases.case.waits", subject=case.id, at=tx.now))

    def add_claim(self, tx: Transaction, case_id: str, claim: ClaimRecord) -> int:
        """File one more claim of a case; its filing number."""
        number = store.filing_numbers(tx.connection, 1)[0]
        store.add_claims(tx, [(number, case_id, claim)])
        return number

    def save_figures(
        self, tx: Transaction, traced: Sequence[tuple[str, Figures, datetime | None]]
    ) -> None:
        """Keep the latest trace of these cases, and when each is due again (None: not)."""
        store.save_figures(tx.connection, traced, at=tx.now)

    def mark_due(self, tx: Transaction, case_ids: Sequence[str], *, at: datetime) -> None:
        """These cases are planned again at `at`, or before if they were due before."""
        if case_ids:
            store.set_due(tx.connection, case_ids, at=at)
            tx.emit(Event(name="cases.case.due", subject=case_ids[0], at=tx.now))

    def due(self, tx: Transaction, *, limit: int) -> Sequence[str]:
        """Cases whose trace is due now, the longest due first."""
        return store.due(tx.connection, now=tx.now, limit=limit)

    def due_by_schedule(self, tx: Transaction, *, limit: int) -> Sequence[Due]:
        """Of the cases that are due those to which nobody did anything: only time went by."""
        return store.due_by_schedule(tx.connection, now=tx.now, limit=limit)

    def put_off(self, tx: Transaction, fresh: Sequence[tuple[str, datetime]]) -> None:
        """Nothing has changed for these cases: they are due again at their time."""
        store.put_off(tx.connection, fresh, now=tx.now)

    def claims_pursued(
        self, tx: Transaction, *, only: Sequence[str] | None = None
    ) -> Sequence[tuple[int, str, ClaimRecord]]:
        """Claims that stand in all traces: (filing number, case, claim); of `only` these cases."""
        return store.claims_pursued(tx.connection, only=only)

    def origins_under_work(self, tx: Transaction) -> Sequence[tuple[str, str]]:
        """(reporter, transfer id) of the origins of every case that is under work."""
        return store.claims_under_work(tx.connection)

    def claims_of(self, tx: Transaction, case_id: str) -> Sequence[tuple[int, ClaimRecord]]:
        """A case's claims with their filing numbers."""
        return store.claims_of(tx.connection, case_id)

    def _move(
        self,
        tx: Transaction,
        case: CaseRow,
        after: CaseState,
        *,
        reason: str,
        actor: Actor | None = None,
    ) -> None:
        who = actor or (tx.actor if tx.actor.institution is None else SYSTEM)
        step = check_case_transition(case.state, after, actor=who)
        store.change(tx.connection, case.id, state=after.value)
        moved = msgspec.structs.replace(case, state=after)
        tx.journal(
            action=f"cases.case.{after.value}",
            subject=case.id,
            before=CaseMark.of(case),
            after=CaseMark.of(moved),
            reason=reason,
        )
        tx.emit(
            Event(
                name=f"cases.case.{after.value}",
                subject=case.id,
                at=tx.now,
                facts={"verb": step.verb},
            )
        )

    def _own_view(self, tx: Transaction, case: CaseRow) -> CaseView:
        require(tx.actor, Permission.HOLD_READ)
        lines: Sequence[OrderLine] = ()
        if self._orders is not None and tx.actor.institution is not None:
            lines = self._orders.lines_for(tx, case.id, institution=tx.actor.institution)
        if not lines:
            raise NoSuchCase(case.id)
        empty = msgspec.structs.replace(case, standing_why=[])
        view = self._view(tx, empty, accounts=False)
        nothing = dict.fromkeys(_FIGURES, 0)
        own = [b for b in view.bank_cases if b.institution == tx.actor.institution]
        return msgspec.structs.replace(
            view,
            **nothing,
            conserved=True,
            truncated=None,
            exited=[],
            orders=[*lines],
            reports=0,
            complaint=None,
            bank_cases=own,
        )

    def _view(self, tx: Transaction, case: CaseRow, *, accounts: bool) -> CaseView:
        figures = store.decode_figures(case.figures)
        orders = () if self._orders is None else self._orders.lines(tx, case.id)
        return CaseView(
            case=case.id,
            state=case.state,
            mode=_mode(case.mode),
            standing=_standing(case.standing),
            standing_why=list(case.standing_why),
            opened_at=case.opened_at,
            traced_at=case.traced_at,
            jurisdiction=case.jurisdiction,
            currency=case.currency,
            rule=case.rule,
            reports=self._reports.count(tx, case.id),
            **{name: getattr(figures, name) for name in _FIGURES},
            conserved=figures.conserved,
            truncated=figures.truncated,
            located=figures.located[:LOCATED_SHOWN_MAX] if accounts else [],
            exited=figures.exited,
            orders=[*orders],
            complaint_at=case.complaint_at,
            complaint=self._clock(tx, case, orders),
            bank_cases=[*self._bank_cases(tx, case.id)],
        )

    def _clock(
        self, tx: Transaction, case: CaseRow, orders: Sequence[OrderLine]
    ) -> ComplaintClock | None:
        within = None if self._orders is None else self._orders.complaint_time(case)
        if within is None or case.state not in UNDER_WORK:
            return None
        due = case.opened_at + within
        waits = case.complaint_at is None and tx.now < due
        ends = [line.ends_at for line in orders if line.state in ACTIVE_ORDER_STATES]
        return ComplaintClock(
            due_at=due,
            hours_left=(due - tx.now) // _TENTH_OF_AN_HOUR / 10 if waits else 0.0,
            complained_at=case.complaint_at,
            first_end_at=min(ends, default=None),
        )

    def _bank_cases(self, tx: Transaction, case_id: str) -> Sequence[BankCase]:
        told = []
        for row in self._reports.of_case(tx, case_id):
            if row.bank_case_id:
                bank = row.sender_institution or self._reports.payers_bank(tx, row.id)
                told.append(BankCase(institution=bank, bank_case_id=row.bank_case_id))
        answered = () if self._orders is None else self._orders.bank_cases(tx, case_id)
        return list(dict.fromkeys([*told, *answered]))


_TENTH_OF_AN_HOUR: Final = timedelta(minutes=6)
_FIGURES: Final = (
    "loss_minor",
    "overlap_minor",
    "located_minor",
    "held_minor",
    "exited_minor",
    "restituted_minor",
    "dropped_minor",
)


def _line(case: CaseRow) -> CaseLine:
    return CaseLine(
        case=case.id,
        state=case.state,
        mode=_mode(case.mode),
        standing=_standing(case.standing),
        opened_at=case.opened_at,
        currency=case.currency,
        loss_minor=case.loss_minor,
        located_minor=case.located_minor,
        held_minor=case.held_minor,
    )


def _mode(text: str) -> Literal["live", "shadow"]:
    return "live" if text == "live" else "shadow"


def _standing(text: str) -> Literal["automatic", "needs_person"]:
    return "automatic" if text == "automatic" else "needs_person"


def _check_reason(reason: str) -> None:
    if len(reason.strip()) < REASON_CHARACTERS_MIN:
        raise BadInput("a reason is needed that a person can read", where="reason")
