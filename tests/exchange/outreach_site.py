"""Two centres and a company for tests of what a centre asks and tells partners."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import cast

import msgspec

from openaoc.channels.signing import SigningKey, new_signing_key
from openaoc.exchange.advisories.model import Content
from openaoc.exchange.advisories.sectors import Severity
from openaoc.exchange.agreement import Grant, Minimisation
from openaoc.exchange.model import KeyVerification, NewPartner, PartnerKind
from openaoc.exchange.objects import FIELDS, REFS, ObjectKind
from openaoc.indicators.model import Said, SourceKind
from openaoc.kernel.actor import SYSTEM, Actor, Role
from openaoc.kernel.identifiers.kinds import Identifier, Kind
from openaoc.kernel.markings import Marking
from openaoc.kernel.offences import Offence
from tests.exchange.two import DESK, OFFICER, Country
from tests.workflow.centre import ADMIN, INVESTIGATOR, SUPERVISOR

IDENTIFIERS = ("phone", "url", "domain", "bank_account", "line")
BASIS = "Royal decree on technology crime, section 4"


def partner_user(code: str) -> Actor:
    """A partner's system."""
    return Actor(id=f"usr_{code.lower()}", roles=frozenset({Role.PARTNER}), partner=code)


def grant_all(kind: ObjectKind, **changes: Minimisation | None) -> Grant:
    """Every field and reference of the kind that names no person, as it is, with these changes."""
    personal = {"holder_name", "victim_name"}
    names = [*FIELDS[kind], *REFS.get(kind, {})]
    fields = {n: Minimisation.AS_IS for n in names if n not in personal}
    fields |= {name: how for name, how in changes.items() if how is not None}
    for name in [name for name, how in changes.items() if how is None]:
        del fields[name]
    of_identifiers = kind in (ObjectKind.INDICATOR, ObjectKind.TAKE_DOWN)
    return Grant(fields=fields, identifier_kinds=IDENTIFIERS if of_identifiers else ())


GRANTS = {
    kind: grant_all(kind)
    for kind in (ObjectKind.INDICATOR, ObjectKind.TAKE_DOWN, ObjectKind.ADVISORY)
}


def company(
    country: Country,
    code: str,
    *,
    kind: PartnerKind,
    jurisdiction: str = "TH",
    grants: dict[ObjectKind, Grant] | None = None,
) -> SigningKey:
    """A company with an agreement in force and a verified key, and no system that listens."""
    key = new_signing_key(kid=f"{code.lower()}-key")
    partners = country.matter.sharing.agreements.partners
    new = NewPartner(code=code, name=code, kind=kind, jurisdiction=jurisdiction, contact=DESK)
    with country.database.uow.begin(ADMIN) as tx:
        partners.add(tx, new)
        made = partners.add_key(tx, code, jwk=msgspec.json.encode(key.public()).decode())
    said = KeyVerification(fingerprint=made.fingerprint, compared_with="Ms Tan, by phone")
    with country.database.uow.begin(SUPERVISOR) as tx:
        partners.verify_key(tx, code, kid=made.kid, said=said)
    agree(country, code, grants=grants or GRANTS)
    return key


def agree(country: Country, code: str, *, grants: dict[ObjectKind, Grant]) -> None:
    """An agreement in force, in place of the one before."""
    other = SimpleNamespace(code=code)
    terms = country.terms(cast("Country", other), grants=grants)
    agreements = country.matter.sharing.agreements
    with country.database.uow.begin(OFFICER) as tx:
        draft = agreements.draft(tx, terms)
    for actor in (OFFICER, SUPERVISOR):
        with country.database.uow.begin(actor) as tx:
            agreements.approve(tx, draft.id)


def confirmed(country: Country, kind: Kind, value: str, *, confirm: bool = True) -> str:
    """An indicator that our own sources said, and a person confirmed; its id."""
    now = country.clock.now()
    said = Said(
        identifier=Identifier(kind=kind, value=value),
        kind=SourceKind.INSTITUTION,
        source="institution:KBANK",
        ref=f"rep_{value}"[:60],
        at=now,
        said_at=now,
        offence=Offence.INVESTMENT,
        marking=Marking.GREEN,
    )
    indicators = country.matter.indicators
    with country.database.uow.begin(SYSTEM) as tx:
        (one,) = indicators.hear(tx, [said])
    if confirm:
        with country.database.uow.begin(SUPERVISOR) as tx:
            indicators.confirm(tx, one.id, reason="looked at it")
    return one.id


def content(home: Country, **changes: object) -> Content:
    """An advisory to banks and operators, with these changes."""
    usual = Content(
        severity=Severity.HIGH,
        marking=Marking.GREEN,
        scam_types=(Offence.INVESTMENT,),
        title_th="แอปธนาคารปลอม",
        title_en="False banking apps",
        happening_th="มีข้อความสั้นแอบอ้างเป็นธนาคาร",
        happening_en="Text messages in the name of banks",
        action_th="ตรวจการโอนหลังลงทะเบียนอุปกรณ์ใหม่",
        action_en="Look at transfers after a new device",
        valid_until=home.clock.now() + timedelta(days=90),
        sectors=("banking", "telecoms"),
    )
    return msgspec.structs.replace(usual, **changes)


def published(home: Country, said: Content) -> str:
    """Published by two persons and told to all it concerns; its id."""
    writing = home.between.outreach.advisories.writing
    with home.database.uow.begin(INVESTIGATOR) as tx:
        one = writing.draft(tx, said)
    approve(home, one.id)
    return one.id


def approve(home: Country, advisory: str) -> None:
    """Two persons read it; what follows happens."""
    writing = home.between.outreach.advisories.writing
    for actor in (OFFICER, SUPERVISOR):
        with home.database.uow.begin(actor) as tx:
            writing.approve(tx, advisory, words="read it")
    home.between.outreach.run()
