"""Proofs: a possible victim of trafficking leaves by no way out, but as an approved referral.

Draws people with accounts, numbers and names, and objects of every kind that speak of some of them
in some field; then reads what partners can see, file by file and collection by collection.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import msgspec

from openaoc.channels.keys import CentreKeys
from openaoc.exchange.agreement import Agreement, Grant, Minimisation, Onward, Terms
from openaoc.exchange.catalogue import Changed
from openaoc.exchange.files.model import Form
from openaoc.exchange.files.service import Files
from openaoc.exchange.ledger_model import NewApproval
from openaoc.exchange.matching.answering import unprotected
from openaoc.exchange.matching.sets import Identifier
from openaoc.exchange.misp.feed import events_in
from openaoc.exchange.model import NoAgreement, NoSuchObject, PartnerKind, SecondPerson
from openaoc.exchange.objects import (
    FIELDS,
    REFS,
    FieldForm,
    Fields,
    FieldValue,
    ObjectKind,
    Refs,
    SharedObject,
    new_object_id,
)
from openaoc.exchange.protection.model import (
    NewMark,
    NewReferral,
    Person,
    PersonsIdentifier,
    ReferralApproval,
    Sign,
)
from openaoc.exchange.receiving import Nobody
from openaoc.exchange.stix.model import Profile
from openaoc.exchange.taxii.query import Query
from openaoc.kernel.actor import Actor, Role
from openaoc.kernel.clock import ManualClock, SystemClock, format_time
from openaoc.kernel.errors import BadInput
from openaoc.kernel.identifiers.kinds import account_parts
from openaoc.kernel.markings import Marking
from openaoc.kernel.offences import Offence
from openaoc.parties.permissions import NotPermitted
from openaoc.proofs.agreement import ADMINISTRATOR, BASIS, OFFICER, Exchanging
from openaoc.proofs.frame import Steps
from openaoc.proofs.scratch import Scratch, scratch_settings
from openaoc.storage.database import Database, open_database
from openaoc.storage.unit_of_work import Transaction
from openaoc.workflow.collecting import build_collecting, producer_of

TRAINED: Final = Actor(id="usr_trained", roles=frozenset({Role.PROTECTION_OFFICER}))
CASEWORKER: Final = Actor(id="usr_case", roles=frozenset({Role.INVESTIGATOR}))
PEOPLE: Final = 8
OBJECTS: Final = 120
MARKED: Final = 4
"""So many of the people are marked, the first of them after all has left."""
PARTNER_KINDS: Final = (PartnerKind.CENTRE, PartnerKind.BANK, PartnerKind.POLICE)
SPOKEN_OF: Final = 0.7
KINDS: Final = tuple(kind for kind in ObjectKind if kind is not ObjectKind.REFERRAL)


class Someone(msgspec.Struct, frozen=True, kw_only=True):
    """A drawn person, by what it may be named."""

    account: str
    phone: str
    name: str

    @property
    def person(self) -> Person:
        """As a mark names it."""
        return Person(
            identifiers=(
                PersonsIdentifier(kind="bank_account", value=self.account),
                PersonsIdentifier(kind="phone", value=self.phone),
            ),
            person_name=self.name,
            situation="told on the telephone of a compound that nobody may leave",
        )

    def found_in(self, text: str) -> bool:
        """Whether the text names this person by anything at all."""
        national = f"0{self.phone[3:]}"
        spaced = f"{national[:3]} {national[3:6]} {national[6:]}"
        number = account_parts(self.account)[1]
        return any(one in text for one in (number, self.phone, national, spaced, self.name))


class _Site(Exchanging):
    """A scratch centre with every way out."""

    def __init__(self, database: Database, clock: ManualClock, scratch: Scratch) -> None:
        super().__init__(database, clock)
        producer = producer_of(database.keys, home="TH")
        self.collecting = build_collecting(
            uow=self.uow, sharing=self.sharing, keys=database.keys, home="TH", name="OPENAOC-TH"
        )
        self.shelf: dict[str, SharedObject] = {}
        self.sharing.catalogue.register(self)
        self.files = Files(
            uow=self.uow,
            exchange=self.sharing.exchange,
            receiver=Nobody(),
            keys=CentreKeys(scratch.folder / "signing").open(clock.now()),
            name="OPENAOC-TH",
            producer=producer,
            country="TH",
        )

    name: Final = "proof"

    def put(self, one: SharedObject) -> None:
        """Publish it."""
        self.shelf[one.id] = one

    def changed(self, tx: Transaction, *, after: str, limit: int) -> Changed:
        """As a publisher: nothing by itself."""
        assert tx.now is not None, "an open transaction"
        assert limit > 0, "something is asked for"
        return Changed(objects=(), mark=after, more=False)

    def find(self, tx: Transaction, ids: Sequence[str]) -> list[SharedObject]:
        """As a publisher: what was put."""
        assert tx.now is not None, "an open transaction"
        return [self.shelf[one] for one in ids if one in self.shelf]

    def everything(self, code: str) -> str:
        """All that a partner can read, over every channel, as one text."""
        self.collecting.work()
        partner = Actor(id=f"usr_{code}", roles=frozenset({Role.PARTNER}), partner=code)
        texts = [self.shown(code)]
        for form in Form:
            with self.uow.begin(partner, purpose="a proof") as tx:
                made = self.files.export(tx, code, form)
            texts.append(_as_text(made.data))
        taxii = self.collecting.taxii
        with self.uow.read(partner) as tx:
            for collection in taxii.collections(tx).collections:
                page = taxii.objects(tx, collection.id, Query(limit=1_000, all=True))
                texts.append(page.body.decode("utf-8"))
            misp = self.collecting.misp
            manifest = misp.manifest(tx)
            texts += [misp.event(tx, event).decode("utf-8") for event in events_in(manifest)]
        return "\n".join(texts)


def prove(scratch: Scratch, steps: Steps) -> None:
    """Marked before, marked after, asked for by name, referred; and lifted by two."""
    settings = msgspec.structs.replace(
        scratch_settings(scratch.folder / "centre"), dsn=scratch.fresh_dsn()
    )
    clock = ManualClock(SystemClock().now())
    database = open_database(settings, clock=clock)
    try:
        database.migrate()
        site = _Site(database, clock, scratch)
        draw = random.Random(20261129)  # noqa: S311 - the same each time, not a secret
        people = [_someone(draw) for _ in range(PEOPLE)]
        objects = [_object(site, draw, people) for _ in range(OBJECTS)]
        partners = [_partner(site, kind) for kind in PARTNER_KINDS]
        _by_whom(site, steps, people[0])
        _marked(site, steps, people, objects, partners)
        _by_name(site, steps, people[0], objects, partners[0])
        _referred(site, steps, people[0])
        _lifted(site, steps)
    finally:
        database.close()


def _someone(draw: random.Random) -> Someone:
    number = "".join(draw.choices("123456789", k=10))
    words = ["".join(draw.choices("bdfgklmnprst", k=7)).capitalize() for _ in range(2)]
    return Someone(
        account=f"KBANK:{number}",
        phone="+668" + "".join(draw.choices("0123456789", k=8)),
        name=" ".join(words),
    )


def _written(draw: random.Random, who: Someone) -> str:
    """One of the ways in which people write of somebody."""
    bank, number = account_parts(who.account)
    national = f"0{who.phone[3:]}"
    return draw.choice(
        (
            f"the money went to {number[:3]}-{number[3]}-{number[4:9]}-{number[9]} at {bank}",
            f"account {number}.",
            f"call {national[:3]} {national[3:6]} {national[6:]} at once",
            f"reached at {who.phone}, any time",
            f"the holder is called {who.name}, it is said",
        )
    )


def _object(site: Exchanging, draw: random.Random, people: Sequence[Someone]) -> SharedObject:
    """An object of any kind; most speak of somebody in a field of some sort."""
    kind = draw.choice(KINDS)
    fields: Fields = {}
    for name, field in FIELDS[kind].items():
        if name != "case" and draw.random() < SPOKEN_OF:
            fields[name] = _value(site, draw, field.form)
    who = draw.choice(people)
    about: tuple[tuple[str, str], ...] = ()
    if draw.random() < SPOKEN_OF:
        about = _speak(draw, kind, fields, who)
    elif "identifier_kind" in FIELDS[kind]:
        fields["identifier_kind"] = "phone"
    now = site.clock.now()
    refs: Refs = {
        name: (new_object_id(ObjectKind.INDICATOR),)
        for name, ref in REFS.get(kind, {}).items()
        if not ref.required
    }
    return SharedObject(
        id=new_object_id(kind),
        kind=kind,
        created=now,
        modified=now,
        marking=Marking.GREEN,
        offences=(Offence.JOB,),
        fields=fields,
        refs=refs,
        about=about,
    )


def _value(site: Exchanging, draw: random.Random, form: FieldForm) -> FieldValue:
    if form is FieldForm.NUMBER:
        return draw.randint(0, 99)
    if form is FieldForm.TIME:
        return format_time(site.clock.now() - timedelta(days=draw.randint(0, 9)))
    text = "".join(draw.choices("aeiou", k=9))
    return (text,) if form is FieldForm.TEXTS else text


def _speak(
    draw: random.Random, kind: ObjectKind, fields: Fields, who: Someone
) -> tuple[tuple[str, str], ...]:
    """Name somebody: as the identifier, as an account, in a text, or only in what it is about."""
    if "value" in FIELDS[kind]:
        pairs = (("bank_account", who.account), ("phone", who.phone), ("promptpay", who.phone))
        fields["identifier_kind"], fields["value"] = draw.choice(pairs)
        return ()
    if "account" in FIELDS[kind]:
        fields["institution"], fields["account"] = account_parts(who.account)
        return ()
    texts = [
        name
        for name, field in FIELDS[kind].items()
        if field.form in (FieldForm.TEXT, FieldForm.TEXTS)
        and name not in ("case", "identifier_kind", "token", "currency", "language")
    ]
    if kind is ObjectKind.MATCH or not texts:
        return (("bank_account", who.account),)
    name, text = draw.choice(texts), _written(draw, who)
    fields[name] = (text,) if FIELDS[kind][name].form is FieldForm.TEXTS else text
    return ()


def _partner(site: _Site, kind: PartnerKind) -> Agreement:
    """A partner who is granted everything there is, with its collections open."""
    code = site.join(kind=kind)
    agreed = site.agree(_everything(site, code))
    taxii = site.collecting.taxii
    site.does(ADMINISTRATOR, lambda tx: taxii.open_for(tx, code, profile=Profile.CORE))
    return agreed


def _everything(site: _Site, code: str) -> Terms:
    grants: dict[ObjectKind, Grant] = {}
    for kind in KINDS:
        names = [*FIELDS[kind], *REFS.get(kind, {})]
        identifiers = "identifier_kind" in FIELDS[kind]
        grants[kind] = Grant(
            fields=dict.fromkeys(names, Minimisation.AS_IS),
            identifier_kinds=("bank_account", "phone", "promptpay") if identifiers else (),
        )
    return site.terms(code, grants)


def _by_whom(site: _Site, steps: Steps, who: Someone) -> None:
    marking = site.sharing.marking
    new = NewMark(person=who.person, signs=(Sign.CONFINED,))
    steps.refused(
        "marked somebody as an investigator, who is not trained for it",
        lambda: site.does(CASEWORKER, lambda tx: marking.mark(tx, new)),
        by=NotPermitted,
    )
    steps.refused(
        "listed the marks as an investigator",
        lambda: site.does(CASEWORKER, marking.list),
        by=NotPermitted,
    )


def _marked(
    site: _Site,
    steps: Steps,
    people: Sequence[Someone],
    objects: Sequence[SharedObject],
    partners: Sequence[Agreement],
) -> None:
    marking = site.sharing.marking

    def protect(who: Someone) -> None:
        new = NewMark(person=who.person, signs=(Sign.CONFINED, Sign.QUOTAS))
        site.does(TRAINED, lambda tx: marking.mark(tx, new))

    before, after = people[1:MARKED], people[0]
    for who in before:
        protect(who)
    leaked = left = taken_back = 0
    for one in partners:
        site.offer(one.partner, objects)
        text = site.everything(one.partner)
        leaked += sum(who.found_in(text) for who in before)
        left += sum(who.found_in(text) for who in people if who not in before)
        taken_back += after.found_in(text)
    steps.check(
        f"offered {len(objects)} objects about {len(people)} people, {len(before)} of them marked,"
        f" to {len(partners)} partners who are granted everything",
        found=f"{leaked} marked people found in what the partners can read, {left} others",
        ok=leaked == 0 and left > 0,
    )
    site.clock.advance(timedelta(minutes=1))
    protect(after)
    for one in partners:
        site.offer(one.partner, objects)
    still = sum(after.found_in(site.everything(one.partner)) for one in partners)
    steps.check(
        "marked one more, whom partners had received",
        found=f"{taken_back} partners could read of the person before, {still} after",
        ok=taken_back > 0 and still == 0,
    )
    wanted = [Identifier(kind="bank_account", value=who.account) for who in people]
    with site.uow.read(CASEWORKER) as tx:
        kept = unprotected(tx, site.sharing.agreed, wanted)
    steps.check(
        "asked which accounts may be matched with another centre",
        found=f"{len(kept)} of {len(wanted)}",
        ok=kept == wanted[MARKED:],
    )


def _by_name(
    site: _Site,
    steps: Steps,
    who: Someone,
    objects: Sequence[SharedObject],
    agreed: Agreement,
) -> None:
    """What a person who means it well or ill would try: release, approve, another agreement."""
    exchange = site.sharing.exchange
    fields: Fields = {"identifier_kind": "bank_account", "value": who.account}
    now = site.clock.now()
    one = SharedObject(
        id=new_object_id(ObjectKind.INDICATOR),
        kind=ObjectKind.INDICATOR,
        created=now,
        modified=now,
        marking=Marking.CLEAR,
        offences=(Offence.JOB,),
        fields={**fields, "holder_name": who.name},
    )
    site.put(one)
    steps.refused(
        "released the account to a partner by hand",
        lambda: site.does(
            CASEWORKER,
            lambda tx: exchange.release_published(
                tx, one.id, partner=agreed.partner, why="they asked for it"
            ),
        ),
        by=NoAgreement,
    )
    approval = NewApproval(
        object=one.id,
        partner=agreed.partner,
        fields=("holder_name",),
        legal_basis=BASIS,
        reason="they asked for it",
    )
    steps.refused(
        "approved that the name leaves, as the data protection officer",
        lambda: site.does(OFFICER, lambda tx: site.sharing.approving.approve(tx, approval)),
        by=NoSuchObject,
    )
    wide = msgspec.structs.replace(agreed.terms, protection=BASIS)
    steps.refused(
        "drafted an agreement for protection with a partner of another kind",
        lambda: site.does(OFFICER, lambda tx: site.sharing.agreements.draft(tx, wide)),
        by=BadInput,
    )
    assert objects, "there was something to draw"


def _referred(site: _Site, steps: Steps, who: Someone) -> None:
    """The only way out: proposed by one trained person, approved by name by another."""
    referring, marking = site.sharing.referring, site.sharing.marking
    code = site.join(kind=PartnerKind.PROTECTION)
    names = ("signs", "identifiers", "person_name", "situation")
    grants = {ObjectKind.REFERRAL: Grant(fields=dict.fromkeys(names, Minimisation.AS_IS))}
    terms = msgspec.structs.replace(site.terms(code, grants), protection=BASIS, onward=Onward())
    site.agree(terms)
    found = site.does(TRAINED, marking.list).marks
    mark = next(one for one in found if one.marked_by == TRAINED.id)
    new = NewReferral(mark=mark.id, partner=code, fields=names, reason="asked for help")
    one = site.does(TRAINED, lambda tx: referring.propose(tx, new))
    text = site.everything(code)
    both = Actor(id=TRAINED.id, roles=frozenset({Role.DATA_PROTECTION_OFFICER}))
    word = ReferralApproval(legal_basis=BASIS, reason="the person asked for help")
    steps.refused(
        "approved a referral as the person who proposed it",
        lambda: site.does(both, lambda tx: referring.approve(tx, one.id, word)),
        by=SecondPerson,
    )
    sheet = site.does(OFFICER, lambda tx: referring.approve(tx, one.id, word))
    left = msgspec.json.encode(sheet.left).decode("utf-8")
    steps.check(
        "referred the person to who protects victims, approved by the data protection officer",
        found=f"left: {', '.join(sheet.left.fields)}; nothing before it was approved",
        ok=who.found_in(left) and not who.found_in(text),
    )


def _lifted(site: _Site, steps: Steps) -> None:
    marking = site.sharing.marking
    mark = site.does(TRAINED, marking.list).marks[0]
    site.does(TRAINED, lambda tx: marking.lift(tx, mark.id, reason="another person was meant"))
    steps.refused(
        "lifted a mark as one person",
        lambda: site.does(
            TRAINED, lambda tx: marking.lift(tx, mark.id, reason="another person was meant")
        ),
        by=SecondPerson,
    )


def _as_text(data: bytes) -> str:
    """A file's content; a spreadsheet and a feed are packed."""
    import io
    import zipfile

    if not zipfile.is_zipfile(io.BytesIO(data)):
        return data.decode("utf-8", "replace")
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        return "\n".join(packed.read(name).decode("utf-8", "replace") for name in packed.namelist())
