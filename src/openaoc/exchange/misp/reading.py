"""Exchange, MISP: others' events in our words, within limits, and what could not be kept.

Believes nothing: how much a word weighs is decided by who receives it. Context is not taken for an
accusation: what an event says nobody should look for (`to_ids` false) is left out, and said so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final, TypeVar

import msgspec

from openaoc.exchange.misp.model import (
    Lost,
    MispAttribute,
    MispObject,
    RawEvent,
    RawFile,
)
from openaoc.exchange.misp.strangers import Found, found_in, found_in_object
from openaoc.exchange.misp.words import (
    GALAXY,
    KIND,
    MINIMISED,
    NAMESPACE,
    OBJECT_PREFIX,
    OFFENCE_OF,
    SCAM,
    TLP,
    machinetag_parts,
    marking_named,
)
from openaoc.exchange.misp.writing import CARRIED, ID_RELATION
from openaoc.exchange.objects import (
    FIELDS,
    REFS,
    REFS_MAX,
    TEXTS_MAX,
    FieldForm,
    Fields,
    FieldValue,
    ObjectKind,
    Refs,
    ReleasedObject,
)
from openaoc.kernel.clock import format_time, from_us, parse_time
from openaoc.kernel.errors import BadInput
from openaoc.kernel.identifiers.kinds import account_value
from openaoc.kernel.markings import Marking, strictest

EVENT_BYTES_MAX: Final = 64 << 20
PARTS_MAX: Final = 100_000
"""Objects and attributes of one event."""
LOST_MAX: Final = 1_000
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_CARRIED: Final = {kind.value: kind for kind in CARRIED}
_KINDS: Final = frozenset(kind.value for kind in ObjectKind)
_SECOND_US: Final = 1_000_000
_LATEST: Final = 1 << 33
"""Seconds: the year 2242."""


_Part = TypeVar("_Part", MispAttribute, MispObject)


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """Objects in our words, and everything that could not be kept; `lost` names the first."""

    objects: tuple[ReleasedObject, ...]
    lost: tuple[Lost, ...]
    lost_count: int


class Marks(msgspec.Struct, frozen=True, kw_only=True):
    """What tags say: the marking, kinds of scams, and our fields by name."""

    marking: Marking | None
    scams: tuple[str, ...]
    ours: dict[str, tuple[str, ...]]


def read_event(data: bytes, *, region: str, otherwise: Marking) -> Reading:
    """An event's file. `region`: of numbers without a country; `otherwise`: what has no marking.

    Raises BadInput for what is no event, or more than the limits allow.
    """
    if len(data) > EVENT_BYTES_MAX:
        raise BadInput(f"an event of more than {EVENT_BYTES_MAX} bytes")
    try:
        event = msgspec.json.decode(data, type=RawFile, strict=False).event
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadInput(f"not a MISP event: {error}") from error
    if len(event.attributes) + len(event.objects) > PARTS_MAX:
        raise BadInput(f"more than {PARTS_MAX} objects and attributes")
    return _Reader(event, region=region, otherwise=otherwise).read()


class _Reader:
    """One event on its way in."""

    def __init__(self, event: RawEvent, *, region: str, otherwise: Marking) -> None:
        self._event = event
        self._region = region
        self._lost: list[Lost] = []
        marks = self._marks(tag.name for tag in event.tags)
        self._marking = marks.marking or otherwise
        self._scams = marks.scams

    def read(self) -> Reading:
        kept = [one for one in self._objects() if one is not None]
        for number, raw in enumerate(self._event.attributes):
            path = f"Event.Attribute[{number}]"
            attribute = self._decoded(raw, MispAttribute, path=path)
            if attribute is not None:
                found = found_in(attribute, region=self._region)
                kept += self._strangers([(attribute, found)], path=path)
        return Reading(
            objects=tuple(kept), lost=tuple(self._lost[:LOST_MAX]), lost_count=len(self._lost)
        )

    def _objects(self) -> Iterator[ReleasedObject]:
        for number, raw in enumerate(self._event.objects):
            path = f"Event.Object[{number}]"
            found = self._decoded(raw, MispObject, path=path)
            if found is None:
                continue
            marks = self._marks(tag.name for one in found.attributes for tag in one.tags)
            try:
                own = self._own(found, marks)
            except BadInput as error:
                self._lose(f"{path}.{error.where}".rstrip("."), error.detail or error.title)
                continue
            if own is not None:
                yield own
            else:
                pairs = found_in_object(found, region=self._region)
                yield from self._strangers(pairs, path=path, deleted=found.deleted)

    def _decoded(self, raw: msgspec.Raw, kind: type[_Part], *, path: str) -> _Part | None:
        try:
            found = msgspec.json.decode(raw, type=kind, strict=False)
        except (msgspec.DecodeError, RecursionError) as error:
            self._lose(path, str(error))
            return None
        if not _UUID.fullmatch(found.uuid.lower()):
            self._lose(path, "its uuid is none")
            return None
        return found

    def _lose(self, path: str, reason: str) -> None:
        self._lost.append(Lost(path=path[:200], reason=reason[:200]))

    def _marks(self, tags: Iterable[str]) -> Marks:
        markings: list[Marking] = []
        scams: list[str] = []
        ours: dict[str, tuple[str, ...]] = {}
        for tag in tags:
            if tag.lower().startswith(TLP):
                marking = marking_named(tag)
                if marking is None:
                    self._lose(tag, "a marking we do not know counts as red")
                markings.append(marking or Marking.RED)
                continue
            parts = machinetag_parts(tag)
            if parts is None:
                self._lose(tag, "no place for this tag")
                continue
            name, value = parts
            if name == SCAM:
                scams.append(value)
            elif name == GALAXY and value in OFFENCE_OF:
                offence = OFFENCE_OF[value].value
                scams += [] if scams else [offence]
            elif name.startswith(f"{NAMESPACE}:"):
                field = name[len(NAMESPACE) + 1 :]
                ours[field] = (*ours.get(field, ()), value)
            else:
                self._lose(tag, "no place for this tag")
        return Marks(
            marking=strictest(*markings) if markings else None,
            scams=tuple(dict.fromkeys(scams)),
            ours=ours,
        )

    # What one of ours wrote.

    def _own(self, found: MispObject, marks: Marks) -> ReleasedObject | None:
        """The object as it was released; None for one of others."""
        kind = _kind_of(found, marks)
        if kind is None:
            return None
        created, modified = (_only(marks.ours, name) for name in ("created", "modified"))
        fields = _indicator(found, marks) if kind is ObjectKind.INDICATOR else _fields(found, kind)
        return ReleasedObject(
            id=f"{kind.value}--{found.uuid.lower()}",
            kind=kind,
            created=parse_time(created, where="created"),
            modified=parse_time(modified, where="modified"),
            marking=marks.marking or self._marking,
            fields=fields,
            refs=_refs(found, kind),
            revoked=found.deleted,
        )

    # What others wrote.

    def _strangers(
        self, pairs: Iterable[tuple[MispAttribute, Found]], *, path: str, deleted: bool = False
    ) -> Iterator[ReleasedObject]:
        for attribute, found in pairs:
            if found.identifier is None:
                if found.reason:
                    self._lose(f"{path} {attribute.type}", found.reason)
                continue
            marks = self._marks(tag.name for tag in attribute.tags)
            at = _moment(attribute.timestamp or self._event.timestamp)
            fields: Fields = {
                KIND: found.identifier.kind.value,
                "value": found.identifier.value,
            }
            scams = marks.scams or self._scams
            if scams:
                fields["scam_types"] = scams
            if attribute.comment:
                fields["description"] = attribute.comment
            for name in ("first_seen", "last_seen"):
                text = getattr(attribute, name)
                if text:
                    self._keep_time(fields, name, text, path=path)
            yield ReleasedObject(
                id=f"{ObjectKind.INDICATOR.value}--{attribute.uuid.lower()}",
                kind=ObjectKind.INDICATOR,
                created=at,
                modified=at,
                marking=marks.marking or self._marking,
                fields=fields,
                revoked=deleted or attribute.deleted,
            )

    def _keep_time(self, fields: Fields, name: str, text: str, *, path: str) -> None:
        try:
            fields[name] = format_time(parse_time(text))
        except BadInput as error:
            self._lose(f"{path}.{name}", error.detail)


def _kind_of(found: MispObject, marks: Marks) -> ObjectKind | None:
    """Which of our kinds it was written from; only what carries our times is ours."""
    if not {"created", "modified"} <= marks.ours.keys():
        return None
    if KIND in marks.ours or MINIMISED in marks.ours:
        return ObjectKind.INDICATOR
    name = found.name.removeprefix(OBJECT_PREFIX)
    return _CARRIED.get(name) if found.name.startswith(OBJECT_PREFIX) else None


def _only(ours: dict[str, tuple[str, ...]], name: str) -> str:
    values = ours[name]
    if len(values) != 1:
        raise BadInput("more than one", where=name)
    return values[0]


def _indicator(found: MispObject, marks: Marks) -> Fields:
    if not found.attributes:
        raise BadInput("an object without attributes", where="Attribute")
    main = found.attributes[0]
    names = FIELDS[ObjectKind.INDICATOR]
    texts = {name: values for name, values in marks.ours.items() if name in names}
    for attribute in found.attributes[1:]:
        name = (attribute.object_relation or "").removeprefix(OBJECT_PREFIX).replace("-", "_")
        if name in names and attribute.object_relation != name:
            texts[name] = (*texts.get(name, ()), attribute.value)
    if marks.scams:
        texts["scam_types"] = marks.scams
    for name, text in (
        ("description", main.comment),
        ("first_seen", main.first_seen),
        ("last_seen", main.last_seen),
    ):
        if text:
            texts[name] = (text,)
    if "without" not in marks.ours:
        texts["value"] = (_main_value(found, main),)
    return {name: _value(ObjectKind.INDICATOR, name, values) for name, values in texts.items()}


def _main_value(found: MispObject, main: MispAttribute) -> str:
    if found.name != "bank-account":
        return main.value
    bank = next(
        (one.value for one in found.attributes if one.object_relation == "institution-code"), ""
    )
    return account_value(bank=bank, account=main.value)


def _fields(found: MispObject, kind: ObjectKind) -> Fields:
    texts: dict[str, tuple[str, ...]] = {}
    for attribute in found.attributes:
        name = (attribute.object_relation or "").replace("-", "_")
        if name != ID_RELATION and name in FIELDS[kind]:
            texts[name] = (*texts.get(name, ()), attribute.value)
    return {name: _value(kind, name, values) for name, values in texts.items()}


def _value(kind: ObjectKind, name: str, values: tuple[str, ...]) -> FieldValue:
    form = FIELDS[kind][name].form
    if form is FieldForm.TEXTS:
        if len(values) > TEXTS_MAX:
            raise BadInput(f"more than {TEXTS_MAX}", where=name)
        return values
    if len(values) != 1:
        raise BadInput("more than one", where=name)
    if form is FieldForm.TIME:
        return format_time(parse_time(values[0], where=name))
    if form is FieldForm.NUMBER:
        try:
            return int(values[0])
        except ValueError as error:
            raise BadInput("not a whole number", where=name) from error
    return values[0]


def _refs(found: MispObject, kind: ObjectKind) -> Refs:
    refs: dict[str, tuple[str, ...]] = {}
    for reference in found.references[:REFS_MAX]:
        name = reference.relationship_type.replace("-", "_")
        named, _, number = reference.comment.partition("--")
        known = name in REFS.get(kind, {}) and named in _KINDS
        if known and number == reference.referenced_uuid:
            refs[name] = (*refs.get(name, ()), reference.comment)
    return refs


def _moment(seconds: int) -> datetime:
    if not 0 <= seconds < _LATEST:
        raise BadInput("not a time", where="timestamp")
    return from_us(seconds * _SECOND_US)
