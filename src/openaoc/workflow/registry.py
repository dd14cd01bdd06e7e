"""Workflow: what tracing must know of pursued cases, kept in step with what is committed.

A cache of claims and hold events; the database is the truth. Used only while the matter is held.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

import msgspec
import structlog

from openaoc.cases.model import ClaimRecord
from openaoc.cases.service import Cases
from openaoc.holds.record import MoneyEvent
from openaoc.holds.service import Holds
from openaoc.kernel.clock import to_us
from openaoc.ledger.model import Transfer
from openaoc.storage.unit_of_work import Transaction
from openaoc.tracing.model import HoldKind
from openaoc.tracing.service import CaseClaim, CaseHold, Tracing

_LOG = structlog.get_logger(__name__)


class LedgerNumbers(Protocol):
    """What is needed of the ledger to go from names to numbers."""

    def find(self, *, reported_by: str, transfer_id: str) -> int | None:
        """The row of a transfer, by reporter and id."""
        ...

    def account_index(self, bank: str, account: str, currency: str, /) -> int | None:
        """The number of an account."""
        ...

    def transfer(self, row: int) -> Transfer:
        """The transfer in a row."""
        ...


class Blocked(NamedTuple):
    """When an institution blocked money, and the number of the account."""

    since: datetime
    account: int


class Registry:
    """Registers open cases with tracing and brings what happened since."""

    def __init__(
        self, *, tracing: Tracing, ledger: LedgerNumbers, cases: Cases, holds: Holds
    ) -> None:
        self._tracing = tracing
        self._ledger = ledger
        self._cases = cases
        self._holds = holds
        self._claims: dict[str, list[CaseClaim]] = {}
        self._events: dict[str, list[MoneyEvent]] = defaultdict(list)
        self._foreseen: dict[str, list[MoneyEvent]] = defaultdict(list)
        """By case: what a transaction is about to commit; forgotten at the next look."""
        self._first: dict[str, tuple[datetime, int]] = {}
        self._uncertain: set[str] = set()
        self._left: deque[str] = deque()
        self._paying: dict[str, list[int | None]] = {}
        """By case with restitutions: the rows of the transfers that pay them, None if not told."""
        self._seen = 0
        self._loaded = False

    def __contains__(self, case_id: str) -> bool:
        return case_id in self._claims

    def load(self, tx: Transaction) -> int:
        """Register every pursued case from the database; how many. At start."""
        claimed = self._committed(tx, None)
        for case_id in self._tracing.registered():
            self._tracing.forget(case_id)
        self._claims = claimed
        self._uncertain.clear()
        self._first.clear()
        self._paying.clear()
        self._events.clear()
        self._foreseen.clear()
        self._seen = 0
        self._take_events(tx)
        for case_id in self._claims:
            self._register(case_id)
        self._loaded = True
        return len(self._claims)

    def refresh(self, tx: Transaction) -> None:
        """Bring what institutions did since the last look; everything, at the first."""
        if not self._loaded:
            self.load(tx)
            return
        touched = set(self._foreseen)
        self._foreseen.clear()
        self._make_certain(tx)
        touched |= self._take_events(tx)
        touched.update(self._paid_otherwise())
        for case_id in touched:
            if case_id in self._claims:
                self._register(case_id)

    def claims_of(self, tx: Transaction, case_id: str) -> list[CaseClaim]:
        """A case's claims as tracing takes them, from the database."""
        found = [
            self._claim(case_id, filed, record)
            for filed, record in self._cases.claims_of(tx, case_id)
        ]
        return [claim for claim in found if claim is not None]

    def file(self, case_id: str, claims: Sequence[CaseClaim]) -> None:
        """Add claims of a case that are about to be committed.

        Whether they were is asked at the next look, before anything is traced: a transaction that
        fails lets the matter go before it could tell us.
        """
        if not claims:
            return
        self._uncertain.add(case_id)
        self._claims.setdefault(case_id, []).extend(claims)
        self._register(case_id)

    def foresee(self, events: Sequence[MoneyEvent]) -> None:
        """Trace as if these had happened: they are about to be committed, by this transaction.

        Whether they were is read at the next look, as for claims: these are forgotten then.
        """
        place = self._seen + sum(len(known) for known in self._foreseen.values())
        for number, event in enumerate(events, start=1):
            known = msgspec.structs.replace(event, sequence=place + number)
            self._foreseen[event.case_id].append(known)
        for case_id in {event.case_id for event in events} & self._claims.keys():
            self._register(case_id)

    def blocked(self, case_id: str, order_id: str) -> Blocked | None:
        """When and where an order's money was blocked first; None if it never was."""
        for event in self._events_of(case_id):
            if event.order_id == order_id and event.kind == "hold":
                account = self._ledger.account_index(event.bank, event.account, event.currency)
                return None if account is None else Blocked(event.at, account)
        return None

    def _events_of(self, case_id: str) -> Sequence[MoneyEvent]:
        return [*self._events.get(case_id, ()), *self._foreseen.get(case_id, ())]

    def forget(self, case_id: str) -> None:
        """The case was not committed, or is not under work any more."""
        if self._claims.pop(case_id, None) is not None:
            self._first.pop(case_id, None)
            self._paying.pop(case_id, None)
            self._tracing.forget(case_id)

    def left_work(self, case_id: str) -> None:
        """The case was closed, dropped or opened again: see at the next look what it is now.

        May be called without holding the matter.
        """
        self._left.append(case_id)

    def uncertain(self, case_id: str) -> bool:
        """Whether nobody has seen yet that the case's latest claims were committed.

        May be called without holding the matter.
        """
        return case_id in self._uncertain

    @property
    def behind(self) -> bool:
        """Whether cases left work since the last look, or what pays a restitution was corrected."""
        return bool(self._left or self._paid_otherwise())

    def _paid_otherwise(self) -> list[str]:
        """Cases with a paying transfer that was told, corrected or taken back since."""
        return [case for case, rows in self._paying.items() if self._rows_paid(case) != rows]

    def has_held(self, case_id: str) -> bool:
        """Whether an institution ever held money for the case."""
        return bool(self._events_of(case_id))

    def rows(self, case_id: str) -> list[int]:
        """The rows of a case's origins."""
        return [claim.row for claim in self._claims.get(case_id, ())]

    def _take_events(self, tx: Transaction) -> set[str]:
        touched: set[str] = set()
        for event in self._holds.events_after(tx, self._seen):
            self._events[event.case_id].append(event)
            self._seen = max(self._seen, event.sequence)
            touched.add(event.case_id)
        return touched

    def _make_certain(self, tx: Transaction) -> None:
        """Bring what was filed since the last look in step with what was committed of it."""
        while self._left:
            self._uncertain.add(self._left.popleft())
        if not self._uncertain:
            return
        committed = self._committed(tx, sorted(self._uncertain))
        for case_id in self._uncertain:
            claims = committed.get(case_id)
            if claims is None:
                self.forget(case_id)
            elif claims != self._claims.get(case_id):
                self._claims[case_id] = claims
                self._register(case_id)
        self._uncertain.clear()

    def _committed(self, tx: Transaction, only: Sequence[str] | None) -> dict[str, list[CaseClaim]]:
        found: dict[str, list[CaseClaim]] = {}
        for filed, case_id, record in self._cases.claims_pursued(tx, only=only):
            claim = self._claim(case_id, filed, record)
            if claim is not None:
                found.setdefault(case_id, []).append(claim)
        return found

    def _claim(self, case_id: str, filed: int, record: ClaimRecord) -> CaseClaim | None:
        row = self._ledger.find(reported_by=record.reported_by, transfer_id=record.transfer_id)
        if row is None:
            _LOG.warning("workflow.claim.not_in_ledger", case=case_id, filed=filed)
            return None
        return CaseClaim(row=row, amount_minor=record.amount_minor, filed=filed)

    def first_origin(self, case_id: str) -> tuple[datetime, int]:
        """The place in the ledger of a case's earliest origin: of two claims it prevails."""
        return self._first[case_id]

    def _register(self, case_id: str) -> None:
        claims = self._claims[case_id]
        self._first[case_id] = min(
            (self._ledger.transfer(claim.row).booked_at, claim.row) for claim in claims
        )
        events = self._events_of(case_id)
        holds = self.case_holds(events)
        if any(event.paid_id is not None for event in events):
            self._paying[case_id] = self._rows_paid(case_id)
        self._tracing.register(case_id, self._claims[case_id], holds)

    def _rows_paid(self, case_id: str) -> list[int | None]:
        """The rows of the transfers that pay the case's restitutions, as far as they are told."""
        events = self._events.get(case_id, ())
        return [self._row_paid(event) for event in events if event.paid_id is not None]

    def _row_paid(self, event: MoneyEvent) -> int | None:
        """The transfer that pays a restitution: out of the held account, of this very amount.

        None for what is not told yet, and for what another transfer would be: its money is traced
        as any other's.
        """
        if event.paid_by is None or event.paid_id is None:
            return None
        row = self._ledger.find(reported_by=event.paid_by, transfer_id=event.paid_id)
        if row is None:
            return None
        paid = self._ledger.transfer(row)
        place = (paid.debtor.bank, paid.debtor.account, paid.debtor.currency, paid.amount_minor)
        return (
            row
            if place == (event.bank, event.account, event.currency, event.amount_minor)
            else None
        )

    def case_holds(self, events: Sequence[MoneyEvent]) -> list[CaseHold]:
        """Hold events as tracing takes them: each hold less what it never found.

        What a hold never found it did not release or pay back either. Whatever moment its end was
        told with, who waited for the answer or whose clock is behind: it began before it ended.
        """
        never_found: dict[str, int] = defaultdict(int)
        for event in events:
            if event.kind == "excess":
                never_found[event.order_id] += event.amount_minor
        found: list[CaseHold] = []
        held: dict[str, int] = defaultdict(int)
        began = {event.order_id: event.at for event in events if event.kind == "hold"}
        dated = [(max(one.at, began.get(one.order_id, one.at)), one) for one in events]
        for at, event in sorted(dated, key=lambda pair: (pair[0], pair[1].sequence)):
            amount = event.amount_minor
            if event.kind == "hold":
                amount -= never_found[event.order_id]
                held[event.order_id] = amount
            elif event.kind != "excess":
                amount = min(amount, held[event.order_id])
                held[event.order_id] -= amount
            if event.kind == "excess" or amount <= 0:
                continue
            account = self._ledger.account_index(event.bank, event.account, event.currency)
            if account is None:
                _LOG.warning("workflow.hold.account_unknown", order=event.order_id)
                continue
            found.append(
                CaseHold(
                    order=event.order_id,
                    kind=HoldKind(event.kind),
                    at_us=to_us(at),
                    account=account,
                    amount_minor=amount,
                    sequence=event.sequence,
                    transfer_row=self._row_paid(event),
                )
            )
        return found
