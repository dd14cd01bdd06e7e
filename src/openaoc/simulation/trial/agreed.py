"""Simulation, trials: what centres and banks have agreed on before the first day.

The centre's own verbs under the roles that may: drafted, approved by two persons, keys compared.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import msgspec

from openaoc.channels.keys import new_marked_key
from openaoc.channels.signing import PublicJwk
from openaoc.exchange.agreement import Grant, Minimisation, Terms, Transfer, TransferKind
from openaoc.exchange.model import Contact, KeyVerification, NewPartner, PartnerKind
from openaoc.exchange.objects import FIELDS, FieldClass, ObjectKind
from openaoc.kernel.actor import Actor, Role
from openaoc.kernel.markings import Marking
from openaoc.kernel.offences import Offence
from openaoc.simulation.trial.actors import ADMINISTRATOR, OFFICER, OpenCentre

PROTECTION: Final = Actor(id="usr_dpo", roles=frozenset({Role.DATA_PROTECTION_OFFICER}))
DESK: Final = Contact(name="Duty desk", email="desk@centre.example")
REQUESTS: Final = (ObjectKind.TRACE_REQUEST, ObjectKind.TRACE_ANSWER)
INDICATORS: Final = (ObjectKind.INDICATOR,)
DAILY_OBJECTS_MAX: Final = 100_000


def agree(
    centre: OpenCentre,
    *,
    code: str,
    kind: PartnerKind,
    country: str,
    kinds: tuple[ObjectKind, ...],
    endpoint: str | None = None,
    key: PublicJwk | None = None,
) -> None:
    """A partner with a verified key, and an agreement in force on these kinds.

    `key`: of a partner's centre; who only reads has one of its own that signs nothing here.
    """
    agreements = centre.matter.sharing.agreements
    new = NewPartner(
        code=code, name=code, kind=kind, jurisdiction=country, contact=DESK, endpoint=endpoint
    )
    key = key or new_marked_key(exercise=centre.settings.exercise).public()
    jwk = msgspec.json.encode(key).decode("ascii")
    with centre.uow.begin(ADMINISTRATOR, purpose="a partner") as tx:
        agreements.partners.add(tx, new)
        added = agreements.partners.add_key(tx, code, jwk=jwk)
    said = KeyVerification(fingerprint=added.fingerprint, compared_with="its desk, by telephone")
    with centre.uow.begin(OFFICER, purpose="compare a key") as tx:
        agreements.partners.verify_key(tx, code, kid=added.kid, said=said)
    with centre.uow.begin(PROTECTION, purpose="draft an agreement") as tx:
        draft = agreements.draft(tx, _terms(code, kinds, centre=centre))
    for actor in (PROTECTION, OFFICER):
        with centre.uow.begin(actor, purpose="approve an agreement") as tx:
            agreements.approve(tx, draft.id)


def _terms(partner: str, kinds: tuple[ObjectKind, ...], *, centre: OpenCentre) -> Terms:
    now = centre.clock.now()
    return Terms(
        partner=partner,
        purposes=tuple(Offence),
        legal_basis="Simulated memorandum, article 3",
        grants={kind: _grant(kind) for kind in kinds},
        highest_marking=Marking.AMBER,
        daily_objects_max=DAILY_OBJECTS_MAX,
        retention_days=365,
        contact=DESK,
        starts_at=now - timedelta(days=1),
        ends_at=now + timedelta(days=365),
        transfer=Transfer(kind=TransferKind.SAFEGUARDS, reference="Simulated memorandum, annex 2"),
    )


def _grant(kind: ObjectKind) -> Grant:
    fields = {
        name: Minimisation.AS_IS
        for name, field in FIELDS[kind].items()
        if field.kind is not FieldClass.PERSONAL
    }
    fields["case"] = Minimisation.PSEUDONYM
    named = ("bank_account",) if kind is ObjectKind.INDICATOR else ()
    return Grant(fields=fields, identifier_kinds=named)
