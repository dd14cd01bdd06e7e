"""Proofs: nothing leaves without an agreement, tried as partners and careless staff would try it.

Draws objects and agreements, releases all that may leave, and looks in the partner's view for every
value that was not granted.
"""

from __future__ import annotations

import base64
import itertools
import random
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final, TypeVar

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from openaoc.exchange.agreement import Agreement, Grant, Minimisation, Terms, Transfer, TransferKind
from openaoc.exchange.ledger_model import NewRecall, RecallKind
from openaoc.exchange.model import (
    Contact,
    KeyVerification,
    NewPartner,
    NoAgreement,
    PartnerKind,
    SecondPerson,
)
from openaoc.exchange.objects import (
    FIELDS,
    FieldClass,
    FieldForm,
    Fields,
    ObjectKind,
    SharedObject,
    new_object_id,
)
from openaoc.exchange.requests import PartnerRequest, RequestOutcome
from openaoc.kernel.actor import SYSTEM, Actor, Role
from openaoc.kernel.clock import ManualClock, SystemClock
from openaoc.kernel.errors import BadInput, OpenAOCError
from openaoc.kernel.markings import Marking
from openaoc.kernel.offences import Offence
from openaoc.parties.service import Parties
from openaoc.proofs.frame import Steps
from openaoc.proofs.scratch import Scratch, scratch_settings
from openaoc.storage.database import Database, open_database
from openaoc.storage.unit_of_work import Transaction
from openaoc.workflow.sharing import build_sharing

OFFICER: Final = Actor(id="usr_officer", roles=frozenset({Role.DATA_PROTECTION_OFFICER}))
SUPERVISOR: Final = Actor(id="usr_supervisor", roles=frozenset({Role.SUPERVISOR}))
ADMINISTRATOR: Final = Actor(id="usr_admin", roles=frozenset({Role.ADMINISTRATOR}))
DESK: Final = Contact(name="desk", email="desk@centre.example")
ABROAD: Final = Transfer(kind=TransferKind.SAFEGUARDS, reference="an agreement of state bodies")
BASIS: Final = "the law of the partner's country"
KINDS: Final = (ObjectKind.INDICATOR, ObjectKind.CAMPAIGN, ObjectKind.IDENTITY)
PARTNERS: Final = 12
OBJECTS: Final = 40
FORBIDDEN: Final = ("speech", "association", "journalism", "whereabouts")
SECRET_DIGITS: Final = 10
VICTIMS: Final = 0.1
"""The share of objects about somebody who may be a trafficking victim."""
T = TypeVar("T")


class Exchanging:
    """A scratch centre's exchange, and the short words of this proof."""

    def __init__(self, database: Database, clock: ManualClock) -> None:
        self.uow, self.clock = database.uow, clock
        parties = Parties(keys=database.keys)
        self.sharing = build_sharing(uow=self.uow, parties=parties, keys=database.keys, home="TH")
        self.numbers = itertools.count(1)

    def does(self, actor: Actor, verb: Callable[[Transaction], T]) -> T:
        """One verb in a transaction of its actor's."""
        with self.uow.begin(actor, purpose="a proof") as tx:
            return verb(tx)

    def join(self, kind: PartnerKind = PartnerKind.CENTRE) -> str:
        """A partner abroad with a verified key; its code."""
        code = f"P{next(self.numbers)}"
        partners = self.sharing.agreements.partners
        new = NewPartner(code=code, name=code, kind=kind, jurisdiction="SG", contact=DESK)
        self.does(ADMINISTRATOR, lambda tx: partners.add(tx, new))
        public = Ed25519PrivateKey.generate().public_key()
        raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
        x = base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")
        jwk = f'{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}'
        key = self.does(ADMINISTRATOR, lambda tx: partners.add_key(tx, code, jwk=jwk))
        said = KeyVerification(fingerprint=key.fingerprint, compared_with="their duty officer")
        self.does(SUPERVISOR, lambda tx: partners.verify_key(tx, code, kid=key.kid, said=said))
        return code

    def terms(self, code: str, grants: dict[ObjectKind, Grant]) -> Terms:
        """Terms for these grants."""
        now = self.clock.now()
        return Terms(
            partner=code,
            purposes=(Offence.JOB,),
            legal_basis=BASIS,
            grants=grants,
            highest_marking=Marking.AMBER,
            daily_objects_max=1_000,
            retention_days=30,
            history_days=30,
            contact=DESK,
            starts_at=now,
            ends_at=now + timedelta(days=365),
            transfer=ABROAD,
            personal_basis=BASIS,
        )

    def agree(self, terms: Terms) -> Agreement:
        """Two persons agree."""
        agreements = self.sharing.agreements
        draft = self.does(OFFICER, lambda tx: agreements.draft(tx, terms))
        self.does(OFFICER, lambda tx: agreements.approve(tx, draft.id))
        return self.does(SUPERVISOR, lambda tx: agreements.approve(tx, draft.id))

    def offer(self, code: str, objects: Sequence[SharedObject]) -> None:
        """Offer them all, as the centre does by itself."""
        self.does(SYSTEM, lambda tx: self.sharing.exchange.offer(tx, objects, partner=code))

    def shown(self, code: str) -> str:
        """Everything the partner can see of what it received, as text."""
        partner = Actor(id=f"usr_{code}", roles=frozenset({Role.PARTNER}), partner=code)
        with self.uow.read(partner) as tx:
            page = self.sharing.exchange.view(tx, code, after=0, limit=1_000)
            ledger = self.sharing.exchange.released(tx)
            notices = self.sharing.exchange.recalling.notices(tx)
        return msgspec.json.encode([page, ledger, notices]).decode("utf-8")


def prove(scratch: Scratch, steps: Steps) -> None:
    """Without an agreement; with drawn ones; suspended; recalled; asked for what is forbidden."""
    settings = msgspec.structs.replace(
        scratch_settings(scratch.folder / "centre"), dsn=scratch.fresh_dsn()
    )
    clock = ManualClock(SystemClock().now())
    database = open_database(settings, clock=clock)
    try:
        database.migrate()
        small = Exchanging(database, clock)
        draw = random.Random(20261122)  # noqa: S311 - the same each time, not a secret
        objects = [_object(small, draw) for _ in range(OBJECTS)]
        _without(small, steps, objects)
        _drawn(small, steps, draw, objects)
        _stopped(small, steps, objects)
        _refused(small, steps)
    finally:
        database.close()


def _secret(draw: random.Random) -> str:
    """A text that is found again wherever it gets to."""
    return "".join(draw.choices("0123456789", k=SECRET_DIGITS))


def _object(small: Exchanging, draw: random.Random) -> SharedObject:
    kind = draw.choice(KINDS)
    fields: Fields = {}
    for name, field in FIELDS[kind].items():
        if field.form is FieldForm.TEXT and name != "case":
            fields[name] = _secret(draw)
        elif field.form is FieldForm.NUMBER:
            fields[name] = int("9" + _secret(draw))
    if kind is ObjectKind.INDICATOR:
        fields["identifier_kind"] = draw.choice(("phone", "domain", "national_id"))
    now = small.clock.now()
    return SharedObject(
        id=new_object_id(kind),
        kind=kind,
        created=now,
        modified=now,
        marking=draw.choice(tuple(Marking)),
        offences=(draw.choice((Offence.JOB, Offence.LOAN)),),
        fields=fields,
        case=f"AOC-{_secret(draw)}",
        possible_victim=draw.random() < VICTIMS,
    )


def _values(one: SharedObject) -> dict[str, str]:
    found = {name: str(value) for name, value in one.fields.items() if name != "identifier_kind"}
    return {**found, "case": str(one.case)}


def _without(small: Exchanging, steps: Steps, objects: Sequence[SharedObject]) -> None:
    code = small.join()
    small.offer(code, objects)
    shown = small.shown(code)
    leaked = sum(value in shown for one in objects for value in _values(one).values())
    steps.check(
        f"offered {len(objects)} objects to a partner without an agreement",
        found=f"{leaked} values reached it",
        ok=leaked == 0,
    )
    draft = small.does(
        OFFICER, lambda tx: small.sharing.agreements.draft(tx, small.terms(code, _grants(None)))
    )
    small.does(OFFICER, lambda tx: small.sharing.agreements.approve(tx, draft.id))
    steps.refused(
        "approved it twice as one person",
        lambda: small.does(OFFICER, lambda tx: small.sharing.agreements.approve(tx, draft.id)),
        by=SecondPerson,
    )
    wild = {ObjectKind.CAMPAIGN: Grant(fields={"*": Minimisation.AS_IS})}
    steps.refused(
        "drafted an agreement that grants everything",
        lambda: small.does(
            OFFICER, lambda tx: small.sharing.agreements.draft(tx, small.terms(code, wild))
        ),
        by=BadInput,
    )


def _grants(draw: random.Random | None) -> dict[ObjectKind, Grant]:
    """Drawn grants; without a source, one field of one kind."""
    if draw is None:
        return {ObjectKind.CAMPAIGN: Grant(fields={"name": Minimisation.AS_IS})}
    grants = {}
    for kind in draw.sample(KINDS, k=draw.randint(1, len(KINDS))):
        names = draw.sample(sorted(FIELDS[kind]), k=draw.randint(1, len(FIELDS[kind])))
        fields = {
            name: draw.choice(
                (Minimisation.AS_IS, Minimisation.DROPPED)
                if FIELDS[kind][name].form in (FieldForm.NUMBER, FieldForm.TIME)
                else (Minimisation.AS_IS, Minimisation.DROPPED, Minimisation.PSEUDONYM)
            )
            for name in names
        }
        identifiers = ("phone", "national_id") if kind is ObjectKind.INDICATOR else ()
        grants[kind] = Grant(fields=fields, identifier_kinds=identifiers)
    return grants


def _may(one: SharedObject, name: str, terms: Terms) -> bool:
    """The plain words of the rule, for this proof's objects and terms."""
    grant = terms.grants.get(one.kind)
    if grant is None or one.possible_victim or Offence.JOB not in one.offences:
        return False
    if one.marking in (Marking.AMBER_STRICT, Marking.RED):
        return False
    identifier = one.fields.get("identifier_kind")
    if one.kind is ObjectKind.INDICATOR and identifier not in grant.identifier_kinds:
        return False
    person = FIELDS[one.kind][name].kind is FieldClass.PERSONAL
    named = one.kind is ObjectKind.INDICATOR and identifier == "national_id"
    person = person or (named and name == "value")
    return grant.fields.get(name) is Minimisation.AS_IS and not person


def _drawn(
    small: Exchanging, steps: Steps, draw: random.Random, objects: Sequence[SharedObject]
) -> None:
    leaked = kept = left = 0
    for _ in range(PARTNERS):
        terms = small.terms(small.join(), _grants(draw))
        small.agree(terms)
        small.offer(terms.partner, objects)
        shown = small.shown(terms.partner)
        for one in objects:
            for name, value in _values(one).items():
                may, there = _may(one, name, terms), value in shown
                leaked += there and not may
                left += there and may
                kept += may and not there
    steps.check(
        f"offered them to {PARTNERS} partners under drawn agreements",
        found=f"{left} values left that were granted, {leaked} that were not, {kept} were missing",
        ok=left > 0 and leaked == 0 and kept == 0,
    )


def _stopped(small: Exchanging, steps: Steps, objects: Sequence[SharedObject]) -> None:
    """Suspended at once; a recall reaches who received, and no other."""
    grants = {ObjectKind.CAMPAIGN: Grant(fields={"name": Minimisation.AS_IS})}
    agreed = [small.agree(small.terms(small.join(), grants)) for _ in range(3)]
    base = next(one for one in objects if one.kind is ObjectKind.CAMPAIGN)
    clean = {"marking": Marking.GREEN, "offences": (Offence.JOB,), "possible_victim": False}
    first = msgspec.structs.replace(base, id=new_object_id(base.kind), **clean)
    second = msgspec.structs.replace(first, id=new_object_id(base.kind))
    for one in agreed[:2]:
        small.offer(one.partner, [first])
    exchange, agreements = small.sharing.exchange, small.sharing.agreements
    small.does(
        ADMINISTRATOR, lambda tx: agreements.suspend(tx, agreed[0].id, reason="a leak is suspected")
    )
    steps.refused(
        "released one more object after one person suspended the agreement",
        lambda: small.does(
            SYSTEM, lambda tx: exchange.release(tx, second, partner=agreed[0].partner)
        ),
        by=NoAgreement,
    )
    asked = NewRecall(object=first.id, kind=RecallKind.WITHDRAWN, reason="it was wrong")
    told = small.does(SUPERVISOR, lambda tx: exchange.recalling.recall(tx, asked)).partners
    received = sorted(one.partner for one in agreed[:2])
    steps.check(
        "recalled it from everybody",
        found=f"told {', '.join(told)}; received by {', '.join(received)}",
        ok=sorted(told) == received,
    )


def _outcome(small: Exchanging, partner: str, asked: PartnerRequest) -> RequestOutcome:
    return small.does(SYSTEM, lambda tx: small.sharing.requests.take(tx, partner, asked))


def _refused(small: Exchanging, steps: Steps) -> None:
    """What may not be asked for is refused before anybody looks."""
    partner = small.agree(small.terms(small.join(), _grants(None))).partner
    outcomes = set()
    for purpose in FORBIDDEN:
        asked = PartnerRequest(kind="match", purpose=purpose, case="C-1", identifier_kind="phone")
        try:
            outcomes.add(_outcome(small, partner, asked))
        except OpenAOCError as error:
            steps.check(f"asked about {purpose}", found=str(error), ok=False)
    with small.uow.read(SYSTEM) as tx:
        counted = sum(one.refused for one in small.sharing.requests.figures(tx).countries)
    steps.check(
        f"asked about {', '.join(FORBIDDEN)}",
        found=f"{', '.join(sorted(outcomes))}; {counted} are counted",
        ok=outcomes == {RequestOutcome.PURPOSE_NOT_LISTED} and counted == len(FORBIDDEN),
    )
