"""Exchange, MISP: released objects as one event. Carries what was released and nothing else."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

import msgspec

from openaoc.exchange.misp.model import (
    TAG_CHARACTERS_MAX,
    VALUE_CHARACTERS_MAX,
    Lost,
    MispAttribute,
    MispEvent,
    MispFile,
    MispObject,
    MispOrg,
    MispReference,
    MispTag,
)
from openaoc.exchange.misp.words import (
    GALAXIES,
    GALAXY,
    IBAN,
    IBAN_BANK,
    KIND,
    MINIMISED,
    NAMESPACE,
    OBJECT_PREFIX,
    OTHERWISE,
    PLACES,
    SCAM,
    TLP,
    Place,
    machinetag,
    template,
)
from openaoc.exchange.objects import FIELDS, FieldForm, FieldValue, ObjectKind, ReleasedObject
from openaoc.kernel.clock import format_time
from openaoc.kernel.errors import BadInput, TooLarge
from openaoc.kernel.identifiers.kinds import Kind, account_parts, normalise
from openaoc.kernel.markings import Marking, strictest
from openaoc.kernel.offences import Offence

OBJECTS_PER_EVENT_MAX: Final = 10_000
CARRIED: Final = (
    ObjectKind.INDICATOR,
    ObjectKind.SIGHTING,
    ObjectKind.CAMPAIGN,
    ObjectKind.REPORT,
    ObjectKind.COURSE_OF_ACTION,
    ObjectKind.IDENTITY,
    ObjectKind.RELATIONSHIP,
)
"""Kinds that are published; what two centres ask each other is not for an event."""
DISTRIBUTIONS: Final = {Marking.CLEAR: 3, Marking.GREEN: 1}
"""All communities; this community only. What is marked higher stays with the organisation."""
ID_RELATION: Final = "id"
_NATIVE: Final = frozenset({"value", "description", "scam_types", "first_seen", "last_seen"})
"""An indicator's fields that MISP has a place for."""


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """An event, and what had no place in it."""

    event: MispEvent
    lost: tuple[Lost, ...] = ()


def event_of(
    objects: Sequence[ReleasedObject],
    *,
    event_uuid: str,
    info: str,
    org: MispOrg,
    now: datetime,
) -> Written:
    """The objects as one event. Raises TooLarge above OBJECTS_PER_EVENT_MAX."""
    if len(objects) > OBJECTS_PER_EVENT_MAX:
        raise TooLarge(f"at most {OBJECTS_PER_EVENT_MAX} objects in an event")
    head = head_of(objects, event_uuid=event_uuid, info=info, org=org, now=now)
    lost: list[Lost] = []
    written = []
    for one in objects:
        if one.kind in CARRIED:
            written.append(_object(one))
        else:
            lost.append(Lost(path=one.id, reason=f"a {one.kind.value} is not for an event"))
    event = msgspec.structs.replace(head, objects=tuple(written))
    return Written(event=event, lost=tuple(lost))


def head_of(
    objects: Sequence[ReleasedObject],
    *,
    event_uuid: str,
    info: str,
    org: MispOrg,
    now: datetime,
) -> MispEvent:
    """The event of these objects, without them: what a manifest says of it."""
    highest = strictest(Marking.CLEAR, *(one.marking for one in objects))
    stamp = int(now.timestamp())
    return MispEvent(
        uuid=event_uuid,
        info=info,
        date=min((one.created for one in objects), default=now).strftime("%Y-%m-%d"),
        timestamp=stamp,
        publish_timestamp=stamp,
        orgc=org,
        tags=(MispTag(name=f"{TLP}{highest.value}"),),
        distribution=DISTRIBUTIONS.get(highest, 0),
    )


def encode_event(event: MispEvent) -> bytes:
    """The event's file."""
    return msgspec.json.encode(MispFile(event=event))


def _object(one: ReleasedObject) -> MispObject:
    number = one.id.partition("--")[2]
    indicator = one.kind is ObjectKind.INDICATOR
    place = _place_of(one) if indicator else _main_place(one.kind)
    main, rest = _indicator(one, place) if indicator else _fields(one, place)
    found = template(place.template)
    return MispObject(
        uuid=number,
        name=found.name,
        meta_category=found.meta_category,
        description=found.description,
        template_uuid=found.uuid,
        template_version=str(found.version),
        timestamp=int(one.modified.timestamp()),
        deleted=one.revoked,
        attributes=(main, *rest),
        references=tuple(_references(one, number)),
    )


def _main_place(kind: ObjectKind) -> Place:
    return Place(
        template=f"{OBJECT_PREFIX}{kind.value}", relation=ID_RELATION, type="text", category="Other"
    )


def _place_of(one: ReleasedObject) -> Place:
    """Where the value stands; a value MISP would change, drop or not find goes where it is kept."""
    try:
        kind = Kind(str(one.fields.get(KIND, "")))
    except ValueError:
        return OTHERWISE
    if is_minimised(one):
        return OTHERWISE
    if kind is not Kind.BANK_ACCOUNT:
        return PLACES[kind]
    bank, account = account_parts(str(one.fields["value"]))
    if bank == IBAN_BANK:
        return IBAN
    # MISP keeps digits of an account alone and says nothing of the rest.
    return PLACES[kind] if account.isascii() and account.isdecimal() else OTHERWISE


def is_minimised(one: ReleasedObject) -> bool:
    """Whether the value is not one anybody could look for: masked, a pseudonym, or left out."""
    value = one.fields.get("value")
    if not isinstance(value, str):
        return True
    try:
        return normalise(Kind(str(one.fields.get(KIND, ""))), value) != value
    except (BadInput, ValueError):
        return True


def _indicator(one: ReleasedObject, place: Place) -> tuple[MispAttribute, list[MispAttribute]]:
    value = str(one.fields.get("value", ""))
    minimised = is_minimised(one)
    beside = dict(place.beside)
    if place.template == "bank-account":
        bank, value = account_parts(value)
        beside["institution-code"] = bank
    tags = [*_marks(one), *_scams(one.fields.get("scam_types"))]
    tags += [machinetag(f"{NAMESPACE}:{MINIMISED}", "yes")] * minimised
    over: list[MispAttribute] = []
    for name, field in one.fields.items():
        if name in _NATIVE:
            continue
        named = [machinetag(f"{NAMESPACE}:{name}", text) for text in _texts(field)]
        if all(len(tag) <= TAG_CHARACTERS_MAX for tag in named):
            tags += named
            continue
        relation = f"{OBJECT_PREFIX}{name.replace('_', '-')}"
        over += [
            _attribute(one, relation, text, number=number)
            for number, text in enumerate(_texts(field))
        ]
    if "value" not in one.fields:
        tags.append(machinetag(f"{NAMESPACE}:without", "value"))
    main = _attribute(one, place.relation, value or one.id, type_=place.type)
    main = msgspec.structs.replace(
        main,
        category=place.category,
        to_ids=not minimised,
        comment=str(one.fields.get("description", "")),
        disable_correlation=minimised,
        first_seen=_misp_time(one.fields.get("first_seen")),
        last_seen=_misp_time(one.fields.get("last_seen")),
        tags=tuple(MispTag(name=tag) for tag in tags),
    )
    return main, [_attribute(one, name, text) for name, text in beside.items()] + over


def _fields(one: ReleasedObject, place: Place) -> tuple[MispAttribute, list[MispAttribute]]:
    main = _attribute(one, place.relation, one.id, type_=place.type)
    main = msgspec.structs.replace(main, tags=tuple(MispTag(name=tag) for tag in _marks(one)))
    rest = [
        _attribute(
            one,
            name.replace("_", "-"),
            text,
            number=number,
            type_="datetime" if FIELDS[one.kind][name].form is FieldForm.TIME else "text",
        )
        for name, value in one.fields.items()
        for number, text in enumerate(_texts(value))
    ]
    return main, rest


def _marks(one: ReleasedObject) -> list[str]:
    """What MISP's own times are too coarse for, and the marking."""
    return [
        f"{TLP}{one.marking.value}",
        machinetag(f"{NAMESPACE}:created", format_time(one.created)),
        machinetag(f"{NAMESPACE}:modified", format_time(one.modified)),
    ]


def _scams(value: FieldValue | None) -> Iterator[str]:
    if value is None:
        return
    for text in _texts(value):
        yield machinetag(SCAM, text)
        if text in GALAXIES:
            yield machinetag(GALAXY, GALAXIES[Offence(text)])


def _attribute(
    one: ReleasedObject, relation: str, value: str, *, number: int = 0, type_: str = "text"
) -> MispAttribute:
    if len(value) > VALUE_CHARACTERS_MAX:
        raise TooLarge(f"{relation} is longer than an attribute", where=one.id)
    base = uuid.UUID(one.id.partition("--")[2])
    return MispAttribute(
        uuid=str(uuid.uuid5(base, f"{relation}/{number}")),
        type=type_,
        value=value,
        category="Other",
        timestamp=int(one.modified.timestamp()),
        disable_correlation=True,
        deleted=one.revoked,
        object_relation=relation,
    )


def _references(one: ReleasedObject, number: str) -> Iterator[MispReference]:
    for name, ids in one.refs.items():
        for other in ids:
            yield MispReference(
                uuid=str(uuid.uuid5(uuid.UUID(number), f"{name}/{other}")),
                object_uuid=number,
                referenced_uuid=other.partition("--")[2],
                relationship_type=name.replace("_", "-"),
                comment=other,
                timestamp=int(one.modified.timestamp()),
            )


def _texts(value: FieldValue) -> tuple[str, ...]:
    return value if isinstance(value, tuple) else (str(value),)


def _misp_time(value: FieldValue | None) -> str | None:
    """RFC 3339 in UTC, as MISP shows when something was first or last seen."""
    return str(value).replace("Z", "+00:00") if isinstance(value, str) else None
