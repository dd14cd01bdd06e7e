"""Safety: automatic orders stop when there are too many, or too many were wrong.

Per institution, source of reports, legal rule, and over all. What is caught waits for a person;
nothing is lost. Counting is in memory, rebuilt from the orders themselves at the start.
"""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from typing import Final

import structlog

from openaoc.cases.service import Cases
from openaoc.holds.legal import NoSuchRule, jurisdictions, rulebook
from openaoc.holds.lock import hold_matter
from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.events import Event
from openaoc.parties.permissions import Permission, require
from openaoc.parties.service import Parties
from openaoc.safety import store
from openaoc.safety.counting import WINDOW_MINUTES, HourCounts
from openaoc.safety.model import (
    ALL,
    Breaker,
    BreakerClosed,
    BreakerFigures,
    BreakerList,
    BreakerView,
    Limits,
    check_scope,
)
from openaoc.storage.unit_of_work import Transaction

UPHELD_WINDOW: Final = timedelta(days=1)
RESUMED_CASES_MAX: Final = 10_000
"""Cases traced again at once when a breaker is closed; others when they are due, within an hour."""

LOCK: Final = "safety.breakers"

_LOG = structlog.get_logger(__name__)


class Breakers:
    """The breakers of the centre. One instance; asked while the matter is held."""

    def __init__(self, *, limits: Limits, cases: Cases, parties: Parties) -> None:
        self.limits = limits
        self._cases = cases
        self._parties = parties
        self._lock = threading.Lock()
        self._counts = HourCounts()
        self._known: dict[str, Breaker] = {}
        self._changing: set[Transaction] = set()
        """Transactions that wrote a breaker since all were read last; committed or not."""
        self._loaded = False

    def load(self, tx: Transaction) -> None:
        """Breakers and the last hour's orders from the database."""
        with self._lock:
            self._known = {found.scope: found for found in store.all_breakers(tx.connection)}
            self._counts.clear()
            since = tx.now - timedelta(minutes=WINDOW_MINUTES)
            for sent in store.sent_since(tx.connection, since):
                for scope in _counted(sent.institution, sent.source):
                    known = self._known.get(scope)
                    if known is None or not known.counted_from or sent.minute >= known.counted_from:
                        self._counts.add(scope, sent.orders, at=sent.minute)
            self._loaded = True

    def gate(self, tx: Transaction) -> Gate:
        """What this transaction's orders pass; what it counts stands once it is committed."""
        self._refresh(tx)
        return Gate(self, tx)

    def _refresh(self, tx: Transaction) -> None:
        """Bring what was committed since the last look. The matter is held.

        Not after the commit: the next transaction holds the matter before that could be noted.
        """
        if not self._loaded:
            self.load(tx)
            return
        with self._lock:
            ended = self._changing - {tx}
            self._changing &= {tx}
        if not ended:
            return
        found = {breaker.scope: breaker for breaker in store.all_breakers(tx.connection)}
        with self._lock:
            for scope, breaker in found.items():
                if not breaker.open and breaker != self._known.get(scope):
                    self._counts.forget(scope)
            self._known = found

    def may_resume(self, scope: str) -> bool:
        """Whether what this breaker caught may go out by itself now."""
        with self._lock:
            known = self._known.get(scope)
            return known is not None and not known.open and known.resume

    def count(self, scope: str, *, now: datetime) -> int:
        """Orders of the scope within the last hour."""
        with self._lock:
            return self._counts.count(scope, now=now)

    def is_open(self, scope: str) -> bool:
        """Whether it kept orders from going out by themselves when the last gate was opened."""
        with self._lock:
            known = self._known.get(scope)
            return known is not None and known.open

    # What persons do.

    def open(self, tx: Transaction, scope: str, *, reason: str) -> Breaker:
        """Stop automatic orders of the scope; one person is enough. Open already: as it is.

        Raises UnknownInstitution, NoSuchRule: a breaker of nothing would stop nothing.
        """
        require(tx.actor, Permission.BREAKER_OPEN)
        known = self._known_scope(tx, scope)
        hold_matter(tx)
        return self.trip(tx, known, why=reason, by=tx.actor.id)

    def _known_scope(self, tx: Transaction, scope: str) -> str:
        kind, _, name = check_scope(scope).partition(":")
        if kind == "institution":
            return f"institution:{self._parties.institution(tx, name).code}"
        if kind == "rule" and not any(
            rule.id == name for code in jurisdictions() for rule in rulebook(code).rule
        ):
            raise NoSuchRule(name)
        return scope

    def close(self, tx: Transaction, scope: str, *, reason: str, resume: bool = False) -> Breaker:
        """Let automatic orders of the scope go out again; its hour begins anew.

        `resume` lets what it caught go out too, where it still stands. Raises BreakerClosed.
        """
        require(tx.actor, Permission.BREAKER_CLOSE)
        check_scope(scope)
        hold_matter(tx)
        self._refresh(tx)
        before = self._standing(tx, scope)
        if before is None or not before.open:
            raise BreakerClosed(scope)
        closed = Breaker(
            scope=scope,
            open=False,
            why=reason,
            changed_by=tx.actor.id,
            changed_at=tx.now,
            counted_from=tx.now,
            resume=resume,
        )
        self._change(tx, before, closed, action="safety.breaker.closed")
        if resume:
            caught = store.caught_cases(tx.connection, scope, limit=RESUMED_CASES_MAX)
            self._cases.mark_due(tx, caught, at=tx.now)
        return closed

    def list(self, tx: Transaction) -> BreakerList:
        """Every breaker there ever was, the open ones first."""
        require(tx.actor, Permission.HOLD_READ)
        waiting = store.waiting(tx.connection)
        return BreakerList(
            breakers=[
                BreakerView(
                    scope=found.scope,
                    open=found.open,
                    why=found.why,
                    changed_by=found.changed_by,
                    changed_at=found.changed_at,
                    orders_last_hour=self.count(found.scope, now=tx.now),
                    waiting=waiting.get(found.scope, 0),
                )
                for found in store.all_breakers(tx.connection)
            ],
            limits=self.limits,
        )

    # What happens by itself.

    def contest_decided(self, tx: Transaction, *, institution: str, source: str) -> None:
        """A contest was upheld: too many of them stop what caused them."""
        since = tx.now - UPHELD_WINDOW
        for scope, of in (
            (f"institution:{institution}", {"institution": institution, "source": None}),
            (f"source:{source}", {"institution": None, "source": source}),
        ):
            decided, upheld = store.upheld_since(tx.connection, since, **of)
            share = 100 * upheld
            if upheld >= self.limits.upheld_min and share >= self.limits.upheld_percent * decided:
                why = f"{upheld} of {decided} contests decided within a day were upheld"
                self.trip(tx, scope, why=why, by=SYSTEM.id)

    def trip(self, tx: Transaction, scope: str, *, why: str, by: str) -> Breaker:
        """Open it unless it is open."""
        known = self._standing(tx, scope)
        if known is not None and known.open:
            return known
        opened = Breaker(scope=scope, open=True, why=why, changed_by=by, changed_at=tx.now)
        self._change(tx, known, opened, action="safety.breaker.opened")
        _LOG.warning("safety.breaker.opened", scope=scope, why=why)
        return opened

    @staticmethod
    def _standing(tx: Transaction, scope: str) -> Breaker | None:
        """The breaker as it is committed, or as this transaction left it; nobody changes it now."""
        tx.lock(LOCK)
        return store.breaker(tx.connection, scope)

    def _change(
        self, tx: Transaction, before: Breaker | None, changed: Breaker, *, action: str
    ) -> None:
        with self._lock:
            self._changing.add(tx)
        store.set_breaker(tx.connection, changed)
        tx.journal(
            action=action, subject=changed.scope, before=before, after=changed, reason=changed.why
        )
        tx.emit(Event(name=action, subject=changed.scope, at=tx.now, facts={"why": changed.why}))
        if not changed.open:
            tx.after_commit(lambda: self._begin_anew(changed))

    def _begin_anew(self, closed: Breaker) -> None:
        with self._lock:
            if self._known.get(closed.scope) != closed:  # else its hour has begun already
                self._counts.forget(closed.scope)

    def add(self, counted: dict[str, int], *, at: datetime) -> None:
        """Orders that were committed."""
        with self._lock:
            for scope, amount in counted.items():
                self._counts.add(scope, amount, at=at)


class Gate:
    """One transaction's orders on their way through the breakers."""

    def __init__(self, breakers: Breakers, tx: Transaction) -> None:
        self._breakers = breakers
        self._tx = tx
        self._counted: dict[str, int] = {}
        self._tripped: set[str] = set()

    def pause(self, *, institution: str, source: str, rule: str) -> str | None:
        """The breaker that keeps one more order from going out by itself, or None: it is counted.

        A breaker whose limit it would pass opens in this transaction.
        """
        counted = _counted(institution, source)
        for scope in (*counted, f"rule:{rule}"):
            if scope in self._tripped or self._breakers.is_open(scope):
                return scope
        for scope in counted:
            limit = self._breakers.limits.per_hour(scope)
            so_far = self._breakers.count(scope, now=self._tx.now) + self._counted.get(scope, 0)
            if limit is not None and so_far >= limit:
                why = f"{limit} orders went out by themselves within an hour"
                self._breakers.trip(self._tx, scope, why=why, by=SYSTEM.id)
                self._tripped.add(scope)
                return scope
        if not self._counted:
            self._tx.after_commit(self._commit)
        for scope in counted:
            self._counted[scope] = self._counted.get(scope, 0) + 1
        return None

    def _commit(self) -> None:
        self._breakers.add(self._counted, at=self._tx.now)


def _counted(institution: str, source: str) -> tuple[str, str, str]:
    """The scopes whose orders are counted."""
    return (ALL, f"institution:{institution}", f"source:{source}")


def figures(tx: Transaction) -> BreakerFigures:
    """Which kinds are open now: counts alone, no reporter."""
    open_ones = [found.scope for found in store.all_breakers(tx.connection) if found.open]

    def kind(name: str) -> int:
        return sum(scope.startswith(f"{name}:") for scope in open_ones)

    return BreakerFigures(
        all_open=ALL in open_ones,
        institutions_open=kind("institution"),
        sources_open=kind("source"),
        rules_open=kind("rule"),
        orders_waiting=sum(store.waiting(tx.connection).values()),
    )
