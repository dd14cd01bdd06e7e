"""Workflow: which account numbers are pooled ones: traces stop there.

Kept in step with the list of parties/ and with the ledger, to which an account may come later.
Never lists one by itself: what it finds is proposed to a person.
"""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from typing import Protocol

import structlog

from openaoc.cases.service import Cases
from openaoc.kernel.actor import SYSTEM, Actor
from openaoc.kernel.money import exponents
from openaoc.ledger.arrays import LedgerArrays
from openaoc.ledger.model import AccountName
from openaoc.parties.model import Crowded, PooledAccount
from openaoc.parties.permissions import Permission, require
from openaoc.parties.pooled import PooledAccounts
from openaoc.storage.unit_of_work import UnitOfWork
from openaoc.tracing.crowds import COUNTERPARTIES_MIN, crowds
from openaoc.tracing.service import Tracing

_LOG = structlog.get_logger(__name__)


class LedgerNames(Protocol):
    """What is needed of the ledger to go from names to numbers and back."""

    def reading(self) -> AbstractContextManager[LedgerArrays]:
        """Arrays that stay consistent inside the block."""
        ...

    def account(self, index: int) -> AccountName:
        """The name of an account number."""
        ...

    def account_index(self, bank: str, account: str, currency: str, /) -> int | None:
        """The number of an account."""
        ...


class Pooling:
    """Tells tracing the pooled accounts. One instance per centre; thread-safe."""

    def __init__(
        self,
        *,
        uow: UnitOfWork,
        pooled: PooledAccounts,
        tracing: Tracing,
        ledger: LedgerNames,
        cases: Cases,
    ) -> None:
        self._uow = uow
        self._pooled = pooled
        self._tracing = tracing
        self._ledger = ledger
        self._cases = cases
        self._lock = threading.Lock()
        self._known: frozenset[int] = frozenset()
        self._numbers: dict[tuple[str, str], frozenset[int]] = {}

    def refresh(self) -> int:
        """Read the list, look the accounts up, and tell tracing what changed; how many numbers did.

        At start, after a change of the list, and now and then: an account listed before its first
        transfer gets its number with it. Cases that a change concerns are due at once. An account
        that has a number is not looked up again: a further currency is found at the next start.
        """
        with self._lock:
            with self._uow.read(SYSTEM, purpose="pooled accounts") as tx:
                listed = self._pooled.confirmed(tx)
            names = [(one.institution, one.account) for one in listed]
            self._numbers = {name: self._numbers.get(name) or self._of(*name) for name in names}
            fresh = frozenset[int]().union(*self._numbers.values())
            changed = fresh ^ self._known
            if not changed:
                return 0
            touched = self._tracing.cases_on(changed)
            self._tracing.set_hubs(fresh)
            self._known = fresh
            if touched:
                with self._uow.begin(SYSTEM, purpose="a pooled account changed") as tx:
                    self._cases.mark_due(tx, touched, at=tx.now)
        _LOG.info("workflow.pooled.changed", accounts=len(fresh), cases=len(touched))
        return len(changed)

    def find(
        self, actor: Actor, *, counterparties_min: int = COUNTERPARTIES_MIN
    ) -> list[PooledAccount]:
        """Propose accounts with very many counterparties; those that are new to the list."""
        require(actor, Permission.POOLED_CONFIRM)
        found = []
        for crowd in crowds(self._ledger.reading, counterparties_min=counterparties_min):
            if crowd.account not in self._known:
                name = self._ledger.account(crowd.account)
                found.append(
                    Crowded(
                        institution=name.bank,
                        account=name.account,
                        counterparties=crowd.counterparties,
                    )
                )
        with self._uow.begin(actor, purpose="propose pooled accounts") as tx:
            return self._pooled.propose(tx, found)

    def _of(self, bank: str, account: str) -> frozenset[int]:
        """The numbers of an account, in every currency."""
        found = (self._ledger.account_index(bank, account, code) for code in exponents())
        return frozenset(number for number in found if number is not None)
