"""Bench: a centre with partners who may write and read, and objects as they would send them.

Made once, before anything is measured; the same numbers always give the same objects.
"""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import msgspec

from openaoc.bootstrap import Centre, build_centre
from openaoc.channels.signing import new_signing_key
from openaoc.exchange.agreement import Grant, Minimisation, Terms, Transfer, TransferKind
from openaoc.exchange.model import Contact, KeyVerification, NewPartner, PartnerKind
from openaoc.exchange.objects import ObjectKind
from openaoc.exchange.stix.model import Profile
from openaoc.exchange.taxii import store
from openaoc.exchange.taxii.model import CollectionKind
from openaoc.exchange.taxii.service import new_row
from openaoc.kernel.actor import Actor, Role
from openaoc.kernel.markings import Marking
from openaoc.kernel.offences import Offence
from openaoc.kernel.settings import Settings

STORED_AT_ONCE: Final = 10_000
_DESK: Final = Contact(name="Desk", email="desk@partner.example")
_PEOPLE: Final = tuple(
    Actor(id=f"usr_{role.value}", roles=frozenset({role}))
    for role in (Role.DATA_PROTECTION_OFFICER, Role.SUPERVISOR, Role.ADMINISTRATOR)
)


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """A partner's key and the collection it writes to."""

    key: str
    collection: str


def indicators(first: int, count: int) -> list[dict[str, Any]]:
    """Indicators `first` to `first + count`, of some 600 bytes."""
    return [
        {
            "type": "indicator",
            "spec_version": "2.1",
            "id": f"indicator--{uuid.UUID(int=number + (4 << 76) + (8 << 60))}",
            "created": "2026-01-05T03:00:00.000Z",
            "modified": "2026-01-05T03:00:00.000Z",
            "name": f"bank account {number}",
            "description": "Money of victims of an investment scam arrived on this account.",
            "indicator_types": ["malicious-activity"],
            "labels": ["investment"],
            "confidence": 70,
            "pattern": "[user-account:account_type = 'bank' AND"
            f" user-account:account_login = 'TH.KBANK.{number:010}']",
            "pattern_type": "stix",
            "valid_from": "2026-01-05T03:00:00Z",
            "object_marking_refs": ["marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb"],
        }
        for number in range(first, first + count)
    ]


def prepare(home: Path, *, partners: tuple[str, ...], large: int) -> dict[str, Written]:
    """A stopped centre under `home` with these partners; the last has `large` objects already."""
    settings = Settings(data_dir=str(home / "data"), ledger_rows_max=1_000_000)
    centre = build_centre(settings)
    with centre.opened():
        made = {code: _partner(centre, code) for code in partners}
        _store(centre, made[partners[-1]].collection, large)
    return made


def _partner(centre: Centre, code: str) -> Written:
    officer, supervisor, administrator = _PEOPLE
    agreements = centre.matter.sharing.agreements
    with centre.uow.begin(administrator) as tx:
        new = NewPartner(
            code=code, name=code, kind=PartnerKind.CENTRE, jurisdiction="SG", contact=_DESK
        )
        agreements.partners.add(tx, new)
        jwk = json.dumps(msgspec.to_builtins(new_signing_key().public()))
        key = agreements.partners.add_key(tx, code, jwk=jwk)
    with centre.uow.begin(supervisor) as tx:
        said = KeyVerification(fingerprint=key.fingerprint, compared_with="by telephone")
        agreements.partners.verify_key(tx, code, kid=key.kid, said=said)
    with centre.uow.begin(officer) as tx:
        draft = agreements.draft(tx, _terms(centre, code))
    for person in (officer, supervisor):
        with centre.uow.begin(person) as tx:
            agreements.approve(tx, draft.id)
    with centre.uow.begin(administrator) as tx:
        found = centre.matter.collecting.taxii.open_for(tx, code, profile=Profile.CORE)
        _, secret = agreements.partners.add_user(tx, code, name="analyst")
    (inbox,) = [one.id for one in found if one.kind is CollectionKind.INBOX]
    return Written(key=secret, collection=inbox)


def _terms(centre: Centre, code: str) -> Terms:
    now = centre.clock.now()
    grant = Grant(
        fields={"identifier_kind": Minimisation.AS_IS, "value": Minimisation.AS_IS},
        identifier_kinds=("bank_account",),
    )
    return Terms(
        partner=code,
        purposes=(Offence.INVESTMENT,),
        legal_basis="an agreement for a measurement",
        grants={ObjectKind.INDICATOR: grant},
        highest_marking=Marking.AMBER,
        daily_objects_max=1_000_000,
        retention_days=30,
        contact=_DESK,
        starts_at=now - timedelta(days=1),
        ends_at=now + timedelta(days=30),
        transfer=Transfer(kind=TransferKind.SAFEGUARDS, reference="a measurement's own"),
    )


def _store(centre: Centre, collection_id: str, count: int) -> None:
    """Put the objects there as if they had been sent and handed on long ago."""
    for first in range(0, count, STORED_AT_ONCE):
        objects = indicators(1_000_000_000 + first, min(STORED_AT_ONCE, count - first))
        with centre.uow.begin(_PEOPLE[-1]) as tx:
            one = store.find_collection(tx.connection, collection_id, lock=True)
            assert one is not None, "it was made before"
            rows = [new_row(msgspec.json.encode(each), now=tx.now)[0] for each in objects]
            _, last = store.add_rows(tx.connection, one, rows, now=tx.now)
            after = msgspec.structs.replace(one, last_added=last, handed=last)
            store.update_collection(tx.connection, after, "last_added", "handed")
