"""Exchange, STIX 2.1: others' objects in our words.

Within limits, and with a list of what could not be kept. Believes nothing: whose word it is, and
how much that weighs, is decided by who receives it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from openaoc.exchange.objects import (
    FIELDS,
    REFS,
    FieldForm,
    Fields,
    FieldValue,
    ObjectKind,
    Refs,
    ReleasedObject,
)
from openaoc.exchange.stix import ids, model
from openaoc.exchange.stix.extensions import DEFINITIONS, DETAILS, PROJECT_ID
from openaoc.exchange.stix.markings import KNOWN, PERMITTING, TLP_EXTENSION, marking_of
from openaoc.exchange.stix.model import Lost, StixObject
from openaoc.exchange.stix.observables import Unreadable, identifier_of
from openaoc.exchange.stix.patterns import PATTERN_TYPE, Observed, read_pattern
from openaoc.exchange.stix.writing import BASED_ON, LABELS, NATIVE, UNNAMED
from openaoc.kernel.clock import format_time, parse_time
from openaoc.kernel.errors import BadInput
from openaoc.kernel.identifiers.kinds import Identifier
from openaoc.kernel.markings import Marking

OBJECT_BYTES_MAX: Final = 256 << 10
DEPTH_MAX: Final = 20
LOST_MAX: Final = 1_000
"""So many places are named; further ones are counted."""
ID_CHARACTERS_MAX: Final = 80
_KNOWN_NAMES: Final = {
    name: frozenset({"type", *kind.__struct_fields__}) for name, kind in model.TYPES.items()
}
_EXTENSIONS: Final = frozenset({*DEFINITIONS, TLP_EXTENSION})
_KINDS: Final[dict[type[msgspec.Struct], ObjectKind]] = {
    model.Indicator: ObjectKind.INDICATOR,
    model.Sighting: ObjectKind.SIGHTING,
    model.Campaign: ObjectKind.CAMPAIGN,
    model.Report: ObjectKind.REPORT,
    model.Grouping: ObjectKind.REPORT,
    model.CourseOfAction: ObjectKind.COURSE_OF_ACTION,
    model.Identity: ObjectKind.IDENTITY,
    model.Relationship: ObjectKind.RELATIONSHIP,
}


class NotKept(BadInput):
    """This object cannot be kept."""


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """One object that is what it says, and what of it we have no place for."""

    object: StixObject
    lost: tuple[Lost, ...] = ()


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """Objects in our words, and everything that could not be kept."""

    objects: tuple[ReleasedObject, ...] = ()
    lost: tuple[Lost, ...] = ()
    lost_count: int = 0
    """All of them; `lost` names the first LOST_MAX."""


def check_object(raw: bytes | msgspec.Raw) -> Checked:
    """One JSON object as its struct. Raises NotKept with the place of the first thing wrong."""
    if len(memoryview(raw)) > OBJECT_BYTES_MAX:
        raise NotKept(f"longer than {OBJECT_BYTES_MAX} bytes", where="$")
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError) as error:
        raise NotKept("not valid JSON", where="$") from error
    if not isinstance(value, dict):
        raise NotKept("not an object", where="$")
    return _checked(value)


def _checked(value: dict[str, object]) -> Checked:
    name = value.get("type")
    kind = model.TYPES.get(name) if isinstance(name, str) else None
    if kind is None or not isinstance(name, str):
        raise NotKept(f"type {str(name)[:64]!r} is not known here", where="$.type")
    lost = [
        Lost(path=f"$.{key[:64]}", reason="no place for it")
        for key in value.keys() - _KNOWN_NAMES[name]
    ]
    extensions = value.get("extensions")
    if isinstance(extensions, dict):
        strange = extensions.keys() - _EXTENSIONS
        lost += [Lost(path=f"$.extensions.{key[:80]}", reason="not known here") for key in strange]
        if strange:
            kept = {key: one for key, one in extensions.items() if key in _EXTENSIONS}
            value = {**value, "extensions": kept}
    try:
        built = msgspec.convert(value, kind)
    except (msgspec.ValidationError, RecursionError) as error:
        reason, _, place = str(error).partition(" - at `")
        raise NotKept(reason, where=place.rstrip("`") or "$") from error
    if built.id.partition("--")[0] != name:
        raise NotKept("the id is of another type", where="$.id")
    if _has_nul(value):
        raise NotKept("contains a NUL character", where="$")
    return Checked(object=built, lost=tuple(lost))


def _has_nul(value: object) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_has_nul(part) for pair in value.items() for part in pair)
    return isinstance(value, list) and any(_has_nul(part) for part in value)


def read_objects(objects: Sequence[StixObject], *, country: str, otherwise: Marking) -> Reading:
    """The objects in our words; `otherwise` marks what carries no marking.

    `country`: ours, which accounts of our own banks do not repeat.
    """
    lost: list[Lost] = []
    kept: list[ReleasedObject] = []
    observables: dict[str, model.Observable] = {}
    named: set[Identifier] = set()
    for one in objects:
        if isinstance(one, model.Observable):
            observables[one.id] = one
            continue
        try:
            read = _read(one, lost, country=country, otherwise=otherwise, named=named)
        except BadInput as error:
            lost.append(Lost(path=f"{one.id}.{error.where}", reason=error.detail or error.title))
            continue
        if read is not None:
            kept.append(read)
    lost += _unnamed(observables.values(), named, country=country)
    return Reading(objects=tuple(kept), lost=tuple(lost[:LOST_MAX]), lost_count=len(lost))


def _unnamed(
    observables: Iterable[model.Observable], named: set[Identifier], *, country: str
) -> list[Lost]:
    """Observables that no indicator beside them looks for: they say nothing about anybody."""
    lost = []
    for one in observables:
        reason = "an observable that no indicator here looks for"
        try:
            if identifier_of(_properties(one), country=country) in named:
                continue
        except Unreadable as error:
            reason = error.detail
        lost.append(Lost(path=one.id, reason=reason))
    return lost


def _properties(one: model.Observable) -> Observed:
    values = msgspec.structs.asdict(one)
    texts = {name: text for name, text in values.items() if isinstance(text, str)}
    del texts["id"]
    texts.pop("spec_version", None)
    return Observed(ids.type_of(type(one)), texts)


def _read(
    one: StixObject,
    lost: list[Lost],
    *,
    country: str,
    otherwise: Marking,
    named: set[Identifier],
) -> ReleasedObject | None:
    if isinstance(one, model.MarkingDefinition):
        if one.id not in KNOWN and one.id not in PERMITTING:
            lost.append(Lost(path=one.id, reason="a marking we do not know counts as red"))
        return None
    if isinstance(one, model.ExtensionDefinition):
        if one.id not in _EXTENSIONS:
            lost.append(Lost(path=one.id, reason="an extension we do not know"))
        return None
    if one.id == PROJECT_ID or _is_link(one):
        return None
    assert isinstance(one, model.DomainObject), "observables were put aside before"
    if len(one.id) > ID_CHARACTERS_MAX:
        raise NotKept(f"longer than {ID_CHARACTERS_MAX} characters", where="id")
    kind = _KINDS[type(one)]
    marking, unknown = marking_of(one.object_marking_refs, otherwise=otherwise)
    lost += [
        Lost(path=f"{one.id}.object_marking_refs", reason=f"{ref} is not known: red")
        for ref in unknown
    ]
    details = one.extensions.get(DETAILS, model.Extension())
    fields = _fields(one, kind, details, lost)
    if isinstance(one, model.Indicator):
        identifier = _identifier(one, details, country=country)
        fields = {**fields, "identifier_kind": identifier.kind.value, "value": identifier.value}
        named.add(identifier)
    created, modified = parse_time(one.created), parse_time(one.modified)
    if modified < created:
        raise NotKept("before it was created", where="modified")
    return ReleasedObject(
        id=one.id,
        kind=kind,
        created=created,
        modified=modified,
        marking=marking,
        fields=fields,
        refs=_refs(one, kind, details),
        revoked=one.revoked,
    )


def _is_link(one: StixObject) -> bool:
    """Whether it only says on which observable an indicator is based: the pattern says it too."""
    return isinstance(one, model.Relationship) and one.relationship_type == BASED_ON


def _fields(
    one: model.DomainObject, kind: ObjectKind, details: model.Extension, lost: list[Lost]
) -> Fields:
    fields: dict[str, FieldValue] = {}
    for name, native in NATIVE[kind].items():
        value = getattr(one, native, None)
        if value is not None and value not in ((), UNNAMED):
            is_time = FIELDS[kind][name].form is FieldForm.TIME
            fields[name] = format_time(parse_time(value)) if is_time else value
    if one.labels and LABELS in FIELDS[kind]:
        fields[LABELS] = one.labels
    elif one.labels:
        lost.append(Lost(path=f"{one.id}.labels", reason="no place for it"))
    for name, value in details.fields.items():
        reason = _refused(kind, name, value)
        if reason is None:
            fields[name] = value
        else:
            lost.append(Lost(path=f"{one.id}.{name[:64]}", reason=reason))
    return fields


def _refused(kind: ObjectKind, name: str, value: FieldValue) -> str | None:
    """Why a field of the extension is not kept; None when it is."""
    field = FIELDS[kind].get(name)
    if field is None or (kind is ObjectKind.INDICATOR and name in ("identifier_kind", "value")):
        return f"no field of {kind.value} by this way"
    wanted = {FieldForm.NUMBER: int, FieldForm.TEXTS: tuple}.get(field.form, str)
    if not isinstance(value, wanted):
        return f"not a {field.form.value}"
    if field.form is FieldForm.TIME:
        try:
            parse_time(str(value))
        except BadInput as error:
            return error.detail
    return None


def _refs(one: model.DomainObject, kind: ObjectKind, details: model.Extension) -> Refs:
    refs: dict[str, tuple[str, ...]] = {}
    if isinstance(one, model.Sighting):
        refs = {"sighting_of": (one.sighting_of_ref,), "where_sighted": one.where_sighted_refs}
    elif isinstance(one, model.Report | model.Grouping):
        refs = {"objects": tuple(r for r in one.object_refs if r != one.created_by_ref)}
    elif isinstance(one, model.Relationship):
        refs = {"source": (one.source_ref,), "target": (one.target_ref,)}
    more: Mapping[str, tuple[str, ...]] = details.refs
    for name in REFS.get(kind, {}):
        refs[name] = refs.get(name, ()) + more.get(name, ())
    return {name: found for name, found in refs.items() if found}


def _identifier(one: model.Indicator, details: model.Extension, *, country: str) -> Identifier:
    if details.minimised is not None:
        raise NotKept(f"its value is {details.minimised}: nothing to look for", where="pattern")
    if one.pattern_type != PATTERN_TYPE:
        raise NotKept(f"a pattern of type {one.pattern_type[:32]}", where="pattern_type")
    found = read_pattern(one.pattern)
    if found is None:
        raise NotKept("more than one observable compared for equality", where="pattern")
    try:
        return identifier_of(found, country=country)
    except Unreadable as error:
        raise NotKept(error.detail, where="pattern") from error
