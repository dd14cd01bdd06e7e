"""Pooled accounts: who may say that many people's money lies on one account of an institution.

There a trace stops and asks the institution whose the money was. Finds none and traces none.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from openaoc.kernel.actor import Actor
from openaoc.kernel.errors import BadInput, Refused
from openaoc.kernel.events import Event
from openaoc.kernel.identifiers.bank_account import normalise_account
from openaoc.kernel.ids import InstitutionCode
from openaoc.parties import pooled_store as store
from openaoc.parties.model import (
    POOLED_MAX,
    POOLED_PER_INSTITUTION_MAX,
    Crowded,
    PooledAccount,
    PooledKind,
    PooledState,
    TooManyPooled,
    UnknownPooled,
)
from openaoc.parties.permissions import Permission, permits, require
from openaoc.parties.service import Parties
from openaoc.storage.unit_of_work import Transaction

REASON_CHARACTERS_MIN: Final = 3
CHANGED: Final = "parties.pooled.changed"
"""The event after which traces stop at other accounts than before."""


class PooledAccounts:
    """The verbs. Works in the caller's transaction; tells later stages by CHANGED."""

    def __init__(self, parties: Parties) -> None:
        self._parties = parties

    def listed(self, tx: Transaction, *, code: str | None = None) -> list[PooledAccount]:
        """An institution's, or all that the actor may see, by institution and account."""
        if code is not None:
            code = self._parties.institution(tx, code).code
        if tx.actor.institution is None:
            require(tx.actor, Permission.INSTITUTION_READ)
        elif code != tx.actor.institution:
            raise Refused("this is another institution")
        return store.listed(tx.connection, code=code, limit=POOLED_MAX)

    def confirmed(self, tx: Transaction) -> list[PooledAccount]:
        """Every account at which traces stop; for the centre itself."""
        require(tx.actor, Permission.POOLED_CONFIRM)
        found = store.listed(tx.connection, code=None, limit=POOLED_MAX)
        return [one for one in found if one.state is PooledState.CONFIRMED]

    def add(
        self, tx: Transaction, *, code: str, account: str, kind: PooledKind, reason: str
    ) -> PooledAccount:
        """A person's word lists the account, or confirms what was proposed.

        An institution's machine proposes its own: it could shield an account of its customer's
        from a trace, so a person confirms. The same again changes nothing. Raises NotPermitted,
        UnknownInstitution, TooManyPooled, BadInput.
        """
        person = permits(tx.actor, Permission.POOLED_CONFIRM)
        if not person:
            require(tx.actor, Permission.POOLED_PROPOSE)
            _refuse_stranger(tx.actor, self._parties.institution(tx, code).code)
        _check_reason(reason)
        institution = self._parties.institution(tx, code).code
        number = normalise_account(account, where="account")
        tx.lock("parties.pooled")  # the limits count over all
        before = store.find(tx.connection, institution, number)
        stands = before is not None and before.state is PooledState.CONFIRMED
        if before is not None and (not person or (stands and before.kind is kind)):
            return before
        after = PooledAccount(
            institution=institution,
            account=number,
            kind=kind,
            state=PooledState.CONFIRMED if person else PooledState.PROPOSED,
            reason=reason,
            proposed_by=tx.actor.id if before is None else before.proposed_by,
            proposed_at=tx.now if before is None else before.proposed_at,
            counterparties=None if before is None else before.counterparties,
            confirmed_by=tx.actor.id if person else None,
            confirmed_at=tx.now if person else None,
        )
        self._save(tx, before, after)
        return after

    def propose(self, tx: Transaction, found: Iterable[Crowded]) -> list[PooledAccount]:
        """Propose accounts the centre found; those that are new. Unknown institutions are left."""
        require(tx.actor, Permission.POOLED_CONFIRM)
        tx.lock("parties.pooled")
        known = {one.code for one in self._parties.institutions(tx)}
        listed = {
            (one.institution, one.account)
            for one in store.listed(tx.connection, code=None, limit=POOLED_MAX)
        }
        fresh = []
        for one in found:
            if one.institution not in known or (one.institution, one.account) in listed:
                continue
            proposal = PooledAccount(
                institution=InstitutionCode(one.institution),
                account=one.account,
                kind=PooledKind.OMNIBUS,
                state=PooledState.PROPOSED,
                reason="found by its many counterparties",
                proposed_by=tx.actor.id,
                proposed_at=tx.now,
                counterparties=one.counterparties,
            )
            self._save(tx, None, proposal)
            fresh.append(proposal)
        return fresh

    def remove(self, tx: Transaction, *, code: str, account: str, reason: str) -> None:
        """Traces go on through it again, or a proposal is dropped. Raises UnknownPooled."""
        require(tx.actor, Permission.POOLED_CONFIRM)
        _check_reason(reason)
        institution = self._parties.institution(tx, code).code
        number = normalise_account(account, where="account")
        tx.lock("parties.pooled")
        before = store.find(tx.connection, institution, number)
        if before is None:
            raise UnknownPooled
        store.delete(tx.connection, institution, number)
        tx.journal(
            action="parties.pooled.removed",
            subject=institution,
            before=_mark(before),
            reason=reason,
        )
        _tell(tx, institution)

    def _save(self, tx: Transaction, before: PooledAccount | None, after: PooledAccount) -> None:
        if before is None:
            own, every = store.counts(tx.connection, after.institution)
            if own >= POOLED_PER_INSTITUTION_MAX or every >= POOLED_MAX:
                raise TooManyPooled(
                    f"{POOLED_PER_INSTITUTION_MAX} of an institution, {POOLED_MAX} in all"
                )
        store.save(tx.connection, after)
        tx.journal(
            action=f"parties.pooled.{after.state.value}",
            subject=after.institution,
            before=None if before is None else _mark(before),
            after=_mark(after),
            reason=after.reason,
        )
        if after.state is PooledState.CONFIRMED:
            _tell(tx, after.institution)


class PooledMark(msgspec.Struct, frozen=True, kw_only=True):
    """A pooled account in the journal. It is an institution's own, no person's."""

    account: str
    kind: PooledKind
    state: PooledState
    counterparties: int | None


def _mark(one: PooledAccount) -> PooledMark:
    return PooledMark(
        account=one.account, kind=one.kind, state=one.state, counterparties=one.counterparties
    )


def _tell(tx: Transaction, institution: str) -> None:
    tx.emit(Event(name=CHANGED, subject=institution, at=tx.now))


def _refuse_stranger(actor: Actor, code: str) -> None:
    if actor.institution != code:
        raise Refused("this is another institution")


def _check_reason(reason: str) -> None:
    if len(reason.strip()) < REASON_CHARACTERS_MIN:
        raise BadInput("a reason is needed that a person can read", where="reason")
