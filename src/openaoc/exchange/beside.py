"""Exchange: what goes out beside an indicator: that we saw it, and which institution keeps it.

A sighting for each indicator that was reported to us; for an account at an institution of ours that
the two belong together. The institutions themselves go out all, whether anything is known of an
account there or not. Each leaves only where its kind is granted.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from openaoc.exchange.objects import Fields, ObjectKind, Refs, SharedObject, keyed_object_id
from openaoc.indicators.model import REPORTING, IndicatorView
from openaoc.kernel.clock import format_time
from openaoc.kernel.identifiers.kinds import Kind, account_parts
from openaoc.kernel.markings import Marking
from openaoc.kernel.offences import Offence
from openaoc.parties.model import Institution, InstitutionKind

RELATED: Final = "related-to"
KEEPS: Final = "the institution that keeps the account"
ORGANISATION: Final = "organization"
_FINANCE: Final = "financial-services"
SECTORS: Final[dict[InstitutionKind, str]] = {
    InstitutionKind.BANK: _FINANCE,
    InstitutionKind.WALLET: _FINANCE,
    InstitutionKind.EXCHANGE: _FINANCE,
    InstitutionKind.ATM_NETWORK: _FINANCE,
    InstitutionKind.SWITCH: _FINANCE,
    InstitutionKind.TELCO: "telecommunications",
    InstitutionKind.PLATFORM: "technology",
}
"""In the words of STIX 2.1 (§10.14)."""
_MASK_BYTES: Final = 6
_TWINS: Final = (ObjectKind.SIGHTING.value, ObjectKind.RELATIONSHIP.value)
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def twin_id(object_id: str, *, kind: ObjectKind, of: ObjectKind) -> str:
    """The id `of` one kind that belongs with an id of another; `kind` is the twin's of the two.

    The same way there and back, so that nothing is kept; as random as the id it is made from.
    """
    number = uuid.UUID(object_id.partition("--")[2]).bytes
    mask = hashlib.sha256(kind.value.encode("ascii")).digest()[:_MASK_BYTES]
    tail = bytes(a ^ b for a, b in zip(number[-_MASK_BYTES:], mask, strict=True))
    return f"{of.value}--{uuid.UUID(bytes=number[:-_MASK_BYTES] + tail)}"


def belonging_to(ids: Sequence[str]) -> list[str]:
    """The indicators that these ids are of, or belong to; others are left out."""
    found: dict[str, None] = {}
    for one in ids:
        kind, _, number = one.partition("--")
        if kind == ObjectKind.INDICATOR:
            found[one] = None
        elif kind in _TWINS and _UUID.fullmatch(number):
            found[twin_id(one, kind=ObjectKind(kind), of=ObjectKind.INDICATOR)] = None
    return list(found)


def institution_id(code: str, *, key: bytes) -> str:
    """The id under which partners hear of an institution."""
    return keyed_object_id(ObjectKind.IDENTITY, key=key, name=code)


def institution_of(one: Institution, *, key: bytes, now: datetime) -> SharedObject:
    """An institution of ours as partners may see it: its name and country, which are public."""
    return SharedObject(
        id=institution_id(one.code, key=key),
        kind=ObjectKind.IDENTITY,
        created=one.added_at,
        # It is what it is now, however long ago it was added.
        modified=max(now, one.added_at),
        marking=Marking.CLEAR,
        offences=tuple(Offence),
        fields={
            "identity_class": ORGANISATION,
            "name": one.name,
            "sectors": (SECTORS[one.kind],),
            "jurisdiction": one.jurisdiction,
        },
    )


def beside(view: IndicatorView, shared: SharedObject, *, key: bytes) -> list[SharedObject]:
    """What belongs to the indicator; where an account is at nobody of ours, its end stays hidden.

    `key`: of institutions' ids.
    """
    found = []
    sighting = _sighting(view, shared)
    if sighting is not None:
        found.append(sighting)
    if shared.fields["identifier_kind"] != Kind.BANK_ACCOUNT:
        return found
    code = account_parts(str(shared.fields["value"]))[0]
    link = _twin(
        shared,
        ObjectKind.RELATIONSHIP,
        fields={"relationship_type": RELATED, "description": KEEPS},
        refs={"source": (shared.id,), "target": (institution_id(code, key=key),)},
    )
    return [*found, link]


def _sighting(view: IndicatorView, shared: SharedObject) -> SharedObject | None:
    """That it was reported here: how often, first and last. None for one that never was."""
    told = [one for one in view.sources if one.kind in REPORTING]
    standing = [one for one in told if one.taken_back_at is None]
    if not told:
        return None
    seen = standing or told
    return _twin(
        shared,
        ObjectKind.SIGHTING,
        fields={
            "first_seen": format_time(min(one.first_seen for one in seen)),
            "last_seen": format_time(max(one.last_seen for one in seen)),
            "count": len({one.ref for one in seen}),
        },
        refs={"sighting_of": (shared.id,)},
        revoked=not standing,
    )


def _twin(
    shared: SharedObject,
    kind: ObjectKind,
    *,
    fields: Fields,
    refs: Refs,
    revoked: bool = False,
) -> SharedObject:
    named = (str(shared.fields["identifier_kind"]), str(shared.fields["value"]))
    return SharedObject(
        id=twin_id(shared.id, kind=kind, of=kind),
        kind=kind,
        created=shared.created,
        modified=shared.modified,
        marking=shared.marking,
        offences=shared.offences,
        fields=fields,
        refs=refs,
        case=shared.case,
        revoked=shared.revoked or revoked,
        about=(named,),
    )
