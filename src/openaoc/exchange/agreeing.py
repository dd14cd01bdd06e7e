"""Exchange: the verbs of agreements: draft, approve, suspend, resume, end; and which is in force.

Works in the caller's transaction. Two persons in two roles agree; one is enough to stop.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from openaoc.exchange import store
from openaoc.exchange.agreement import (
    Agreement,
    AgreementList,
    AgreementMark,
    AgreementState,
    AgreementTransition,
    Step,
    Terms,
    Voice,
    check_agreement_step,
    check_terms,
    digest_of,
)
from openaoc.exchange.model import (
    PARTNERS_MAX,
    VERSIONS_PER_PARTNER_MAX,
    NoSuchAgreement,
    Partner,
    SecondPerson,
    check_partner_code,
)
from openaoc.exchange.partners import Partners
from openaoc.kernel.actor import SYSTEM, Actor, Role
from openaoc.kernel.errors import Conflict
from openaoc.kernel.events import Event
from openaoc.parties.permissions import Permission, permits, require
from openaoc.parties.service import Parties
from openaoc.storage.unit_of_work import Transaction

AGREEMENT_CHANGED: Final = "exchange.agreement.changed"
ENDED_AT_ONCE_MAX: Final = 100
LISTED_MAX: Final = 10_000


class Agreements:
    """The verbs of agreements. One instance per centre."""

    def __init__(self, *, parties: Parties, home: str, exercise: bool = False) -> None:
        """`home`: the centre's own jurisdiction; a partner of another is abroad."""
        self.home = home
        self.partners = Partners(
            parties=parties, home=home, keys_changed=self._keys_changed, exercise=exercise
        )

    # What persons do.

    def draft(self, tx: Transaction, terms: Terms) -> Agreement:
        """A new version, which changes nothing until two persons approve it.

        Raises NoSuchPartner, BadInput with the place of what cannot be agreed.
        """
        require(tx.actor, Permission.AGREEMENT_DRAFT)
        partner = self.partners.found(tx, terms.partner, lock=True)
        terms = msgspec.structs.replace(terms, partner=partner.code)
        check_terms(terms, partner=partner, home=self.home, now=tx.now)
        version = store.last_version(tx.connection, partner.code) + 1
        if version > VERSIONS_PER_PARTNER_MAX:
            raise Conflict(f"at most {VERSIONS_PER_PARTNER_MAX} versions")
        one = Agreement(
            id=f"{partner.code}.{version}",
            partner=partner.code,
            version=version,
            state=AgreementState.DRAFTED,
            terms=terms,
            digest=digest_of(terms),
            drafted_by=tx.actor.id,
            drafted_at=tx.now,
            changed_at=tx.now,
        )
        store.insert_agreement(tx.connection, one)
        tx.journal(action="exchange.agreement.drafted", subject=one.id, after=AgreementMark.of(one))
        return one

    def approve(self, tx: Transaction, agreement_id: str) -> Agreement:
        """One of the two persons' words; with the second it is approved, and active when a key is.

        Raises WrongAgreementStep, NotYourAgreement, SecondPerson.
        """
        before, step = self._stepping(tx, agreement_id, Step.APPROVE)
        after = self._spoken(tx, before, step)
        if after.state is AgreementState.APPROVED:
            return self._activate(tx, after)
        return after

    def suspend(self, tx: Transaction, agreement_id: str, *, reason: str) -> Agreement:
        """Nothing leaves under it from this moment; one person is enough."""
        before, step = self._stepping(tx, agreement_id, Step.SUSPEND)
        return self._moved(tx, before, step, reason=reason, voices=_approvals(before))

    def resume(self, tx: Transaction, agreement_id: str) -> Agreement:
        """One of the two persons' words; with the second it is active again.

        Raises Conflict while no key of the partner is verified.
        """
        before, step = self._stepping(tx, agreement_id, Step.RESUME)
        if not self.partners.verified_keys(tx, before.partner):
            raise Conflict("no key of the partner is verified")
        return self._spoken(tx, before, step)

    def end(self, tx: Transaction, agreement_id: str, *, reason: str) -> Agreement:
        """It is over; whoever received something still hears when it was wrong."""
        before, step = self._stepping(tx, agreement_id, Step.END)
        return self._moved(tx, before, step, reason=reason, voices=before.voices)

    def show(self, tx: Transaction, agreement_id: str) -> Agreement:
        """One version. Raises NoSuchAgreement, for another partner's too."""
        self._require_read(tx)
        return _as_seen(tx.actor, self._found(tx, agreement_id))

    def list(self, tx: Transaction, *, partner: str | None = None) -> AgreementList:
        """Agreements; a partner's user sees its own, staff those of all or of one."""
        self._require_read(tx)
        code = None if partner is None else check_partner_code(partner)
        found = store.list_agreements(tx.connection, partner=code, limit=LISTED_MAX)
        if tx.actor.partner is not None:
            drafts = (AgreementState.DRAFTED, AgreementState.APPROVED)
            found = [one for one in found if one.state not in drafts]
        return AgreementList(agreements=[_as_seen(tx.actor, one) for one in found])

    # What others ask.

    def in_force(self, tx: Transaction, partner: str) -> Agreement | None:
        """The agreement under which something may leave to the partner now."""
        found = store.in_place(tx.connection, partner)
        return found if found is not None and found.in_force(tx.now) else None

    def all_in_force(self, tx: Transaction) -> Sequence[Agreement]:
        """Every agreement under which something may leave now, at most one a partner."""
        found = [one for one in store.active(tx.connection) if one.in_force(tx.now)]
        assert len(found) <= PARTNERS_MAX, "one active agreement a partner"
        return found

    # What happens by itself.

    def end_due(self, tx: Transaction) -> int:
        """End agreements whose time is over; how many."""
        due = store.over(tx.connection, now=tx.now, limit=ENDED_AT_ONCE_MAX)
        for one in due:
            step = check_agreement_step(one.state, Step.END, actor=SYSTEM)
            self._moved(tx, one, step, reason="its time is over", voices=one.voices)
        return len(due)

    def _keys_changed(self, tx: Transaction, partner: str) -> None:
        """A key was verified: what waits for it is active. The last one is gone: suspended."""
        if self.partners.verified_keys(tx, partner):
            waiting = store.approved(tx.connection, partner)
            if waiting is not None:
                self._activate(tx, waiting)
            return
        active = store.in_place(tx.connection, partner)
        if active is not None and active.state is AgreementState.ACTIVE:
            step = check_agreement_step(active.state, Step.SUSPEND, actor=SYSTEM)
            self._moved(
                tx,
                active,
                step,
                reason="no key of the partner is verified",
                voices=_approvals(active),
            )

    def _activate(self, tx: Transaction, approved: Agreement) -> Agreement:
        """It takes the place of the one before, once a key of the partner is verified."""
        if not self.partners.verified_keys(tx, approved.partner):
            return approved
        before = store.in_place(tx.connection, approved.partner)
        if before is not None:
            step = check_agreement_step(before.state, Step.END, actor=SYSTEM)
            self._moved(tx, before, step, reason=f"replaced by {approved.id}", voices=before.voices)
        step = check_agreement_step(approved.state, Step.ACTIVATE, actor=SYSTEM)
        return self._moved(tx, approved, step, reason="", voices=approved.voices)

    # How a step is taken.

    def _stepping(
        self, tx: Transaction, agreement_id: str, step: Step
    ) -> tuple[Agreement, AgreementTransition]:
        """The agreement, its partner locked, and the step this actor may take with it."""
        if tx.actor.partner is not None:
            require(tx.actor, Permission.EXCHANGE_READ)
        self._partner(tx, self._found(tx, agreement_id))
        before = self._found(tx, agreement_id, lock=True)
        return before, check_agreement_step(before.state, step, actor=tx.actor)

    def _partner(self, tx: Transaction, agreement: Agreement) -> Partner:
        return self.partners.found(tx, agreement.partner, lock=True)

    def _spoken(self, tx: Transaction, before: Agreement, step: AgreementTransition) -> Agreement:
        """One more person's word; the step is taken when there are enough."""
        said = [voice for voice in before.voices if voice.step is step.step]
        if any(voice.by == tx.actor.id for voice in said):
            raise SecondPerson("whoever agreed already cannot be the second person")
        role = _role_of(tx.actor, step, taken={voice.role for voice in said})
        voice = Voice(by=tx.actor.id, role=role, step=step.step, at=tx.now)
        voices = (*before.voices, voice)
        if len(said) + 1 < step.persons:
            after = msgspec.structs.replace(before, voices=voices, changed_at=tx.now)
            return self._save(tx, before, after, action=f"{step.step.value}_proposed", reason="")
        return self._moved(tx, before, step, reason="", voices=voices)

    def _moved(
        self,
        tx: Transaction,
        before: Agreement,
        step: AgreementTransition,
        *,
        reason: str,
        voices: tuple[Voice, ...],
    ) -> Agreement:
        after = msgspec.structs.replace(
            before, state=step.after, voices=voices, changed_at=tx.now, reason=reason
        )
        return self._save(tx, before, after, action=step.after.value, reason=reason)

    @staticmethod
    def _save(
        tx: Transaction, before: Agreement, after: Agreement, *, action: str, reason: str
    ) -> Agreement:
        store.save_agreement(tx.connection, after)
        tx.journal(
            action=f"exchange.agreement.{action}",
            subject=after.id,
            before=AgreementMark.of(before),
            after=AgreementMark.of(after),
            reason=reason,
            authority=after.terms.legal_basis,
        )
        facts: dict[str, str | int] = {"partner": after.partner, "state": after.state.value}
        tx.emit(Event(name=AGREEMENT_CHANGED, subject=after.id, at=tx.now, facts=facts))
        return after

    @staticmethod
    def _found(tx: Transaction, agreement_id: str, *, lock: bool = False) -> Agreement:
        found = store.find_agreement(tx.connection, agreement_id, lock=lock)
        draft = found is not None and found.state in (
            AgreementState.DRAFTED,
            AgreementState.APPROVED,
        )
        if found is None or (draft and tx.actor.partner is not None):
            raise NoSuchAgreement
        return found

    @staticmethod
    def _require_read(tx: Transaction) -> None:
        if not permits(tx.actor, Permission.EXCHANGE_RECEIVE):
            require(tx.actor, Permission.EXCHANGE_READ)


def _role_of(actor: Actor, step: AgreementTransition, *, taken: set[Role]) -> Role:
    """The role in which the actor speaks: one that nobody has spoken in. Raises SecondPerson."""
    free = sorted((step.who & actor.roles) - taken)
    if not free:
        needed = ", ".join(sorted(step.who - taken))
        raise SecondPerson(f"the second person is to be a {needed}")
    return free[0]


def _as_seen(actor: Actor, one: Agreement) -> Agreement:
    """A partner sees the terms and the state; who of us said what, and why, is ours."""
    if actor.partner is None:
        return one
    return msgspec.structs.replace(one, drafted_by="", voices=(), reason="")


def _approvals(agreement: Agreement) -> tuple[Voice, ...]:
    """Who approved it; who resumed it before has no voice when it is resumed again."""
    return tuple(voice for voice in agreement.voices if voice.step is Step.APPROVE)
