"""A centre's exchange with partners, and the people who agree, for tests of agreements."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import timedelta

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from openaoc.exchange.agreement import (
    Agreement,
    Grant,
    Minimisation,
    Terms,
    Transfer,
    TransferKind,
)
from openaoc.exchange.catalogue import Changed
from openaoc.exchange.judging import Outcome
from openaoc.exchange.model import Contact, KeyVerification, NewPartner, PartnerKind
from openaoc.exchange.objects import ObjectKind, ReleasedObject, SharedObject, new_object_id
from openaoc.kernel.actor import SYSTEM, Actor, Role
from openaoc.kernel.clock import ManualClock, format_time
from openaoc.kernel.markings import Marking
from openaoc.kernel.offences import Offence
from openaoc.parties.service import Parties
from openaoc.storage.database import Database
from openaoc.storage.unit_of_work import Transaction
from openaoc.workflow.sharing import Sharing, build_sharing

OFFICER = Actor(id="usr_officer", roles=frozenset({Role.DATA_PROTECTION_OFFICER}))
SUPERVISOR = Actor(id="usr_supervisor", roles=frozenset({Role.SUPERVISOR}))
SECOND_SUPERVISOR = Actor(id="usr_second", roles=frozenset({Role.SUPERVISOR}))
BOTH = Actor(id="usr_both", roles=frozenset({Role.SUPERVISOR, Role.DATA_PROTECTION_OFFICER}))
INVESTIGATOR = Actor(id="usr_investigator", roles=frozenset({Role.INVESTIGATOR}))
ADMINISTRATOR = Actor(id="usr_admin", roles=frozenset({Role.ADMINISTRATOR}))
DESK = Contact(name="Desk", email="desk@centre.example")
BASIS = "Anti-Scam Act of the partner's country, section 12"
ABROAD = Transfer(kind=TransferKind.SAFEGUARDS, reference="Memorandum of 2026, article 7")
AS_IS = Minimisation.AS_IS
INDICATOR_GRANT = Grant(
    fields={"identifier_kind": AS_IS, "value": AS_IS, "status": AS_IS, "valid_from": AS_IS},
    identifier_kinds=("phone", "tron", "domain"),
)


def partner_user(code: str) -> Actor:
    """A partner's analyst."""
    return Actor(id=f"usr_{code.lower()}", roles=frozenset({Role.PARTNER}), partner=code)


class Shelf:
    """A publisher whose objects a test puts there."""

    name = "shelf"

    def __init__(self) -> None:
        self.items: list[SharedObject] = []
        self._changes: dict[str, int] = {}
        self._numbers = itertools.count(1)

    def put(self, *objects: SharedObject) -> None:
        """New ones, or changed: what was there under the id comes again at the end."""
        ids = {one.id for one in objects}
        self._changes.update((one.id, next(self._numbers)) for one in objects)
        self.items = [one for one in self.items if one.id not in ids] + list(objects)

    def changed(self, tx: Transaction, *, after: str, limit: int) -> Changed:
        """In the order in which they were put or changed."""
        assert tx.now is not None
        later = [one for one in self.items if self._changes[one.id] > int(after or 0)]
        part = later[:limit]
        mark = str(self._changes[part[-1].id]) if part else after
        return Changed(objects=part, mark=mark, more=len(later) > limit)

    def find(self, tx: Transaction, ids: Sequence[str]) -> list[SharedObject]:
        """By id."""
        assert tx.now is not None
        return [one for one in self.items if one.id in ids]


class Site:
    """A centre with nothing but its exchange."""

    def __init__(self, database: Database, clock: ManualClock) -> None:
        self.uow = database.uow
        self.clock = clock
        parties = Parties(keys=database.keys)
        self.sharing: Sharing = build_sharing(
            uow=self.uow, parties=parties, keys=database.keys, home="TH"
        )
        self.agreements = self.sharing.agreements
        self.exchange = self.sharing.exchange
        self.shelf = Shelf()
        self.sharing.catalogue.register(self.shelf)

    def partner(
        self, code: str, *, kind: PartnerKind = PartnerKind.CENTRE, jurisdiction: str = "SG"
    ) -> str:
        """A new partner without a key."""
        new = NewPartner(code=code, name=code, kind=kind, jurisdiction=jurisdiction, contact=DESK)
        with self.uow.begin(ADMINISTRATOR) as tx:
            return self.agreements.partners.add(tx, new).code

    def key(self, code: str, *, verified: bool = True) -> str:
        """A key of the partner; its id."""
        public = Ed25519PrivateKey.generate().public_key()
        with self.uow.begin(ADMINISTRATOR) as tx:
            raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
            key = self.agreements.partners.add_key(tx, code, jwk=jwk_of(raw))
        if verified:
            said = KeyVerification(fingerprint=key.fingerprint, compared_with="Ms Tan, by phone")
            with self.uow.begin(SUPERVISOR) as tx:
                self.agreements.partners.verify_key(tx, code, kid=key.kid, said=said)
        return key.kid

    def terms(self, code: str, **changes: object) -> Terms:
        """Terms that can be agreed with the partner."""
        usual = Terms(
            partner=code,
            purposes=(Offence.INVESTMENT, Offence.JOB),
            legal_basis=BASIS,
            grants={ObjectKind.INDICATOR: INDICATOR_GRANT},
            highest_marking=Marking.AMBER,
            daily_objects_max=1_000,
            retention_days=30,
            history_days=90,
            contact=DESK,
            starts_at=self.clock.now() - timedelta(days=1),
            ends_at=self.clock.now() + timedelta(days=365),
            transfer=ABROAD,
        )
        return msgspec.structs.replace(usual, **changes)

    def draft(self, code: str, **changes: object) -> Agreement:
        """A draft."""
        with self.uow.begin(OFFICER) as tx:
            return self.agreements.draft(tx, self.terms(code, **changes))

    def approve(self, agreement_id: str) -> Agreement:
        """Both persons."""
        for actor in (OFFICER, SUPERVISOR):
            with self.uow.begin(actor) as tx:
                after = self.agreements.approve(tx, agreement_id)
        return after

    def agree(self, code: str, **changes: object) -> Agreement:
        """A partner, if it is new, with a verified key and an agreement in force."""
        with self.uow.read(SYSTEM) as tx:
            known = {one.code for one in self.agreements.partners.all_of(tx)}
        if code not in known:
            self.partner(code)
            self.key(code)
        return self.approve(self.draft(code, **changes).id)

    def indicator(self, **changes: object) -> SharedObject:
        """An indicator that may leave under the usual terms."""
        usual = SharedObject(
            id=new_object_id(ObjectKind.INDICATOR),
            kind=ObjectKind.INDICATOR,
            created=self.clock.now(),
            modified=self.clock.now(),
            marking=Marking.GREEN,
            offences=(Offence.INVESTMENT,),
            fields={
                "identifier_kind": "phone",
                "value": "+66812345678",
                "status": "active",
                "confidence": 70,
                "valid_from": format_time(self.clock.now()),
            },
            case="AOC-0000-0001-0",
        )
        return msgspec.structs.replace(usual, **changes)

    def offer(self, code: str, *objects: SharedObject) -> list[Outcome]:
        """Offer them as the centre does by itself."""
        with self.uow.begin(SYSTEM) as tx:
            return self.exchange.offer(tx, objects, partner=code)

    def has(self, code: str, *, as_user: bool = False) -> list[str]:
        """What the partner's channels show it, withdrawn ones with a minus."""
        actor = partner_user(code) if as_user else SYSTEM
        with self.uow.read(actor) as tx:
            page = self.exchange.view(tx, code, after=0, limit=100)
        return [("-" if one.object.revoked else "") + one.object.id for one in page.objects]

    def shown(self, code: str) -> dict[str, ReleasedObject]:
        """What the partner reads, by id."""
        with self.uow.read(partner_user(code)) as tx:
            page = self.exchange.view(tx, code, after=0, limit=100)
        return {one.object.id: one.object for one in page.objects}

    def told(self, code: str) -> list[tuple[str, str]]:
        """Object and kind of every notice to the partner."""
        with self.uow.read(partner_user(code)) as tx:
            found = self.exchange.recalling.notices(tx).notices
        return [(one.object_id, one.kind.value) for one in found]


def jwk_of(raw: bytes) -> str:
    """A public key as a JSON Web Key."""
    import base64

    x = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    return f'{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}'
