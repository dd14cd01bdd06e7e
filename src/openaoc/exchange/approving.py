"""Exchange: a person's word that fields which name a person leave to one partner, once.

The word names the law. It is used by the next release of the object, within a day.
"""

from __future__ import annotations

from openaoc.exchange import approval_store
from openaoc.exchange.agreement import Minimisation
from openaoc.exchange.ledger_model import ApprovalView, NewApproval, ReleaseMark
from openaoc.exchange.model import NoAgreement, NoSuchObject
from openaoc.exchange.objects import FIELDS, FieldClass, SharedObject, class_of
from openaoc.exchange.service import Exchange
from openaoc.kernel.errors import BadInput
from openaoc.kernel.ids import random_text
from openaoc.parties.permissions import Permission, require
from openaoc.storage.unit_of_work import Transaction


class Approving:
    """Approvals. One instance per centre."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def _is_protected(self, tx: Transaction, shared: SharedObject) -> bool:
        shield = self._exchange.shield
        return shield.protected(tx, [shield.digests(shared)])[0]

    def approve(self, tx: Transaction, new: NewApproval) -> ApprovalView:
        """Approve; nothing leaves by it alone.

        Raises NoSuchObject, also for a possible victim; NoAgreement unless the agreement names the
        law and grants every field; BadInput for a field that names nobody.
        """
        require(tx.actor, Permission.EXCHANGE_APPROVE)
        partner = self._exchange.agreements.partners.found(tx, new.partner, lock=True).code
        agreement = self._exchange.agreements.in_force(tx, partner)
        shared = self._exchange.catalogue.find(tx, [new.object]).get(new.object)
        if shared is None or shared.possible_victim or self._is_protected(tx, shared):
            raise NoSuchObject
        if agreement is None or agreement.terms.personal_basis is None:
            raise NoAgreement("no agreement in force names a law for what names a person")
        grant = agreement.terms.grants.get(shared.kind)
        for name in new.fields:
            known = name in FIELDS[shared.kind] and name in shared.fields
            if not known or class_of(shared, name) is not FieldClass.PERSONAL:
                raise BadInput("no field of this object that names a person", where=name)
            how = None if grant is None else grant.fields.get(name)
            if how in (None, Minimisation.DROPPED):
                raise NoAgreement(f"the agreement does not grant {name}")
        one = ApprovalView(
            id="apv_" + random_text(20).lower(),
            object_id=shared.id,
            partner=partner,
            fields=tuple(sorted(set(new.fields))),
            legal_basis=new.legal_basis,
            reason=new.reason,
            approved_by=tx.actor.id,
            approved_at=tx.now,
        )
        approval_store.add_approval(tx.connection, one)
        tx.journal(
            action="exchange.personal.approved",
            subject=shared.id,
            after=ReleaseMark(
                partner=partner,
                agreement=agreement.id,
                objects=1,
                kinds=(shared.kind.value,),
                purposes=(),
                digest="",
                personal=one.fields,
                approved_by=one.approved_by,
            ),
            reason=new.reason,
            authority=new.legal_basis,
        )
        return one
