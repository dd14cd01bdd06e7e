"""CLI: two centres of a demonstration agree with each other, as their people would.

Over each centre's own HTTP interface: a partner and its key, compared by a second person; terms
that the data protection officer drafts and a supervisor approves too; collections and feeds.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec

from openaoc.channels.keys import is_of_exercise, new_marked_key
from openaoc.channels.signing import Jwks, PublicJwk
from openaoc.cli.client import CentreClient, FromCentre
from openaoc.cli.demo_register import administrator
from openaoc.exchange.agreement import Grant, Minimisation, Terms, Transfer, TransferKind
from openaoc.exchange.model import Contact, KeyVerification, NewPartner, PartnerChange, PartnerKind
from openaoc.exchange.objects import FIELDS, FieldClass, ObjectKind
from openaoc.kernel.clock import SystemClock
from openaoc.kernel.errors import Unavailable
from openaoc.kernel.markings import Marking
from openaoc.kernel.offences import Offence
from openaoc.parties.public_keys import thumbprint
from openaoc.simulation.countries import two_countries
from openaoc.simulation.warnings import Reader, Readers, load_readers, save_readers

PARTNERS: Final = "/v1/exchange/partners"
STAFF_FILE: Final = "staff.json"
ANSWER_SECONDS_MAX: Final = 10.0
TERM: Final = timedelta(days=365)
DAILY_OBJECTS_MAX: Final = 100_000
RETENTION_DAYS: Final = 30
READ_EVERY_S: Final = 10
"""How often each side reads what the other releases; the least there may be."""
KINDS: Final = (ObjectKind.TRACE_REQUEST, ObjectKind.TRACE_ANSWER, ObjectKind.INDICATOR)
SHARED_IDENTIFIERS: Final = ("bank_account",)


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One centre: its country, its code, where it serves and where its data lies."""

    country: str
    code: str
    url: str
    data: Path


class Staff(msgspec.Struct, frozen=True, kw_only=True):
    """Keys of the simulated people of one centre. Printed nowhere."""

    supervisor: str
    second: str
    protection: str

    def __repr__(self) -> str:
        return "Staff()"


def agree(one: Side, other: Side) -> tuple[Staff, Staff]:
    """Both sides agree on requests, answers and indicators; what was agreed before stays.

    The people of both sides, who may go on to decide. Raises FromCentre, Unavailable.
    """
    staff = _staff(one), _staff(other)
    mine, theirs = staff
    for side, people, partner in ((one, mine, other), (other, theirs, one)):
        if _know(side, people, partner):
            _agree_on(side, people, partner)
    _read(one, other)
    _read(other, one)
    return staff


def terms(partner: Side, *, now: datetime, kinds: tuple[ObjectKind, ...] = KINDS) -> Terms:
    """What one centre lets leave to the other: nothing that names a person, cases as pseudonyms."""
    return Terms(
        partner=partner.code,
        purposes=tuple(Offence),
        legal_basis="Simulated memorandum between two centres, article 3: following stolen money",
        grants={kind: _grant(kind) for kind in kinds},
        highest_marking=Marking.AMBER,
        daily_objects_max=DAILY_OBJECTS_MAX,
        retention_days=RETENTION_DAYS,
        contact=_desk(partner),
        starts_at=now - timedelta(minutes=1),
        ends_at=now + TERM,
        transfer=Transfer(
            kind=TransferKind.SAFEGUARDS,
            reference="Simulated memorandum, annex 2: a binding agreement of state bodies",
        ),
    )


def let_banks_read(one: Side, other: Side, staff: tuple[Staff, Staff]) -> None:
    """Each country's banks read what both centres release of accounts, and warn their customers."""
    sides = (one, other)
    for side in sides:
        folder = side.data / "nation"
        if load_readers(folder) is not None:
            continue
        readers = [
            Reader(
                country=centre.country,
                url=centre.url,
                api_key=_banks_of(side.country, at=centre, people=people),
            )
            for centre, people in zip(sides, staff, strict=True)
        ]
        share = two_countries().warning.heeds_share.value
        save_readers(folder, Readers(heeds_share=share, readers=readers))


def _banks_of(country: str, *, at: Side, people: Staff) -> str:
    """A country's banks as a partner of a centre, with an agreement of their own; their key."""
    banks = Side(country=country, code=f"{country}-BANKS", url=at.url, data=at.data)
    client = administrator(at.url, at.data)
    new = NewPartner(
        code=banks.code,
        name=f"Banks of {country} (simulated)",
        kind=PartnerKind.SECTOR_BODY,
        jurisdiction=country,
        contact=_desk(banks),
    )
    if _unless_there(client, PARTNERS, new):
        exercise = is_of_exercise(_published_key(at).kid)
        _verify(at, people, banks, new_marked_key(exercise=exercise).public())
        _agree_on(at, people, banks, kinds=(ObjectKind.INDICATOR,))
    user = client.post(f"{PARTNERS}/{banks.code}/users", {"name": f"{new.name}: system"})
    return str(user["api_key"])


def _grant(kind: ObjectKind) -> Grant:
    fields = {
        name: Minimisation.AS_IS
        for name, field in FIELDS[kind].items()
        if field.kind is not FieldClass.PERSONAL
    }
    fields["case"] = Minimisation.PSEUDONYM
    named = SHARED_IDENTIFIERS if kind is ObjectKind.INDICATOR else ()
    return Grant(fields=fields, identifier_kinds=named)


def _desk(side: Side) -> Contact:
    return Contact(name=f"Duty desk of {side.code} (simulated)", email="desk@centre.example")


def _staff(side: Side) -> Staff:
    """The people of a centre, made users once."""
    path = side.data / STAFF_FILE
    if path.exists():
        return msgspec.json.decode(path.read_bytes(), type=Staff)
    client = administrator(side.url, side.data)
    staff = Staff(
        supervisor=_user(client, "Supervisor C (simulated)", "supervisor"),
        second=_user(client, "Supervisor D (simulated)", "supervisor"),
        protection=_user(client, "Protection officer (simulated)", "data_protection_officer"),
    )
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(staff))
        file.flush()
        os.fsync(file.fileno())
    return staff


def _user(client: CentreClient, name: str, role: str) -> str:
    added: dict[str, Any] = client.post("/v1/users", {"name": name, "role": role})
    return str(added["api_key"])


def _published_key(side: Side) -> PublicJwk:
    """The key a centre signs with, as it publishes it."""
    try:
        reply = httpx.get(
            f"{side.url}/.well-known/jwks.json", timeout=ANSWER_SECONDS_MAX, trust_env=False
        )
        found = msgspec.json.decode(reply.raise_for_status().content, type=Jwks)
    except (httpx.HTTPError, msgspec.MsgspecError) as error:
        raise Unavailable("the centre's keys cannot be read", where=side.code) from error
    return found.keys[0]


def _know(side: Side, people: Staff, partner: Side) -> bool:
    """The partner with its verified key; whether it is not agreed with yet."""
    client = administrator(side.url, side.data)
    new = NewPartner(
        code=partner.code,
        name=f"Centre of {partner.country} (simulated)",
        kind=PartnerKind.CENTRE,
        jurisdiction=partner.country,
        contact=_desk(partner),
        endpoint=partner.url,
    )
    if not _unless_there(client, PARTNERS, new):
        client.post(f"{PARTNERS}/{partner.code}/reach", PartnerChange(endpoint=partner.url))
    listed = client.get("/v1/exchange/agreements", partner=partner.code)["agreements"]
    if any(one["state"] in ("active", "suspended") for one in listed):
        return False
    _verify(side, people, partner, _published_key(partner))
    return True


def _verify(side: Side, people: Staff, partner: Side, key: PublicJwk) -> None:
    """The administrator adds the key; a second person hears its fingerprint from the partner."""
    client, second = administrator(side.url, side.data), CentreClient(side.url, people.supervisor)
    text = msgspec.json.encode(key).decode("ascii")
    _unless_there(client, f"{PARTNERS}/{partner.code}/keys", {"jwk": text})
    heard = KeyVerification(
        fingerprint=thumbprint(key.x), compared_with=f"{_desk(partner).name}, by telephone"
    )
    _unless_there(second, f"{PARTNERS}/{partner.code}/keys/{key.kid}/verify", heard)


def _unless_there(client: CentreClient, path: str, body: object) -> bool:
    """Post it; False when it is there already."""
    try:
        client.post(path, body)
    except FromCentre as error:
        if error.status != HTTPStatus.CONFLICT:
            raise
        return False
    return True


def _agree_on(
    side: Side, people: Staff, partner: Side, *, kinds: tuple[ObjectKind, ...] = KINDS
) -> None:
    """The data protection officer drafts; that officer and a supervisor approve."""
    officer = CentreClient(side.url, people.protection)
    draft = officer.post(
        "/v1/exchange/agreements", terms(partner, now=SystemClock().now(), kinds=kinds)
    )
    path = f"/v1/exchange/agreements/{draft['id']}/approve"
    officer.post(path)
    CentreClient(side.url, people.supervisor).post(path)


def _read(side: Side, partner: Side) -> None:
    """`side` reads what `partner` releases to it, from the collection `partner` opens for it."""
    client = administrator(side.url, side.data)
    feeds = client.get("/v1/exchange/feeds")["feeds"]
    if any(feed["partner"] == partner.code for feed in feeds):
        return
    giving = administrator(partner.url, partner.data)
    opened = giving.post("/v1/exchange/collections", {"partner": side.code})["collections"]
    released = next(one for one in opened if one["kind"] == "released")
    reader = giving.post(
        f"{PARTNERS}/{side.code}/users", {"name": f"Reader of {side.code} (simulated)"}
    )
    client.post(
        "/v1/exchange/feeds",
        {
            "partner": partner.code,
            "url": f"{partner.url}/taxii2/centre",
            "collection": released["id"],
            "secret": reader["api_key"],
            "every_s": READ_EVERY_S,
        },
    )
