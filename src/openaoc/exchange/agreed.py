"""Exchange: partners and agreements as matching and requests between centres ask for them.

Answers who a partner's centre is and what it may receive now. Never answers without an agreement.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from openaoc.channels.signing import parse_public_jwk
from openaoc.exchange import release_store
from openaoc.exchange.agreement import Agreement, Grant
from openaoc.exchange.line import Peer
from openaoc.exchange.model import NoAgreement, PartnerKind
from openaoc.exchange.objects import ObjectKind, ReleasedObject, SharedObject
from openaoc.exchange.service import Exchange
from openaoc.kernel.offences import Offence
from openaoc.storage.unit_of_work import Transaction


class AgreedPartners:
    """What was agreed, partner by partner. One instance per centre."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def _agreement(self, tx: Transaction, code: str) -> Agreement:
        found = self._exchange.agreements.in_force(tx, code)
        if found is None:
            raise NoAgreement
        return found

    def peer(self, tx: Transaction, code: str) -> Peer:
        """The partner's centre with its verified keys. Raises NoAgreement, NoSuchPartner."""
        partners = self._exchange.agreements.partners
        partner = partners.found(tx, code)
        self._agreement(tx, partner.code)
        keys = partners.verified_keys(tx, partner.code)
        return Peer(
            code=partner.code,
            endpoint=partner.endpoint,
            keys={key.kid: parse_public_jwk(key.jwk) for key in keys},
        )

    def grant(self, tx: Transaction, code: str, kind: ObjectKind) -> Grant:
        """What of this kind may leave. Raises NoAgreement where none of it may."""
        found = self._agreement(tx, code).terms.grants.get(kind)
        if found is None:
            raise NoAgreement
        return found

    def release(self, tx: Transaction, shared: SharedObject, *, partner: str) -> ReleasedObject:
        """What leaves of the object, entered in the ledger of releases. Raises NoAgreement."""
        return self._exchange.release(tx, shared, partner=partner, why="asked between centres")

    def taken_back(self, tx: Transaction, code: str, ids: Sequence[str]) -> set[str]:
        """Those of the objects that left to the partner and were withdrawn from it."""
        held = release_store.held(tx.connection, code, ids)
        return {one for one, row in held.items() if row.revoked}

    def contact(self, tx: Transaction, code: str) -> str:
        """Whom to ask at the partner: the contact point of its agreement."""
        contact = self._agreement(tx, code).terms.contact
        ways = (contact.name, contact.email, contact.telephone)
        return ", ".join(way for way in ways if way)

    def protected(self, tx: Transaction, names: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
        """Those of the identifiers (kind, value) that nobody is told: of possible victims."""
        return self._exchange.shield.protected_names(tx, names)

    def partners_with(self, tx: Transaction, kind: ObjectKind) -> Sequence[str]:
        """The partners in force with a grant of this kind, by code."""
        in_force = self._exchange.agreements.all_in_force(tx)
        return [one.partner for one in in_force if kind in one.terms.grants]

    def spoken_with(self, tx: Transaction, kinds: Collection[ObjectKind]) -> Sequence[str]:
        """The partners in force with a grant of any of these kinds, and every centre, by code.

        A centre counts that can be reached.
        """
        agreements = self._exchange.agreements
        in_force = {one.partner: one.terms.grants for one in agreements.all_in_force(tx)}
        if not in_force:
            return []
        found = {code for code, grants in in_force.items() if not grants.keys().isdisjoint(kinds)}
        found.update(
            one.code
            for one in agreements.partners.all_of(tx)
            if one.code in in_force and one.kind is PartnerKind.CENTRE and one.endpoint is not None
        )
        return sorted(found)

    def legal_basis(self, tx: Transaction, code: str) -> str:
        """Under which law it was agreed. Raises NoAgreement."""
        return self._agreement(tx, code).terms.legal_basis

    def jurisdiction(self, tx: Transaction, code: str) -> str:
        """The partner's country. Raises NoSuchPartner."""
        return self._exchange.agreements.partners.found(tx, code).jurisdiction

    def purpose(self, tx: Transaction, code: str, offences: Sequence[Offence]) -> Offence:
        """The first purpose agreed on that is among these. Raises NoAgreement for none."""
        agreed = self._agreement(tx, code).terms.purposes
        for one in agreed:
            if one in offences:
                return one
        raise NoAgreement("none of its purposes is agreed on")
